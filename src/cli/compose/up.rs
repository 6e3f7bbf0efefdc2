//! # up, create, scale: the whole project
//!
//! ```text
//!   up -d                  converge ─► start
//!   up                     converge ─► start ─► their words on this terminal, until they end or Ctrl-C      attach.rs
//!   up --wait              converge ─► start ─► until all are running, or healthy
//!   create                 converge
//!   scale web=3            converge, with another number ─► start
//! ```
//!
//! *See:* docker/compose `cmd/compose/{up,create,scale}.go`. *Next room:* [`super::attach`](mod@super::attach)

use super::{
    attach::{self, Attached},
    converge::{Wanted, converge},
    files::{self, Opened},
    images::Policy,
    options,
    screen::Screen,
    start,
};
use crate::{flag, session::Session, words::is_given};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_compose::local::{
    plan::{How, Recreate},
    project::{Project, Service},
};
use std::time::Duration;

/// What `up` and `create` share.
fn shared(command: clap::Command) -> clap::Command {
    options::with(command)
        .arg(flag::switch("build", "Build images before starting containers"))
        .arg(flag::switch("force-recreate", "Recreate containers even if their configuration and image haven't changed"))
        .arg(flag::switch("no-build", "Don't build an image, even if it's policy"))
        .arg(flag::switch(
            "no-recreate",
            "If containers already exist, don't recreate them. Incompatible with --force-recreate.",
        ))
        .arg(flag::text(
            "pull",
            "string",
            "Pull image before running (\"always\"|\"missing\"|\"never\"|\"build\") (default \"policy\")",
        ))
        .arg(flag::switch("quiet-pull", "Pull without printing progress information"))
        .arg(flag::switch("remove-orphans", "Remove containers for services not defined in the Compose file"))
        .arg(flag::list(
            "scale",
            "scale",
            "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present.",
        ))
        .arg(flag::switch("yes", "Assume \"yes\" as answer to all prompts and run non-interactively").short('y'))
}

/// The flags of `compose up`.
pub fn command() -> clap::Command {
    let exits = "Stops all containers if any container was stopped. Incompatible with -d";
    shared(flag::command("up", "[OPTIONS] [SERVICE...]", "Create and start containers"))
        .arg(flag::switch("abort-on-container-exit", exits))
        .arg(flag::switch(
            "abort-on-container-failure",
            "Stops all containers if any container exited with failure. Incompatible with -d",
        ))
        .arg(flag::switch("always-recreate-deps", "Recreate dependent containers. Incompatible with --no-recreate."))
        .arg(flag::list("attach", "stringArray", "Restrict attaching to the specified services"))
        .arg(flag::switch("detach", "Detached mode: Run containers in the background").short('d'))
        .arg(flag::text(
            "exit-code-from",
            "string",
            "Return the exit code of the selected service container. Implies --abort-on-container-exit",
        ))
        .arg(flag::list("no-attach", "stringArray", "Do not attach (stream logs) to the specified services"))
        .arg(flag::switch("no-color", "Produce monochrome output"))
        .arg(flag::switch("no-deps", "Don't start linked services"))
        .arg(flag::switch("no-log-prefix", "Don't print prefix in logs"))
        .arg(flag::switch("no-start", "Don't start the services after creating them"))
        .arg(flag::switch("quiet-build", "Suppress the build output"))
        .arg(
            flag::switch(
                "renew-anon-volumes",
                "Recreate anonymous volumes instead of retrieving data from the previous containers",
            )
            .short('V'),
        )
        .arg(
            flag::number(
                "timeout",
                "int",
                "Use this timeout in seconds for container shutdown when attached or when containers are already running",
            )
            .short('t'),
        )
        .arg(flag::switch("timestamps", "Show timestamps"))
        .arg(flag::switch("wait", "Wait for services to be running|healthy. Implies detached mode."))
        .arg(flag::number("wait-timeout", "int", "Maximum duration in seconds to wait for the project to be running|healthy"))
        .arg(flag::optional_names("SERVICE"))
}

/// Creates and starts; gives the status of the containers if it stays with them.
///
/// # Errors
/// Flags that exclude each other; whatever is wrong with the files; what could not be made or started.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let exit_from = flag::text_of(m, "exit-code-from").map(str::to_string);
    let abort = m.get_flag("abort-on-container-exit") || exit_from.is_some();
    let failure = m.get_flag("abort-on-container-failure");
    exclude(m, abort || failure)?;
    let names = flag::list_of(m, "SERVICE");
    let mut opened = files::open(m, &names)?;
    scale(&mut opened.project, &flag::list_of(m, "scale"))?;
    if let Some(name) = &exit_from {
        opened.project.named(name)?;
    }
    let services = opened.project.chosen(&names, m.get_flag("no-deps"))?;
    if services.is_empty() {
        return Err(Error::invalid("no service selected"));
    }
    let detached = m.get_flag("detach") || m.get_flag("wait") || m.get_flag("no-start");
    let screen = Screen::begin(m, "Running");
    converge(session, &opened, &services, &wanted(m, &opened, &names)?, &screen).await?;
    if m.get_flag("no-start") {
        return Ok(0);
    }
    let docker = session.docker().await?;
    if detached {
        start::start(&docker, &opened.project.name, &services, &screen).await?;
        if m.get_flag("wait") {
            let limit = flag::number_of(m, "wait-timeout").and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0);
            start::until_ready(&docker, &opened.project.name, &services, limit.map(Duration::from_secs), &screen).await?;
        }
        return Ok(0);
    }
    screen.silence();
    let attached = Attached {
        project: &opened.project,
        services: &services,
        shown: shown(m, &opened.project, &names)?,
        timestamps: m.get_flag("timestamps"),
        prefix: !m.get_flag("no-log-prefix"),
        colour: !m.get_flag("no-color") && flag::text_of(m, "project.ansi") != Some("never"),
        abort,
        abort_on_failure: failure,
        exit_from,
        timeout: flag::number_of(m, "timeout"),
    };
    attach::attach(&docker, &attached, m, &screen).await
}

/// Whose words are shown: those of the services that were named, or of all.
fn shown(m: &ArgMatches, project: &Project, names: &[String]) -> Result<Vec<String>> {
    let (only, without) = (flag::list_of(m, "attach"), flag::list_of(m, "no-attach"));
    only.iter().chain(&without).try_for_each(|name| project.named(name).map(drop))?;
    let wanted = |service: &&Service| match (only.is_empty(), names.is_empty()) {
        (false, _) => only.contains(&service.name),
        (true, false) => names.contains(&service.name),
        (true, true) => service.node.bool("attach") != Some(false),
    };
    let shown = project.services.iter().filter(wanted).map(|service| service.name.clone());
    Ok(shown.filter(|name| !without.contains(name)).collect())
}

fn exclude(m: &ArgMatches, aborts: bool) -> Result<()> {
    let wrong = |text: &str| Err(Error::invalid(text));
    let is = |flag: &str| m.get_flag(flag);
    if is("build") && is("no-build") {
        return wrong("--build and --no-build are incompatible");
    }
    if is("force-recreate") && is("no-recreate") {
        return wrong("--force-recreate and --no-recreate are incompatible");
    }
    if is("always-recreate-deps") && is("no-recreate") {
        return wrong("--always-recreate-deps and --no-recreate are incompatible");
    }
    if is("renew-anon-volumes") && is("no-recreate") {
        return wrong("--no-recreate and --renew-anon-volumes are incompatible");
    }
    if is("abort-on-container-exit") && is("abort-on-container-failure") {
        return wrong("--abort-on-container-failure cannot be combined with --abort-on-container-exit");
    }
    let attaches = aborts || is_given(m, "attach");
    match (is("wait"), is("detach"), attaches) {
        (true, _, true) => {
            wrong("--wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure or --attach")
        }
        (_, true, true) => {
            wrong("--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure or --attach")
        }
        _ => Ok(()),
    }
}

/// The flags as the plan wants them.
fn wanted(m: &ArgMatches, opened: &Opened, names: &[String]) -> Result<Wanted> {
    // `scale` and `create` have some of these flags only
    let is = |flag: &str| m.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or(false);
    let truth = |name: &str| {
        opened.variable(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "y"))
    };
    let recreate = match (is("force-recreate"), is("no-recreate")) {
        (true, _) => Recreate::Always,
        (_, true) => Recreate::Never,
        _ => Recreate::Diverged,
    };
    let pull = m.try_get_one::<String>("pull").ok().flatten().cloned();
    if let Some(other) =
        pull.as_ref().filter(|p| !["always", "missing", "never", "build", "policy", "if_not_present"].contains(&p.as_str()))
    {
        return Err(Error::invalid(format!("invalid --pull option {other:?}")).hint("always, missing, never or build"));
    }
    let dependencies = match recreate {
        Recreate::Never => Recreate::Never,
        _ if is("always-recreate-deps") => Recreate::Always,
        _ => Recreate::Diverged,
    };
    Ok(Wanted {
        how: How { recreate, dependencies, named: names.to_vec() },
        policy: Policy {
            build: is("build"),
            no_build: is("no-build"),
            pull,
            quiet_pull: is("quiet-pull"),
            quiet_build: is("quiet-build"),
        },
        remove_orphans: is("remove-orphans") || truth("COMPOSE_REMOVE_ORPHANS"),
        ignore_orphans: truth("COMPOSE_IGNORE_ORPHANS"),
        renew_volumes: is("renew-anon-volumes"),
        timeout: m.try_get_one::<i64>("timeout").ok().flatten().copied(),
    })
}

/// `web=3`, for each.
fn scale(project: &mut Project, wishes: &[String]) -> Result<()> {
    for wish in wishes {
        let wrong = || Error::invalid(format!("invalid scale specifier: {wish}")).hint("SERVICE=NUMBER, such as web=3");
        let (name, number) = wish.split_once('=').ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        project.named(name)?;
        let Some(service) = project.services.iter_mut().find(|service| service.name == name) else { continue };
        service.scale = number;
        if let (Some(own), true) = (&service.container_name, number > 1) {
            let text = format!(
                "The {name:?} service is using the custom container name {own:?}. Docker requires each container to have a unique name. Remove the custom name to scale the service"
            );
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

/// The flags of `compose create`.
pub fn create_command() -> clap::Command {
    shared(flag::command("create", "[OPTIONS] [SERVICE...]", "Creates containers for a service"))
        .arg(flag::optional_names("SERVICE"))
}

/// Creates without starting.
///
/// # Errors
/// As [`run`].
pub async fn create(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    exclude_create(m)?;
    let names = flag::list_of(m, "SERVICE");
    let mut opened = files::open(m, &names)?;
    scale(&mut opened.project, &flag::list_of(m, "scale"))?;
    let services = opened.project.chosen(&names, false)?;
    let screen = Screen::begin(m, "Creating");
    converge(session, &opened, &services, &wanted(m, &opened, &names)?, &screen).await?;
    Ok(0)
}

fn exclude_create(m: &ArgMatches) -> Result<()> {
    for (one, other) in [("build", "no-build"), ("force-recreate", "no-recreate")] {
        if m.get_flag(one) && m.get_flag(other) {
            return Err(Error::invalid(format!("--{one} and --{other} are incompatible")));
        }
    }
    Ok(())
}

/// The flags of `compose scale`.
pub fn scale_command() -> clap::Command {
    options::with(flag::command("scale", "[SERVICE=REPLICAS...]", "Scale services"))
        .arg(flag::switch("no-deps", "Don't start linked services"))
        .arg(flag::names("SERVICE=REPLICAS"))
}

/// Brings services to a number of containers.
///
/// # Errors
/// A wish that is none; as [`run`].
pub async fn run_scale(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wishes = flag::list_of(m, "SERVICE=REPLICAS");
    let names: Vec<String> = wishes.iter().filter_map(|wish| wish.split_once('=')).map(|(name, _)| name.to_string()).collect();
    let mut opened = files::open(m, &names)?;
    scale(&mut opened.project, &wishes)?;
    let services = opened.project.chosen(&names, m.get_flag("no-deps"))?;
    let screen = Screen::begin(m, "Running");
    let mut wanted = wanted(m, &opened, &names)?;
    // those that are there stay as they are: only their number is meant
    (wanted.how.recreate, wanted.how.dependencies) = (Recreate::Never, Recreate::Never);
    converge(session, &opened, &services, &wanted, &screen).await?;
    start::start(&session.docker().await?, &opened.project.name, &services, &screen).await?;
    Ok(0)
}
