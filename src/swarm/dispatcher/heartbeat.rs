//! # Heartbeat: alive, late, down
//!
//! Each node says that it lives once in a period (5 s unless asked otherwise); one that is silent for three periods is *down*, and
//! its tasks are replaced elsewhere. A node that speaks again is *ready* at once; what came back with it and is no longer wanted it is told to end.
//! After a day of silence its tasks are ORPHANED: nobody counts on them any more.
//!
//! A leader that has just been elected has heard of nobody, and gives everybody one such time and a little more before it judges: an agent
//! must notice first that the old leader is gone. Of one node it knows better: the leader before it was heard by all managers four times a second, so its silence
//! is counted from its last word, which was before the election.
//!
//! ```text
//!   last word of the old leader ──── 2.5 to 3 s ──── election ── a moment: no answer? ── three periods after its last word: down
//!   any other node                                   election ──── three periods and 6 s without a call ──────────────────► down
//! ```
//!
//! Laws: no node is down before it was silent for three periods; one that answers the new leader as a manager is given time to call as a node.
//! *See:* swarmkit `manager/dispatcher/dispatcher.go`, `DefaultHeartBeatPeriod`, `defaultGracePeriodMultiplier`.
//! *Next room:* [`crate::orchestrator`]

use crate::{
    orchestrator::Decision,
    store::{Action, Tables},
};
use jiff::{SignedDuration, Timestamp};
use minidock_spec::swarm::{
    node::{Node, NodeState},
    task::{Task, TaskState},
};
use std::collections::BTreeMap;

/// So many periods of silence.
const GRACE: i32 = 3;
/// And so much more for nodes that a new leader has not heard yet: they must notice first that the old one is gone.
const NEW_LEADER: SignedDuration = SignedDuration::from_secs(6);
/// The leader before this one has so long to answer the new one: its first heartbeat comes within 375 ms.
const ANSWER: SignedDuration = SignedDuration::from_millis(500);
/// After so long a node's tasks are given up.
const ORPHANED: SignedDuration = SignedDuration::from_hours(24);

/// When each node was last heard of by this leader.
#[derive(Debug)]
pub struct Beats {
    heard: BTreeMap<String, Timestamp>,
    /// When this leader began to listen.
    since: Timestamp,
    /// Who led before, and its last word.
    before: Option<(String, Timestamp)>,
}

impl Beats {
    pub fn new(since: Timestamp) -> Beats {
        Beats { heard: BTreeMap::new(), since, before: None }
    }

    /// Who led before, and when it last said anything, as a manager or as leader; a later word takes the place of an earlier one.
    pub fn led_before(&mut self, node: &str, last_word: Timestamp) {
        self.before = Some((node.to_string(), last_word));
    }

    pub fn hear(&mut self, node: &str, now: Timestamp) {
        self.heard.insert(node.to_string(), now);
    }

    /// It said good-bye: it need not be waited for.
    pub fn forget(&mut self, node: &str) {
        self.heard.insert(node.to_string(), Timestamp::MIN);
    }

    /// Who is down, who is back, and when to look again.
    pub fn judge(&self, tables: &Tables, now: Timestamp) -> Decision {
        let mut decision = Decision::default();
        let period = tables.cluster().map_or(5_000_000_000, |c| c.spec.dispatcher.heartbeat_period);
        let patience = SignedDuration::from_nanos(period) * GRACE;
        for node in tables.nodes() {
            let ends = match self.heard.get(&node.id) {
                Some(last) => (*last).max(Timestamp::UNIX_EPOCH) + patience,
                None => self.unheard(&node.id, patience),
            };
            let heard = self.heard.get(&node.id).is_some_and(|at| *at != Timestamp::MIN);
            let state = match now >= ends {
                true => NodeState::Down,
                false if heard => NodeState::Ready,
                false => node.status.state, // a new leader waits
            };
            if state != NodeState::Down {
                decision.wake_at(ends);
            }
            if state != node.status.state {
                decision.actions.push(Action::Put(with_state(node, state, now).into()));
            } else if state == NodeState::Down {
                give_up(tables, node, now, &mut decision);
            }
        }
        decision
    }

    /// Until when a node may be silent that has not called this leader yet.
    fn unheard(&self, node: &str, patience: SignedDuration) -> Timestamp {
        match &self.before {
            Some((id, last_word)) if id == node && *last_word < self.since => (*last_word + patience).max(self.since + ANSWER),
            _ => self.since + NEW_LEADER + patience,
        }
    }
}

fn with_state(node: &Node, state: NodeState, now: Timestamp) -> Node {
    let mut node = node.clone();
    node.status.state = state;
    node.status.since = Some(now);
    node.status.message = match state {
        NodeState::Down => "heartbeat failure".into(),
        _ => String::new(),
    };
    node
}

/// A node that has been down for a day: its tasks are orphans.
fn give_up(tables: &Tables, node: &Node, now: Timestamp, decision: &mut Decision) {
    let Some(since) = node.status.since else { return };
    if now.duration_since(since) < ORPHANED {
        return decision.wake_at(since + ORPHANED);
    }
    for task in tables.tasks_of_node(&node.id).filter(|t| t.occupies()) {
        let mut task = Task::clone(task);
        (task.status.state, task.status.timestamp) = (TaskState::Orphaned, Some(now));
        task.status.message = "its node has been down for too long".into();
        decision.put(task);
    }
}
