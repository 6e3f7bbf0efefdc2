//! # Repository: a build context that git brings
//!
//! `minidock build https://host/project.git#v1:app` names no folder of this machine. git knows how to reach a repository, and as whom: it fetches
//! one commit into a folder of its own, and from there on that is a context like any other.
//!
//! ```text
//!   https://host/project.git#v1:app
//!        │                    │  └─ the folder in it, if not all of it
//!        │                    └──── a branch, a tag, a commit the server will give; HEAD
//!        └─git fetch --depth 1─► /tmp/minidock-git-…/ ──app──► packed and sent ──► the folder goes
//! ```
//!
//! * [`is_one`] tells an address from a folder; [`fetch`] gives a [`Repository`], which goes when it is dropped.
//!
//! Laws: no part of an address becomes an option of git's; the folder in it does not lead out, by links neither. The history (`.git`) is no part of the context,
//! or no two fetches would be the same for the cache: so it is with BuildKit, while the classic client sends it along.
//! *See:* moby `builder/remotecontext/git`. *Next room:* [`super::build_view`]

use minidock_base::{Doing, Error, Result, id};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whether a build's argument, which is no folder here, names a repository: Docker's rule.
pub fn is_one(address: &str) -> bool {
    let path = address.split('#').next().unwrap_or_default();
    let by_web = ["http://", "https://"].iter().any(|start| address.starts_with(start));
    let by_git = ["git://", "git@", "ssh://", "github.com/"].iter().any(|start| address.starts_with(start));
    by_git || by_web && path.ends_with(".git")
}

/// A repository that has been fetched.
pub struct Repository {
    home: PathBuf,
    /// What of it is the context.
    pub context: PathBuf,
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home); // what is left lies in the folder for what may go
    }
}

/// Fetches what an address names.
///
/// # Errors
/// There is no git; it fails, in its own words; there is no such folder in it.
pub fn fetch(address: &str) -> Result<Repository> {
    fetch_below(&std::env::temp_dir(), address)
}

fn fetch_below(scratch: &Path, address: &str) -> Result<Repository> {
    let Parts { url, commit, folder } = parts(address);
    let home = scratch.join(format!("minidock-git-{}", &id::random_id()[..16]));
    let why = || format!("fetch the repository {url}");
    fs::DirBuilder::new().mode(0o700).create(&home).doing(why)?;
    let mut repository = Repository { context: home.clone(), home };
    let git = |words: &[&str]| git(&repository.home, words).doing(why);
    git(&["init", "--quiet"])?;
    // a server that hands out files and knows no protocol has only whole histories
    git(&["fetch", "--quiet", "--depth=1", "--", &url, commit]).or_else(|_| git(&["fetch", "--quiet", "--", &url, commit]))?;
    git(&["checkout", "--quiet", "FETCH_HEAD"])?;
    if repository.home.join(".gitmodules").exists() {
        git(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
    }
    fs::remove_dir_all(repository.home.join(".git")).doing(why)?;
    let inside = fs::canonicalize(repository.home.join(folder.trim_start_matches('/')));
    let home = fs::canonicalize(&repository.home).doing(why)?;
    repository.context = match inside {
        Ok(inside) if inside.starts_with(&home) && inside.is_dir() => inside,
        _ => return Err(Error::invalid(format!("there is no folder {folder:?} in it")).during(why())),
    };
    Ok(repository)
}

struct Parts<'a> {
    url: String,
    commit: &'a str,
    folder: &'a str,
}

/// `URL#COMMIT:FOLDER`, of which the last two may be missing.
fn parts(address: &str) -> Parts<'_> {
    let (url, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (commit, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    let url = if url.starts_with("github.com/") { format!("https://{url}") } else { url.to_string() };
    Parts { url, commit: if commit.is_empty() { "HEAD" } else { commit }, folder }
}

fn git(home: &Path, words: &[&str]) -> Result<()> {
    let mut git = Command::new("git");
    let ran = git.current_dir(home).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output =
        ran.doing(|| "run git").map_err(|e| e.hint("install git; or fetch the repository elsewhere, and build the folder"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
    Err(Error::invalid(format!("git {} said: {last}", words[0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_folder_and_taken_apart() {
        for repository in
            ["https://h/x.git", "https://h/x.git#main:sub", "git@h:x/y", "git://h/x", "ssh://h/x", "github.com/x/y"]
        {
            assert!(is_one(repository), "{repository}");
        }
        for other in ["https://h/x.tar.gz", "http://h/Dockerfile", "x.git", "./github.com/x", "."] {
            assert!(!is_one(other), "{other}");
        }
        let told = |address| {
            let Parts { url, commit, folder } = parts(address);
            format!("{url} {commit} {folder}")
        };
        assert_eq!(told("github.com/x/y"), "https://github.com/x/y HEAD ");
        assert_eq!(told("https://h/x.git#v1:a/b"), "https://h/x.git v1 a/b");
        assert_eq!(told("git@h:x/y#:sub"), "git@h:x/y HEAD sub");
    }

    #[test]
    fn nothing_of_an_address_is_an_option_and_a_failure_leaves_nothing() {
        let scratch = tempfile::tempdir().expect("room");
        let marker = scratch.path().join("marker");
        let trick = format!("git://127.0.0.1:1/x#--upload-pack=touch {}", marker.display());
        let refused = fetch_below(scratch.path(), &trick).err().expect("nobody answers there");
        assert!(refused.message().contains("fetch the repository git://127.0.0.1:1/x"), "{refused}");
        assert!(fs::read_dir(scratch.path()).expect("there").next().is_none());
    }
}
