//! # Bridge: a network's switch, and the gateway on it
//!
//! A network of the bridge driver is one link: the switch that the cables of its endpoints are plugged into, with the gateway's
//! address on it, so that the host is a citizen of the segment and can route for it.
//!
//! ```text
//!   ensure(&home, &Bridge)        ip link add br-5f2c… address 02:42:ac:12:00:01 group 19828 up type bridge
//!                                 ip addr add 172.18.0.1/16 dev br-5f2c…
//!                                 net.ipv4.conf.br-5f2c….route_localnet = 1
//! ```
//!
//! * [`ensure`] makes what is missing and leaves alone what is there: the daemon calls it when a network is created and at
//!   every start. A link of that name that is no bridge is refused, never changed.
//! * *route_localnet*: what a process on the host sends to 127.0.0.1:8080 and the firewall turns towards a container has a loopback
//!   address as its sender; without this knob, which concerns this one bridge only, the kernel drops it as a martian.
//!   The firewall in turn drops what comes in for 127.0.0.0/8 from outside.
//! * The MAC is made from the gateway's address: cables come and go, the gateway stays who it is.
//!
//! See: bridge(8), `Documentation/networking/ip-sysctl.rst`, CVE-2020-8558. Next room: [`crate::sandbox`]

use crate::{
    findable,
    home::{GROUP, Home},
    model::{Bridge, Mac},
    settings,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::EEXIST,
    netlink::{self, address, link},
};
use std::net::IpAddr;

/// Makes the bridge, its addresses and its knobs, as far as they are not there.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] for a name no link can have; [`minidock_base::Kind::Conflict`] when the name belongs to
/// a link of another kind; the kernel's refusals.
pub fn ensure(home: &Home, bridge: &Bridge) -> Result<()> {
    check_name(&bridge.link)?;
    make(home, bridge).map_err(|e| e.during(format!("make bridge {}", bridge.link)))
}

fn make(home: &Home, bridge: &Bridge) -> Result<()> {
    let name = bridge.link.as_str();
    let index = match home.ask(|socket| link::by_name(socket, name)).doing(|| "look for it")? {
        Some(found) if found.kind != "bridge" => {
            return Err(Error::conflict(format!("link {name} exists and is no bridge"))
                .hint("choose another com.docker.network.bridge.name"));
        }
        Some(found) => {
            if !found.up {
                home.ask(|socket| link::set_up(socket, found.index, name)).doing(|| "switch it on")?;
            }
            found.index
        }
        None => add(home, bridge)?,
    };
    home.remember(name, index);
    if bridge.has_v6() {
        // a link made while IPv6 is off by default would refuse the address
        for (knob, value) in [("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")] {
            settings::of_link(6, name, knob, value)?;
        }
    }
    for (address, prefix) in bridge.own_addresses() {
        match home.ask(|socket| address::add(socket, index, name, address, prefix)) {
            Err(failed) if !failed.is(EEXIST) => return Err(failed).doing(|| format!("give it the address {address}")),
            _ => {}
        }
        if let IpAddr::V6(v6) = address {
            findable::wait(name, v6);
        }
    }
    settings::of_link(4, name, "route_localnet", "1")
}

fn add(home: &Home, bridge: &Bridge) -> Result<u32> {
    let gateway = bridge.own_addresses().into_iter().find_map(|(address, _)| match address {
        IpAddr::V4(v4) => Some(Mac::of(v4).0),
        IpAddr::V6(_) => None,
    });
    let wanted = netlink::bridge::Bridge { name: &bridge.link, mac: gateway, group: GROUP, mtu: bridge.mtu };
    match home.ask(|socket| netlink::bridge::add(socket, &wanted)).doing(|| "add the link")? {
        Some(index) => Ok(index),
        None => home.bridge_index(&bridge.link).doing(|| "ask for its number"),
    }
}

/// Whether a link may be called so; what names it in `ip`, `nft` and `/proc/sys` at once must be plain.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`].
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match link::is_valid_name(name) && name.chars().all(plain) && !name.starts_with('-') {
        true => Ok(()),
        false => {
            Err(Error::invalid(format!("invalid name for a bridge: {name:?}"))
                .hint("up to 15 letters, digits, '-', '_' and '.'"))
        }
    }
}

/// Removes the bridge. What is still plugged in falls out; one that is gone is no failure.
///
/// # Errors
/// The kernel's refusal.
pub fn remove(home: &Home, name: &str) -> Result<()> {
    home.delete_link(name)
}
