//! # stop, start, restart, kill, pause, unpause, rm, wait
//!
//! One call for every container of the services named, or of all: side by side within a service, service by service in the order of
//! their dependencies, or its reverse.
//!
//! ```text
//!   start, unpause   db ─► web         restart   db ─► web          stop, pause, kill, rm   web ─► db
//! ```
//!
//! *See:* docker/compose `cmd/compose/{stop,start,restart,kill,pause,remove,wait}.go`. *Next room:* [`super::ps`](mod@super::ps)

use super::{
    files::{self, Opened},
    graph::{Way, over},
    options,
    screen::Screen,
    seen, start,
};
use crate::{flag, prompt, session::Session, terminal, words::is_given};
use clap::ArgMatches;
use futures_util::future::join_all;
use minidock_base::{Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_compose::local::{plan::Seen, project::Project};
use minidock_spec::engine::container::WaitAnswer;
use serde::de::IgnoredAny;

fn verb(name: &'static str, usage: &'static str, about: &'static str) -> clap::Command {
    options::with(flag::command(name, usage, about)).arg(flag::optional_names("SERVICE"))
}

fn timeout(command: clap::Command) -> clap::Command {
    command.arg(flag::number("timeout", "int", "Specify a shutdown timeout in seconds").short('t'))
}

/// The containers a command is about, and the project they belong to.
struct Meant {
    opened: Option<Opened>,
    name: String,
    docker: Docker,
    there: Vec<Seen>,
}

impl Meant {
    fn project(&self) -> Option<&Project> {
        self.opened.as_ref().map(|opened| &opened.project)
    }
}

async fn meant(m: &ArgMatches, session: &mut Session) -> Result<Meant> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, name) = files::project_or_name(m, &names)?;
    let docker = session.docker().await?;
    let there = seen::of_services(&docker, opened.as_ref(), &name, &names).await?;
    Ok(Meant { opened, name, docker, there })
}

/// One call for each container, in order; `doing` and `done` are the words for it.
async fn each(
    docker: &Docker,
    project: Option<&Project>,
    containers: &[Seen],
    way: Way,
    words: (&str, &str),
    route: impl Fn(&Seen) -> Route,
    screen: &Screen,
) -> Result<()> {
    let (route, (doing, done)) = (&route, words);
    let one = |container: &Seen| {
        let (id, route) = (format!("Container {}", container.name), route(container));
        async move {
            screen.working(&id, doing);
            match docker.poke(&route).await {
                Ok(()) => screen.done(&id, done),
                // what has gone or is so already
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::NotModified) => screen.done(&id, done),
                Err(error) => {
                    screen.failed(&id, &format!("Error while {doing}"));
                    return Err(error);
                }
            }
            Ok(())
        }
    };
    over(project, containers, way, one).await
}

/// Stops containers, those first on which nobody depends.
///
/// # Errors
/// The daemon's refusal.
pub async fn stop_all(
    docker: &Docker,
    project: Option<&Project>,
    containers: &[Seen],
    timeout: Option<i64>,
    screen: &Screen,
) -> Result<()> {
    let route = |one: &Seen| Route::new("/containers/{}/stop", [&one.id]).maybe("t", timeout);
    each(docker, project, containers, Way::Down, ("Stopping", "Stopped"), route, screen).await
}

/// The flags of `compose stop`.
pub fn stop_command() -> clap::Command {
    timeout(verb("stop", "[OPTIONS] [SERVICE...]", "Stop services"))
}

/// Stops services.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn stop(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    let screen = Screen::begin(m, "Stopping");
    let running: Vec<Seen> = meant.there.iter().filter(|one| one.is_running()).cloned().collect();
    stop_all(&meant.docker, meant.project(), &running, flag::number_of(m, "timeout"), &screen).await?;
    Ok(0)
}

/// The flags of `compose start`.
pub fn start_command() -> clap::Command {
    verb("start", "[OPTIONS] [SERVICE...]", "Start services")
        .arg(flag::switch("wait", "Wait for services to be running|healthy. Implies detached mode."))
        .arg(flag::number("wait-timeout", "int", "Maximum duration in seconds to wait for the project to be running|healthy"))
}

/// Starts services that exist.
///
/// # Errors
/// No such service, or one without containers; the daemon's refusal.
pub async fn start(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let meant = meant(m, session).await?;
    let screen = Screen::begin(m, "Running");
    let Some(project) = meant.project() else {
        let asleep: Vec<Seen> = meant.there.iter().filter(|one| !one.is_running()).cloned().collect();
        let route = |one: &Seen| Route::new("/containers/{}/start", [&one.id]);
        each(&meant.docker, None, &asleep, Way::Up, ("Starting", "Started"), route, &screen).await?;
        return Ok(0);
    };
    if let Some(lost) = names.iter().find(|name| !meant.there.iter().any(|one| one.service == **name)) {
        return Err(
            Error::not_found(format!("service {lost:?} has no container to start")).hint("minidock compose up -d makes them")
        );
    }
    let services = project.chosen(&names, true)?;
    start::start(&meant.docker, &meant.name, &services, &screen).await?;
    if m.get_flag("wait") {
        let limit = flag::number_of(m, "wait-timeout").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let limit = limit.map(std::time::Duration::from_secs);
        start::until_ready(&meant.docker, &meant.name, &services, limit, &screen).await?;
    }
    Ok(0)
}

/// The flags of `compose restart`.
pub fn restart_command() -> clap::Command {
    timeout(verb("restart", "[OPTIONS] [SERVICE...]", "Restart service containers"))
        .arg(flag::switch("no-deps", "Don't restart dependent services"))
}

/// Stops and starts services.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn restart(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut meant = meant(m, session).await?;
    let names = flag::list_of(m, "SERVICE");
    if let (Some(project), false, false) = (meant.project(), names.is_empty(), m.get_flag("no-deps")) {
        // those that asked for it, or live in a namespace of it, are restarted with what they depend on
        let mut moved = names.clone();
        while let Some(next) = project.services.iter().find(|service| {
            !moved.contains(&service.name) && service.depends_on.iter().any(|d| d.restart && moved.contains(&d.service))
        }) {
            moved.push(next.name.clone());
        }
        let all = seen::all(&meant.docker, &meant.name).await?;
        let more = |one: &Seen| !one.oneoff && moved.contains(&one.service) && !names.contains(&one.service);
        meant.there.extend(all.into_iter().filter(more));
    }
    let screen = Screen::begin(m, "Restarting");
    let timeout = flag::number_of(m, "timeout");
    let route = |one: &Seen| Route::new("/containers/{}/restart", [&one.id]).maybe("t", timeout);
    each(&meant.docker, meant.project(), &meant.there, Way::Up, ("Restarting", "Started"), route, &screen).await?;
    Ok(0)
}

/// The flags of `compose kill`.
pub fn kill_command() -> clap::Command {
    verb("kill", "[OPTIONS] [SERVICE...]", "Force stop service containers")
        .arg(flag::switch("remove-orphans", "Remove containers for services not defined in the Compose file"))
        .arg(flag::text("signal", "string", "SIGNAL to send to the container (default \"SIGKILL\")").short('s'))
}

/// Sends a signal to services.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn kill(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    let running: Vec<Seen> = meant.there.iter().filter(|one| one.is_running()).cloned().collect();
    if running.is_empty() {
        terminal::eprint("no container to kill\n");
        return Ok(0);
    }
    let screen = Screen::begin(m, "Killing");
    let signal = flag::text_of(m, "signal").unwrap_or("SIGKILL");
    let route = |one: &Seen| Route::new("/containers/{}/kill", [&one.id]).pair("signal", signal);
    each(&meant.docker, meant.project(), &running, Way::Down, ("Killing", "Killed"), route, &screen).await?;
    Ok(0)
}

/// The flags of `compose pause`.
pub fn pause_command() -> clap::Command {
    verb("pause", "[SERVICE...]", "Pause services")
}

/// Freezes services.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn pause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    let screen = Screen::begin(m, "Pausing");
    let running: Vec<Seen> = meant.there.iter().filter(|one| one.state == "running").cloned().collect();
    let route = |one: &Seen| Route::new("/containers/{}/pause", [&one.id]);
    each(&meant.docker, meant.project(), &running, Way::Down, ("Pausing", "Paused"), route, &screen).await?;
    Ok(0)
}

/// The flags of `compose unpause`.
pub fn unpause_command() -> clap::Command {
    verb("unpause", "[SERVICE...]", "Unpause services")
}

/// Thaws services.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn unpause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    let screen = Screen::begin(m, "Unpausing");
    let paused: Vec<Seen> = meant.there.iter().filter(|one| one.state == "paused").cloned().collect();
    let route = |one: &Seen| Route::new("/containers/{}/unpause", [&one.id]);
    each(&meant.docker, meant.project(), &paused, Way::Up, ("Unpausing", "Unpaused"), route, &screen).await?;
    Ok(0)
}

/// The flags of `compose rm`.
pub fn rm_command() -> clap::Command {
    let long = "Removes stopped service containers\n\nBy default, anonymous volumes attached to containers will not be removed. You\ncan override this with -v. To list all volumes, use \"minidock volume ls\".\n\nAny data which is not in a volume will be lost.";
    verb("rm", "[OPTIONS] [SERVICE...]", "Removes stopped service containers")
        .long_about(long)
        .arg(flag::switch("all", "Deprecated - no effect").short('a').hide(true))
        .arg(flag::switch("force", "Don't ask to confirm removal").short('f'))
        .arg(flag::switch("stop", "Stop the containers, if required, before removing").short('s'))
        .arg(flag::switch("volumes", "Remove any anonymous volumes attached to containers").short('v'))
}

/// Removes containers that do not run.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    let screen = Screen::begin(m, "Removing");
    let mut going = meant.there.clone();
    if m.get_flag("stop") {
        let running: Vec<Seen> = going.iter().filter(|one| one.is_running()).cloned().collect();
        stop_all(&meant.docker, meant.project(), &running, None, &screen).await?;
        screen.leave();
    } else {
        going.retain(|one| !one.is_running());
    }
    if going.is_empty() {
        terminal::eprint("No stopped containers\n");
        return Ok(0);
    }
    let names: Vec<&str> = going.iter().map(|one| one.name.as_str()).collect();
    if !m.get_flag("force") {
        if !prompt::confirm(&format!("? Going to remove {}", names.join(", "))) {
            return Ok(0);
        }
    } else if is_given(m, "force") {
        terminal::eprint(&format!("Going to remove {}\n", names.join(", ")));
    }
    let volumes = m.get_flag("volumes");
    for one in &going {
        let id = format!("Container {}", one.name);
        screen.working(&id, "Removing");
        let route = Route::new("/containers/{}", [&one.id]).flag("force", true).flag("v", volumes);
        match meant.docker.delete::<IgnoredAny>(&route).await {
            Err(error) if error.kind() != Kind::NotFound => {
                screen.failed(&id, "Error");
                return Err(error);
            }
            _ => screen.done(&id, "Removed"),
        }
    }
    Ok(0)
}

/// The flags of `compose wait`.
pub fn wait_command() -> clap::Command {
    let about = "Block until containers of all (or specified) services stop.";
    options::with(flag::command("wait", "SERVICE [SERVICE...] [OPTIONS]", about))
        .arg(flag::switch("down-project", "Drops project when the first container stops"))
        .arg(flag::names("SERVICE"))
}

/// Waits for services to end; gives the status of the last that did.
///
/// # Errors
/// No such service, or one without containers.
pub async fn wait(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let meant = meant(m, session).await?;
    if meant.there.is_empty() {
        return Err(Error::not_found(format!("no containers for project {:?}", meant.name)));
    }
    let docker = &meant.docker;
    let ended = meant.there.iter().map(|one| async move {
        let answer: WaitAnswer = docker.post(&Route::new("/containers/{}/wait", [&one.id]), &()).await?;
        terminal::print(&format!("container {:?} exited with status code {}\n", one.name, answer.status_code));
        Ok::<i64, Error>(answer.status_code)
    });
    let codes = match m.get_flag("down-project") {
        true => {
            let (first, ..) = futures_util::future::select_all(ended.map(Box::pin)).await;
            let code = first?;
            let screen = Screen::begin(m, "Running");
            let all = seen::all(docker, &meant.name).await?;
            stop_all(docker, meant.project(), &all, None, &screen).await?;
            for one in &all {
                super::converge::remove(docker, one, None, false, &screen).await?;
            }
            vec![code]
        }
        false => join_all(ended).await.into_iter().collect::<Result<Vec<i64>>>()?,
    };
    Ok(codes.iter().find(|code| **code != 0).map_or(0, |code| (*code & 0xff) as i32))
}
