//! # explain: how a container was made
//!
//! Every kernel call that daemon, shim, runtime and init made for a container was written down when it was made. `explain` asks
//! the daemon for that record, as a story in chapters, as JSON, or as a shell script that does the same by hand; `run
//! --explain` tells each call on standard error while it happens.
//!
//! ```text
//!   minidock explain web          GET /minidock/containers/web/explain?format=prose
//!   minidock explain --sh web     …?format=sh  ─► a script for sh(1)
//!   minidock run --explain …      GET /minidock/containers/<id>/actions?follow=1  ─► one line a call
//! ```
//!
//! * [`narrate`] is armed before the start, like attach and wait, so that nothing is missed.
//!
//! Laws: a real Docker Engine has no such record, and is told apart by its "page not found". *See:* design.md section 6.
//! *Next room:* `src/explain/lib.rs`

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result};
use minidock_client::{Docker, Route, Wish as Request, answer::Objects};
use minidock_explain::{prose, recording};
use serde_json::Value;

/// `minidock explain`.
pub fn command() -> clap::Command {
    flag::command("explain", "[OPTIONS] CONTAINER", "Tell how a container was made, kernel call by kernel call")
        .arg(flag::switch("json", "As JSON, for other tools"))
        .arg(flag::switch("sh", "As a shell script that builds the same isolation without minidock"))
        .arg(flag::name("CONTAINER"))
}

/// Prints the story.
///
/// # Errors
/// No such container; a daemon that keeps no such record; `--json` and `--sh` together.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let format = match (m.get_flag("json"), m.get_flag("sh")) {
        (true, true) => return Err(Error::invalid("conflicting options: cannot specify both --json and --sh")),
        (true, false) => "json",
        (false, true) => "sh",
        (false, false) => "prose",
    };
    let name = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let route = Route::new("/minidock/containers/{}/explain", [name]).pair("format", format);
    let mut story = session.docker().await?.send(Request::get(&route)).await.map_err(no_record)?;
    while let Some(piece) = story.chunk().await? {
        terminal::print_bytes(&piece);
    }
    Ok(0)
}

/// A narration that has begun.
pub struct Narration(Objects);

/// Begins to follow the calls made for container `id`.
///
/// # Errors
/// A daemon that keeps no such record.
pub async fn narrate(docker: &Docker, id: &str) -> Result<Narration> {
    let route = Route::new("/minidock/containers/{}/actions", [id]).flag("follow", true);
    Ok(Narration(docker.send(Request::get(&route)).await.map_err(no_record)?.objects()))
}

impl Narration {
    /// Tells each call on standard error until the container has ended, or, if only its birth is wanted, until its program
    /// has been executed.
    pub async fn tell(mut self, only_birth: bool) {
        // a record that breaks off ends the narration; the container is not touched by that
        while let Ok(Some(line)) = self.0.next::<Value>().await {
            let end = if terminal::is_raw() { "\r\n" } else { "\n" };
            for call in recording::parse(line.to_string().as_bytes()).actions {
                terminal::eprint(&format!("{}{end}", prose::line(&call)));
            }
            let executed = line["call"].as_str().is_some_and(|call| call.starts_with("exec"));
            if only_birth && executed && line["actor"] == "init" {
                return;
            }
        }
    }
}

fn no_record(error: Error) -> Error {
    match error.kind() == Kind::NotFound && error.message().contains("page not found") {
        true => Error::not_implemented("this daemon does not write down what it does").hint("ask a minidock daemon"),
        false => error,
    }
}
