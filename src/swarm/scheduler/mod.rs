//! # The scheduler: PENDING → ASSIGNED, or why not
//!
//! Tasks that wait are taken in groups: tasks of one service made of one spec ask for the same, so nodes are filtered once for
//! all of them. Among the nodes that are left a task goes where fewest of its own service run, and among equals where
//! fewest tasks run at all: a service spreads before a node fills.
//!
//! ```text
//!   waiting tasks ──group──► filters (ready, room, constraints, platform, ports, max replicas)
//!                               │ none left: every task of the group says why       [`filter`]
//!                               ▼
//!                            a heap of nodes: fewest of this service, fewest at all  [`spread`]
//!                               │ pop, give it a task, count, push
//!                               ▼
//!                            ASSIGNED
//! ```
//!
//! With placement preferences the heap becomes a tree: first the value of the label with fewest tasks of the service, then
//! the node within it. One more task costs the logarithm of the number of nodes, however many run already.
//!
//! Laws: a function of the tables and [`Machines`]; it never gives a node more than it has; the same input gives the same output.
//! *See:* swarmkit `manager/scheduler`; Docker's "placement preferences". *Next room:* [`node_info`]

pub mod constraint;
pub mod filter;
pub mod node_info;
pub mod spread;

use crate::store::{Action, Tables};
use filter::Verdict;
use jiff::Timestamp;
use minidock_spec::swarm::task::{Task, TaskState};
pub use node_info::Machines;
use std::{collections::BTreeMap, sync::Arc};

/// What became of the waiting tasks.
#[derive(Debug, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Tasks that found no node: they are asked again when a node or a task changes.
    pub unplaced: usize,
}

/// Assigns what can be assigned; the rest says in its status why not.
pub fn schedule(tables: &Tables, machines: &mut Machines, now: Timestamp) -> Plan {
    let mut groups: BTreeMap<(String, u64), Vec<&Arc<Task>>> = BTreeMap::new();
    for task in tables.tasks().filter(|t| waits(t)) {
        groups.entry((task.service_id.clone(), task.spec_version.index)).or_default().push(task);
    }
    let mut plan = Plan::default();
    for tasks in groups.into_values() {
        let (bound, free): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| !t.node_id.is_empty());
        bound.into_iter().for_each(|task| place_bound(task, machines, now, &mut plan));
        place_free(&free, machines, now, &mut plan);
    }
    plan
}

/// It has its addresses and no node has heard of it.
fn waits(task: &Task) -> bool {
    task.status.state == TaskState::Pending && task.is_wanted()
}

/// Tasks of a global service were made for one node: it either fits there or waits.
fn place_bound(task: &Arc<Task>, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let wish = filter::Wish::of(task);
    let verdict = match machines.get(&task.node_id) {
        Some(node) => filter::check(&wish, node),
        None => Verdict::No(filter::Reason::NotReady),
    };
    match verdict {
        Verdict::Yes => assign(task, &task.node_id.clone(), machines, now, plan),
        Verdict::No(reason) => refuse(task, &filter::no_suitable_node(&[(reason, 1)]), now, plan),
    }
}

fn place_free(tasks: &[&Arc<Task>], machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let Some(first) = tasks.first() else { return };
    let wish = filter::Wish::of(first);
    let (fit, counted) = filter::sort_out(&wish, machines);
    let mut places = spread::Places::new(&wish, fit, machines);
    for task in tasks {
        match places.next(&wish, machines) {
            Some(node) => {
                assign(task, &node, machines, now, plan);
                places.give_back(&wish, &node, machines);
            }
            None => {
                let counted = if places.were_there() { filter::sort_out(&wish, machines).1 } else { counted.clone() };
                refuse(task, &filter::no_suitable_node(&counted), now, plan);
            }
        }
    }
}

fn assign(task: &Arc<Task>, node: &str, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let mut task = Task::clone(task);
    task.node_id = node.to_string();
    task.status.state = TaskState::Assigned;
    task.status.timestamp = Some(now);
    task.status.message = "scheduler assigned task to node".into();
    task.status.err.clear();
    machines.take(node, &task);
    plan.actions.push(Action::Put(task.into()));
}

/// Writes the reason down, once.
fn refuse(task: &Arc<Task>, why: &str, now: Timestamp, plan: &mut Plan) {
    plan.unplaced += 1;
    if task.status.err == why {
        return;
    }
    let mut task = Task::clone(task);
    task.status.timestamp = Some(now);
    task.status.message = "pending task scheduling".into();
    task.status.err = why.to_string();
    plan.actions.push(Action::Put(task.into()));
}

#[cfg(test)]
mod tests;
