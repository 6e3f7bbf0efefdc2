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

/// What is taken, by network.
pub struct Taken {
    by_network: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Below it nothing is free: found once, then remembered.
    low: BTreeMap<String, u128>,
}

impl Taken {
    pub fn of(tables: &Tables) -> Taken {
        let mut taken = Taken { by_network: BTreeMap::new(), low: BTreeMap::new() };
        for network in tables.networks() {
            network.gateway().into_iter().for_each(|g| taken.take(&network.id, g));
            network.node_addresses.values().for_each(|a| taken.take(&network.id, a));
        }
        for service in tables.services() {
            service.endpoint.virtual_ips.iter().for_each(|v| taken.take(&v.network_id, &v.addr));
        }
        for task in tables.tasks().filter(|t| !t.status.state.is_over()) {
            for attachment in &task.networks {
                attachment.addresses.iter().for_each(|a| taken.take(&attachment.network.id, a));
            }
        }
        taken
    }

    /// Marks `10.0.1.2` or `10.0.1.2/24` as taken.
    pub fn take(&mut self, network: &str, address: &str) {
        let bare = address.split('/').next().unwrap_or_default();
        if let Ok(address) = bare.parse() {
            self.by_network.entry(network.to_string()).or_default().insert(address);
        }
    }

    pub fn is_taken(&self, network: &str, address: IpAddr) -> bool {
        self.by_network.get(network).is_some_and(|taken| taken.contains(&address))
    }

    /// Takes the lowest free address of a network: `10.0.1.3/24`. Never its first, nor its last.
    pub fn next(&mut self, network: &Network) -> Option<String> {
        let subnet = net(network.subnet()?)?;
        let taken = self.by_network.entry(network.id.clone()).or_default();
        let low = self.low.entry(network.id.clone()).or_insert(1);
        for n in *low..subnet.size_less_one() {
            let address = subnet.nth(n)?;
            if taken.insert(address) {
                *low = n + 1;
                return Some(format!("{address}/{}", subnet.prefix()));
            }
        }
        None
    }
}
