//! # What `network inspect` tells of an overlay
//!
//! Beside what every network shows, an overlay tells which machines have a part in it, and, when asked for details (`-v`), which
//! services are on it and where each of their tasks is. Machines know only of networks on which they have something, and so their
//! answers differ: each lists its own containers, all list the same peers.
//!
//! *See:* moby `daemon/network.go` (buildDetailedNetworkResources), `libnetwork/agent.go` (Services). Next room: [`super::gateway`]

use super::wish::{OverlayWish, ServiceWish, Wishes};
use crate::Engine;
use minidock_base::id;
use minidock_spec::engine::network::{Network, PeerInfo, ServiceInfo, TaskInfo};
use std::collections::BTreeSet;

/// Adds the machines to an overlay that is shown.
pub(crate) fn add_peers(engine: &Engine, shown: &mut Network) {
    let wanted = engine.networks.overlays.wanted();
    if let Some(wish) = wanted.networks.iter().find(|w| w.network.id == shown.id) {
        shown.peers = peers(&wanted, wish);
    }
}

/// Adds its services to an overlay that is shown (`verbose`).
pub fn add_services(engine: &Engine, shown: &mut Network) {
    let wanted = engine.networks.overlays.wanted();
    if let Some(wish) = wanted.networks.iter().find(|w| w.network.id == shown.id) {
        shown.services = wish.services.iter().map(|service| (service.name.clone(), service_info(wish, service))).collect();
    }
}

fn peers(wanted: &Wishes, wish: &OverlayWish) -> Vec<PeerInfo> {
    let peer = |name: &str, ip: String| PeerInfo { name: id::short(name).to_string(), ip };
    let own = wanted.underlay.iter().map(|u| peer(&u.name, u.address.to_string()));
    let others = wish.neighbours.iter().map(|n| peer(&n.machine, n.machine_address.to_string()));
    own.chain(others).collect::<BTreeSet<_>>().into_iter().collect()
}

fn service_info(wish: &OverlayWish, service: &ServiceWish) -> ServiceInfo {
    let task = |address: &std::net::Ipv4Addr| {
        let there = wish.neighbours.iter().find(|n| n.address == *address);
        TaskInfo {
            name: there.map(|n| n.name.clone()).unwrap_or_default(),
            endpoint_id: String::new(),
            endpoint_ip: address.to_string(),
            info: there.map(|n| ("Host IP".to_string(), n.machine_address.to_string())).into_iter().collect(),
        }
    };
    ServiceInfo {
        vip: service.virtual_ip.map(|vip| vip.to_string()).unwrap_or_default(),
        ports: service.ports.clone(),
        local_lb_index: 0,
        tasks: service.backends.iter().map(task).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::overlay::wish::{Neighbour, Underlay};

    #[test]
    fn peers_are_this_machine_and_all_others_each_once() {
        let at = |address: &str, machine: &str, ip: &str| Neighbour {
            address: address.parse().expect("an address"),
            name: format!("web.{address}"),
            machine: machine.into(),
            machine_address: ip.parse().expect("an address"),
        };
        let wish = OverlayWish {
            neighbours: vec![
                at("10.0.1.4", "b-and-a-long-id", "10.9.0.2"),
                at("10.0.1.5", "b-and-a-long-id", "10.9.0.2"),
                at("10.0.1.3", "a", "10.9.0.1"),
            ],
            services: vec![ServiceWish {
                name: "web".into(),
                backends: vec!["10.0.1.4".parse().expect("an address")],
                ..ServiceWish::default()
            }],
            ..OverlayWish::default()
        };
        let underlay = Underlay { name: "a".into(), address: "10.9.0.1".parse().expect("an address"), port: 0 };
        let wanted = Wishes { underlay: Some(underlay), networks: vec![wish.clone()], mesh: Vec::new() };
        let shown: Vec<(String, String)> = peers(&wanted, &wish).into_iter().map(|p| (p.name, p.ip)).collect();
        assert_eq!(shown, [("a".into(), "10.9.0.1".into()), ("b-and-a-long".to_string(), "10.9.0.2".to_string())]);
        let info = service_info(&wish, &wish.services[0]);
        assert_eq!((info.tasks[0].name.as_str(), info.tasks[0].info["Host IP"].as_str()), ("web.10.0.1.4", "10.9.0.2"));
        assert_eq!(info.vip, "", "its name leads to the tasks themselves");
    }
}
