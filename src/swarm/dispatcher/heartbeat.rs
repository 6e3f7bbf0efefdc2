//! # Heartbeat: alive, late, down
//!
//! Each node says that it lives once in a period (5 s unless asked otherwise); one that is silent for three periods is *down*, and
//! its tasks are replaced elsewhere. A leader that has just been elected has heard of nobody: it gives everybody one such time
//! and a little more before it judges. A node that speaks again is *ready* at once; what came back with it and is no longer wanted it is told to end.
//! After a day of silence its tasks are ORPHANED: nobody counts on them any more.
//!
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
/// After so long a node's tasks are given up.
const ORPHANED: SignedDuration = SignedDuration::from_hours(24);

/// When each node was last heard of by this leader.
#[derive(Debug)]
pub struct Beats {
    heard: BTreeMap<String, Timestamp>,
    /// When this leader began to listen.
    since: Timestamp,
}

impl Beats {
    pub fn new(since: Timestamp) -> Beats {
        Beats { heard: BTreeMap::new(), since }
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
            let last = self.heard.get(&node.id).copied().unwrap_or(self.since + NEW_LEADER);
            let silent = now.duration_since(last.max(Timestamp::UNIX_EPOCH));
            let heard = self.heard.get(&node.id).is_some_and(|at| *at != Timestamp::MIN);
            let state = match silent >= patience {
                true => NodeState::Down,
                false if heard => NodeState::Ready,
                false => node.status.state, // a new leader waits
            };
            if state != NodeState::Down {
                decision.wake_at(last + patience);
            }
            if state != node.status.state {
                decision.actions.push(Action::Put(with_state(node, state, now).into()));
            } else if state == NodeState::Down {
                give_up(tables, node, now, &mut decision);
            }
        }
        decision
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
