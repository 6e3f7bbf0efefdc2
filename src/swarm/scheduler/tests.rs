//! # The scheduler, as tables and as properties

use super::*;
use crate::store::{Batch, Table, Tables};
use minidock_spec::swarm::{
    generic::GenericResource,
    node::{Availability, Node, NodeState},
    service::EndpointPort,
    task::{Amounts, Placement, PlacementPreference, ResourceRequirements, Spread, TaskSpec},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn node(id: &str, cpus: i64, rack: &str) -> Node {
    let mut node = Node { id: id.into(), ..Node::default() };
    node.status.state = NodeState::Ready;
    node.description.resources = Amounts { nano_cpus: cpus * 1_000_000_000, memory_bytes: 1 << 40, ..Amounts::default() };
    node.description.hostname = id.into();
    if !rack.is_empty() {
        node.spec.labels.insert("rack".into(), rack.into());
    }
    node
}

fn task(id: usize, service: &str, spec: TaskSpec) -> Task {
    let mut task = Task { id: format!("t{id:05}"), service_id: service.into(), slot: id as u64 + 1, spec, ..Task::default() };
    (task.status.state, task.desired_state) = (TaskState::Pending, TaskState::Running);
    task
}

fn reserve(cpus: f64) -> TaskSpec {
    let wanted = Amounts { nano_cpus: (cpus * 1e9) as i64, ..Amounts::default() };
    TaskSpec { resources: Some(ResourceRequirements { reservations: Some(wanted), limits: None }), ..TaskSpec::default() }
}

fn tables(nodes: Vec<Node>, tasks: Vec<Task>) -> Tables {
    let mut tables = Tables::default();
    let rows: Vec<Row> = nodes.into_iter().map(Row::from).chain(tasks.into_iter().map(Row::from)).collect();
    put(&mut tables, rows.into_iter().map(Action::Put).collect());
    tables
}

fn put(tables: &mut Tables, actions: Vec<Action>) {
    tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
}

/// Schedules and applies; then tasks per node.
fn run(tables: &mut Tables) -> BTreeMap<String, usize> {
    let mut machines = Machines::of(tables);
    let plan = schedule(tables, &mut machines, Timestamp::UNIX_EPOCH);
    assert_eq!(machines, Machines::of(tables), "what is not written yet does not count");
    put(tables, plan.actions);
    let mut counts = BTreeMap::new();
    for task in tables.tasks().filter(|t| t.status.state == TaskState::Assigned) {
        *counts.entry(task.node_id.clone()).or_default() += 1;
    }
    counts
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter().map(|(n, c)| (n.to_string(), *c)).collect()
}

#[test]
fn a_node_is_given_no_more_tasks_than_it_can_bear() {
    let bears = |id: &str, tasks: i64| {
        let mut node = node(id, 4, "");
        node.description.resources.pids = tasks;
        node
    };
    let tasks = (0..10_000).map(|id| task(id, "many", TaskSpec::default())).collect();
    let mut tables = tables(vec![bears("a", 300), bears("b", 100)], tasks);
    assert_eq!(run(&mut tables), counts(&[("a", 300), ("b", 100)]));
    let waiting = tables.tasks().find(|t| t.status.state == TaskState::Pending).expect("most wait");
    assert_eq!(waiting.status.err, "no suitable node (as many tasks as it can bear on 2 nodes)");
}

#[test]
fn a_service_spreads_before_a_node_fills() {
    let nodes = vec![node("a", 8, ""), node("b", 8, ""), node("c", 8, "")];
    let mut tables = tables(nodes, (0..7).map(|n| task(n, "web", TaskSpec::default())).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 3), ("b", 2), ("c", 2)]));
}

#[test]
fn preferences_spread_over_racks_however_many_nodes_each_has() {
    let mut spec = TaskSpec::default();
    let preference = PlacementPreference { spread: Some(Spread { spread_descriptor: "node.labels.rack".into() }) };
    spec.placement = Some(Placement { preferences: vec![preference], ..Placement::default() });
    let nodes = vec![node("a", 8, "1"), node("b", 8, "1"), node("c", 8, "1"), node("d", 8, "2")];
    let mut tables = tables(nodes, (0..6).map(|n| task(n, "web", spec.clone())).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 1), ("b", 1), ("c", 1), ("d", 3)]));
}

#[test]
fn what_does_not_fit_says_why_node_by_node() {
    let mut drained = node("b", 8, "");
    drained.spec.availability = Availability::Drain;
    let mut tables = tables(vec![node("a", 1, ""), drained, node("c", 1, "")], vec![task(0, "big", reserve(2.0))]);
    assert!(run(&mut tables).is_empty());
    let waiting = tables.task("t00000").expect("it is there");
    let why = "no suitable node (1 node not available for new tasks; insufficient resources on 2 nodes)";
    assert_eq!((waiting.status.state, waiting.status.err.as_str()), (TaskState::Pending, why));
    assert!(run(&mut tables).is_empty(), "asked again, the same is said");
}

#[test]
fn a_host_port_is_given_once_on_each_node() {
    let mut tasks: Vec<Task> = (0..3).map(|n| task(n, "web", TaskSpec::default())).collect();
    for task in &mut tasks {
        let port =
            EndpointPort { target_port: 80, published_port: 8080, publish_mode: "host".into(), ..EndpointPort::default() };
        task.endpoint_ports.push(port);
    }
    let mut tables = tables(vec![node("a", 8, ""), node("b", 8, "")], tasks);
    assert_eq!(run(&mut tables), counts(&[("a", 1), ("b", 1)]));
    let waiting = tables.tasks().find(|t| t.status.state == TaskState::Pending).expect("one waits");
    assert_eq!(waiting.status.err, "no suitable node (host-mode port already in use on 2 nodes)");
}

#[test]
fn max_replicas_per_node_holds() {
    let spec = TaskSpec { placement: Some(Placement { max_replicas: 1, ..Placement::default() }), ..TaskSpec::default() };
    let mut tables = tables(vec![node("a", 8, ""), node("b", 8, "")], (0..3).map(|n| task(n, "web", spec.clone())).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 1), ("b", 1)]));
    let waiting = tables.tasks().find(|t| t.status.state == TaskState::Pending).expect("one waits");
    assert_eq!(waiting.status.err, "no suitable node (max replicas per node limit exceed)");
}

#[test]
fn a_node_that_fails_a_service_often_is_tried_last() {
    let mut tasks: Vec<Task> = (0..5).map(|n| task(n, "web", TaskSpec::default())).collect();
    for task in &mut tasks {
        (task.node_id, task.status.state, task.status.timestamp) = ("a".into(), TaskState::Failed, Some(Timestamp::UNIX_EPOCH));
    }
    tasks.push(task(9, "web", TaskSpec::default()));
    let mut tables = tables(vec![node("a", 8, ""), node("b", 8, "")], tasks);
    assert_eq!(run(&mut tables), counts(&[("b", 1)]));
}

proptest! {
    #[test]
    fn capacity_is_never_exceeded_and_equals_get_equal_shares(
        cpus in prop::collection::vec(0i64..6, 1..8),
        services in prop::collection::vec((0usize..12, 0u8..4), 1..5),
    ) {
        let nodes: Vec<Node> = cpus.iter().enumerate().map(|(n, c)| node(&format!("n{n}"), *c, "")).collect();
        let mut tasks = Vec::new();
        for (s, (count, halves)) in services.iter().enumerate() {
            for _ in 0..*count {
                tasks.push(task(tasks.len(), &format!("s{s}"), reserve(f64::from(*halves) / 2.0)));
            }
        }
        let wanted = tasks.len();
        let mut tables = tables(nodes, tasks);
        run(&mut tables);
        let machines = Machines::of(&tables);
        prop_assert!(machines.iter().all(|m| m.free.nano_cpus >= 0));
        prop_assert_eq!(tables.tasks().count(), wanted);
        // a service that reserves nothing differs by at most one between nodes
        for (s, _) in services.iter().enumerate().filter(|(_, (_, halves))| *halves == 0) {
            let shares: Vec<usize> = machines.iter().map(|m| m.count(&format!("s{s}"))).collect();
            let (least, most) = (shares.iter().min().unwrap_or(&0), shares.iter().max().unwrap_or(&0));
            prop_assert!(most - least <= 1, "{:?}", shares);
        }
        // whoever waits waits because nobody has room
        for waiting in tables.tasks().filter(|t| t.status.state == TaskState::Pending) {
            let wish = filter::Wish::of(waiting);
            prop_assert!(machines.iter().all(|m| filter::check(&wish, m).is_err()));
        }
    }

    #[test]
    fn machines_that_are_kept_up_by_changes_are_as_if_counted_anew(
        steps in prop::collection::vec((0..8usize, 0..15usize, 0..4usize, 0..4i64, any::<bool>()), 1..80),
    ) {
        let mut tables = tables(vec![node("n0", 4, ""), node("n1", 4, "")], Vec::new());
        let mut machines = Machines::of(&tables);
        for (index, (which, state, at, cpus, task_not_node)) in steps.into_iter().enumerate() {
            let action = if task_not_node {
                let mut task = task(which, "web", reserve(cpus as f64));
                task.status.state = TaskState::ALL[state];
                task.node_id = format!("n{at}");
                task.status.timestamp = Some(Timestamp::UNIX_EPOCH);
                let port = EndpointPort { published_port: 8080 + at as u32, publish_mode: "host".into(), ..EndpointPort::default() };
                task.endpoint_ports.push(port);
                match tables.task(&task.id) {
                    Some(_) if cpus == 3 => Action::Delete(Table::Task, task.id),
                    old => {
                        // a task stays where it is, and so does what it was made of
                        if let Some(old) = old {
                            (task.version, task.node_id) = (old.version, old.node_id.clone());
                        }
                        Action::Put(task.into())
                    }
                }
            } else {
                let mut node = node(&format!("n{}", at % 2), cpus, "");
                node.version = tables.node(&node.id).map_or_else(Default::default, |n| n.version);
                Action::Put(node.into())
            };
            let batch = Batch { at: Timestamp::UNIX_EPOCH, actions: vec![action] };
            for change in tables.apply(index as u64 + 2, batch).expect("the version that was read") {
                machines.note(&change);
            }
            prop_assert_eq!(&machines, &Machines::of(&tables));
        }
    }
}

#[test]
fn what_only_some_machines_have_is_given_to_one_task_at_a_time_and_by_name_where_it_has_one() {
    let mut nodes = vec![node("a", 8, ""), node("b", 8, ""), node("c", 8, "")];
    nodes[0].description.resources.generic = vec![GenericResource::named("gpu", "x"), GenericResource::named("gpu", "y")];
    nodes[1].description.resources.generic = vec![GenericResource::discrete("gpu", 1)];
    let wants = |count: i64| {
        let wanted = Amounts { generic: vec![GenericResource::discrete("gpu", count)], ..Amounts::default() };
        TaskSpec { resources: Some(ResourceRequirements { reservations: Some(wanted), limits: None }), ..TaskSpec::default() }
    };
    let mut tables = tables(nodes, (0..4).map(|id| task(id, "web", wants(1))).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 2), ("b", 1)]));
    let given: BTreeMap<String, Vec<GenericResource>> = tables
        .tasks()
        .filter(|t| !t.generic_resources.is_empty())
        .map(|t| (format!("{} {}", t.node_id, t.generic_resources[0].value()), t.generic_resources.clone()))
        .collect();
    assert_eq!(given.keys().collect::<Vec<_>>(), ["a x", "a y", "b 1"]);
    let waiting = tables.tasks().find(|t| t.status.state == TaskState::Pending).expect("one is left").clone();
    assert_eq!(waiting.status.err, "no suitable node (insufficient resources on 3 nodes)");
    // one ends, and the next has what it had
    let mut ended =
        Task::clone(tables.tasks().find(|t| t.generic_resources == [GenericResource::named("gpu", "x")]).expect("it runs"));
    ended.status.state = TaskState::Complete;
    put(&mut tables, vec![Action::Put(ended.into())]);
    run(&mut tables);
    assert_eq!(tables.task(&waiting.id).expect("it is there").generic_resources, [GenericResource::named("gpu", "x")]);
    put(&mut tables, vec![Action::Put(task(9, "greedy", wants(2)).into())]);
    run(&mut tables);
    assert!(tables.task("t00009").expect("it is there").node_id.is_empty());
}

#[test]
fn a_task_that_was_made_for_one_node_says_what_is_missing_there() {
    let mut bound = task(1, "everywhere", reserve(9.0));
    bound.node_id = "a".into();
    let mut tables = tables(vec![node("a", 8, ""), node("b", 16, "")], vec![bound]);
    run(&mut tables);
    assert_eq!(tables.task("t00001").expect("it is there").status.err, "insufficient resources on 1 node");
}

#[test]
fn tasks_that_are_being_stopped_do_not_draw_their_successors_to_other_nodes() {
    let spec = TaskSpec { placement: Some(Placement { max_replicas: 2, ..Placement::default() }), ..reserve(1.0) };
    let mut tables = tables(vec![node("a", 8, ""), node("b", 8, "")], (0..3).map(|id| task(id, "web", spec.clone())).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 2), ("b", 1)]));
    // all are told to end, and none has ended when the next come
    let ending = tables.tasks().map(|t| {
        let mut task = Task::clone(t);
        (task.status.state, task.desired_state) = (TaskState::Running, TaskState::Shutdown);
        Action::Put(task.into())
    });
    let actions: Vec<Action> = ending.collect();
    put(&mut tables, actions);
    put(&mut tables, (10..14).map(|id| Action::Put(task(id, "web", spec.clone()).into())).collect());
    assert_eq!(run(&mut tables), counts(&[("a", 2), ("b", 2)]));
    let machines = Machines::of(&tables);
    let a = machines.at(machines.place("a").expect("it is there"));
    assert_eq!((a.tasks, a.lasting, a.free.nano_cpus), (4, 2, 4_000_000_000), "what is being stopped still uses what it has");
}
