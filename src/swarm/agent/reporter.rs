//! # The reporter: statuses upward, newest wins
//!
//! Tasks climb faster than a manager can write down. The reporter keeps the newest status of each task, and which of them the leader
//! has not heard yet; whoever holds the session takes all of these at once. A task that climbed three rungs meanwhile is told as on
//! the third: nobody needs the first two.
//!
//! A leader that hears a status has not yet made it safe, and nothing says when it has. So every new session begins by telling the
//! newest status of every task again; what the managers know already costs them nothing.
//!
//! Laws: a status that was reported is told at least once to every leader this node speaks with, in order.
//! *See:* swarmkit `agent/reporter.go`. *Next room:* [`super::session`]

use minidock_spec::swarm::task::TaskStatus;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// So many are told at once.
const BATCH: usize = 1000;

/// The newest status of every task of this node.
#[derive(Default)]
pub struct Reporter {
    known: Mutex<Known>,
    more: Notify,
}

#[derive(Default)]
struct Known {
    newest: BTreeMap<String, TaskStatus>,
    /// Of these the leader has not heard.
    untold: BTreeSet<String>,
}

impl Reporter {
    /// A task has climbed.
    pub fn report(&self, task: &str, status: TaskStatus) {
        let mut known = self.known();
        known.newest.insert(task.to_string(), status);
        known.untold.insert(task.to_string());
        drop(known);
        self.more.notify_one();
    }

    /// The managers have no such task any more.
    pub fn forget(&self, task: &str) {
        let mut known = self.known();
        known.newest.remove(task);
        known.untold.remove(task);
    }

    /// Somebody else listens from now on: everything is to be told again.
    pub fn again(&self) {
        let mut known = self.known();
        known.untold = known.newest.keys().cloned().collect();
        drop(known);
        self.more.notify_one();
    }

    /// Waits for something to tell and takes it. Whoever takes it and cannot tell it must say [`Reporter::again`].
    pub async fn next(&self) -> Vec<(String, TaskStatus)> {
        loop {
            let batch = self.take();
            if !batch.is_empty() {
                return batch;
            }
            self.more.notified().await;
        }
    }

    fn take(&self) -> Vec<(String, TaskStatus)> {
        let mut known = self.known();
        let ids: Vec<String> = known.untold.iter().take(BATCH).cloned().collect();
        ids.into_iter()
            .filter_map(|id| {
                known.untold.remove(&id);
                let status = known.newest.get(&id)?.clone();
                Some((id, status))
            })
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::task::TaskState;

    fn at(state: TaskState) -> TaskStatus {
        TaskStatus { state, ..TaskStatus::default() }
    }

    #[tokio::test]
    async fn only_the_newest_status_is_told_and_a_new_listener_hears_all() {
        let reporter = Reporter::default();
        reporter.report("a", at(TaskState::Accepted));
        reporter.report("a", at(TaskState::Running));
        reporter.report("b", at(TaskState::Ready));
        let told = reporter.next().await;
        assert_eq!(told, [("a".to_string(), at(TaskState::Running)), ("b".to_string(), at(TaskState::Ready))]);
        reporter.report("b", at(TaskState::Running));
        assert_eq!(reporter.next().await.len(), 1);
        reporter.forget("a");
        reporter.again();
        assert_eq!(reporter.next().await, [("b".to_string(), at(TaskState::Running))]);
    }
}
