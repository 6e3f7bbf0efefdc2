//! # Why: the same decisions, told
//!
//! A task that waits, a service that is not complete, a swarm without a leader: each is the outcome of functions that can be asked again.
//! So `minidock why` does not guess from messages; it asks the filters that kept a task out, the places that are not filled, the managers that
//! were not heard, and says what the smallest change would be.
//!
//! ```text
//!   why task     nodes × filters ─► what each node lacks ─► the cheapest way to make one fit     [`task`]
//!   why service  places × newest task ─► what is waited for, grouped                             [`service`]
//!   why leader   managers heard × managers needed ─► who leads, or who is missing                [`leader`]
//! ```
//!
//! Laws: functions of the tables, of what is known of the managers, and of the time that is handed in; nothing is changed by asking.
//! *See:* [`crate::scheduler::filter`], [`crate::orchestrator::place`]. *Next room:* [`task`]

pub mod leader;
pub mod service;
pub mod task;

use crate::store::Tables;
use jiff::{SignedDuration, Timestamp};
use minidock_spec::swarm::{node::Node, service::Service, task::Task};

/// What people call a node.
fn node_name(node: &Node) -> &str {
    match node.description.hostname.as_str() {
        "" => &node.id,
        hostname => hostname,
    }
}

/// The same by ID; a node that is gone is called by its ID.
fn node_named(tables: &Tables, id: &str) -> String {
    tables.node(id).map_or_else(|| id.to_string(), |node| node_name(node).to_string())
}

/// `web.1`, `web.node1`
fn task_name(tables: &Tables, task: &Task) -> String {
    match task.slot {
        0 => format!("{}.{}", task.service.name, node_named(tables, &task.node_id)),
        slot => format!("{}.{slot}", task.service.name),
    }
}

/// `3s`, `2m5s`: how long ago, never negative.
fn since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "a while".into(), |at| seconds(now.duration_since(at)))
}

fn seconds(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        0 => format!("{:.1}s", duration.as_secs_f64().max(0.0)),
        s if s < 60 => format!("{s}s"),
        s if s < 3600 => format!("{}m{}s", s / 60, s % 60),
        s => format!("{}h{}m", s / 3600, s / 60 % 60),
    }
}

/// The first network of a service that has no subnet yet, or is gone; by what it is called.
fn unready_network(tables: &Tables, service: &Service) -> Option<String> {
    let wanted = service.spec.task_template.networks.iter().chain(&service.spec.networks);
    wanted.filter(|n| !crate::allocator::is_of_the_node(&n.target)).find_map(|n| match tables.network(&n.target) {
        None => Some(format!("network {} is gone", n.target)),
        Some(network) if !network.is_allocated() => Some(format!("network {} has no subnet yet", network.spec.name)),
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests;
