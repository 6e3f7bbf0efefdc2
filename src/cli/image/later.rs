//! # Known words, rooms not built yet: build, push, login
//!
//! People type these from habit. "Unknown command" would be wrong and useless; so the words are known, check what a person
//! gets wrong most (the build context, a flag with a slip), and then say what to do instead.
//!
//! *Next room:* [`crate::container`]

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};

/// The flags of `build` that people type.
pub fn build() -> clap::Command {
    flag::command("build", "[OPTIONS] PATH | URL | -", "Build an image from a Dockerfile")
        .arg(flag::list("tag", "list", "Name and optionally a tag (format: \"name:tag\")").short('t'))
        .arg(flag::text("file", "string", "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'))
        .arg(flag::list("build-arg", "list", "Set build-time variables"))
        .arg(flag::list("label", "list", "Set metadata for an image"))
        .arg(flag::text("target", "string", "Set the target build stage to build"))
        .arg(flag::switch("no-cache", "Do not use cache when building the image"))
        .arg(flag::switch("pull", "Always attempt to pull all referenced images"))
        .arg(flag::switch("quiet", "Suppress the build output and print image ID on success").short('q'))
        .arg(flag::name("PATH"))
        .hide(true)
}

/// Says that there is no builder yet.
///
/// # Errors
/// Always.
pub async fn run_build(_: &ArgMatches, _: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("building images is not part of minidock yet")
        .hint("build it elsewhere and bring it here: docker save IMAGE | minidock load, or minidock import a tar of its files"))
}

/// The flags of `push`.
pub fn push() -> clap::Command {
    flag::command("push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry")
        .arg(flag::switch("all-tags", "Push all tags of an image to the repository").short('a'))
        .arg(flag::switch("quiet", "Suppress verbose output").short('q'))
        .arg(flag::name("NAME"))
        .hide(true)
}

/// Says that nothing can be pushed yet.
///
/// # Errors
/// Always.
pub async fn run_push(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "NAME").unwrap_or_default();
    Err(Error::not_implemented("pushing images to a registry is not part of minidock yet")
        .hint(format!("carry it as a file: minidock save -o image.tar {name}")))
}

/// The flags of `login`.
pub fn login() -> clap::Command {
    flag::command("login", "[OPTIONS] [SERVER]", "Authenticate to a registry")
        .arg(flag::text("username", "string", "Username").short('u'))
        .arg(flag::text("password", "string", "Password").short('p'))
        .arg(flag::switch("password-stdin", "Take the Password from stdin"))
        .arg(flag::optional("SERVER"))
        .hide(true)
}

/// The arguments of `logout`.
pub fn logout() -> clap::Command {
    flag::command("logout", "[SERVER]", "Log out from a registry").arg(flag::optional("SERVER")).hide(true)
}

/// Says that registries are not known yet.
///
/// # Errors
/// Always.
pub async fn run_login(_: &ArgMatches, _: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("logging in to a registry is not part of minidock yet")
        .hint("images come by minidock load, minidock import, or make images for the stand-ins"))
}
