//! # Slowly: what the scheduler must come to
//!
//! The same choice without lines, heaps and trees: every task looks at every node and takes the best. It is what the words of
//! [`super::spread`] say, and takes too long. The quick way is to come to the same, task by task, refusal by refusal, in
//! whatever swarm: with nodes that drain, are small, hold ports or have failed, and with groups that ask the same or not.

use super::{
    filter::{self, Reason, Wish},
    *,
};
use crate::store::Batch;
use minidock_spec::swarm::{
    generic::GenericResource,
    node::{Availability, Node, NodeState},
    service::EndpointPort,
    task::{Amounts, Placement, PlacementPreference, Platform, ResourceRequirements, Spread, TaskSpec},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What became of each task that waited: its node, and what it was given or told.
type Outcome = BTreeMap<String, (String, Vec<GenericResource>, String)>;

fn slowly(tables: &Tables) -> Outcome {
    let (mut machines, mut outcome) = (Machines::of(tables), Outcome::new());
    let mut groups: BTreeMap<(&str, u64), Vec<&Arc<Task>>> = BTreeMap::new();
    for task in tables.tasks_waiting().filter(|t| waits(t)) {
        groups.entry((&task.service_id, task.spec_version.index)).or_default().push(task);
    }
    for tasks in groups.values() {
        for task in tasks.iter().filter(|t| !t.node_id.is_empty()) {
            let at = machines.place(&task.node_id);
            let refused = at.map_or(Some(Reason::NotReady), |at| filter::check(&Wish::of(task), machines.at(at)).err());
            let why = refused.map(|reason| filter::explain(&[(reason, 1)]));
            outcome.insert(task.id.clone(), take(task, at.ok_or_else(String::new), why, &mut machines));
        }
        let free: Vec<_> = tasks.iter().filter(|t| t.node_id.is_empty()).collect();
        let Some(wish) = free.first().map(|t| Wish::of(t)) else { continue };
        let fits = |at: &usize, machines: &Machines| filter::check(&wish, machines.at(*at)).is_ok();
        let fit: Vec<usize> = (0..machines.iter().count()).filter(|at| fits(at, &machines)).collect();
        for task in free {
            let best = best(&wish, &wish.preferences, &fit, &machines);
            let why = || filter::no_suitable_node(&filter::count(&wish, &machines));
            let best = best.ok_or_else(why);
            outcome.insert(task.id.clone(), take(task, best, None, &mut machines));
        }
    }
    outcome
}

/// Of these, the best that still fits.
fn best(wish: &Wish, preferences: &[String], fit: &[usize], machines: &Machines) -> Option<usize> {
    let Some((descriptor, rest)) = preferences.split_first() else {
        let rank = |at: &usize| {
            let m = machines.at(*at);
            (m.is_unlucky(&wish.service, wish.spec, Timestamp::UNIX_EPOCH), m.count(&wish.service), m.lasting, *at)
        };
        return fit.iter().copied().filter(|at| filter::check(wish, machines.at(*at)).is_ok()).min_by_key(rank);
    };
    let mut parts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    fit.iter().for_each(|at| parts.entry(spread::value(descriptor, &machines.at(*at).node).to_string()).or_default().push(*at));
    let mut order: Vec<(usize, String, Vec<usize>)> = parts
        .into_iter()
        .map(|(value, part)| (part.iter().map(|at| machines.at(*at).count(&wish.service)).sum(), value, part))
        .collect();
    order.sort();
    order.iter().find_map(|(.., part)| best(wish, rest, part, machines))
}

/// The task goes there, unless somebody says why not.
fn take(
    task: &Arc<Task>,
    place: Result<usize, String>,
    why: Option<String>,
    machines: &mut Machines,
) -> (String, Vec<GenericResource>, String) {
    match (place, why) {
        (Ok(at), None) => {
            let mut task = Task::clone(task);
            task.node_id = machines.at(at).node.id.clone();
            task.generic_resources = machines.at(at).choose_things(&node_info::reserved(&task).generic);
            task.status.state = TaskState::Assigned;
            machines.take(at, &task);
            (task.node_id, task.generic_resources, String::new())
        }
        (_, Some(why)) | (Err(why), None) => (task.node_id.clone(), Vec::new(), why),
    }
}

/// Some node: every number chooses something of it.
fn node(id: usize, [cpus, rack, state, bears, arch, gpus]: [u8; 6]) -> Node {
    let mut node = Node { id: format!("n{id}"), ..Node::default() };
    node.status.state = if state == 1 { NodeState::Down } else { NodeState::Ready };
    node.spec.availability = if state == 2 { Availability::Drain } else { Availability::Active };
    node.spec.labels = (1..3).contains(&rack).then(|| ("rack".into(), rack.to_string())).into_iter().collect();
    node.description.hostname = format!("h{}", id % 3);
    node.description.platform.architecture = if arch == 0 { "aarch64" } else { "x86_64" }.into();
    let generic = vec![GenericResource::discrete("gpu", gpus.into())];
    node.description.resources =
        Amounts { nano_cpus: i64::from(cpus) * 1_000_000_000, memory_bytes: 1 << 40, pids: i64::from(bears), generic };
    node
}

/// What a service asks for.
fn spec([halves, constraint, preferences, max_replicas, arch, gpus]: [u8; 6]) -> TaskSpec {
    let spread = |descriptor: &&str| PlacementPreference { spread: Some(Spread { spread_descriptor: descriptor.to_string() }) };
    let generic = if gpus == 1 { vec![GenericResource::discrete("gpu", 1)] } else { Vec::new() };
    let reservations = Some(Amounts { nano_cpus: i64::from(halves) * 500_000_000, generic, ..Amounts::default() });
    let platform = Platform { architecture: "amd64".into(), ..Platform::default() };
    let placement = Placement {
        constraints: ["node.labels.rack==1", "node.labels.rack!=2"]
            .get(usize::from(constraint))
            .map(|c| c.to_string())
            .into_iter()
            .collect(),
        preferences: ["node.labels.rack", "node.hostname"]
            .iter()
            .take(preferences.saturating_sub(2).into())
            .map(spread)
            .collect(),
        max_replicas: max_replicas.saturating_sub(2).into(),
        platforms: (arch == 1).then_some(platform).into_iter().collect(),
    };
    TaskSpec {
        placement: Some(placement),
        resources: Some(ResourceRequirements { reservations, limits: None }),
        ..TaskSpec::default()
    }
}

type Kinds = Vec<([u8; 6], u8)>;

/// Some task of one of the services, waiting or already somewhere.
fn task(id: usize, services: &Kinds, [service, version, state, at, bound]: [u8; 5]) -> Task {
    let service = usize::from(service) % services.len();
    let (kind, port) = &services[service];
    let mut task = Task { id: format!("t{id:03}"), service_id: format!("s{service}"), spec: spec(*kind), ..Task::default() };
    task.spec_version.index = u64::from(version / 6);
    (task.status.state, task.desired_state) = match state {
        0 => (TaskState::Running, TaskState::Running),
        1 => (TaskState::Running, TaskState::Shutdown),
        2 | 3 => (TaskState::Failed, TaskState::Shutdown),
        _ => (TaskState::Pending, TaskState::Running),
    };
    task.status.timestamp = Some(Timestamp::UNIX_EPOCH);
    if task.status.state != TaskState::Pending || bound == 0 {
        task.node_id = format!("n{}", if state == 3 { 0 } else { at });
    }
    if *port < 2 {
        let held =
            EndpointPort { published_port: 80 + u32::from(*port), publish_mode: "host".into(), ..EndpointPort::default() };
        task.endpoint_ports.push(held);
    }
    task
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_plan_is_the_one_that_a_look_at_every_node_for_every_task_comes_to(
        nodes in prop::collection::vec((0u8..8, 0u8..4, 0u8..8, 0u8..9, 0u8..4, 0u8..3).prop_map(<[u8; 6]>::from), 1..9),
        services in prop::collection::vec(((0u8..3, 0u8..6, 0u8..5, 0u8..5, 0u8..4, 0u8..8).prop_map(<[u8; 6]>::from), 0u8..8), 1..7),
        rounds in prop::collection::vec(prop::collection::vec((0u8..7, 0u8..8, 0u8..16, 0u8..9, 0u8..9).prop_map(<[u8; 5]>::from), 0..40), 2),
    ) {
        let mut tables = Tables::default();
        let mut machines = Machines::default();
        let write = |tables: &mut Tables, machines: &mut Machines, actions: Vec<Action>| {
            let changes = tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
            changes.iter().for_each(|change| machines.note(change));
        };
        let rows = nodes.iter().enumerate().map(|(id, kind)| Action::Put(node(id, *kind).into())).collect();
        write(&mut tables, &mut machines, rows);
        for (nth, tasks) in rounds.into_iter().enumerate() {
            let rows = tasks.into_iter().enumerate().map(|(id, kind)| Action::Put(task(100 * nth + id, &services, kind).into()));
            write(&mut tables, &mut machines, rows.collect());
            let wanted = slowly(&tables);
            let plan = schedule(&tables, &mut machines, Timestamp::UNIX_EPOCH);
            prop_assert_eq!(&machines, &Machines::of(&tables));
            write(&mut tables, &mut machines, plan.actions);
            let became = |id: &String| {
                let task = tables.task(id).expect("it is there");
                (id.clone(), (task.node_id.clone(), task.generic_resources.clone(), task.status.err.clone()))
            };
            prop_assert_eq!(wanted.keys().map(became).collect::<Outcome>(), wanted);
        }
    }
}
