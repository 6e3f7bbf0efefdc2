//! # Home: the network namespace the daemon lives in
//!
//! Bridges, routes and the near ends of all cables are in the namespace that the daemon was started in. That is the machine's
//! own as a rule, but nothing here knows or asks: a node of a simulated cluster is a daemon in a network namespace of its
//! own, and a daemon without root lives in one that belongs to its user namespace.
//!
//! ```text
//!   Home::open() on a thread of the daemon  →  one netlink socket, kept for good: it belongs to this namespace
//!        ├ links(), routes(), addresses()   what is there, also what is not ours
//!        ├ leftovers()                      what a daemon that was killed left plugged into our bridges
//!        └ ask(|socket| …)                  for bridge.rs and sandbox.rs
//! ```
//!
//! * What we make carries a mark: the link group [`GROUP`] (`ip link show group 19828`). So leftovers are found by what they are,
//!   and the cables of Docker or of a person are never taken for ours.
//! * The kernel works on one change of links at a time anyway (its rtnl lock), so one socket behind a mutex costs nothing.
//!
//! See: rtnetlink(7), ip-link(8) group. Next room: [`crate::bridge`]

use crate::model::Net;
use minidock_base::{Doing, Result};
use minidock_linux::{
    errno::CallFailed,
    netlink::{Family, Socket, address, link, route},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Mutex,
};

/// The group of every link that minidock makes: "Mt" as a number.
pub const GROUP: u32 = 0x4d74;

/// The daemon's own network namespace.
pub struct Home {
    socket: Mutex<Socket>,
    /// The numbers of bridges by name: what a cable is plugged into must be said by number.
    bridges: Mutex<BTreeMap<String, u32>>,
}

impl Home {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// A kernel without netlink; no descriptors left.
    pub fn open() -> Result<Home> {
        let socket = Socket::open(Family::Route).doing(|| "open a netlink socket")?;
        Ok(Home { socket: Mutex::new(socket), bridges: Mutex::default() })
    }

    /// Talks to the kernel about this namespace.
    #[track_caller]
    pub(crate) fn ask<T>(&self, with: impl FnOnce(&mut Socket) -> T) -> T {
        with(&mut self.socket.lock().expect("no holder panics"))
    }

    /// How many datagrams were sent to the kernel about this namespace, since it was opened.
    pub fn datagrams(&self) -> u64 {
        self.ask(|socket| socket.datagrams())
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&self) -> Result<Vec<link::Link>> {
        self.ask(link::all).doing(|| "list the links")
    }

    /// The blocks that can be reached from here, the default routes left out.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn routes(&self) -> Result<Vec<Net>> {
        let routes = self.ask(route::all).doing(|| "list the routes")?;
        let blocks = routes.iter().filter(|r| r.to.1 > 0).map(|r| Net::around(r.to.0, r.to.1));
        // fe80::/10 is on every link and ff00::/8 is no place: neither says that the host is anywhere
        let meaningful = blocks.filter(|net| !matches!(net.address(), IpAddr::V6(v6) if matches!(v6.octets()[0], 0xfe | 0xff)));
        Ok(meaningful.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The addresses of the link of this name, in the kernel's order; none if there is no such link.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn addresses_of(&self, name: &str) -> Result<Vec<(IpAddr, u8)>> {
        let Some(link) = self.ask(|socket| link::by_name(socket, name)).doing(|| format!("look at link {name}"))? else {
            return Ok(Vec::new());
        };
        let all = self.ask(address::all).doing(|| "list the addresses")?;
        Ok(all.into_iter().filter(|a| a.index == link.index).map(|a| (a.address, a.prefix)).collect())
    }

    /// Cables of ours, plugged into one of these bridges or into none, that are not among the `known` names: left by a daemon
    /// that was killed. A cable whose namespace is dying is among them for some milliseconds.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn leftovers(&self, known: &BTreeSet<String>, bridges: &BTreeSet<String>) -> Result<Vec<String>> {
        let links = self.links()?;
        let ours: BTreeSet<u32> = links.iter().filter(|l| bridges.contains(&l.name)).map(|l| l.index).collect();
        let stray = |l: &&link::Link| {
            l.kind == "veth" && l.group == GROUP && !known.contains(&l.name) && l.master.is_none_or(|m| ours.contains(&m))
        };
        Ok(links.iter().filter(stray).map(|l| l.name.clone()).collect())
    }

    /// Bridges of ours that are not among the `known` names.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn stray_bridges(&self, known: &BTreeSet<String>) -> Result<Vec<String>> {
        let stray = |l: &link::Link| l.kind == "bridge" && l.group == GROUP && !known.contains(&l.name);
        Ok(self.links()?.into_iter().filter(stray).map(|l| l.name).collect())
    }

    /// Removes a link, which takes the kernel some 30 ms; one that is gone already is no failure.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_link(&self, name: &str) -> Result<()> {
        self.bridges.lock().expect("no holder panics").remove(name);
        match self.ask(|socket| link::delete(socket, name)) {
            Err(failed) if !failed.is(minidock_linux::errno::ENODEV) => Err(failed).doing(|| format!("remove link {name}")),
            _ => Ok(()),
        }
    }

    /// The number of a bridge; remembered.
    ///
    /// # Errors
    /// ENODEV when there is none.
    #[track_caller]
    pub(crate) fn bridge_index(&self, name: &str) -> Result<u32, CallFailed> {
        if let Some(index) = self.bridges.lock().expect("no holder panics").get(name) {
            return Ok(*index);
        }
        match self.ask(|socket| link::by_name(socket, name))? {
            Some(link) => Ok(self.remember(name, link.index)),
            None => Err(CallFailed::new("netlink", vec![format!("ip link show {name}")], minidock_linux::errno::ENODEV)),
        }
    }

    pub(crate) fn remember(&self, name: &str, index: u32) -> u32 {
        self.bridges.lock().expect("no holder panics").insert(name.to_string(), index);
        index
    }

    /// Somebody else may have removed a bridge and made it anew.
    pub(crate) fn forget(&self, name: &str) {
        self.bridges.lock().expect("no holder panics").remove(name);
    }
}
