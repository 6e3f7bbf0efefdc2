//! # Jobs: so many completions, then rest
//!
//! A job's tasks are meant to end. Each run of the job is an *iteration*, begun by making the service and by every update of it, whatever it changes. A
//! replicated job wants `total_completions` slots to end well, at most `max_concurrent` at once; a global job wants each fit node
//! to end well once. A task that fails is tried again as the restart policy says (a job's `any` means `on-failure`).
//!
//! *See:* swarmkit `manager/orchestrator/jobs`. *Next room:* [`super::reaper`]

use super::{
    Context, Decision, fit_nodes, nanoseconds,
    place::{Place, Places},
    restart, task,
};
use crate::store::Tables;
use minidock_spec::swarm::{
    Version,
    service::Service,
    task::{Task, TaskState},
};
use std::sync::Arc;

/// What is to be done for one job.
pub fn reconcile(tables: &Tables, service: &Arc<Service>, context: &mut Context) -> Decision {
    let mut decision = Decision::default();
    let mut places = Places::of(tables, service);
    let iteration = service.job_status.map(|j| j.job_iteration);
    for place in places.all() {
        let told: Vec<(String, TaskState)> =
            places.wanted(&place).filter_map(|t| Some((t.id.clone(), ends(t, &places, iteration)?))).collect();
        told.iter().for_each(|(id, desired)| places.tell(&place, id, *desired));
    }
    let wanted: Vec<Place> = match service.spec.mode.is_global() {
        true => fit_nodes(tables, service).into_iter().map(Place::Node).collect(),
        false => (1..=service.spec.mode.wanted()).map(Place::Slot).collect(),
    };
    let mut at_once = most_at_once(service, wanted.len());
    at_once = at_once.saturating_sub(wanted.iter().filter(|p| working(&places, p, iteration)).count());
    for place in wanted {
        if at_once == 0 {
            break;
        }
        if working(&places, &place, iteration) || is_done(&places, &place, iteration) {
            continue;
        }
        let last = places.tasks(&place).filter(|t| t.job_iteration == iteration).last().cloned();
        let Some(not_before) = when(service, last.as_ref(), &places, &place, context) else { continue };
        let (place, mut task) = task::make(service, &place, TaskState::Complete, None, context);
        if let Some(at) = not_before.filter(|at| *at > context.now) {
            decision.wake_at(at);
            continue;
        }
        task.not_before = not_before;
        places.add((place, task));
        at_once -= 1;
    }
    places.changed_into(&mut decision);
    decision
}

/// How a task that is wanted no more is told to end: what an earlier iteration left under way, what has failed, and what is on a node
/// from which nothing can be expected; should that node come back, the work would otherwise be done twice.
fn ends(task: &Task, places: &Places, iteration: Option<Version>) -> Option<TaskState> {
    let lost = !task.node_id.is_empty() && places.lost(&task.node_id).is_some();
    match task.status.state {
        TaskState::Complete => None,
        over if over.is_over() => Some(TaskState::Shutdown),
        _ if task.job_iteration != iteration => Some(TaskState::Remove),
        _ if lost => Some(TaskState::Shutdown),
        _ => None,
    }
}

/// When the next try in a place may begin; `None`: never.
fn when(
    service: &Service,
    last: Option<&Task>,
    places: &Places,
    place: &Place,
    context: &Context,
) -> Option<Option<jiff::Timestamp>> {
    let Some(last) = last else { return Some(None) };
    let mut policy = service.spec.task_template.restart_policy.clone().unwrap_or_default();
    if policy.condition == "any" {
        policy.condition = "on-failure".into();
    }
    let ended = last.status.timestamp.unwrap_or(context.now);
    restart::again(&policy, last, places, place, context.now)
        .then(|| Some(ended + nanoseconds(policy.delay.unwrap_or(5_000_000_000))))
}

fn most_at_once(service: &Service, all: usize) -> usize {
    match service.spec.mode.replicated_job {
        Some(job) => job.max_concurrent.map_or(1, |n| n.max(1) as usize),
        None => all,
    }
}

/// A task of this iteration is under way, on a node that is not lost.
fn working(places: &Places, place: &Place, iteration: Option<Version>) -> bool {
    places.wanted(place).any(|t| {
        t.job_iteration == iteration && !t.status.state.is_over() && (t.node_id.is_empty() || places.lost(&t.node_id).is_none())
    })
}

fn is_done(places: &Places, place: &Place, iteration: Option<Version>) -> bool {
    places.tasks(place).any(|t| t.job_iteration == iteration && t.status.state == TaskState::Complete)
}
