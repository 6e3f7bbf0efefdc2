//! # Bridge: a switch inside the kernel
//!
//! A bridge is a link that other links are plugged into: its *ports*. It learns from the senders which MAC lives behind which
//! port, as a switch in a rack does, and it is a link itself, so the host can have an address on the segment: the
//! containers' gateway.
//!
//! * [`add`] makes one with a MAC of our choice. Without one the bridge takes the lowest MAC among its ports, and each
//!   container that comes or goes may change the gateway's MAC under everybody's feet.
//! * [`set_port`] turns a port's knobs: `hairpin` lets a frame leave through the port it came in by; an *isolated* port
//!   reaches only those that are not. (A port's *state* is no knob of ours: whenever a cable's other end comes up, which the
//!   kernel notices a little later, the bridge starts the port again.)
//!
//! See: bridge(8), `linux/if_link.h` IFLA_BRPORT_*. Next room: [`crate::netlink::vxlan`]

use super::{
    link::{self, IFF_UP, RTM_NEWLINK, RTM_SETLINK, ifla},
    mac,
    socket::Socket,
    wire::{CREATE, ECHO, EXCL, Message},
    word,
};
use crate::errno::CallFailed;

/// Of a port: what the bridge does with its frames. Also read by [`crate::netlink::link`].
pub(crate) const STATE: u16 = 1;
const MODE: u16 = 4;
const LEARNING: u16 = 8;
const ISOLATED: u16 = 33;

/// A switch to be made.
pub struct Bridge<'a> {
    pub name: &'a str,
    pub mac: Option<[u8; 6]>,
    /// Marks it as ours; 0 marks nothing.
    pub group: u32,
    /// 0: the kernel's default.
    pub mtu: u32,
}

/// Makes it, switched on. Gives back its number, when the kernel tells it (Linux 6.2).
///
/// # Errors
/// EEXIST for a name in use; EOPNOTSUPP on a kernel without bridges.
#[track_caller]
pub fn add(socket: &mut Socket, bridge: &Bridge<'_>) -> Result<Option<u32>, CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL | ECHO);
    message.raw(&link::header(0, 0, IFF_UP, IFF_UP)).text(ifla::IFNAME, bridge.name);
    if let Some(octets) = bridge.mac {
        message.attr(ifla::ADDRESS, &octets);
    }
    if bridge.group != 0 {
        message.u32(ifla::GROUP, bridge.group);
    }
    if bridge.mtu != 0 {
        message.u32(ifla::MTU, bridge.mtu);
    }
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "bridge");
    });
    let command = || {
        let address = bridge.mac.map(|octets| format!(" address {}", mac(&octets))).unwrap_or_default();
        let group = if bridge.group == 0 { String::new() } else { format!(" group {}", bridge.group) };
        let mtu = if bridge.mtu == 0 { String::new() } else { format!(" mtu {}", bridge.mtu) };
        format!("ip link add {}{address}{mtu}{group} up type bridge", word(bridge.name))
    };
    let told = socket.request("RTM_NEWLINK", command, message)?;
    Ok(told.iter().filter_map(|body| link::parse(body)).find(|link| link.name == bridge.name).map(|link| link.index))
}

/// Knobs of a port; `None` is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    pub hairpin: Option<bool>,
    pub isolated: Option<bool>,
    /// Whether the bridge learns from what comes in here who is behind this port.
    pub learning: Option<bool>,
}

/// Turns knobs of the port that the link of this name is.
///
/// # Errors
/// ENODEV when the link is gone, EINVAL or EOPNOTSUPP when it is in no bridge, ENETDOWN to start a port that is down.
#[track_caller]
pub fn set_port(socket: &mut Socket, name: &str, port: Port) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_NEWLINK, 0);
    message.raw(&link::header(0, 0, 0, 0)).text(ifla::IFNAME, name).nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_SLAVE_KIND, "bridge").nest(ifla::INFO_SLAVE_DATA, |knobs| {
            for (kind, value) in [(MODE, port.hairpin), (ISOLATED, port.isolated), (LEARNING, port.learning)] {
                if let Some(value) = value {
                    knobs.u8(kind, value.into());
                }
            }
        });
    });
    let on_off = |on: bool| if on { "on" } else { "off" };
    let command = || {
        let mut line = format!("ip link set {} type bridge_slave", word(name));
        if let Some(hairpin) = port.hairpin {
            line += &format!(" hairpin {}", on_off(hairpin));
        }
        if let Some(isolated) = port.isolated {
            line += &format!(" isolated {}", on_off(isolated));
        }
        if let Some(learning) = port.learning {
            line += &format!(" learning {}", on_off(learning));
        }
        line
    };
    socket.request("RTM_NEWLINK", command, message).map(drop)
}

/// Plugs a link into a bridge (by number and name), or out of any (`None`).
///
/// # Errors
/// ENODEV for a link or bridge that is gone, EBUSY for one that is plugged in elsewhere.
#[track_caller]
pub fn plug(socket: &mut Socket, index: u32, name: &str, master: Option<(u32, &str)>) -> Result<(), CallFailed> {
    let mut message = Message::new(RTM_SETLINK, 0);
    message.raw(&link::header(0, index, 0, 0)).u32(ifla::MASTER, master.map_or(0, |(index, _)| index));
    let command = || match master {
        Some((_, bridge)) => format!("ip link set {} master {}", word(name), word(bridge)),
        None => format!("ip link set {} nomaster", word(name)),
    };
    socket.request("RTM_SETLINK", command, message).map(drop)
}
