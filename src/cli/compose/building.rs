//! # build, pull, push: images alone
//!
//! *See:* docker/compose `cmd/compose/{build,pull,push}.go`. *Next room:* [`super::config`](mod@super::config)

use super::{
    files,
    images::{self, Build},
    options,
    screen::Screen,
};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_compose::local::project::Service;

/// The flags of `compose build`.
pub fn build_command() -> clap::Command {
    options::with(flag::command("build", "[OPTIONS] [SERVICE...]", "Build or rebuild services"))
        .arg(flag::list("build-arg", "stringArray", "Set build-time variables for services"))
        .arg(flag::text("memory", "bytes", "Set memory limit for the build container").short('m'))
        .arg(flag::switch("no-cache", "Do not use cache when building the image"))
        .arg(flag::text("progress", "string", "Set type of progress output (auto, tty, plain, quiet)"))
        .arg(flag::switch("pull", "Always attempt to pull a newer version of the image"))
        .arg(flag::switch("push", "Push service images"))
        .arg(flag::switch("quiet", "Don't print anything to STDOUT").short('q'))
        .arg(flag::switch("with-dependencies", "Also build dependencies (transitively)"))
        .arg(flag::switch("compress", "Compress the build context using gzip. DEPRECATED").hide(true))
        .arg(flag::switch("force-rm", "Always remove intermediate containers. DEPRECATED").hide(true))
        .arg(flag::switch("no-rm", "Do not remove intermediate containers after a successful build. DEPRECATED").hide(true))
        .arg(flag::switch("parallel", "Build images in parallel. DEPRECATED").hide(true))
        .arg(flag::optional_names("SERVICE"))
}

/// Builds the images of services.
///
/// # Errors
/// No such service; a build that failed.
pub async fn build(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let opened = files::open(m, &names)?;
    let chosen = opened.project.chosen(&names, !m.get_flag("with-dependencies"))?;
    let built: Vec<&Service> = chosen.into_iter().filter(|service| service.is_built()).collect();
    if built.is_empty() {
        terminal::eprint("WARNING: No services to build\n");
        return Ok(0);
    }
    let how = Build {
        quiet: m.get_flag("quiet"),
        no_cache: m.get_flag("no-cache"),
        pull: m.get_flag("pull"),
        args: flag::list_of(m, "build-arg"),
        progress: flag::text_of(m, "progress").map(str::to_string),
        memory: flag::text_of(m, "memory").map(str::to_string),
    };
    images::build_all(session, &opened, &built, &how).await?;
    if m.get_flag("push") {
        images::push(session, &opened.project, &built, how.quiet, false).await?;
    }
    Ok(0)
}

/// The flags of `compose pull`.
pub fn pull_command() -> clap::Command {
    options::with(flag::command("pull", "[OPTIONS] [SERVICE...]", "Pull service images"))
        .arg(flag::switch("ignore-buildable", "Ignore images that can be built"))
        .arg(flag::switch("ignore-pull-failures", "Pull what it can and ignores images with pull failures"))
        .arg(flag::switch("include-deps", "Also pull services declared as dependencies"))
        .arg(flag::text("policy", "string", "Apply pull policy (\"missing\"|\"always\")"))
        .arg(flag::switch("quiet", "Pull without printing progress information").short('q'))
        .arg(flag::optional_names("SERVICE"))
}

/// Fetches the images of services.
///
/// # Errors
/// No such service; an image that cannot be had.
pub async fn pull(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let opened = files::open(m, &names)?;
    let screen = Screen::begin(m, "Pulling");
    let docker = session.docker().await?;
    let (mut wanted, mut images): (Vec<&Service>, Vec<&str>) = (Vec::new(), Vec::new());
    for service in opened.project.chosen(&names, !m.get_flag("include-deps"))? {
        let only_built = service.is_built() && (service.node.text("image").is_empty() || m.get_flag("ignore-buildable"));
        if only_built {
            screen.warned(&service.name, "Skipped - No image to be pulled");
            continue;
        }
        if images.contains(&service.image.as_str()) {
            screen.warned(&service.name, "Skipped - Image is already being pulled by another service");
            continue;
        }
        let missing = flag::text_of(m, "policy") == Some("missing") || service.node.text("pull_policy") == "missing";
        if missing && images::id(&docker, &service.image).await?.is_some() {
            screen.done(&service.name, "Skipped - Image is already present locally");
            continue;
        }
        images.push(&service.image);
        wanted.push(service);
    }
    images::pull(session, &wanted, m.get_flag("quiet"), m.get_flag("ignore-pull-failures"), &screen).await?;
    Ok(0)
}

/// The flags of `compose push`.
pub fn push_command() -> clap::Command {
    options::with(flag::command("push", "[OPTIONS] [SERVICE...]", "Push service images"))
        .arg(flag::switch("ignore-push-failures", "Push what it can and ignores images with push failures"))
        .arg(flag::switch("include-deps", "Also push images of services declared as dependencies"))
        .arg(flag::switch("quiet", "Push without printing progress information").short('q'))
        .arg(flag::optional_names("SERVICE"))
}

/// Sends the images of services to their registries.
///
/// # Errors
/// No such service; what a registry refuses.
pub async fn push(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let opened = files::open(m, &names)?;
    let chosen = opened.project.chosen(&names, !m.get_flag("include-deps"))?;
    images::push(session, &opened.project, &chosen, m.get_flag("quiet"), m.get_flag("ignore-push-failures")).await?;
    Ok(0)
}
