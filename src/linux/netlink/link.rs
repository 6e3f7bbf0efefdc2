//! # Link: what `ip link` shows
//!
//! A link is anything that packets can be sent through: a card, a cable's end, a switch, a tunnel. The kernel knows it by a
//! number that is never used twice in a namespace, people by a name of at most fifteen bytes.
//!
//! ```text
//!   [`all`], [`by_name`]   RTM_GETLINK    index, name, kind, master, MAC, MTU, up?, and the number of a cable's other end
//!   [`set_up`]             RTM_SETLINK    switched on; [`set_down`]: nothing goes in or out any more, 0.1 ms
//!   [`send`]               RTM_SETLINK    into another namespace, where it may be called otherwise; it arrives switched off
//!   [`delete`]             RTM_DELLINK    waits for the kernel's grace periods: 30 to 40 ms. Let a namespace go instead.
//! ```
//!
//! Laws: a name from outside is checked ([`is_valid_name`]) before it becomes a link or a word in a record.
//! See: rtnetlink(7) RTM_NEWLINK, netdevice(7). Next room: [`crate::netlink::veth`]

use super::{
    mac,
    socket::{Request, Socket},
    wire::{self, Message, text_of, u32_at},
    word,
};
use crate::errno::CallFailed;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_SETLINK: u16 = 19;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(crate) const IFF_UP: u32 = 1;

/// Numbers of a link's attributes (`linux/if_link.h`).
pub(crate) mod ifla {
    pub const ADDRESS: u16 = 1;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const LINK: u16 = 5;
    pub const MASTER: u16 = 10;
    pub const LINKINFO: u16 = 18;
    pub const GROUP: u16 = 27;
    pub const NET_NS_FD: u16 = 28;
    pub const LINK_NETNSID: u16 = 37;
    /// Below LINKINFO.
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_SLAVE_KIND: u16 = 4;
    pub const INFO_SLAVE_DATA: u16 = 5;
}

/// One link, as the kernel tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `veth`, `bridge`, `vxlan`, …; empty for a card and for `lo`.
    pub kind: String,
    /// The bridge it is plugged into, by number.
    pub master: Option<u32>,
    /// The other end of a cable, by the number it has over there.
    pub other_end: Option<u32>,
    /// Whether that end is in another namespace.
    pub other_end_elsewhere: bool,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    pub up: bool,
    pub group: u32,
    /// What a bridge does with packets of this port: 0 nothing, 3 forward.
    pub port_state: Option<u8>,
}

/// The struct in front of a link's attributes: family, index, flags, and which flags are meant.
pub(crate) fn header(family: u8, index: u32, flags: u32, meant: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&meant.to_ne_bytes());
    bytes
}

/// Whether a link may be called so: 1 to 15 bytes, no `/`, no white space (`dev_valid_name`), and no `%`, which asks the
/// kernel for a number.
pub fn is_valid_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    (1..=15).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(fine)
}

/// All links of the socket's namespace.
///
/// # Errors
/// As [`Socket::dump`].
#[track_caller]
pub fn all(socket: &mut Socket) -> Result<Vec<Link>, CallFailed> {
    let mut message = Message::new(RTM_GETLINK, 0);
    message.raw(&header(0, 0, 0, 0));
    let told = socket.dump("RTM_GETLINK", || "ip -details link".into(), message)?;
    Ok(told.iter().filter_map(|body| parse(body)).collect())
}

/// The link of this name, if there is one.
///
/// # Errors
/// Whatever the kernel says besides ENODEV.
#[track_caller]
pub fn by_name(socket: &mut Socket, name: &str) -> Result<Option<Link>, CallFailed> {
    let mut message = Message::new(RTM_GETLINK, 0);
    message.raw(&header(0, 0, 0, 0)).text(ifla::IFNAME, name);
    match socket.request("RTM_GETLINK", || format!("ip -details link show {}", word(name)), message) {
        Ok(told) => Ok(told.iter().find_map(|body| parse(body))),
        Err(failed) if failed.is(libc::ENODEV) => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// The links of these names, in one datagram; also makes the kernel (from Linux 6.2) catch up with what it put off about them:
/// a cable that has just been completed carries nothing before its `linkwatch` work has run, unless somebody asks.
///
/// # Errors
/// ENODEV when one is missing.
#[track_caller]
pub fn look_at(socket: &mut Socket, names: &[&str]) -> Result<Vec<Link>, CallFailed> {
    let told = socket.batch(names.iter().map(|name| look(name)).collect())?;
    Ok(told.iter().flatten().filter_map(|body| parse(body)).collect())
}

/// Looks at the link of this name: the request, for a batch.
pub fn look(name: &str) -> Request {
    let mut message = Message::new(RTM_GETLINK, 0);
    message.raw(&header(0, 0, 0, 0)).text(ifla::IFNAME, name);
    Request { name: "RTM_GETLINK", command: format!("ip link show {}", word(name)), message }
}

/// Switches the link of this number on: the request, for a batch.
pub fn up(index: u32, name: &str) -> Request {
    let mut message = Message::new(RTM_SETLINK, 0);
    message.raw(&header(0, index, IFF_UP, IFF_UP));
    Request { name: "RTM_SETLINK", command: format!("ip link set {} up", word(name)), message }
}

/// Switches the link of this number on.
///
/// # Errors
/// ENODEV when it is gone.
#[track_caller]
pub fn set_up(socket: &mut Socket, index: u32, name: &str) -> Result<(), CallFailed> {
    socket.batch(vec![up(index, name)]).map(drop)
}

/// Switches the link of this name off.
///
/// # Errors
/// ENODEV when it is gone.
#[track_caller]
pub fn set_down(socket: &mut Socket, name: &str) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_SETLINK, 0);
    message.raw(&header(0, 0, 0, IFF_UP)).text(ifla::IFNAME, name);
    socket.request("RTM_SETLINK", || format!("ip link set {} down", word(name)), message).map(drop)
}

/// Gives a link, which must be down on old kernels, another name.
///
/// # Errors
/// EEXIST, ENODEV, EBUSY.
#[track_caller]
pub fn rename(socket: &mut Socket, index: u32, from: &str, to: &str) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_SETLINK, 0);
    message.raw(&header(0, index, 0, 0)).text(ifla::IFNAME, to);
    socket.request("RTM_SETLINK", || format!("ip link set {} name {}", word(from), word(to)), message).map(drop)
}

/// Sends a link into another namespace (and how a shell would name that place), where it is called `new_name`; a name with `%d` in
/// it is a template, and the kernel finds the number. What belongs to the link itself (MAC, MTU) goes with it; its addresses
/// and routes do not, and it is switched off.
///
/// # Errors
/// EINVAL for a link that belongs to its namespace for good (`lo`, a bridge); EEXIST for a name in use over there; EPERM.
#[track_caller]
pub fn send(
    socket: &mut Socket,
    (index, name): (u32, &str),
    new_name: &str,
    (namespace, place): (BorrowedFd<'_>, &str),
) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_SETLINK, 0);
    message.raw(&header(0, index, 0, 0)).text(ifla::IFNAME, new_name);
    message.u32(ifla::NET_NS_FD, namespace.as_raw_fd() as u32);
    let command = || {
        let renamed = if name == new_name { String::new() } else { format!(" name {}", word(new_name)) };
        format!("ip link set {} netns {}{renamed}", word(name), word(place))
    };
    socket.request("RTM_SETLINK", command, message).map(drop)
}

/// Unplugs a cable, wherever its other end is. Takes tens of milliseconds.
///
/// # Errors
/// ENODEV when it is gone.
#[track_caller]
pub fn delete(socket: &mut Socket, name: &str) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_DELLINK, 0);
    message.raw(&header(0, 0, 0, 0)).text(ifla::IFNAME, name);
    socket.request("RTM_DELLINK", || format!("ip link delete {}", word(name)), message).map(drop)
}

/// Reads one link; `None` for a body that is none.
pub(crate) fn parse(body: &[u8]) -> Option<Link> {
    let mut link = Link { index: u32_at(body, 4)?, up: u32_at(body, 8)? & IFF_UP != 0, ..Link::default() };
    for (kind, value) in wire::attributes(body.get(16..)?) {
        match kind {
            ifla::IFNAME => link.name = text_of(value),
            ifla::ADDRESS => link.mac = value.try_into().ok(),
            ifla::MTU => link.mtu = u32_at(value, 0)?,
            ifla::MASTER => link.master = u32_at(value, 0),
            ifla::LINK => link.other_end = u32_at(value, 0),
            ifla::LINK_NETNSID => link.other_end_elsewhere = true,
            ifla::GROUP => link.group = u32_at(value, 0)?,
            ifla::LINKINFO => {
                link.kind = wire::attribute(value, ifla::INFO_KIND).map(text_of).unwrap_or_default();
                let port = wire::attribute(value, ifla::INFO_SLAVE_DATA);
                link.port_state =
                    port.and_then(|port| wire::attribute(port, super::bridge::STATE)).and_then(|v| v.first().copied());
            }
            _ => {}
        }
    }
    Some(link)
}

impl Link {
    /// The MAC as `ip` prints it; empty if there is none.
    pub fn mac_text(&self) -> String {
        self.mac.map(|octets| mac(&octets)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_or_a_shell_could_misread_is_refused() {
        for good in ["eth0", "br-0123456789ab", "minidock0", "veth0a1b2c3", "a.b_c@d"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "..", ".", "sixteen-bytes-xx", "veth%d", "a:b", "a\u{e9}"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
