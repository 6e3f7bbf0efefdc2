//! # What members of an overlay know: names, and where services are
//!
//! A container on an overlay asks for `web` and gets one address, though behind it are many tasks, on many machines, that come and
//! go. Two tables make that work, and both follow the swarm from moment to moment: the zone of the network in the name server, and, in
//! each sandbox, a map that turns connections to a service's address into connections to one of its tasks.
//!
//! ```text
//!   web         10.0.1.2               the name server: one table for each network of this machine
//!   tasks.web   10.0.1.4, 10.0.1.5
//!   10.0.1.2 ─► 10.0.1.4 | 10.0.1.5    the balance: in every sandbox, for all overlays it is on
//! ```
//!
//! * A sandbox that is being made takes what is wanted *now*; [`super::realize`] visits whoever already stands. Both hold the
//!   standing's lock, and what is wanted is exchanged before anybody is visited: so nobody is left with an old table.
//!
//! Next room: [`super::raise`]

use super::wish::{OverlayWish, ServiceWish};
use crate::networks::{record::Driver, standing::Standing, store::Networks};
use minidock_base::Result;
use minidock_network::{
    balance::{Balance, Service},
    dns::services,
    sandbox::Sandbox,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// Gives a sandbox its balance, if it is on an overlay, and brings it up to date.
///
/// # Errors
/// The kernel's.
pub(crate) fn balance(networks: &Networks, sandbox: &Sandbox, standing: &mut Standing) -> Result<()> {
    let is_overlay = |id: &str| networks.find(id).is_ok_and(|n| n.driver == Driver::Overlay);
    if standing.balance.is_none() && standing.cables.iter().any(|c| is_overlay(&c.endpoint.network_id)) {
        standing.balance = Some(Balance::open(sandbox)?);
    }
    follow(networks, standing)
}

/// Brings the balance of a sandbox up to date, if it has one.
///
/// # Errors
/// The kernel's.
pub(crate) fn follow(networks: &Networks, standing: &Standing) -> Result<()> {
    let Some(balance) = &standing.balance else { return Ok(()) };
    let wanted = networks.overlays.wanted();
    let on = |wish: &&OverlayWish| standing.cables.iter().any(|c| c.endpoint.network_id == wish.network.id);
    let here: Vec<&OverlayWish> = wanted.networks.iter().filter(on).collect();
    let services: Vec<Service> = here.iter().flat_map(|wish| wish.services.iter().filter_map(service)).collect();
    let there: BTreeSet<Ipv4Addr> = here.iter().flat_map(|wish| everybody(wish)).collect();
    balance.set(&services, &there)
}

fn service(wish: &ServiceWish) -> Option<Service> {
    Some(Service { vip: wish.virtual_ip?, backends: wish.backends.clone() })
}

/// The addresses of all who may still be talked to on an overlay.
pub(crate) fn everybody(wish: &OverlayWish) -> impl Iterator<Item = Ipv4Addr> + '_ {
    wish.neighbours.iter().map(|n| n.address).chain(wish.own_address.map(|(own, _)| own))
}

/// Tells the name server what can be found on an overlay besides the containers of this machine.
pub(crate) fn tell_names(networks: &Networks, wish: &OverlayWish) {
    if wish.network.spec.ingress {
        return; // it only carries
    }
    let called = |service: &ServiceWish| services::Service {
        names: [&service.name].into_iter().chain(&service.aliases).cloned().collect(),
        vip: service.virtual_ip.map(IpAddr::from),
        backends: service.backends.iter().map(|backend| IpAddr::from(*backend)).collect(),
    };
    let services: Vec<services::Service> = wish.services.iter().map(called).collect();
    let named = wish.neighbours.iter().filter(|n| !n.name.is_empty());
    let tasks: Vec<(String, IpAddr)> = named.map(|n| (n.name.clone(), n.address.into())).collect();
    networks.zones.set_services(&wish.network.id, &services, &tasks);
}

/// Nothing can be found there any more.
pub(crate) fn forget_names(networks: &Networks, network: &str) {
    networks.zones.set_services(network, &[], &[]);
}
