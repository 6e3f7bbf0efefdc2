//! # A turn: everything that waits, decided at once
//!
//! The leader is the only one who writes, and it writes in turns. What came in since the last one (wishes of people, certificates
//! that were issued, what agents say of their tasks, heartbeats that did not come) and what the loops make of it go into one
//! [`Draft`]. A service of fifty tasks is made, given addresses and assigned in the turn in which it was asked for.
//!
//! ```text
//!   entries ─► reports ─► heartbeats ─► rounds until nothing is left to say ─► batches, answers, when to look again
//! ```
//!
//! Laws: a function of what is handed in; an entry that is refused leaves no trace, and does not hinder the others.
//! *Next room:* [`super::lead`]

use super::draft::Draft;
use crate::{
    control::Decided,
    dispatcher::heartbeat::Beats,
    orchestrator::Context,
    round::{self, Dirty, Step},
    store::{Action, Change, Tables},
};
use jiff::Timestamp;
use minidock_base::Result;
use minidock_spec::swarm::task::{Task, TaskStatus};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Rounds in one turn: more than this and the rest is left for the next.
const ROUNDS: usize = 8;
/// Rows in one batch: what is agreed on must not hold up heartbeats between managers.
pub const MOST_ROWS: usize = 1000;
/// And bytes: it has to reach the others, and their disks, within the time between two heartbeats.
pub const MOST_BYTES: usize = 4 << 20;

/// From tables to actions.
pub type Decide = Box<dyn FnOnce(&Tables, &mut Context) -> Decided + Send>;

/// Something that is to be written, and who waits for it.
pub struct Entry {
    pub decide: Decide,
    pub answer: oneshot::Sender<Result<Value>>,
}

/// What agents said of tasks: the newest, by the task's ID and the node's that said it. Whether the task is that node's is known
/// in the turn, so nobody displaces what another has said.
pub type Reports = BTreeMap<(String, String), TaskStatus>;

/// What a turn has come to.
#[derive(Default)]
pub struct Turn {
    pub batches: Vec<Vec<Action>>,
    /// Who is told what: a refusal at once, the rest when the batches are agreed on.
    pub refused: Vec<(oneshot::Sender<Result<Value>>, minidock_base::Error)>,
    pub granted: Vec<(oneshot::Sender<Result<Value>>, Value)>,
    /// When to look again though nothing has happened.
    pub wake: Option<Timestamp>,
}

/// Decides.
pub fn take(
    tables: &Tables,
    entries: Vec<Entry>,
    reports: &Reports,
    beats: &Beats,
    dirty: &mut Dirty,
    context: &mut Context,
) -> Turn {
    let mut turn = Turn::default();
    let mut draft = Draft::new(tables, context.now);
    for Entry { decide, answer } in entries {
        let decided = decide(draft.tables(), context);
        let written = decided.and_then(|(actions, value)| match draft.write(actions) {
            Ok(changes) => {
                note(dirty, &draft, &changes);
                Ok(value)
            }
            Err(refused) => Err(refused.into_error()),
        });
        match written {
            Ok(value) => turn.granted.push((answer, value)),
            Err(error) => turn.refused.push((answer, error)),
        }
    }
    let told = heard(draft.tables(), reports, context.now);
    write(&mut draft, told, dirty);
    let judged = beats.judge(draft.tables(), context.now);
    write(&mut draft, judged.actions, dirty);
    let later = rounds(&mut draft, dirty, context);
    turn.wake = [judged.wake, later].into_iter().flatten().min();
    turn.batches = draft.batches(MOST_ROWS, MOST_BYTES);
    turn
}

/// The loops, until none has anything to say; when to look again.
fn rounds(draft: &mut Draft, dirty: &mut Dirty, context: &mut Context) -> Option<Timestamp> {
    for _ in 0..ROUNDS {
        let later = dirty.due(context.now);
        if dirty.is_clean() {
            return later;
        }
        for step in Step::ALL {
            let decision = round::decide(step, draft.tables(), dirty, context);
            write(draft, decision.actions, dirty);
        }
    }
    Some(context.now) // not at rest yet: another turn, soon
}

fn write(draft: &mut Draft, actions: Vec<Action>, dirty: &mut Dirty) {
    match draft.write(actions) {
        Ok(changes) => note(dirty, draft, &changes),
        Err(refused) => tracing::error!(?refused, "a loop decided on tables that were not there"),
    }
}

fn note(dirty: &mut Dirty, draft: &Draft, changes: &[Change]) {
    changes.iter().for_each(|change| dirty.note(draft.tables(), change));
}

/// Statuses that say something new. An agent speaks for its own tasks only, and its clock does not count: two machines may
/// differ by an hour, and delays and windows are measured on the leader's.
fn heard(tables: &Tables, reports: &Reports, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for ((id, node_id), status) in reports {
        let Some(task) = tables.task(id).filter(|t| t.node_id == *node_id) else { continue };
        let (was, mut is) = (&task.status, status.clone());
        is.timestamp = if is.state == was.state { was.timestamp } else { Some(now) };
        if is.state < was.state || is == *was {
            continue;
        }
        let mut task = Task::clone(task);
        task.status = is;
        actions.push(Action::Put(task.into()));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::Wish, store::Batch};
    use minidock_spec::swarm::{
        cluster::Cluster,
        node::{Node, NodeState},
        service::{ServiceMode, ServiceSpec},
        task::{ContainerSpec, TaskState},
    };

    fn swarm() -> Tables {
        let mut tables = Tables::default();
        let rows = ["a", "b", "c"].map(|id| {
            let mut node = Node { id: id.into(), ..Node::default() };
            node.status.state = NodeState::Ready;
            Action::Put(node.into())
        });
        let cluster = Cluster { id: "c".into(), ..Cluster::default() };
        let actions = rows.into_iter().chain([Action::Put(cluster.into())]).collect();
        tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("new rows");
        tables
    }

    fn create(name: &str, replicas: u64) -> (Entry, oneshot::Receiver<Result<Value>>) {
        let mut spec = ServiceSpec { name: name.into(), mode: ServiceMode::replicas(replicas), ..ServiceSpec::default() };
        spec.task_template.container_spec = Some(ContainerSpec { image: "web".into(), ..ContainerSpec::default() });
        let wish = Wish::CreateService { spec: Box::new(spec) };
        let (answer, told) = oneshot::channel();
        let decide: Decide = Box::new(move |tables, context| crate::control::decide(tables, &wish, context));
        (Entry { decide, answer }, told)
    }

    struct World {
        tables: Tables,
        dirty: Dirty,
        ids: usize,
        index: u64,
    }

    impl World {
        fn new() -> World {
            World { tables: swarm(), dirty: Dirty::default(), ids: 0, index: 1 }
        }

        fn turn(&mut self, entries: Vec<Entry>, reports: &Reports) -> Turn {
            let now = Timestamp::UNIX_EPOCH;
            let mut new_id = || {
                self.ids += 1;
                format!("id{}", self.ids)
            };
            let mut context = Context { now, new_id: &mut new_id };
            let turn = take(&self.tables, entries, reports, &Beats::new(now), &mut self.dirty, &mut context);
            for actions in turn.batches.clone() {
                self.index += 1;
                self.tables.apply(self.index, Batch { at: now, actions }).expect("nobody else writes");
            }
            turn
        }
    }

    #[test]
    fn a_service_is_made_and_its_tasks_assigned_in_one_turn_and_one_batch() {
        let mut world = World::new();
        let (entry, _told) = create("web", 50);
        let turn = world.turn(vec![entry], &Reports::new());
        assert_eq!((turn.batches.len(), turn.granted.len()), (1, 1));
        let assigned = world.tables.tasks().filter(|t| t.status.state == TaskState::Assigned).count();
        assert_eq!(assigned, 50);
        assert!(world.turn(Vec::new(), &Reports::new()).batches.is_empty(), "and then there is rest");
    }

    #[test]
    fn of_two_that_want_one_name_the_second_is_refused_and_a_third_is_not_hindered() {
        let mut world = World::new();
        let entries: Vec<(Entry, _)> = [create("web", 1), create("web", 1), create("db", 1)].into();
        let (entries, _told): (Vec<Entry>, Vec<_>) = entries.into_iter().unzip();
        let turn = world.turn(entries, &Reports::new());
        assert_eq!((turn.granted.len(), turn.refused.len()), (2, 1));
        assert_eq!(world.tables.services().count(), 2);
    }

    #[test]
    fn an_agent_speaks_for_its_own_tasks_and_never_downward_and_its_clock_does_not_count() {
        let mut world = World::new();
        world.turn(vec![create("web", 1).0], &Reports::new());
        let task = world.tables.tasks().next().expect("a task").clone();
        let mut report = |node: &str, state: TaskState| {
            let status = TaskStatus { timestamp: Some(Timestamp::MAX), state, ..TaskStatus::default() };
            let reports = Reports::from([((task.id.clone(), node.into()), status)]);
            world.turn(Vec::new(), &reports);
            world.tables.task(&task.id).expect("it is there").status.clone()
        };
        let other = ["a", "b", "c"].into_iter().find(|n| *n != task.node_id).expect("three nodes");
        assert_eq!(report(other, TaskState::Running).state, TaskState::Assigned);
        assert_eq!(report(&task.node_id, TaskState::Running).state, TaskState::Running);
        assert_eq!(report(&task.node_id, TaskState::Preparing).state, TaskState::Running);
        assert_eq!(report(&task.node_id, TaskState::Running).timestamp, Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_thousand_tasks_go_in_few_batches() {
        let mut world = World::new();
        let turn = world.turn(vec![create("web", 2500).0], &Reports::new());
        assert_eq!(turn.batches.len(), 3);
    }
}
