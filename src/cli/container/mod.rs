//! # Commands about containers
//!
//! One room per command, or per family of commands that differ by a word. Each has the same shape: `command()` declares its
//! flags, `run()` does it with API calls.
//!
//! ```text
//!   flags ──► body ──► create ──► run           from words to a running program
//!     body reads the small languages: environment · mounts · ports · limits · security
//!   run · start · attach · exec  ──► streams · signals     this terminal and that program
//!   lifecycle                    stop restart kill rm pause unpause wait rename
//!   logs · copy · commit · export · update
//!   ps · inspect · stats · top · port · diff · prune       looking on
//! ```
//!
//! *Next room:* [`run`]

pub mod body;
pub mod create;
pub mod environment;
pub mod flags;
pub mod limits;
pub mod mounts;
pub mod ports;
pub mod run;
pub mod security;
pub mod signals;
pub mod streams;

use crate::command::Command;

/// `container …`, each with its short form.
pub const COMMANDS: &[Command] = &[
    Command { path: "container create", also: &["create"], build: create::command, run: |m, s| Box::pin(create::run(m, s)) },
    Command { path: "container run", also: &["run"], build: run::command, run: |m, s| Box::pin(run::run(m, s)) },
];
