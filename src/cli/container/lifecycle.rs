//! # Lifecycle: stop, restart, kill, rm, pause, unpause, wait, rename
//!
//! Eight commands that are one call each for every container named. They share their shape: do it for all, print each name
//! as it is done, print each failure, and let one failure make the status 1 without keeping the others from being done.
//!
//! ```text
//!   minidock stop a b c ──► POST /containers/a/stop   ┐
//!                           POST /containers/b/stop   ├ at once, answered in the order typed
//!                           POST /containers/c/stop   ┘
//! ```
//!
//! * `stop` sends the stop signal, waits (10 s, or `-t`), then kills; `kill` does not wait.
//! * `wait` prints the exit status instead of the name.
//!
//! *See:* docker/cli `cli/command/container/{stop,restart,kill,rm,pause,wait,rename}.go`. *Next room:*
//! [`crate::container::logs`]

use crate::{complain, each::at_once, flag, session::Session};
use clap::{Arg, ArgMatches};
use minidock_base::{Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_spec::engine::container::WaitAnswer;

/// A call without a body; gives back the name, on a line.
async fn poke(docker: &Docker, route: Route, name: String) -> Result<String> {
    docker.poke(&route).await.map(|()| name + "\n")
}

fn timeout() -> Arg {
    flag::number("timeout", "int", "Seconds to wait before killing the container").short('t').alias("time")
}

fn signal() -> Arg {
    flag::text("signal", "string", "Signal to send to the container").short('s')
}

/// `minidock stop`.
pub fn stop_command() -> clap::Command {
    flag::command("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers")
        .arg(signal())
        .arg(timeout())
        .arg(flag::names("CONTAINER"))
}

/// Stops containers.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn stop(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    end(m, session, "/containers/{}/stop").await
}

/// `minidock restart`.
pub fn restart_command() -> clap::Command {
    flag::command("restart", "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers")
        .arg(signal())
        .arg(timeout())
        .arg(flag::names("CONTAINER"))
}

/// Stops and starts containers.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn restart(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    end(m, session, "/containers/{}/restart").await
}

async fn end(m: &ArgMatches, session: &mut Session, pattern: &str) -> Result<i32> {
    let docker = session.docker().await?;
    let (signal, timeout) = (flag::text_of(m, "signal"), flag::number_of(m, "timeout"));
    at_once(flag::list_of(m, "CONTAINER"), |name| {
        poke(&docker, Route::new(pattern, [&name]).maybe("signal", signal).maybe("t", timeout), name)
    })
    .await
}

/// `minidock kill`.
pub fn kill_command() -> clap::Command {
    flag::command("kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers")
        .arg(signal())
        .arg(flag::names("CONTAINER"))
}

/// Sends a signal, SIGKILL unless another is named.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn kill(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let signal = flag::text_of(m, "signal").filter(|signal| !signal.is_empty());
    at_once(flag::list_of(m, "CONTAINER"), |name| {
        poke(&docker, Route::new("/containers/{}/kill", [&name]).maybe("signal", signal), name)
    })
    .await
}

/// `minidock pause`.
pub fn pause_command() -> clap::Command {
    let about = "Pause all processes within one or more containers";
    flag::command("pause", "CONTAINER [CONTAINER...]", about).arg(flag::names("CONTAINER"))
}

/// Freezes containers.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn pause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let names = flag::list_of(m, "CONTAINER");
    at_once(names, |name| poke(&docker, Route::new("/containers/{}/pause", [&name]), name)).await
}

/// `minidock unpause`.
pub fn unpause_command() -> clap::Command {
    let about = "Unpause all processes within one or more containers";
    flag::command("unpause", "CONTAINER [CONTAINER...]", about).arg(flag::names("CONTAINER"))
}

/// Thaws containers.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn unpause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let names = flag::list_of(m, "CONTAINER");
    at_once(names, |name| poke(&docker, Route::new("/containers/{}/unpause", [&name]), name)).await
}

/// `minidock rm`.
pub fn rm_command() -> clap::Command {
    flag::command("rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers")
        .arg(flag::switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'))
        .arg(flag::switch("link", "Remove the specified link").short('l'))
        .arg(flag::switch("volumes", "Remove anonymous volumes associated with the container").short('v'))
        .arg(flag::names("CONTAINER"))
}

/// Removes containers. With `-f` one that is not there is said, but is no failure: it is gone, which is what was wanted.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let (force, volumes, link) = (m.get_flag("force"), m.get_flag("volumes"), m.get_flag("link"));
    let remove = async |name: String| -> Result<String> {
        let plain = name.trim_matches('/');
        if plain.is_empty() {
            return Err(Error::invalid("Container name cannot be empty"));
        }
        let route = Route::new("/containers/{}", [plain]).flag("force", force).flag("v", volumes).flag("link", link);
        match docker.delete::<serde::de::IgnoredAny>(&route).await {
            Ok(_) => Ok(name + "\n"),
            Err(absent) if force && absent.kind() == Kind::NotFound => {
                complain(&absent);
                Ok(String::new())
            }
            Err(refusal) => Err(refusal),
        }
    };
    at_once(flag::list_of(m, "CONTAINER"), remove).await
}

/// `minidock wait`.
pub fn wait_command() -> clap::Command {
    let about = "Block until one or more containers stop, then print their exit codes";
    flag::command("wait", "CONTAINER [CONTAINER...]", about).arg(flag::names("CONTAINER"))
}

/// Waits for containers to end and prints how they did.
///
/// # Errors
/// None of its own; see [`at_once`].
pub async fn wait(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let ended = async |name: String| -> Result<String> {
        let answer: WaitAnswer = docker.post(&Route::new("/containers/{}/wait", [&name]), &()).await?;
        match answer.error {
            Some(error) if !error.message.is_empty() => Err(Error::system(error.message).from_daemon()),
            _ => Ok(format!("{}\n", answer.status_code)),
        }
    };
    at_once(flag::list_of(m, "CONTAINER"), ended).await
}

/// `minidock rename`.
pub fn rename_command() -> clap::Command {
    flag::command("rename", "CONTAINER NEW_NAME", "Rename a container").arg(flag::name("CONTAINER")).arg(flag::name("NEW_NAME"))
}

/// Gives a container another name.
///
/// # Errors
/// An empty name; the daemon's refusal.
pub async fn rename(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().trim();
    let (old, new) = (text("CONTAINER"), text("NEW_NAME"));
    if old.is_empty() || new.is_empty() {
        return Err(Error::invalid("neither old nor new names may be empty"));
    }
    session.docker().await?.poke(&Route::new("/containers/{}/rename", [old]).pair("name", new)).await?;
    Ok(0)
}
