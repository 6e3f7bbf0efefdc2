//! # network prune: away with networks that nobody lives on
//!
//! *See:* docker/cli `cli/command/network/prune.go`. *Next room:* [`crate::system`]

use crate::{
    container::prune::list,
    filter::{self, Filters},
    flag, prompt,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Docker, Route};
use minidock_spec::engine::network::NetworksPruned;

const WARNING: &str =
    "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";

/// The flags of `network prune`.
pub fn command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove all unused networks")
        .arg(filter::flag("Provide filter values (e.g. \"until=<timestamp>\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
}

/// Removes unused networks.
///
/// # Errors
/// The daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if m.get_flag("force") || prompt::confirm(WARNING) {
        let text = prune(&session.docker().await?, &Filters::of(m)).await?;
        terminal::print(&text);
    }
    Ok(0)
}

/// Prunes, and gives what to print.
///
/// # Errors
/// The daemon's refusal.
pub async fn prune(docker: &Docker, filters: &Filters) -> Result<String> {
    let route = Route::new("/networks/prune", []).maybe("filters", filters.json());
    let pruned: NetworksPruned = docker.post(&route, &()).await?;
    Ok(list("Deleted Networks:", pruned.networks_deleted.as_deref()))
}
