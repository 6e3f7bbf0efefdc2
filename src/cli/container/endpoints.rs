//! # Endpoints: which networks, and under which names and addresses
//!
//! `--network` says where a container lives: `none`, `host`, the default, `container:NAME`, or a network by its name, in a
//! short form and a long one. Aliases and fixed addresses belong to the container's place on a network, its endpoint.
//!
//! ```text
//!   --network none                               NetworkMode "none"
//!   --network name=n1,alias=db,ip=10.0.0.5       NetworkMode "n1", EndpointsConfig {"n1": {"Aliases": ["db"], …}}
//!   (nothing)                                    NetworkMode "default"
//! ```
//!
//! Laws: which networks there are is the daemon's to say. *See:* docker/cli `opts/network.go`. *Next room:*
//! [`crate::container::environment`]

use crate::container::resources::some_of;
use crate::flag::{list_of, text_of};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::engine::{
    container::HostConfig,
    network::{EndpointIpamConfig, EndpointSettings, NetworkingConfig},
};

/// The network mode: the first network given; none given is Docker's "default".
///
/// # Errors
/// As [`endpoints`].
pub fn mode(m: &ArgMatches) -> Result<String> {
    match list_of(m, "network").first() {
        None => Ok("default".into()),
        Some(first) => Ok(network_name(first)?.0),
    }
}

/// `NAME`, or `name=NAME,alias=A,ip=1.2.3.4`.
fn network_name(value: &str) -> Result<(String, EndpointSettings)> {
    let mut endpoint = EndpointSettings::default();
    if !value.contains('=') {
        return Ok((value.to_string(), endpoint));
    }
    let (mut name, mut ipam) = (String::new(), EndpointIpamConfig::default());
    for field in value.split(',') {
        let wrong = || Error::invalid(format!("invalid field {field} in --network {value}"));
        let (key, text) = field.split_once('=').ok_or_else(wrong)?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => name = text.to_string(),
            "alias" => endpoint.aliases.get_or_insert_default().push(text.to_string()),
            "ip" => ipam.ipv4_address = text.to_string(),
            "ip6" => ipam.ipv6_address = text.to_string(),
            "mac-address" => endpoint.mac_address = text.to_string(),
            _ => return Err(wrong()),
        }
    }
    if name.is_empty() {
        return Err(Error::invalid(format!("network name is missing in --network {value}")));
    }
    endpoint.ipam_config = (ipam != EndpointIpamConfig::default()).then_some(ipam);
    Ok((name, endpoint))
}

/// What is wished on each network; nothing for a plain `--network NAME`.
///
/// # Errors
/// A field that `--network` does not have.
pub fn endpoints(m: &ArgMatches, host: &HostConfig) -> Result<NetworkingConfig> {
    let mut all = NetworkingConfig::default();
    for value in list_of(m, "network") {
        let (name, endpoint) = network_name(&value)?;
        all.endpoints_config.insert(name, Some(endpoint));
    }
    let aliases = list_of(m, "network-alias");
    let (ip, ip6) = (text_of(m, "ip"), text_of(m, "ip6"));
    if !aliases.is_empty() || ip.is_some() || ip6.is_some() {
        let first =
            all.endpoints_config.entry(host.network_mode.clone()).or_default().get_or_insert_with(EndpointSettings::default);
        first.aliases = some_of(aliases);
        let ipam = EndpointIpamConfig {
            ipv4_address: ip.unwrap_or_default().to_string(),
            ipv6_address: ip6.unwrap_or_default().to_string(),
            link_local_ips: Vec::new(),
        };
        first.ipam_config = (ipam != EndpointIpamConfig::default()).then_some(ipam);
    }
    let plain = all.endpoints_config.len() == 1
        && all.endpoints_config.values().all(|e| e.as_ref().is_none_or(|e| *e == EndpointSettings::default()));
    Ok(if plain { NetworkingConfig::default() } else { all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_says_name_alias_and_address() {
        let (name, endpoint) = network_name("name=n1,alias=a,alias=b,ip=10.0.0.5").expect("a network");
        assert_eq!((name.as_str(), endpoint.aliases), ("n1", Some(vec!["a".into(), "b".into()])));
        assert_eq!(endpoint.ipam_config.expect("given").ipv4_address, "10.0.0.5");
        assert_eq!(network_name("container:web").expect("a network").0, "container:web");
        assert!(network_name("alias=a").is_err() && network_name("name=n,colour=red").is_err());
    }
}
