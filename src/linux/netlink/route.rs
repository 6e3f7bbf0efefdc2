//! # Route: what `ip route` shows
//!
//! A route says by which link, and over which neighbour, a block of addresses is reached; the longest prefix wins. A
//! container needs one of its own making: everything else over the gateway, its *default route*.
//!
//! * [`replace`] sets a route, whether or not there was one to the same block; [`remove`] takes it away.
//! * [`towards`] asks which way a packet to one address would take.
//! * [`all`] is what the daemon asks before it chooses a block for a new network: one that the host can reach already
//!   would cut the host off from there.
//!
//! See: rtnetlink(7) RTM_NEWROUTE, ip-route(8). Next room: [`crate::netlink::neighbour`]

use super::{
    address_of, family, octets,
    socket::{Request, Socket},
    wire::{self, CREATE, Message, REPLACE, u32_at},
    word,
};
use crate::errno::CallFailed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_TABLE: u16 = 15;
const TABLE_MAIN: u8 = 254;
/// As `ip route add` marks it.
const PROTOCOL_BOOT: u8 = 3;
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;

/// A way to a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The block: its first address and its prefix; 0.0.0.0/0 or ::/0 is the default route.
    pub to: (IpAddr, u8),
    pub via: Option<IpAddr>,
    /// The link, by number.
    pub index: Option<u32>,
}

impl Route {
    /// Everything else, over this gateway.
    pub fn default_via(gateway: IpAddr, index: u32) -> Route {
        let anywhere: IpAddr = if gateway.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Route { to: (anywhere, 0), via: Some(gateway), index: Some(index) }
    }
}

fn header(family: u8, prefix: u8, scope: u8) -> [u8; 12] {
    [family, prefix, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, scope, UNICAST, 0, 0, 0, 0]
}

fn write(message: &mut Message, route: &Route, scope: u8) {
    let (to, prefix) = route.to;
    message.raw(&header(family(to), prefix, scope));
    if prefix > 0 {
        message.attr(RTA_DST, &octets(to));
    }
    if let Some(via) = route.via {
        message.attr(RTA_GATEWAY, &octets(via));
    }
    if let Some(index) = route.index {
        message.u32(RTA_OIF, index);
    }
}

fn words(route: &Route, link: &str) -> String {
    let (to, prefix) = route.to;
    let to = if prefix == 0 { "default".to_string() } else { format!("{to}/{prefix}") };
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let device = if route.index.is_some() { format!(" dev {}", word(link)) } else { String::new() };
    // a default route says by its gateway which family it is of; without one only the option tells
    format!("{to}{via}{device}")
}

fn ip(route: &Route) -> &'static str {
    if route.to.0.is_ipv4() { "ip" } else { "ip -6" }
}

/// Sets a route; `link` is the name of its link, for the record.
///
/// # Errors
/// ENETUNREACH when the gateway is not on the link, ENETDOWN when the link is down, ENODEV when it is gone.
#[track_caller]
pub fn replace(socket: &mut Socket, route: &Route, link: &str) -> Result<(), CallFailed> {
    socket.batch(vec![replacing(route, link)]).map(drop)
}

/// As [`replace`]: the request, for a batch.
pub fn replacing(route: &Route, link: &str) -> Request {
    let mut message = Message::new(RTM_NEWROUTE, CREATE | REPLACE);
    let scope = if route.via.is_none() && route.to.0.is_ipv4() { SCOPE_LINK } else { SCOPE_UNIVERSE };
    write(&mut message, route, scope);
    Request { name: "RTM_NEWROUTE", command: format!("{} route replace {}", ip(route), words(route, link)), message }
}

/// Takes a route away.
///
/// # Errors
/// ESRCH when there is none such.
#[track_caller]
pub fn remove(socket: &mut Socket, route: &Route, link: &str) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_DELROUTE, 0);
    write(&mut message, route, SCOPE_NOWHERE);
    socket.request("RTM_DELROUTE", || format!("{} route del {}", ip(route), words(route, link)), message).map(drop)
}

/// The way the kernel would take to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Towards {
    /// An address of this very namespace.
    pub local: bool,
    pub via: Option<IpAddr>,
    pub index: Option<u32>,
}

/// What `ip route get` shows.
///
/// # Errors
/// ENETUNREACH: there is no route.
#[track_caller]
pub fn towards(socket: &mut Socket, to: IpAddr) -> Result<Towards, CallFailed> {
    let mut message = Message::new(RTM_GETROUTE, 0);
    let mut header = header(family(to), if to.is_ipv4() { 32 } else { 128 }, 0);
    // table, protocol and kind are for the kernel to say
    (header[4], header[5], header[7]) = (0, 0, 0);
    message.raw(&header).attr(RTA_DST, &octets(to));
    let told = socket.request("RTM_GETROUTE", || format!("ip route get {to}"), message)?;
    let body = told.first().map_or(&[][..], Vec::as_slice);
    let value = |kind| wire::attribute(body.get(12..)?, kind);
    Ok(Towards {
        local: body.get(7) == Some(&LOCAL),
        via: value(RTA_GATEWAY).and_then(address_of),
        index: value(RTA_OIF).and_then(|v| u32_at(v, 0)),
    })
}

/// The main table's unicast routes, IPv4 and IPv6.
///
/// # Errors
/// As [`Socket::dump`].
#[track_caller]
pub fn all(socket: &mut Socket) -> Result<Vec<Route>, CallFailed> {
    let mut routes = Vec::new();
    for (family, command) in [(libc::AF_INET, "ip route"), (libc::AF_INET6, "ip -6 route")] {
        let mut message = Message::new(RTM_GETROUTE, 0);
        message.raw(&header(family as u8, 0, 0));
        match socket.dump("RTM_GETROUTE", || command.into(), message) {
            Ok(told) => routes.extend(told.iter().filter_map(|body| parse(body))),
            // a kernel that was built or booted without IPv6 has no such table
            Err(failed) if family == libc::AF_INET6 && failed.is(libc::EOPNOTSUPP) => {}
            Err(failed) => return Err(failed),
        }
    }
    Ok(routes)
}

pub(super) fn parse(body: &[u8]) -> Option<Route> {
    let (family, prefix, table, kind) = (*body.first()?, *body.get(1)?, *body.get(4)?, *body.get(7)?);
    let attributes = body.get(12..)?;
    let table = wire::attribute(attributes, RTA_TABLE).and_then(|v| u32_at(v, 0)).unwrap_or(table.into());
    if table != u32::from(TABLE_MAIN) || kind != UNICAST {
        return None;
    }
    let anywhere: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut route = Route { to: (anywhere, prefix), via: None, index: None };
    for (kind, value) in wire::attributes(attributes) {
        match kind {
            RTA_DST => route.to.0 = address_of(value)?,
            RTA_GATEWAY => route.via = address_of(value),
            RTA_OIF => route.index = u32_at(value, 0),
            _ => {}
        }
    }
    Some(route)
}
