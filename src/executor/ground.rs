//! # Ground: the networks of a node, made true
//!
//! What a node is told of networks ([`View`]) speaks the swarm's language: IDs of nodes, addresses as texts, ports with a mode. What the
//! engine wants ([`Wishes`]) is plain: addresses, names, who is behind which machine. Here one becomes the other, by functions
//! from values to values; making it true is [`minidock_engine::networks::overlay::realize`].
//!
//! ```text
//!   View ─ data_path ───────────────────► Wishes.underlay
//!        ├ networks, their neighbours ──►       .networks   this node's own address only where it has one: on ingress
//!        └ ingress ─────────────────────►       .mesh
//! ```
//!
//! * What cannot be read is left out and logged: one broken address must not take down the networks of everybody else.
//!
//! Laws: the whole each time; an empty view is a node that has left. *Next room:* [`crate::describe`]

use crate::Machine;
use minidock_base::Result;
use minidock_engine::networks::overlay::{
    self,
    wish::{MeshPort, Neighbour, OverlayWish, ServiceWish, Underlay, Wishes},
};
use minidock_network::model::Protocol;
use minidock_swarm::{
    agent::executor::Here,
    dispatcher::{
        IngressPort, View,
        network::{self, NetworkView},
    },
};
use std::net::Ipv4Addr;

/// Makes true what the view says of networks and of the mesh.
///
/// # Errors
/// As [`overlay::realize`].
pub async fn ground(machine: &Machine, here: &Here, view: &View) -> Result<()> {
    overlay::realize(&machine.engine, wishes(&here.node_id, view)).await
}

/// The view in the engine's words.
pub fn wishes(node: &str, view: &View) -> Wishes {
    let address = view.data_path.address.parse().ok();
    let port = u16::try_from(view.data_path.port).unwrap_or_default();
    Wishes {
        underlay: address.map(|address| Underlay { name: node.to_string(), address, port }),
        networks: view.networks.values().map(|network| overlay_wish(node, network, &view.ingress)).collect(),
        mesh: view.ingress.iter().filter_map(mesh_port).collect(),
    }
}

fn overlay_wish(node: &str, view: &NetworkView, ingress: &[IngressPort]) -> OverlayWish {
    let own = view.network.node_addresses.get(node).and_then(|own| with_prefix(own));
    let neighbours = view.neighbours.iter().filter_map(|n| {
        Some(Neighbour {
            address: address(&n.address)?,
            name: n.name.clone(),
            machine: n.node_id.clone(),
            machine_address: n.node_address.parse().ok()?,
        })
    });
    let services = view.services.iter().map(|service| {
        let its = |port: &&IngressPort| view.network.spec.ingress && service.virtual_ip.as_deref() == Some(&port.virtual_ip);
        let ports =
            ingress.iter().filter(its).map(|i| format!("Target: {}, Publish: {}", i.port.target_port, i.port.published_port));
        ServiceWish {
            id: service.id.clone(),
            name: service.name.clone(),
            aliases: service.aliases.clone(),
            virtual_ip: service.virtual_ip.as_deref().and_then(address),
            backends: service.backends.iter().filter_map(|b| address(b)).collect(),
            ports: ports.collect(),
        }
    });
    OverlayWish {
        network: view.network.clone(),
        neighbours: neighbours.collect(),
        services: services.collect(),
        own_address: own.filter(|_| view.network.spec.ingress),
    }
}

fn mesh_port(ingress: &IngressPort) -> Option<MeshPort> {
    let protocol = match ingress.port.protocol.as_str() {
        "tcp" | "" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => {
            tracing::warn!(protocol = other, port = ingress.port.published_port, "the mesh does not carry it");
            return None;
        }
    };
    Some(MeshPort {
        protocol,
        published: ingress.port.published_port.try_into().ok().filter(|port| *port != 0)?,
        target: ingress.port.target_port.try_into().ok()?,
        backends: ingress.backends.iter().filter_map(|b| address(b)).collect(),
    })
}

/// Reads `10.0.1.5`, or the same with a prefix length.
fn address(text: &str) -> Option<Ipv4Addr> {
    let read = network::bare(text).parse().ok();
    if read.is_none() {
        tracing::warn!(text, "an address of an overlay cannot be read");
    }
    read
}

/// Reads `10.0.0.2/24`.
fn with_prefix(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (own, prefix) = text.split_once('/')?;
    Some((own.parse().ok()?, prefix.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::{network::Network, service::EndpointPort};
    use minidock_swarm::dispatcher::{
        DataPath,
        network::{Neighbour as Told, ServiceView},
    };

    fn view() -> View {
        let mut network = Network { id: "ing".into(), ..Network::default() };
        network.spec.ingress = true;
        network.node_addresses = [("n1", "10.0.0.2/24"), ("n2", "10.0.0.3/24")].map(|(k, v)| (k.into(), v.into())).into();
        let told = |address: &str| Told {
            address: address.into(),
            name: "web.1.x".into(),
            node_id: "n2".into(),
            node_address: "192.168.7.2".into(),
        };
        let service = ServiceView {
            id: "s".into(),
            name: "web".into(),
            aliases: Vec::new(),
            virtual_ip: Some("10.0.0.4".into()),
            backends: vec!["10.0.0.5".into()],
        };
        let port = |protocol: &str, published| IngressPort {
            port: EndpointPort { protocol: protocol.into(), target_port: 80, published_port: published, ..Default::default() },
            virtual_ip: "10.0.0.4".into(),
            backends: vec!["10.0.0.5".into()],
        };
        View {
            networks: [(
                "ing".to_string(),
                NetworkView { network, neighbours: vec![told("10.0.0.5"), told("nonsense")], services: vec![service] },
            )]
            .into(),
            data_path: DataPath { address: "192.168.7.1".into(), port: 4789 },
            ingress: vec![port("tcp", 8080), port("sctp", 8081), port("tcp", 0)],
            ..View::default()
        }
    }

    #[test]
    fn what_a_node_is_told_becomes_what_its_engine_wants() {
        let wishes = wishes("n1", &view());
        let underlay = wishes.underlay.expect("an address");
        assert_eq!((underlay.name.as_str(), underlay.address.to_string().as_str(), underlay.port), ("n1", "192.168.7.1", 4789));
        let network = &wishes.networks[0];
        assert_eq!(network.own_address, Some(([10, 0, 0, 2].into(), 24)));
        assert_eq!(network.neighbours.len(), 1, "an address that cannot be read is left out");
        assert_eq!(network.neighbours[0].machine, "n2");
        assert_eq!(network.services[0].virtual_ip, Some([10, 0, 0, 4].into()));
        assert_eq!(network.services[0].ports[0], "Target: 80, Publish: 8080");
        assert_eq!(wishes.mesh.iter().map(|m| (m.published, m.target)).collect::<Vec<_>>(), [(8080, 80)]);
    }

    #[test]
    fn an_empty_view_wants_nothing() {
        assert_eq!(super::wishes("n1", &View::default()), Wishes::default());
    }
}
