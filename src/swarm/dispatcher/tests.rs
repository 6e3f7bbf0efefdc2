//! # What a node is told, and when it is given up

use super::{heartbeat::Beats, *};
use crate::store::{Action, Batch, Row};
use jiff::{SignedDuration, Timestamp};
use minidock_spec::swarm::{
    cluster::Cluster,
    network::{Network, NetworkSpec},
    node::{Node, NodeState},
    service::{Service, VirtualIp},
    task::{ContainerSpec, NetworkAttachment, SecretReference},
};

fn put(tables: &mut Tables, rows: Vec<Row>) {
    let actions = rows.into_iter().map(Action::Put).collect();
    tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
}

fn node(id: &str, address: &str) -> Node {
    let mut node = Node { id: id.into(), ..Node::default() };
    (node.status.state, node.status.addr) = (NodeState::Ready, address.into());
    node
}

/// Two nodes, a network, a service with a task on each; the one on `a` was granted a secret.
fn swarm() -> Tables {
    let mut tables = Tables::default();
    let network =
        Network { id: "net".into(), spec: NetworkSpec { name: "back".into(), ..NetworkSpec::default() }, ..Network::default() };
    let mut service = Service { id: "web".into(), ..Service::default() };
    service.spec.name = "web".into();
    service.endpoint.virtual_ips = vec![VirtualIp { network_id: "net".into(), addr: "10.0.1.2/24".into() }];
    let mut secret = Secret { id: "pw".into(), ..Secret::default() };
    secret.spec.name = "pw".into();
    let task = |id: &str, node: &str, address: &str| {
        let mut task = Task { id: id.into(), node_id: node.into(), service_id: "web".into(), ..Task::default() };
        (task.status.state, task.desired_state) = (TaskState::Running, TaskState::Running);
        let addresses = vec![format!("{address}/24")];
        task.networks.push(NetworkAttachment { network: network.clone(), addresses, aliases: Vec::new() });
        task
    };
    let mut first = task("t1", "a", "10.0.1.3");
    let reference = SecretReference { secret_id: "pw".into(), secret_name: "pw".into(), file: None };
    first.spec.container_spec = Some(ContainerSpec { secrets: vec![reference], ..ContainerSpec::default() });
    let second = task("t2", "b", "10.0.1.4");
    let rows: Vec<Row> = vec![
        Cluster { id: "c".into(), ..Cluster::default() }.into(),
        node("a", "192.168.7.1").into(),
        node("b", "192.168.7.2").into(),
        node("idle", "192.168.7.3").into(),
        network.into(),
        service.into(),
        Row::Secret(Arc::new(secret)),
        first.into(),
        second.into(),
    ];
    put(&mut tables, rows);
    tables
}

#[test]
fn a_node_is_told_its_own_tasks_and_who_else_is_on_their_networks() {
    let tables = swarm();
    let view = view(&tables, "b");
    assert_eq!(view.tasks.keys().collect::<Vec<_>>(), ["t2"]);
    assert!(view.secrets.is_empty(), "the secret was granted to the other node's task");
    let network = &view.networks["net"];
    let others: Vec<(&str, &str)> = network.neighbours.iter().map(|n| (n.address.as_str(), n.node_address.as_str())).collect();
    assert_eq!(others, [("10.0.1.3", "192.168.7.1"), ("10.0.1.4", "192.168.7.2")]);
    assert_eq!(network.services[0].virtual_ip.as_deref(), Some("10.0.1.2"));
    assert_eq!(network.services[0].backends, ["10.0.1.3", "10.0.1.4"]);
    assert_eq!(super::view(&tables, "a").secrets.len(), 1);
    assert_eq!(view.data_path.address, "192.168.7.2", "its own end of the tunnels");
    let idle = super::view(&tables, "idle");
    let nothing = View { data_path: idle.data_path.clone(), ..View::default() };
    assert_eq!(idle, nothing, "who has no task does not know that the network exists");
}

#[test]
fn a_task_that_is_told_to_end_is_no_backend_any_more() {
    let mut tables = swarm();
    let mut task = Task::clone(tables.task("t1").expect("it is there"));
    task.desired_state = TaskState::Shutdown;
    put(&mut tables, vec![task.into()]);
    assert_eq!(view(&tables, "b").networks["net"].services[0].backends, ["10.0.1.4"]);
}

#[test]
fn what_was_said_and_what_is_new_make_what_is() {
    let mut tables = swarm();
    let old = view(&tables, "a");
    assert_eq!(old.since(&old), None);
    let mut task = Task::clone(tables.task("t1").expect("it is there"));
    task.status.state = TaskState::Failed;
    task.desired_state = TaskState::Shutdown;
    put(&mut tables, vec![task.into()]);
    let now = view(&tables, "a");
    let delta = now.since(&old).expect("something is new");
    assert_eq!((delta.gone_tasks.len(), delta.gone_secrets.len()), (0, 1), "its container stays, its secret does not");
    let mut told = old;
    told.apply(delta);
    assert_eq!(told, now);
}

#[test]
fn three_periods_of_silence_and_a_node_is_down_until_it_speaks() {
    let mut tables = swarm();
    let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds);
    let mut beats = Beats::new(at(0));
    for id in ["a", "b", "idle"] {
        beats.hear(id, at(0));
    }
    beats.hear("b", at(10));
    let decision = beats.judge(&tables, at(14));
    assert_eq!((decision.actions.len(), decision.wake), (0, Some(at(15))));
    beats.hear("idle", at(14));
    let decision = beats.judge(&tables, at(15));
    let rows: Vec<Row> =
        decision.actions.into_iter().filter_map(|a| if let Action::Put(row) = a { Some(row) } else { None }).collect();
    assert_eq!(rows.iter().map(Row::id).collect::<Vec<_>>(), ["a"]);
    put(&mut tables, rows);
    assert_eq!(tables.node("a").expect("it is there").status.state, NodeState::Down);
    beats.hear("a", at(16));
    let decision = beats.judge(&tables, at(16));
    assert!(matches!(&decision.actions[..], [Action::Put(Row::Node(n))] if n.status.state == NodeState::Ready));
    let fresh = Beats::new(at(20));
    assert!(fresh.judge(&tables, at(30)).actions.is_empty(), "a new leader waits before it judges");
}

#[test]
fn the_leader_that_died_is_down_three_periods_after_its_last_word_and_everybody_else_has_time_to_call() {
    let tables = swarm();
    let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds);
    let down = |beats: &Beats, now: i64| -> Vec<String> {
        let rows = beats.judge(&tables, at(now)).actions.into_iter();
        rows.filter_map(|a| if let Action::Put(row) = a { Some(row.id().to_string()) } else { None }).collect()
    };
    let mut beats = Beats::new(at(3)); // elected three seconds after that
    beats.led_before("a", at(0));
    assert_eq!(beats.judge(&tables, at(3)).wake, Some(at(15)));
    assert!(down(&beats, 14).is_empty());
    assert_eq!(down(&beats, 15), ["a"]);
    assert_eq!(down(&beats, 24), ["a", "b", "idle"], "nobody has called at all");
    beats.hear("a", at(14)); // it has called
    assert!(down(&beats, 15).is_empty());

    let mut beats = Beats::new(at(3));
    beats.led_before("a", at(4)); // it has answered as a manager: its agent will call
    assert!(down(&beats, 23).is_empty());
    let mut beats = Beats::new(at(30)); // an election that took longer than the patience
    beats.led_before("a", at(0));
    assert!(down(&beats, 30).is_empty(), "its answer may be on its way");
    assert_eq!(down(&beats, 31), ["a"]);
}
