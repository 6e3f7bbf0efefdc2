//! # Constraints: `node.labels.disk == ssd`
//!
//! A key, `==` or `!=`, a value; case does not matter. Keys: `node.id`, `node.hostname`, `node.ip` (an address or a
//! subnet), `node.role`, `node.platform.os`, `node.platform.arch`, `node.labels.NAME`, `engine.labels.NAME`. A label that a
//! node lacks equals nothing, so `!=` holds for it.
//!
//! *See:* swarmkit `manager/constraint`; Docker's `--constraint`. *Next room:* [`super::line`]

use minidock_base::{Error, Result};
use minidock_network::model::Net;
use minidock_spec::swarm::node::Node;
use std::{fmt, net::IpAddr};

/// One parsed constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub key: String,
    pub equal: bool,
    pub value: String,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.key, if self.equal { "==" } else { "!=" }, self.value)
    }
}

const KEYS: [&str; 6] = ["node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch"];
const LABELS: [&str; 2] = ["node.labels.", "engine.labels."];

/// Reads `key==value` or `key!=value`.
///
/// # Errors
/// 400: no operator, an unknown key, or letters that no key or value may have.
pub fn parse(text: &str) -> Result<Constraint> {
    let wrong = |why: &str| {
        Error::invalid(format!("constraint '{text}' {why}")).hint("for example node.role==worker or node.labels.disk!=hdd")
    };
    let (at, equal) = match (text.find("=="), text.find("!=")) {
        (Some(a), Some(b)) if b < a => (b, false),
        (Some(a), _) => (a, true),
        (None, Some(b)) => (b, false),
        (None, None) => return Err(wrong("has no operator: == or !=")),
    };
    let (key, value) = (text[..at].trim(), text[at + 2..].trim());
    let fits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:*?".contains(c));
    if !fits(key) {
        return Err(wrong("has an invalid key"));
    }
    if value.is_empty() {
        return Err(wrong("has no value"));
    }
    let known = KEYS.iter().any(|k| k.eq_ignore_ascii_case(key));
    let label = LABELS.iter().any(|l| key.len() > l.len() && key[..l.len()].eq_ignore_ascii_case(l));
    if !known && !label {
        return Err(wrong("asks for something that nodes do not have").hint(
            "keys: node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.*, engine.labels.*",
        ));
    }
    Ok(Constraint { key: key.to_string(), equal, value: value.to_string() })
}

/// Does the node meet it?
pub fn holds(constraint: &Constraint, node: &Node) -> bool {
    let Constraint { key, equal, value } = constraint;
    let same = |found: &str| found.eq_ignore_ascii_case(value);
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    let below = |prefix: &str| key.get(..prefix.len()).filter(|k| k.eq_ignore_ascii_case(prefix)).map(|_| &key[prefix.len()..]);
    let met = match (below(LABELS[0]), below(LABELS[1])) {
        (Some(name), _) => node.spec.labels.get(name).is_some_and(|v| same(v)),
        (_, Some(name)) => node.description.engine.labels.get(name).is_some_and(|v| same(v)),
        _ if is("node.id") => same(&node.id),
        _ if is("node.hostname") => same(&node.description.hostname),
        _ if is("node.ip") => within(&node.status.addr, value),
        _ if is("node.role") => same(node.spec.role.name()),
        _ if is("node.platform.os") => same(&node.description.platform.os),
        _ if is("node.platform.arch") => {
            architecture(&node.description.platform.architecture).eq_ignore_ascii_case(architecture(value))
        }
        _ => false,
    };
    met == *equal
}

/// `x86_64` and `amd64` are one machine.
pub fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An address, or a block that it lies in.
fn within(address: &str, wanted: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    match Net::parse_loosely(wanted) {
        Ok((_, net)) => net.contains(address),
        Err(_) => wanted.parse() == Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::node::Role;

    fn node() -> Node {
        let mut node = Node { id: "n1".into(), ..Node::default() };
        node.spec.role = Role::Manager;
        node.spec.labels.insert("disk".into(), "ssd".into());
        node.description.hostname = "node1".into();
        node.description.platform.architecture = "x86_64".into();
        node.status.addr = "10.0.0.5".into();
        node
    }

    fn met(text: &str) -> bool {
        holds(&parse(text).expect("a constraint"), &node())
    }

    #[test]
    fn constraints_ask_for_what_a_node_is() {
        for yes in [
            "node.id==n1",
            "node.hostname == NODE1",
            "node.role==manager",
            "node.role!=worker",
            "node.labels.disk==ssd",
            "node.labels.rack!=3",
            "node.platform.arch==amd64",
            "node.ip==10.0.0.0/24",
            "node.ip==10.0.0.5",
            "engine.labels.x!=y",
        ] {
            assert!(met(yes), "{yes}");
        }
        for no in ["node.id!=n1", "node.labels.rack==3", "node.ip==10.0.1.0/24", "node.ip==nonsense", "node.ip==10.0.0.0/99"] {
            assert!(!met(no), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_a_constraint_is_refused_with_the_way_to_write_it() {
        for bad in ["node.role", "node.role=", "node.role==", "==x", "node.labels.==x", "disk==ssd", "node.rôle==x", ""] {
            let error = parse(bad).expect_err(bad);
            assert!(error.message().contains(&format!("'{bad}'")) && error.hint_text().is_some(), "{}", error.message());
        }
    }
}
