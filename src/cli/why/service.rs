//! # why service: what it still waits for
//!
//! ```text
//!   $ minidock why service web
//!   web (replicated) runs 1 of 3
//!   two tasks wait for a node
//!     - no node has 4 CPUs left (2 tasks: hf53i3nuf1vp pqr2yw9kfo4o)
//!     try   minidock why task hf53i3nuf1vp
//! ```
//!
//! *See:* `src/swarm/why/service.rs`. *Next room:* [`super::leader`]

use super::{cannot_say, json, print, tries};
use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Result, id};
use minidock_client::Route;
use minidock_spec::swarm::why::ServiceWhy;
use std::fmt::Write;

/// As many tasks as are named on a line.
const MOST_NAMED: usize = 5;

/// The arguments of `why service`.
pub fn command() -> clap::Command {
    flag::command("service", "[OPTIONS] SERVICE", "Say what a service still waits for").arg(json()).arg(flag::name("SERVICE"))
}

/// Asks the managers.
///
/// # Errors
/// No such service; a daemon that cannot say.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/minidock/why/service", []).pair("id", flag::text_of(m, "SERVICE").unwrap_or_default());
    let why: ServiceWhy = session.docker().await?.get(&route).await.map_err(cannot_say)?;
    print(m, &why, told)?;
    Ok(i32::from(!why.waits.is_empty()))
}

fn told(why: &ServiceWhy) -> String {
    let mut text = format!("{} ({}) runs {} of {}\n{}\n", why.name, why.mode, why.running, why.desired, why.verdict);
    for wait in &why.waits {
        let named: Vec<&str> = wait.tasks.iter().take(MOST_NAMED).map(|task| id::short(task)).collect();
        let more = if wait.tasks.len() > MOST_NAMED { " …" } else { "" };
        let _ = match wait.tasks.len() {
            0 => writeln!(text, "  - {}", wait.what),
            1 => writeln!(text, "  - {} (task {})", wait.what, named.join(" ")),
            n => writeln!(text, "  - {} ({n} tasks: {}{more})", wait.what, named.join(" ")),
        };
        tries(&wait.commands, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::why::Wait;

    #[test]
    fn what_is_waited_for_is_told_with_what_tells_more() {
        let tasks = (0..7).map(|n| format!("{n}aaaaaaaaaaaaaaaaaaaaaaaa")).collect();
        let wait = Wait { what: "no node has 4 CPUs left".into(), tasks, commands: vec!["minidock why task 0a".into()] };
        let why = ServiceWhy {
            name: "web".into(),
            mode: "replicated".into(),
            running: 1,
            desired: 8,
            verdict: "seven tasks wait".into(),
            waits: vec![wait],
            ..ServiceWhy::default()
        };
        assert_eq!(
            told(&why),
            "web (replicated) runs 1 of 8\nseven tasks wait\n  - no node has 4 CPUs left (7 tasks: 0aaaaaaaaaaa 1aaaaaaaaaaa 2aaaaaaaaaaa 3aaaaaaaaaaa 4aaaaaaaaaaa …)\n  try   minidock why task 0a\n"
        );
    }
}
