//! # The allocator: NEW → PENDING
//!
//! What a service and its tasks need before a node can be chosen: a network its subnet and its number, a service its virtual
//! addresses and published ports, a task an address on each network.
//!
//! ```text
//!   network   10.0.1.0/24 of the pool 10.0.0.0/8, vxlan 4097     .1 gateway  .2 first service  .3 …
//!   service   one virtual address a network (mode vip), ports 30000 … 32767 where it asked for none
//!   task      one address a network, and one on `ingress` when its service has ports there
//! ```
//!
//! What is taken is read from the tables: there is no list of leases that could differ from them.
//!
//! *See:* swarmkit `manager/allocator`; RFC 1918. *Next room:* [`addresses`]

pub mod addresses;
pub mod ports;

use crate::{
    orchestrator::Decision,
    store::{Action, Tables},
};
use addresses::{Taken, net};
use jiff::Timestamp;
use minidock_network::model::Net;
use minidock_spec::swarm::{
    network::{IpamConfig, IpamOptions, Network, VXLAN_ID},
    service::{Endpoint, EndpointSpec, Service, VirtualIp},
    task::{NetworkAttachment, ServiceFacts, Task, TaskState},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The first number of a network's frames; SwarmKit's, which ingress gets.
const FIRST_VXLAN: u32 = 4096;

/// Networks that every node has by itself: a task is on its own node's, and nothing is allocated on them. Docker keeps a row for each of
/// both, with an ID of its own; here the name is the ID. Its third one, `none`, is not for services.
pub fn is_of_the_node(target: &str) -> bool {
    matches!(target, "host" | "bridge")
}

/// Everything that waits for something and can have it now.
pub fn allocate(tables: &Tables, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let mut taken = Taken::of(tables);
    let mut networks: BTreeMap<String, Network> = tables.networks().map(|n| (n.id.clone(), Network::clone(n))).collect();
    let ids: Vec<String> = networks.keys().cloned().collect();
    for id in ids {
        if let Some(changed) = network(tables, &networks, &id, &mut taken) {
            decision.actions.push(Action::Put(changed.clone().into()));
            networks.insert(id, changed);
        }
    }
    let mut published = ports::Published::of(tables);
    let mut changed: BTreeMap<&str, Service> = BTreeMap::new();
    for service in tables.services().filter(|s| !is_settled(s, &networks)) {
        if let Some(allocated) = self::service(service, &networks, &mut published, &mut taken) {
            decision.actions.push(Action::Put(allocated.clone().into()));
            changed.insert(&service.id, allocated);
        }
    }
    for task in tables.tasks_waiting().filter(|t| t.status.state == TaskState::New && t.is_wanted()) {
        let known = || tables.service(&task.service_id).map(|s| &**s);
        let Some(service) = changed.get(task.service_id.as_str()).or_else(known) else { continue };
        if let Some(task) = self::task(task, service, &networks, &mut taken, now) {
            decision.put(task);
        }
    }
    decision
}

/// A network's subnet, number, and (for ingress) an address for each node.
fn network(tables: &Tables, all: &BTreeMap<String, Network>, id: &str, taken: &mut Taken<'_>) -> Option<Network> {
    let before = all.get(id)?;
    let mut network = before.clone();
    if !network.is_allocated() {
        let cluster = tables.cluster()?;
        let wish = network.spec.ipam_options.as_ref().and_then(|i| i.configs.first()).cloned().unwrap_or_default();
        let subnet = match wish.subnet.is_empty() {
            false => net(&wish.subnet)?,
            true => addresses::choose(&cluster.default_addr_pool, cluster.subnet_size, &subnets(all))?,
        };
        let gateway = if wish.gateway.is_empty() { subnet.nth(1)?.to_string() } else { wish.gateway };
        taken.take(id, &gateway);
        let config = IpamConfig { subnet: subnet.to_string(), gateway, range: wish.range };
        network.ipam_options = Some(IpamOptions { configs: vec![config], ..IpamOptions::default() });
        network.ipam_options.as_mut()?.driver.name = "default".into();
        network.driver_state.name = "overlay".into();
        network.driver_state.options.insert(VXLAN_ID.into(), next_number(all, network.spec.ingress).to_string());
    }
    if network.spec.ingress {
        let nodes: BTreeSet<&str> = tables.nodes().map(|n| n.id.as_str()).collect();
        network.node_addresses.retain(|node, _| nodes.contains(node.as_str()));
        for node in nodes {
            if !network.node_addresses.contains_key(node) {
                let address = taken.next(&network)?;
                network.node_addresses.insert(node.to_string(), address);
            }
        }
    }
    (network != *before).then_some(network)
}

fn subnets(all: &BTreeMap<String, Network>) -> Vec<Net> {
    all.values().filter_map(|n| net(n.subnet()?)).collect()
}

/// Ingress has the first; the others the lowest that is free after it.
fn next_number(all: &BTreeMap<String, Network>, ingress: bool) -> u32 {
    let used: BTreeSet<u32> = all.values().filter_map(Network::vxlan_id).collect();
    let first = if ingress { FIRST_VXLAN } else { FIRST_VXLAN + 1 };
    (first..1 << 24).find(|n| !used.contains(n)).unwrap_or(first)
}

/// The networks a service's tasks are on: by ID, with other names; ingress if it has ports there.
fn targets(service: &Service, networks: &BTreeMap<String, Network>) -> Vec<(String, Vec<String>)> {
    let template = &service.spec.task_template.networks;
    let wanted = if template.is_empty() { &service.spec.networks } else { template };
    let mut all: Vec<(String, Vec<String>)> =
        wanted.iter().filter(|n| !is_of_the_node(&n.target)).map(|n| (n.target.clone(), n.aliases.clone())).collect();
    if ports::on_ingress(service).next().is_some()
        && let Some(ingress) = networks.values().find(|n| n.spec.ingress)
    {
        all.insert(0, (ingress.id.clone(), Vec::new()));
    }
    all
}

/// A service's endpoint as its spec wants it.
fn service(
    before: &Arc<Service>,
    networks: &BTreeMap<String, Network>,
    published: &mut ports::Published,
    taken: &mut Taken<'_>,
) -> Option<Service> {
    let spec = before.spec.endpoint_spec.clone().unwrap_or_default();
    let ports = published.publish(before, &spec.ports)?;
    let mut virtual_ips = Vec::new();
    if spec.mode != "dnsrr" {
        for (id, _) in targets(before, networks) {
            let kept = before.endpoint.virtual_ips.iter().find(|v| v.network_id == id);
            let address = match kept {
                Some(kept) => kept.addr.clone(),
                None => taken.next(networks.get(&id).filter(|n| n.is_allocated())?)?,
            };
            virtual_ips.push(VirtualIp { network_id: id, addr: address });
        }
    }
    let endpoint = Endpoint { spec: shown(before), ports, virtual_ips };
    (endpoint != before.endpoint).then(|| Service { endpoint, ..Service::clone(before) })
}

/// What the spec says of the endpoint, with what it leaves out.
fn shown(service: &Service) -> EndpointSpec {
    let mut spec = service.spec.endpoint_spec.clone().unwrap_or_default();
    if spec.mode.is_empty() {
        spec.mode = "vip".into();
    }
    spec
}

/// It has what its spec asks for, and nothing that an earlier one asked for.
fn is_settled(service: &Service, networks: &BTreeMap<String, Network>) -> bool {
    let wanted = targets(service, networks);
    is_allocated(service, networks)
        && service.endpoint.virtual_ips.iter().all(|v| wanted.iter().any(|(id, _)| *id == v.network_id))
        && service.endpoint.spec == shown(service)
}

/// `true` when the service has what its spec asks for.
fn is_allocated(service: &Service, networks: &BTreeMap<String, Network>) -> bool {
    let vip = service.endpoint.spec.mode != "dnsrr";
    let has = |id: &String| service.endpoint.virtual_ips.iter().any(|v| v.network_id == *id);
    !service.endpoint.spec.mode.is_empty() && targets(service, networks).iter().all(|(id, _)| !vip || has(id))
}

/// A task's addresses; then it may be scheduled.
fn task(
    task: &Arc<Task>,
    service: &Service,
    networks: &BTreeMap<String, Network>,
    taken: &mut Taken<'_>,
    now: Timestamp,
) -> Option<Task> {
    if !is_allocated(service, networks) {
        return None;
    }
    let mut task = Task::clone(task);
    for (id, aliases) in targets(service, networks) {
        let network = networks.get(&id)?;
        let Some(address) = taken.next(network) else {
            let why = format!("no address is left in network {} ({})", network.spec.name, network.subnet().unwrap_or_default());
            if task.status.err == why {
                return None;
            }
            (task.status.err, task.status.timestamp) = (why, Some(now));
            return Some(task);
        };
        task.networks.push(NetworkAttachment { network: network.clone(), addresses: vec![address], aliases });
    }
    task.endpoint_ports = service.endpoint.ports.clone();
    task.service = ServiceFacts {
        virtual_ips: service.endpoint.virtual_ips.iter().map(|v| (v.network_id.clone(), v.addr.clone())).collect(),
        ..std::mem::take(&mut task.service)
    };
    task.status.state = TaskState::Pending;
    task.status.timestamp = Some(now);
    task.status.message = "pending task scheduling".into();
    task.status.err.clear();
    Some(task)
}

#[cfg(test)]
mod tests;
