//! # A place on a network: wish and fact
//!
//! A container's record says on which networks it is to be, and, while it runs, where it is. Docker keeps both in one object,
//! and so do we: the wish stays over every stop and start, the facts are made anew each time.
//!
//! ```text
//!   Networking ── places ── "bridge" ─► Place { settings, desired_mac, plugged }
//!             │            "backend" ─► …       │                      └ as the kernel has it; none: not running
//!             │                                 └ what `inspect` shows: wishes and facts
//!             ├─ sandbox_id                       the pinned namespace
//!             └─ published                        its doors to the world
//! ```
//!
//! * [`Place::fill`] and [`Place::clean`] are the two moves; [`dns_names`] says what it is called by.
//! * [`check`] refuses addresses and aliases that a network cannot give, all faults at once, in Docker's words.
//!
//! See: moby `daemon/container_operations.go` (validateEndpointSettings, buildEndpointDNSNames). Next room:
//! [`crate::networks::ports`]

use crate::{
    container::record::Record as Container,
    networks::{
        overlay::attach::Attached,
        record::{Record, is_predefined},
        wish::join,
    },
};
use minidock_base::{Error, Result};
use minidock_network::{
    dns::zone::names,
    model::{Endpoint, Mac, Published},
};
use minidock_spec::engine::network::EndpointSettings;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The network part of a container's record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Networking {
    /// The sandbox of its last start.
    pub sandbox_id: String,
    /// By the network's name, or, until the first start, by whatever the user called it.
    pub places: BTreeMap<String, Place>,
    /// Its place on the bridge that leads out, when its own networks do not; none while it does not run.
    pub gateway: Option<Endpoint>,
    /// Its doors; none while it does not run.
    pub published: Vec<Published>,
}

/// One container's place on one network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    pub settings: EndpointSettings,
    /// The MAC address that was asked for; `settings` shows the one that is.
    pub desired_mac: String,
    /// The place that the swarm gave it on one of its networks, this time.
    pub attached: Option<Attached>,
    /// As it is plugged in; `None` for the machine's own stack and while it does not run.
    pub plugged: Option<Endpoint>,
}

impl Place {
    /// What a user asked for, without any facts a client may have sent along.
    pub fn wished(mut settings: EndpointSettings) -> Place {
        let desired_mac = std::mem::take(&mut settings.mac_address);
        let mut place = Place { settings, desired_mac, ..Place::default() };
        place.clean();
        place.settings.mac_address = place.desired_mac.clone();
        place.settings.network_id = String::new();
        place.settings.dns_names = None;
        place
    }

    /// Forgets the facts of the last run.
    pub fn clean(&mut self) {
        let wish = std::mem::take(&mut self.settings);
        self.settings = EndpointSettings {
            ipam_config: wish.ipam_config,
            links: wish.links,
            aliases: wish.aliases,
            driver_opts: wish.driver_opts,
            gw_priority: wish.gw_priority,
            network_id: wish.network_id,
            dns_names: wish.dns_names,
            ..EndpointSettings::default()
        };
        (self.attached, self.plugged) = (None, None);
    }

    /// Writes down where it is now.
    pub fn fill(&mut self, network: &Record, endpoint: &Endpoint) {
        let settings = &mut self.settings;
        settings.network_id = network.id.clone();
        settings.endpoint_id = endpoint.id.clone();
        settings.mac_address = endpoint.mac.to_string();
        let text = |address: Option<String>| address.unwrap_or_default();
        settings.gateway = text(endpoint.gateway_v4.map(|g| g.to_string()));
        settings.ipv6_gateway = text(endpoint.gateway_v6.map(|g| g.to_string()));
        settings.ip_address = text(endpoint.v4.map(|(address, _)| address.to_string()));
        settings.ip_prefix_len = endpoint.v4.map_or(0, |(_, prefix)| prefix.into());
        settings.global_ipv6_address = text(endpoint.v6.map(|(address, _)| address.to_string()));
        settings.global_ipv6_prefix_len = endpoint.v6.map_or(0, |(_, prefix)| prefix.into());
        self.plugged = Some(endpoint.clone());
    }

    /// The addresses that were asked for.
    pub fn wanted(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let ipam = self.settings.ipam_config.clone().unwrap_or_default();
        (ipam.ipv4_address.parse().ok(), ipam.ipv6_address.parse().ok())
    }
}

/// The names by which a container is known on a network: its own, its aliases, its short id, its host name.
pub fn dns_names(container: &Container, settings: &EndpointSettings) -> Vec<String> {
    names(&container.name, settings.aliases.as_deref().unwrap_or_default(), &container.id, &container.config.hostname)
}

/// Whether a network of this name, if it is there, can give what is asked for.
///
/// # Errors
/// 400 `invalid endpoint settings:` and every fault.
pub fn check(network: Option<&Record>, name: &str, settings: &EndpointSettings) -> Result<()> {
    if network.is_some_and(|network| network.config_only) {
        return Err(Error::forbidden("cannot create endpoint on configuration-only network")
            .hint(format!("minidock network create --config-from {name} makes one that can be joined")));
    }
    let mut faults = Vec::new();
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    if is_predefined(name) {
        if !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty() {
            faults.push("user specified IP address is supported on user defined networks only".to_string());
        }
        if settings.aliases.iter().flatten().next().is_some() {
            faults.push("network-scoped alias is supported only for containers in user defined networks".to_string());
        }
    }
    let v4 = ipam.ipv4_address.parse::<Ipv4Addr>().ok().filter(|a| !a.is_unspecified());
    let v6 = ipam.ipv6_address.parse::<Ipv6Addr>().ok().filter(|a| !a.is_unspecified() && a.to_ipv4_mapped().is_none());
    if !ipam.ipv4_address.is_empty() && v4.is_none() {
        faults.push(format!("invalid IPv4 address: {}", ipam.ipv4_address));
    }
    if !ipam.ipv6_address.is_empty() && v6.is_none() {
        faults.push(format!("invalid IPv6 address: {}", ipam.ipv6_address));
    }
    for address in &ipam.link_local_ips {
        if !address.parse::<IpAddr>().is_ok_and(|a| !a.is_unspecified()) {
            faults.push(format!("invalid link-local IP address: {address}"));
        }
    }
    if let Some(network) = network {
        faults.extend(v4.and_then(|address| out_of_range(address.into(), network, network.chosen_v4)));
        faults.extend(v6.and_then(|address| out_of_range(address.into(), network, network.chosen_v6)));
    }
    if !settings.mac_address.is_empty() && settings.mac_address.parse::<Mac>().is_err() {
        return Err(Error::invalid(format!("invalid MAC address {}", settings.mac_address)));
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid endpoint settings:\n{}", join(&faults)))),
    }
}

fn out_of_range(address: IpAddr, network: &Record, chosen: bool) -> Option<String> {
    if is_predefined(&network.name) {
        return None; // said already, in other words
    }
    if !chosen {
        return Some(
            "user specified IP address is supported only when connecting to networks with user configured subnets".into(),
        );
    }
    let inside = network.subnets.iter().any(|pool| pool.subnet.contains(address));
    (!inside).then(|| format!("no configured subnet or ip-range contain the IP address {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::record::default_networks;
    use minidock_network::model::Subnet;
    use minidock_spec::engine::network::EndpointIpamConfig;

    fn network(chosen: bool) -> Record {
        let pool = Subnet { subnet: "10.5.0.0/16".parse().expect("a block"), gateway: None, range: None, aux: BTreeMap::new() };
        let plain = default_networks(None).remove(0);
        Record { name: "n".into(), subnets: vec![pool], chosen_v4: chosen, ..plain }
    }

    fn settings(ip: &str) -> EndpointSettings {
        let ipam = EndpointIpamConfig { ipv4_address: ip.into(), ..EndpointIpamConfig::default() };
        EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() }
    }

    fn why(network: Option<&Record>, name: &str, settings: &EndpointSettings) -> String {
        check(network, name, settings).map_or_else(|e| e.message(), |()| String::new())
    }

    #[test]
    fn addresses_and_aliases_need_a_network_that_can_give_them() {
        let on = |n: &Record, ip: &str| why(Some(n), "n", &settings(ip));
        assert_eq!(on(&network(true), "10.5.0.9"), "");
        assert_eq!(
            on(&network(true), "10.6.0.9"),
            "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.6.0.9"
        );
        assert!(on(&network(false), "10.5.0.9").ends_with("networks with user configured subnets"));
        assert!(on(&network(true), "x").ends_with("invalid IPv4 address: x"));
        let both = EndpointSettings { aliases: Some(vec!["a".into()]), ..settings("10.5.0.9") };
        assert_eq!(
            why(None, "bridge", &both),
            "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n\
             * network-scoped alias is supported only for containers in user defined networks"
        );
        let mac = EndpointSettings { mac_address: "zz".into(), ..EndpointSettings::default() };
        assert_eq!(why(None, "n", &mac), "invalid MAC address zz");
    }

    #[test]
    fn facts_that_a_client_sends_are_not_believed() {
        let sent = EndpointSettings {
            endpoint_id: "e".into(),
            ip_address: "1.2.3.4".into(),
            network_id: "n".into(),
            mac_address: "02:00:00:00:00:01".into(),
            ..settings("10.5.0.9")
        };
        let place = Place::wished(sent);
        assert_eq!((place.settings.endpoint_id.as_str(), place.settings.ip_address.as_str()), ("", ""));
        assert_eq!(place.desired_mac, "02:00:00:00:00:01");
        assert_eq!(place.wanted().0, Some(Ipv4Addr::new(10, 5, 0, 9)));
    }
}
