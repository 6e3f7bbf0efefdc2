//! # swarm update: other rules
//!
//! *See:* docker/cli `cli/command/swarm/update.go`. *Next room:* [`super::ca`]

use super::{Rotate, fetch, flags, send, unlock};
use crate::{command, flag, help, session::Session, terminal, words::is_given};
use clap::ArgMatches;
use minidock_base::Result;

/// The flags of `swarm update`.
pub fn command() -> clap::Command {
    flags::rules(flag::command("update", "[OPTIONS]", "Update the swarm"))
        .arg(flags::autolock("Change manager autolocking setting (true|false)"))
}

/// Changes the rules of the swarm; without a flag there is nothing to change, and help is shown.
///
/// # Errors
/// No manager; a rule that the managers refuse.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if !m.ids().any(|id| is_given(m, id.as_str())) {
        if let Some(command) = command::all().find(|command| command.path == "swarm update") {
            terminal::print(&help::of_command(command, "swarm update", terminal::width() - 1));
        }
        return Ok(0);
    }
    let docker = session.docker().await?;
    let mut swarm = fetch(&docker).await?;
    let locked_before = swarm.info.spec.encryption_config.auto_lock_managers;
    flags::apply(m, &mut swarm.info.spec);
    send(&docker, &swarm, Rotate::default()).await?;
    terminal::print("Swarm updated.\n");
    if swarm.info.spec.encryption_config.auto_lock_managers && !locked_before {
        unlock::print_key(&docker).await?;
    }
    Ok(0)
}
