//! # Merging: a file over a file
//!
//! `-c docker-stack.yml -c production.yml`: the second says only what is different. Mappings are merged key by key; a later scalar wins;
//! lists are joined, except where that would be nonsense (a command) or where items have names (ports, volumes, secrets).
//!
//! ```text
//!   base:  ports: [80:80, 81:81]    over:  ports: [80:90]    ──►   [80:90, 81:81]      known by the published port
//!          cap_add: [A]                    cap_add: [B]             [A, B]
//!          command: [a, b]                 command: [c]             [c]
//!          replicas: 2                     replicas: 0              0                   what is written counts, also nothing
//! ```
//!
//! *In the real world* Docker joins even a health check's words, and cannot take back a `true`: both are accidents of its Go structs.
//! *See:* docker/cli `cli/compose/loader/merge.go`. *Next room:* [`crate::render`]

use crate::{
    node::{Map, Node, What},
    scalar,
    shape::{Kind, Merge},
};

/// Both as one; `over` is the later file.
pub fn merge(base: Node, over: Node, kind: &Kind, how: Merge) -> Node {
    let Node { at, .. } = over.clone();
    match (base.what, over.what) {
        (_, what) if how == Merge::Replace => Node::new(what, &at),
        // a name alone takes nothing back
        (what @ What::Map(_), What::Null) => Node::new(what, &base.at),
        (What::Map(base), What::Map(over)) if is_other_logging(&base, &over, kind) => Node::new(What::Map(over), &at),
        (What::Map(base), What::Map(over)) => Node::new(What::Map(maps(base, over, kind, how)), &at),
        (What::List(base), What::List(over)) => Node::new(What::List(lists(base, over, how)), &at),
        (_, what) => Node::new(what, &at),
    }
}

/// Options of one log driver say nothing to another.
fn is_other_logging(base: &Map, over: &Map, kind: &Kind) -> bool {
    let Kind::Struct(shape) = kind else { return false };
    let driver = |map: &Map| map.get("driver").and_then(Node::as_text).map(str::to_string);
    shape.field("options").is_some() && driver(over).is_some_and(|new| driver(base).is_some_and(|old| old != new))
}

fn maps(mut base: Map, over: Map, kind: &Kind, how: Merge) -> Map {
    for entry in over.0 {
        let (kind, how) = match how {
            Merge::Whole => (kind, Merge::Replace),
            _ => below(kind, &entry.key),
        };
        match base.get_mut(&entry.key) {
            Some(old) => {
                let first = std::mem::replace(old, Node::new(What::Null, &entry.at));
                *old = merge(first, entry.node, kind, how);
            }
            None => base.0.push(entry),
        }
    }
    // also a list that only one of the files has is put in order
    for entry in &mut base.0 {
        if let ((_, how @ Merge::By(_)), What::List(items)) = (below(kind, &entry.key), &mut entry.node.what) {
            *items = lists(Vec::new(), std::mem::take(items), how);
        }
    }
    base
}

/// The kind of value that stands below a key.
fn below<'a>(kind: &'a Kind, key: &str) -> (&'a Kind, Merge) {
    match inner(kind) {
        Kind::Struct(shape) => match shape.field(key) {
            Some(field) => (&field.kind, field.merge),
            None => (&Kind::Any, Merge::Deep),
        },
        Kind::Names(kind) => (inner(kind), Merge::Deep),
        _ => (&Kind::Any, Merge::Deep),
    }
}

fn inner(kind: &Kind) -> &Kind {
    match kind {
        Kind::Short(_, kind) | Kind::Maybe(kind) => inner(kind),
        kind => kind,
    }
}

fn lists(base: Vec<Node>, over: Vec<Node>, how: Merge) -> Vec<Node> {
    let Merge::By(keys) = how else {
        return base.into_iter().chain(over).collect();
    };
    let name = |node: &Node| keys.iter().find_map(|key| Some((*key, scalar::shown(&node.get(key)?.what)?)));
    let mut joined = base;
    for node in over {
        let protocol = node.text("protocol");
        match joined.iter_mut().find(|old| name(old) == name(&node) && old.text("protocol") == protocol) {
            Some(old) => *old = node,
            None => joined.push(node),
        }
    }
    // in the order of what they are known by, as Docker has it
    let number = |node: &Node| keys.first().and_then(|key| node.int(key)).unwrap_or(0);
    let text = |node: &Node| keys.first().map(|key| node.text(key)).unwrap_or_default();
    joined.sort_by_cached_key(|node| (number(node), text(node)));
    joined
}
