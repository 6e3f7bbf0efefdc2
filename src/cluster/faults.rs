//! # Faults: cables that are cut, as values, and clocks that are wrong
//!
//! What a distributed system does when a message does not arrive cannot be read off its code: it has to be tried. A cut is a pair *from, to*:
//! what the one node sends does not reach the other. All cuts of a cluster are one set in the firewall of the bridge they hang on.
//!
//! ```text
//!   cut node1 node2            (node1 → node2), (node2 → node1)
//!   cut --one-way node1 node2  (node1 → node2)                           answers still come
//!   partition node1,node2 node3     every pair across the groups, both ways
//!   heal                       {}
//!
//!   table bridge minidock-cuts-3f2a91c0
//!     set cuts { ifname . ifname }   chain forward: iifname . oifname @cuts drop
//! ```
//!
//! * [`between`], [`across`]: from words to pairs, pure. [`apply`] makes the kernel's set that of the record, in one transaction: packets see the
//!   old one or the new one.
//! * The hosting machine is on no side: it reaches every node, always, as somebody at the console would.
//!
//! * **Clocks.** The kernel has one real-time clock for all, and no namespace for it. A node's is set off by a file that every process of minidock in it
//!   reads each time it asks for the time (`minidock_base::clock`): the daemon, its shims, `minidock` in a shell. Programs in containers see the machine's.
//!
//! Laws: the whole set is written each time; a cut works on frames, so on ARP, vxlan and connections that are established alike.
//! *See:* nft(8) bridge family, Jepsen's nemeses. Next room: [`crate::machine`]

use crate::{
    Cluster, node,
    state::{self, Record},
    underlay::Underlay,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::netfilter::{
    Family, Table,
    command::{Chain, Command, Hook, Purpose},
    rule::{Field, Part, Rule},
    set::{Answer, Element, Set, Verdict},
    value::{Type, Value},
};
use minidock_spec::cluster::{Cut, CutRequest, PartitionRequest, SkewRequest};
use std::{collections::BTreeSet, time::Duration};

/// No clock is set further off: certificates, and who reads their dates, know four digits of a year.
const FURTHEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

const CUTS: Set = Set { name: "cuts", key: &[Type::Ifname, Type::Ifname], answer: Answer::Nothing, interval: false };

/// The table of a cluster's cuts.
pub fn table(record: &Record) -> Table {
    Table::new(Family::Bridge, format!("minidock-cuts-{}", record.id))
}

/// The cut between two nodes.
///
/// # Errors
/// No such node; a node and itself.
pub fn between(record: &Record, from: &str, to: &str, one_way: bool) -> Result<BTreeSet<Cut>> {
    record.node(from)?;
    record.node(to)?;
    if from == to {
        return Err(Error::invalid(format!("there is no cable between {from} and itself")));
    }
    let cut = |from: &str, to: &str| Cut { from: from.into(), to: to.into() };
    let mut cuts = BTreeSet::from([cut(from, to)]);
    if !one_way {
        cuts.insert(cut(to, from));
    }
    Ok(cuts)
}

/// All cuts between nodes of different groups; nodes that are in no group are one more.
///
/// # Errors
/// No such node; one that is in two groups; fewer than two groups.
pub fn across(record: &Record, groups: &[Vec<String>]) -> Result<BTreeSet<Cut>> {
    let mut side = std::collections::BTreeMap::new();
    for (nth, group) in groups.iter().enumerate() {
        for name in group {
            record.node(name)?;
            if side.insert(name.as_str(), nth).is_some() {
                return Err(Error::invalid(format!("{name} is in two groups")));
            }
        }
    }
    let side_of = |name: &str| side.get(name).copied().unwrap_or(groups.len());
    let mut cuts = BTreeSet::new();
    for from in &record.nodes {
        for to in record.nodes.iter().filter(|to| side_of(&to.name) != side_of(&from.name)) {
            cuts.insert(Cut { from: from.name.clone(), to: to.name.clone() });
        }
    }
    match cuts.is_empty() {
        true => Err(Error::invalid("all nodes are on one side").hint("minidock cluster partition node1,node2 node3")),
        false => Ok(cuts),
    }
}

/// The commands that make the kernel's cuts those of the record.
pub fn commands(record: &Record) -> Vec<Command> {
    let table = table(record);
    let link = |name: &str| record.node(name).ok().map(|node| Value::Ifname(record.link(node.number)));
    let element = |cut: &Cut| Some(Element::of(vec![link(&cut.from)?, link(&cut.to)?]));
    let elements: Vec<Element> = record.cuts.iter().filter_map(element).collect();
    let chain = Chain { name: "forward".into(), base: Some((Purpose::Filter, Hook::Forward, 0)) };
    let drop = Rule(vec![Part::In(&[Field::Iifname, Field::Oifname], CUTS.name), Part::Verdict(Verdict::Drop)]);
    let mut commands = vec![Command::AddTable(table.clone()), Command::DeleteTable(table.clone())];
    if elements.is_empty() {
        return commands;
    }
    commands.extend([
        Command::AddTable(table.clone()),
        Command::AddSet(table.clone(), CUTS),
        Command::AddChain(table.clone(), chain),
        Command::AddRule(table.clone(), "forward".into(), drop),
        Command::AddElements(table, CUTS, elements),
    ]);
    commands
}

/// Cuts and heals until the kernel has exactly the record's cuts.
///
/// # Errors
/// The kernel's.
pub fn apply(underlay: &Underlay, record: &Record) -> Result<()> {
    underlay.apply(&commands(record)).doing(|| "cut the cables between nodes")
}

impl Cluster {
    /// Cuts the cable between two nodes.
    ///
    /// # Errors
    /// No such node; the kernel's.
    pub async fn cut(&self, wish: &CutRequest) -> Result<Vec<Cut>> {
        self.change_cuts(|record| {
            let cuts = between(record, &wish.from, &wish.to, wish.one_way)?;
            record.cuts.extend(cuts);
            Ok(())
        })
        .await
    }

    /// Cuts every cable between the groups; what was cut before is healed.
    ///
    /// # Errors
    /// No such node; groups that are none; the kernel's.
    pub async fn partition(&self, wish: &PartitionRequest) -> Result<Vec<Cut>> {
        self.change_cuts(|record| {
            record.cuts = across(record, &wish.groups)?;
            Ok(())
        })
        .await
    }

    /// Mends every cable.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn heal(&self) -> Result<Vec<Cut>> {
        self.change_cuts(|record| {
            record.cuts.clear();
            Ok(())
        })
        .await
    }

    /// Sets a node's clock off, or right: now if it runs, and whenever it starts.
    ///
    /// # Errors
    /// No such node; more than [`FURTHEST`].
    pub async fn skew(&self, name: &str, wish: &SkewRequest) -> Result<()> {
        let _work = self.work.lock().await;
        let mut record = self.record()?;
        record.node(name)?;
        if wish.skew.unsigned_abs() > FURTHEST.as_nanos() as u64 {
            return Err(Error::invalid(format!("the clock of {name} cannot be set off by more than ten years")));
        }
        record.node_mut(name)?.skew = wish.skew;
        self.keep(record.clone())?;
        match state::running(&self.paths, name) {
            Some(_) => node::set_clock(&self.paths, record.node(name)?),
            None => Ok(()),
        }
    }

    async fn change_cuts(&self, change: impl FnOnce(&mut Record) -> Result<()>) -> Result<Vec<Cut>> {
        let _work = self.work.lock().await;
        let mut record = self.record()?;
        change(&mut record)?;
        self.keep(record.clone())?;
        apply(&*self.underlay()?, &record)?;
        Ok(record.cuts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Node, Wanted};
    use proptest::prelude::*;

    fn record(nodes: u32) -> Record {
        let node = |number| Node {
            name: format!("node{number}"),
            number,
            address: std::net::Ipv4Addr::new(192, 168, 66, 10 + number as u8),
            manager: false,
            cpus: 0.0,
            memory: 0,
            labels: Vec::new(),
            generic_resources: Vec::new(),
            wanted: Wanted::Running,
            skew: 0,
        };
        Record {
            id: "01234567".into(),
            created_at: String::new(),
            subnet: "192.168.66.0/24".into(),
            uplink: false,
            swarm: true,
            nodes: (1..=nodes).map(node).collect(),
            cuts: BTreeSet::new(),
        }
    }

    fn names(cuts: &BTreeSet<Cut>) -> Vec<String> {
        cuts.iter().map(|cut| format!("{}>{}", &cut.from[4..], &cut.to[4..])).collect()
    }

    #[test]
    fn a_cut_has_two_directions_unless_one_is_meant() {
        let record = record(3);
        assert_eq!(names(&between(&record, "node1", "node2", false).expect("nodes")), ["1>2", "2>1"]);
        assert_eq!(names(&between(&record, "node2", "node1", true).expect("nodes")), ["2>1"]);
        assert!(between(&record, "node1", "node1", false).is_err() && between(&record, "node1", "node9", false).is_err());
    }

    #[test]
    fn who_is_not_named_is_on_a_side_of_its_own() {
        let record = record(4);
        let groups =
            |texts: &[&str]| texts.iter().map(|t| t.split(',').map(String::from).collect()).collect::<Vec<Vec<String>>>();
        assert_eq!(
            names(&across(&record, &groups(&["node1"])).expect("two sides")),
            ["1>2", "1>3", "1>4", "2>1", "3>1", "4>1"]
        );
        assert!(across(&record, &groups(&["node1,node2,node3,node4"])).is_err());
        assert!(across(&record, &groups(&["node1", "node1"])).is_err() && across(&record, &groups(&["x"])).is_err());
    }

    proptest! {
        #[test]
        fn a_partition_is_symmetric_and_cuts_nothing_inside_a_group(sides in proptest::collection::vec(0usize..4, 2..9)) {
            let record = record(sides.len() as u32);
            let groups: Vec<Vec<String>> = (0..3).map(|side| {
                (0..sides.len()).filter(|n| sides[*n] == side).map(|n| format!("node{}", n + 1)).collect()
            }).collect();
            if let Ok(cuts) = across(&record, &groups) {
                for cut in &cuts {
                    let back = Cut { from: cut.to.clone(), to: cut.from.clone() };
                    prop_assert!(cuts.contains(&back));
                    let side = |name: &str| sides[name[4..].parse::<usize>().expect("a number") - 1];
                    prop_assert_ne!(side(&cut.from), side(&cut.to));
                }
            }
        }
    }
}
