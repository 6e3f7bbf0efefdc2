//! # The climb: one rung at a time
//!
//! Each task on a node has a climber. It looks at the rung the task is on and at the rung the managers want it on, does the one thing
//! that leads to the next, says so, and looks again:
//!
//! ```text
//!              says            does                           else
//!   ASSIGNED   accepted
//!   ACCEPTED   preparing
//!   PREPARING  prepared        networks stand, prepare()      REJECTED
//!   READY      starting        waits until more is wanted
//!   STARTING   started         start(): runs and is healthy   FAILED
//!   RUNNING    finished        wait(): until it ends          FAILED     task: non-zero exit (1)
//!   wanted SHUTDOWN or REMOVE, from anywhere:  shutdown()     SHUTDOWN    (one that is being replaced is drained first)
//!   gone from the node's view:  remove()
//! ```
//!
//! [`next`] is the table as a function. What a verb was doing is dropped at once when the task is told to end: nobody waits for the
//! download of an image that is not wanted any more.
//!
//! Laws: a task never climbs down, and what is over stays over; its container stays too, for `logs` and for people, until the managers
//! have forgotten the task. *See:* swarmkit `agent/exec/controller.go`, `Do`. *Next room:* [`super::reporter`]

use super::{executor::Controller, ground::Ground, reporter::Reporter};
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::task::{Task, TaskState, TaskStatus};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// A container that cannot be removed is tried again so much later, and so often.
const REMOVE_AGAIN: Duration = Duration::from_secs(1);
const REMOVE_TRIES: u32 = 30;

/// Between the moment when nobody on this node sends new connections to a task any more and its stop signal: so long the other nodes
/// have to hear of it, and what was begun to be finished.
const DRAIN: Duration = Duration::from_millis(500);

/// What is wanted of a task, and the number of the view that says so; `None`: the managers have forgotten it.
pub type Wish = Option<(Arc<Task>, u64)>;

/// One task on its way.
pub struct Climber {
    pub id: String,
    pub controller: Arc<dyn Controller>,
    pub reporter: Arc<Reporter>,
    pub ground: Arc<Ground>,
    pub wish: watch::Receiver<Wish>,
    pub status: TaskStatus,
}

/// What leads to the next rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Say(TaskState, &'static str),
    Prepare,
    Start,
    Watch,
    End,
    Rest,
}

/// The step from a rung toward another.
pub fn next(state: TaskState, desired: TaskState) -> Step {
    match state {
        over if over.is_over() => Step::Rest,
        _ if desired > TaskState::Complete => Step::End,
        TaskState::Accepted => Step::Say(TaskState::Preparing, "preparing"),
        TaskState::Preparing => Step::Prepare,
        TaskState::Ready if desired <= TaskState::Ready => Step::Rest,
        TaskState::Ready => Step::Say(TaskState::Starting, "starting"),
        TaskState::Starting => Step::Start,
        TaskState::Running => Step::Watch,
        _ => Step::Say(TaskState::Accepted, "accepted"),
    }
}

impl Climber {
    /// Climbs until the task is forgotten and its container away.
    pub async fn climb(mut self) {
        if self.status.state.is_over() {
            self.let_rest().await;
        }
        loop {
            let Some((task, view)) = self.wish.borrow_and_update().clone() else { return self.remove().await };
            match next(self.status.state, task.desired_state) {
                Step::Say(state, message) => self.reach(state, message),
                Step::Prepare => {
                    let (ground, controller) = (self.ground.clone(), self.controller.clone());
                    let needs_networks = !task.networks.is_empty();
                    let work = async move {
                        if needs_networks {
                            ground.stands(view).await?; // what is wrong with networks is nobody else's business
                        }
                        controller.prepare().await
                    };
                    self.attempt(work, TaskState::Ready, "prepared").await;
                }
                Step::Start => {
                    let controller = self.controller.clone();
                    self.attempt(async move { controller.start().await }, TaskState::Running, "started").await;
                }
                Step::Watch => {
                    let controller = self.controller.clone();
                    self.attempt(async move { controller.wait().await }, TaskState::Complete, "finished").await;
                }
                Step::End => self.end(&task, view).await,
                Step::Rest => {
                    if self.wish.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Does what leads to `state`, unless the task is told to end meanwhile.
    async fn attempt(&mut self, work: impl Future<Output = Result<()>>, state: TaskState, message: &str) {
        let done = tokio::select! {
            biased;
            done = work => done,
            () = told_to_end(&mut self.wish) => return,
        };
        match done {
            Ok(()) => self.reach(state, message),
            Err(error) => self.fail(&error),
        }
    }

    async fn end(&mut self, task: &Task, view: u64) {
        let (controller, ground) = (self.controller.clone(), self.ground.clone());
        // one whose service goes has nobody who could take over; one that is too many (REMOVE, too) has
        let is_followed = task.desired_state == TaskState::Shutdown || ground.goes_on(&task.service_id);
        let drains = is_followed && !task.networks.is_empty() && self.status.state == TaskState::Running;
        let ending = async move {
            if drains {
                let _ = ground.stands(view).await; // it ends in any case
                tokio::time::sleep(DRAIN).await;
            }
            controller.shutdown().await
        };
        let ended = tokio::select! {
            ended = ending => ended,
            () = forgotten(&mut self.wish) => return,
        };
        match ended {
            Ok(()) => self.reach(TaskState::Shutdown, "shutdown"),
            Err(error) => self.fail(&error),
        }
    }

    /// The managers say that it is over: if its container thinks otherwise, because this node was away, it ends now.
    async fn let_rest(&self) {
        if let Err(error) = self.controller.terminate().await {
            tracing::warn!(task = self.id, "cannot end what should have ended: {}", error.message());
        }
    }

    async fn remove(&self) {
        for _ in 0..REMOVE_TRIES {
            match self.controller.remove().await {
                Ok(()) => break,
                Err(error) => tracing::warn!(task = self.id, "cannot remove its container: {}", error.message()),
            }
            tokio::time::sleep(REMOVE_AGAIN).await;
        }
        self.reporter.forget(&self.id);
    }

    fn reach(&mut self, state: TaskState, message: &str) {
        (self.status.state, self.status.message) = (state, message.to_string());
        self.tell();
    }

    /// REJECTED if it never ran, else FAILED; the message still says what was being done.
    fn fail(&mut self, error: &Error) {
        let ran = self.status.state >= TaskState::Starting;
        self.status.state = if ran { TaskState::Failed } else { TaskState::Rejected };
        self.status.err = error.message();
        self.tell();
    }

    fn tell(&mut self) {
        self.status.timestamp = Some(clock::now());
        if let Some(seen) = self.controller.status() {
            (self.status.container_status, self.status.port_status) = (Some(seen.container), seen.ports);
        }
        tracing::debug!(task = self.id, state = %self.status.state, err = self.status.err, "a task climbs");
        self.reporter.report(&self.id, self.status.clone());
    }
}

/// Returns when the task is wanted no more.
async fn told_to_end(wish: &mut watch::Receiver<Wish>) {
    let ends = |wish: &Wish| wish.as_ref().is_none_or(|(task, _)| task.desired_state > TaskState::Complete);
    if wish.wait_for(ends).await.is_err() {
        std::future::pending::<()>().await; // the agent ends, and with it this climber
    }
}

async fn forgotten(wish: &mut watch::Receiver<Wish>) {
    if wish.wait_for(Option::is_none).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_climbs_rung_by_rung_and_never_down() {
        for state in TaskState::ALL {
            for desired in TaskState::ALL {
                if let Step::Say(higher, _) = next(state, desired) {
                    assert!(higher > state, "{state} → {higher}");
                }
            }
            let told_to_end = next(state, TaskState::Shutdown);
            assert_eq!(told_to_end, if state.is_over() { Step::Rest } else { Step::End });
        }
        assert_eq!(next(TaskState::Ready, TaskState::Ready), Step::Rest);
        assert_eq!(next(TaskState::Ready, TaskState::Running), Step::Say(TaskState::Starting, "starting"));
        assert_eq!(next(TaskState::Running, TaskState::Complete), Step::Watch, "a job runs to its end");
    }
}
