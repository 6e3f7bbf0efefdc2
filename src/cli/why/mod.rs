//! # why: what is in the way
//!
//! "It does not work" is the beginning of a lesson. Each of these commands asks the daemon for the facts on which an answer hangs and
//! prints them in the order in which one would look, up to the first that is in the way, with what to try.
//!
//! ```text
//!   why reach web db:5432   name → address → route → rule → listener: the first link that does not hold
//!   why task web.3          node by node, filter by filter; the smallest change that would make it fit
//!   why service web         what it still waits for
//!   why leader              who leads, or how many managers are missing, and the ways out
//! ```
//!
//! Laws: the status is 0 when nothing is in the way and 1 otherwise, so a script can ask, too; `--json` prints the answer as it came.
//! *See:* design.md section 6. *Next room:* [`reach`]

pub mod leader;
pub mod reach;
pub mod service;
pub mod task;

use crate::{command::Command, flag, terminal};
use clap::{Arg, ArgMatches};
use minidock_base::{Doing, Error, Kind, Result};
use serde::Serialize;

/// `why …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "why leader", also: &[], build: leader::command, run: |m, s| Box::pin(leader::run(m, s)) },
    Command { path: "why reach", also: &[], build: reach::command, run: |m, s| Box::pin(reach::run(m, s)) },
    Command { path: "why service", also: &[], build: service::command, run: |m, s| Box::pin(service::run(m, s)) },
    Command { path: "why task", also: &[], build: task::command, run: |m, s| Box::pin(task::run(m, s)) },
];

fn json() -> Arg {
    flag::switch("json", "As JSON, for other tools")
}

/// Prints an answer, as JSON or told.
fn print<T: Serialize>(m: &ArgMatches, answer: &T, told: fn(&T) -> String) -> Result<()> {
    match m.get_flag("json") {
        true => terminal::print(&(serde_json::to_string_pretty(answer).doing(|| "encode the answer")? + "\n")),
        false => terminal::print(&told(answer)),
    }
    Ok(())
}

/// The lines of what to try, under each other.
fn tries(commands: &[String], into: &mut String) {
    for (at, command) in commands.iter().enumerate() {
        *into += &format!("  {:<5} {command}\n", if at == 0 { "try" } else { "" });
    }
}

fn cannot_say(error: Error) -> Error {
    match error.kind() == Kind::NotFound && error.message().contains("page not found") {
        true => Error::not_implemented("this daemon cannot say why").hint("ask a minidock daemon"),
        false => error,
    }
}
