//! # The gateway bridge: the way out for who lives on overlays
//!
//! An overlay leads to its members and nowhere else: its gateway's address is nobody's. A container that has no other network would
//! be cut off from the world, and the world from it. So every machine in a swarm has one bridge more, `docker_gwbridge`, an ordinary
//! network of the bridge driver whose members may not talk to each other (they have an overlay for that), and a container on
//! overlays gets a cable to it, after all its others.
//!
//! ```text
//!   sandbox:  eth0 10.0.1.4/24 ── ov-…  (over)     default via 172.18.0.1 dev eth1
//!             eth1 172.18.0.3/16 ── docker_gwbridge ── nft: masquerade ── eth0 of the machine
//!                                                  └─ ports of the machine that a task publishes in mode=host
//! ```
//!
//! * The place is no wish of the user's: it stands beside the others in the record ([`crate::networks::place::Networking`]) and
//!   `inspect` of the container does not show it; that of the network does, as `gateway_…`.
//! * Who has a network that leads out by itself needs none, and who has only internal ones gets none.
//! * A network of that name that a person has made beforehand, with a subnet of his choice, is taken as it is; as with Docker.
//!
//! *See:* moby `libnetwork/default_gateway.go`. Next room: [`super::realize`]

use crate::{
    container::record::Record as Container,
    networks::{
        create::{choose_pool, raise},
        join::{connect_cable, plug},
        options::{ICC, MASQUERADE, NAME},
        place::{Networking, Place},
        record::{Driver, Record},
        standing::{Cable, Standing},
        store::Networks,
    },
};
use minidock_base::{Result, clock, id};
use minidock_network::sandbox::Sandbox;
use minidock_spec::engine::network::{Ipam, IpamConfig};
use std::{collections::BTreeMap, sync::Arc};

/// The bridge's name, as a network and as a link.
pub const GATEWAY: &str = "docker_gwbridge";

/// Makes the network where it is missing. Networks must not be made meanwhile by others.
///
/// # Errors
/// No pool is left; the kernel's, the disk's.
pub(crate) fn ensure(networks: &Networks) -> Result<Option<Arc<Record>>> {
    if networks.find(GATEWAY).is_ok_and(|n| n.name == GATEWAY) {
        return Ok(None);
    }
    let ground = networks.ground()?;
    let pool = choose_pool(networks, ground)?;
    let id = id::random_id();
    // another engine on this machine may have one of its own
    let link = match ground.has_link(GATEWAY)? {
        true => format!("br-{}", id::short(&id)),
        false => GATEWAY.to_string(),
    };
    let shown = IpamConfig {
        subnet: pool.subnet.to_string(),
        gateway: pool.gateway.map(|g| g.to_string()).unwrap_or_default(),
        ..IpamConfig::default()
    };
    let options = [(ICC, "false"), (MASQUERADE, "true"), (NAME, link.as_str())];
    let record = Record {
        id,
        name: GATEWAY.into(),
        created: clock::now(),
        driver: Driver::Bridge,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        ingress: false,
        ipam: Ipam { driver: "default".into(), options: None, config: Some(vec![shown]) },
        options: options.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        labels: BTreeMap::new(),
        subnets: vec![pool],
        chosen_v4: false,
        chosen_v6: false,
        mtu: 0,
        link,
        made_parent: false,
        config_only: false,
        config_from: String::new(),
    };
    raise(ground, &record)?;
    networks.insert(record).map(Some)
}

/// Whether a container with these cables needs the gateway: something on an overlay wants out, and nothing else leads there.
pub(crate) fn is_needed(networks: &Networks, cables: &[Cable]) -> bool {
    let others = || cables.iter().filter(|c| c.network != GATEWAY);
    let wants_out = |c: &Cable| networks.find(&c.endpoint.network_id).is_ok_and(|n| n.driver == Driver::Overlay && !n.internal);
    others().any(wants_out) && !others().any(|c| c.endpoint.gateway_v4.is_some() || c.endpoint.gateway_v6.is_some())
}

/// Plans the cable to the gateway, if it is needed; it comes after all others.
///
/// # Errors
/// There is no such network (yet), or it has no address left.
pub(crate) fn plan(
    networks: &Networks,
    container: &Container,
    networking: &mut Networking,
    standing: &mut Standing,
) -> Result<()> {
    if !is_needed(networks, &standing.cables) || networking.places.contains_key(GATEWAY) {
        return Ok(());
    }
    let network = networks.find(GATEWAY)?;
    let mut place = Place::default();
    plug(networks, container, &network, &mut place, standing)?;
    networking.gateway = place.plugged;
    Ok(())
}

/// A running container has one cable more or less: gives it the one that leads out, if it needs that now. Its own record is
/// the caller's to write.
///
/// # Errors
/// As [`plan`]; the kernel's.
pub(crate) fn come(
    networks: &Networks,
    container: &Container,
    sandbox: &Sandbox,
    networking: &mut Networking,
    standing: &mut Standing,
) -> Result<()> {
    if networking.gateway.is_some() {
        return Ok(());
    }
    plan(networks, container, networking, standing)?;
    match (&networking.gateway, standing.cables.last()) {
        (Some(_), Some(cable)) => connect_cable(networks, sandbox, cable, &[]),
        _ => Ok(()),
    }
}

/// Takes the cable that leads out away again, if another does now; nothing must lead in over it any more.
///
/// # Errors
/// The kernel's.
pub(crate) fn go(
    networks: &Networks,
    container: &Container,
    sandbox: &Sandbox,
    networking: &mut Networking,
    standing: &mut Standing,
) -> Result<()> {
    let Some(endpoint) = networking.gateway.clone() else { return Ok(()) };
    if is_needed(networks, &standing.cables) {
        return Ok(());
    }
    let Some(at) = standing.cables.iter().position(|c| c.endpoint.id == endpoint.id) else { return Ok(()) };
    let cable = standing.cables.remove(at);
    networking.gateway = None;
    let unplugged = sandbox.unplug(&networks.ground()?.home, &endpoint);
    networks.leave(&endpoint.network_id, &container.id, cable.addresses());
    unplugged
}
