//! # Nodes: role, availability, labels; removal
//!
//! *See:* swarmkit `manager/controlapi/node.go`. *Next room:* [`super::files`]

use super::{Decided, out_of_sequence, refusal};
use crate::store::{Action, Table, Tables};
use minidock_base::{Error, Kind, Result};
use minidock_spec::swarm::node::{Node, NodeSpec, NodeState, Role};
use serde_json::json;
use std::sync::Arc;

/// The node that is meant by an ID, a host name or the beginning of an ID.
///
/// # Errors
/// 404 `node x not found`; 400 when several are meant.
pub fn find<'a>(tables: &'a Tables, text: &str) -> Result<&'a Arc<Node>> {
    if let Some(node) = tables.node(text) {
        return Ok(node);
    }
    let named: Vec<_> = tables.nodes().filter(|n| n.description.hostname == text).collect();
    let begun: Vec<_> = tables.nodes().filter(|n| !text.is_empty() && n.id.starts_with(text)).collect();
    match (&named[..], &begun[..]) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(Error::not_found(format!("node {text} not found"))),
        _ => Err(Error::invalid(format!("node {text} is ambiguous ({} matches found)", named.len().max(begun.len())))),
    }
}

/// Another role, availability or labels.
///
/// # Errors
/// 404; 400 `update out of sequence`; the last manager cannot be demoted.
pub fn update(tables: &Tables, text: &str, version: u64, spec: &NodeSpec) -> Decided {
    let node = find(tables, text)?;
    // the managers write a node's row, too, while it is promoted or demoted: that hinders nobody who knows its spec
    if version != node.version.index && !(node.spec_after < version && version < node.version.index) {
        return Err(out_of_sequence());
    }
    let demoted = node.spec.role == Role::Manager && spec.role == Role::Worker;
    if demoted && managers(tables) <= 1 {
        return Err(refusal(Kind::Forbidden, "attempting to demote the last manager of the swarm"));
    }
    let mut node = Node::clone(node);
    node.spec = spec.clone();
    Ok((vec![Action::Put(node.into())], json!(null)))
}

fn managers(tables: &Tables) -> usize {
    tables.nodes().filter(|n| n.spec.role == Role::Manager).count()
}

/// Forgets a node. Its tasks are forgotten with it.
///
/// # Errors
/// 404; a manager must be demoted first, a node that is not down needs `force`.
pub fn remove(tables: &Tables, text: &str, force: bool) -> Decided {
    let node = find(tables, text)?;
    // (its certificate does not count: one that is down cannot get another)
    if node.spec.role == Role::Manager || node.raft_id != 0 {
        let text = format!(
            "node {} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal",
            node.id
        );
        return Err(refusal(Kind::Forbidden, text).hint(format!("minidock node demote {}", node.description.hostname)));
    }
    if !force && node.status.state == NodeState::Ready {
        return Err(refusal(Kind::Forbidden, format!("node {} is not down and can't be removed", node.id))
            .hint("let it leave first (minidock swarm leave, there), or use --force"));
    }
    let tasks = tables.tasks_of_node(&node.id).map(|t| Action::Delete(Table::Task, t.id.clone()));
    let actions = tasks.chain([Action::Delete(Table::Node, node.id.clone())]).collect();
    Ok((actions, json!(null)))
}
