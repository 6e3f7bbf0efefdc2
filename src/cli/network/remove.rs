//! # network rm: away with networks
//!
//! *See:* docker/cli `cli/command/network/remove.go`. *Next room:* [`super::prune`]

use crate::{
    each::{in_turn, named},
    flag,
    session::Session,
};
use clap::ArgMatches;
use minidock_base::{Kind, Result};
use minidock_client::Route;

/// The arguments of `network rm`.
pub fn command() -> clap::Command {
    flag::command("rm", "NETWORK [NETWORK...]", "Remove one or more networks")
        .arg(flag::switch("force", "Do not error if the network does not exist").short('f'))
        .arg(flag::names("NETWORK"))
}

/// Removes networks, each for itself.
///
/// # Errors
/// A daemon that cannot be asked; its refusals are printed, and the status is 1.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let (docker, force) = (&docker, m.get_flag("force"));
    let remove = async |name: String| -> Result<String> {
        match docker.delete::<()>(&Route::new("/networks/{}", [named("network", &name)?])).await {
            Err(absent) if force && absent.kind() == Kind::NotFound => Ok(String::new()),
            removed => removed.map(|()| name + "\n"),
        }
    };
    in_turn(flag::list_of(m, "NETWORK"), remove).await
}
