//! # State: the cluster as it is written down
//!
//! Nodes outlive the daemon that hosts them, so what they are must be found again: which block of addresses the underlay has, which nodes there
//! should be, which cables are cut. All of it is one value in one file; what is true only until the next reboot (which process is a node's PID 1)
//! lies with the node's exec root.
//!
//! ```text
//!   <data root>/cluster/cluster.json         Record   what was asked for
//!   <exec root>/cluster/node1/running.json   Running  PID 1 of node1, and when it began: a number may be somebody else's by now
//! ```
//!
//! * [`Record`] and what can be asked of it are plain values: names ([`Record::next_numbers`]), addresses ([`address`]), labels ([`labels_of`]), the block
//!   of a new underlay ([`choose_subnet`]).
//!
//! Laws: written durably before it is believed; a node's number is never used twice while it is in the list. Next room: [`crate::underlay`]

use minidock_base::{Error, Result, paths::Paths, state_file};
use minidock_linux::proc::Process;
use minidock_network::model::Net;
use minidock_spec::cluster::Cut;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// As many nodes as one underlay has room for.
pub const MOST: u32 = 200;
/// The first node's address lies this far behind the one before the block's first: node1 of 192.168.66.0/24 is 192.168.66.11.
const FIRST: u32 = 10;
/// The file in a node's exec root.
const RUNNING: &str = "running.json";

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Eight hexadecimal digits.
    pub id: String,
    pub created_at: String,
    pub subnet: String,
    pub uplink: bool,
    pub swarm: bool,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub cuts: BTreeSet<Cut>,
}

/// A node, as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub number: u32,
    pub address: Ipv4Addr,
    pub manager: bool,
    pub cpus: f64,
    pub memory: i64,
    pub labels: Vec<String>,
    /// `gpu=2`: what it offers besides CPUs and memory.
    #[serde(default)]
    pub generic_resources: Vec<String>,
    pub wanted: Wanted,
    /// How far its clock is set off, in nanoseconds.
    #[serde(default)]
    pub skew: i64,
}

/// What a node should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    Running,
    Stopped,
    /// Somebody cut its power.
    Killed,
}

/// The first process of a running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub pid: i32,
    /// In clock ticks since the boot.
    pub started: u64,
    pub started_at: String,
}

impl Record {
    /// Reads the cluster of this data root; none is no failure.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load(paths: &Paths) -> Result<Option<Record>> {
        state_file::load(&paths.cluster_record())
    }

    /// Writes it.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        state_file::save_durably(&paths.cluster_record(), self)
    }

    /// The node of this name.
    ///
    /// # Errors
    /// [`minidock_base::Kind::NotFound`], with the names there are.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            Error::not_found(format!("no such node: {name}")).hint(format!("there are {}", names.join(", ")))
        })
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// As [`Record::node`].
    pub fn node_mut(&mut self, name: &str) -> Result<&mut Node> {
        self.node(name)?;
        self.nodes.iter_mut().find(|node| node.name == name).ok_or_else(|| Error::not_found(format!("no such node: {name}")))
    }

    /// The lowest free numbers.
    ///
    /// # Errors
    /// [`minidock_base::Kind::InvalidParameter`] when there is no room for so many.
    pub fn next_numbers(&self, count: u32) -> Result<Vec<u32>> {
        let taken: BTreeSet<u32> = self.nodes.iter().map(|node| node.number).collect();
        let free: Vec<u32> = (1..=MOST).filter(|number| !taken.contains(number)).take(count as usize).collect();
        match free.len() == count as usize {
            true => Ok(free),
            false => {
                Err(Error::invalid(format!("{count} more nodes: a cluster has room for {MOST}, and {} are there", taken.len())))
            }
        }
    }

    /// The underlay's bridge.
    pub fn bridge(&self) -> String {
        format!("mdc-{}", self.id)
    }

    /// A node's link on that bridge.
    pub fn link(&self, number: u32) -> String {
        format!("md{}-{number}", &self.id[..6])
    }

    /// The block of the underlay.
    ///
    /// # Errors
    /// The file holds none.
    pub fn net(&self) -> Result<Net> {
        Ok(Net::parse_loosely(&self.subnet)?.1)
    }

    /// The hosting machine's own address on the underlay.
    ///
    /// # Errors
    /// As [`Record::net`].
    pub fn gateway(&self) -> Result<Ipv4Addr> {
        v4_at(&self.net()?, 1)
    }

    /// Where a node's processes are, from the top of each cgroup tree.
    pub fn cgroup(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/minidock-cluster-{}/{name}", self.id))
    }

    /// `/etc/hosts` of every node.
    pub fn hosts(&self) -> String {
        let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for node in &self.nodes {
            text.push_str(&format!("{}\t{}\n", node.address, node.name));
        }
        text
    }
}

/// The address of the node of this number.
///
/// # Errors
/// A block that is too small for it.
pub fn address(net: &Net, number: u32) -> Result<Ipv4Addr> {
    v4_at(net, FIRST + number)
}

fn v4_at(net: &Net, offset: u32) -> Result<Ipv4Addr> {
    match net.nth(offset.into()) {
        Some(IpAddr::V4(v4)) if IpAddr::V4(v4) != net.last() => Ok(v4),
        _ => Err(Error::invalid(format!("the block {net} is too small")).hint("a /24 has room for 200 nodes")),
    }
}

/// The block of a new underlay: what was wished for, or the first /24 of 192.168.0.0/16 (from 66 on, for fewer homes have it) that nothing overlaps.
/// Never one of the swarm's own 10.0.0.0/8, nor Docker's 172.17.0.0/16 and so on: nodes need those inside.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] for what is no block, overlaps a route, or when none is free.
pub fn choose_subnet(wish: &str, routes: &[Net]) -> Result<Net> {
    let overlaps = |net: &Net| routes.iter().find(|route| route.overlaps(net));
    if !wish.is_empty() {
        let net = Net::parse_loosely(wish)?.1;
        if !net.is_v4() || ![8, 16, 24].contains(&net.prefix()) {
            return Err(
                Error::invalid(format!("the underlay cannot be {net}")).hint("a /24, /16 or /8 of IPv4: 192.168.66.0/24")
            );
        }
        return match overlaps(&net) {
            Some(route) => Err(Error::invalid(format!("the underlay cannot be {net}: this machine has a route to {route}"))),
            None => Ok(net),
        };
    }
    let third = (66..=255u8).chain(0..66);
    let blocks = third.map(|third| Net::around(IpAddr::V4(Ipv4Addr::new(192, 168, third, 0)), 24));
    blocks.into_iter().find(|net| overlaps(net).is_none()).ok_or_else(|| {
        Error::invalid("every /24 of 192.168.0.0/16 overlaps a route of this machine")
            .hint("choose a block: --subnet 10.77.0.0/24")
    })
}

/// The labels of one node out of `key=value` (for each) and `node2:key=value` (for one); what it offers besides CPUs and memory is said
/// in the same form.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] for one without `=`.
pub fn labels_of(name: &str, all: &[String]) -> Result<Vec<String>> {
    let mut own = Vec::new();
    for label in all {
        let (key, _) = label.split_once('=').ok_or_else(|| {
            Error::invalid(format!("invalid label {label:?}"))
                .hint("--label key=value, or --label node2:key=value for one node")
        })?;
        match key.split_once(':') {
            Some((node, _)) if node == name => own.push(label[node.len() + 1..].to_string()),
            Some((node, _)) if is_node_name(node) => {}
            _ => own.push(label.clone()),
        }
    }
    Ok(own)
}

/// A label for one node is for one of the new ones.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] for another, with the names of the new ones.
pub fn check_labels(all: &[String], new: &[u32]) -> Result<()> {
    let names: Vec<String> = new.iter().map(|number| format!("node{number}")).collect();
    let meant = |label: &String| Some(label.split_once('=')?.0.split_once(':')?.0.to_string());
    match all.iter().filter_map(meant).find(|name| is_node_name(name) && !names.contains(name)) {
        Some(other) => Err(Error::invalid(format!("a label for {other}, which is none of the new nodes"))
            .hint(format!("they are {}", names.join(", ")))),
        None => Ok(()),
    }
}

/// `node` and a number.
pub fn is_node_name(text: &str) -> bool {
    text.strip_prefix("node").is_some_and(|n| n.parse::<u32>().is_ok_and(|n| (1..=MOST).contains(&n)))
}

/// The running node, if the process is still the one that was written down.
pub fn running(paths: &Paths, name: &str) -> Option<Running> {
    let found: Running = state_file::load(&paths.cluster_run(name).join(RUNNING)).ok().flatten()?;
    let process = Process::read(found.pid)?;
    (process.started == found.started && !process.is_over()).then_some(found)
}

/// Writes down that a node runs.
///
/// # Errors
/// The disk's.
pub fn write_running(paths: &Paths, name: &str, running: &Running) -> Result<()> {
    state_file::save(&paths.cluster_run(name).join(RUNNING), running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Net {
        Net::parse_loosely(text).expect("a block").1
    }

    #[test]
    fn an_underlay_avoids_what_the_machine_reaches() {
        assert_eq!(choose_subnet("", &[]).expect("free"), net("192.168.66.0/24"));
        assert_eq!(
            choose_subnet("", &[net("192.168.66.128/25"), net("192.168.67.0/24")]).expect("free"),
            net("192.168.68.0/24")
        );
        assert!(
            choose_subnet("10.0.0.0/24", &[net("10.0.0.0/8")])
                .is_err_and(|e| e.message().contains("has a route to 10.0.0.0/8"))
        );
        assert!(
            choose_subnet("fd00::/64", &[]).is_err()
                && choose_subnet("10.0.0.0/30", &[]).is_err()
                && choose_subnet("x", &[]).is_err()
        );
        assert!(choose_subnet("", &[net("192.168.0.0/16")]).is_err());
    }

    #[test]
    fn labels_are_for_all_or_for_one() {
        let all = ["zone=a", "node2:disk=ssd", "a:b=c"].map(String::from);
        assert_eq!(labels_of("node1", &all).expect("labels"), ["zone=a", "a:b=c"]);
        assert_eq!(labels_of("node2", &all).expect("labels"), ["zone=a", "disk=ssd", "a:b=c"]);
        assert!(labels_of("node1", &["zone".into()]).is_err());
        assert!(check_labels(&all, &[1, 2]).is_ok());
        assert!(check_labels(&all, &[3, 4]).is_err_and(|e| e.message().contains("node2, which is none of the new nodes")));
    }

    proptest! {
        #[test]
        fn numbers_are_given_once_and_addresses_differ(taken in proptest::collection::btree_set(1..=MOST, 0..60), count in 1u32..20) {
            let node = |number: &u32| Node {
                name: format!("node{number}"), number: *number, address: Ipv4Addr::UNSPECIFIED, manager: false, cpus: 0.0, memory: 0,
                labels: Vec::new(), generic_resources: Vec::new(), wanted: Wanted::Running, skew: 0,
            };
            let record = Record {
                id: "01234567".into(), created_at: String::new(), subnet: "192.168.66.0/24".into(), uplink: false, swarm: true,
                nodes: taken.iter().map(node).collect(), cuts: BTreeSet::new(),
            };
            let given = record.next_numbers(count).expect("room");
            prop_assert!(given.iter().all(|n| !taken.contains(n)));
            let all: BTreeSet<Ipv4Addr> = taken.iter().chain(&given).map(|n| address(&record.net().expect("a block"), *n).expect("room")).collect();
            prop_assert_eq!(all.len(), taken.len() + given.len());
            prop_assert!(record.link(MOST).len() <= 15 && record.bridge().len() <= 15);
        }
    }
}
