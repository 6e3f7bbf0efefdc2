//! # builder: build, and clean up after builds
//!
//! `builder build` is `build` under another name. `builder prune` takes away what builds left: folders of cache mounts, and images of
//! steps that no named image stands on any more.
//!
//! *See:* docker/cli `cli/command/builder/prune.go`. *Next room:* [`crate::image`]

use crate::{
    command::Command,
    filter::{self, Filters},
    flag, image, prompt,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Result, units};
use minidock_client::Route;
use serde::Deserialize;

/// `builder …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "builder build", also: &[], build: image::build::command, run: |m, s| Box::pin(image::build::run(m, s)) },
    Command { path: "builder prune", also: &[], build: command, run: |m, s| Box::pin(run(m, s)) },
];

const DANGLING: &str = "WARNING! This will remove all dangling build cache.\nAre you sure you want to continue?";
const ALL: &str = "WARNING! This will remove all build cache.\nAre you sure you want to continue?";

/// The flags of `builder prune`.
pub fn command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove build cache")
        .arg(flag::switch("all", "Remove all unused build cache, not just dangling ones").short('a'))
        .arg(filter::flag("Provide filter values (e.g. \"until=24h\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pruned {
    caches_deleted: Option<Vec<String>>,
    space_reclaimed: i64,
}

/// Removes build cache.
///
/// # Errors
/// The daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let all = m.get_flag("all");
    if !m.get_flag("force") && !prompt::confirm(if all { ALL } else { DANGLING }) {
        return Ok(0);
    }
    let route = Route::new("/build/prune", []).flag("all", all).maybe("filters", Filters::of(m).json());
    let pruned: Pruned = session.docker().await?.post(&route, &()).await?;
    let gone = pruned.caches_deleted.unwrap_or_default();
    if !gone.is_empty() {
        terminal::print(&format!("Deleted build cache objects:\n{}\n\n", gone.join("\n")));
    }
    terminal::print(&format!("Total reclaimed space: {}\n", units::human_size(pruned.space_reclaimed as f64)));
    Ok(0)
}
