//! # Overlay: one segment for containers of many machines
//!
//! Containers of one network are to be neighbours, wherever they run. On each machine that has some of them there is a bridge, as for
//! any network; and a tunnel is plugged into it, whose other ends are the other machines. What a container sends to a neighbour far
//! away is wrapped into a UDP packet from machine to machine.
//!
//! ```text
//!   node 1  192.168.77.1                                   node 2  192.168.77.2
//!   ┌───────────────────────────────────────┐              ┌────────────────────────────────┐
//!   │ web.1 10.0.1.5 ── ov-9f2c… ── vx-001001 ═ UDP 4789 ═ vx-001001 ── ov-9f2c… ── db.1 10.0.1.6
//!   └───────────────────────────────────────┘              └────────────────────────────────┘
//!     on node 1:  10.0.1.6 has 02:42:0a:00:01:06     ip neigh            "who has 10.0.1.6?" is answered here
//!                 that is behind vx-001001           bridge fdb master   a frame goes to this port only
//!                 and there behind 192.168.77.2      bridge fdb self     and to this machine only
//! ```
//!
//! * Nothing is flooded and nothing is learned. Whoever runs the cluster knows where everybody is; [`Overlay::peers`] writes it into
//!   the three tables, by difference with what the kernel has. A question for an address that nobody has, a broadcast, a frame to
//!   an unknown MAC: none of them leaves the machine.
//! * A MAC follows from its address ([`Mac::of`]), so a task that moves keeps the MAC that its neighbours remember.
//! * The wrapping takes 50 bytes (70 over IPv6) of what fits into the network below: [`mtu_over`].
//! * The *ingress* network is special in one thing: the machine itself has an address on it ([`Overlay::own`]), from which the
//!   mesh ([`crate::mesh`]) speaks to the tasks. On the others it is no citizen: the firewall lets nothing in or out.
//!
//! Laws: all of it can be done again, after a crash too, and changes only what differs; the names of both links follow from the
//! network, so what is left over is found.
//! *In the real world* Docker hides bridge and tunnel in a namespace of their own for each network, and asks its control plane when a
//! neighbour is not known. *See:* RFC 7348, bridge(8) fdb, moby `libnetwork/drivers/overlay`. *Next room:* [`crate::balance`]

use crate::{
    bridge,
    home::{GROUP, Home},
    model::{Bridge, Mac, Net, Subnet},
    settings,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{CallFailed, EEXIST, ENOENT},
    netlink::{
        Socket, address, bridge as port, link,
        neighbour::{self, Neighbour},
        socket::Request,
        vxlan,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// What the names of our bridges begin with.
const PREFIX: &str = "ov-";
/// How many changes go into one datagram: their acknowledgements must fit into the socket's buffer.
const AT_ONCE: usize = 96;

/// An overlay network, as one machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    pub network_id: String,
    /// The segment's number on the wire: 24 bits.
    pub vni: u32,
    pub subnet: Net,
    /// What fits into one packet of a container; see [`mtu_over`].
    pub mtu: u32,
    /// This machine's address among the machines, where its tunnel ends.
    pub local: IpAddr,
    /// The UDP port of all machines: 4789.
    pub port: u16,
    /// This machine's own address on the network (ingress only).
    pub own: Option<Ipv4Addr>,
}

/// Somebody on the network who is on another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub address: Ipv4Addr,
    /// The machine: where its tunnel ends.
    pub vtep: IpAddr,
}

impl Overlay {
    /// The bridge's name: `ov-` and twelve digits of the network's ID.
    pub fn bridge_link(&self) -> String {
        format!("{PREFIX}{}", self.network_id.get(..12).unwrap_or(&self.network_id))
    }

    /// The tunnel's name: `vx-` and the segment's number.
    pub fn tunnel_link(&self) -> String {
        format!("vx-{:06x}", self.vni)
    }

    /// The bridge, as cables and the firewall know it.
    pub fn bridge(&self) -> Bridge {
        let gateway = self.own.map(IpAddr::from);
        Bridge {
            network_id: self.network_id.clone(),
            link: self.bridge_link(),
            subnets: vec![Subnet { subnet: self.subnet, gateway, range: None, aux: BTreeMap::new() }],
            internal: self.own.is_none(),
            icc: true,
            masquerade: false,
            mtu: self.mtu,
            host_binding: Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    /// Makes bridge and tunnel, as far as they are not there as they should be.
    ///
    /// # Errors
    /// [`minidock_base::Kind::Conflict`] when somebody else has a tunnel with this number; the kernel's refusals. A network that was
    /// not there before is not there after a failure.
    pub fn erect(&self, home: &Home) -> Result<()> {
        let name = self.bridge_link();
        let fresh = home.ask(|socket| link::by_name(socket, &name)).doing(|| format!("look for {name}"))?.is_none();
        self.make(home).map_err(|e| e.during(format!("make the overlay network {}", self.network_id))).inspect_err(|_| {
            if fresh {
                // what went wrong first is what must be read
                drop(remove(home, &name));
            }
        })
    }

    fn make(&self, home: &Home) -> Result<()> {
        let (bridge, tunnel) = (self.bridge(), self.tunnel_link());
        bridge::ensure(home, &bridge)?;
        let index = home.bridge_index(&bridge.link).doing(|| "ask for the bridge's number")?;
        let seen = home.ask(|socket| vxlan::by_name(socket, &tunnel)).doing(|| format!("look for {tunnel}"))?;
        let same = |seen: &vxlan::Seen| {
            (seen.id, seen.port, seen.local) == (self.vni, self.port, Some(self.local))
                && (seen.link.master, seen.link.mtu, seen.link.up) == (Some(index), self.mtu, true)
        };
        if seen.as_ref().is_some_and(same) {
            return Ok(());
        }
        if seen.is_some() {
            home.delete_link(&tunnel)?;
        }
        let wanted = vxlan::Vxlan {
            name: &tunnel,
            id: self.vni,
            port: self.port,
            local: Some(self.local),
            learning: false,
            proxy: true,
            mtu: self.mtu,
            group: GROUP,
            master: Some((index, &bridge.link)),
            namespace: None,
        };
        let taken = |failed: &CallFailed| failed.is(EEXIST);
        match home.ask(|socket| vxlan::add(socket, &wanted)) {
            Err(failed) if taken(&failed) => {
                return Err(Error::conflict(format!(
                    "this machine has a tunnel with the number {} already: {failed}",
                    self.vni
                ))
                .hint("ip -d link show type vxlan"));
            }
            other => drop(other.doing(|| format!("add the tunnel {tunnel}"))?),
        }
        let told = port::Port { learning: Some(false), ..port::Port::default() };
        home.ask(|socket| port::set_port(socket, &tunnel, told))
            .doing(|| "tell the bridge to learn nothing from the tunnel")?;
        // neither is a citizen of IPv6: they would only greet routers that are not there
        settings::of_link(6, &tunnel, "disable_ipv6", "1")?;
        settings::of_link(6, &bridge.link, "disable_ipv6", "1")
    }

    /// Writes down where everybody is; who is on this machine is left out, and who is not among them is forgotten. Changes only
    /// what differs from the kernel's tables.
    ///
    /// # Errors
    /// [`minidock_base::Kind::NotFound`] when the network is not erected; the kernel's refusals.
    pub fn peers(&self, home: &Home, peers: &[Peer]) -> Result<()> {
        let tunnel = self.tunnel_link();
        let doing = || format!("write down who is on the overlay network {}", self.network_id);
        let steps = home.ask(|socket| -> Result<_, CallFailed> {
            let Some(seen) = vxlan::by_name(socket, &tunnel)? else { return Ok(None) };
            let index = seen.link.index;
            let of_ours = |all: Vec<Neighbour>| all.into_iter().filter(move |n| n.index == index);
            let known = Known {
                neighbours: of_ours(neighbour::all(socket)?).filter(Neighbour::is_permanent).collect(),
                forwarding: of_ours(neighbour::forwarding_table(socket)?).collect(),
            };
            Ok(Some(self.steps(index, &known, peers)))
        });
        let Some((gone, new)) = steps.doing(doing)? else {
            return Err(Error::not_found(format!("there is no tunnel {tunnel}")).during(doing()));
        };
        // an entry that has vanished meanwhile is as it should be
        let forgiving = |failed: &CallFailed| failed.is(ENOENT);
        home.ask(|socket| in_batches(socket, gone, forgiving)).doing(doing)?;
        home.ask(|socket| in_batches(socket, new, |_| false)).doing(doing)
    }

    /// What is to be forgotten, and what to be written.
    fn steps(&self, index: u32, known: &Known, peers: &[Peer]) -> (Vec<Request>, Vec<Request>) {
        let tunnel = self.tunnel_link();
        let away = peers.iter().filter(|peer| peer.vtep != self.local);
        let wanted: BTreeMap<[u8; 6], Peer> = away.map(|peer| (Mac::of(peer.address).0, *peer)).collect();
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let (mut neighbours, mut machines, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for entry in &known.neighbours {
            let (Some(address), Some(mac)) = (entry.address, entry.mac) else { continue };
            match wanted.get(&mac) {
                Some(peer) if IpAddr::from(peer.address) == address => drop(neighbours.insert(mac)),
                _ => gone.push(neighbour::removing(index, &tunnel, address)),
            }
        }
        for entry in &known.forwarding {
            let Some(mac) = entry.mac else { continue };
            match (wanted.get(&mac), entry.address) {
                (Some(peer), Some(at)) if peer.vtep == at => drop(machines.insert(mac)),
                // somebody who has moved: replaced below
                (Some(_), Some(_)) => {}
                (None, Some(at)) => gone.push(neighbour::removing_forwarding(index, &tunnel, mac, at)),
                (Some(_), None) if entry.is_static_port() => drop(ports.insert(mac)),
                (None, None) if entry.is_static_port() => gone.push(neighbour::removing_port(index, &tunnel, mac)),
                _ => {}
            }
        }
        for (mac, peer) in &wanted {
            // the way first, then who is there: nobody is told of a neighbour that cannot be reached yet
            if !machines.contains(mac) {
                new.push(neighbour::adding_forwarding(index, &tunnel, *mac, peer.vtep));
            }
            if !ports.contains(mac) {
                new.push(neighbour::adding_port(index, &tunnel, *mac));
            }
            if !neighbours.contains(mac) {
                new.push(neighbour::adding(index, &tunnel, peer.address.into(), *mac));
            }
        }
        (gone, new)
    }

    /// Removes tunnel and bridge; what is gone already is no failure.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn take_down(&self, home: &Home) -> Result<()> {
        remove(home, &self.bridge_link())?;
        home.delete_link(&self.tunnel_link())
    }
}

/// What the kernel has about one tunnel.
struct Known {
    neighbours: Vec<Neighbour>,
    forwarding: Vec<Neighbour>,
}

fn in_batches(socket: &mut Socket, steps: Vec<Request>, forgiven: impl Fn(&CallFailed) -> bool) -> Result<(), CallFailed> {
    let mut steps = steps.into_iter();
    loop {
        let some: Vec<Request> = steps.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(());
        }
        match socket.batch(some) {
            Err(failed) if !forgiven(&failed) => return Err(failed),
            _ => {}
        }
    }
}

/// The bridges of overlay networks that are there, by name.
///
/// # Errors
/// The kernel's refusal.
pub fn standing(home: &Home) -> Result<Vec<String>> {
    let ours = |l: &link::Link| l.kind == "bridge" && l.group == GROUP && l.name.starts_with(PREFIX);
    Ok(home.links()?.into_iter().filter(ours).map(|l| l.name).collect())
}

/// Removes an overlay network of which only the bridge's name is known, with the tunnel that is plugged into it.
///
/// # Errors
/// The kernel's refusal.
pub fn remove(home: &Home, bridge_link: &str) -> Result<()> {
    let links = home.links()?;
    let Some(bridge) = links.iter().find(|l| l.name == bridge_link) else { return Ok(()) };
    for tunnel in links.iter().filter(|l| l.kind == "vxlan" && l.master == Some(bridge.index)) {
        home.delete_link(&tunnel.name)?;
    }
    home.delete_link(bridge_link)
}

/// What fits into a packet of a container when the tunnel leaves from this address: what the link below carries, less the wrapping.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] when no link of this machine has the address.
pub fn mtu_over(home: &Home, local: IpAddr) -> Result<u32> {
    // an Ethernet header of the inside (14), VXLAN (8), UDP (8), and IP (20, or 40)
    let wrapping = if local.is_ipv4() { 50 } else { 70 };
    let addresses = home.ask(address::all).doing(|| "list the addresses")?;
    let below = addresses.iter().find(|a| a.address == local).map(|a| a.index);
    let mtu = home.links()?.into_iter().find(|l| Some(l.index) == below).map(|l| l.mtu);
    match mtu {
        // lo carries 64 KiB; a cluster of one has nobody to talk to, but its containers talk to the world
        Some(mtu) => Ok(mtu.min(u32::from(u16::MAX)).saturating_sub(wrapping)),
        None => Err(Error::invalid(format!("no link of this machine has the address {local}"))
            .hint("choose another --data-path-addr: `ip addr` shows those that there are")),
    }
}
