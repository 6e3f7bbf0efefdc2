//! # The worker: what this node was told, and a climber for each task
//!
//! News from the leader are taken in here: the view grows or shrinks, new tasks get a climber, changed wishes are passed on, tasks that
//! vanished are let go. The first news of a session hold everything, so that whatever else is found on this machine (containers of
//! tasks that were given to others while it was away) is known to be stale, and removed.
//!
//! *See:* swarmkit `agent/worker.go`. *Next room:* [`super::climb`]

use super::{
    climb::{Climber, Wish},
    executor::{Executor, Files, Here},
    ground::Ground,
    reporter::Reporter,
};
use crate::dispatcher::{Delta, View};
use minidock_base::clock;
use minidock_spec::swarm::task::{Task, TaskState, TaskStatus};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// One node's tasks.
pub struct Worker {
    pub executor: Arc<dyn Executor>,
    pub here: Here,
    pub reporter: Arc<Reporter>,
    pub ground: Arc<Ground>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    view: View,
    climbers: BTreeMap<String, (watch::Sender<Wish>, AbortOnDropHandle<()>)>,
    /// They only clear away what is left.
    leaving: Vec<AbortOnDropHandle<()>>,
}

impl Worker {
    pub fn new(executor: Arc<dyn Executor>, here: Here) -> Worker {
        Worker { executor, here, reporter: Arc::default(), ground: Arc::default(), told: Mutex::default() }
    }

    /// Takes in news; `whole`: what is not in them is not wanted here.
    pub fn hear(self: &Arc<Self>, news: Delta, whole: bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = &mut *told;
        let mut changed: Vec<Arc<Task>> = news.set.tasks.values().cloned().collect();
        if whole {
            told.view = View::default();
        }
        told.view.apply(news);
        let number = self.ground.want(&told.view);
        let gone: Vec<String> = told.climbers.keys().filter(|id| !told.view.tasks.contains_key(*id)).cloned().collect();
        for id in gone {
            if let Some((wish, climber)) = told.climbers.remove(&id) {
                wish.send_replace(None);
                told.leaving.push(climber);
            }
        }
        told.leaving.retain(|climber| !climber.is_finished());
        changed.sort_by_key(|task| task.created_at); // who waited longest climbs first
        for task in changed {
            match told.climbers.get(&task.id) {
                Some((wish, _)) => drop(wish.send_replace(Some((task, number)))),
                None => self.begin(told, task, number),
            }
        }
        if whole {
            self.clear_away(told);
        }
    }

    /// A climber for a task that is new here.
    fn begin(&self, told: &mut Told, task: Arc<Task>, number: u64) {
        let files = granted(&told.view, &task);
        let controller = match self.executor.controller(task.clone(), self.here.clone(), files) {
            Ok(controller) => controller,
            Err(error) => {
                let (timestamp, state) = (Some(clock::now()), TaskState::Rejected);
                let message = "preparing".to_string();
                let status = TaskStatus { timestamp, state, message, err: error.message(), ..TaskStatus::default() };
                return self.reporter.report(&task.id, status);
            }
        };
        let (id, status) = (task.id.clone(), task.status.clone());
        let (wish, wished) = watch::channel(Some((task, number)));
        let climber = Climber {
            id: id.clone(),
            controller,
            reporter: self.reporter.clone(),
            ground: self.ground.clone(),
            wish: wished,
            status,
        };
        let climbing = AbortOnDropHandle::new(tokio::spawn(climber.climb()));
        told.climbers.insert(id, (wish, climbing));
    }

    /// Removes the containers of tasks that are not this node's any more.
    fn clear_away(self: &Arc<Self>, told: &mut Told) {
        let (worker, wanted) = (self.clone(), told.view.tasks.clone());
        told.leaving.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let known = worker.executor.known().await.unwrap_or_default();
            for stale in known.into_iter().filter(|id| !wanted.contains_key(id)) {
                let is_new = || {
                    let told = worker.told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.view.tasks.contains_key(&stale)
                };
                if !is_new() {
                    tracing::info!(task = stale, "a task is not of this node any more: its container goes");
                    discard(worker.executor.as_ref(), &stale).await;
                }
            }
        })));
    }
}

/// Removes a task's container; what cannot be removed is told in the log.
pub async fn discard(executor: &dyn Executor, task: &str) {
    if let Err(error) = executor.discard(task).await {
        tracing::warn!(task, "cannot remove its container: {}", error.message());
    }
}

/// The secrets and configs that a task was granted.
fn granted(view: &View, task: &Task) -> Files {
    let Some(container) = &task.spec.container_spec else { return Files::default() };
    let secrets = container.secrets.iter().filter_map(|r| view.secrets.get_key_value(&r.secret_id));
    let configs = container.configs.iter().filter_map(|r| view.configs.get_key_value(&r.config_id));
    let copy = |(id, file): (&String, &minidock_spec::swarm::secret::Secret)| (id.clone(), file.clone());
    Files { secrets: secrets.map(copy).collect(), configs: configs.map(copy).collect() }
}
