//! # A network, as one node must know it
//!
//! Who is on it and on which machine (that programs the forwarding entries of vxlan: nothing is flooded, nothing learned),
//! and which names lead where (that fills the embedded DNS and the maps that balance virtual addresses).
//!
//! *See:* libnetwork `drivers/overlay/peerdb.go`; RFC 7348. *Next room:* [`super::heartbeat`]

use crate::store::Tables;
use minidock_spec::swarm::{
    network::Network,
    node::NodeState,
    task::{Task, TaskState},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One network for one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkView {
    pub network: Network,
    /// Everybody on it whose container may be up, wherever it is.
    pub neighbours: Vec<Neighbour>,
    pub services: Vec<ServiceView>,
}

/// Somebody on the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// `10.0.1.5`
    pub address: String,
    /// Its container's name, by which it is found; empty for a node's own address.
    #[serde(default)]
    pub name: String,
    /// The machine it is on: its ID, and its address on the underlay.
    pub node_id: String,
    pub node_address: String,
}

/// A service's names and where they lead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub id: String,
    pub name: String,
    pub aliases: Vec<String>,
    /// Absent with `dnsrr`: its name leads to the tasks themselves.
    pub virtual_ip: Option<String>,
    /// Addresses of its running tasks: `tasks.NAME`.
    pub backends: Vec<String>,
}

/// `10.0.1.5/24` → `10.0.1.5`
pub fn bare(address: &str) -> String {
    address.split('/').next().unwrap_or_default().to_string()
}

fn address_on(task: &Task, network: &str) -> Option<String> {
    let attachment = task.networks.iter().find(|n| n.network.id == network)?;
    attachment.addresses.first().map(|a| bare(a))
}

/// Addresses of a service's running tasks on a network, in order. A task that is told to end is left out at once: no new
/// connection shall reach it.
pub fn running(tables: &Tables, service: &str, network: &str) -> Vec<String> {
    let runs = |t: &&Arc<Task>| t.status.state == TaskState::Running && t.is_wanted();
    tables.tasks_of_service(service).filter(runs).filter_map(|t| address_on(t, network)).collect()
}

/// What `node` is told of a network.
pub fn view(tables: &Tables, network: &Arc<Network>, node: &str) -> NetworkView {
    let id = network.id.as_str();
    let up = |t: &&Arc<Task>| t.status.state >= TaskState::Ready && !t.status.state.is_over();
    let mut neighbours: Vec<Neighbour> = tables
        .tasks_on_network(id)
        .filter(up)
        .filter_map(|t| {
            // who is on a machine that has gone is told as gone: connections to him are cut off, not left to a silence
            let machine = tables.node(&t.node_id).filter(|n| n.status.state != NodeState::Down)?;
            let node_address = machine.status.data_path().to_string();
            Some(Neighbour { address: address_on(t, id)?, name: t.container_name(), node_id: t.node_id.clone(), node_address })
        })
        .collect();
    for (other, address) in &network.node_addresses {
        if let Some(machine) = tables.node(other).filter(|n| n.id != node) {
            let node_address = machine.status.data_path().to_string();
            neighbours.push(Neighbour { address: bare(address), name: String::new(), node_id: other.clone(), node_address });
        }
    }
    let services = tables.services().filter_map(|service| {
        let virtual_ip = service.endpoint.virtual_ips.iter().find(|v| v.network_id == id).map(|v| bare(&v.addr));
        let template = &service.spec.task_template.networks;
        let joined = template.iter().chain(&service.spec.networks).find(|n| n.target == id);
        if virtual_ip.is_none() && joined.is_none() {
            return None;
        }
        Some(ServiceView {
            id: service.id.clone(),
            name: service.spec.name.clone(),
            aliases: joined.map(|n| n.aliases.clone()).unwrap_or_default(),
            virtual_ip,
            backends: running(tables, &service.id, id),
        })
    });
    NetworkView { network: Network::clone(network), neighbours, services: services.collect() }
}
