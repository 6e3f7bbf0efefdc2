//! # Places: a container's networks, names and ports
//!
//! A service's container answers to three names on each network: the service's, its own, and (the engine's doing) the short form of its
//! id. Replicas share the first, so whoever asks for `web` gets one of them.
//!
//! ```text
//!   networks: {front: {aliases: [www]}}    EndpointsConfig["app_front"].Aliases = [app-web-1, web, www]
//!   network_mode: service:db               NetworkMode = container:<id of db's first>
//!   ports: ["8080:80"]                     PortBindings["80/tcp"] = [{HostPort: 8080}]
//! ```
//!
//! *See:* docker/compose `pkg/compose/create.go` defaultNetworkSettings. *Next room:* [`super::hash`]

use super::{
    body::{Peer, Seat},
    project::{Project, Service},
};
use crate::{node::Node, stack::pairs};
use minidock_base::Result;
use minidock_spec::engine::{
    container::Set,
    network::{EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreate, NetworkingConfig, PortBinding},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Where a container is.
pub struct Places {
    pub mode: String,
    pub networking: NetworkingConfig,
    pub links: Option<Vec<String>>,
}

/// A container's networks.
///
/// # Errors
/// A service whose network it shares and that has no container.
pub fn places(project: &Project, service: &Service, seat: &Seat) -> Result<Places> {
    let links = links(project, service, seat);
    let mode = shared(service, "network_mode", seat.others)?;
    if !mode.is_empty() {
        return Ok(Places {
            mode,
            networking: NetworkingConfig::default(),
            links: Some(links).filter(|links| !links.is_empty()),
        });
    }
    let mut networking = NetworkingConfig::default();
    let mut first = String::new();
    for key in service.networks() {
        let Some(outer) = project.outer("networks", &key) else { continue };
        let place = service.node.get("networks").and_then(|networks| networks.get(&key));
        let text = |key: &str| place.map(|place| place.text(key)).unwrap_or_default();
        let mut aliases = vec![seat.name.clone()];
        if seat.aliases {
            aliases.push(service.name.clone());
            aliases.extend(place.map(|place| place.texts("aliases")).unwrap_or_default());
        }
        let ipam = EndpointIpamConfig {
            ipv4_address: text("ipv4_address"),
            ipv6_address: text("ipv6_address"),
            link_local_ips: place.map(|place| place.texts("link_local_ips")).unwrap_or_default(),
        };
        let mac = text("mac_address");
        let settings = EndpointSettings {
            aliases: Some(aliases),
            links: Some(links.clone()).filter(|links| !links.is_empty()),
            ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
            mac_address: if mac.is_empty() && first.is_empty() { service.node.text("mac_address") } else { mac },
            driver_opts: place.and_then(|place| place.get("driver_opts")).map(pairs),
            gw_priority: place.and_then(|place| place.int("gw_priority")).unwrap_or(0),
            ..EndpointSettings::default()
        };
        if first.is_empty() {
            first.clone_from(&outer.name);
        }
        networking.endpoints_config.insert(outer.name.clone(), Some(settings));
    }
    let mode = if first.is_empty() { "none".into() } else { first };
    Ok(Places { mode, networking, links: None })
}

/// A namespace that is somebody else's: `service:x` becomes the first container of x.
///
/// # Errors
/// It has none.
pub fn shared(service: &Service, key: &str, others: &dyn Fn(&str) -> Vec<Peer>) -> Result<String> {
    let text = service.node.text(key);
    let Some(name) = text.strip_prefix("service:") else { return Ok(text) };
    match others(name).into_iter().next() {
        Some(peer) => Ok(format!("container:{}", peer.id)),
        None => Err(service.wrong(key, format_args!("cannot share the namespace of service {name}: container missing"))),
    }
}

/// `CONTAINER:NAME`, several names for each container that is linked to.
fn links(project: &Project, service: &Service, seat: &Seat) -> Vec<String> {
    let mut links = Vec::new();
    for text in service.node.texts("links") {
        let (name, alias) = text.split_once(':').unwrap_or((&text, &text));
        for peer in (seat.others)(name) {
            links.push(format!("{}:{alias}", peer.name));
            links.push(format!("{}:{name}-{}", peer.name, peer.number));
            links.push(format!("{}:{}-{name}-{}", peer.name, project.name, peer.number));
        }
    }
    for text in service.node.texts("external_links") {
        let (name, alias) = text.split_once(':').unwrap_or((&text, &text));
        links.push(format!("{name}:{alias}"));
    }
    links
}

type Bindings = BTreeMap<String, Option<Vec<PortBinding>>>;

/// Ports that are open to neighbours, and those that are published, unless nothing shall be.
///
/// # Errors
/// A port that is none.
pub fn ports(service: &Service, published: bool) -> Result<(Set, Bindings)> {
    let (mut exposed, mut bindings): (Set, Bindings) = (Set::new(), Bindings::new());
    for text in service.node.texts("expose") {
        let Some(spec) = crate::ports::read(&text) else {
            return Err(service.wrong("expose", format_args!("{text:?} is no port")));
        };
        exposed.extend(spec.pairs.iter().map(|(target, _)| (format!("{target}/{}", spec.protocol), json!({}))));
    }
    for node in service.node.get("ports").map(Node::items).unwrap_or_default() {
        let Some(target) = node.int("target").filter(|target| (1..=65535).contains(target)) else {
            return Err(service.wrong("ports", "a port needs a target between 1 and 65535"));
        };
        let port = format!("{target}/{}", node.text("protocol"));
        exposed.insert(port.clone(), json!({}));
        if published {
            let binding = PortBinding { host_ip: node.text("host_ip"), host_port: node.text("published") };
            bindings.entry(port).or_insert_with(|| Some(Vec::new())).get_or_insert_default().push(binding);
        }
    }
    Ok((exposed, bindings))
}

/// The network that is made for a key of `networks`.
pub fn network(project: &Project, key: &str) -> Option<NetworkCreate> {
    let outer = project.outer("networks", key)?;
    let node = &outer.node;
    let is = |key: &str| node.bool(key) == Some(true);
    let pool = |node: &Node| IpamConfig {
        subnet: node.text("subnet"),
        ip_range: node.text("ip_range"),
        gateway: node.text("gateway"),
        auxiliary_addresses: node.get("aux_addresses").map(pairs).unwrap_or_default(),
    };
    let mut labels = node.get("labels").map(pairs).unwrap_or_default();
    labels.extend(super::hash::ours(project, super::body::NETWORK, outer));
    let driver = node.text("driver");
    Some(NetworkCreate {
        name: outer.name.clone(),
        check_duplicate: true,
        driver: if driver.is_empty() { "bridge".into() } else { driver },
        enable_ipv6: is("enable_ipv6"),
        internal: is("internal"),
        attachable: is("attachable"),
        options: node.get("driver_opts").map(pairs).unwrap_or_default(),
        labels,
        ipam: node.get("ipam").map(|ipam| Ipam {
            driver: Some(ipam.text("driver")).filter(|driver| !driver.is_empty()).unwrap_or_else(|| "default".into()),
            options: ipam.get("options").map(pairs),
            config: Some(ipam.get("config").map(Node::items).unwrap_or_default().iter().map(pool).collect()),
        }),
        ..NetworkCreate::default()
    })
}
