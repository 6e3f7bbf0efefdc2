//! # The scheduler: PENDING → ASSIGNED, or why not
//!
//! Tasks that wait are taken in groups: tasks of one service made of one spec ask for the same, so nodes are filtered once for
//! all of them. Among the nodes that are left a task goes where fewest of its own service run, and among equals where
//! fewest tasks run at all: a service spreads before a node fills.
//!
//! ```text
//!   waiting tasks ──group──► filters (ready, room, constraints, platform, ports, max replicas)   [`filter`]
//!                               │
//!                               ▼
//!                            a line of the nodes that are left, fewest tasks first            [`line`]
//!                               │ shared by all groups that ask the same
//!                               ▼
//!                            those that have tasks of this service: fewest of it first        [`spread`]
//!                               │ take one out, give it a task, put it back     none left: every task of the group says why
//!                               ▼
//!                            ASSIGNED
//! ```
//!
//! With placement preferences nodes stand in a tree: first the value of the label with fewest tasks of the service, then
//! the node within it. What a round asks for the first time costs one look at each node, and then a task costs the logarithm of their
//! number, be it one of many or a service of its own. How many tasks run already costs nothing, for [`Machines`] are kept from round to
//! round (`make bench` prints what that comes to).
//!
//! Laws: a function of the tables and [`Machines`]; it never gives a node more than it has; the same input gives the same output.
//! *See:* swarmkit `manager/scheduler`; Docker's "placement preferences". *Next room:* [`node_info`]

pub mod constraint;
pub mod filter;
pub mod generic;
pub mod line;
pub mod node_info;
pub mod spread;

use crate::store::{Action, Row, Tables};
use filter::{Reason, Wish};
use jiff::Timestamp;
use line::Lines;
use minidock_spec::swarm::task::{Task, TaskState};
pub use node_info::Machines;
use spread::Places;
use std::sync::Arc;

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
    let mut waiting: Vec<&Arc<Task>> = tables.tasks_waiting().filter(|t| waits(t)).collect();
    waiting.sort_by(|one, other| group(one).cmp(&group(other))); // within a group they stay in order of ID
    let (mut plan, mut lines) = (Plan::default(), Lines::default());
    for tasks in waiting.chunk_by(|one, other| group(one) == group(other)) {
        let bound = tasks.iter().filter(|t| !t.node_id.is_empty());
        bound.for_each(|task| place_bound(task, machines, now, &mut plan));
        place_free(tasks, &mut lines, machines, now, &mut plan);
    }
    for action in &plan.actions {
        if let Action::Put(Row::Task(task)) = action {
            machines.give_back(task);
        }
    }
    plan
}

/// Tasks of one group are of one service, and made of one spec.
fn group(task: &Task) -> (&str, u64) {
    (&task.service_id, task.spec_version.index)
}

/// It has its addresses and no node has heard of it.
fn waits(task: &Task) -> bool {
    task.status.state == TaskState::Pending && task.is_wanted()
}

/// Tasks of a global service were made for one node: it either fits there or waits.
fn place_bound(task: &Arc<Task>, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let wish = Wish::of(task);
    let place = machines.place(&task.node_id).ok_or(Reason::NotReady);
    match place.and_then(|at| filter::check(&wish, machines.at(at)).map(|()| at)) {
        Ok(at) => assign(task, at, machines, now, plan),
        Err(reason) => refuse(task, &filter::explain(&[(reason, 1)]), now, plan),
    }
}

fn place_free(group: &[&Arc<Task>], lines: &mut Lines, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let mut tasks = group.iter().filter(|t| t.node_id.is_empty()).peekable();
    let Some(first) = tasks.peek() else { return };
    let wish = Wish::of(first);
    let mut places = Places::new(&wish, lines.take(&wish, machines), machines, now);
    while let Some(task) = tasks.next() {
        let Some(at) = places.next(machines) else {
            // nobody is left, perhaps filled by this very group: the rest hears the same
            let why = filter::no_suitable_node(&filter::count(&wish, machines));
            refuse(task, &why, now, plan);
            tasks.by_ref().for_each(|task| refuse(task, &why, now, plan));
            break;
        };
        assign(task, at, machines, now, plan);
        places.give_back(at, machines);
    }
    lines.put_back(places.leave(machines));
}

fn assign(task: &Arc<Task>, at: usize, machines: &mut Machines, now: Timestamp, plan: &mut Plan) {
    let mut task = Task::clone(task);
    let machine = machines.at(at);
    task.node_id.clone_from(&machine.node.id);
    let needs = &node_info::reserved(&task).generic;
    if !needs.is_empty() {
        task.generic_resources = machine.choose_things(needs);
    }
    task.status.state = TaskState::Assigned;
    task.status.timestamp = Some(now);
    task.status.message = "scheduler assigned task to node".into();
    task.status.err.clear();
    machines.take(at, &task);
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
mod slowly;
#[cfg(test)]
mod tests;
