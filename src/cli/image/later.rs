//! # Known words, rooms not built yet: build, swarm, compose
//!
//! People type these from habit. "Unknown command" would be wrong and useless; so the words are known, check what a person
//! gets wrong most (the build context, a flag with a slip), and then say what to do instead.
//!
//! Laws: none of them appears in help or completion, and each fails.
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
        .arg(flag::optional_names("PATH"))
        .hide(true)
}

/// Says that there is no builder yet, or that the one argument is the context.
///
/// # Errors
/// Always.
pub async fn run_build(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    if flag::list_of(m, "PATH").len() != 1 {
        return Err(Error::invalid("\"minidock image build\" requires exactly 1 argument.").hint(
            "the argument is the folder with the Dockerfile, the name goes behind -t: minidock image build -t NAME:TAG .",
        ));
    }
    Err(Error::not_implemented("building images is not part of minidock yet")
        .hint("build it elsewhere and bring it here: docker save IMAGE | minidock load, or minidock import a tar of its files"))
}

/// The words of swarm mode.
pub fn swarm() -> clap::Command {
    flag::command("swarm", "COMMAND", "Manage a swarm").arg(flag::program("ARG")).hide(true)
}

/// Says that there is no swarm yet.
///
/// # Errors
/// Always.
pub async fn run_swarm(_: &ArgMatches, _: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("swarm mode (swarm, node, service, stack, secret, config) is not part of minidock yet")
        .hint("single containers are: minidock run"))
}

/// The words of Docker's plugins and tools.
pub fn tools() -> clap::Command {
    flag::command("compose", "COMMAND", "Define and run several containers").arg(flag::program("ARG")).hide(true)
}

/// Says that a tool is not there.
///
/// # Errors
/// Always.
pub async fn run_tools(_: &ArgMatches, session: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("this word belongs to a tool that minidock does not have").hint(format!(
        "minidock --help lists what there is; Docker's own tools may be pointed here: DOCKER_HOST={}",
        session.address()?
    )))
}
