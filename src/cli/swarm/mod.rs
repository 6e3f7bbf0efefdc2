//! # Swarm: founding, joining, leaving
//!
//! A machine is in a swarm or not; these commands change that, and the rules by which a swarm works.
//!
//! ```text
//!   init ──► a swarm of one manager ──► join-token ──► join, on another machine ──► leave
//!              │                                          its certificate comes from the managers' own authority: ca
//!              └ update: history, heartbeats, certificates' life, autolock ──► unlock-key, unlock
//! ```
//!
//! * [`flags`]: what `init` and `update` share. [`fetch`] and [`send`]: the swarm's one object, there and back.
//!
//! *See:* docker/cli `cli/command/swarm`; Engine API, Swarm. *Next room:* [`flags`]

pub mod ca;
pub mod flags;
pub mod init;
pub mod join;
pub mod offers;
pub mod unlock;
pub mod update;

use crate::{command::Command, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Docker, Route};
use minidock_spec::swarm::local::SwarmObject;

/// `swarm …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "swarm ca", also: &[], build: ca::command, run: |m, s| Box::pin(ca::run(m, s)) },
    Command { path: "swarm init", also: &[], build: init::command, run: |m, s| Box::pin(init::run(m, s)) },
    Command { path: "swarm join", also: &[], build: join::command, run: |m, s| Box::pin(join::run(m, s)) },
    Command { path: "swarm join-token", also: &[], build: join::token, run: |m, s| Box::pin(join::run_token(m, s)) },
    Command { path: "swarm leave", also: &[], build: leave, run: |m, s| Box::pin(run_leave(m, s)) },
    Command { path: "swarm unlock", also: &[], build: unlock::command, run: |m, s| Box::pin(unlock::run(m, s)) },
    Command { path: "swarm unlock-key", also: &[], build: unlock::key, run: |m, s| Box::pin(unlock::run_key(m, s)) },
    Command { path: "swarm update", also: &[], build: update::command, run: |m, s| Box::pin(update::run(m, s)) },
];

/// The swarm, with its join tokens.
///
/// # Errors
/// No manager.
pub async fn fetch(docker: &Docker) -> Result<SwarmObject> {
    docker.get(&Route::new("/swarm", [])).await
}

/// What is turned over beside a change of the rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotate {
    pub worker_token: bool,
    pub manager_token: bool,
    pub unlock_key: bool,
}

/// Sends the rules back, with the version they had.
///
/// # Errors
/// The managers' refusal.
pub async fn send(docker: &Docker, swarm: &SwarmObject, rotate: Rotate) -> Result<()> {
    let route = Route::new("/swarm/update", [])
        .pair("version", swarm.info.version.index)
        .pair("rotateWorkerToken", rotate.worker_token)
        .pair("rotateManagerToken", rotate.manager_token)
        .pair("rotateManagerUnlockKey", rotate.unlock_key);
    docker.post::<()>(&route, &swarm.info.spec).await
}

fn leave() -> clap::Command {
    flag::command("leave", "[OPTIONS]", "Leave the swarm")
        .arg(flag::switch("force", "Force this node to leave the swarm, ignoring warnings").short('f'))
}

async fn run_leave(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/swarm/leave", []).flag("force", m.get_flag("force"));
    session.docker().await?.poke(&route).await?;
    terminal::print("Node left the swarm.\n");
    Ok(0)
}
