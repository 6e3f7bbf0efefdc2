//! # Commands about the whole
//!
//! What is running and where, what has happened, how much room it takes, and how to get that room back.
//!
//! ```text
//!   info · version     both sides: this program and the daemon
//!   dial-stdio         the daemon at the other end of ssh
//!   events             a stream of what happens, as it happens
//!   df ──▶ prune       who takes the room; away with what nobody uses
//! ```
//!
//! *Next room:* [`info`]

pub mod df;
pub mod dial_stdio;
pub mod events;
pub mod info;
pub mod prune;
pub mod swarm_section;
pub mod version;

use crate::{command::Command, daemon_control};

/// `system …`, some with a short form.
pub const COMMANDS: &[Command] = &[
    Command { path: "system df", also: &[], build: df::command, run: |m, s| Box::pin(df::run(m, s)) },
    Command { path: "system dial-stdio", also: &[], build: dial_stdio::command, run: |m, s| Box::pin(dial_stdio::run(m, s)) },
    Command { path: "system events", also: &["events"], build: events::command, run: |m, s| Box::pin(events::run(m, s)) },
    Command { path: "system info", also: &["info"], build: info::command, run: |m, s| Box::pin(info::run(m, s)) },
    Command { path: "system prune", also: &[], build: prune::command, run: |m, s| Box::pin(prune::run(m, s)) },
    Command {
        path: "system stop",
        also: &[],
        build: daemon_control::stop_command,
        run: |m, s| Box::pin(daemon_control::run_stop(m, s)),
    },
];

/// Commands that belong to no noun.
pub const ALONE: &[Command] =
    &[Command { path: "version", also: &[], build: version::command, run: |m, s| Box::pin(version::run(m, s)) }];
