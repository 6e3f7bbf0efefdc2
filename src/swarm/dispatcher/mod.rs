//! # The dispatcher: to each node its part
//!
//! A node is told what it needs and nothing else: its tasks, the secrets and configs granted to them, the networks they are on
//! (who else is there, and on which machine), and where the ports of the mesh lead. That is a [`View`], a function of the tables.
//! When the tables change the view is made anew and the node is sent the [`Delta`]; a node that returns after an absence gets the
//! whole, so nothing depends on what it remembers.
//!
//! ```text
//!   tables ──view(node)──► View ──since(what it has)──► Delta ══► agent
//!                                                              ◄══ how far its tasks are · a heartbeat
//! ```
//!
//! Laws: a secret leaves the managers only for a node with a task that was granted it. A network is told only to nodes with a task
//! on it; the others do not know that it exists. *See:* swarmkit `manager/dispatcher`, `assignments.go`.
//! *Next room:* [`heartbeat`]

pub mod concerns;
pub mod heartbeat;
pub mod network;
pub mod sessions;

use crate::store::{Table, Tables};
use minidock_spec::swarm::{
    secret::{Config, Secret},
    service::EndpointPort,
    task::{Task, TaskState},
};
use network::NetworkView;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// All that one node is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub tasks: BTreeMap<String, Arc<Task>>,
    pub secrets: BTreeMap<String, Secret>,
    pub configs: BTreeMap<String, Config>,
    pub networks: BTreeMap<String, NetworkView>,
    /// This node's own end of the tunnels.
    pub data_path: DataPath,
    /// The mesh: every node answers on these.
    pub ingress: Vec<IngressPort>,
}

/// Where overlays go from machine to machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPath {
    /// This node's address; empty before it is known.
    pub address: String,
    /// UDP, the same on all nodes; 0: the usual one, 4789.
    pub port: u32,
}

/// A port of the mesh, and the tasks behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IngressPort {
    pub port: EndpointPort,
    /// The service's address on the ingress network.
    pub virtual_ip: String,
    /// Addresses of running tasks there.
    pub backends: Vec<String>,
}

/// What is new since a node was last told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub set: View,
    pub gone_tasks: Vec<String>,
    pub gone_secrets: Vec<String>,
    pub gone_configs: Vec<String>,
    pub gone_networks: Vec<String>,
    /// `set.ingress` replaces what was.
    pub ingress_changed: bool,
}

/// What a node is to be told.
pub fn view(tables: &Tables, node: &str) -> View {
    let mut view = View::default();
    for task in tables.tasks_of_node(node).filter(|t| t.status.state >= TaskState::Assigned) {
        view.tasks.insert(task.id.clone(), task.clone());
        if task.status.state.is_over() {
            continue; // history, told as long as it is kept: its container stays for `logs`; it needs nothing any more
        }
        let container = task.spec.container_spec.iter();
        for reference in container.clone().flat_map(|c| &c.secrets) {
            let secret = tables.file(Table::Secret, &reference.secret_id);
            view.secrets.extend(secret.map(|s| (s.id.clone(), Secret::clone(s))));
        }
        for reference in container.flat_map(|c| &c.configs) {
            let config = tables.file(Table::Config, &reference.config_id);
            view.configs.extend(config.map(|c| (c.id.clone(), Secret::clone(c))));
        }
        for attachment in &task.networks {
            let id = &attachment.network.id;
            if let Some(network) = tables.network(id).filter(|_| !view.networks.contains_key(id)) {
                view.networks.insert(id.clone(), network::view(tables, network, node));
            }
        }
    }
    view.data_path = DataPath {
        address: tables.node(node).map(|n| n.status.data_path().to_string()).unwrap_or_default(),
        port: tables.cluster().map_or(0, |c| c.data_path_port),
    };
    view.ingress = ingress(tables);
    // every node knows the ingress network; it takes part once a port is published
    if let Some(network) = tables.networks().find(|n| n.spec.ingress) {
        view.networks.entry(network.id.clone()).or_insert_with(|| network::view(tables, network, node));
    }
    view
}

/// Where every published port leads.
fn ingress(tables: &Tables) -> Vec<IngressPort> {
    let Some(network) = tables.networks().find(|n| n.spec.ingress) else { return Vec::new() };
    let mut ports = Vec::new();
    for service in tables.services() {
        let on_mesh = service.endpoint.ports.iter().filter(|p| p.publish_mode != "host");
        let virtual_ip = service.endpoint.virtual_ips.iter().find(|v| v.network_id == network.id);
        let backends = network::running(tables, &service.id, &network.id);
        for port in on_mesh {
            ports.push(IngressPort {
                port: port.clone(),
                virtual_ip: virtual_ip.map(|v| network::bare(&v.addr)).unwrap_or_default(),
                backends: backends.clone(),
            });
        }
    }
    ports
}

/// Tasks that a node must hear of: not those of which only the status is new, for that is its own word.
fn news_of_tasks(now: &BTreeMap<String, Arc<Task>>, was: &BTreeMap<String, Arc<Task>>) -> BTreeMap<String, Arc<Task>> {
    let is_new = |id: &String, task: &Arc<Task>| was.get(id).is_none_or(|old| concerns::is_news(old, task));
    now.iter().filter(|(id, task)| is_new(id, task)).map(|(id, task)| (id.clone(), task.clone())).collect()
}

impl View {
    /// What must be said to somebody who was told `old`; `None` when that is nothing.
    pub fn since(&self, old: &View) -> Option<Delta> {
        fn new<V: Clone + PartialEq>(now: &BTreeMap<String, V>, was: &BTreeMap<String, V>) -> BTreeMap<String, V> {
            now.iter().filter(|(id, v)| was.get(*id) != Some(*v)).map(|(id, v)| (id.clone(), v.clone())).collect()
        }
        fn gone<V>(now: &BTreeMap<String, V>, was: &BTreeMap<String, V>) -> Vec<String> {
            was.keys().filter(|id| !now.contains_key(*id)).cloned().collect()
        }
        let ingress_changed = self.ingress != old.ingress;
        let delta = Delta {
            set: View {
                tasks: news_of_tasks(&self.tasks, &old.tasks),
                secrets: new(&self.secrets, &old.secrets),
                configs: new(&self.configs, &old.configs),
                networks: new(&self.networks, &old.networks),
                data_path: self.data_path.clone(),
                ingress: if ingress_changed { self.ingress.clone() } else { Vec::new() },
            },
            gone_tasks: gone(&self.tasks, &old.tasks),
            gone_secrets: gone(&self.secrets, &old.secrets),
            gone_configs: gone(&self.configs, &old.configs),
            gone_networks: gone(&self.networks, &old.networks),
            ingress_changed,
        };
        let nothing = Delta { set: View { data_path: old.data_path.clone(), ..View::default() }, ..Delta::default() };
        (delta != nothing).then_some(delta)
    }

    /// Takes in what was said.
    pub fn apply(&mut self, delta: Delta) {
        self.tasks.extend(delta.set.tasks);
        self.secrets.extend(delta.set.secrets);
        self.configs.extend(delta.set.configs);
        self.networks.extend(delta.set.networks);
        self.data_path = delta.set.data_path;
        delta.gone_tasks.iter().for_each(|id| drop(self.tasks.remove(id)));
        delta.gone_secrets.iter().for_each(|id| drop(self.secrets.remove(id)));
        delta.gone_configs.iter().for_each(|id| drop(self.configs.remove(id)));
        delta.gone_networks.iter().for_each(|id| drop(self.networks.remove(id)));
        if delta.ingress_changed {
            self.ingress = delta.set.ingress;
        }
    }
}

#[cfg(test)]
mod tests;
