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
//! the node within it. One more task of a group costs the logarithm of the number of nodes, a group one look at each node; how many
//! tasks run already costs nothing, for [`Machines`] are kept from round to round (`make bench` prints what that comes to).
//!
//! Laws: a function of the tables and [`Machines`]; it never gives a node more than it has; the same input gives the same output.
//! *See:* swarmkit `manager/scheduler`; Docker's "placement preferences". *Next room:* [`node_info`]

pub mod constraint;
pub mod filter;
pub mod generic;
pub mod node_info;
pub mod spread;

use crate::store::{Action, Row, Tables};
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

/// Assigns what can be assigned; the rest says in its status why not. `machines` are in the end as they were: what was given out counts
/// when it is written.
pub fn schedule(tables: &Tables, machines: &mut Machines, now: Timestamp) -> Plan {
    let mut groups: BTreeMap<(&str, u64), Vec<&Arc<Task>>> = BTreeMap::new();
    for task in tables.tasks_waiting().filter(|t| waits(t)) {
        groups.entry((task.service_id.as_str(), task.spec_version.index)).or_default().push(task);
    }
    let mut plan = Plan::default();
    for tasks in groups.into_values() {
        let (bound, free): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| !t.node_id.is_empty());
        bound.into_iter().for_each(|task| place_bound(task, machines, now, &mut plan));
        place_free(&free, machines, now, &mut plan);
    }
    for action in &plan.actions {
        if let Action::Put(Row::Task(task)) = action {
            machines.give_back(task);
        }
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
        Verdict::Yes => assign(task, &task.node_id, machines, now, plan),
        Verdict::No(reason) => refuse(task, &filter::explain(&[(reason, 1)]), now, plan),
    }
}

fn place_free(tasks: &[&Arc<Task>], machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let Some(first) = tasks.first() else { return };
    let wish = filter::Wish::of(first);
    let (fit, _) = filter::sort_out(&wish, machines);
    let mut places = spread::Places::new(&wish, &fit, machines, now);
    let mut tasks = tasks.iter();
    for task in tasks.by_ref() {
        let Some(at) = places.next(&wish, machines) else {
            // nobody is left, perhaps filled by this very group: the rest hears the same
            let why = filter::no_suitable_node(&filter::sort_out(&wish, machines).1);
            refuse(task, &why, now, plan);
            return tasks.for_each(|task| refuse(task, &why, now, plan));
        };
        assign(task, places.id(at), machines, now, plan);
        places.give_back(&wish, at, machines);
    }
}

fn assign(task: &Arc<Task>, node: &str, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let mut task = Task::clone(task);
    task.node_id = node.to_string();
    let needs = node_info::reserved(&task).generic;
    if let Some(machine) = machines.get(node).filter(|_| !needs.is_empty()) {
        task.generic_resources = machine.choose_things(&needs);
    }
    task.status.state = TaskState::Assigned;
    task.status.timestamp = Some(now);
    task.status.message = "scheduler assigned task to node".into();
    task.status.err.clear();
    machines.take(&task);
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
