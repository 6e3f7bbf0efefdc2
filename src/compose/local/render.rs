//! # Rendering a project: `compose config`
//!
//! What was understood, in the order of the alphabet, as YAML or JSON: variables filled in, short forms long, names as they are outside.
//!
//! Law: what is rendered and read again is the same project (tested). *See:* `docker compose config`. *Next room:* [`super::body`]

use super::tables::PROJECT;
use crate::{
    emit,
    node::{Map, Node, What},
    render::table,
};
use serde_json::Value;

/// A project's tree as YAML; a dollar is doubled, for it would be a variable when it is read again.
pub fn yaml(tree: &Node) -> String {
    emit::write(&escaped(&ordered(tree)))
}

/// The same as JSON.
pub fn json_text(tree: &Node) -> String {
    format!("{:#}\n", json(&escaped(&ordered(tree))))
}

fn ordered(tree: &Node) -> Node {
    let mut top = table(tree, &PROJECT);
    // a network of which nothing is said is there all the same
    for section in ["networks", "volumes"] {
        if let Some(Node { what: What::Map(named), .. }) = top.get_mut(section) {
            named.0.retain(|entry| entry.node.what != What::Null);
        }
    }
    Node::new(What::Map(Map(top.0)), &tree.at)
}

fn escaped(node: &Node) -> Node {
    let what = match &node.what {
        What::Text(text) => What::Text(text.replace('$', "$$")),
        What::List(items) => What::List(items.iter().map(escaped).collect()),
        What::Map(map) => {
            let mut map = map.clone();
            map.0.iter_mut().for_each(|entry| entry.node = escaped(&entry.node));
            What::Map(map)
        }
        what => what.clone(),
    };
    Node::new(what, &node.at)
}

/// A tree as JSON; keys in the order of the alphabet.
pub fn json(node: &Node) -> Value {
    match &node.what {
        What::Null => Value::Null,
        What::Bool(truth) => Value::Bool(*truth),
        What::Int(number) => Value::from(*number),
        What::Float(number) => Value::from(*number),
        What::Text(text) => Value::from(text.as_str()),
        What::List(items) => Value::Array(items.iter().map(json).collect()),
        What::Map(map) => Value::Object(map.sorted().into_iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect()),
    }
}
