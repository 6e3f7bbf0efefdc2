//! # Veth: a cable with two ends
//!
//! What is sent into one end of a veth pair comes out of the other, and the ends may lie in different namespaces: this is
//! how a container's `eth0` hangs on the host's bridge. Docker makes the pair at home, moves one end, renames it, gives it a
//! MAC, switches both on: eight messages. The kernel takes nearly all of that in *one*, because the far end is described by a message of
//! its own inside the attributes of the near one. Only switching on the far end needs a second one, over there: while it is
//! being made, its other end is not yet there (`veth_open` says ENOTCONN).
//!
//! ```text
//!   RTM_NEWLINK  name vethA, up, mtu, master 5 (the bridge), group
//!     └ LINKINFO kind veth
//!         └ INFO_DATA └ VETH_INFO_PEER { name eth0, mtu, address 02:42:…, NET_NS_FD → the sandbox }
//! ```
//!
//! * With `NLM_F_ECHO` (Linux 6.2) the kernel answers with the link as it now is, and a cable's end knows the number of its
//!   other end: so we learn the index of `eth0`, which its address and route must name, without asking for it. On older kernels,
//!   [`add`] says `None` and the caller asks over there.
//!
//! See: veth(4), `drivers/net/veth.c` veth_newlink. Next room: [`crate::netlink::bridge`]

use super::{
    link::{self, IFF_UP, RTM_NEWLINK, ifla},
    mac,
    socket::Socket,
    wire::{CREATE, ECHO, EXCL, Message},
    word,
};
use crate::errno::CallFailed;
use std::os::fd::{AsRawFd, BorrowedFd};

const VETH_INFO_PEER: u16 = 1;

/// A cable to be laid.
pub struct Veth<'a> {
    /// The near end.
    pub name: &'a str,
    /// The bridge that the near end is plugged into: its number and its name.
    pub master: Option<(u32, &'a str)>,
    /// Marks the near end as ours; 0 marks nothing.
    pub group: u32,
    /// Of both ends; 0: the kernel's default.
    pub mtu: u32,
    /// The far end.
    pub peer: &'a str,
    pub peer_mac: Option<[u8; 6]>,
    /// Where the far end is, and how a shell would name that place.
    pub peer_namespace: Option<(BorrowedFd<'a>, &'a str)>,
}

/// Lays it; the near end is up. Gives back the numbers of the two ends, when the kernel tells them.
///
/// # Errors
/// EEXIST for a name in use (at either end), ENODEV or EINVAL when the bridge is gone, EXFULL for a bridge with 1,023 ports.
#[track_caller]
pub fn add(socket: &mut Socket, veth: &Veth<'_>) -> Result<Option<(u32, u32)>, CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL | ECHO);
    message.raw(&link::header(0, 0, IFF_UP, IFF_UP)).text(ifla::IFNAME, veth.name);
    if veth.mtu != 0 {
        message.u32(ifla::MTU, veth.mtu);
    }
    if veth.group != 0 {
        message.u32(ifla::GROUP, veth.group);
    }
    if let Some((index, _)) = veth.master {
        message.u32(ifla::MASTER, index);
    }
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "veth").nest(ifla::INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| far_end(peer, veth));
        });
    });
    let told = socket.request("RTM_NEWLINK", || command(veth), message)?;
    let near = told.iter().filter_map(|body| link::parse(body)).find(|link| link.name == veth.name);
    Ok(near.and_then(|near| Some((near.index, near.other_end?))))
}

fn far_end(peer: &mut Message, veth: &Veth<'_>) {
    peer.raw(&link::header(0, 0, 0, 0)).text(ifla::IFNAME, veth.peer);
    if veth.mtu != 0 {
        peer.u32(ifla::MTU, veth.mtu);
    }
    if let Some(octets) = veth.peer_mac {
        peer.attr(ifla::ADDRESS, &octets);
    }
    if let Some((namespace, _)) = veth.peer_namespace {
        peer.u32(ifla::NET_NS_FD, namespace.as_raw_fd() as u32);
    }
}

/// What a person would type.
fn command(veth: &Veth<'_>) -> String {
    let mut line = format!("ip link add {}", word(veth.name));
    let mut say = |words: String| {
        line.push(' ');
        line.push_str(&words);
    };
    if veth.mtu != 0 {
        say(format!("mtu {}", veth.mtu));
    }
    if veth.group != 0 {
        say(format!("group {}", veth.group));
    }
    if let Some((_, name)) = veth.master {
        say(format!("master {}", word(name)));
    }
    say(format!("up type veth peer name {}", word(veth.peer)));
    if veth.mtu != 0 {
        say(format!("mtu {}", veth.mtu));
    }
    if let Some(octets) = veth.peer_mac {
        say(format!("address {}", mac(&octets)));
    }
    if let Some((_, place)) = veth.peer_namespace {
        say(format!("netns {}", word(place)));
    }
    line
}
