//! # What does this service still wait for?
//!
//! A service is done when every place has a task that runs (a job: when every place has one that completed) and no change is under way.
//! Whatever is missing is grouped by what it waits for, so that fifty tasks without a node are one line.
//!
//! *Next room:* [`super::leader`]

use super::{node_name, node_named, seconds, since, unready_network};
use crate::{
    orchestrator::place::{Place, is_current, suits},
    store::Tables,
};
use jiff::Timestamp;
use minidock_spec::swarm::{
    node::{Availability, NodeState},
    service::Service,
    task::{Task, TaskState},
    why::{ServiceWhy, Wait},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The answer for one service.
pub fn why(tables: &Tables, service: &Arc<Service>, now: Timestamp) -> ServiceWhy {
    let mode = &service.spec.mode;
    let goal = if mode.is_job() { TaskState::Complete } else { TaskState::Running };
    let iteration = service.job_status.map(|j| j.job_iteration);
    let mut places: BTreeMap<Place, Vec<&Arc<Task>>> = BTreeMap::new();
    for task in tables.tasks_of_service(&service.id).filter(|t| !mode.is_job() || t.job_iteration == iteration) {
        places.entry(Place::of(task, service)).or_default().push(task);
    }
    places.values_mut().for_each(|tasks| tasks.sort_by_key(|t| (t.created_at, t.id.clone())));
    let wanted = wanted(tables, service);
    let done = |place: &Place| places.get(place).is_some_and(|tasks| tasks.iter().any(|t| reached(t, goal)));
    let mut why = ServiceWhy {
        id: service.id.clone(),
        name: service.spec.name.clone(),
        mode: mode.name().into(),
        running: wanted.iter().filter(|place| done(place)).count() as u64,
        desired: wanted.len() as u64,
        ..ServiceWhy::default()
    };
    why.waits.extend(whole(tables, service));
    let mut groups: BTreeMap<String, (Vec<&Arc<Task>>, Vec<String>)> = BTreeMap::new();
    for place in wanted.iter().filter(|place| !done(place)) {
        let newest = places.get(place).and_then(|tasks| tasks.last().copied());
        let (what, commands) = missing(tables, service, newest, now);
        let group = groups.entry(what).or_insert_with(|| (Vec::new(), commands));
        group.0.extend(newest);
    }
    for (what, (tasks, commands)) in groups {
        let tasks: Vec<String> = tasks.iter().map(|t| t.id.clone()).collect();
        let count = match tasks.len() {
            0 => String::new(),
            1 => "1 task: ".into(),
            many => format!("{many} tasks: "),
        };
        why.waits.push(Wait { what: format!("{count}{what}"), tasks, commands });
    }
    why.waits.extend(change(service, &places, now));
    if mode.is_global() {
        why.waits.extend(left_out(tables, service));
    }
    let verb = if mode.is_job() { "completed" } else { "running" };
    let so_far = format!("{} of {} {verb}", why.running, why.desired);
    why.verdict = match (why.waits.is_empty(), why.desired) {
        (true, 0) => "it waits for nothing: nothing is wanted".into(),
        (true, _) => format!("it waits for nothing: {so_far}"),
        (false, _) => format!("{so_far}; it waits for {} more", things(why.waits.len())),
    };
    why
}

fn things(count: usize) -> String {
    if count == 1 { "one thing".into() } else { format!("{count} things") }
}

fn reached(task: &Task, goal: TaskState) -> bool {
    task.status.state == goal && (goal == TaskState::Complete || task.is_wanted())
}

/// The places that shall be filled.
fn wanted(tables: &Tables, service: &Service) -> BTreeSet<Place> {
    if service.spec.mode.is_global() {
        let fit = tables
            .nodes()
            .filter(|n| n.status.state == NodeState::Ready && n.spec.availability == Availability::Active && suits(n, service));
        return fit.map(|n| Place::Node(n.id.clone())).collect();
    }
    // a smaller scale may have left the higher slots
    let wanted = service.spec.mode.wanted();
    let filled: BTreeSet<Place> =
        tables.tasks_of_service(&service.id).filter(|t| t.is_wanted()).map(|t| Place::of(t, service)).collect();
    let free = (1..).map(Place::Slot).filter(|place| !filled.contains(place));
    let missing = (wanted as usize).saturating_sub(filled.len());
    let free: Vec<Place> = free.take(missing).collect();
    filled.into_iter().chain(free).collect()
}

/// What keeps the whole service back.
fn whole(tables: &Tables, service: &Service) -> Option<Wait> {
    unready_network(tables, service).map(|what| Wait { what, ..Wait::default() })
}

/// What an unfilled place waits for, by its newest task.
fn missing(tables: &Tables, service: &Service, newest: Option<&Arc<Task>>, now: Timestamp) -> (String, Vec<String>) {
    let name = &service.spec.name;
    let Some(task) = newest else { return ("tasks are made in the next round".into(), Vec::new()) };
    let node = node_named(tables, &task.node_id);
    let why_task = vec![format!("minidock why task {}", task.id)];
    let state = task.status.state;
    match state {
        TaskState::New => ("waiting for addresses".into(), why_task),
        TaskState::Allocated | TaskState::Pending if task.status.err.is_empty() => ("waiting for a node".into(), why_task),
        TaskState::Allocated | TaskState::Pending => (task.status.err.clone(), why_task),
        TaskState::Ready => match task.not_before {
            Some(at) if at > now => {
                let left = seconds(at.duration_since(now));
                (format!("waiting out the restart delay on {node}, {left} more"), vec![format!("minidock service ps {name}")])
            }
            _ => (format!("prepared on {node}, waiting until the task before it has ended"), Vec::new()),
        },
        TaskState::Starting => (format!("started on {node}, not healthy yet"), Vec::new()),
        TaskState::Running => (format!("running on {node}, to be completed"), Vec::new()),
        _ if state.is_over() && task.desired_state >= TaskState::Shutdown => {
            let condition = service.spec.task_template.restart_policy.clone().unwrap_or_default().condition;
            let err = if task.status.err.is_empty() { String::new() } else { format!(": {}", task.status.err) };
            let again = format!("ended ({state}) and is not tried again by the restart policy ({condition}){err}");
            (again, vec![format!("minidock service logs {name}"), format!("minidock service update --force {name}")])
        }
        _ => (format!("{state} on {node} since {}", since(task.status.timestamp, now)), why_task),
    }
}

/// A change under way, or one that was stopped.
fn change(service: &Service, places: &BTreeMap<Place, Vec<&Arc<Task>>>, now: Timestamp) -> Option<Wait> {
    let update = service.update_status.as_ref()?;
    let name = &service.spec.name;
    let all = places.values().filter(|tasks| tasks.iter().any(|t| t.is_wanted())).count();
    let renewed = |tasks: &&Vec<&Arc<Task>>| tasks.iter().any(|t| t.is_wanted() && is_current(t, service));
    let new = places.values().filter(renewed).count();
    match update.state.as_str() {
        "updating" | "rollback_started" => {
            let kind = if update.state == "updating" { "an update" } else { "a rollback" };
            let what = format!("{kind} is under way since {}: {new} of {all} are renewed", since(update.started_at, now));
            Some(Wait { what, commands: vec![format!("minidock service ps {name}")], ..Wait::default() })
        }
        "paused" | "rollback_paused" => Some(Wait {
            what: format!("somebody must decide, {new} of {all} are renewed: {}", update.message),
            commands: vec![
                format!("minidock service update --rollback {name}"),
                format!("minidock service update --force {name}"),
            ],
            ..Wait::default()
        }),
        _ => None,
    }
}

/// Nodes on which a global service would run if they were there.
fn left_out(tables: &Tables, service: &Service) -> Option<Wait> {
    let away = tables.nodes().filter(|n| suits(n, service)).filter(|n| n.status.state != NodeState::Ready);
    let names: Vec<&str> = away.map(|n| node_name(n)).collect();
    match names.is_empty() {
        true => None,
        false => Some(Wait {
            what: format!("nodes that are not there: {}", names.join(", ")),
            commands: vec!["minidock node ls".into()],
            ..Wait::default()
        }),
    }
}
