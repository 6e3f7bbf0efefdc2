//! # cluster start, stop, kill, pause, unpause: power
//!
//! ```text
//!   stop      the machine shuts down: its daemon, then its programs, then it
//!   kill      the power is cut: everything in it is gone at once        --daemon: only the daemon dies, containers go on
//!   start     a machine that was off, or the daemon of one that has none
//!   pause     every process of the machine stands still; unpause        to the others it looks like a cable that is cut
//! ```
//!
//! *See:* `src/cluster/node.rs`. *Next room:* [`crate::cluster::faults`]

use crate::{each::in_turn, flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Route, Wish};
use minidock_spec::cluster::NodeRequest;

fn command(name: &'static str, about: &'static str) -> clap::Command {
    flag::command(name, "[OPTIONS] NODE [NODE...]", about).arg(flag::names("NODE"))
}

/// `minidock cluster start`.
pub fn start_command() -> clap::Command {
    command("start", "Start nodes that are off, or the daemon of nodes that have none")
}

/// `minidock cluster stop`.
pub fn stop_command() -> clap::Command {
    command("stop", "Shut nodes down in order")
        .arg(flag::number("timeout", "int", "Seconds that programs have to end (default 10)").short('t'))
}

/// `minidock cluster kill`.
pub fn kill_command() -> clap::Command {
    command("kill", "Cut the power of nodes: their daemons and containers are gone at once")
        .arg(flag::switch("daemon", "Kill only the daemon; containers go on"))
}

/// `minidock cluster pause`.
pub fn pause_command() -> clap::Command {
    command("pause", "Freeze every process of nodes")
}

/// `minidock cluster unpause`.
pub fn unpause_command() -> clap::Command {
    command("unpause", "Let frozen nodes go on")
}

/// Starts nodes.
///
/// # Errors
/// The hosting daemon does not answer; what it refuses is told node by node.
pub async fn start(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    each(m, session, "start", &NodeRequest::default()).await
}

/// Stops them.
///
/// # Errors
/// As [`start`].
pub async fn stop(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let grace = flag::number_of(m, "timeout").map(|seconds| {
        u64::try_from(seconds).map_err(|_| Error::invalid(format!("--timeout {seconds}: not a number of seconds")))
    });
    let wish = NodeRequest { grace_seconds: grace.transpose()?, ..NodeRequest::default() };
    each(m, session, "stop", &wish).await
}

/// Kills them.
///
/// # Errors
/// As [`start`].
pub async fn kill(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    each(m, session, "kill", &NodeRequest { daemon: m.get_flag("daemon"), ..NodeRequest::default() }).await
}

/// Freezes them.
///
/// # Errors
/// As [`start`].
pub async fn pause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    each(m, session, "pause", &NodeRequest::default()).await
}

/// Thaws them.
///
/// # Errors
/// As [`start`].
pub async fn unpause(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    each(m, session, "unpause", &NodeRequest::default()).await
}

async fn each(m: &ArgMatches, session: &mut Session, verb: &str, wish: &NodeRequest) -> Result<i32> {
    let docker = session.host().await?;
    let done = async |name: String| -> Result<String> {
        let route = Route::new("/minidock/cluster/nodes/{}/{}", [name.as_str(), verb]);
        docker.send(Wish::post(&route).json(wish)?).await?.bytes().await?;
        Ok(name + "\n")
    };
    in_turn(flag::list_of(m, "NODE"), done).await
}
