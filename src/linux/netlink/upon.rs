//! # Upon: links that lie upon another link
//!
//! A card has one MAC, and whoever plugs it into a switch of the office has one citizen there. Two kinds of links make more of it.
//! A *vlan* link sends and receives the frames of its parent that carry its number: `eth0.10` is segment 10 of the same cable. A *macvlan*
//! link is a further citizen of the parent's segment, with a MAC of its own, and may live in another namespace: a container that the
//! office's router knows like any machine, without a bridge and without translation.
//!
//! ```text
//!   office ═══ eth0 ─┬─ the host's own address
//!                    ├─ macvlan 02:42:c0:a8:0a:02   as eth0 of a container
//!                    └─ eth0.10 (vlan) ─── macvlan  as eth0 of another, on segment 10
//! ```
//!
//! * In *bridge* mode the macvlans of one parent hear each other; the host itself hears none of them, nor they the host. *private*: nobody hears
//!   anybody; *vepa*: by way of a switch that sends frames back; *passthru*: one link has the parent for itself.
//! * A link upon a link that is deleted goes with it.
//!
//! Laws: the parent is named by its number in the *socket's* namespace, wherever the new link goes.
//! See: ip-link(8), `drivers/net/macvlan.c`, `net/8021q`, IEEE 802.1Q. Next room: [`crate::netlink::address`]

use super::{
    link::{self, IFF_UP, RTM_NEWLINK, ifla},
    mac,
    socket::Socket,
    wire::{CREATE, EXCL, Message},
    word,
};
use crate::errno::CallFailed;
use std::os::fd::{AsRawFd, BorrowedFd};

const MACVLAN_MODE: u16 = 1;
const VLAN_ID: u16 = 1;

/// Who hears whom upon one parent (MACVLAN_MODE_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Private,
    Vepa,
    Bridge,
    Passthru,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Mode::Private => "private",
            Mode::Vepa => "vepa",
            Mode::Bridge => "bridge",
            Mode::Passthru => "passthru",
        }
    }

    fn number(self) -> u32 {
        match self {
            Mode::Private => 1,
            Mode::Vepa => 2,
            Mode::Bridge => 4,
            Mode::Passthru => 8,
        }
    }
}

/// A further citizen of the parent's segment.
pub struct Macvlan<'a> {
    pub name: &'a str,
    /// By number and by name.
    pub parent: (u32, &'a str),
    pub mode: Mode,
    pub mac: [u8; 6],
    /// 0: the parent's.
    pub mtu: u32,
    /// Where it goes, and how a shell would name that place.
    pub namespace: (BorrowedFd<'a>, &'a str),
}

/// Makes it, switched off.
///
/// # Errors
/// ENODEV: no such parent; EBUSY: a bridge has the parent, or one link has it for itself; EINVAL: the parent is no Ethernet link; EOPNOTSUPP: the
/// kernel has no macvlan; EEXIST.
#[track_caller]
pub fn add_macvlan(socket: &mut Socket, link: &Macvlan<'_>) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL);
    message.raw(&link::header(0, 0, 0, 0)).text(ifla::IFNAME, link.name);
    message.u32(ifla::LINK, link.parent.0).attr(ifla::ADDRESS, &link.mac);
    if link.mtu != 0 {
        message.u32(ifla::MTU, link.mtu);
    }
    message.u32(ifla::NET_NS_FD, link.namespace.0.as_raw_fd() as u32);
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "macvlan").nest(ifla::INFO_DATA, |data| {
            data.u32(MACVLAN_MODE, link.mode.number());
        });
    });
    let command = || {
        let mtu = if link.mtu == 0 { String::new() } else { format!(" mtu {}", link.mtu) };
        let (parent, name, place) = (word(link.parent.1), word(link.name), word(link.namespace.1));
        let (mac, mode) = (mac(&link.mac), link.mode.word());
        format!("ip link add link {parent} name {name} address {mac}{mtu} netns {place} type macvlan mode {mode}")
    };
    socket.request("RTM_NEWLINK", command, message).map(drop)
}

/// The part of a parent's traffic that carries a number.
pub struct Vlan<'a> {
    pub name: &'a str,
    /// By number and by name.
    pub parent: (u32, &'a str),
    /// 1 to 4094.
    pub id: u16,
    /// Marks it as ours; 0 marks nothing.
    pub group: u32,
}

/// Makes it, switched on.
///
/// # Errors
/// EEXIST: the parent has this number, or the machine this name already; EOPNOTSUPP: the kernel has no 802.1Q; ENODEV: no such parent.
#[track_caller]
pub fn add_vlan(socket: &mut Socket, link: &Vlan<'_>) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL);
    message.raw(&link::header(0, 0, IFF_UP, IFF_UP)).text(ifla::IFNAME, link.name).u32(ifla::LINK, link.parent.0);
    if link.group != 0 {
        message.u32(ifla::GROUP, link.group);
    }
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "vlan").nest(ifla::INFO_DATA, |data| {
            data.u16(VLAN_ID, link.id);
        });
    });
    let command = || {
        let group = if link.group == 0 { String::new() } else { format!(" group {}", link.group) };
        format!("ip link add link {} name {}{group} up type vlan id {}", word(link.parent.1), word(link.name), link.id)
    };
    socket.request("RTM_NEWLINK", command, message).map(drop)
}
