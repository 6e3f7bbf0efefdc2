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
//! Only services that something happened to are looked at again ([`Dirty`]); after an election, all of them. What is left on each node is
//! counted once and then kept up by the same notes.
//!
//! Laws: a function of tables, time and IDs, like everything it calls. *Next room:* [`crate::store::replica`]

use crate::{
    allocator,
    orchestrator::{self, Context, Decision, reaper},
    scheduler::{self, Machines},
    store::{Change, Row, Tables},
};
use jiff::Timestamp;
use minidock_spec::swarm::task::TaskState;
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

/// What wants to be looked at, and when.
#[derive(Debug, Default)]
pub struct Dirty {
    now: BTreeSet<String>,
    later: BTreeMap<String, Timestamp>,
    /// Something wants an address, or a number.
    allocate: bool,
    /// A task waits for a node, or something changed that may free one that waits.
    schedule: bool,
    /// Services of which a task has ended, or was told to go.
    reap: BTreeSet<String>,
    /// What is left on each node, from the first time somebody wanted to know.
    machines: Option<Machines>,
}

impl Dirty {
    /// Everything: a leader that has just been elected knows nothing of what the last one had on its mind.
    pub fn all(tables: &Tables) -> Dirty {
        let of_tasks = tables.tasks().map(|t| t.service_id.clone());
        let now: BTreeSet<String> = tables.services().map(|s| s.id.clone()).chain(of_tasks).collect();
        Dirty { reap: now.clone(), now, later: BTreeMap::new(), allocate: true, schedule: true, machines: None }
    }

    /// Notes what a change touches: a service itself, a task's service, every service with a task on a node.
    ///
    /// A task that climbs while it runs touches nothing else: of a thousand tasks that start, none makes the others be looked at.
    pub fn note(&mut self, tables: &Tables, change: &Change) {
        if let Some(machines) = &mut self.machines {
            machines.note(change);
        }
        match change.row() {
            Some(Row::Service(service)) => {
                self.now.insert(service.id.clone());
                self.reap.insert(service.id.clone());
                self.allocate = true;
            }
            Some(Row::Task(task)) => {
                self.now.insert(task.service_id.clone());
                let over = task.status.state.is_over() || !task.is_wanted() || change.after.is_none();
                self.allocate |= over || task.status.state < TaskState::Pending;
                self.schedule |= over || task.status.state < TaskState::Assigned;
                if over {
                    self.reap.insert(task.service_id.clone());
                }
            }
            Some(Row::Node(node)) => {
                self.now.extend(tables.tasks_of_node(&node.id).map(|t| t.service_id.clone()));
                self.now.extend(tables.services().filter(|s| s.spec.mode.is_global()).map(|s| s.id.clone()));
                self.reap.insert(String::new()); // places of people's containers on that node
                (self.allocate, self.schedule) = (true, true);
            }
            Some(Row::Cluster(_)) => {
                self.reap.extend(tables.services().map(|s| s.id.clone())); // how much history is kept may have changed
                (self.allocate, self.schedule) = (true, true);
            }
            Some(_) => (self.allocate, self.schedule) = (true, true),
            None => {}
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
        self.now.is_empty() && !self.allocate && !self.schedule && self.reap.is_empty()
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
        Step::Allocate if std::mem::take(&mut dirty.allocate) => allocator::allocate(tables, context.now),
        Step::Schedule if std::mem::take(&mut dirty.schedule) => {
            let machines = dirty.machines.get_or_insert_with(|| Machines::of(tables));
            let plan = scheduler::schedule(tables, machines, context.now);
            Decision { actions: plan.actions, wake: None }
        }
        Step::Reap => Decision { actions: reaper::reap(tables, &std::mem::take(&mut dirty.reap)), wake: None },
        Step::Allocate | Step::Schedule => Decision::default(),
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
