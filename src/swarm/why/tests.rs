//! # What stands in the way is told as it was decided

use super::*;
use crate::{
    manager::{Leadership, Peer},
    store::{Action, Batch, Row},
};
use minidock_spec::swarm::{
    cluster::Cluster,
    generic::GenericResource,
    network::Network,
    node::{Availability, NodeState, Role},
    service::{Empty, EndpointPort, ServiceMode, UpdateStatus},
    task::{Amounts, NetworkAttachmentConfig, Placement, ResourceRequirements, TaskState},
};
use std::time::Duration;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn tables(rows: Vec<Row>) -> Tables {
    let mut tables = Tables::default();
    tables.apply(1, Batch { at: at(0), actions: rows.into_iter().map(Action::Put).collect() }).expect("rows that fit");
    tables
}

fn node(id: &str) -> Node {
    let mut node = Node { id: id.into(), ..Node::default() };
    (node.description.hostname, node.status.state) = (id.into(), NodeState::Ready);
    node.description.resources = Amounts { nano_cpus: 2_000_000_000, memory_bytes: 1 << 30, ..Amounts::default() };
    node
}

fn web(replicas: u64) -> Service {
    let mut service = Service { id: "s".into(), ..Service::default() };
    (service.spec.name, service.spec.mode) = ("web".into(), ServiceMode::replicas(replicas));
    service
}

fn task(id: &str, state: TaskState) -> Task {
    let mut task =
        Task { id: id.into(), service_id: "s".into(), slot: 1, desired_state: TaskState::Running, ..Task::default() };
    (task.status.state, task.service.name) = (state, "web".into());
    task
}

fn constrained(constraint: &str) -> Task {
    let mut task = task("t", TaskState::Pending);
    task.spec.placement = Some(Placement { constraints: vec![constraint.into()], ..Placement::default() });
    task
}

fn of_task(task: Task, nodes: Vec<Node>) -> minidock_spec::swarm::why::TaskWhy {
    let id = task.id.clone();
    let rows = nodes.into_iter().map(Row::from).chain([task.into(), web(1).into()]).collect();
    let tables = tables(rows);
    super::task::why(&tables, tables.task(&id).expect("it is there"), at(10))
}

#[test]
fn the_smallest_change_is_the_cheapest_on_any_node() {
    let mut drained = node("n1");
    drained.spec.availability = Availability::Drain;
    let mut down = node("n2");
    down.status.state = NodeState::Down;
    let why = of_task(task("t", TaskState::Pending), vec![drained, down]);
    assert_eq!(why.verdict, "none of 2 nodes can take it");
    assert_eq!(why.change, "let n1 take tasks again");
    assert_eq!(why.commands, ["minidock node update --availability active n1"]);
    assert_eq!(why.nodes[1].filters[0].why, "is down");
    assert!(why.nodes.iter().all(|n| !n.fits && n.filters.len() == 7 && n.filters[1].holds));
}

#[test]
fn constraints_are_met_by_labels_roles_or_not_at_all() {
    for (constraint, change, command) in [
        ("node.labels.disk==ssd", "give n1 the label disk=ssd", "minidock node update --label-add disk=ssd n1"),
        ("node.role==manager", "promote n1", "minidock node promote n1"),
        (
            "node.hostname==nowhere",
            "drop the constraint node.hostname==nowhere",
            "minidock service update --constraint-rm 'node.hostname==nowhere' web",
        ),
    ] {
        let why = of_task(constrained(constraint), vec![node("n1")]);
        assert_eq!((why.change.as_str(), &why.commands[..]), (change, &[command.to_string()][..]));
        assert_eq!(why.nodes[0].filters[2].why, format!("does not meet {constraint}"));
    }
    let mut manager = node("n1");
    manager.spec.role = Role::Manager;
    assert_eq!(of_task(constrained("node.role!=manager"), vec![manager]).change, "demote n1");
}

#[test]
fn what_is_lacking_is_said_in_numbers_and_the_change_would_fit() {
    let mut greedy = task("t", TaskState::Pending);
    let generic = vec![GenericResource::discrete("gpu", 2)];
    let needs = Amounts { nano_cpus: 3_000_000_000, memory_bytes: 2 << 30, pids: 0, generic };
    greedy.spec.resources = Some(ResourceRequirements { limits: None, reservations: Some(needs) });
    let why = of_task(greedy, vec![node("n1")]);
    assert_eq!(why.nodes[0].filters[1].why, "lacks 1 CPUs and 1GiB and 2 gpu of what is reserved");
    let command = "minidock service update --reserve-cpu 2 --reserve-memory 1073741824 --generic-resource-rm gpu web";
    assert_eq!(why.commands, [command]);
}

#[test]
fn a_port_is_held_by_somebody_with_a_name() {
    let port = EndpointPort { target_port: 80, published_port: 8080, publish_mode: "host".into(), ..EndpointPort::default() };
    let mut holder = task("h", TaskState::Running);
    (holder.node_id, holder.slot, holder.service_id) = ("n1".into(), 3, "other".into());
    holder.service.name = "db".into();
    holder.endpoint_ports = vec![port.clone()];
    let mut waiting = task("t", TaskState::Pending);
    waiting.endpoint_ports = vec![port];
    let tables = tables(vec![node("n1").into(), holder.into(), waiting.into(), web(1).into()]);
    let why = super::task::why(&tables, tables.task("t").expect("it is there"), at(0));
    assert_eq!(why.change, "publish another port, or end db.3 on n1");
}

#[test]
fn every_rung_of_the_ladder_has_an_answer() {
    for state in TaskState::ALL {
        for desired in [TaskState::Ready, TaskState::Running, TaskState::Shutdown] {
            let mut task = task("t", state);
            (task.node_id, task.desired_state) = ("n1".into(), desired);
            let why = of_task(task, vec![node("n1")]);
            assert!(!why.verdict.is_empty(), "{state} {desired}");
        }
    }
    let mut delayed = task("t", TaskState::Ready);
    (delayed.node_id, delayed.not_before) = ("n1".into(), Some(at(13)));
    assert!(of_task(delayed, vec![node("n1")]).verdict.ends_with("restart delay: 3s more"));
}

fn of_service(service: Service, rows: Vec<Row>) -> minidock_spec::swarm::why::ServiceWhy {
    let id = service.id.clone();
    let tables =
        tables(rows.into_iter().chain([service.into(), Cluster { id: "c".into(), ..Cluster::default() }.into()]).collect());
    super::service::why(&tables, tables.service(&id).expect("it is there"), at(10))
}

#[test]
fn many_tasks_that_wait_for_one_thing_are_one_line() {
    let waiting = |id: &str, slot| {
        let mut task = task(id, TaskState::Pending);
        (task.slot, task.status.err) = (slot, "no suitable node (insufficient resources on 1 node)".into());
        Row::from(task)
    };
    let mut running = task("r", TaskState::Running);
    running.slot = 3;
    let why = of_service(web(4), vec![node("n1").into(), waiting("a", 1), waiting("b", 2), running.into()]);
    assert_eq!((why.running, why.desired), (1, 4));
    let lines: Vec<&str> = why.waits.iter().map(|w| w.what.as_str()).collect();
    assert_eq!(lines, ["2 tasks: no suitable node (insufficient resources on 1 node)", "tasks are made in the next round"]);
    assert_eq!(why.waits[0].tasks, ["a", "b"]);
}

#[test]
fn a_service_that_is_complete_waits_for_nothing() {
    let why = of_service(web(1), vec![task("t", TaskState::Running).into()]);
    assert_eq!((why.verdict.as_str(), why.waits.len()), ("it waits for nothing: 1 of 1 running", 0));
    assert_eq!(of_service(web(0), vec![]).verdict, "it waits for nothing: nothing is wanted");
}

#[test]
fn networks_updates_and_absent_nodes_are_named() {
    let mut service = web(1);
    service.spec.task_template.networks = vec![NetworkAttachmentConfig { target: "n".into(), ..Default::default() }];
    service.update_status =
        Some(UpdateStatus { state: "paused".into(), message: "a task died".into(), ..UpdateStatus::default() });
    let mut network = Network { id: "n".into(), ..Network::default() };
    network.spec.name = "back".into();
    let why = of_service(service, vec![network.into()]);
    assert_eq!(why.waits[0].what, "network back has no subnet yet");
    assert!(why.waits.last().expect("some").what.ends_with("a task died"));
    let mut global = web(1);
    global.spec.mode = ServiceMode { global: Some(Empty {}), ..ServiceMode::default() };
    let mut down = node("n2");
    down.status.state = NodeState::Down;
    let why = of_service(global, vec![node("n1").into(), down.into()]);
    assert_eq!(why.desired, 1);
    assert_eq!(why.waits.last().expect("some").what, "nodes that are not there: n2");
}

#[test]
fn a_lost_majority_is_counted_and_the_ways_out_are_named() {
    let peer = |id: &str, reachable: bool| Peer {
        node_id: id.into(),
        hostname: id.into(),
        addr: format!("{id}:2377"),
        votes: true,
        silence: Some(Duration::from_secs(if reachable { 0 } else { 12 })),
        reachable,
    };
    let known = Leadership {
        node_id: "n1".into(),
        term: 4,
        managers: vec![peer("n1", true), peer("n2", false), peer("n3", false)],
        needed: 2,
        ..Leadership::default()
    };
    let why = leader::why(&known);
    assert_eq!((why.heard, why.needed), (1, 2));
    assert!(
        why.verdict
            .starts_with("nobody leads: 2 of 3 managers must agree, and 1 can be heard; n2 (n2:2377) is silent for 12 s")
    );
    assert!(why.ways.iter().any(|w| w.contains("--force-new-cluster")));
    let led = leader::why(&Leadership { leader: Some("n1".into()), managers: vec![peer("n1", true)], needed: 1, ..known });
    assert_eq!(led.verdict, "n1 leads since term 4: 1 of 1 managers can be heard, 1 are needed");
}
