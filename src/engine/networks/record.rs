//! # The record of a network: what the user asked for, and what follows
//!
//! One JSON file a network, written once, when it is made: networks do not change. It keeps the wish as the API shows it
//! (`ipam`, `options`, `labels`) beside what was made of it: the pools with their gateways, and the link's name.
//!
//! ```text
//!   Record ──► to_api()     what `network inspect` shows
//!          └─► to_bridge()  what the kernel and the firewall are told
//! ```
//!
//! * Three networks are always there and cannot be removed: [`default_networks`]. Their ids are drawn at the first start, as
//!   Docker draws them.
//! * The options of the bridge driver are texts under Docker's keys; [`BridgeOptions`] reads them.
//!
//! See: moby `libnetwork/drivers/bridge/bridge_linux.go`. Next room: [`crate::networks::options`]

use crate::networks::{
    macvlan,
    options::{BridgeOptions, DEFAULT_BRIDGE, HOST_BINDING, ICC, MASQUERADE, MTU, NAME},
    overlay::gateway::GATEWAY,
};
use jiff::Timestamp;
use minidock_base::{
    clock::{self, rfc3339},
    id,
};
use minidock_linux::netlink::upon::Mode;
use minidock_network::model::{Bridge, Subnet};
use minidock_spec::engine::network::{ConfigReference, Ipam, IpamConfig, Network};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a network is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A segment on this machine: a bridge, and a cable for each member.
    Bridge,
    /// No segment of its own: links upon one of this machine's ([`crate::networks::macvlan`]).
    Macvlan,
    /// A segment over many machines ([`crate::networks::overlay`]).
    Overlay,
    /// The machine's own network stack.
    Host,
    /// Nothing but loopback.
    Null,
}

impl Driver {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Macvlan => "macvlan",
            Driver::Overlay => "overlay",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }

    /// Over which machines a network of it goes.
    pub fn scope(self) -> &'static str {
        match self {
            Driver::Overlay => "swarm",
            Driver::Bridge | Driver::Macvlan | Driver::Host | Driver::Null => "local",
        }
    }

    /// Members have a link of their own on it.
    pub fn has_cables(self) -> bool {
        matches!(self, Driver::Bridge | Driver::Macvlan | Driver::Overlay)
    }
}

/// One network, as it lies on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub driver: Driver,
    #[serde(default)]
    pub enable_ipv6: bool,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub attachable: bool,
    /// The swarm's own network, over which published ports are reached from every machine.
    #[serde(default)]
    pub ingress: bool,
    /// As the API shows it.
    pub ipam: Ipam,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its pools, each with the bridge's own address in it.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// The user chose the IPv4 pool: members may wish for addresses.
    #[serde(default)]
    pub chosen_v4: bool,
    /// The same for IPv6.
    #[serde(default)]
    pub chosen_v6: bool,
    /// What fits into a frame of its links, where its options do not say; 0: the kernel's default.
    #[serde(default)]
    pub mtu: u32,
    /// The bridge's name, or the parent's; empty for the other drivers.
    #[serde(default)]
    pub link: String,
    /// The parent was not there before, and goes with the network.
    #[serde(default)]
    pub made_parent: bool,
    /// It is nothing but a configuration, for others to be made from ([`crate::networks::on_paper`]).
    #[serde(default)]
    pub config_only: bool,
    /// The configuration it was made from; empty: none.
    #[serde(default)]
    pub config_from: String,
}

/// Names that nobody else may use: the networks that are always there, and Docker's word for the first of them.
pub fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

impl Record {
    /// The same as `network inspect` shows it, without its members.
    pub fn to_api(&self) -> Network {
        Network {
            name: self.name.clone(),
            id: self.id.clone(),
            created: rfc3339(self.created),
            scope: self.driver.scope().into(),
            driver: self.driver.word().into(),
            enable_ipv6: self.enable_ipv6,
            ipam: self.ipam.clone(),
            internal: self.internal,
            attachable: self.attachable,
            ingress: self.ingress,
            config_only: self.config_only,
            config_from: ConfigReference { network: self.config_from.clone() },
            options: self.options.clone(),
            labels: self.labels.clone(),
            ..Network::default()
        }
    }

    /// What the kernel and the firewall are told; `None` for a network that has no bridge.
    pub fn to_bridge(&self) -> Option<Bridge> {
        self.to_segment().filter(|_| self.driver != Driver::Macvlan)
    }

    /// What its members are plugged into: its bridge, or a parent seen as one; `None` for a network that gives its members no link.
    pub fn to_segment(&self) -> Option<Bridge> {
        if !self.driver.has_cables() {
            return None;
        }
        let is_overlay = self.driver == Driver::Overlay;
        let upon = macvlan::mode(self);
        // they were checked when the network was made
        let options = BridgeOptions::read(&self.options).unwrap_or_default();
        Some(Bridge {
            network_id: self.id.clone(),
            link: self.link.clone(),
            subnets: self.subnets.clone(),
            // by an overlay's bridge nothing comes or goes, but for the mesh
            internal: if is_overlay { !self.ingress } else { self.internal },
            icc: options.icc && upon.is_none_or(|mode| mode == Mode::Bridge),
            masquerade: options.masquerade && !is_overlay && upon.is_none(),
            mtu: if options.mtu == 0 { self.mtu } else { options.mtu },
            host_binding: options.host_binding,
        })
    }

    /// Names are resolved on it: every network but those that are always there, and those that only carry.
    pub fn has_names(&self) -> bool {
        !is_predefined(&self.name) && !self.ingress && self.name != GATEWAY
    }

    /// How interfaces inside are called, before the number.
    pub fn interface_prefix(&self) -> String {
        BridgeOptions::read(&self.options).unwrap_or_default().interface_prefix
    }

    /// The first pool of a family.
    pub fn pool(&self, v4: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|s| s.subnet.is_v4() == v4)
    }
}

/// The networks that are there from the first start on; `bridge` when the default one is wished for, with its pool and link.
pub fn default_networks(bridge: Option<(Subnet, &str)>) -> Vec<Record> {
    let bare = |name: &str, driver: Driver| Record {
        id: id::random_id(),
        name: name.into(),
        created: clock::now(),
        driver,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        ingress: false,
        ipam: Ipam { driver: "default".into(), options: None, config: None },
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        subnets: Vec::new(),
        chosen_v4: false,
        chosen_v6: false,
        mtu: 0,
        link: String::new(),
        made_parent: false,
        config_only: false,
        config_from: String::new(),
    };
    let mut all = vec![bare("host", Driver::Host), bare("none", Driver::Null)];
    if let Some((subnet, link)) = bridge {
        let pool = IpamConfig {
            subnet: subnet.subnet.to_string(),
            gateway: subnet.gateway.map(|g| g.to_string()).unwrap_or_default(),
            ..IpamConfig::default()
        };
        let options = [
            (DEFAULT_BRIDGE, "true"),
            (ICC, "true"),
            (MASQUERADE, "true"),
            (HOST_BINDING, "0.0.0.0"),
            (NAME, link),
            (MTU, "1500"),
        ];
        all.push(Record {
            ipam: Ipam { driver: "default".into(), options: None, config: Some(vec![pool]) },
            options: options.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            subnets: vec![subnet],
            link: link.to_string(),
            ..bare("bridge", Driver::Bridge)
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bridge_looks_like_dockers() {
        let subnet = Subnet {
            subnet: "172.17.0.0/16".parse().expect("a block"),
            gateway: Some("172.17.0.1".parse().expect("an address")),
            range: None,
            aux: BTreeMap::new(),
        };
        let all = default_networks(Some((subnet, "minidock0")));
        let bridge = all.iter().find(|r| r.name == "bridge").expect("there").to_api();
        let pool = &bridge.ipam.config.as_ref().expect("a pool")[0];
        assert_eq!((pool.subnet.as_str(), pool.gateway.as_str()), ("172.17.0.0/16", "172.17.0.1"));
        assert_eq!(bridge.options[NAME], "minidock0");
        assert_eq!(all.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["host", "none", "bridge"]);
    }
}
