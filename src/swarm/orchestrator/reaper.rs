//! # The reaper: how much history to keep
//!
//! Ended tasks are kept a while, for people (`service ps`) and for the restart policy, which counts them. Each place keeps
//! `task_history_retention_limit` tasks (5 unless asked otherwise), or as many as `max_attempts` needs; a task that was told
//! to be *removed* goes as soon as its container has ended, or at once if no node ever had it.
//!
//! *See:* swarmkit `manager/orchestrator/taskreaper`. *Next room:* [`crate::allocator`]

use super::place::Place;
use crate::store::{Action, Table, Tables};
use minidock_spec::swarm::{
    service::Service,
    task::{Task, TaskState},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Rows of these services that nobody needs any more; the one without an ID has the places of people's containers on networks.
pub fn reap<'a>(tables: &Tables, services: impl IntoIterator<Item = &'a String>) -> Vec<Action> {
    let limit = tables.cluster().map_or(5, |c| c.spec.orchestration.task_history_retention_limit);
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    for id in services {
        let gone = tables.tasks_of_service(id).filter(|t| is_removed(t) || is_left(tables, t));
        ids.extend(gone.map(|t| t.id.as_str()));
        if let Some(service) = tables.service(id).filter(|_| limit >= 0) {
            ids.extend(surplus(tables, service, limit as usize).into_iter().map(|t| t.id.as_str()));
        }
    }
    ids.into_iter().map(|id| Action::Delete(Table::Task, id.to_string())).collect()
}

fn is_removed(task: &Task) -> bool {
    task.desired_state == TaskState::Remove && (task.status.state.is_over() || task.status.state < TaskState::Assigned)
}

/// A container's place on a network that the container has left, or whose machine is no node any more: nobody asks for its history.
fn is_left(tables: &Tables, task: &Task) -> bool {
    task.spec.network_attachment_spec.is_some() && (task.status.state.is_over() || tables.node(&task.node_id).is_none())
}

/// The oldest ended tasks of places that have too many.
fn surplus<'a>(tables: &'a Tables, service: &Arc<Service>, limit: usize) -> Vec<&'a Arc<Task>> {
    let attempts = service.spec.task_template.restart_policy.as_ref().map_or(0, |p| p.max_attempts as usize);
    let keep = if attempts > 0 { limit.max(attempts + 2) } else { limit.max(1) };
    let iteration = service.job_status.map(|j| j.job_iteration);
    let mut places: BTreeMap<Place, Vec<&Arc<Task>>> = BTreeMap::new();
    for task in tables.tasks_of_service(&service.id) {
        places.entry(Place::of(task, service)).or_default().push(task);
    }
    let mut gone = Vec::new();
    for mut tasks in places.into_values().filter(|tasks| tasks.len() > keep) {
        tasks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let too_many = tasks.len() - keep;
        let last = tasks.last().map(|t| t.id.clone());
        // what a job's earlier iteration completed is wanted complete for ever
        let past = |t: &Task| !t.is_wanted() || t.job_iteration != iteration;
        let ended = tasks.into_iter().filter(|t| t.status.state.is_over() && past(t) && Some(&t.id) != last.as_ref());
        gone.extend(ended.take(too_many));
    }
    gone
}
