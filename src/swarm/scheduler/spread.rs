//! # Spread: fewest of this service first
//!
//! The nodes that fit stand in heaps, ordered by: has it failed this service often lately; how many tasks of this service; how
//! many tasks at all; its place in the order of IDs, so that equals have an order. Without placement preferences there is one heap. With them there is a
//! tree: each preference splits the nodes by the value of a label, and a task goes down the branch with fewest tasks of its
//! service, however many nodes each branch has.
//!
//! ```text
//!   node.labels.rack        rack=1 (3 tasks)      rack=2 (2 tasks) ◄─ here
//!                             n1 n2 n3              n4 ◄─ here, though n1 may have fewer
//! ```
//!
//! *See:* swarmkit `manager/scheduler/nodeset.go`, `decision_tree.go`. *Next room:* [`super::node_info`]

use super::{
    filter::{self, Verdict, Wish},
    node_info::{Machine, Machines},
};
use jiff::Timestamp;
use minidock_spec::swarm::node::Node;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

/// In what order nodes are taken; the last number says which node it is.
type Rank = Reverse<(bool, usize, usize, usize)>;

/// The nodes that fit, as a tree of heaps.
pub struct Places {
    root: Branch,
    nodes: Vec<Arc<Node>>,
    now: Timestamp,
}

enum Branch {
    Leaf(BinaryHeap<Rank>),
    Split { descriptor: String, of_service: BTreeMap<String, usize>, children: BTreeMap<String, Branch> },
}

/// How a node is ranked that has `count` tasks of the service.
fn rank(wish: &Wish, machine: &Machine, count: usize, now: Timestamp, at: usize) -> Rank {
    Reverse((machine.is_unlucky(&wish.service, wish.spec, now), count, machine.lasting, at))
}

/// The value of a label; a node without it stands under the empty one.
fn value(descriptor: &str, node: &Node) -> String {
    let label = |prefix: &str| descriptor.strip_prefix(prefix);
    match (label("node.labels."), label("engine.labels.")) {
        (Some(name), _) => node.spec.labels.get(name).cloned(),
        (_, Some(name)) => node.description.engine.labels.get(name).cloned(),
        _ => match descriptor {
            "node.hostname" => Some(node.description.hostname.clone()),
            "node.id" => Some(node.id.clone()),
            _ => None,
        },
    }
    .unwrap_or_default()
}

/// A node that fits: which one, and how it is ranked.
type Ranked<'a> = (&'a Machine, Rank);

impl Branch {
    fn grow(preferences: &[String], nodes: Vec<Ranked>) -> Branch {
        let Some((descriptor, rest)) = preferences.split_first() else {
            return Branch::Leaf(nodes.into_iter().map(|(_, rank)| rank).collect());
        };
        let mut parts: BTreeMap<String, Vec<Ranked>> = BTreeMap::new();
        for (machine, rank) in nodes {
            parts.entry(value(descriptor, &machine.node)).or_default().push((machine, rank));
        }
        let count = |nodes: &Vec<Ranked>| nodes.iter().map(|(_, Reverse((_, count, ..)))| count).sum();
        let of_service = parts.iter().map(|(value, nodes)| (value.clone(), count(nodes))).collect();
        let children = parts.into_iter().map(|(value, nodes)| (value, Branch::grow(rest, nodes))).collect();
        Branch::Split { descriptor: descriptor.clone(), of_service, children }
    }

    /// The best node, taken out.
    fn pop(&mut self) -> Option<usize> {
        match self {
            Branch::Leaf(heap) => heap.pop().map(|Reverse((.., at))| at),
            Branch::Split { of_service, children, .. } => {
                let count = |value: &String| of_service.get(value).copied().unwrap_or(0);
                let mut order: Vec<(usize, &String, &mut Branch)> =
                    children.iter_mut().map(|(value, child)| (count(value), value, child)).collect();
                order.sort_by_key(|(count, value, _)| (*count, *value));
                order.into_iter().find_map(|(.., child)| child.pop())
            }
        }
    }

    /// Puts a node back, with one more task.
    fn push(&mut self, node: &Node, rank: Rank) {
        match self {
            Branch::Leaf(heap) => heap.push(rank),
            Branch::Split { descriptor, of_service, children } => {
                let value = value(descriptor, node);
                if let Some(child) = children.get_mut(&value) {
                    child.push(node, rank);
                }
                *of_service.entry(value).or_default() += 1;
            }
        }
    }
}

impl Places {
    /// Of the nodes that fit, in order of ID; `now`: who has failed the service long before is forgiven.
    pub fn new(wish: &Wish, fit: &[&Machine], machines: &Machines, now: Timestamp) -> Places {
        let is_new = !machines.have(&wish.service); // most are: then no node need be asked
        let count = |machine: &Machine| if is_new { 0 } else { machine.count(&wish.service) };
        let ranked = fit.iter().enumerate().map(|(at, machine)| (*machine, rank(wish, machine, count(machine), now, at)));
        let root = Branch::grow(&wish.preferences, ranked.collect());
        Places { root, nodes: fit.iter().map(|machine| machine.node.clone()).collect(), now }
    }

    /// The best node that still fits, taken out: give it back with [`Places::give_back`] after it was given its task.
    pub fn next(&mut self, wish: &Wish, machines: &Machines) -> Option<usize> {
        while let Some(at) = self.root.pop() {
            if machines.get(&self.nodes[at].id).is_some_and(|m| filter::check(wish, m) == Verdict::Yes) {
                return Some(at);
            }
        }
        None
    }

    /// The ID of a node that was taken out.
    pub fn id(&self, at: usize) -> &str {
        &self.nodes[at].id
    }

    /// The node has its task; it stands in line again.
    pub fn give_back(&mut self, wish: &Wish, at: usize, machines: &Machines) {
        if let Some(machine) = machines.get(&self.nodes[at].id) {
            self.root.push(&self.nodes[at], rank(wish, machine, machine.count(&wish.service), self.now, at));
        }
    }
}
