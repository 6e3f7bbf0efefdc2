//! # Doors: published ports of a container, opened
//!
//! What is wished for ([`crate::networks::ports`]) becomes ports of the host that are held, and rules that lead from them to a cable of
//! the container. Ports are held by the container, rules belong to the cable that leads out: when that changes, the rules
//! follow and the ports stay.
//!
//! ```text
//!   doors ─► ports held ─► Published { host, target }  ─┬─ a rule of the firewall         [`by_rule`]
//!                          over the cable that leads out └─ carried by hand: ::1           [`carry`]
//! ```
//!
//! * Everywhere means both families where this machine speaks both, as with Docker: `localhost` may well be `::1`, and a container without IPv6
//!   is then reached by hand.
//! * The way out leads over the network with the highest priority, among equals the first by name, that is not internal; over the gateway bridge only when there is no other.
//!
//! Laws: nothing leads in where nothing leads out. See: moby `libnetwork/drivers/bridge/port_mapping_linux.go`. Next room:
//! [`crate::networks::connect`]

use crate::{
    container::record::Record as Container,
    networks::{
        ground::Ground,
        overlay::gateway::GATEWAY,
        ports::{self, Door},
        standing::{Cable, Standing},
        store::Networks,
    },
};
use minidock_base::{Error, Result};
use minidock_linux::bind;
use minidock_network::{
    model::{Endpoint, Published},
    port_map::{Held, Wish},
    proxy::{self, Proxy},
    sandbox,
};
use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The cable that leads out, for one family.
pub(crate) fn way_out(cables: &[Cable], v4: bool) -> Option<&Cable> {
    let leads = |c: &&Cable| match v4 {
        true => c.endpoint.gateway_v4.is_some(),
        false => c.endpoint.gateway_v6.is_some(),
    };
    cables.iter().filter(leads).min_by_key(|c| (c.network == GATEWAY, Reverse(c.priority), c.network.as_str()))
}

/// Takes the host's ports and makes the doors that lead from them to the container.
pub(crate) fn open_doors(networks: &Networks, container: &Container, standing: &mut Standing) -> Result<()> {
    let doors = ports::doors(&container.config, &container.host_config)?;
    let Some(cable) = way_out(&standing.cables, true).or_else(|| way_out(&standing.cables, false)).cloned() else {
        return Ok(()); // nothing leads in where nothing leads out: internal, none, host
    };
    // who is upon the machine's own cable is reached at his own address; Docker opens no doors to him, either
    if doors.is_empty() || cable.upon.is_some() {
        return Ok(());
    }
    let both = cable.endpoint.v6.is_some() || speaks_v6();
    let wishes: Vec<Wish> = doors.iter().map(|door| wish(door, &cable, both)).collect();
    standing.held = networks.ground()?.ports.reserve(&wishes).map_err(|e| blocked(container, &cable, e))?;
    standing.published = lead_to(&standing.held, &cable);
    Ok(())
}

/// Docker's words around the reason why ports could not be opened.
fn blocked(container: &Container, cable: &Cable, why: Error) -> Error {
    let Endpoint { id, .. } = &cable.endpoint;
    why.during(format!("driver failed programming external connectivity on endpoint {} ({id})", container.name))
}

/// Whether anybody here could knock by IPv6: then "everywhere" means these doors, too.
fn speaks_v6() -> bool {
    bind::tcp((Ipv6Addr::LOCALHOST, 0).into()).is_ok()
}

/// What to hold for a door; on `both` families if it is wished for everywhere.
fn wish(door: &Door, cable: &Cable, both: bool) -> Wish {
    let v6 = cable.endpoint.v6;
    let everywhere = cable.bridge.host_binding.is_unspecified();
    let hosts = match door.host {
        Some(host) => vec![host],
        None if everywhere && both => vec![cable.bridge.host_binding, Ipv6Addr::UNSPECIFIED.into()],
        None => vec![cable.bridge.host_binding],
    };
    let target = match (hosts[0].is_ipv4(), cable.endpoint.v4, v6) {
        (true, Some((v4, _)), _) | (false, Some((v4, _)), None) => v4.into(),
        (_, _, Some((v6, _))) => v6.into(),
        (_, None, None) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let ports = (door.to != 0).then_some((door.from, door.to));
    Wish { protocol: door.protocol, hosts, ports, target: (target, door.target) }
}

/// The doors behind the ports that are held, leading to one cable.
pub(crate) fn lead_to(held: &[Held], cable: &Cable) -> Vec<Published> {
    if cable.upon.is_some() {
        return Vec::new();
    }
    let v4 = cable.endpoint.v4.map(|(a, _)| IpAddr::from(a));
    // an IPv6 door of a container without IPv6 is carried by hand
    let to = |is_v4: bool| if is_v4 { v4 } else { cable.endpoint.v6.map(|(a, _)| IpAddr::from(a)).or(v4) };
    held.iter()
        .filter_map(|held| {
            Some(Published {
                endpoint_id: cable.endpoint.id.clone(),
                protocol: held.protocol,
                host: held.host,
                target: (to(held.host.0.is_ipv4())?, held.target.1),
                bridge: cable.bridge.link.clone(),
            })
        })
        .collect()
}

/// Opens the doors; a container may knock at its own, too. A runtime must be around.
pub(crate) fn publish(ground: &Ground, standing: &mut Standing) -> Result<()> {
    let Some(door) = standing.published.first() else { return Ok(()) };
    if let Some(cable) = standing.cables.iter().find(|c| c.endpoint.id == door.endpoint_id) {
        sandbox::allow_hairpin(&ground.home, &cable.endpoint)?;
    }
    ground.table.publish(&by_rule(&standing.published))?;
    carry(standing)
}

/// The doors that the firewall opens.
pub(crate) fn by_rule(doors: &[Published]) -> Vec<Published> {
    doors.iter().filter(|door| !proxy::is_needed(door.host.0, door.target.0)).cloned().collect()
}

/// Stands at the doors that no rule can open, or not for all who knock. A runtime must be around.
pub(crate) fn carry(standing: &mut Standing) -> Result<()> {
    standing.proxies.clear();
    // what is sent to ::1 reaches the door of everywhere past the rule
    let by_hand = |door: &&Published| door.host.0 == Ipv6Addr::UNSPECIFIED || proxy::is_needed(door.host.0, door.target.0);
    for door in standing.published.iter().filter(by_hand) {
        let its = |held: &&Held| (held.protocol, held.host) == (door.protocol, door.host);
        if let Some(held) = standing.held.iter().find(its) {
            standing.proxies.push(Proxy::open(held, door.target.into())?);
        }
    }
    Ok(())
}
