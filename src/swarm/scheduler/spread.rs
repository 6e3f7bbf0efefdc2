//! # Spread: fewest of this service first
//!
//! The nodes that fit stand in heaps, ordered by: has it failed this service often lately; how many tasks of this service; how
//! many tasks at all; its ID, so that equals have an order. Without placement preferences there is one heap. With them there is a
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
};

/// In what order nodes are taken.
type Rank = Reverse<(bool, usize, usize, String)>;

/// The nodes that fit, as a tree of heaps.
pub struct Places {
    root: Branch,
    now: Timestamp,
}

enum Branch {
    Leaf(BinaryHeap<Rank>),
    Split { descriptor: String, of_service: BTreeMap<String, usize>, children: BTreeMap<String, Branch> },
}

fn rank(wish: &Wish, machine: &Machine, now: Timestamp) -> Rank {
    let unlucky = machine.is_unlucky(&wish.service, wish.spec, now);
    Reverse((unlucky, machine.count(&wish.service), machine.tasks, machine.node.id.clone()))
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

impl Branch {
    fn grow(preferences: &[String], nodes: Vec<&Machine>, wish: &Wish, now: Timestamp) -> Branch {
        let Some((descriptor, rest)) = preferences.split_first() else {
            return Branch::Leaf(nodes.into_iter().map(|m| rank(wish, m, now)).collect());
        };
        let mut parts: BTreeMap<String, Vec<&Machine>> = BTreeMap::new();
        for machine in nodes {
            parts.entry(value(descriptor, &machine.node)).or_default().push(machine);
        }
        let of_service = parts.iter().map(|(v, ms)| (v.clone(), ms.iter().map(|m| m.count(&wish.service)).sum())).collect();
        let children = parts.into_iter().map(|(v, ms)| (v, Branch::grow(rest, ms, wish, now))).collect();
        Branch::Split { descriptor: descriptor.clone(), of_service, children }
    }

    /// The best node, taken out.
    fn pop(&mut self) -> Option<String> {
        match self {
            Branch::Leaf(heap) => heap.pop().map(|Reverse((_, _, _, id))| id),
            Branch::Split { of_service, children, .. } => {
                let mut order: Vec<(usize, String)> =
                    children.keys().map(|v| (of_service.get(v).copied().unwrap_or(0), v.clone())).collect();
                order.sort();
                order.into_iter().find_map(|(_, value)| children.get_mut(&value)?.pop())
            }
        }
    }

    /// Puts a node back; `given`: with one more task.
    fn push(&mut self, machine: &Machine, wish_rank: Rank) {
        match self {
            Branch::Leaf(heap) => heap.push(wish_rank),
            Branch::Split { descriptor, of_service, children } => {
                let value = value(descriptor, &machine.node);
                *of_service.entry(value.clone()).or_default() += 1;
                if let Some(child) = children.get_mut(&value) {
                    child.push(machine, wish_rank);
                }
            }
        }
    }
}

impl Places {
    /// Of the nodes that fit; `now`: who has failed the service long before is forgiven.
    pub fn new(wish: &Wish, fit: &[String], machines: &Machines, now: Timestamp) -> Places {
        let nodes = fit.iter().filter_map(|id| machines.get(id)).collect();
        Places { root: Branch::grow(&wish.preferences, nodes, wish, now), now }
    }

    /// The best node that still fits, taken out: give it back with [`Places::give_back`] after it was given its task.
    pub fn next(&mut self, wish: &Wish, machines: &Machines) -> Option<String> {
        while let Some(id) = self.root.pop() {
            if machines.get(&id).is_some_and(|m| filter::check(wish, m) == Verdict::Yes) {
                return Some(id);
            }
        }
        None
    }

    /// The node has its task; it stands in line again.
    pub fn give_back(&mut self, wish: &Wish, id: &str, machines: &Machines) {
        if let Some(machine) = machines.get(id) {
            self.root.push(machine, rank(wish, machine, self.now));
        }
    }
}
