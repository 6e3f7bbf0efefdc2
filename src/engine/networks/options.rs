//! # Options of the bridge driver: texts under Docker's keys
//!
//! `network create -o com.docker.network.bridge.enable_icc=false` and its kin come as texts, stay in the record as texts, and
//! are shown as they came. Here is what they mean.
//!
//! * They are read twice: once when the network is made, to refuse what makes no sense, and whenever the network is used.
//! * Keys of other drivers are kept and mean nothing here, as with Docker.
//!
//! See: moby `libnetwork/drivers/bridge/labels.go`, docs.docker.com "Bridge network driver", Options. Next room:
//! [`crate::networks::wish`]

use minidock_base::{Error, Result};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

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

pub const NAME: &str = "com.docker.network.bridge.name";
pub const ICC: &str = "com.docker.network.bridge.enable_icc";
pub const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
pub const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
pub const MTU: &str = "com.docker.network.driver.mtu";
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
}
