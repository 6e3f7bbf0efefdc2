//! # Remote: a build context from an address
//!
//! `minidock build http://host/project.tar.gz` has no folder to send: the builder fetches the context itself. What comes is an archive, or
//! else it is the Dockerfile and there are no files; only the bytes tell.
//!
//! ```text
//!   http://host/x ──GET──► a nameless file ──► a tar, packed or not? ──► receive
//!                                                      no ──► the Dockerfile, alone
//! ```
//!
//! Law: a repository is not fetched; who wants that has `git`, and is told so. See: moby `builder/remotecontext/remote.go`.
//! Next room: [`crate::job`]

use crate::{LARGEST_TEXT, archive, context::Context, fetch, receive, voice::Voice};
use minidock_base::{Doing, Error, Result};
use minidock_engine::{Engine, byte_stream::blocking};
use minidock_image::layer::{
    tar::Entry,
    write::{Writer, plain},
};
use minidock_registry::client::Client;
use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Whether an address names a repository: Docker's rule.
pub fn is_repository(address: &str) -> bool {
    let path = address.split('#').next().unwrap_or_default();
    let by_git = ["git://", "git@", "ssh://"].iter().any(|start| address.starts_with(start));
    by_git || address.contains("://") && path.ends_with(".git") || address.starts_with("github.com/")
}

/// Why a repository is not fetched.
#[track_caller]
pub fn refusal(address: &str) -> Error {
    Error::not_implemented(format!("the builder does not fetch the repository {address}"))
        .hint("git clone it, and build the folder; in a Dockerfile: RUN git clone, in an image that has git")
}

/// Fetches a context.
///
/// # Errors
/// It names a repository, or is no address; nobody answers; what comes is neither an archive nor a Dockerfile.
pub async fn context(
    engine: &Arc<Engine>,
    registry: &Client,
    (address, dockerfile): (&str, &str),
    voice: &Voice,
    cancel: &CancellationToken,
) -> Result<Context> {
    if is_repository(address) {
        return Err(refusal(address));
    }
    voice.say(format!("Downloading build context from remote url: {address}\n")).await;
    let scratch = engine.paths.scratch();
    let fetched = fetch::download(registry, &scratch, address, cancel).await?;
    let (address, dockerfile) = (address.to_string(), dockerfile.to_string());
    blocking(move || received(fetched.file, &scratch, &dockerfile).doing(|| format!("take in {address}"))).await
}

fn received(mut file: File, scratch: &Path, dockerfile: &str) -> Result<Context> {
    let again = |file: &mut File| file.rewind().doing(|| "read what was fetched");
    again(&mut file)?;
    if archive::looks_like_one(BufReader::with_capacity(128 << 10, &file)) {
        again(&mut file)?;
        return receive::receive(file, scratch, crate::room_for_a_context(scratch)?);
    }
    again(&mut file)?;
    let mut text = Vec::new();
    file.take(LARGEST_TEXT + 1).read_to_end(&mut text).doing(|| "read what was fetched")?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(Error::invalid("it is no tar archive, and too large for a Dockerfile"));
    }
    let mut tar = Writer::new(Vec::new());
    tar.entry(&Entry { name: dockerfile.into(), mode: 0o644, size: text.len() as u64, ..plain() })?;
    tar.content(&text[..])?;
    receive::receive(&tar.finish()?[..], scratch, LARGEST_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_told_from_a_file() {
        for repository in ["https://h/x.git", "https://h/x.git#main:sub", "git@h:x/y", "git://h/x", "github.com/x/y"] {
            assert!(is_repository(repository), "{repository}");
        }
        for other in ["https://h/x.tar.gz", "http://h/Dockerfile", "http://h/x.git.tar", "x.git", "./github.com/x"] {
            assert!(!is_repository(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_archive_is_the_dockerfile() {
        let scratch = tempfile::tempdir().expect("room");
        let file = |bytes: &[u8]| {
            let path = scratch.path().join("f");
            std::fs::write(&path, bytes).expect("room");
            File::open(path).expect("there")
        };
        let context = received(file(b"FROM scratch\n"), scratch.path(), "a/Dockerfile").expect("a Dockerfile");
        assert_eq!(context.read(b"a/Dockerfile", 100).expect("small").as_deref(), Some(&b"FROM scratch\n"[..]));
        let mut tar = Writer::new(Vec::new());
        tar.entry(&Entry { name: b"x".to_vec(), ..plain() }).expect("memory");
        let context = received(file(&tar.finish().expect("memory")), scratch.path(), "Dockerfile").expect("a context");
        assert!(context.node(b"x").is_some() && context.node(b"Dockerfile").is_none());
        assert!(received(file(&vec![b'#'; LARGEST_TEXT as usize + 1]), scratch.path(), "Dockerfile").is_err());
    }
}
