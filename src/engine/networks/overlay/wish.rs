//! # What the swarm wants of this machine's networks
//!
//! The managers decide, the machine obeys: which overlays it has a part in, who is on them and on which machine, which names lead
//! where, and which ports of the mesh it must answer on. All of that arrives as one value, always the whole, and is compared with
//! what was wanted before; so nothing depends on the order in which news came, and a daemon that was killed has only to
//! read the last of them again.
//!
//! ```text
//!   Wishes ─ underlay   10.99.0.2, port 4789          this machine's end of every tunnel
//!          ├ networks   over 10.0.1.0/24, number 4097
//!          │             ├ neighbours  10.0.1.5 web.2.x9f…  on node2 10.99.0.3
//!          │             └ services    web  10.0.1.2 ─► 10.0.1.4, 10.0.1.5
//!          └ mesh       8080/tcp ─► 10.0.0.4:80, 10.0.0.5:80
//! ```
//!
//! * Plain data without a decision in it: whoever knows the swarm fills it in (the executor), the engine does not know what a node is.
//! * What a network is comes as the swarm's own object, for `network inspect` shows most of it.
//!
//! *See:* moby `daemon/cluster/executor/container/executor.go`. Next room: [`super::records`]

use minidock_network::model::Protocol;
use minidock_spec::swarm::network::Network;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// Everything that is wanted of this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// `None` before this machine has been told its address: then no tunnel can be dug.
    pub underlay: Option<Underlay>,
    pub networks: Vec<OverlayWish>,
    pub mesh: Vec<MeshPort>,
}

/// This machine as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underlay {
    /// Its name in `Peers`.
    pub name: String,
    pub address: IpAddr,
    /// UDP, the same on every machine; 0: 4789.
    pub port: u16,
}

/// One overlay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverlayWish {
    pub network: Network,
    /// Everybody on it, also those on this machine.
    pub neighbours: Vec<Neighbour>,
    pub services: Vec<ServiceWish>,
    /// This machine's own address there, with its prefix length: on the ingress network, whence the mesh calls.
    pub own_address: Option<(Ipv4Addr, u8)>,
}

/// Somebody on an overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub address: Ipv4Addr,
    /// His container's name; empty for a machine's own address.
    pub name: String,
    /// The machine he is on, and its end of the tunnel.
    pub machine: String,
    pub machine_address: IpAddr,
}

/// A service's names and where they lead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceWish {
    pub id: String,
    pub name: String,
    pub aliases: Vec<String>,
    /// `None`: its name leads to the tasks themselves (`dnsrr`).
    pub virtual_ip: Option<Ipv4Addr>,
    /// Those that take new connections.
    pub backends: Vec<Ipv4Addr>,
    /// As `network inspect -v` shows them: `Target: 80, Publish: 8080`.
    pub ports: Vec<String>,
}

/// A port that every machine answers on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshPort {
    pub protocol: Protocol,
    pub published: u16,
    pub target: u16,
    /// Addresses on the ingress network.
    pub backends: Vec<Ipv4Addr>,
}
