//! # Short forms: one word for a mapping
//!
//! Each function here turns one short spelling into the long one, and gives back untouched whatever is neither. The two with a language
//! of their own, ports and volumes, have rooms of their own.
//!
//! ```text
//!   build: .                      {context: .}
//!   secrets: [s]                  [{source: s}]
//!   networks: [a, b]              {a: , b: }
//!   ulimits: {nproc: 5}           {nproc: {single: 5}}
//!   healthcheck: {test: curl x}   {test: [CMD-SHELL, curl x]}
//!   extra_hosts: {a: 1.2.3.4}     [a:1.2.3.4]
//!   depends_on: {db: {…}}         [db]         (a swarm starts everything at once, whatever the condition)
//! ```
//!
//! *Next room:* [`crate::ports`]

use crate::{
    finding::Findings,
    node::{At, Entry, Map, Node, What},
    scalar,
};

/// `build: .`
pub fn build(node: Node, _: &str, _: &mut Findings) -> Node {
    text_as(node, "context")
}

/// `secrets: [s]`
pub fn source(node: Node, _: &str, _: &mut Findings) -> Node {
    text_as(node, "source")
}

fn text_as(node: Node, key: &str) -> Node {
    match node.what {
        What::Text(text) => Node::map(&node.at, [(key, What::Text(text))]),
        _ => node,
    }
}

/// `nproc: 5`
pub fn ulimit(node: Node, _: &str, _: &mut Findings) -> Node {
    match &node.what {
        What::Int(_) => Node::map(&node.at.clone(), [("single", node.what)]),
        What::Text(_) if node.substituted => {
            let single = Entry { key: "single".into(), at: node.at.clone(), node: node.clone() };
            Node::new(What::Map(Map(vec![single])), &node.at)
        }
        _ => node,
    }
}

/// `shm_size: 5`: a number stands for its text.
pub fn shown(node: Node, _: &str, _: &mut Findings) -> Node {
    match &node.what {
        What::Int(_) | What::Float(_) => Node::new(What::Text(scalar::shown(&node.what).unwrap_or_default()), &node.at),
        _ => node,
    }
}

/// `test: curl x`
pub fn test(node: Node, _: &str, _: &mut Findings) -> Node {
    match node.what {
        What::Text(text) => {
            let word = |text: String| Node::new(What::Text(text), &node.at);
            let words = vec![word("CMD-SHELL".into()), word(text)];
            Node::new(What::List(words), &node.at)
        }
        _ => node,
    }
}

/// `networks: [a, b]`
pub fn networks(node: Node, path: &str, findings: &mut Findings) -> Node {
    match &node.what {
        What::List(items) => {
            let mut map = Map::default();
            for (n, item) in items.iter().enumerate() {
                match item.as_text() {
                    Some(name) => map.set(name, &item.at, Node::new(What::Null, &item.at)),
                    None => findings.fault(&item.at, format_args!("{path}.{n} must be a string")),
                }
            }
            Node::new(What::Map(map), &node.at)
        }
        What::Null => Node::new(What::Map(Map::default()), &node.at),
        What::Map(_) => node,
        _ => {
            findings.fault(&node.at, format_args!("{path} must be a list"));
            Node::new(What::Map(Map::default()), &node.at)
        }
    }
}

/// `extra_hosts: {a: 1.2.3.4}`, and `a=1.2.3.4`
pub fn hosts(node: Node, _: &str, _: &mut Findings) -> Node {
    let host = |name: &str, address: &str, at: &At| Node::new(What::Text(format!("{name}:{address}")), at);
    match &node.what {
        What::Map(map) => {
            let hosts = map
                .sorted()
                .into_iter()
                .map(|entry| host(&entry.key, &scalar::shown(&entry.node.what).unwrap_or_default(), &entry.at));
            Node::new(What::List(hosts.collect()), &node.at)
        }
        What::List(items) => {
            let one = |item: &Node| match item.as_text().and_then(|text| text.split_once('=')) {
                Some((name, address)) if !name.contains(':') => host(name, address, &item.at),
                _ => item.clone(),
            };
            Node::new(What::List(items.iter().map(one).collect()), &node.at)
        }
        _ => node,
    }
}

/// `depends_on: {db: {condition: service_healthy}}`
pub fn depends_on(node: Node, path: &str, findings: &mut Findings) -> Node {
    let What::Map(map) = &node.what else { return node };
    if map.0.iter().any(|entry| entry.node.get("condition").is_some()) {
        findings.warn(
            &node.at,
            format_args!("{path}: conditions are ignored: a swarm starts all services at once, and starts again what fails"),
        );
    }
    let names = map.0.iter().map(|entry| Node::new(What::Text(entry.key.clone()), &entry.at));
    Node::new(What::List(names.collect()), &node.at)
}

/// An address of one's own on a network: only one task could have it.
pub fn address(node: Node, path: &str, findings: &mut Findings) -> Node {
    findings.warn(
        &node.at,
        format_args!("{path} is ignored: a swarm gives each task an address; services find each other by name"),
    );
    node
}

/// A network, volume, secret or config: nothing at all, or `external: {name: x}`.
pub fn outer(mut node: Node, path: &str, findings: &mut Findings) -> Node {
    let at = node.at.clone();
    match &mut node.what {
        What::Null => Node::new(What::Map(Map::default()), &at),
        What::Map(map) => {
            if let Some(external) = map.get("external")
                && let What::Map(old) = &external.what
            {
                let at = external.at.clone();
                let name = old.get("name").and_then(Node::as_text).map(str::to_string);
                findings.warn(&at, format_args!("{path}: external.name is deprecated in favor of name"));
                map.set("external", &at, Node::new(What::Bool(true), &at));
                if let Some(name) = name {
                    map.set("name", &at, Node::new(What::Text(name), &at));
                }
            }
            node
        }
        _ => node,
    }
}
