//! # Neighbour: which MAC has an address, and where that MAC is
//!
//! Two tables with one message format. The *neighbour table* of a link says which MAC an IP address has: normally the kernel
//! fills it by asking (ARP). The *forwarding table* of a bridge or a vxlan link says where a MAC is: normally it learns that from
//! what passes. In an overlay network neither asks nor learns: who runs the cluster knows, and writes both.
//!
//! ```text
//!   [`add`]              ip neigh replace 10.0.1.3 lladdr 02:42:0a:00:01:03 dev vx0 nud permanent
//!   [`add_forwarding`]   bridge fdb replace 02:42:0a:00:01:03 dev vx0 dst 192.168.77.2 self permanent
//!   [`adding_port`]      bridge fdb replace 02:42:0a:00:01:03 dev vx0 master static
//! ```
//!
//! * The MAC of zeros in a vxlan's table is where broadcasts go, and may be listed for many machines ([`append_flood`]).
//!
//! Laws: an entry for a vxlan link must say `self`, or the bridge above it takes it for its own table (which may be just what is meant:
//! behind which of its ports a MAC is).
//! See: rtnetlink(7) RTM_NEWNEIGH, bridge(8) fdb. Next room: [`crate::netfilter`]

use super::{
    address_of, family, mac, octets,
    socket::{Request, Socket},
    wire::{self, APPEND, CREATE, Message, REPLACE, u16_at, u32_at},
    word,
};
use crate::errno::CallFailed;
use std::net::IpAddr;

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;
const NTF_MASTER: u8 = 0x04;

/// One entry of either table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub index: u32,
    /// The neighbour's address; in a vxlan's forwarding table the machine behind which the MAC is.
    pub address: Option<IpAddr>,
    pub mac: Option<[u8; 6]>,
    /// NUD_*: 0x02 reachable, 0x20 failed, 0x40 static in a bridge's table, 0x80 permanent.
    pub state: u16,
}

impl Neighbour {
    /// Whether it was written by [`adding_port`]: a bridge knows for good that its MAC is behind this link.
    pub fn is_static_port(&self) -> bool {
        self.address.is_none() && self.state & NUD_NOARP != 0
    }

    /// Whether it is for good.
    pub fn is_permanent(&self) -> bool {
        self.state & NUD_PERMANENT != 0
    }
}

fn header(family: u8, index: u32, state: u16, flags: u8) -> [u8; 12] {
    let ([a, b, c, d], [s, t]) = (index.to_ne_bytes(), state.to_ne_bytes());
    [family, 0, 0, 0, a, b, c, d, s, t, flags, 0]
}

/// Writes down, for good, that `address` on this link has this MAC.
///
/// # Errors
/// ENODEV when the link is gone.
#[track_caller]
pub fn add(socket: &mut Socket, index: u32, link: &str, address: IpAddr, lladdr: [u8; 6]) -> Result<(), CallFailed> {
    socket.batch(vec![adding(index, link, address, lladdr)]).map(drop)
}

/// As [`add`]: the request, for a batch.
pub fn adding(index: u32, link: &str, address: IpAddr, lladdr: [u8; 6]) -> Request {
    let mut message = Message::new(RTM_NEWNEIGH, CREATE | REPLACE);
    message.raw(&header(family(address), index, NUD_PERMANENT, 0));
    message.attr(NDA_DST, &octets(address)).attr(NDA_LLADDR, &lladdr);
    let command = format!("ip neigh replace {address} lladdr {} dev {} nud permanent", mac(&lladdr), word(link));
    Request { name: "RTM_NEWNEIGH", command, message }
}

/// Forgets what was written by [`add`].
///
/// # Errors
/// ENOENT when nothing is known of it.
#[track_caller]
pub fn remove(socket: &mut Socket, index: u32, link: &str, address: IpAddr) -> Result<(), CallFailed> {
    socket.batch(vec![removing(index, link, address)]).map(drop)
}

/// As [`remove`]: the request, for a batch.
pub fn removing(index: u32, link: &str, address: IpAddr) -> Request {
    let mut message = Message::new(RTM_DELNEIGH, 0);
    message.raw(&header(family(address), index, 0, 0)).attr(NDA_DST, &octets(address));
    Request { name: "RTM_DELNEIGH", command: format!("ip neigh del {address} dev {}", word(link)), message }
}

/// Writes down that this MAC is behind the machine `at`, in a vxlan link's own table.
///
/// # Errors
/// ENODEV when the link is gone.
#[track_caller]
pub fn add_forwarding(socket: &mut Socket, index: u32, link: &str, lladdr: [u8; 6], at: IpAddr) -> Result<(), CallFailed> {
    socket.batch(vec![adding_forwarding(index, link, lladdr, at)]).map(drop)
}

/// As [`add_forwarding`]: the request, for a batch.
pub fn adding_forwarding(index: u32, link: &str, lladdr: [u8; 6], at: IpAddr) -> Request {
    forwarding((RTM_NEWNEIGH, "RTM_NEWNEIGH", "replace"), CREATE | REPLACE, (index, link), lladdr, at)
}

/// Tells the bridge that a link is plugged into, for good, that this MAC is behind that link: the request, for a batch.
pub fn adding_port(index: u32, link: &str, lladdr: [u8; 6]) -> Request {
    port((RTM_NEWNEIGH, "RTM_NEWNEIGH", "replace"), CREATE | REPLACE, (index, link), lladdr)
}

/// Takes back what was told by [`adding_port`]: the request, for a batch. ENOENT when there is none such.
pub fn removing_port(index: u32, link: &str, lladdr: [u8; 6]) -> Request {
    port((RTM_DELNEIGH, "RTM_DELNEIGH", "del"), 0, (index, link), lladdr)
}

/// Adds a machine to those that get every broadcast of a vxlan link (entries of the MAC of zeros).
///
/// # Errors
/// EEXIST when it is among them, ENODEV when the link is gone.
#[track_caller]
pub fn append_flood(socket: &mut Socket, index: u32, link: &str, at: IpAddr) -> Result<(), CallFailed> {
    let verb = (RTM_NEWNEIGH, "RTM_NEWNEIGH", "append");
    socket.batch(vec![forwarding(verb, CREATE | APPEND, (index, link), [0; 6], at)]).map(drop)
}

/// Forgets what was written by [`add_forwarding`] or [`append_flood`] (with the MAC of zeros).
///
/// # Errors
/// ENOENT when there is none such.
#[track_caller]
pub fn remove_forwarding(socket: &mut Socket, index: u32, link: &str, lladdr: [u8; 6], at: IpAddr) -> Result<(), CallFailed> {
    socket.batch(vec![removing_forwarding(index, link, lladdr, at)]).map(drop)
}

/// As [`remove_forwarding`]: the request, for a batch.
pub fn removing_forwarding(index: u32, link: &str, lladdr: [u8; 6], at: IpAddr) -> Request {
    forwarding((RTM_DELNEIGH, "RTM_DELNEIGH", "del"), 0, (index, link), lladdr, at)
}

/// A message's kind, its name, and the word in `bridge fdb`.
type Verb = (u16, &'static str, &'static str);

fn forwarding((kind, name, verb): Verb, flags: u16, (index, link): (u32, &str), lladdr: [u8; 6], at: IpAddr) -> Request {
    let mut message = Message::new(kind, flags);
    message.raw(&header(libc::AF_BRIDGE as u8, index, NUD_PERMANENT, NTF_SELF));
    message.attr(NDA_LLADDR, &lladdr).attr(NDA_DST, &octets(at));
    let command = format!("bridge fdb {verb} {} dev {} dst {at} self permanent", mac(&lladdr), word(link));
    Request { name, command, message }
}

fn port((kind, name, verb): Verb, flags: u16, (index, link): (u32, &str), lladdr: [u8; 6]) -> Request {
    let mut message = Message::new(kind, flags);
    message.raw(&header(libc::AF_BRIDGE as u8, index, NUD_NOARP, NTF_MASTER)).attr(NDA_LLADDR, &lladdr);
    Request { name, command: format!("bridge fdb {verb} {} dev {} master static", mac(&lladdr), word(link)), message }
}

/// The neighbour table: who was asked for, and what is known.
///
/// # Errors
/// As [`Socket::dump`].
#[track_caller]
pub fn all(socket: &mut Socket) -> Result<Vec<Neighbour>, CallFailed> {
    table(socket, 0, "ip neigh")
}

/// The forwarding tables of all bridges and vxlan links.
///
/// # Errors
/// As [`Socket::dump`].
#[track_caller]
pub fn forwarding_table(socket: &mut Socket) -> Result<Vec<Neighbour>, CallFailed> {
    table(socket, libc::AF_BRIDGE as u8, "bridge fdb")
}

#[track_caller]
fn table(socket: &mut Socket, family: u8, command: &str) -> Result<Vec<Neighbour>, CallFailed> {
    let mut message = Message::new(RTM_GETNEIGH, 0);
    message.raw(&header(family, 0, 0, 0));
    let told = socket.dump("RTM_GETNEIGH", || command.into(), message)?;
    Ok(told.iter().filter_map(|body| parse(body)).collect())
}

pub(super) fn parse(body: &[u8]) -> Option<Neighbour> {
    let attributes = body.get(12..)?;
    Some(Neighbour {
        index: u32_at(body, 4)?,
        address: wire::attribute(attributes, NDA_DST).and_then(address_of),
        mac: wire::attribute(attributes, NDA_LLADDR).and_then(|octets| octets.try_into().ok()),
        state: u16_at(body, 8)?,
    })
}
