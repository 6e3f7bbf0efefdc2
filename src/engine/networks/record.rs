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
//! * The options of the bridge driver are texts under Docker's keys; [`BridgeOptions`] reads them, once to check and later to
//!   use.
//!
//! See: moby `libnetwork/drivers/bridge/{labels.go,bridge_linux.go}`. Next room: [`crate::networks::wish`]

use jiff::Timestamp;
use minidock_base::{Error, Result, clock::rfc3339, id};
use minidock_network::model::{Bridge, Subnet};
use minidock_spec::engine::network::{Ipam, IpamConfig, Network};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

/// How a network is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A segment on this machine: a bridge, and a cable for each member.
    Bridge,
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
            Driver::Host => "host",
            Driver::Null => "null",
        }
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
    /// The bridge's name; empty for the other drivers.
    #[serde(default)]
    pub link: String,
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
            scope: "local".into(),
            driver: self.driver.word().into(),
            enable_ipv6: self.enable_ipv6,
            ipam: self.ipam.clone(),
            internal: self.internal,
            attachable: self.attachable,
            options: self.options.clone(),
            labels: self.labels.clone(),
            ..Network::default()
        }
    }

    /// What the kernel and the firewall are told; `None` for a network that has no bridge.
    pub fn to_bridge(&self) -> Option<Bridge> {
        if self.driver != Driver::Bridge {
            return None;
        }
        // they were checked when the network was made
        let options = BridgeOptions::read(&self.options).unwrap_or_default();
        Some(Bridge {
            network_id: self.id.clone(),
            link: self.link.clone(),
            subnets: self.subnets.clone(),
            internal: self.internal,
            icc: options.icc,
            masquerade: options.masquerade,
            mtu: options.mtu,
            host_binding: options.host_binding,
        })
    }

    /// Names are resolved on it: every network but those that are always there.
    pub fn has_names(&self) -> bool {
        !is_predefined(&self.name)
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

/// The options of the bridge driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    pub link: Option<String>,
    pub mtu: u32,
    pub icc: bool,
    pub masquerade: bool,
    pub host_binding: IpAddr,
    pub interface_prefix: String,
}

impl Default for BridgeOptions {
    fn default() -> BridgeOptions {
        BridgeOptions {
            link: None,
            mtu: 0,
            icc: true,
            masquerade: true,
            host_binding: Ipv4Addr::UNSPECIFIED.into(),
            interface_prefix: "eth".into(),
        }
    }
}

const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";

impl BridgeOptions {
    /// Reads Docker's keys; those of others are kept and mean nothing here, as there.
    ///
    /// # Errors
    /// `failed to parse KEY value: x (…)`; `invalid MTU number: n`.
    pub fn read(options: &BTreeMap<String, String>) -> Result<BridgeOptions> {
        let mut read = BridgeOptions::default();
        for (key, value) in options {
            let bad = |why: String| Error::invalid(format!("failed to parse {key} value: {value} ({why})"));
            let flag = || match value.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                _ => Err(bad(format!("strconv.ParseBool: parsing {value:?}: invalid syntax"))),
            };
            match key.as_str() {
                NAME if value.is_empty() => {}
                NAME => read.link = Some(link_name(value)?),
                ICC => read.icc = flag()?,
                MASQUERADE => read.masquerade = flag()?,
                HOST_BINDING => read.host_binding = value.parse().map_err(|_| bad("nil ip".into()))?,
                MTU => {
                    let number: i64 =
                        value.parse().map_err(|_| bad(format!("strconv.Atoi: parsing {value:?}: invalid syntax")))?;
                    let sane = u32::try_from(number).ok().filter(|n| *n == 0 || (68..=65_535).contains(n));
                    read.mtu = sane.ok_or_else(|| Error::invalid(format!("invalid MTU number: {number}")))?;
                }
                PREFIX if value.is_empty() => {}
                PREFIX => read.interface_prefix = link_name(value)?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A name that the kernel takes for a link (IFNAMSIZ is 16, with the end's zero).
fn link_name(text: &str) -> Result<String> {
    let good =
        text.len() < 16 && !matches!(text, "." | "..") && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/' && c != b':');
    match good {
        true => Ok(text.to_string()),
        false => Err(Error::invalid(format!("invalid interface name: {text:?}"))
            .hint("at most fifteen letters, digits, - and _: the kernel's limit for a link's name")),
    }
}

/// The networks that are there from the first start on; `bridge` when the default one is wished for, with its pool and link.
pub fn default_networks(bridge: Option<(Subnet, &str)>) -> Vec<Record> {
    let bare = |name: &str, driver: Driver| Record {
        id: id::random_id(),
        name: name.into(),
        created: Timestamp::now(),
        driver,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        ipam: Ipam { driver: "default".into(), options: None, config: None },
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        subnets: Vec::new(),
        chosen_v4: false,
        chosen_v6: false,
        link: String::new(),
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

    fn read(key: &str, value: &str) -> Result<BridgeOptions> {
        BridgeOptions::read(&BTreeMap::from([(key.to_string(), value.to_string())]))
    }

    #[test]
    fn the_drivers_options_are_read_in_dockers_words() {
        assert_eq!(read(NAME, "lab0").expect("a name").link.as_deref(), Some("lab0"));
        assert!(!read(ICC, "false").expect("a flag").icc);
        assert_eq!(read(MTU, "1400").expect("a number").mtu, 1400);
        assert_eq!(read("x.y", "z").expect("somebody else's"), BridgeOptions::default());
        let why = |key: &str, value: &str| read(key, value).expect_err("nonsense").message();
        assert_eq!(
            why(MASQUERADE, "maybe"),
            format!("failed to parse {MASQUERADE} value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)")
        );
        assert_eq!(why(HOST_BINDING, "here"), format!("failed to parse {HOST_BINDING} value: here (nil ip)"));
        assert_eq!(why(MTU, "-5"), "invalid MTU number: -5");
        assert!(why(NAME, "a-name-that-is-too-long").contains("invalid interface name"));
    }

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
