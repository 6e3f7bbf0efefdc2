//! # Conntrack: connections that must be forgotten
//!
//! The kernel decides about address translation once, at the first packet of a connection, and remembers. TCP ends its
//! connections; UDP has none, so the kernel calls one whatever keeps flowing between two ports. A client that sends a packet every
//! few seconds to a port that is not published yet keeps a memory alive that says "this goes to the host itself", and once the
//! port is published its packets still go there: a black hole until it pauses for half a minute. The same the other way round,
//! when a port's container is replaced by another.
//!
//! ```text
//!   10.0.0.9:40000 → 10.0.0.1:5353/udp    remembered: for the host itself        forget()
//!   next packet: a first packet again     asks the map: → 172.17.0.2:53
//! ```
//!
//! * [`forget`] deletes what was sent to a port (of one address, or of any). The kernel's filter picks them (since 5.8),
//!   and we check each again, so an older kernel only tells more.
//! * [`forget_answered_by`] deletes those that were led to an address that is no more: the kernel walks its table itself, and tells nothing.
//! * [`forget_those`] deletes what a caller picks. To be told the whole table costs some ten milliseconds however little is in it, for
//!   it has a quarter of a million places, and all namespaces share it: hence [`count`], which costs nothing.
//!
//! Laws: only the destination before translation counts; a memory that has vanished meanwhile is no failure.
//! See: conntrack(8), `net/netfilter/nf_conntrack_netlink.c`, moby `libnetwork/iptables/conntrack.go`. Next room: [`crate::netlink`]

use super::CTNETLINK;
use crate::{
    errno::CallFailed,
    netlink::{
        address_of, octets,
        socket::Socket,
        wire::{Message, attribute},
    },
};
use std::net::IpAddr;

const GET: u16 = 1;
const DELETE: u16 = 2;
const GET_STATS: u16 = 5;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const FILTER: u16 = 25;
/// Compare the protocol's number and the destination port (CTA_FILTER_F_CTA_PROTO_NUM, _DST_PORT).
const BY_PROTOCOL_AND_PORT: u32 = 1 << 3 | 1 << 5;
/// Compare the source address (CTA_FILTER_F_CTA_IP_SRC).
const BY_SOURCE: u32 = 1;
/// How many connections this namespace has (CTA_STATS_GLOBAL_ENTRIES).
const ENTRIES: u16 = 1;
const FAMILY_HEADER: usize = 4;
const NESTED: u16 = 0x8000;

/// Forgets the connections that were begun towards this port; an unspecified address stands for all of its family.
/// Gives back how many there were.
///
/// # Errors
/// The kernel's: EOPNOTSUPP when it has no connection table to look at.
#[track_caller]
pub fn forget(socket: &mut Socket, protocol: u8, host: (IpAddr, u16)) -> Result<usize, CallFailed> {
    let (address, port) = host;
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let mut message = request(GET, family);
    message.nest(TUPLE_ORIG, |m| {
        m.nest(TUPLE_PROTO, |m| {
            m.u8(PROTO_NUM, protocol).be16(PROTO_DST_PORT, port);
        });
    });
    message.nest(FILTER, |m| {
        m.u32(1, BY_PROTOCOL_AND_PORT).u32(2, 0);
    });
    let shown = || format!("conntrack -L -p {protocol} --orig-port-dst {port}");
    let bodies = socket.dump("IPCTNL_MSG_CT_GET", shown, message)?;
    let mut forgotten = 0;
    for tuple in bodies.iter().filter_map(|body| attribute(body.get(FAMILY_HEADER..)?, TUPLE_ORIG)) {
        if !leads_to(tuple, protocol, address, port) {
            continue;
        }
        let mut message = request(DELETE, family);
        message.attr(TUPLE_ORIG | NESTED, tuple);
        let shown = || format!("conntrack -D -p {protocol} --orig-port-dst {port}");
        match socket.request("IPCTNL_MSG_CT_DELETE", shown, message) {
            Ok(_) => forgotten += 1,
            Err(e) if e.is(libc::ENOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(forgotten)
}

/// How many connections are remembered in the socket's namespace.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn count(socket: &mut Socket) -> Result<u32, CallFailed> {
    let told = socket.request("IPCTNL_MSG_CT_GET_STATS", || "conntrack -C".into(), request(GET_STATS, 0))?;
    let entries = |body: &Vec<u8>| attribute(body.get(FAMILY_HEADER..)?, ENTRIES)?.try_into().ok().map(u32::from_be_bytes);
    Ok(told.iter().find_map(entries).unwrap_or(0))
}

/// Forgets all connections that this address answers, whatever address was called.
///
/// # Errors
/// The kernel's: before 5.8 it knows no such choice, and says ENOENT or EINVAL; then there is [`forget_those`].
#[track_caller]
pub fn forget_answered_by(socket: &mut Socket, address: IpAddr) -> Result<(), CallFailed> {
    let (family, kind) = if address.is_ipv4() { (libc::AF_INET, 1) } else { (libc::AF_INET6, 3) };
    // with version 0 the family would not count
    let mut message = Message::new(CTNETLINK << 8 | DELETE, 0);
    message.raw(&[family as u8, 1, 0, 0]);
    message.nest(TUPLE_REPLY, |m| {
        m.nest(TUPLE_IP, |m| {
            m.attr(kind, &octets(address));
        });
    });
    message.nest(FILTER, |m| {
        m.u32(1, 0).u32(2, BY_SOURCE);
    });
    socket.request("IPCTNL_MSG_CT_DELETE", || format!("conntrack -D --reply-src {address}"), message).map(drop)
}

/// A connection as the kernel remembers it: who called whom before translation, and who answers in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub protocol: u8,
    pub from: (IpAddr, u16),
    pub to: (IpAddr, u16),
    /// The address and port that the answers come from.
    pub answers: (IpAddr, u16),
}

/// Forgets the connections of IPv4 that are picked; does not look for them where there are none at all. Gives back how many there were.
///
/// # Errors
/// The kernel's: EOPNOTSUPP when it has no connection table to look at.
#[track_caller]
pub fn forget_those(socket: &mut Socket, picked: impl Fn(&Flow) -> bool) -> Result<usize, CallFailed> {
    if count(socket)? == 0 {
        return Ok(0);
    }
    let family = libc::AF_INET as u8;
    let bodies = socket.dump("IPCTNL_MSG_CT_GET", || "conntrack -L".into(), request(GET, family))?;
    let mut forgotten = 0;
    for body in &bodies {
        let Some((flow, tuple)) = flow(body).filter(|(flow, _)| picked(flow)) else { continue };
        let mut message = request(DELETE, family);
        message.attr(TUPLE_ORIG | NESTED, tuple);
        let Flow { protocol, from, to, .. } = flow;
        let shown = || format!("conntrack -D -p {protocol} -s {} --sport {} -d {} --dport {}", from.0, from.1, to.0, to.1);
        match socket.request("IPCTNL_MSG_CT_DELETE", shown, message) {
            Ok(_) => forgotten += 1,
            Err(e) if e.is(libc::ENOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(forgotten)
}

/// Reads one; and its first tuple as it is, by which it is deleted.
fn flow(body: &[u8]) -> Option<(Flow, &[u8])> {
    let attributes = body.get(FAMILY_HEADER..)?;
    let (tuple, reply) = (attribute(attributes, TUPLE_ORIG)?, attribute(attributes, TUPLE_REPLY)?);
    let (protocol, from, to) = ends(tuple)?;
    let (_, answers, _) = ends(reply)?;
    Some((Flow { protocol, from, to, answers }, tuple))
}

/// A protocol's number, and two ends: address and port (0 where there are none, as in ICMP).
type Ends = (u8, (IpAddr, u16), (IpAddr, u16));

fn ends(tuple: &[u8]) -> Option<Ends> {
    let (network, transport) = (attribute(tuple, TUPLE_IP)?, attribute(tuple, TUPLE_PROTO)?);
    let address = |v4: u16, v6: u16| attribute(network, v4).or(attribute(network, v6)).and_then(address_of);
    let port = |kind| {
        let bytes = attribute(transport, kind).and_then(|b| <[u8; 2]>::try_from(b).ok());
        bytes.map_or(0, u16::from_be_bytes)
    };
    let protocol = *attribute(transport, PROTO_NUM)?.first()?;
    Some((protocol, (address(1, 3)?, port(PROTO_SRC_PORT)), (address(2, 4)?, port(PROTO_DST_PORT))))
}

fn request(operation: u16, family: u8) -> Message {
    let mut message = Message::new(CTNETLINK << 8 | operation, 0);
    message.raw(&[family, 0, 0, 0]);
    message
}

/// Whether a tuple's destination is this one.
fn leads_to(tuple: &[u8], protocol: u8, address: IpAddr, port: u16) -> bool {
    let Some(transport) = attribute(tuple, TUPLE_PROTO) else { return false };
    let Some(network) = attribute(tuple, TUPLE_IP) else { return false };
    let destination: Option<IpAddr> = match address {
        IpAddr::V4(_) => attribute(network, 2).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from),
        IpAddr::V6(_) => attribute(network, 4).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(IpAddr::from),
    };
    attribute(transport, PROTO_NUM) == Some(&[protocol])
        && attribute(transport, PROTO_DST_PORT) == Some(&port.to_be_bytes())
        && destination.is_some_and(|its| address.is_unspecified() || its == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tuple(m: &mut Message, from: ([u8; 4], u16), to: ([u8; 4], u16)) {
        m.nest(TUPLE_IP, |m| {
            m.attr(1, &from.0).attr(2, &to.0);
        });
        m.nest(TUPLE_PROTO, |m| {
            m.u8(PROTO_NUM, 6).be16(PROTO_SRC_PORT, from.1).be16(PROTO_DST_PORT, to.1);
        });
    }

    #[test]
    fn a_connection_is_read_with_who_answers_in_truth() {
        let (client, vip, task) = (([10, 0, 1, 9], 40_000), ([10, 0, 1, 2], 80), ([10, 0, 1, 5], 80));
        let mut message = request(GET, 2);
        message.nest(TUPLE_ORIG, |m| tuple(m, client, vip)).nest(TUPLE_REPLY, |m| tuple(m, task, client));
        let bytes = message.finish(1);
        let (flow, _) = flow(&bytes[16..]).expect("a connection");
        let end = |(address, port): ([u8; 4], u16)| (IpAddr::from(address), port);
        assert_eq!(flow, Flow { protocol: 6, from: end(client), to: end(vip), answers: end(task) });
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            flow(&bytes);
        }
    }
}
