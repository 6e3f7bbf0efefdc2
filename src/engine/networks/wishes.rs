//! # Wishes: the networks a new container asks for
//!
//! A create request speaks of networks in two places that must agree: `HostConfig.NetworkMode` names one, and
//! `NetworkingConfig.EndpointsConfig` says more about it and, since API 1.44, about others. Older clients put one MAC address for
//! all into `Config`. Here all of it becomes the container's [`Place`]s.
//!
//! ```text
//!   for_version   what the client's API version means: one endpoint, the old MacAddress, "default"
//!   settle        mode and endpoints ─► places, by the network's name; each checked
//! ```
//!
//! * A network that is not there yet is no error: Docker finds out at the start, and so do we.
//! * `container:X`, and a daemon without bridges, have no places at all.
//!
//! See: moby `api/server/router/container/container_routes.go` (handleMACAddressBC), `daemon/create.go`. Next room:
//! [`crate::networks::create`]

use crate::networks::{
    place::{self, Place},
    record::is_predefined,
    store::Networks,
    wish::join,
};
use minidock_base::{Error, Result};
use minidock_spec::engine::{
    container::{ContainerConfig, CreateBody, HostConfig},
    network::NetworkingConfig,
};
use std::collections::BTreeMap;

/// The default network's name.
pub const BRIDGE: &str = "bridge";

/// Makes an older client's request one of today's; gives the warnings that go with the answer.
///
/// # Errors
/// 400 in Docker's words for what that version does not have, and for MAC addresses that contradict each other.
pub fn for_version(body: &mut CreateBody, minor: u16) -> Result<Vec<String>> {
    default_is_bridge(&mut body.host_config, &mut body.networking_config);
    let endpoints = &mut body.networking_config.endpoints_config;
    if minor < 44 && endpoints.len() > 1 {
        let names = endpoints.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::invalid(format!("Container cannot be created with multiple network endpoints: {names}")));
    }
    let mode = body.host_config.network_mode.clone();
    let takes_a_mac = mode == BRIDGE || is_user_defined(&mode);
    let mac = body.config.mac_address.clone().unwrap_or_default();
    if mac.is_empty() {
        if minor < 44 {
            endpoints.values_mut().flatten().for_each(|e| e.mac_address = String::new());
        }
        return Ok(Vec::new());
    }
    if minor < 44 {
        if !takes_a_mac {
            return Err(Error::invalid("conflicting options: mac-address and the network mode"));
        }
        if endpoints.is_empty() {
            endpoints.insert(mode, Some(Default::default()));
        }
        endpoints.values_mut().for_each(|e| e.get_or_insert_default().mac_address = mac.clone());
        return Ok(Vec::new());
    }
    if takes_a_mac {
        if endpoints.is_empty() {
            endpoints.insert(mode.clone(), None);
        }
        let endpoint = endpoints.get_mut(&mode).ok_or_else(|| {
            Error::invalid(
                "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network in \
                 NetworkSettings.Networks",
            )
        })?;
        let endpoint = endpoint.get_or_insert_default();
        if !endpoint.mac_address.is_empty() && endpoint.mac_address != mac {
            return Err(Error::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
        endpoint.mac_address = mac;
    }
    body.config.mac_address = None;
    Ok(vec!["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.".into()])
}

fn default_is_bridge(wishes: &mut HostConfig, networking: &mut NetworkingConfig) {
    if matches!(wishes.network_mode.as_str(), "" | "default") {
        wishes.network_mode = BRIDGE.into();
        if let Some(endpoint) = networking.endpoints_config.remove("default") {
            networking.endpoints_config.insert(BRIDGE.into(), endpoint);
        }
    }
}

/// Whether a mode names a network that somebody made.
pub fn is_user_defined(mode: &str) -> bool {
    !is_predefined(mode) && !mode.is_empty() && !mode.starts_with("container:")
}

/// The places of a new container; settles what its mode means.
///
/// # Errors
/// 400 `invalid config for network x: …`, with every fault.
pub fn settle(
    networks: &Networks,
    config: &ContainerConfig,
    wishes: &mut HostConfig,
    mut networking: NetworkingConfig,
) -> Result<BTreeMap<String, Place>> {
    default_is_bridge(wishes, &mut networking);
    let mut faults = Vec::new();
    for (name, settings) in &networking.endpoints_config {
        let settings = settings.clone().unwrap_or_default();
        let network = networks.find(name).ok();
        let known_as = network.as_ref().map_or(name.as_str(), |n| n.name.as_str());
        if let Err(error) = place::check(network.as_deref(), known_as, &settings) {
            faults.push(format!("invalid config for network {name}: {}", error.message()));
        }
    }
    if !faults.is_empty() {
        return Err(Error::invalid(format!("invalid network config:\n{}", join(&faults))));
    }
    let mode = wishes.network_mode.clone();
    if mode.starts_with("container:") || config.network_disabled == Some(true) {
        return Ok(BTreeMap::new());
    }
    if is_user_defined(&mode)
        && let Ok(network) = networks.find(&mode)
        && mode != network.name
    {
        wishes.network_mode = network.id.clone(); // the beginning of an id may become ambiguous
    }
    let named = |text: &str| networks.find(text).map_or_else(|_| text.to_string(), |n| n.name.clone());
    let mut places: BTreeMap<String, Place> = networking
        .endpoints_config
        .into_iter()
        .map(|(name, settings)| (named(&name), Place::wished(settings.unwrap_or_default())))
        .collect();
    if places.is_empty() {
        places.insert(named(&mode), Place::default());
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::engine::network::EndpointSettings;

    fn body(mode: &str, names: &[&str], mac: &str) -> CreateBody {
        let mut body = CreateBody::default();
        body.host_config.network_mode = mode.into();
        body.config.mac_address = Some(mac.into()).filter(|m: &String| !m.is_empty());
        for name in names {
            body.networking_config.endpoints_config.insert(name.to_string(), Some(EndpointSettings::default()));
        }
        body
    }

    #[test]
    fn older_clients_have_one_endpoint_and_one_mac() {
        let why = |mut body: CreateBody, minor| for_version(&mut body, minor).expect_err("refused").message();
        assert_eq!(why(body("a", &["a", "b"], ""), 43), "Container cannot be created with multiple network endpoints: a, b");
        let mut old = body("default", &["default"], "02:00:00:00:00:01");
        assert!(for_version(&mut old, 43).expect("fine").is_empty());
        let endpoint = old.networking_config.endpoints_config["bridge"].clone().expect("moved");
        assert_eq!((endpoint.mac_address.as_str(), old.host_config.network_mode.as_str()), ("02:00:00:00:00:01", "bridge"));
        let mut new = body("n", &["n"], "02:00:00:00:00:01");
        let warnings = for_version(&mut new, 45).expect("fine");
        assert!(warnings[0].contains("now deprecated") && new.config.mac_address.is_none());
        assert!(why(body("n", &["m"], "02:00:00:00:00:01"), 45).contains("must match the identity"));
        assert!(why(body("host", &[], "02:00:00:00:00:01"), 43).contains("mac-address and the network mode"));
    }
}
