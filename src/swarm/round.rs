//! # A round: every loop once
//!
//! The leader's heartbeat of decisions. Each [`Step`] reads the tables and says what is to be done; what it says is agreed on and
//! applied before the next step looks. Rounds go on until no step has anything to say; then the manager sleeps until the
//! tables change, or until the time that a step asked to be woken at.
//!
//! ```text
//!   a change ─► tasks wanted ─► addresses ─► places ─► what is to be forgotten
//!                            orchestrator    allocator    scheduler   reaper
//! ```
//!
//! Only services that something happened to are looked at again ([`Dirty`]); after an election, all of them.
//!
//! Laws: a function of tables, time and IDs, like everything it calls. *Next room:* [`crate::store::replica`]

use crate::{
    allocator,
    orchestrator::{self, Context, Decision, reaper},
    scheduler::{self, Machines},
    store::{Change, Row, Tables},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One loop's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Orchestrate,
    Allocate,
    Schedule,
    Reap,
}

impl Step {
    /// In the order in which a new task needs them.
    pub const ALL: [Step; 4] = [Step::Orchestrate, Step::Allocate, Step::Schedule, Step::Reap];
}

/// Which services want to be looked at, and when.
#[derive(Debug, Default)]
pub struct Dirty {
    now: BTreeSet<String>,
    later: BTreeMap<String, Timestamp>,
    /// Something changed that may free a waiting task.
    schedule: bool,
}

impl Dirty {
    /// Everything: a leader that has just been elected knows nothing of what the last one had on its mind.
    pub fn all(tables: &Tables) -> Dirty {
        let of_tasks = tables.tasks().map(|t| t.service_id.clone());
        let now = tables.services().map(|s| s.id.clone()).chain(of_tasks).collect();
        Dirty { now, later: BTreeMap::new(), schedule: true }
    }

    /// Notes what a change touches: a service itself, a task's service, every service with a task on a node.
    pub fn note(&mut self, tables: &Tables, change: &Change) {
        self.schedule = true;
        match change.row() {
            Some(Row::Service(service)) => {
                self.now.insert(service.id.clone());
            }
            Some(Row::Task(task)) => {
                self.now.insert(task.service_id.clone());
            }
            Some(Row::Node(node)) => {
                self.now.extend(tables.tasks_of_node(&node.id).map(|t| t.service_id.clone()));
                self.now.extend(tables.services().filter(|s| s.spec.mode.is_global()).map(|s| s.id.clone()));
            }
            _ => {}
        }
    }

    /// Moves what is due into `now`; the earliest time of what is not.
    pub fn due(&mut self, at: Timestamp) -> Option<Timestamp> {
        let due: Vec<String> = self.later.iter().filter(|(_, when)| **when <= at).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.later.remove(&id);
            self.now.insert(id);
        }
        self.later.values().min().copied()
    }

    /// Nothing to look at now.
    pub fn is_clean(&self) -> bool {
        self.now.is_empty() && !self.schedule
    }
}

/// What one step wants done.
pub fn decide(step: Step, tables: &Tables, dirty: &mut Dirty, context: &mut Context) -> Decision {
    match step {
        Step::Orchestrate => {
            let mut decision = Decision::default();
            for service in std::mem::take(&mut dirty.now) {
                let part = orchestrator::reconcile(tables, &service, context);
                match part.wake {
                    Some(at) => dirty.later.insert(service, at),
                    None => dirty.later.remove(&service),
                };
                decision.join(part);
            }
            decision
        }
        Step::Allocate => allocator::allocate(tables, context.now),
        Step::Schedule => {
            if !std::mem::take(&mut dirty.schedule) {
                return Decision::default();
            }
            let mut machines = Machines::of(tables, context.now);
            let plan = scheduler::schedule(tables, &mut machines, context.now);
            Decision { actions: plan.actions, wake: None }
        }
        Step::Reap => Decision { actions: reaper::reap(tables), wake: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Action, Batch};
    use minidock_spec::swarm::{
        cluster::Cluster,
        node::{Node, NodeState},
        service::{Service, ServiceMode},
        task::TaskState,
    };

    fn apply(tables: &mut Tables, dirty: &mut Dirty, actions: Vec<Action>) {
        let changes = tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
        changes.iter().for_each(|change| dirty.note(tables, change));
    }

    fn rounds(tables: &mut Tables, dirty: &mut Dirty) -> usize {
        let mut count = 0;
        let mut ids = 0;
        while !dirty.is_clean() {
            count += 1;
            for step in Step::ALL {
                let mut new_id = || {
                    ids += 1;
                    format!("t{ids}")
                };
                let mut context = Context { now: Timestamp::UNIX_EPOCH, new_id: &mut new_id };
                let decision = decide(step, tables, dirty, &mut context);
                apply(tables, dirty, decision.actions);
            }
            assert!(count < 20, "it does not come to rest");
        }
        count
    }

    #[test]
    fn a_new_service_is_assigned_in_one_round_and_then_there_is_rest() {
        let (mut tables, mut dirty) = (Tables::default(), Dirty::default());
        let mut node = Node { id: "n".into(), ..Node::default() };
        node.status.state = NodeState::Ready;
        let mut service = Service { id: "web".into(), ..Service::default() };
        (service.spec.name, service.spec.mode) = ("web".into(), ServiceMode::replicas(3));
        let cluster = Cluster { id: "c".into(), ..Cluster::default() };
        let rows: Vec<Row> = vec![cluster.into(), node.into(), service.into()];
        apply(&mut tables, &mut dirty, rows.into_iter().map(Action::Put).collect());
        assert!(rounds(&mut tables, &mut dirty) <= 3);
        let assigned = tables.tasks().filter(|t| t.status.state == TaskState::Assigned && t.node_id == "n").count();
        assert_eq!(assigned, 3);
        assert!(dirty.is_clean());
    }
}
