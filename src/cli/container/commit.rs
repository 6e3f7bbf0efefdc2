//! # commit: a container becomes an image
//!
//! The writable layer of a container, put on top of its image's layers, is a new image: that is all. `-c` changes its
//! configuration by Dockerfile instructions.
//!
//! *See:* docker/cli `cli/command/container/commit.go`. *Next room:* [`crate::container::export`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::{engine::container::CommitAnswer, reference::Reference};

/// `minidock commit`.
pub fn command() -> clap::Command {
    let about = "Create a new image from a container's changes";
    flags(flag::command("commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", about), "CONTAINER")
}

/// What `compose commit` takes, too; `whose` names what is committed.
pub fn flags(command: clap::Command, whose: &'static str) -> clap::Command {
    command
        .arg(flag::text("author", "string", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")").short('a'))
        .arg(flag::list("change", "list", "Apply Dockerfile instruction to the created image").short('c'))
        .arg(flag::text("message", "string", "Commit message").short('m'))
        .arg(flag::on("pause", "Pause container during commit (default true)").short('p'))
        .arg(flag::name(whose))
        .arg(flag::optional("REPOSITORY[:TAG]"))
}

/// Commits a container; prints the image's id.
///
/// # Errors
/// A reference that is none or has a digest; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let text = |id: &str| flag::text_of(m, id).filter(|text| !text.is_empty());
    let target = text("REPOSITORY[:TAG]").map(Reference::parse).transpose()?;
    if target.as_ref().is_some_and(|target| target.digest.is_some()) {
        return Err(Error::invalid("cannot use digest reference").hint("a name and a tag: the digest is what comes out"));
    }
    let mut route = Route::new("/commit", [])
        .pair("container", text("CONTAINER").unwrap_or_default())
        .maybe("repo", target.as_ref().map(Reference::familiar_name))
        .maybe("tag", target.as_ref().and_then(|target| target.tag.clone()))
        .maybe("comment", text("message"))
        .maybe("author", text("author"));
    for change in flag::list_of(m, "change") {
        route = route.pair("changes", change);
    }
    if !flag::is_on(m, "pause") {
        route = route.pair("pause", 0);
    }
    let answer: CommitAnswer = session.docker().await?.post(&route, &serde_json::json!({})).await?;
    terminal::print(&format!("{}\n", answer.id));
    Ok(0)
}
