//! # A bridge for a claim
//!
//! What most claims need of one: a link, its blocks with their gateways, and otherwise what a network is by default.

#![allow(dead_code)] // each test binary uses its own part

use minidock_network::model::{Bridge, Subnet};
use std::net::Ipv4Addr;

pub fn network(link: &str, subnets: &[(&str, &str)]) -> Bridge {
    let subnet = |(block, gateway): &(&str, &str)| Subnet {
        subnet: block.parse().expect("a block"),
        gateway: Some(gateway.parse().expect("an address")),
        range: None,
        aux: Default::default(),
    };
    Bridge {
        network_id: "n".repeat(64),
        link: link.into(),
        subnets: subnets.iter().map(subnet).collect(),
        internal: false,
        icc: true,
        masquerade: true,
        mtu: 1500,
        host_binding: Ipv4Addr::UNSPECIFIED.into(),
    }
}
