//! # Addresses: which are taken, which is next
//!
//! The choice of a subnet out of the swarm's pools, and the set of what is taken on each network: gateways, the nodes' addresses,
//! services' virtual ones, and those of tasks that are not over.
//!
//! *Next room:* [`super::ports`]

use crate::store::Tables;
use minidock_network::model::Net;
use minidock_spec::swarm::network::Network;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Reads `10.0.1.0/24`; bits behind the prefix are dropped.
pub fn net(text: &str) -> Option<Net> {
    Net::parse_loosely(text).ok().map(|(_, net)| net)
}

/// The first subnet with a prefix of `size` bits in the pools that overlaps none of `used`.
pub fn choose(pools: &[String], size: u32, used: &[Net]) -> Option<Net> {
    let size = if size == 0 { 24 } else { size.min(128) as u8 };
    for pool in pools.iter().filter_map(|p| net(p)) {
        let width = if pool.is_v4() { 32 } else { 128 };
        let step = 1u128.checked_shl(u32::from(width - size.min(width))).unwrap_or(0).max(1);
        let mut at = 0;
        while let Some(first) = pool.nth(at) {
            let subnet = Net::around(first, size);
            if !used.iter().any(|u| u.overlaps(&subnet)) {
                return Some(subnet);
            }
            match at.checked_add(step) {
                Some(next) => at = next,
                None => break, // this pool is used up; the next may not be
            }
        }
    }
    None
}

/// What is taken: of each network found out when it is asked for first.
pub struct Taken<'a> {
    tables: &'a Tables,
    by_network: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Below it nothing is free: found once, then remembered.
    low: BTreeMap<String, u128>,
}

impl<'a> Taken<'a> {
    pub fn of(tables: &'a Tables) -> Taken<'a> {
        Taken { tables, by_network: BTreeMap::new(), low: BTreeMap::new() }
    }

    fn on(&mut self, network: &str) -> &mut BTreeSet<IpAddr> {
        let tables = self.tables;
        self.by_network.entry(network.to_string()).or_insert_with(|| taken(tables, network))
    }

    /// Marks `10.0.1.2` or `10.0.1.2/24` as taken.
    pub fn take(&mut self, network: &str, address: &str) {
        let address = bare(address);
        self.on(network).extend(address);
    }

    pub fn is_taken(&mut self, network: &str, address: IpAddr) -> bool {
        self.on(network).contains(&address)
    }

    /// Takes the lowest free address of a network: `10.0.1.3/24`. Never its first, nor its last.
    pub fn next(&mut self, network: &Network) -> Option<String> {
        let subnet = net(network.subnet()?)?;
        let low = self.low.get(&network.id).copied().unwrap_or(1);
        for n in low..subnet.size_less_one() {
            let address = subnet.nth(n)?;
            if self.on(&network.id).insert(address) {
                self.low.insert(network.id.clone(), n + 1);
                return Some(format!("{address}/{}", subnet.prefix()));
            }
        }
        None
    }
}

fn bare(address: &str) -> Option<IpAddr> {
    address.split('/').next().unwrap_or_default().parse().ok()
}

/// Gateway, nodes, services and tasks that are not over.
fn taken(tables: &Tables, id: &str) -> BTreeSet<IpAddr> {
    let network = tables.network(id);
    let own = network.iter().flat_map(|n| n.gateway().into_iter().chain(n.node_addresses.values().map(String::as_str)));
    let of_services =
        tables.services().flat_map(|s| &s.endpoint.virtual_ips).filter(|v| v.network_id == id).map(|v| v.addr.as_str());
    let tasks = tables.tasks_on_network(id).filter(|t| !t.status.state.is_over()).flat_map(|t| &t.networks);
    let of_tasks = tasks.filter(|a| a.network.id == id).flat_map(|a| &a.addresses).map(String::as_str);
    own.chain(of_services).chain(of_tasks).filter_map(bare).collect()
}
