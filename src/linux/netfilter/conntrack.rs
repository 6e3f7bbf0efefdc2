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
//!
//! Laws: only the destination before translation counts; a memory that has vanished meanwhile is no failure.
//! See: conntrack(8), `net/netfilter/nf_conntrack_netlink.c`, moby `libnetwork/iptables/conntrack.go`. Next room: [`crate::netlink`]

use super::CTNETLINK;
use crate::{
    errno::CallFailed,
    netlink::{
        socket::Socket,
        wire::{Message, attribute},
    },
};
use std::net::IpAddr;

const GET: u16 = 1;
const DELETE: u16 = 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
const FILTER: u16 = 25;
/// Compare the protocol's number and the destination port (CTA_FILTER_F_CTA_PROTO_NUM, _DST_PORT).
const BY_PROTOCOL_AND_PORT: u32 = 1 << 3 | 1 << 5;
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
