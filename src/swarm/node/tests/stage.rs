//! # The stage of the claims about whole nodes
//!
//! Nodes on addresses of loopback of their own, with an executor that only pretends: every task runs for ever.
//!
//! *Next room:* [`crate::node`]

use crate::{
    agent::executor::{Controller, Executor, Files, Here, Seen},
    agent::logs::{LogLine, LogStream, LogsWish},
    control::Wish,
    dispatcher::View,
    node::{Setup, Swarm, addresses::Interface, lock},
};
use futures_util::future::BoxFuture;
use minidock_base::Result;
use minidock_spec::swarm::{
    local::{InitRequest, JoinRequest},
    node::NodeDescription,
    service::{ServiceMode, ServiceSpec},
    task::{ContainerSpec, Task, TaskState},
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// A machine on which every task runs for ever.
#[derive(Default)]
pub struct Machine {
    pub tasks: Mutex<BTreeSet<String>>,
}

struct Running(Arc<Machine>, String);

fn done<'a>() -> BoxFuture<'a, Result<()>> {
    Box::pin(async { Ok(()) })
}

struct Hands(Arc<Machine>);

impl Executor for Hands {
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription>> {
        Box::pin(async { Ok(NodeDescription { hostname: "m".into(), ..NodeDescription::default() }) })
    }

    fn ground<'a>(&'a self, _: &'a Here, _: &'a View) -> BoxFuture<'a, Result<()>> {
        done()
    }

    fn controller(&self, task: Arc<Task>, _: Here, _: Files) -> Result<Arc<dyn Controller>> {
        Ok(Arc::new(Running(self.0.clone(), task.id.clone())))
    }

    fn known(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async { Ok(lock(&self.0.tasks).iter().cloned().collect()) })
    }

    fn discard<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<()>> {
        lock(&self.0.tasks).remove(task);
        done()
    }

    fn logs<'a>(&'a self, here: &'a Here, wish: LogsWish) -> BoxFuture<'a, Result<mpsc::Receiver<Result<LogLine>>>> {
        Box::pin(async move {
            let (tx, rx) = mpsc::channel(1000);
            for task_id in lock(&self.0.tasks).iter() {
                let line = LogLine {
                    task_id: task_id.clone(),
                    node_id: here.node_id.clone(),
                    service_id: wish.service_ids.concat(),
                    stream: LogStream::Stdout,
                    time: jiff::Timestamp::UNIX_EPOCH,
                    bytes: format!("{task_id} says hello\n").into_bytes(),
                    details: String::new(),
                };
                let _ = tx.try_send(Ok(line));
            }
            Ok(rx)
        })
    }
}

impl Controller for Running {
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        done()
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        lock(&self.0.tasks).insert(self.1.clone());
        done()
    }

    fn wait(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        lock(&self.0.tasks).remove(&self.1);
        done()
    }

    fn terminate(&self) -> BoxFuture<'_, Result<()>> {
        self.shutdown()
    }

    fn remove(&self) -> BoxFuture<'_, Result<()>> {
        self.shutdown()
    }

    fn status(&self) -> Option<Seen> {
        None
    }
}

/// A node that may end and begin again.
pub struct Place {
    pub home: tempfile::TempDir,
    pub machine: Arc<Machine>,
    pub address: String,
}

/// An address of loopback that no other test of this run has, so that each node may have the usual port.
fn address() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("127.{}.{}.{next}", 64 + std::process::id() % 128, std::process::id() / 128 % 256)
}

impl Place {
    pub fn new() -> Place {
        Place { home: tempfile::tempdir().expect("a folder"), machine: Arc::default(), address: address() }
    }

    pub async fn open(&self) -> Arc<Swarm> {
        let ip: IpAddr = self.address.parse().expect("an address");
        let setup = Setup {
            folder: self.home.path().join("swarm"),
            executor: Arc::new(Hands(self.machine.clone())),
            hostname: self.address.clone(),
            interfaces: Box::new(move || vec![Interface { name: "lab".into(), addresses: vec![ip] }]),
        };
        Swarm::open(setup).await.expect("a node")
    }

    pub fn init(&self) -> InitRequest {
        let at = format!("{}:2377", self.address);
        InitRequest { listen_addr: at.clone(), advertise_addr: at, ..InitRequest::default() }
    }

    pub fn join(&self, to: &Place, token: &str) -> JoinRequest {
        let at = format!("{}:2377", self.address);
        JoinRequest {
            listen_addr: at.clone(),
            advertise_addr: at,
            remote_addrs: vec![to.address.clone()],
            join_token: token.into(),
            ..JoinRequest::default()
        }
    }
}

pub fn tokens(swarm: &Swarm) -> (String, String) {
    let manager = swarm.manager().expect("a manager");
    manager.view(|tables| {
        let cluster = tables.cluster().expect("a cluster");
        (cluster.join_tokens.worker.clone(), cluster.join_tokens.manager.clone())
    })
}

pub fn service(name: &str, replicas: u64) -> Wish {
    let mut spec = ServiceSpec { name: name.into(), mode: ServiceMode::replicas(replicas), ..ServiceSpec::default() };
    spec.task_template.container_spec = Some(ContainerSpec { image: "web".into(), ..ContainerSpec::default() });
    Wish::CreateService { spec: Box::new(spec) }
}

/// Waits for a fact of a manager's replica.
pub async fn until(swarm: &Swarm, what: &str, mut fact: impl FnMut(&crate::store::Tables) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if swarm.manager().is_ok_and(|manager| manager.view(&mut fact)) {
            return;
        }
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn running(tables: &crate::store::Tables) -> usize {
    tables.tasks().filter(|t| t.status.state == TaskState::Running && t.is_wanted()).count()
}

pub async fn three() -> ([Place; 3], [Arc<Swarm>; 3]) {
    let places = [Place::new(), Place::new(), Place::new()];
    let first = places[0].open().await;
    first.init(places[0].init()).await.expect("founded");
    let (_, manager) = tokens(&first);
    let mut nodes = vec![first];
    for place in &places[1..] {
        let (node, since) = (place.open().await, Instant::now());
        node.join(place.join(&places[0], &manager)).await.expect("joined");
        eprintln!("a manager joined within {:?}", since.elapsed());
        nodes.push(node);
    }
    let nodes: [Arc<Swarm>; 3] = nodes.try_into().unwrap_or_else(|_| panic!("three"));
    for node in &nodes {
        until(node, "three voices", |t| t.nodes().filter(|n| n.raft_id != 0).count() == 3).await;
    }
    (places, nodes)
}

pub async fn stop(nodes: &[Arc<Swarm>]) {
    futures_util::future::join_all(nodes.iter().map(|node| node.stop())).await;
}
