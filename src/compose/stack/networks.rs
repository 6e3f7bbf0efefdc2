//! # Networks of a stack: only those that a service is on
//!
//! A service that names no network is on `default`, which therefore exists without being written. A network in the file that no
//! service uses is not made. The driver is `overlay` unless another is named: a stack may run on many machines.
//!
//! *See:* docker/cli `cli/compose/convert/compose.go` Networks. *Next room:* [`super::mounts`]

use super::{Scope, pairs, wrong};
use crate::node::{Entry, Node};
use minidock_base::Result;
use minidock_spec::{
    engine::network::{Ipam, IpamConfig, NetworkCreate},
    swarm::task::NetworkAttachmentConfig,
};

const DEFAULT: &str = "default";

/// Networks to make, and those that must be there (name in the file, name outside).
///
/// # Errors
/// A service on a network that is not defined.
pub fn plan(scope: &Scope) -> Result<(Vec<NetworkCreate>, Vec<(String, String)>)> {
    let mut used: Vec<String> = Vec::new();
    for service in scope.named("services") {
        for (name, _) in places(&service.node) {
            check(scope, &name, service)?;
            if !used.contains(&name) {
                used.push(name);
            }
        }
    }
    let (mut own, mut external) = (Vec::new(), Vec::new());
    for name in used {
        let node = scope.find("networks", &name);
        let outside = scope.outside(&name, node);
        match node.is_some_and(|node| node.bool("external") == Some(true)) {
            true => external.push((name, outside)),
            false => own.push(network(scope, node, outside)),
        }
    }
    Ok((own, external))
}

fn check(scope: &Scope, name: &str, service: &Entry) -> Result<()> {
    if name == DEFAULT || scope.find("networks", name).is_some() {
        return Ok(());
    }
    let at =
        service.node.get("networks").and_then(|n| n.entries().iter().find(|e| e.key == name)).map_or(&service.at, |e| &e.at);
    Err(wrong(at, &service.key, format_args!("undefined network \"{name}\"")).hint(format!("add it below networks: {name}:")))
}

/// The networks of a service, with what it says of each.
fn places(service: &Node) -> Vec<(String, Option<&Node>)> {
    let places = service.get("networks").map(Node::entries).unwrap_or_default();
    match places {
        [] => vec![(DEFAULT.into(), None)],
        places => places.iter().map(|entry| (entry.key.clone(), Some(&entry.node))).collect(),
    }
}

fn network(scope: &Scope, node: Option<&Node>, name: String) -> NetworkCreate {
    let (text, is) =
        (|key: &str| node.map(|n| n.text(key)).unwrap_or_default(), |key: &str| node.and_then(|n| n.bool(key)) == Some(true));
    let driver = text("driver");
    let pool = |node: &Node| IpamConfig { subnet: node.text("subnet"), gateway: node.text("gateway"), ..IpamConfig::default() };
    NetworkCreate {
        name,
        driver: if driver.is_empty() { "overlay".into() } else { driver },
        internal: is("internal"),
        attachable: is("attachable"),
        options: node.and_then(|n| n.get("driver_opts")).map(pairs).unwrap_or_default(),
        labels: scope.labels(node.and_then(|n| n.get("labels"))),
        ipam: node.and_then(|n| n.get("ipam")).map(|ipam| Ipam {
            driver: ipam.text("driver"),
            options: None,
            config: Some(ipam.get("config").map(Node::items).unwrap_or_default().iter().map(pool).collect()),
        }),
        ..NetworkCreate::default()
    }
}

/// A service's places: under its own name, and its aliases.
pub fn attachments(scope: &Scope, service: &Entry) -> Vec<NetworkAttachmentConfig> {
    let attachment = |(name, place): (String, Option<&Node>)| {
        let target = scope.outside(&name, scope.find("networks", &name));
        let mut aliases = place.map(|node| node.texts("aliases")).unwrap_or_default();
        // the engine's own networks know no names
        if !matches!(target.as_str(), "host" | "none" | "bridge" | DEFAULT) {
            aliases.push(service.key.clone());
        }
        let driver_opts = place.and_then(|node| node.get("driver_opts")).map(pairs).unwrap_or_default();
        NetworkAttachmentConfig { target, aliases, driver_opts }
    };
    let mut attachments: Vec<_> = places(&service.node).into_iter().map(attachment).collect();
    attachments.sort_by(|a, b| a.target.cmp(&b.target));
    attachments
}
