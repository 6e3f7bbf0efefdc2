//! # why leader: who leads, or why nobody does
//!
//! ```text
//!   $ minidock why leader
//!   nobody leads: 1 of 3 managers can be heard, and 2 are needed
//!     node1   10.99.0.2:2377   votes   itself
//!     node2   10.99.0.3:2377   votes   SILENT for 12 s
//!     node3   10.99.0.4:2377   votes   SILENT for 12 s
//!     try   start one of the others again
//! ```
//!
//! *See:* `src/swarm/why/leader.rs`, Raft §5.2. *Next room:* [`crate::explain`]

use super::{cannot_say, json, print, tries};
use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::swarm::why::{LeaderWhy, ManagerWhy};
use std::fmt::Write;

/// The arguments of `why leader`.
pub fn command() -> clap::Command {
    flag::command("leader", "[OPTIONS]", "Say which manager leads, or why none does").arg(json())
}

/// Asks the manager we talk to.
///
/// # Errors
/// It is none; a daemon that cannot say.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let why: LeaderWhy = session.docker().await?.get(&Route::new("/minidock/why/leader", [])).await.map_err(cannot_say)?;
    print(m, &why, told)?;
    Ok(i32::from(why.leader.is_empty()))
}

fn told(why: &LeaderWhy) -> String {
    let mut text = format!("{}\n", why.verdict);
    let (name, address) = (
        why.managers.iter().map(|m| called(m).len()).max().unwrap_or(0),
        why.managers.iter().map(|m| m.addr.len()).max().unwrap_or(0),
    );
    for manager in &why.managers {
        let votes = if manager.votes { "votes" } else { "learns" };
        let _ = writeln!(text, "  {:<name$}   {:<address$}   {votes:<6}   {}", called(manager), manager.addr, state(manager));
    }
    tries(&why.ways, &mut text);
    text
}

/// A manager that never came may not have said its name.
fn called(manager: &ManagerWhy) -> &str {
    if manager.hostname.is_empty() { &manager.id } else { &manager.hostname }
}

fn state(manager: &ManagerWhy) -> String {
    let heard = match (manager.itself, manager.reachable, manager.silence) {
        (true, ..) => "itself".to_string(),
        (_, true, _) => "heard".to_string(),
        (_, false, Some(seconds)) => format!("SILENT for {seconds:.0} s"),
        (_, false, None) => "NEVER HEARD".to_string(),
    };
    if manager.leads { format!("leads, {heard}") } else { heard }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_ones_are_named() {
        let manager = |name: &str, itself, silence| ManagerWhy {
            hostname: name.into(),
            addr: "10.0.0.1:2377".into(),
            votes: true,
            itself,
            silence,
            ..ManagerWhy::default()
        };
        let why = LeaderWhy {
            verdict: "nobody leads: 2 are needed".into(),
            managers: vec![manager("node1", true, None), manager("n2", false, Some(12.2)), manager("n3", false, None)],
            ways: vec!["start node2 again".into(), "minidock swarm init --force-new-cluster".into()],
            ..LeaderWhy::default()
        };
        assert_eq!(
            told(&why),
            "nobody leads: 2 are needed\n  node1   10.0.0.1:2377   votes    itself\n  n2      10.0.0.1:2377   votes    SILENT for 12 s\n  n3      10.0.0.1:2377   votes    NEVER HEARD\n  try   start node2 again\n        minidock swarm init --force-new-cluster\n"
        );
    }
}
