//! # Records of overlays: here while they are wanted
//!
//! To the rest of the department an overlay is a network like any other: it has a record, members, a bridge that cables are plugged
//! into. Only where the record comes from is different: not from a user's wish and a file that stays, but from the swarm, each
//! time anew.
//!
//! ```text
//!   spec::swarm::Network  over, 10.0.1.0/24, vxlanid_list 4097  ──► Record { driver: Overlay, link: "ov-…" }
//! ```
//!
//! * Containers wish for addresses on it, for the swarm has chosen them; what is not wished for is refused ([`crate::networks::join`]).
//! * The gateway's address is nobody's: the way out leads over another bridge. It is kept all the same, as Docker keeps it.
//!
//! Next room: [`super::realize`]

use super::wish::OverlayWish;
use crate::networks::record::{Driver, Record};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_network::model::{Net, Subnet};
use minidock_spec::{
    engine::network::{Ipam, IpamConfig},
    swarm::network::VXLAN_ID,
};
use std::collections::BTreeMap;

/// The record of an overlay that is wanted; `link` is its bridge, `mtu` what the tunnel has room for.
///
/// # Errors
/// 400 when the swarm has given it no subnet or no number yet.
pub(crate) fn record(wish: &OverlayWish, link: String, mtu: u32) -> Result<Record> {
    let network = &wish.network;
    let name = &network.spec.name;
    let subnet: Net = network
        .subnet()
        .ok_or_else(|| Error::invalid(format!("network {name} has no subnet yet")))?
        .parse()
        .map_err(|e: Error| e.during(format!("read the subnet of network {name}")))?;
    let gateway = network.gateway().and_then(|g| g.parse().ok());
    let shown = IpamConfig {
        subnet: subnet.to_string(),
        gateway: network.gateway().unwrap_or_default().to_string(),
        ..IpamConfig::default()
    };
    let mut options = network.spec.driver_configuration.options.clone();
    options.insert(VXLAN_ID.into(), number(wish)?.to_string());
    Ok(Record {
        id: network.id.clone(),
        name: name.clone(),
        created: network.created_at.unwrap_or(Timestamp::UNIX_EPOCH),
        driver: Driver::Overlay,
        enable_ipv6: false,
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        ingress: network.spec.ingress,
        ipam: Ipam { driver: "default".into(), options: None, config: Some(vec![shown]) },
        options,
        labels: network.spec.labels.clone(),
        subnets: vec![Subnet { subnet, gateway, range: None, aux: BTreeMap::new() }],
        chosen_v4: true,
        chosen_v6: false,
        mtu,
        link,
        made_parent: false,
        config_only: false,
        config_from: String::new(),
    })
}

/// The number that tells its frames from those of other overlays.
///
/// # Errors
/// 400 when it has none yet.
pub(crate) fn number(wish: &OverlayWish) -> Result<u32> {
    let none = || Error::invalid(format!("network {} has no vxlan number yet", wish.network.spec.name));
    wish.network.vxlan_id().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::network::{IpamOptions, Network};

    #[test]
    fn an_overlay_looks_as_dockers_does_and_needs_what_the_swarm_gives_it() {
        let mut wish = OverlayWish { network: Network { id: "n".into(), ..Network::default() }, ..OverlayWish::default() };
        wish.network.spec.name = "over".into();
        assert_eq!(record(&wish, String::new(), 1450).expect_err("nothing given").message(), "network over has no subnet yet");
        let pool = minidock_spec::swarm::network::IpamConfig {
            subnet: "10.0.1.0/24".into(),
            gateway: "10.0.1.1".into(),
            ..Default::default()
        };
        wish.network.ipam_options = Some(IpamOptions { configs: vec![pool], ..IpamOptions::default() });
        assert!(record(&wish, String::new(), 1450).expect_err("half given").message().contains("no vxlan number yet"));
        wish.network.driver_state.options.insert(VXLAN_ID.into(), "4097".into());
        let shown = record(&wish, "ov-n".into(), 1450).expect("all given").to_api();
        assert_eq!((shown.scope.as_str(), shown.driver.as_str()), ("swarm", "overlay"));
        assert_eq!(shown.options[VXLAN_ID], "4097");
        assert_eq!(shown.ipam.config.expect("a pool")[0].gateway, "10.0.1.1");
    }
}
