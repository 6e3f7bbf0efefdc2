//! # What may be asked, and in which words it is refused

use super::*;
use crate::store::Batch;
use jiff::Timestamp;
use minidock_spec::swarm::{
    cluster::Cluster,
    network::IpamConfig,
    node::{Node, NodeState, Role},
    service::{EndpointPort, EndpointSpec, ServiceMode},
    task::{ContainerSpec, NetworkAttachmentConfig, Placement, SecretReference, TaskSpec},
};

#[derive(Default)]
struct Desk {
    tables: Tables,
    index: u64,
}

impl Desk {
    fn ask(&mut self, wish: Wish) -> Result<Value> {
        let mut count = self.index;
        let mut new_id = || {
            count += 1;
            format!("id{count}")
        };
        let (actions, answer) = decide(&self.tables, &wish, &mut Context { now: Timestamp::UNIX_EPOCH, new_id: &mut new_id })?;
        self.act(actions);
        Ok(answer)
    }

    fn act(&mut self, actions: Vec<Action>) {
        self.index += 1;
        self.tables.apply(self.index, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
    }

    fn refused(&mut self, wish: Wish) -> String {
        self.ask(wish).expect_err("it cannot be").message()
    }

    fn version(&self, name: &str) -> (String, u64) {
        let id = find(&self.tables, Table::Service, name).expect("it is there");
        (id.clone(), self.tables.service(&id).expect("it is there").version.index)
    }

    fn spec(&self, name: &str) -> ServiceSpec {
        let id = find(&self.tables, Table::Service, name).expect("it is there");
        self.tables.service(&id).expect("it is there").spec.clone()
    }

    fn update(&mut self, name: &str, spec: ServiceSpec) -> Result<Value> {
        let (id, version) = self.version(name);
        self.ask(Wish::UpdateService { id, version, spec: Box::new(spec), rollback: false })
    }
}

fn web(name: &str) -> ServiceSpec {
    let container = ContainerSpec { image: "nginx".into(), ..ContainerSpec::default() };
    ServiceSpec {
        name: name.into(),
        task_template: TaskSpec { container_spec: Some(container), ..TaskSpec::default() },
        mode: ServiceMode::replicas(2),
        ..ServiceSpec::default()
    }
}

fn create(spec: ServiceSpec) -> Wish {
    Wish::CreateService { spec: Box::new(spec) }
}

fn publishing(name: &str, port: u32) -> ServiceSpec {
    let port = EndpointPort { target_port: 80, published_port: port, ..EndpointPort::default() };
    ServiceSpec { endpoint_spec: Some(EndpointSpec { mode: String::new(), ports: vec![port] }), ..web(name) }
}

#[test]
fn names_ports_and_networks_belong_to_one_service() {
    let mut desk = Desk::default();
    desk.ask(create(publishing("web", 8080))).expect("a service");
    assert!(desk.refused(create(web("web"))).ends_with("service web already exists"));
    let taken = desk.refused(create(publishing("other", 8080)));
    assert!(taken.contains("port '8080' is already in use by service 'web' (id1) as an ingress port"), "{taken}");
    let mut spec = web("third");
    spec.task_template.networks = vec![NetworkAttachmentConfig { target: "nowhere".into(), ..Default::default() }];
    assert_eq!(desk.refused(create(spec)), "network nowhere not found");
    assert!(desk.refused(create(web(""))).contains("name must be provided"));
}

#[test]
fn what_cannot_be_carried_out_is_refused() {
    let mut desk = Desk::default();
    let changes: [(fn(&mut ServiceSpec), &str); 10] = [
        (|s| s.name = "-web".into(), "name must be valid as a DNS name component"),
        (|s| s.name = "x".repeat(64), "name must be 63 characters or fewer"),
        (
            |s| s.task_template.container_spec.as_mut().expect("a container").image = "BAD IMAGE".into(),
            "is not a valid repository/tag",
        ),
        (|s| s.task_template.container_spec = None, "ContainerSpec: missing in service spec"),
        (|s| s.task_template.container_spec = Some(ContainerSpec::default()), "image reference must be provided"),
        (
            |s| s.task_template.placement = Some(Placement { constraints: vec!["node.rôle".into()], ..Placement::default() }),
            "constraint",
        ),
        (|s| s.endpoint_spec = publishing("x", 70_000).endpoint_spec, "invalid port 70000"),
        (|s| s.endpoint_spec = publishing("x", 80).endpoint_spec.map(|e| EndpointSpec { mode: "dnsrr".into(), ..e }), "dnsrr"),
        (
            |s| {
                s.update_config =
                    Some(minidock_spec::swarm::service::UpdateConfig { order: "sideways".into(), ..Default::default() })
            },
            "sideways",
        ),
        (
            |s| {
                let secret = SecretReference { secret_id: "x".into(), secret_name: "pw".into(), file: None };
                s.task_template.container_spec =
                    Some(ContainerSpec { image: "a".into(), secrets: vec![secret], ..ContainerSpec::default() });
            },
            "secret not found: pw",
        ),
    ];
    for (change, words) in changes {
        let mut spec = web("web");
        change(&mut spec);
        let refused = desk.refused(create(spec));
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(desk.tables.services().count(), 0);
}

#[test]
fn a_slip_of_the_finger_is_refused_before_the_machines_fall_over() {
    let mut desk = Desk::default();
    let mut node = Node { id: "n".into(), ..Node::default() };
    (node.status.state, node.description.resources.memory_bytes) = (NodeState::Ready, 8 << 30);
    desk.act(vec![Action::Put(node.into())]);
    let sized = |count| create(ServiceSpec { mode: ServiceMode::replicas(count), ..web(&format!("web{count}")) });
    let refused = desk.refused(sized(10_001));
    assert!(refused.contains("they have 8GiB, enough for 2048 of at least 4MiB each"), "{refused}");
    desk.refused(sized(u64::MAX));
    desk.ask(sized(10_000)).expect("much, but no slip");
    let job = |completions| {
        let job =
            minidock_spec::swarm::service::ReplicatedJob { max_concurrent: Some(1), total_completions: Some(completions) };
        create(ServiceSpec { mode: ServiceMode { replicated_job: Some(job), ..ServiceMode::default() }, ..web("job") })
    };
    assert!(desk.refused(job(u64::MAX)).contains("completions"));
    desk.ask(job(5000)).expect("one after another");
    let mut long = ServiceSpec { mode: ServiceMode::replicas(1500), ..web("long") };
    long.task_template.container_spec.as_mut().expect("a container").env = vec!["x".repeat(1 << 20)];
    assert!(desk.refused(create(long.clone())).contains("in each of 1500 tasks is more than the managers can carry"));
    long.mode = ServiceMode::replicas(20);
    desk.ask(create(long.clone())).expect("few of them");
    long.name = "longer".into();
    long.task_template.container_spec.as_mut().expect("a container").env = vec!["x".repeat(5 << 20)];
    for mode in [ServiceMode::replicas(1), ServiceMode { global: Some(Default::default()), ..ServiceMode::default() }] {
        long.mode = mode;
        assert!(desk.refused(create(long.clone())).contains("a spec of 5MiB is more than the managers can carry"));
    }
}

#[test]
fn scaling_leaves_the_tasks_alone_and_an_image_does_not() {
    let mut desk = Desk::default();
    desk.ask(create(web("web"))).expect("a service");
    let spec_version = |desk: &Desk| desk.tables.service("id1").expect("it is there").spec_version.index;
    let mut spec = desk.spec("web");
    spec.mode = ServiceMode::replicas(5);
    desk.update("web", spec.clone()).expect("scaled");
    assert_eq!(spec_version(&desk), 0);
    spec.task_template.container_spec.as_mut().expect("a container").image = "nginx:2".into();
    desk.update("web", spec.clone()).expect("renewed");
    assert_eq!(spec_version(&desk), 1);
    let (id, version) = desk.version("web");
    desk.ask(Wish::UpdateService { id: id.clone(), version, spec: Box::new(spec.clone()), rollback: true })
        .expect("rolled back");
    assert_eq!(desk.spec("web").task_template.container_spec.expect("a container").image, "nginx");
    let stale = desk.refused(Wish::UpdateService { id, version, spec: Box::new(spec.clone()), rollback: false });
    assert!(stale.contains("update out of sequence"), "{stale}");
    spec.mode = ServiceMode { global: Some(Default::default()), ..ServiceMode::default() };
    assert!(desk.update("web", spec).expect_err("the mode stays").message().contains("service mode change is not allowed"));
}

#[test]
fn what_is_in_use_stays() {
    let mut desk = Desk::default();
    let data = "aGVsbG8=".to_string();
    let secret = SecretSpec { name: "pw".into(), data, ..SecretSpec::default() };
    desk.ask(Wish::CreateFile { table: Table::Secret, spec: Box::new(secret.clone()) }).expect("a secret");
    assert!(
        desk.refused(Wish::CreateFile { table: Table::Secret, spec: Box::new(secret.clone()) })
            .contains("secret pw already exists")
    );
    let empty = SecretSpec { name: "none".into(), ..SecretSpec::default() };
    assert!(desk.refused(Wish::CreateFile { table: Table::Config, spec: Box::new(empty) }).contains("less than 1024000 bytes"));
    let net = NetworkSpec { name: "back".into(), ..NetworkSpec::default() };
    desk.ask(Wish::CreateNetwork { spec: Box::new(net) }).expect("a network");
    let mut spec = web("web");
    let reference = SecretReference { secret_id: "id1".into(), secret_name: "pw".into(), file: None };
    spec.task_template.container_spec.as_mut().expect("a container").secrets = vec![reference];
    spec.task_template.networks = vec![NetworkAttachmentConfig { target: "back".into(), ..Default::default() }];
    desk.ask(create(spec)).expect("a service");
    let used = desk.refused(Wish::RemoveFile { table: Table::Secret, id: "pw".into() });
    assert!(used.ends_with("secret 'pw' is in use by the following service: web"), "{used}");
    assert!(desk.refused(Wish::RemoveNetwork { id: "back".into() }).contains("is in use by service"));
    desk.ask(Wish::RemoveService { id: "web".into() }).expect("removed");
    desk.ask(Wish::RemoveFile { table: Table::Secret, id: "pw".into() }).expect("free now");
    desk.ask(Wish::RemoveNetwork { id: "back".into() }).expect("free now");
    let other = SecretSpec { name: "cfg".into(), ..secret };
    desk.ask(Wish::CreateFile { table: Table::Config, spec: Box::new(other.clone()) }).expect("a config");
    let version = desk.index;
    let changed = SecretSpec { data: "Z29vZGJ5ZQ==".into(), ..other };
    let refused = desk.refused(Wish::UpdateFile { table: Table::Config, id: "cfg".into(), version, spec: Box::new(changed) });
    assert!(refused.ends_with("only updates to Labels are allowed"), "{refused}");
}

#[test]
fn overlapping_subnets_and_other_drivers_are_refused() {
    let mut desk = Desk::default();
    let with = |name: &str, subnet: &str| {
        let ipam = minidock_spec::swarm::network::IpamOptions {
            configs: vec![IpamConfig { subnet: subnet.into(), ..IpamConfig::default() }],
            ..Default::default()
        };
        Wish::CreateNetwork {
            spec: Box::new(NetworkSpec { name: name.into(), ipam_options: Some(ipam), ..NetworkSpec::default() }),
        }
    };
    desk.act(vec![Action::Put(Cluster { id: "c".into(), ..Cluster::default() }.into())]);
    desk.ask(with("a", "10.9.0.0/16")).expect("a network");
    let allocated = crate::allocator::allocate(&desk.tables, Timestamp::UNIX_EPOCH);
    desk.act(allocated.actions);
    assert!(desk.refused(with("b", "10.9.1.0/24")).contains("Pool overlaps"));
    assert!(desk.refused(with("c", "10.9.1.0")).contains("invalid subnet"));
    let mut spec = NetworkSpec { name: "d".into(), ..NetworkSpec::default() };
    spec.driver_configuration.options.insert("encrypted".into(), String::new());
    assert!(desk.refused(Wish::CreateNetwork { spec: Box::new(spec) }).contains("encrypted"));
}

#[test]
fn the_last_manager_stays_one_and_a_living_node_is_not_forgotten() {
    let mut desk = Desk::default();
    let mut node = Node { id: "n1".into(), raft_id: 1, ..Node::default() };
    (node.spec.role, node.description.hostname, node.status.state) = (Role::Manager, "node1".into(), NodeState::Ready);
    let mut worker = Node { id: "n2".into(), ..Node::default() };
    (worker.description.hostname, worker.status.state) = ("node2".into(), NodeState::Ready);
    desk.act(vec![Action::Put(node.into()), Action::Put(worker.into())]);
    let demote = Wish::UpdateNode { id: "node1".into(), version: 1, spec: NodeSpec::default() };
    assert!(desk.refused(demote).contains("the last manager"));
    assert!(
        desk.refused(Wish::RemoveNode { id: "node1".into(), force: true }).contains("must be demoted to worker before removal")
    );
    assert!(desk.refused(Wish::RemoveNode { id: "node2".into(), force: false }).contains("is not down and can't be removed"));
    desk.ask(Wish::RemoveNode { id: "node2".into(), force: true }).expect("by force");
    assert_eq!(desk.refused(Wish::RemoveNode { id: "node2".into(), force: true }), "node node2 not found");
}

#[test]
fn who_knows_a_nodes_spec_may_change_it_though_the_managers_have_written_its_row_meanwhile() {
    let mut desk = Desk::default();
    let node = |desk: &Desk| Node::clone(desk.tables.node("n1").expect("it is there"));
    desk.act(vec![Action::Put(Node { id: "n1".into(), ..Node::default() }.into())]);
    let read = node(&desk);
    let before = Node { version: minidock_spec::swarm::Version { index: read.version.index - 1 }, ..read.clone() };
    let mut told = node(&desk); // its agent says something of itself
    told.status.state = NodeState::Ready;
    desk.act(vec![Action::Put(told.into())]);
    let spec = |zone: &str| NodeSpec { labels: [("zone".into(), zone.into())].into(), ..NodeSpec::default() };
    let wish = |read: &Node, zone: &str| Wish::UpdateNode { id: "n1".into(), version: read.version.index, spec: spec(zone) };
    assert!(desk.refused(wish(&before, "a")).contains("update out of sequence"), "it was not there yet");
    desk.ask(wish(&read, "a")).expect("nobody has changed its spec");
    assert!(desk.refused(wish(&read, "b")).contains("update out of sequence"), "somebody has");
    let read = node(&desk);
    assert_eq!((read.spec.clone(), read.status.state), (spec("a"), NodeState::Ready));
    desk.act(vec![Action::Put(Node { raft_id: 7, ..read.clone() }.into())]);
    desk.ask(wish(&read, "b")).expect("a number of the consensus is none of its spec");
    for never in [0, 99] {
        let odd = Node { version: minidock_spec::swarm::Version { index: never }, ..read.clone() };
        assert!(desk.refused(wish(&odd, "c")).contains("update out of sequence"), "nobody has read version {never}");
    }
}

#[test]
fn every_update_of_a_job_is_another_run() {
    let mut desk = Desk::default();
    let mut spec = web("job");
    spec.mode = ServiceMode { replicated_job: Some(Default::default()), ..ServiceMode::default() };
    desk.ask(create(spec.clone())).expect("a job");
    let runs = |desk: &Desk| desk.tables.services().next().and_then(|s| s.job_status).expect("a job").job_iteration.index;
    assert_eq!(runs(&desk), 0);
    spec.labels.insert("a".into(), "b".into());
    desk.update("job", spec.clone()).expect("an update");
    assert_eq!(runs(&desk), 1);
    spec.mode.replicated_job =
        Some(minidock_spec::swarm::service::ReplicatedJob { total_completions: Some(3), ..Default::default() });
    desk.update("job", spec).expect("an update");
    assert_eq!(runs(&desk), 2);
}
