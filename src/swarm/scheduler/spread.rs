//! # Spread: fewest of this service first
//!
//! The nodes that fit are ordered by: has it failed this service often lately; how many tasks of this service; how many
//! tasks at all; its place in the order of IDs, so that equals have an order.
//!
//! Most nodes have nothing of a service and never failed it. These need no order of their own: the [`Line`] of all who ask the same
//! has it. Only who has a task of the service, or is given one, is ranked apart, in a heap, and comes when the line has
//! nobody new. With placement preferences the heap is a tree and all stand in it: each preference splits the nodes by the
//! value of a label, and a task goes down the branch with fewest tasks of its service, however many nodes each branch has.
//!
//! ```text
//!   node.labels.rack        rack=1 (3 tasks)      rack=2 (2 tasks) ◄─ here
//!                             n1 n2 n3              n4 ◄─ here, though n1 may have fewer
//! ```
//!
//! *See:* swarmkit `manager/scheduler/nodeset.go`, `decision_tree.go`. *Next room:* [`super::node_info`]

use super::{
    filter::{self, Wish},
    line::Line,
    node_info::{Machine, Machines},
};
use jiff::Timestamp;
use minidock_spec::swarm::node::Node;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// In what order nodes are taken: failed often, tasks of the service, tasks at all, place.
type Rank = Reverse<(bool, usize, usize, usize)>;

/// The nodes that fit, as one group's tasks take them.
pub struct Places<'a> {
    wish: &'a Wish,
    line: Line,
    /// Whom this group has taken out of the line.
    taken: Vec<usize>,
    /// Who is ranked: a heap, or with preferences a tree of them.
    ranked: Branch,
    /// No node has a task of the service, as with most: then none need be asked.
    is_new: bool,
    now: Timestamp,
}

enum Branch {
    Leaf(BinaryHeap<Rank>),
    /// By the value of a label: how many tasks of the service, and the nodes; the values that come first in front.
    Split {
        descriptor: String,
        order: BTreeSet<(usize, String)>,
        children: BTreeMap<String, (usize, Branch)>,
    },
}

/// The value of a label; a node without it stands under the empty one.
pub(super) fn value<'n>(descriptor: &str, node: &'n Node) -> &'n str {
    let label = |prefix: &str| descriptor.strip_prefix(prefix);
    match (label("node.labels."), label("engine.labels.")) {
        (Some(name), _) => node.spec.labels.get(name),
        (_, Some(name)) => node.description.engine.labels.get(name),
        _ => match descriptor {
            "node.hostname" => Some(&node.description.hostname),
            "node.id" => Some(&node.id),
            _ => None,
        },
    }
    .map_or("", String::as_str)
}

/// A node that fits: which one, and how it is ranked.
type Ranked<'a> = (&'a Machine, Rank);

impl Branch {
    fn grow(preferences: &[String], nodes: Vec<Ranked>) -> Branch {
        let Some((descriptor, rest)) = preferences.split_first() else {
            return Branch::Leaf(nodes.into_iter().map(|(_, rank)| rank).collect());
        };
        let mut parts: BTreeMap<&str, Vec<Ranked>> = BTreeMap::new();
        for (machine, rank) in nodes {
            parts.entry(value(descriptor, &machine.node)).or_default().push((machine, rank));
        }
        let (mut order, mut children) = (BTreeSet::new(), BTreeMap::new());
        for (value, nodes) in parts {
            let count: usize = nodes.iter().map(|(_, Reverse((_, count, ..)))| count).sum();
            order.insert((count, value.to_string()));
            children.insert(value.to_string(), (count, Branch::grow(rest, nodes)));
        }
        Branch::Split { descriptor: descriptor.clone(), order, children }
    }

    /// The best node, taken out.
    fn pop(&mut self) -> Option<usize> {
        match self {
            Branch::Leaf(heap) => heap.pop().map(|Reverse((.., at))| at),
            Branch::Split { order, children, .. } => {
                order.iter().find_map(|(_, value)| children.get_mut(value).and_then(|(_, child)| child.pop()))
            }
        }
    }

    /// Puts a node back, with one more task.
    fn push(&mut self, node: &Node, rank: Rank) {
        match self {
            Branch::Leaf(heap) => heap.push(rank),
            Branch::Split { descriptor, order, children } => {
                let value = value(descriptor, node);
                let Some((count, child)) = children.get_mut(value) else { return };
                child.push(node, rank);
                order.remove(&(*count, value.to_string()));
                *count += 1;
                order.insert((*count, value.to_string()));
            }
        }
    }
}

impl<'a> Places<'a> {
    /// `line`: of those that can give what `wish` asks; `now`: who has failed the service long before is forgiven.
    pub fn new(wish: &'a Wish, line: Line, machines: &Machines, now: Timestamp) -> Places<'a> {
        let is_new = !machines.have(&wish.service);
        let mut places = Places { wish, line, taken: Vec::new(), ranked: Branch::grow(&[], Vec::new()), is_new, now };
        if !wish.preferences.is_empty() {
            let fit = places.line.places().map(|at| (at, machines.at(at))).filter(|(_, m)| filter::check(wish, m).is_ok());
            let ranked = fit.map(|(at, machine)| (machine, places.rank(at, machine))).collect();
            places.ranked = Branch::grow(&wish.preferences, ranked);
        }
        places
    }

    fn rank(&self, at: usize, machine: &Machine) -> Rank {
        let count = if self.is_new { 0 } else { machine.count(&self.wish.service) };
        Reverse((machine.is_unlucky(&self.wish.service, self.wish.spec, self.now), count, machine.lasting, at))
    }

    /// The best node that still fits, taken out: give it back with [`Places::give_back`] after it was given its task.
    pub fn next(&mut self, machines: &Machines) -> Option<usize> {
        if self.wish.preferences.is_empty()
            && let Some(at) = self.next_in_line(machines)
        {
            return Some(at);
        }
        while let Some(at) = self.ranked.pop() {
            if filter::check(self.wish, machines.at(at)).is_ok() {
                return Some(at);
            }
        }
        None
    }

    /// The first that has nothing of the service and has not failed it: nobody can be better.
    fn next_in_line(&mut self, machines: &Machines) -> Option<usize> {
        while let Some(at) = self.line.pop(machines) {
            let machine = machines.at(at);
            match filter::check(self.wish, machine) {
                Ok(()) => {
                    self.taken.push(at);
                    match self.rank(at, machine) {
                        Reverse((false, 0, ..)) => return Some(at),
                        rank => self.ranked.push(&machine.node, rank),
                    }
                }
                Err(reason) if reason.is_of_service() => self.taken.push(at),
                Err(_) => {} // filled: in this round it has nothing for anybody who asks this
            }
        }
        None
    }

    /// The node has its task; it stands among those of the service.
    pub fn give_back(&mut self, at: usize, machines: &Machines) {
        self.is_new = false;
        let machine = machines.at(at);
        let rank = self.rank(at, machine);
        self.ranked.push(&machine.node, rank);
    }

    /// The group is done; the line, with everybody in it.
    pub fn leave(mut self, machines: &Machines) -> Line {
        self.taken.iter().for_each(|at| self.line.push(*at, machines));
        self.line
    }
}
