//! # Short forms that only `compose` has
//!
//! Beside those of [`crate::short`]. Where a swarm forgets what it cannot use, these keep it: on what condition a service waits, whether
//! an environment file may be missing.
//!
//! ```text
//!   depends_on: [db]            {db: {condition: service_started, required: true}}
//!   env_file: a.env             [{path: a.env, required: true}]
//!   extends: base               {service: base}
//!   devices: [/dev/fuse:…:r]    [{source: /dev/fuse, target: …, permissions: r}]
//!   labels: {a: true}           {a: "true"}          truths may stand for texts
//!   restart: no                 "no"                 which YAML 1.1 would have taken for a truth
//! ```
//!
//! *Next room:* [`super::ports`]

use crate::{
    finding::Findings,
    node::{At, Entry, Map, Node, What},
    scalar, volumes,
};

/// A mapping whose truths stand for texts.
pub fn truths(mut node: Node, _: &str, _: &mut Findings) -> Node {
    if let What::Map(map) = &mut node.what {
        for entry in &mut map.0 {
            if let What::Bool(truth) = entry.node.what {
                entry.node.what = What::Text(truth.to_string());
            }
        }
    }
    node
}

/// `restart: false`, as some write `no`.
pub fn restart(node: Node, _: &str, _: &mut Findings) -> Node {
    match node.what {
        What::Bool(false) => Node { what: What::Text("no".into()), ..node },
        _ => node,
    }
}

/// `-1`, or a size.
pub fn swap(node: Node, path: &str, findings: &mut Findings) -> Node {
    let Some(text) = scalar::shown(&node.what) else { return node };
    let what = match (text.as_str(), crate::values::bytes(&text)) {
        ("-1", _) => text.clone(),
        (_, Some(bytes)) => bytes.to_string(),
        _ => {
            findings.fault(&node.at, format_args!("{path} is not a size such as 50M or 1g"));
            return Node::new(What::Null, &node.at);
        }
    };
    Node { what: What::Text(what), ..node }
}

/// A whole number, also as a text.
pub fn whole(node: Node, _: &str, _: &mut Findings) -> Node {
    match node.as_text().and_then(|text| text.parse().ok()) {
        Some(number) => Node { what: What::Int(number), ..node },
        None => node,
    }
}

/// A file's mode: `0440`, or the same as a text, in octal.
pub fn mode(node: Node, _: &str, _: &mut Findings) -> Node {
    match node.as_text().and_then(|text| i64::from_str_radix(text, 8).ok()) {
        Some(number) => Node { what: What::Int(number), ..node },
        None => node,
    }
}

/// `depends_on: [db]`
pub fn depends_on(node: Node, path: &str, findings: &mut Findings) -> Node {
    let usual = |at: &At| Node::map(at, [("condition", What::Text("service_started".into())), ("required", What::Bool(true))]);
    let mut map = Map::default();
    match node.what {
        What::List(items) => {
            for (n, item) in items.iter().enumerate() {
                match item.as_text() {
                    Some(name) => map.set(name, &item.at, usual(&item.at)),
                    None => findings.fault(&item.at, format_args!("{path}.{n} must be a string")),
                }
            }
        }
        What::Map(entries) => {
            for Entry { key, at, node } in entries.0 {
                let mut long = usual(&at);
                match (&mut long.what, node.what) {
                    (What::Map(long), What::Map(said)) => said.0.into_iter().for_each(|e| long.set(&e.key, &e.at, e.node)),
                    (_, What::Null) => {}
                    _ => findings.fault(&node.at, format_args!("{path}.{key} must be a mapping")),
                }
                let condition = long.text("condition");
                if !["service_started", "service_healthy", "service_completed_successfully"].contains(&condition.as_str()) {
                    findings.fault_with(
                        &at,
                        format_args!("{path}.{key}.condition value must be one of 'service_started', 'service_healthy', 'service_completed_successfully'"),
                        "service_started waits for the start, service_healthy for the health check, service_completed_successfully for exit code 0",
                    );
                }
                map.set(&key, &at, long);
            }
        }
        What::Null => {}
        _ => findings.fault(&node.at, format_args!("{path} must be a list or a mapping")),
    }
    Node::new(What::Map(map), &node.at)
}

/// `env_file: a.env`, a list of such, or of mappings.
pub fn env_files(node: Node, _: &str, _: &mut Findings) -> Node {
    let at = node.at.clone();
    let long = |item: Node| match &item.what {
        What::Text(path) => Node::map(&item.at, [("path", What::Text(path.clone())), ("required", What::Bool(true))]),
        _ => item,
    };
    match node.what {
        What::List(items) => Node::new(What::List(items.into_iter().map(long).collect()), &at),
        What::Text(_) => Node::new(What::List(vec![long(node)]), &at),
        What::Null => Node::new(What::List(Vec::new()), &at),
        _ => node,
    }
}

/// `extends: base`
pub fn extends(node: Node, _: &str, _: &mut Findings) -> Node {
    match node.what {
        What::Text(service) => Node::map(&node.at, [("service", What::Text(service))]),
        _ => node,
    }
}

/// `/dev/a[:/dev/b[:rwm]]`
pub fn device(node: Node, path: &str, findings: &mut Findings) -> Node {
    let Some(text) = node.as_text() else { return node };
    let parts: Vec<&str> = text.split(':').collect();
    let is_mode = |word: &str| !word.is_empty() && word.chars().all(|c| "rwm".contains(c));
    let (source, target, permissions) = match parts.as_slice() {
        [one] => (*one, *one, "rwm"),
        [one, mode] if is_mode(mode) => (*one, *one, *mode),
        [one, other] => (*one, *other, "rwm"),
        [one, other, mode] if is_mode(mode) => (*one, *other, *mode),
        _ => {
            findings.fault_with(&node.at, format_args!("{path}: invalid device \"{text}\""), "such as /dev/fuse:/dev/fuse:rwm");
            return Node::map(&node.at, []);
        }
    };
    let word = |text: &str| What::Text(text.to_string());
    Node::map(&node.at, [("source", word(source)), ("target", word(target)), ("permissions", word(permissions))])
}

/// `./src:/src`: as in a stack; a folder that is not there is made, and the options that SELinux reads are kept.
pub fn volume(node: Node, path: &str, findings: &mut Findings) -> Node {
    let Some(text) = node.as_text().map(str::to_string) else { return node };
    let at = node.at.clone();
    let mut long = volumes::long(node, path, findings);
    if let (true, What::Map(map)) = (long.text("type") == "bind", &mut long.what) {
        let mut bind = map.remove("bind").unwrap_or_else(|| Node::map(&at, []));
        if let What::Map(bind) = &mut bind.what {
            bind.set("create_host_path", &at, Node::new(What::Bool(true), &at));
            let options = text.rsplit(':').next().unwrap_or_default();
            if let Some(label) = options.split(',').find(|option| matches!(*option, "z" | "Z")) {
                bind.set("selinux", &at, Node::new(What::Text(label.into()), &at));
            }
        }
        map.set("bind", &at, bind);
    }
    long
}
