//! # container prune: away with everything that has ended
//!
//! *See:* docker/cli `cli/command/container/prune.go`. *Next room:* [`crate::image`]

use crate::{
    filter::{self, Filters},
    flag, prompt,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Result, units};
use minidock_client::{Docker, Route};
use minidock_spec::engine::container::Pruned;

const WARNING: &str = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";

/// The flags of `container prune`.
pub fn command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove all stopped containers")
        .arg(filter::flag("Provide filter values (e.g. \"until=<timestamp>\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
}

/// Removes stopped containers.
///
/// # Errors
/// The daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if !m.get_flag("force") && !prompt::confirm(WARNING) {
        return Ok(0);
    }
    let (text, reclaimed) = prune(&session.docker().await?, &Filters::of(m)).await?;
    terminal::print(&format!("{text}Total reclaimed space: {}\n", units::human_size(reclaimed as f64)));
    Ok(0)
}

/// Prunes, and gives what to print and how many bytes came free.
///
/// # Errors
/// The daemon's refusal.
pub async fn prune(docker: &Docker, filters: &Filters) -> Result<(String, i64)> {
    let route = Route::new("/containers/prune", []).maybe("filters", filters.json());
    let pruned: Pruned = docker.post(&route, &()).await?;
    Ok((list("Deleted Containers:", pruned.containers_deleted.as_deref()), pruned.space_reclaimed))
}

/// A heading, a line for each name, and an empty line; nothing when there are none.
pub fn list(heading: &str, names: Option<&[String]>) -> String {
    match names {
        Some(names) if !names.is_empty() => format!("{heading}\n{}\n\n", names.join("\n")),
        _ => String::new(),
    }
}
