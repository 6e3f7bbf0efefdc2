//! # Known words, rooms not built yet: build, push, login, swarm, compose
//!
//! People type these from habit. "Unknown command" would be wrong and useless; so the words are known, check what a person
//! gets wrong most (the build context, a flag with a slip, a container where an image belongs), and then say what to do instead.
//!
//! Laws: none of them appears in help or completion, and each fails.
//!
//! *Next room:* [`crate::container`]

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::reference::Reference;

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

/// The flags of `push`.
pub fn push() -> clap::Command {
    flag::command("push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry")
        .arg(flag::switch("all-tags", "Push all tags of an image to the repository").short('a'))
        .arg(flag::switch("quiet", "Suppress verbose output").short('q'))
        .arg(flag::name("NAME"))
        .hide(true)
}

/// Says that nothing can be pushed yet, or that a container cannot be pushed at all.
///
/// # Errors
/// Always.
pub async fn run_push(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "NAME").unwrap_or_default();
    // a registry's name before the id is how the students' notes have it
    let last = name.rsplit('/').next().unwrap_or(name);
    let docker = session.docker().await?;
    if docker.get::<serde_json::Value>(&Route::new("/containers/{}/json", [last])).await.is_ok() {
        return Err(Error::invalid(format!("{last} is a container, and what is pushed is an image"))
            .hint(format!("make an image of it first: minidock commit {last} REPOSITORY/NAME:TAG")));
    }
    Reference::parse(name)?;
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
