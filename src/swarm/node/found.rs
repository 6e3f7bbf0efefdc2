//! # To found a swarm: the first node
//!
//! ```text
//!   addresses ─► root, ID, certificate ─► desk, log ─► a group of one ─► the first rows: swarm, node, ingress ─► agent
//! ```
//!
//! `--force-new-cluster` is the way out when most managers are lost for good: this manager's history becomes *the* history, and all
//! other managers are workers from now on. They are asked to come back as managers, one by one, by `node promote`.
//!
//! Laws: an address that is taken or makes no sense is refused before anything is written; whatever fails afterwards leaves
//! nothing behind. *See:* moby `daemon/cluster/swarm.go`, `Init`. *Next room:* [`super::join`]

use super::{
    Setup,
    addresses::{Asked, Settled, settle},
    life::Life,
    record::{Folder, Keys, Record},
};
use crate::{
    ca::{self, Root, Subject, identity::Identity, token::Token},
    control,
    manager::{Manager, admission, lead::new_id},
    orchestrator::Context,
    seal::{LogKey, new_unlock_key},
    store::{Action, Row, Tables},
};
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::{
    cluster::{Cluster, ClusterSpec, JoinTokens, Keys as Shared},
    local::{InitRequest, RemoteManager},
    network::Network,
    node::{Node, NodeState, Role},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The pool that networks come from, if no other is asked for.
const POOL: &str = "10.0.0.0/8";
const SUBNET_SIZE: u32 = 24;
const DATA_PATH_PORT: u32 = 4789;
/// A group of one elects its leader within this time.
const ELECTION: Duration = Duration::from_secs(10);

/// Founds a swarm.
///
/// # Errors
/// 400: an address or a rule makes no sense. 503: the port is taken.
pub async fn found(setup: Arc<Setup>, request: &InitRequest) -> Result<Arc<Life>> {
    let settled = settle_for(&setup, request)?;
    let cluster = rules(request)?;
    let (now, node_id) = (clock::now(), new_id());
    let root = Root::found(now)?;
    let (key, asked) = ca::request()?;
    let subject = Subject { node_id: node_id.clone(), role: Role::Manager, cluster_id: cluster.id.clone() };
    let expiry = Duration::from_nanos(cluster.spec.ca_config.node_cert_expiry.max(0) as u64);
    let certificate = root.issue(&asked, &subject, now, expiry, rand::random())?;
    let identity = Identity { certificate, key, root: root.certificate.clone() };
    let manager = RemoteManager { node_id: node_id.clone(), addr: settled.advertise.to_string() };
    let record = Record {
        node_id,
        listen: settled.listen,
        advertise: settled.advertise,
        data_path: settled.data_path,
        raft_id: rand::random::<u64>() >> 1 | 1,
        managers: vec![manager],
    };
    let folder = Folder(setup.folder.clone());
    let keys = Keys { identity, log: LogKey::draw() };
    folder.forget()?; // what a founding that was killed has left
    folder.write_keys(&keys, "")?;
    let life = Life::new(setup, record.clone(), keys, String::new())?;
    let rows = first_rows(cluster, &record, &root, request, &life.setup.hostname)?;
    match start(&life, &record, rows).await {
        Ok(()) => Ok(life),
        Err(error) => {
            life.end().await;
            folder.forget()?;
            Err(error)
        }
    }
}

async fn start(life: &Arc<Life>, record: &Record, rows: Vec<Row>) -> Result<()> {
    let manager = life.open_manager(false).await?;
    manager.consensus()?.found(&record.advertise.to_string()).await?;
    write(&manager, move |_| Ok(rows.into_iter().map(Action::Put).collect())).await?;
    life.folder.write(record)?;
    life.begin();
    Ok(())
}

/// Has something written by this manager as soon as it leads.
async fn write(manager: &Manager, rows: impl FnOnce(&Tables) -> Result<Vec<Action>> + Send + 'static) -> Result<()> {
    let until = tokio::time::Instant::now() + ELECTION;
    let ledger = loop {
        match manager.ledger() {
            Some(ledger) => break ledger,
            None if tokio::time::Instant::now() > until => return Err(manager.nobody_leads()),
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    ledger.write(Box::new(move |tables: &Tables, _: &mut Context| Ok((rows(tables)?, json!(null))))).await.map(drop)
}

/// This manager's history is the history from now on.
///
/// # Errors
/// 400: an address makes no sense. The log cannot be read.
pub async fn alone(
    setup: Arc<Setup>,
    mut record: Record,
    keys: Keys,
    unlock: String,
    request: &InitRequest,
) -> Result<Arc<Life>> {
    if !(request.listen_addr.is_empty() && request.advertise_addr.is_empty()) {
        let settled = settle_for(&setup, request)?;
        (record.listen, record.advertise, record.data_path) = (settled.listen, settled.advertise, settled.data_path);
    }
    record.managers = vec![RemoteManager { node_id: record.node_id.clone(), addr: record.advertise.to_string() }];
    let life = Life::new(setup, record.clone(), keys, unlock)?;
    let own = record.node_id.clone();
    let rewritten = async {
        let manager = life.open_manager(true).await?;
        write(&manager, move |tables| {
            let others = tables.nodes().filter(|n| n.id != own && n.raft_id != 0);
            let workers = others.map(|node| {
                let mut node = Node::clone(node);
                (node.raft_id, node.spec.role) = (0, Role::Worker);
                Action::Put(node.into())
            });
            Ok(workers.collect())
        })
        .await?;
        life.folder.write(&record)
    };
    match rewritten.await {
        Ok(()) => {
            life.begin();
            Ok(life)
        }
        Err(error) => {
            life.end().await;
            Err(error)
        }
    }
}

fn settle_for(setup: &Setup, request: &InitRequest) -> Result<Settled> {
    let asked = Asked {
        listen: &request.listen_addr,
        advertise: &request.advertise_addr,
        data_path: &request.data_path_addr,
        towards: None,
    };
    settle(asked, &(setup.interfaces)())
}

/// The swarm's own object, with defaults for what was not asked for.
fn rules(request: &InitRequest) -> Result<Cluster> {
    let mut spec = request.spec.clone();
    let default = ClusterSpec::default();
    spec.name = default.name;
    let fill = |value: &mut i64, default: i64| {
        if *value == 0 {
            *value = default;
        }
    };
    fill(&mut spec.dispatcher.heartbeat_period, default.dispatcher.heartbeat_period);
    fill(&mut spec.ca_config.node_cert_expiry, default.ca_config.node_cert_expiry);
    if spec.raft.snapshot_interval == 0 {
        spec.raft = default.raft;
    }
    spec.encryption_config.auto_lock_managers |= request.auto_lock_managers;
    control::cluster::check(&spec)?;
    let pool = match request.default_addr_pool.is_empty() {
        true => vec![POOL.to_string()],
        false => request.default_addr_pool.clone(),
    };
    for text in &pool {
        let readable = crate::allocator::addresses::net(text).is_some();
        if !readable {
            return Err(Error::invalid(format!("invalid CIDR address: {text}")).hint("--default-addr-pool 10.20.0.0/16"));
        }
    }
    let subnet_size = if request.subnet_size == 0 { SUBNET_SIZE } else { request.subnet_size };
    let narrowest = pool.iter().filter_map(|text| text.split_once('/')?.1.parse::<u32>().ok()).max().unwrap_or(0);
    if !(narrowest..=29).contains(&subnet_size) {
        return Err(Error::invalid(format!("invalid default-address-pool-mask-length {subnet_size}"))
            .hint("between the pool's own prefix length and 29"));
    }
    let data_path_port = if request.data_path_port == 0 { DATA_PATH_PORT } else { request.data_path_port };
    if !(1024..=49151).contains(&data_path_port) {
        return Err(Error::invalid("Datapath port must be in range 1024 to 49151"));
    }
    Ok(Cluster { id: new_id(), spec, default_addr_pool: pool, subnet_size, data_path_port, ..Cluster::default() })
}

/// The swarm, its first node, and the network that every node is on.
fn first_rows(mut cluster: Cluster, record: &Record, root: &Root, request: &InitRequest, hostname: &str) -> Result<Vec<Row>> {
    cluster.join_tokens = JoinTokens {
        worker: Token::new(&root.certificate, rand::random()).to_string(),
        manager: Token::new(&root.certificate, rand::random()).to_string(),
    };
    cluster.keys = Shared { ca_certificate: root.certificate.clone(), ca_key: root.key.clone(), ..Shared::default() };
    if cluster.spec.encryption_config.auto_lock_managers {
        cluster.keys.unlock_key = new_unlock_key();
    }
    cluster.tls_info = root.tls_info(&admission::trusted(&cluster))?;
    let mut node =
        Node { id: record.node_id.clone(), certified_role: Role::Manager, raft_id: record.raft_id, ..Node::default() };
    (node.spec.role, node.spec.availability) = (Role::Manager, request.availability);
    node.description.tls_info = cluster.tls_info.clone();
    node.description.hostname = hostname.to_string();
    node.status.addr = record.advertise.ip().to_string();
    node.status.data_path_addr = record.data_path.map(|ip| ip.to_string()).unwrap_or_default();
    node.status.state = NodeState::Unknown; // until its agent calls
    let mut ingress = Network { id: new_id(), ..Network::default() };
    (ingress.spec.name, ingress.spec.scope, ingress.spec.ingress) = ("ingress".into(), "swarm".into(), true);
    ingress.spec.driver_configuration.name = "overlay".into();
    Ok(vec![cluster.into(), node.into(), ingress.into()])
}
