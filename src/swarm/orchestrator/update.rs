//! # Update: a few at a time, in the wanted order
//!
//! A place is *old* while the task wanted there was made of an earlier spec. The updater renews old places, `parallelism` of
//! them at once, and looks at the new tasks for `monitor` after they started:
//!
//! ```text
//!   stop-first    old: SHUTDOWN · new: READY ─(old has ended)─► RUNNING
//!   start-first   new: RUNNING ─(it runs)─► old: SHUTDOWN
//!
//!   updating ──all renewed, none failed──► completed
//!      │ more of the new ones failed than max_failure_ratio allows
//!      ├ pause      paused, until the next command
//!      ├ continue   on it goes
//!      └ rollback   the previous spec becomes the spec: rollback_started ──► rollback_completed (or rollback_paused)
//! ```
//!
//! Everything is read from the tables (which tasks are of which spec, since when they run, how they ended), so a new leader goes
//! on where the old one stopped.
//!
//! *See:* swarmkit `manager/orchestrator/update/updater.go`; Docker's `--update-*` flags. *Next room:* [`super::jobs`]

use super::{
    Context, Decision, nanoseconds,
    place::{Place, Places, is_current},
    task,
};
use crate::store::Action;
use jiff::{SignedDuration, Timestamp};
use minidock_spec::swarm::{
    service::{Service, UpdateConfig, UpdateStatus},
    task::{Task, TaskState},
};

/// One step of a rolling update, if one is under way or due.
pub fn roll(service: &Service, places: &mut Places, context: &mut Context, decision: &mut Decision) {
    let old: Vec<Place> = places.taken().into_iter().filter(|place| is_old(place, places, service)).collect();
    let status = service.update_status.as_ref();
    match status.map(|s| s.state.as_str()) {
        None if old.is_empty() => return,
        Some("paused" | "rollback_paused" | "completed" | "rollback_completed") if old.is_empty() => return,
        Some("paused" | "rollback_paused") => return,
        _ => {}
    }
    let begun = status.filter(|s| !s.state.ends_with("completed"));
    let since = begun.and_then(|s| s.started_at).unwrap_or(context.now);
    let back = begun.is_some_and(|s| s.state.starts_with("rollback"));
    let config = config(service, back);
    let round = Round { service, config: &config, since, back };
    if begun.is_none() {
        let status = UpdateStatus {
            state: "updating".into(),
            started_at: Some(context.now),
            completed_at: None,
            message: "update in progress".into(),
        };
        decision.actions.push(with_status(service, status));
    } else if let Some(failed) = round.too_many_failures(places)
        && let Some(action) = round.stop(&failed, context.now)
    {
        decision.actions.push(action);
        return;
    }
    round.finish_started(places);
    round.renew(&old, places, context, decision);
    if begun.is_some() && old.is_empty() {
        round.complete(places, context.now, decision);
    }
}

fn config(service: &Service, back: bool) -> UpdateConfig {
    let chosen = if back { &service.spec.rollback_config } else { &service.spec.update_config };
    chosen.clone().unwrap_or_default()
}

/// Nobody wanted there is of the present spec.
fn is_old(place: &Place, places: &Places, service: &Service) -> bool {
    let mut wanted = places.wanted(place).peekable();
    wanted.peek().is_some() && wanted.all(|t| !is_current(t, service))
}

fn with_status(service: &Service, status: UpdateStatus) -> Action {
    let mut service = service.clone();
    service.update_status = Some(status);
    Action::Put(service.into())
}

struct Round<'a> {
    service: &'a Service,
    config: &'a UpdateConfig,
    since: Timestamp,
    back: bool,
}

impl Round<'_> {
    fn is_new(&self, task: &Task) -> bool {
        is_current(task, self.service)
    }

    fn monitor(&self) -> SignedDuration {
        match self.config.monitor {
            0 => SignedDuration::from_secs(5),
            n => nanoseconds(n),
        }
    }

    /// A new task that failed too many came before; its ID.
    fn too_many_failures(&self, places: &Places) -> Option<String> {
        let all = places.all();
        let failed: Vec<&Task> = all.iter().filter_map(|place| places.tasks(place).find(|t| self.has_failed(t))).collect();
        let total = places.taken().len().max(1);
        let ratio = failed.len() as f32 / total as f32;
        (ratio > self.config.max_failure_ratio).then(|| failed.first().map(|t| t.id.clone())).flatten()
    }

    /// It is of this round and ended badly before it was trusted.
    fn has_failed(&self, task: &Task) -> bool {
        let ended = matches!(task.status.state, TaskState::Failed | TaskState::Rejected | TaskState::Complete);
        let of_round = task.created_at.is_some_and(|at| at >= self.since);
        let early = match (task.not_before.or(task.created_at), task.status.timestamp) {
            (Some(made), Some(at)) => at.duration_since(made) <= self.monitor() + SignedDuration::from_secs(30),
            _ => true,
        };
        self.is_new(task) && of_round && ended && early
    }

    /// What happens after too many failures; `None`: it goes on.
    fn stop(&self, failed: &str, now: Timestamp) -> Option<Action> {
        let status = |state: &str, message: String| UpdateStatus {
            state: state.into(),
            started_at: Some(self.since),
            completed_at: None,
            message,
        };
        match (self.config.failure_action.as_str(), self.back) {
            ("continue", _) => None,
            ("rollback", false) if self.service.previous_spec.is_some() => {
                let mut service = self.service.clone();
                // there is nothing to go back to from here: what failed is not what anybody would return to
                service.spec = service.previous_spec.take()?;
                service.spec_version.index += 1;
                let message = format!("update rolled back due to failure or early termination of task {failed}");
                service.update_status = Some(UpdateStatus { started_at: Some(now), ..status("rollback_started", message) });
                Some(Action::Put(service.into()))
            }
            (_, back) => {
                let state = if back { "rollback_paused" } else { "paused" };
                let message = format!("update paused due to failure or early termination of task {failed}");
                Some(with_status(self.service, status(state, message)))
            }
        }
    }

    /// start-first: where the new one runs the old one may go.
    fn finish_started(&self, places: &mut Places) {
        for place in places.all() {
            let runs = places.wanted(&place).any(|t| self.is_new(t) && t.status.state == TaskState::Running);
            let old: Vec<String> = places.wanted(&place).filter(|t| !self.is_new(t)).map(|t| t.id.clone()).collect();
            if runs {
                old.iter().for_each(|id| places.tell(&place, id, TaskState::Shutdown));
            }
        }
    }

    /// When it was known of a place what comes of it: its new task ran, or ended. One that failed holds up nobody else; whether it was one too
    /// many is the ratio's business, and its successor the restart policy's.
    fn outcome(&self, places: &Places, place: &Place) -> Option<Timestamp> {
        let over = |task: &&Task| self.is_new(task) && task.status.state >= TaskState::Running;
        places.tasks(place).filter(over).filter_map(|task| task.status.timestamp).min()
    }

    /// Renews as many old places as may be renewed now.
    fn renew(&self, old: &[Place], places: &mut Places, context: &mut Context, decision: &mut Decision) {
        let mut busy = 0;
        for place in places.all() {
            let mut tried = places.tasks(&place).filter(|t| self.is_new(t) && t.created_at.is_some_and(|at| at >= self.since));
            match (tried.next().is_some(), self.outcome(places, &place)) {
                (false, _) => {}
                (true, Some(at)) if at + nanoseconds(self.config.delay) <= context.now => {}
                (true, Some(at)) => {
                    busy += 1;
                    decision.wake_at(at + nanoseconds(self.config.delay));
                }
                (true, None) => busy += 1,
            }
        }
        let at_once = if self.config.parallelism == 0 { usize::MAX } else { self.config.parallelism as usize };
        for place in old.iter().take(at_once.saturating_sub(busy)) {
            if self.config.order == "start-first" {
                places.add(task::make(self.service, place, TaskState::Running, None, context));
            } else {
                places.tell_all(place, TaskState::Shutdown);
                places.add(task::make(self.service, place, TaskState::Ready, None, context));
            }
        }
    }

    /// All are new: when the last one has been looked at for long enough, it is done.
    fn complete(&self, places: &Places, now: Timestamp, decision: &mut Decision) {
        let mut newest = self.since;
        for place in places.taken() {
            if places.wanted(&place).any(|t| !self.is_new(t)) {
                return; // start-first: the old one still runs
            }
            let Some(at) = self.outcome(places, &place) else { return };
            newest = newest.max(at);
        }
        let trusted = newest + self.monitor();
        if trusted > now && !places.taken().is_empty() {
            return decision.wake_at(trusted);
        }
        let (state, message) = match self.back {
            true => ("rollback_completed", "rollback completed"),
            false => ("completed", "update completed"),
        };
        let status = UpdateStatus {
            state: state.into(),
            started_at: Some(self.since),
            completed_at: Some(now),
            message: message.into(),
        };
        decision.actions.push(with_status(self.service, status));
    }
}
