//! # Ports: what is exposed, what is published, what is shown
//!
//! An image *exposes* ports: a remark, nothing more. A user *publishes* them: a door on the host that leads to the container.
//! Docker tells both in three shapes, and this room is the translation between them; it opens no door.
//!
//! ```text
//!   PortBindings {"80/tcp": [{"HostIp":"","HostPort":"8080"}]}   the wish (-p), a range as "8080-8090"
//!   ExposedPorts {"80/tcp": {}}, PublishAllPorts                 the remark, and -P
//!        └─► doors()  ─► … opened … ─►  Published
//!   inspect  Ports {"80/tcp": [{"HostIp":"0.0.0.0","HostPort":"8080"}], "443/tcp": null}     ◄─ shown()
//!   ps       [{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]              ◄─ rows()
//! ```
//!
//! Laws: what is shown while it runs is what is; a container that does not run shows no ports.
//! See: moby `daemon/container_operations.go` (buildSandboxOptions), `daemon/network.go` (getEndpointPortMapInfo),
//! go-connections `nat`. Next room: [`crate::networks::join`]

use minidock_base::{Error, Result};
use minidock_network::model::{Protocol, Published};
use minidock_spec::engine::{
    container::{ContainerConfig, HostConfig},
    network::{Port, PortBinding},
};
use std::{collections::BTreeMap, net::IpAddr};

/// The wish for one door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    pub target: u16,
    pub protocol: Protocol,
    /// `None`: wherever the network's binding says.
    pub host: Option<IpAddr>,
    /// From which to which port of the host; 0 and 0: any that is free.
    pub from: u16,
    pub to: u16,
}

/// Every door that is wished for, by target port.
///
/// # Errors
/// 400 `invalid port specification: "x"`; 501 for SCTP.
pub fn doors(config: &ContainerConfig, wishes: &HostConfig) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for (text, bindings) in &wishes.port_bindings {
        let (target, protocol) = target(text)?;
        for binding in bindings.iter().flatten() {
            doors.push(door(target, protocol, binding)?);
        }
        if bindings.iter().flatten().next().is_none() && wishes.publish_all_ports {
            doors.push(Door { target, protocol, host: None, from: 0, to: 0 });
        }
    }
    if wishes.publish_all_ports {
        for (target, protocol) in exposed(config) {
            if !doors.iter().any(|d| (d.target, d.protocol) == (target, protocol)) {
                doors.push(Door { target, protocol, host: None, from: 0, to: 0 });
            }
        }
    }
    // doors with one certain port come before those that take any, so that these do not take what those need
    doors.sort_by_key(|d| (d.to.saturating_sub(d.from), d.from == 0, d.target, d.protocol, d.host, d.from));
    Ok(doors)
}

/// `80/tcp`, or `80`.
pub(crate) fn target(text: &str) -> Result<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let bad = || Error::invalid(format!("invalid port specification: {number:?}"));
    let number = number.parse::<u16>().ok().filter(|n| *n != 0).ok_or_else(bad)?;
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" | "" => Ok((number, Protocol::Tcp)),
        "udp" => Ok((number, Protocol::Udp)),
        "sctp" => Err(Error::not_implemented(format!("port {text} cannot be published: SCTP is left out of this engine"))
            .hint("tcp or udp; members of one network reach each other by SCTP without publishing")),
        _ => Err(Error::invalid(format!("invalid proto: {protocol}"))),
    }
}

fn door(target: u16, protocol: Protocol, binding: &PortBinding) -> Result<Door> {
    let bad = || Error::invalid(format!("invalid port specification: {:?}", binding.host_port));
    let (from, to) = match binding.host_port.split('/').next().unwrap_or_default() {
        "" => (0, 0),
        one_or_range => {
            let (from, to) = one_or_range.split_once('-').unwrap_or((one_or_range, one_or_range));
            (from.parse::<u16>().map_err(|_| bad())?, to.parse::<u16>().map_err(|_| bad())?)
        }
    };
    if to < from {
        return Err(bad());
    }
    let host = match binding.host_ip.trim_start_matches('[').trim_end_matches(']') {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {}", binding.host_ip)))?),
    };
    Ok(Door { target, protocol, host, from, to })
}

/// The ports that image and user remark on, as numbers; what cannot be published is left out.
fn exposed(config: &ContainerConfig) -> Vec<(u16, Protocol)> {
    config.exposed_ports.iter().flat_map(|ports| ports.keys()).filter_map(|text| target(text).ok()).collect()
}

/// The ports of a running container, as `inspect` shows them.
pub fn shown(config: &ContainerConfig, published: &[Published]) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let exposed = config.exposed_ports.iter().flat_map(|ports| ports.keys());
    let with_protocol = |text: &String| if text.contains('/') { text.clone() } else { format!("{text}/tcp") };
    let mut ports: BTreeMap<String, Option<Vec<PortBinding>>> = exposed.map(|text| (with_protocol(text), None)).collect();
    for door in published {
        let binding = PortBinding { host_ip: door.host.0.to_string(), host_port: door.host.1.to_string() };
        let list = ports.entry(format!("{}/{}", door.target.1, door.protocol)).or_default().get_or_insert_default();
        if !list.contains(&binding) {
            list.push(binding);
        }
    }
    ports
}

/// The same as `ps` shows it.
pub fn rows(config: &ContainerConfig, published: &[Published]) -> Vec<Port> {
    let mut rows = Vec::new();
    for (text, bindings) in shown(config, published) {
        let (number, kind) = text.split_once('/').unwrap_or((&text, "tcp"));
        let Ok(private_port) = number.parse() else { continue };
        let row = |ip, public_port| Port { ip, private_port, public_port, kind: kind.to_string() };
        match bindings {
            None => rows.push(row(None, None)),
            Some(doors) => {
                rows.extend(doors.into_iter().map(|d| row(Some(d.host_ip), d.host_port.parse().ok())));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn wishes(target: &str, ip: &str, port: &str) -> HostConfig {
        let binding = PortBinding { host_ip: ip.into(), host_port: port.into() };
        HostConfig { port_bindings: BTreeMap::from([(target.to_string(), Some(vec![binding]))]), ..HostConfig::default() }
    }

    fn one(target: &str, ip: &str, port: &str) -> Result<Door> {
        doors(&ContainerConfig::default(), &wishes(target, ip, port)).map(|mut doors| doors.remove(0))
    }

    #[test]
    fn every_form_of_a_published_port_is_read() {
        let door = one("80/tcp", "127.0.0.1", "8080").expect("a door");
        assert_eq!((door.target, door.from, door.to, door.host), (80, 8080, 8080, "127.0.0.1".parse().ok()));
        let any = one("53/udp", "", "").expect("any port");
        assert_eq!((any.protocol, any.from, any.to, any.host), (Protocol::Udp, 0, 0, None));
        let range = one("80", "[::1]", "8000-8010").expect("a range");
        assert_eq!((range.from, range.to, range.host), (8000, 8010, "::1".parse().ok()));
        let why = |target: &str, ip: &str, port: &str| one(target, ip, port).expect_err("nonsense").message();
        assert_eq!(why("80/tcp", "", "65536"), "invalid port specification: \"65536\"");
        assert_eq!(why("0/tcp", "", ""), "invalid port specification: \"0\"");
        assert_eq!(why("80/tcp", "", "9-8"), "invalid port specification: \"9-8\"");
        assert_eq!(why("80/tcp", "here", "8"), "invalid IP address: here");
        assert!(why("80/sctp", "", "8").contains("SCTP"));
    }

    #[test]
    fn publishing_all_takes_what_is_exposed_and_not_published_already() {
        let config = ContainerConfig {
            exposed_ports: Some([("80/tcp", json!({})), ("443", json!({}))].map(|(k, v)| (k.to_string(), v)).into()),
            ..ContainerConfig::default()
        };
        let all = doors(&config, &HostConfig { publish_all_ports: true, ..wishes("80/tcp", "", "8080") }).expect("doors");
        assert_eq!(all.iter().map(|d| (d.target, d.from)).collect::<Vec<_>>(), [(80, 8080), (443, 0)]);
        let none = doors(&config, &HostConfig::default()).expect("no doors");
        assert!(none.is_empty());
        let published = Published {
            endpoint_id: "e".into(),
            protocol: Protocol::Tcp,
            host: ("0.0.0.0".parse().expect("an address"), 8080),
            target: ("172.17.0.2".parse().expect("an address"), 80),
            bridge: "minidock0".into(),
        };
        let ports = shown(&config, std::slice::from_ref(&published));
        assert_eq!(ports["443/tcp"], None);
        assert_eq!(ports["80/tcp"].as_ref().map(|b| b[0].host_port.as_str()), Some("8080"));
        let rows = rows(&config, &[published]);
        assert_eq!(rows.iter().map(|r| (r.private_port, r.public_port)).collect::<Vec<_>>(), [(443, None), (80, Some(8080))]);
    }

    proptest! {
        #[test]
        fn no_port_makes_the_reader_panic(target in "\\PC{0,12}", ip in "[0-9a-f.:\\[\\]]{0,12}", port in "[0-9/-]{0,12}") {
            let _ = doors(&ContainerConfig::default(), &wishes(&target, &ip, &port));
        }
    }
}
