//! # image tag: one more name for an image
//!
//! *See:* docker/cli `cli/command/image/tag.go`. *Next room:* [`super::remove`]

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::reference::Reference;

/// The arguments of `tag`.
pub fn command() -> clap::Command {
    flag::command("tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE")
        .arg(flag::name("SOURCE_IMAGE"))
        .arg(flag::name("TARGET_IMAGE"))
}

/// Gives an image another name.
///
/// # Errors
/// A name that is none; no such image.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let source = flag::text_of(m, "SOURCE_IMAGE").unwrap_or_default();
    let typed = flag::text_of(m, "TARGET_IMAGE").unwrap_or_default();
    let target = target(typed)?;
    let route = Route::new("/images/{}/tag", [source])
        .pair("repo", target.familiar_name())
        .pair("tag", target.tag.as_deref().unwrap_or("latest"));
    session.docker().await?.poke(&route).await?;
    Ok(0)
}

fn target(typed: &str) -> Result<Reference> {
    let reference = Reference::parse(typed).map_err(|e| {
        Error::invalid(format!("Error parsing reference: {typed:?} is not a valid repository/tag: {}", e.message()))
    })?;
    match reference.digest {
        Some(_) => Err(Error::invalid("refusing to create a tag with a digest reference")),
        None => Ok(reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_name_and_never_a_digest() {
        assert_eq!(target("ourfiglet").expect("a name").familiar(), "ourfiglet:latest");
        assert!(target("UPPER").unwrap_err().message().contains("must be lowercase"));
        let digest = "a@sha256:9cbd2e6f7ffe2fae935a70a4c21a9353e2093eb9594942183ca7ed6474a4e84c";
        assert_eq!(target(digest).unwrap_err().message(), "refusing to create a tag with a digest reference");
    }
}
