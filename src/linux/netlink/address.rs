//! # Address: what `ip addr` shows
//!
//! An address belongs to a link. With it comes a route to the block around it, which the kernel adds by itself when the link is
//! up: this is why a container on 172.17.0.0/16 reaches its neighbours without any route of ours.
//!
//! * [`add`]: IPv4 with its broadcast address; IPv6 without *duplicate address detection*, which would keep the address
//!   unusable for a second. Nobody else has it: we gave it out ourselves.
//! * [`all`], [`remove`].
//!
//! See: rtnetlink(7) RTM_NEWADDR, RFC 4862 §5.4. Next room: [`crate::netlink::route`]

use super::{
    address_of, family, octets,
    socket::{Request, Socket},
    wire::{self, CREATE, EXCL, Message, u32_at},
    word,
};
use crate::errno::CallFailed;
use std::net::IpAddr;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u8 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnLink {
    pub index: u32,
    pub address: IpAddr,
    pub prefix: u8,
    /// How far it is good for: 0 everywhere (RT_SCOPE_UNIVERSE), 253 on this link, 254 on this host.
    pub scope: u8,
    /// Given by somebody for good, not made by the kernel or lent for a while.
    pub permanent: bool,
}

fn header(address: Option<IpAddr>, prefix: u8, flags: u8, index: u32) -> [u8; 8] {
    let [a, b, c, d] = index.to_ne_bytes();
    [address.map_or(0, family), prefix, flags, 0, a, b, c, d]
}

/// Gives the link of this number (and name) an address: the request, for a batch.
pub fn adding(index: u32, name: &str, address: IpAddr, prefix: u8) -> Request {
    let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
    let mut message = Message::new(RTM_NEWADDR, CREATE | EXCL);
    let bytes = octets(address);
    message.raw(&header(Some(address), prefix, flags, index)).attr(IFA_LOCAL, &bytes).attr(IFA_ADDRESS, &bytes);
    if let (IpAddr::V4(v4), true) = (address, prefix < 31) {
        message.attr(IFA_BROADCAST, &(v4.to_bits() | u32::MAX >> prefix).to_be_bytes());
    }
    let extra = match address {
        IpAddr::V6(_) => " nodad",
        IpAddr::V4(_) if prefix < 31 => " broadcast +",
        IpAddr::V4(_) => "",
    };
    Request { name: "RTM_NEWADDR", command: format!("ip addr add {address}/{prefix}{extra} dev {}", word(name)), message }
}

/// Gives the link of this number (and name) an address.
///
/// # Errors
/// EEXIST when it has it already, ENODEV when the link is gone, EACCES for IPv6 where it is disabled.
#[track_caller]
pub fn add(socket: &mut Socket, index: u32, name: &str, address: IpAddr, prefix: u8) -> Result<(), CallFailed> {
    socket.batch(vec![adding(index, name, address, prefix)]).map(drop)
}

/// Takes an address from a link.
///
/// # Errors
/// EADDRNOTAVAIL when it has it not, ENODEV when the link is gone.
#[track_caller]
pub fn remove(socket: &mut Socket, index: u32, name: &str, address: IpAddr, prefix: u8) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_DELADDR, 0);
    message.raw(&header(Some(address), prefix, 0, index)).attr(IFA_LOCAL, &octets(address));
    let command = || format!("ip addr del {address}/{prefix} dev {}", word(name));
    socket.request("RTM_DELADDR", command, message).map(drop)
}

/// All addresses of the socket's namespace.
///
/// # Errors
/// As [`Socket::dump`].
#[track_caller]
pub fn all(socket: &mut Socket) -> Result<Vec<OnLink>, CallFailed> {
    let mut message = Message::new(RTM_GETADDR, 0);
    message.raw(&header(None, 0, 0, 0));
    let told = socket.dump("RTM_GETADDR", || "ip addr".into(), message)?;
    Ok(told.iter().filter_map(|body| parse(body)).collect())
}

pub(super) fn parse(body: &[u8]) -> Option<OnLink> {
    let attributes = body.get(8..)?;
    // On a cable with a named far side ADDRESS is that side and LOCAL is ours; IPv6 has ADDRESS alone.
    let own = wire::attribute(attributes, IFA_LOCAL).or_else(|| wire::attribute(attributes, IFA_ADDRESS))?;
    // The header has room for eight flags only; a newer kernel tells all of them.
    let flags = wire::attribute(attributes, IFA_FLAGS).and_then(|all| u32_at(all, 0)).unwrap_or(u32::from(*body.get(2)?));
    Some(OnLink {
        index: u32_at(body, 4)?,
        address: address_of(own)?,
        prefix: *body.get(1)?,
        scope: *body.get(3)?,
        permanent: flags & IFA_F_PERMANENT != 0,
    })
}
