//! # Vxlan: a cable that is a tunnel
//!
//! Two machines, each with a bridge, and one segment across both: a vxlan link plugged into each bridge wraps every frame into a UDP
//! packet to the other machine. Which machine? A vxlan link may *learn* that from what comes in; in a cluster whose
//! manager knows where each container is, it is told ([`crate::netlink::neighbour::add_forwarding`]), and it may answer
//! ARP questions on behalf of the far side from a table that it was given, too (*proxy*), so no broadcast crosses the network.
//!
//! ```text
//!   container ─ veth ─ bridge ─ vxlan 4097 ══ UDP 4789 ══ vxlan 4097 ─ bridge ─ veth ─ container
//!                                └ forwarding: 02:42:0a:00:01:03 is at node 2; neighbours: 10.0.1.3 has 02:42:0a:00:01:03
//! ```
//!
//! Laws: the tunnel's outer packets leave by the namespace the link was *made* in, wherever it is moved later.
//! See: RFC 7348, ip-link(8) vxlan, moby `libnetwork/drivers/overlay`. Next room: [`crate::netlink::upon`]

use super::{
    address_of, family,
    link::{self, IFF_UP, RTM_NEWLINK, ifla},
    octets,
    socket::Socket,
    wire::{self, CREATE, ECHO, EXCL, Message, u32_at},
    word,
};
use crate::errno::CallFailed;
use std::{
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Numbers below INFO_DATA (IFLA_VXLAN_*).
mod knob {
    pub const ID: u16 = 1;
    pub const LOCAL: u16 = 4;
    pub const LEARNING: u16 = 7;
    pub const PROXY: u16 = 11;
    pub const PORT: u16 = 15;
    pub const LOCAL6: u16 = 17;
}

/// A tunnel's end to be made.
pub struct Vxlan<'a> {
    pub name: &'a str,
    /// The segment's number, 24 bits.
    pub id: u32,
    /// The UDP port of all machines: 4789.
    pub port: u16,
    /// This machine's own address among them.
    pub local: Option<IpAddr>,
    pub learning: bool,
    /// Answers ARP questions from the table of neighbours.
    pub proxy: bool,
    /// 0: the kernel's default. The wrapping takes 50 bytes (70 over IPv6) of the outer MTU.
    pub mtu: u32,
    pub group: u32,
    /// The bridge it is plugged into: its number and its name; of the namespace that the link ends up in.
    pub master: Option<(u32, &'a str)>,
    /// Where the link goes, if not here; and how a shell would name that place.
    pub namespace: Option<(BorrowedFd<'a>, &'a str)>,
}

/// Makes it, switched on. Gives back its number, when the kernel tells it (Linux 6.2).
///
/// # Errors
/// EEXIST for a name in use, or for the same id and port twice in one namespace; EINVAL for an id beyond 24 bits.
#[track_caller]
pub fn add(socket: &mut Socket, vxlan: &Vxlan<'_>) -> Result<Option<u32>, CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL | ECHO);
    message.raw(&link::header(0, 0, IFF_UP, IFF_UP)).text(ifla::IFNAME, vxlan.name);
    if vxlan.mtu != 0 {
        message.u32(ifla::MTU, vxlan.mtu);
    }
    if vxlan.group != 0 {
        message.u32(ifla::GROUP, vxlan.group);
    }
    if let Some((index, _)) = vxlan.master {
        message.u32(ifla::MASTER, index);
    }
    if let Some((namespace, _)) = vxlan.namespace {
        message.u32(ifla::NET_NS_FD, namespace.as_raw_fd() as u32);
    }
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "vxlan").nest(ifla::INFO_DATA, |data| {
            data.u32(knob::ID, vxlan.id).be16(knob::PORT, vxlan.port);
            data.u8(knob::LEARNING, vxlan.learning.into()).u8(knob::PROXY, vxlan.proxy.into());
            if let Some(local) = vxlan.local {
                let kind = if family(local) == libc::AF_INET as u8 { knob::LOCAL } else { knob::LOCAL6 };
                data.attr(kind, &octets(local));
            }
        });
    });
    let told = socket.request("RTM_NEWLINK", || command(vxlan), message)?;
    Ok(told.iter().filter_map(|body| link::parse(body)).find(|link| link.name == vxlan.name).map(|link| link.index))
}

/// A tunnel's end as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub link: link::Link,
    pub id: u32,
    pub port: u16,
    pub local: Option<IpAddr>,
}

/// The tunnel's end of this name; `None` when there is none, or the link is of another kind.
///
/// # Errors
/// Whatever the kernel says besides ENODEV.
#[track_caller]
pub fn by_name(socket: &mut Socket, name: &str) -> Result<Option<Seen>, CallFailed> {
    match socket.batch(vec![link::look(name)]) {
        Ok(told) => Ok(told.iter().flatten().find_map(|body| parse(body))),
        Err(failed) if failed.is(libc::ENODEV) => Ok(None),
        Err(failed) => Err(failed),
    }
}

pub(super) fn parse(body: &[u8]) -> Option<Seen> {
    let link = link::parse(body).filter(|link| link.kind == "vxlan")?;
    let data = wire::attribute(wire::attribute(body.get(16..)?, ifla::LINKINFO)?, ifla::INFO_DATA)?;
    let port = wire::attribute(data, knob::PORT)?;
    Some(Seen {
        link,
        id: u32_at(wire::attribute(data, knob::ID)?, 0)?,
        port: u16::from_be_bytes(port.try_into().ok()?),
        local: wire::attribute(data, knob::LOCAL).or(wire::attribute(data, knob::LOCAL6)).and_then(address_of),
    })
}

fn command(vxlan: &Vxlan<'_>) -> String {
    let mut line = format!("ip link add {}", word(vxlan.name));
    if vxlan.mtu != 0 {
        line += &format!(" mtu {}", vxlan.mtu);
    }
    if vxlan.group != 0 {
        line += &format!(" group {}", vxlan.group);
    }
    if let Some((_, bridge)) = vxlan.master {
        line += &format!(" master {}", word(bridge));
    }
    if let Some((_, place)) = vxlan.namespace {
        line += &format!(" netns {}", word(place));
    }
    line += &format!(" up type vxlan id {} dstport {}", vxlan.id, vxlan.port);
    if let Some(local) = vxlan.local {
        line += &format!(" local {local}");
    }
    line += if vxlan.learning { " learning" } else { " nolearning" };
    line += if vxlan.proxy { " proxy" } else { " noproxy" };
    line
}
