//! # why task: node by node, filter by filter
//!
//! ```text
//!   $ minidock why task web.3
//!   web.3 (4sf1i38db83d) is pending and shall be running
//!   no node fits: 2 do not meet a constraint
//!     node1   yes  ready
//!             NO   constraints   node.labels.disk == ssd: the label is not there
//!     node2   …
//!     what would do: give node1 the label disk=ssd
//!     try   minidock node update --label-add disk=ssd node1
//! ```
//!
//! *See:* `src/swarm/why/task.rs`. *Next room:* [`super::service`]

use super::{cannot_say, json, print, tries};
use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Result, id};
use minidock_client::Route;
use minidock_spec::swarm::{task::TaskState, why::TaskWhy};
use std::fmt::Write;

/// The arguments of `why task`.
pub fn command() -> clap::Command {
    flag::command("task", "[OPTIONS] TASK", "Say why a task is where it is, and what would let it run")
        .arg(json())
        .arg(flag::name("TASK"))
}

/// Asks the managers.
///
/// # Errors
/// No such task; a daemon that cannot say.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/minidock/why/task", []).pair("id", flag::text_of(m, "TASK").unwrap_or_default());
    let why: TaskWhy = session.docker().await?.get(&route).await.map_err(cannot_say)?;
    print(m, &why, told)?;
    // a job's task is wanted complete, and may be more than that only by failing
    Ok(i32::from(why.state != why.desired_state && why.state != TaskState::Complete))
}

fn told(why: &TaskWhy) -> String {
    let place = if why.node.is_empty() { String::new() } else { format!(" on {}", why.node) };
    let mut text = match why.state == why.desired_state {
        true => format!("{} ({}) is {}{place}, as it shall be\n", why.name, id::short(&why.id), why.state),
        false => format!("{} ({}) is {}{place} and shall be {}\n", why.name, id::short(&why.id), why.state, why.desired_state),
    };
    text += &format!("{}\n", why.verdict);
    let width = why.nodes.iter().map(|node| node.hostname.len()).max().unwrap_or(0);
    for node in &why.nodes {
        for (at, filter) in node.filters.iter().enumerate() {
            let name = if at == 0 { node.hostname.as_str() } else { "" };
            let holds = if filter.holds { "yes" } else { "NO" };
            let line = format!("  {name:<width$}   {holds:<4} {:<13} {}", filter.filter, filter.why);
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    if !why.change.is_empty() {
        let _ = writeln!(text, "  what would do: {}", why.change);
    }
    tries(&why.commands, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::why::{FilterWhy, NodeWhy};

    #[test]
    fn each_node_says_what_does_not_hold() {
        let filter = |filter: &str, holds, why: &str| FilterWhy { filter: filter.into(), holds, why: why.into() };
        let node = NodeWhy {
            hostname: "node1".into(),
            filters: vec![filter("ready", true, ""), filter("constraints", false, "node.labels.disk == ssd: no such label")],
            ..NodeWhy::default()
        };
        let why = TaskWhy {
            id: "4sf1i38db83dnmjvlrnn7mvxs".into(),
            name: "web.3".into(),
            state: TaskState::Pending,
            desired_state: TaskState::Running,
            verdict: "no node fits".into(),
            nodes: vec![node],
            change: "give node1 the label disk=ssd".into(),
            commands: vec!["minidock node update --label-add disk=ssd node1".into()],
            ..TaskWhy::default()
        };
        assert_eq!(
            told(&why),
            "web.3 (4sf1i38db83d) is pending and shall be running\nno node fits\n  node1   yes  ready\n          NO   constraints   node.labels.disk == ssd: no such label\n  what would do: give node1 the label disk=ssd\n  try   minidock node update --label-add disk=ssd node1\n"
        );
    }
}
