//! # Rendering: what was understood, printed
//!
//! `stack config` shows the files as one, with variables filled in and every short form long: the first thing to look at when a stack does
//! not do what its file seems to say. Keys stand in the order of the tables, names in that of the alphabet, and what is empty is left out.
//!
//! Law: what is rendered, loaded again, renders the same (tested). *See:* docker/cli `stack config`. *Next room:* [`crate::stack`]

use crate::{
    emit,
    node::{Entry, Map, Node, What},
    project::PROJECT,
    shape::{Kind, Shape},
};

/// The whole tree of a loaded project as YAML.
pub fn render(version: &str, project: &Node) -> String {
    let at = &project.at;
    let mut top = Map::default();
    top.set("version", at, Node::new(What::Text(version.to_string()), at));
    for entry in table(project, &PROJECT).0 {
        top.set(&entry.key, &entry.at, entry.node);
    }
    emit::write(&Node::new(What::Map(top), at))
}

/// A value in the order of its table.
fn ordered(node: &Node, kind: &Kind) -> Node {
    let what = match (kind, &node.what) {
        (Kind::Maybe(kind) | Kind::Short(_, kind), _) => return ordered(node, kind),
        (Kind::Struct(shape), What::Map(map)) if shape.field("single").is_some() && map.get("single").is_some() => {
            return map.get("single").cloned().unwrap_or_else(|| node.clone());
        }
        (Kind::Struct(shape), What::Map(_)) => What::Map(table(node, shape)),
        (Kind::Names(kind), What::Map(map)) => What::Map(sorted(map, |node| ordered(node, kind))),
        (Kind::Pairs | Kind::Variables, What::Map(map)) => What::Map(sorted(map, Node::clone)),
        (Kind::List(kind), What::List(items)) => What::List(items.iter().map(|item| ordered(item, kind)).collect()),
        (_, what) => what.clone(),
    };
    Node::new(what, &node.at)
}

fn sorted(map: &Map, each: impl Fn(&Node) -> Node) -> Map {
    let entry = |entry: &Entry| Entry { key: entry.key.clone(), at: entry.at.clone(), node: each(&entry.node) };
    Map(map.sorted().into_iter().map(entry).collect())
}

/// A mapping in the order of its table, without what is empty.
pub fn table(node: &Node, shape: &Shape) -> Map {
    let mut map = Map::default();
    for field in shape.0 {
        if let Some(value) = node.get(field.key) {
            let value = ordered(value, &field.kind);
            if (field.kept && value.what != What::Null) || !is_empty(&value.what) {
                map.set(field.key, &value.at.clone(), value);
            }
        }
    }
    let What::Map(all) = &node.what else { return map };
    for entry in all.sorted() {
        if entry.key.starts_with("x-") {
            map.set(&entry.key, &entry.at, entry.node.clone());
        }
    }
    map
}

fn is_empty(what: &What) -> bool {
    match what {
        What::Null => true,
        What::Bool(truth) => !truth,
        What::Int(number) => *number == 0,
        What::Float(number) => *number == 0.0,
        What::Text(text) => text.is_empty() || text == "0s",
        What::List(items) => items.is_empty(),
        What::Map(map) => map.0.is_empty(),
    }
}
