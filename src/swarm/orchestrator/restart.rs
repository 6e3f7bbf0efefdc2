//! # Restart: when, where and whether to try again
//!
//! A wanted task that has ended, or whose node is lost, is told to shut down; whether another takes its place is the restart
//! policy's business:
//!
//! | condition | ended well (COMPLETE) | ended badly | its node was lost |
//! |---|---|---|---|
//! | `any` (default) | again | again | elsewhere |
//! | `on-failure` | done | again | elsewhere |
//! | `none` | done | done | done, unless it was drained |
//!
//! `max_attempts` counts the ended tasks of the place with the same spec, within `window` if one is given; they are kept in the
//! tables for that ([`super::reaper`]), so that a new leader counts the same. The new task waits on READY for `delay` (5 s unless
//! asked otherwise), but one whose node was drained or lost does not: it has done nothing wrong.
//!
//! *See:* swarmkit `manager/orchestrator/restart/restart.go`. *Next room:* [`super::task`]

use super::{
    Context, nanoseconds,
    place::{Lost, Place, Places, is_current},
    task,
};
use jiff::Timestamp;
use minidock_spec::swarm::{
    service::Service,
    task::{RestartPolicy, Task, TaskState},
};

/// Docker's default delay.
const DELAY: i64 = 5_000_000_000;

/// Replaces what is broken, or lets the place be finished.
pub fn mend(service: &Service, places: &mut Places, context: &mut Context) {
    let policy = service.spec.task_template.restart_policy.clone().unwrap_or_default();
    for place in places.all() {
        let broken: Vec<Task> = places.wanted(&place).filter(|t| is_broken(t, places, context.now)).cloned().collect();
        for old in &broken {
            places.tell(&place, &old.id, TaskState::Shutdown);
        }
        if places.wanted(&place).next().is_some() {
            continue; // somebody else is there: the other half of an update
        }
        let last = match broken.last() {
            Some(last) => last.clone(),
            None => match places.tasks(&place).last() {
                // nobody is wanted here: did the last one leave by itself, with nothing to follow?
                Some(last) if ended_by_itself(last) && is_current(last, service) => last.clone(),
                _ => continue,
            },
        };
        if matches!(&place, Place::Node(id) if places.lost(id).is_some()) {
            continue; // a global service has no business on this node now
        }
        if !again(&policy, &last, places, &place, context.now) {
            places.finish(&place);
            continue;
        }
        let delay = nanoseconds(policy.delay.unwrap_or(DELAY));
        let waits = places.lost(&last.node_id).is_none();
        let not_before = waits.then(|| context.now + delay);
        places.add(task::make(service, &place, TaskState::Ready, not_before, context));
    }
}

/// One that could not be prepared while it waited for its turn is replaced when its turn comes: an image that does not exist
/// must not be asked for without pause.
fn is_broken(task: &Task, places: &Places, now: Timestamp) -> bool {
    let waits = task.desired_state == TaskState::Ready && task.not_before.is_some_and(|at| at > now);
    (task.status.state.is_over() && !waits) || (!task.node_id.is_empty() && places.lost(&task.node_id).is_some())
}

/// It was not told to end for an update or a smaller scale: it ended, and then was told so.
fn ended_by_itself(task: &Task) -> bool {
    task.desired_state == TaskState::Shutdown
        && matches!(task.status.state, TaskState::Complete | TaskState::Failed | TaskState::Rejected)
}

/// Shall there be another after `last`?
pub fn again(policy: &RestartPolicy, last: &Task, places: &Places, place: &Place, now: Timestamp) -> bool {
    let well = last.status.state == TaskState::Complete;
    let lost = !last.status.state.is_over();
    let wanted = match policy.condition.as_str() {
        "none" => lost && places.lost(&last.node_id) == Some(Lost::Drained),
        "on-failure" => !well,
        _ => true,
    };
    wanted && (policy.max_attempts == 0 || attempts(policy, last, places, place, now) < policy.max_attempts)
}

/// How often it was tried again already.
fn attempts(policy: &RestartPolicy, last: &Task, places: &Places, place: &Place, now: Timestamp) -> u64 {
    let window = policy.window.filter(|w| *w > 0).map(nanoseconds);
    let recent = |t: &&Task| match (window, t.status.timestamp) {
        (Some(window), Some(at)) => now.duration_since(at) < window,
        _ => true,
    };
    let ended = places.tasks(place).filter(|t| t.spec_version == last.spec_version && t.status.state.is_over());
    (ended.filter(recent).count() as u64).saturating_sub(1)
}
