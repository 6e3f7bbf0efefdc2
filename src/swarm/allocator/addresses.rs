//! # Addresses: which are taken, which is next
//!
//! A small IPv4 net type, the choice of a subnet out of pools, and the set of what is taken on each network: gateways, the
//! nodes' addresses, services' virtual ones, and those of tasks that are not over.
//!
//! *Next room:* [`super::ports`]

use crate::store::Tables;
use minidock_spec::swarm::network::Network;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
};

/// `10.0.1.0/24`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    first: u32,
    prefix: u32,
}

impl Net {
    /// Reads `address/prefix`; bits behind the prefix are cleared.
    pub fn parse(text: &str) -> Option<Net> {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|p| *p <= 32)?;
        Some(Net { first: u32::from(address.parse::<Ipv4Addr>().ok()?) & mask(prefix), prefix })
    }

    fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// Its n-th address, counted from zero.
    pub fn nth(self, n: u64) -> Option<Ipv4Addr> {
        (n < self.size()).then(|| Ipv4Addr::from(self.first.wrapping_add(n as u32)))
    }

    pub fn overlaps(self, other: Net) -> bool {
        let prefix = self.prefix.min(other.prefix);
        self.first & mask(prefix) == other.first & mask(prefix)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

/// The first subnet of `size` bits in the pools that overlaps none of `used`.
pub fn choose(pools: &[String], size: u32, used: &[Net]) -> Option<Net> {
    let size = if size == 0 { 24 } else { size };
    for pool in pools.iter().filter_map(|p| Net::parse(p)) {
        let count = 1u64 << size.saturating_sub(pool.prefix).min(24);
        let step = 1u64 << (32 - size.min(32));
        for n in 0..count {
            let Some(first) = pool.nth(n * step) else { break };
            let subnet = Net { first: u32::from(first), prefix: size };
            if !used.iter().any(|u| u.overlaps(subnet)) {
                return Some(subnet);
            }
        }
    }
    None
}

/// What is taken, by network.
pub struct Taken {
    by_network: BTreeMap<String, BTreeSet<Ipv4Addr>>,
    /// Below it nothing is free: found once, then remembered.
    low: BTreeMap<String, u64>,
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

    /// Takes the lowest free address of a network: `10.0.1.3/24`. Never its first, nor its last.
    pub fn next(&mut self, network: &Network) -> Option<String> {
        let subnet = Net::parse(network.subnet()?)?;
        let taken = self.by_network.entry(network.id.clone()).or_default();
        let low = self.low.entry(network.id.clone()).or_insert(1);
        for n in *low..subnet.size().saturating_sub(1) {
            let address = subnet.nth(n)?;
            if taken.insert(address) {
                *low = n + 1;
                return Some(format!("{address}/{}", subnet.prefix));
            }
        }
        None
    }
}
