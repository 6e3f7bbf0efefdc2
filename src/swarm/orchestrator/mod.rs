//! # The orchestrator: from what is wanted to tasks
//!
//! A reconciler takes no hints. It is called whenever something about a service has changed, looks at all that there is, and
//! says what is missing: it does not matter what changed, whether two changes came at once, or whether another manager did
//! half of the work and died. Called again with nothing to do, it does nothing.
//!
//! ```text
//!   places of a service          replicated: slots 1 … n          global: nodes that are fit for it
//!        │
//!        ├ broken: its task has ended, its node is down or drained   [`restart`]  replace it, or let it be
//!        ├ empty, and one more is wanted                             a new task
//!        ├ one too many                                              REMOVE
//!        ├ old: made of an earlier spec                              [`update`]   a few at a time, in the wanted order
//!        └ next: a task that waits on READY                          RUNNING, once the old one is gone and its delay over
//! ```
//!
//! [`jobs`] counts completions instead; [`reaper`] forgets old tasks.
//!
//! Laws: a function of the tables, the time and the IDs that are handed in. Never more tasks are told to run in a place than
//! the update order allows: one, or with `start-first` the old and the new one.
//! *See:* swarmkit `manager/orchestrator`; `design/orchestrators.md`. *Next room:* [`place`]

pub mod jobs;
pub mod place;
pub mod reaper;
pub mod restart;
pub mod task;
pub mod update;

use crate::store::{Action, Tables};
use jiff::{SignedDuration, Timestamp};
use minidock_spec::swarm::{
    node::{Availability, NodeState},
    service::Service,
    task::{Task, TaskState},
};
use place::{Place, Places};
use std::{
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

/// What a decision may use of the world: the time, and new IDs.
pub struct Context<'a> {
    pub now: Timestamp,
    pub new_id: &'a mut dyn FnMut() -> String,
}

/// What is to be done now, and when to look again.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub wake: Option<Timestamp>,
}

impl Decision {
    /// Look again at that time, or earlier.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    pub fn put(&mut self, task: Task) {
        self.actions.push(Action::Put(task.into()));
    }

    /// Both decisions in one.
    pub fn join(&mut self, other: Decision) {
        self.actions.extend(other.actions);
        if let Some(at) = other.wake {
            self.wake_at(at);
        }
    }
}

/// What is to be done for one service.
pub fn reconcile(tables: &Tables, service: &str, context: &mut Context) -> Decision {
    let Some(service) = tables.service(service) else { return abandon(tables, service) };
    if service.spec.mode.is_job() {
        return jobs::reconcile(tables, service, context);
    }
    let mut decision = Decision::default();
    let mut places = Places::of(tables, service);
    places.let_go_what_is_lost();
    restart::mend(service, &mut places, context);
    fill(tables, service, &mut places, context);
    update::roll(service, &mut places, context, &mut decision);
    promote(tables, &places, context.now, &mut decision);
    places.changed_into(&mut decision);
    decision
}

/// The service is gone: so shall be its tasks.
fn abandon(tables: &Tables, service: &str) -> Decision {
    let mut decision = Decision::default();
    if service.is_empty() {
        return decision; // places of people's containers on networks: they end by themselves
    }
    for task in tables.tasks_of_service(service).filter(|t| t.desired_state < TaskState::Remove) {
        let mut task = Task::clone(task);
        task.desired_state = TaskState::Remove;
        decision.put(task);
    }
    decision
}

/// Makes what is missing, removes what is too much.
fn fill(tables: &Tables, service: &Arc<Service>, places: &mut Places, context: &mut Context) {
    if service.spec.mode.is_global() {
        for node in fit_nodes(tables, service) {
            let place = Place::Node(node);
            if places.is_empty(&place) {
                places.add(task::make(service, &place, TaskState::Running, None, context));
            }
        }
        return;
    }
    let (wanted, taken) = (service.spec.mode.wanted() as usize, places.taken());
    if taken.len() < wanted {
        let free = (1..).filter(|slot| !taken.contains(&Place::Slot(*slot)));
        let missing: Vec<u64> = free.take(wanted - taken.len()).collect();
        for slot in missing {
            places.add(task::make(service, &Place::Slot(slot), TaskState::Running, None, context));
        }
    }
    for place in too_many(places, taken.len().saturating_sub(wanted)) {
        places.tell_all(&place, TaskState::Remove);
    }
}

/// Nodes that take a global service's tasks, by ID.
fn fit_nodes(tables: &Tables, service: &Service) -> Vec<String> {
    let fit = tables.nodes().filter(|node| {
        node.status.state == NodeState::Ready && node.spec.availability == Availability::Active && place::suits(node, service)
    });
    fit.map(|node| node.id.clone()).collect()
}

/// Which places go first when fewer are wanted: those that do not run, then from the node with most, then the highest slot.
fn too_many(places: &Places, count: usize) -> Vec<Place> {
    if count == 0 {
        return Vec::new();
    }
    let (mut gone, mut on_node): (Vec<Place>, BTreeMap<String, Vec<Place>>) = (Vec::new(), BTreeMap::new());
    for place in places.taken() {
        let running = places.wanted(&place).find(|t| t.status.state == TaskState::Running);
        match running.map(|t| t.node_id.clone()) {
            Some(node) => on_node.entry(node).or_default().push(place),
            None => gone.push(place),
        }
    }
    gone.reverse(); // places come in order, lowest first
    gone.truncate(count);
    let mut nodes: BinaryHeap<(usize, Place, Vec<Place>)> = BinaryHeap::new();
    let stand = |nodes: &mut BinaryHeap<_>, mut left: Vec<Place>| {
        if let Some(highest) = left.pop() {
            nodes.push((left.len(), highest, left));
        }
    };
    on_node.into_values().for_each(|left| stand(&mut nodes, left));
    while gone.len() < count {
        let Some((_, highest, left)) = nodes.pop() else { break };
        gone.push(highest);
        stand(&mut nodes, left);
    }
    gone
}

/// READY → RUNNING: the delay is over and nobody else is in the place any more.
fn promote(tables: &Tables, places: &Places, now: Timestamp, decision: &mut Decision) {
    for place in places.all() {
        let waiting: Vec<&Task> = places.wanted(&place).filter(|t| t.desired_state == TaskState::Ready).collect();
        for task in waiting {
            let busy = places.tasks(&place).any(|other| other.id != task.id && still_there(tables, other));
            match task.not_before {
                Some(at) if at > now => decision.wake_at(at),
                _ if busy => {}
                _ => places.note(task, |t| t.desired_state = TaskState::Running),
            }
        }
    }
}

/// Its container may be running still; on a node that is down nobody can tell, and nobody waits for it.
fn still_there(tables: &Tables, task: &Task) -> bool {
    task.occupies() && tables.node(&task.node_id).is_some_and(|n| n.status.state != NodeState::Down)
}

/// A duration of the API: nanoseconds.
pub(crate) fn nanoseconds(n: i64) -> SignedDuration {
    SignedDuration::from_nanos(n.max(0))
}

#[cfg(test)]
mod tests;
