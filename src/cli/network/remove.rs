//! # network rm: away with networks
//!
//! *See:* docker/cli `cli/command/network/remove.go`. *Next room:* [`super::prune`]

use super::named;
use crate::{complain, flag, session::Session, terminal};
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
    let mut status = 0;
    for name in flag::list_of(m, "NETWORK") {
        let removed = match named("network", &name) {
            Ok(name) => docker.delete::<()>(&Route::new("/networks/{}", [name])).await,
            Err(refusal) => Err(refusal),
        };
        match removed {
            Ok(()) => terminal::print(&format!("{name}\n")),
            Err(absent) if m.get_flag("force") && absent.kind() == Kind::NotFound => {}
            Err(refusal) => {
                complain(&refusal);
                status = 1;
            }
        }
    }
    Ok(status)
}
