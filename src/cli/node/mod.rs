//! # Nodes: the machines of a swarm
//!
//! Managers decide, workers work; which of both a machine is, whether it takes tasks, and which labels it wears is said here, to any manager.
//!
//! ```text
//!   ls · inspect (pretty) · ps          looking on
//!   update ── role · availability · labels ──┐
//!   promote, demote ── role ─────────────────┴─► GET /nodes/x ─► changed spec ─► POST /nodes/x/update?version=…
//!   rm                                           a node that has left, or is dead
//! ```
//!
//! * [`reference`]: `self` is the node that one talks to.
//!
//! *See:* docker/cli `cli/command/node`. *Next room:* [`list`]

pub mod list;
pub mod pretty;
pub mod ps;
pub mod update;

use crate::command::Command;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use serde_json::Value as Json;

/// `node …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "node demote", also: &[], build: update::demote, run: |m, s| Box::pin(update::run_demote(m, s)) },
    Command { path: "node inspect", also: &[], build: pretty::command, run: |m, s| Box::pin(pretty::run(m, s)) },
    Command { path: "node ls", also: &["node list"], build: list::command, run: |m, s| Box::pin(list::run(m, s)) },
    Command { path: "node promote", also: &[], build: update::promote, run: |m, s| Box::pin(update::run_promote(m, s)) },
    Command { path: "node ps", also: &[], build: ps::command, run: |m, s| Box::pin(ps::run(m, s)) },
    Command { path: "node rm", also: &["node remove"], build: update::rm, run: |m, s| Box::pin(update::run_rm(m, s)) },
    Command { path: "node update", also: &[], build: update::command, run: |m, s| Box::pin(update::run(m, s)) },
];

/// A node's name or ID as typed; `self` is the one that one talks to.
///
/// # Errors
/// `self`, where there is no swarm or no manager.
pub async fn reference(docker: &Docker, name: &str) -> Result<String> {
    if name != "self" {
        return Ok(name.to_string());
    }
    let info: Json = docker.get(&Route::new("/info", [])).await?;
    match info["Swarm"]["NodeID"].as_str().unwrap_or_default() {
        "" => {
            // who has no ID is not in a swarm: its own words for that are the best
            docker.get::<Json>(&Route::new("/nodes", [])).await?;
            Err(Error::not_found("node ID not found in /info"))
        }
        id => Ok(id.to_string()),
    }
}
