//! # What the allocator promises

use super::*;
use crate::store::Batch;
use minidock_spec::swarm::{
    cluster::Cluster,
    node::Node,
    service::{EndpointPort, EndpointSpec},
    task::NetworkAttachmentConfig,
};

fn put(tables: &mut Tables, actions: Vec<Action>) {
    tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
}

/// A swarm with ingress, one network and one node, allocated.
fn swarm() -> Tables {
    let mut tables = Tables::default();
    let cluster =
        Cluster { id: "c".into(), default_addr_pool: vec!["10.0.0.0/8".into()], subnet_size: 24, ..Cluster::default() };
    let mut ingress = Network { id: "a-ingress".into(), ..Network::default() };
    (ingress.spec.name, ingress.spec.ingress) = ("ingress".into(), true);
    let mut overnet = Network { id: "b-overnet".into(), ..Network::default() };
    overnet.spec.name = "overnet".into();
    let rows = [cluster.into(), ingress.into(), overnet.into(), Node { id: "n".into(), ..Node::default() }.into()];
    put(&mut tables, rows.into_iter().map(Action::Put).collect());
    step(&mut tables);
    tables
}

fn step(tables: &mut Tables) {
    let decision = allocate(tables, Timestamp::UNIX_EPOCH);
    put(tables, decision.actions);
}

fn service(id: &str, ports: &[u32]) -> Service {
    let mut service = Service { id: id.into(), ..Service::default() };
    service.spec.name = id.into();
    service.spec.task_template.networks = vec![NetworkAttachmentConfig { target: "b-overnet".into(), ..Default::default() }];
    let port = |p: &u32| EndpointPort { target_port: 80, published_port: *p, ..EndpointPort::default() };
    service.spec.endpoint_spec = Some(EndpointSpec { mode: String::new(), ports: ports.iter().map(port).collect() });
    service
}

#[test]
fn networks_get_dockers_subnets_and_numbers() {
    let tables = swarm();
    let ingress = tables.network("a-ingress").expect("ingress");
    assert_eq!((ingress.subnet(), ingress.vxlan_id()), (Some("10.0.0.0/24"), Some(4096)));
    assert_eq!(ingress.node_addresses["n"], "10.0.0.2/24");
    let overnet = tables.network("b-overnet").expect("overnet");
    assert_eq!((overnet.subnet(), overnet.gateway(), overnet.vxlan_id()), (Some("10.0.1.0/24"), Some("10.0.1.1"), Some(4097)));
}

#[test]
fn a_service_gets_an_address_on_each_network_and_its_tasks_too() {
    let mut tables = swarm();
    let web = service("web", &[8080]);
    let task = Task { id: "t".into(), service_id: "web".into(), desired_state: TaskState::Running, ..Task::default() };
    put(&mut tables, vec![Action::Put(web.into()), Action::Put(task.into())]);
    step(&mut tables);
    let web = tables.service("web").expect("it is there");
    let addresses: Vec<&str> = web.endpoint.virtual_ips.iter().map(|v| v.addr.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.3/24", "10.0.1.2/24"]);
    let task = tables.task("t").expect("it is there");
    assert_eq!(task.status.state, TaskState::Pending);
    let addresses: Vec<&str> = task.networks.iter().map(|n| n.addresses[0].as_str()).collect();
    assert_eq!(addresses, ["10.0.0.4/24", "10.0.1.3/24"]);
    assert_eq!(task.service.virtual_ips["b-overnet"], "10.0.1.2/24");
    assert_eq!(allocate(&tables, Timestamp::UNIX_EPOCH), Decision::default(), "and then there is nothing to do");
}

#[test]
fn a_port_that_nobody_named_is_chosen_once_and_kept() {
    let mut tables = swarm();
    put(&mut tables, vec![Action::Put(service("a", &[0, 0]).into()), Action::Put(service("b", &[0]).into())]);
    step(&mut tables);
    let published = |id: &str| -> Vec<u32> {
        tables.service(id).expect("it is there").endpoint.ports.iter().map(|p| p.published_port).collect()
    };
    let mut all = [published("a"), published("b")].concat();
    all.sort_unstable();
    assert_eq!(all, [30000, 30001, 30002]);
    assert_eq!(allocate(&tables, Timestamp::UNIX_EPOCH), Decision::default());
    assert_eq!(ports::holder(&tables, "tcp", 30000).map(|s| s.id.as_str()), Some("a"));
}

#[test]
fn a_full_network_is_named() {
    let mut tables = Tables::default();
    let cluster = Cluster { id: "c".into(), default_addr_pool: vec!["10.0.0.0/8".into()], ..Cluster::default() };
    let mut small = Network { id: "b-overnet".into(), ..Network::default() };
    small.spec.name = "small".into();
    let wish = IpamConfig { subnet: "10.9.0.0/30".into(), ..IpamConfig::default() };
    small.spec.ipam_options = Some(IpamOptions { configs: vec![wish], ..IpamOptions::default() });
    let task = Task { id: "t".into(), service_id: "web".into(), desired_state: TaskState::Running, ..Task::default() };
    let rows = [cluster.into(), small.into(), service("web", &[]).into(), task.into()];
    put(&mut tables, rows.into_iter().map(Action::Put).collect());
    step(&mut tables);
    let task = tables.task("t").expect("it is there");
    assert_eq!(task.status.err, "no address is left in network small (10.9.0.0/30)");
}

#[test]
fn a_pool_that_is_used_up_does_not_keep_from_the_next() {
    let pools = ["::/0".to_string(), "10.0.0.0/8".to_string()];
    let used = [addresses::net("::/0").expect("a network")];
    let chosen = addresses::choose(&pools, 8, &used).expect("one is left");
    assert_eq!(chosen.to_string(), "10.0.0.0/8");
}
