//! # Fetch: `ADD https://…`
//!
//! A file from an address. It is never unpacked, belongs to root, may be read by nobody else (0600), and has the time that the server
//! says.
//!
//! ```text
//!   ADD --checksum=sha256:… https://host/a/b.txt /to/     ──GET──► a nameless file, hashed on the way ──► /to/b.txt
//! ```
//!
//! * [`file_name`] is what it is called in a folder; [`fetch`] brings it, and checks it if `--checksum` says what it must be; [`download`]
//!   brings anything.
//!
//! Laws: the content goes to the disk and not to memory, and never beyond what the disk has to spare; a redirect may not lead from
//! `https` to `http`; what does not match its checksum is never used. See: moby `builder/dockerfile/copy.go` (downloadSource).
//! Next room: [`crate::remote`]

use crate::{copy::Item, job::Job, receive};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use minidock_base::{Doing, Error, Result};
use minidock_linux::files::{self, Moment};
use minidock_registry::{
    client::{
        Client,
        wire::{Reply, Wire},
    },
    settings::Endpoint,
};
use minidock_spec::digest::{Digest, Hasher};
use std::{fs::File, io::Write, path::Path, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long the first byte may take.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 10;

/// What a fetched file is called below `to`.
///
/// # Errors
/// The address ends in a slash, and so does the destination.
pub fn file_name(address: &str, to: &str) -> Result<String> {
    let (_, path) = split(address)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    match (name.is_empty(), to.ends_with('/')) {
        (false, _) => Ok(name.to_string()),
        (true, false) => Ok(to.rsplit('/').next().unwrap_or_default().to_string()),
        (true, true) => Err(Error::invalid(format!("cannot determine filename for source {address}"))
            .hint("a destination without the slash at the end names the file")),
    }
}

/// Where to ask, and for what: `https://host:port` and `/path?query`.
fn split(address: &str) -> Result<(Endpoint, String)> {
    let bad = || Error::invalid(format!("{address:?} is no address that can be fetched"));
    let (secure, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(bad()),
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
        None => (authority, if secure { 443 } else { 80 }),
    };
    if host.is_empty() {
        return Err(bad());
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let endpoint = Endpoint { secure, host: host.to_string(), port, prefix: String::new(), verify: true, mirror_of: None };
    Ok((endpoint, path))
}

/// Brings a file for `ADD`.
///
/// # Errors
/// Nobody answers, or says no; it is not what its checksum says; the disk has no room; the build was cancelled.
pub async fn fetch(job: &Arc<Job>, address: &str, name: String, checksum: Option<Digest>) -> Result<(Item, Digest)> {
    let scratch = job.engine.paths.scratch();
    let Fetched { file, size, modified, digest } = download(&job.registry, &scratch, address, &job.cancel).await?;
    if let Some(wanted) = checksum.filter(|wanted| *wanted != digest) {
        let why = Error::invalid(format!("digest mismatch: it should be {wanted} and is {digest}"));
        return Err(why.during(format!("fetch {address}")));
    }
    let named = Digest::of(format!("{name}\0{digest}").as_bytes());
    Ok((Item::Fetched { name, file, size, modified }, named))
}

/// What came from an address, in a file without a name.
pub struct Fetched {
    pub file: File,
    pub size: u64,
    pub modified: Moment,
    pub digest: Digest,
}

/// Brings what an address names.
///
/// # Errors
/// Nobody answers, or says no; the disk has no room; it was cancelled.
pub async fn download(registry: &Client, scratch: &Path, address: &str, cancel: &CancellationToken) -> Result<Fetched> {
    tokio::select! {
        fetched = follow(registry, scratch, address) => fetched.doing(|| format!("fetch {address}")),
        () = cancel.cancelled() => Err(Error::system("the build was cancelled")),
    }
}

async fn follow(registry: &Client, scratch: &Path, address: &str) -> Result<Fetched> {
    let wire = Wire::new(registry.config().clone());
    let mut at = address.to_string();
    for _ in 0..MOST_REDIRECTS {
        let (endpoint, path) = split(&at)?;
        let request = Request::builder()
            .uri(&path)
            .header(header::HOST, endpoint.authority())
            .header(header::USER_AGENT, concat!("minidock/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
            .map_err(|e| Error::invalid(e.to_string()))?;
        let reply = wire.send(&endpoint, request, PATIENCE).await.map_err(|failure| failure.error())?;
        if reply.status.is_redirection() {
            let next = reply.header("location").ok_or_else(|| Error::unavailable("a redirect to nowhere"))?;
            let next = if next.starts_with('/') { format!("{}{next}", endpoint.address()) } else { next.to_string() };
            if endpoint.secure && !next.starts_with("https://") {
                return Err(Error::forbidden("it redirects to an address that is not protected"));
            }
            at = next;
            continue;
        }
        if !reply.status.is_success() {
            return Err(Error::unavailable(format!("the server says {}", reply.status)));
        }
        return kept(reply, scratch).await;
    }
    Err(Error::unavailable(format!("more than {MOST_REDIRECTS} redirects")))
}

/// The body goes to the disk, hashed on the way.
async fn kept(mut reply: Reply, scratch: &Path) -> Result<Fetched> {
    let room = files::free_bytes(scratch).doing(|| "ask how much room the disk has")? / 4 * 3;
    let modified = reply.header("last-modified").and_then(moment).unwrap_or_default();
    let (mut file, mut hasher, mut size) = (receive::nameless(scratch)?, Hasher::new(), 0u64);
    while let Some(chunk) = reply.chunk().await.map_err(|failure| failure.error())? {
        size += chunk.len() as u64;
        if size > room {
            return Err(Error::invalid(format!("it is larger than the {room} bytes that the disk has room for")));
        }
        hasher.update(&chunk);
        file.write_all(&chunk).doing(|| "keep what was fetched")?;
    }
    Ok(Fetched { file, size, modified, digest: hasher.finish() })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn moment(text: &str) -> Option<Moment> {
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Moment { seconds: parsed.timestamp().as_second(), nanoseconds: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_the_path() {
        assert_eq!(file_name("http://x/a/b.txt?q=1", "/to/").expect("named"), "b.txt");
        assert_eq!(file_name("http://x/", "/to/c").expect("named"), "c");
        assert!(file_name("http://x", "/to/").is_err());
    }

    #[test]
    fn an_address_is_taken_apart() {
        let (endpoint, path) = split("https://u:p@host.example:8443/a/b?c#d").expect("an address");
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.secure, path.as_str()),
            ("host.example", 8443, true, "/a/b?c")
        );
        assert_eq!(split("http://h").expect("an address").0.port, 80);
        assert!(split("ftp://x/y").is_err() && split("http:///x").is_err() && split("http://h:x/").is_err());
    }

    #[test]
    fn a_servers_time_is_read() {
        assert_eq!(moment("Sun, 06 Nov 1994 08:49:37 GMT").expect("a time").seconds, 784_111_777);
        assert!(moment("yesterday").is_none());
    }
}
