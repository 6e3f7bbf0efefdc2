//! # Places: where a service's tasks stand
//!
//! A replicated service has slots, numbered from 1; a global one has a place on each node. Over time a place sees many tasks,
//! at most one of which is *wanted* (two for a moment, while a new one is started before the old one stops).
//!
//! [`Places`] is the scratch paper of a decision: what the tables say, with what has been decided on top, so that each step sees
//! the steps before it. At the end only what changed becomes actions.
//!
//! *See:* swarmkit `manager/orchestrator/slot.go`. *Next room:* [`super::restart`]

use super::Decision;
use crate::{
    scheduler::constraint,
    store::{Action, Tables},
};
use minidock_spec::swarm::{
    node::{Availability, Node, NodeState},
    service::{EndpointPort, Service},
    task::{Task, TaskState},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A slot, or a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Slot(u64),
    Node(String),
}

impl Place {
    pub fn of(task: &Task, service: &Service) -> Place {
        match service.spec.mode.is_global() {
            true => Place::Node(task.node_id.clone()),
            false => Place::Slot(task.slot),
        }
    }
}

/// Does a node meet what a service asks of every node (constraints)?
pub fn suits(node: &Node, service: &Service) -> bool {
    let constraints = service.spec.task_template.placement.iter().flat_map(|p| &p.constraints);
    constraints.filter_map(|c| constraint::parse(c).ok()).all(|c| constraint::holds(&c, node))
}

/// Made of the spec as it is: by version, or by content, for a rollback gives an old content a new version.
pub fn is_current(task: &Task, service: &Service) -> bool {
    let held =
        |ports: &[EndpointPort]| -> Vec<EndpointPort> { ports.iter().filter(|p| p.publish_mode == "host").cloned().collect() };
    task.spec_version == service.spec_version
        || task.spec == service.spec.task_template && held(&task.endpoint_ports) == held(&service.endpoint.ports)
}

/// A service's places and their tasks, with what was decided so far.
pub struct Places {
    by_place: BTreeMap<Place, Vec<Arc<Task>>>,
    /// Decided, and not yet looked at by the next step: written through [`Places::note`].
    changes: RefCell<BTreeMap<String, Task>>,
    new: BTreeSet<String>,
    /// Nodes on which nothing can be expected to go on: down, drained, gone; for a global service also those it no longer suits.
    lost: BTreeMap<String, Lost>,
    /// Places whose last task has ended and is not to be replaced.
    finished: BTreeSet<Place>,
}

/// Why a node's tasks are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Down,
    Drained,
    Unfit,
    Gone,
}

impl Places {
    pub fn of(tables: &Tables, service: &Arc<Service>) -> Places {
        let mut by_place: BTreeMap<Place, Vec<Arc<Task>>> = BTreeMap::new();
        for task in tables.tasks_of_service(&service.id) {
            by_place.entry(Place::of(task, service)).or_default().push(task.clone());
        }
        by_place.values_mut().for_each(|tasks| tasks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id))));
        let on: BTreeSet<&str> =
            tables.tasks_of_service(&service.id).map(|t| t.node_id.as_str()).filter(|id| !id.is_empty()).collect();
        let lost = on.into_iter().filter_map(|id| Some((id.to_string(), lost(tables.node(id), service)?))).collect();
        Places { by_place, changes: RefCell::default(), new: BTreeSet::new(), lost, finished: BTreeSet::new() }
    }

    /// All places that ever had a task that is still remembered.
    pub fn all(&self) -> Vec<Place> {
        self.by_place.keys().cloned().collect()
    }

    /// A place's tasks, oldest first, as decided so far.
    pub fn tasks(&self, place: &Place) -> impl Iterator<Item = &Task> {
        self.by_place.get(place).into_iter().flatten().map(|task| &**task)
    }

    /// Those of them that nobody told to end.
    pub fn wanted(&self, place: &Place) -> impl Iterator<Item = &Task> {
        self.tasks(place).filter(|t| t.is_wanted())
    }

    /// Places that count: somebody is wanted there, or has done what was wanted.
    pub fn taken(&self) -> BTreeSet<Place> {
        let wanted = self.by_place.keys().filter(|place| self.wanted(place).next().is_some());
        wanted.chain(&self.finished).cloned().collect()
    }

    pub fn is_empty(&self, place: &Place) -> bool {
        self.wanted(place).next().is_none() && !self.finished.contains(place)
    }

    /// Its last task ended and shall not be replaced.
    pub fn finish(&mut self, place: &Place) {
        self.finished.insert(place.clone());
    }

    pub fn lost(&self, node: &str) -> Option<Lost> {
        self.lost.get(node).copied()
    }

    /// A new task.
    pub fn add(&mut self, (place, task): (Place, Task)) {
        self.new.insert(task.id.clone());
        self.changes.borrow_mut().insert(task.id.clone(), task.clone());
        self.by_place.entry(place).or_default().push(Arc::new(task));
    }

    /// Tells a task to climb to `desired`.
    pub fn tell(&mut self, place: &Place, id: &str, desired: TaskState) {
        let found = self.by_place.get_mut(place).into_iter().flatten().find(|t| t.id == id);
        if let Some(task) = found.filter(|t| t.desired_state < desired) {
            let task = Arc::make_mut(task);
            task.desired_state = desired;
            self.changes.borrow_mut().insert(id.to_string(), task.clone());
        }
    }

    /// Tells everybody wanted in a place to climb to `desired`.
    pub fn tell_all(&mut self, place: &Place, desired: TaskState) {
        let ids: Vec<String> = self.wanted(place).map(|t| t.id.clone()).collect();
        ids.iter().for_each(|id| self.tell(place, id, desired));
    }

    /// A change by the last step, which no other step looks at.
    pub fn note(&self, task: &Task, change: impl FnOnce(&mut Task)) {
        let mut changes = self.changes.borrow_mut();
        change(changes.entry(task.id.clone()).or_insert_with(|| task.clone()));
    }

    /// Tasks of a global service on nodes that are down or drained, or that it no longer suits.
    pub fn let_go_what_is_lost(&mut self) {
        let lost: Vec<Place> = self
            .by_place
            .keys()
            .filter(|place| matches!(place, Place::Node(id) if self.lost.contains_key(id)))
            .cloned()
            .collect();
        lost.iter().for_each(|place| self.tell_all(place, TaskState::Shutdown));
    }

    /// What changed, as actions.
    pub fn changed_into(self, decision: &mut Decision) {
        decision.actions.extend(self.changes.into_inner().into_values().map(|task| Action::Put(task.into())));
    }
}

fn lost(node: Option<&Arc<Node>>, service: &Service) -> Option<Lost> {
    let Some(node) = node else { return Some(Lost::Gone) };
    match (node.status.state, node.spec.availability) {
        (NodeState::Down, _) => Some(Lost::Down),
        (_, Availability::Drain) => Some(Lost::Drained),
        _ if !suits(node, service) => Some(Lost::Unfit),
        _ => None,
    }
}
