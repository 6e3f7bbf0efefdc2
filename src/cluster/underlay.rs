//! # Underlay: the cable between the nodes
//!
//! Real machines hang on a switch. Simulated ones hang on a bridge in the network namespace of the daemon that hosts them: one port for each,
//! one address for the hosting machine itself, and no way to anywhere else unless somebody asks for one.
//!
//! ```text
//!        node1                     node2                       the hosting daemon's namespace
//!   ┌───────────────┐         ┌───────────────┐        ┌───────────────────────────────────────────┐
//!   │ eth0 ….66.11  │         │ eth0 ….66.12  │        │  eth0        mdc-3f2a91c0  192.168.66.1   │
//!   └──────┬────────┘         └──────┬────────┘        │   ▲  uplink      │       │                │
//!          └─────────────────────────┴─────────────────┼───┴─ masquerade ─┴ md3f2a91-1, -2         │
//!                                                      └───────────────────────────────────────────┘
//! ```
//!
//! * [`Underlay::erect`] makes what is missing, [`Underlay::plug`] lays a node's cable with its far end straight in the node's namespace, and
//!   [`Underlay::fell`] takes everything away.
//! * **No way out** is a rule, not an absence: where this machine forwards packets (an engine with bridges makes it), what comes from the underlay is
//!   dropped. With `uplink` it passes and is masqueraded, and answers come back; nobody outside can begin a conversation.
//!
//! Laws: links bear the group [`GROUP`], so that the engine's own clean-up never takes them for its own; removing what is gone succeeds.
//! *See:* bridge(8), veth(4), nft(8). Next room: [`crate::faults`]

use crate::state::{Node, Record};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{EEXIST, ENODEV},
    namespaces::{self, Namespace},
    netfilter::{
        Family as Packets, Table,
        batch::{self, Refused},
        command::{Chain, Command, Hook, Purpose},
        rule::{End, Field, Part, Rule},
        set::Verdict,
        value::Value,
    },
    netlink::{Family, Socket, address, bridge, link, veth},
};
use minidock_network::model::{Mac, Net};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The group of the underlay's links: `ip link show group 19829`.
const GROUP: u32 = 0x4d75;
/// Room for a vxlan's outer headers is taken from a node's own networks, not from the underlay.
const MTU: u32 = 1500;

/// The lines to the kernel, in the hosting daemon's network namespace.
pub struct Underlay {
    links: Mutex<Socket>,
    pub(crate) firewall: Mutex<Socket>,
}

impl Underlay {
    /// Opens the lines; changes nothing.
    ///
    /// # Errors
    /// A kernel without netlink or nf_tables.
    pub fn open() -> Result<Underlay> {
        let open = |family| Socket::open(family).doing(|| "open a line to the kernel's network");
        Ok(Underlay { links: Mutex::new(open(Family::Route)?), firewall: Mutex::new(open(Family::Netfilter)?) })
    }

    fn links(&self) -> MutexGuard<'_, Socket> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks that this namespace reaches, default routes left out.
    ///
    /// # Errors
    /// The kernel's.
    pub fn routes(&self) -> Result<Vec<Net>> {
        let routes = minidock_linux::netlink::route::all(&mut self.links()).doing(|| "list the routes")?;
        Ok(routes.iter().filter(|r| r.to.1 > 0).map(|r| Net::around(r.to.0, r.to.1)).collect())
    }

    /// Makes the bridge and its firewall, as far as they are not there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn erect(&self, record: &Record) -> Result<()> {
        let (name, gateway, net) = (record.bridge(), record.gateway()?, record.net()?);
        let doing = || format!("make the underlay {name}");
        {
            let mut links = self.links();
            let wanted = bridge::Bridge { name: &name, mac: Some(Mac::of(gateway).0), group: GROUP, mtu: MTU };
            match bridge::add(&mut links, &wanted) {
                Err(failed) if !failed.is(EEXIST) => return Err(failed).doing(doing),
                _ => {}
            }
            let index = index_of(&mut links, &name)?;
            match address::add(&mut links, index, &name, gateway.into(), net.prefix()) {
                Err(failed) if !failed.is(EEXIST) => return Err(failed).doing(doing),
                _ => {}
            }
        }
        self.apply(&way_out(record, &net)).doing(doing)
    }

    /// Lays the cable of a node; the far end is `eth0` in the namespace of the process `pid`. One of an earlier life is replaced.
    ///
    /// # Errors
    /// The node is gone; the kernel's.
    pub fn plug(&self, record: &Record, node: &Node, pid: i32) -> Result<()> {
        let (name, bridge) = (record.link(node.number), record.bridge());
        let doing = || format!("plug {} into {bridge}", node.name);
        let place = format!("/proc/{pid}/ns/net");
        let namespace = namespaces::open(Path::new(&place), Namespace::Network).doing(doing)?;
        let mut links = self.links();
        let master = index_of(&mut links, &bridge)?;
        let cable = veth::Veth {
            name: &name,
            master: Some((master, &bridge)),
            group: GROUP,
            mtu: MTU,
            peer: "eth0",
            peer_mac: Some(Mac::of(node.address).0),
            peer_namespace: Some((namespace.as_fd(), &place)),
        };
        let laid = match veth::add(&mut links, &cable) {
            Err(failed) if failed.is(EEXIST) => {
                delete(&mut links, &name)?;
                veth::add(&mut links, &cable)
            }
            laid => laid,
        };
        laid.map(drop).doing(doing)
    }

    /// Lets the kernel notice that a cable is complete: the bridge's port passes packets only then.
    ///
    /// # Errors
    /// The cable is gone.
    pub fn notice(&self, record: &Record, node: &Node) -> Result<()> {
        let (name, bridge) = (record.link(node.number), record.bridge());
        link::look_at(&mut self.links(), &[&name, &bridge]).map(drop).doing(|| format!("look at the cable of {}", node.name))
    }

    /// Takes a node's cable away; gone is gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unplug(&self, record: &Record, node: &Node) -> Result<()> {
        delete(&mut self.links(), &record.link(node.number))
    }

    /// Takes the bridge and the firewall's tables away.
    ///
    /// # Errors
    /// The kernel's; everything is tried.
    pub fn fell(&self, record: &Record) -> Result<()> {
        let links = delete(&mut self.links(), &record.bridge());
        let gone = [Command::DeleteTable(table(record)), Command::DeleteTable(crate::faults::table(record))];
        let mut firewall = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        let tried: Vec<_> = gone.into_iter().map(|command| batch::apply_deletions(&mut firewall, vec![command])).collect();
        let tables: std::result::Result<(), _> = tried.into_iter().collect();
        links.and(tables.map_err(|refused| refused.cause).doing(|| "remove the underlay's firewall"))
    }

    /// One transaction of the firewall.
    ///
    /// # Errors
    /// The first command that was refused.
    pub(crate) fn apply(&self, commands: &[Command]) -> std::result::Result<(), minidock_linux::errno::CallFailed> {
        let mut firewall = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        batch::apply(&mut firewall, commands).map_err(|Refused { cause, .. }| cause)
    }
}

fn index_of(links: &mut Socket, name: &str) -> Result<u32> {
    let found = link::by_name(links, name).doing(|| format!("look for {name}"))?;
    found
        .map(|link| link.index)
        .ok_or_else(|| Error::not_found(format!("link {name} is gone")).hint("minidock cluster down, and up again"))
}

fn delete(links: &mut Socket, name: &str) -> Result<()> {
    match link::delete(links, name) {
        Err(failed) if !failed.is(ENODEV) => Err(failed).doing(|| format!("remove link {name}")),
        _ => Ok(()),
    }
}

/// The table that keeps the underlay to itself, or leads it out.
fn table(record: &Record) -> Table {
    Table::new(Packets::Inet, format!("minidock-cluster-{}", record.id))
}

/// The whole table: made anew in one transaction, whatever it was.
fn way_out(record: &Record, net: &Net) -> Vec<Command> {
    let (table, name) = (table(record), || Value::Ifname(record.bridge()));
    let chain = |name: &str, purpose, hook, priority| Chain { name: name.into(), base: Some((purpose, hook, priority)) };
    let rule = |chain: &str, parts: Vec<Part>| Command::AddRule(table.clone(), chain.into(), Rule(parts));
    let pass = |accept: bool| Part::Verdict(if accept { Verdict::Accept } else { Verdict::Drop });
    let mut commands = vec![
        Command::AddTable(table.clone()),
        Command::DeleteTable(table.clone()),
        Command::AddTable(table.clone()),
        Command::AddChain(table.clone(), chain("forward", Purpose::Filter, Hook::Forward, 0)),
        // with br_netfilter what is only switched comes by here, too
        rule("forward", vec![Part::Is(Field::Iifname, name()), Part::Is(Field::Oifname, name()), pass(true)]),
        rule("forward", vec![Part::Is(Field::Oifname, name()), Part::Established, pass(true)]),
        rule("forward", vec![Part::Is(Field::Oifname, name()), pass(false)]),
        rule("forward", vec![Part::Is(Field::Iifname, name()), pass(record.uplink)]),
    ];
    if record.uplink {
        let IpAddr::V4(first) = net.address() else { return commands };
        let from = Part::Is(Field::Ip(End::Source), Value::Net(IpAddr::V4(first), net.prefix()));
        commands.push(Command::AddChain(table.clone(), chain("postrouting", Purpose::Nat, Hook::Postrouting, 100)));
        commands.push(rule("postrouting", vec![from, Part::IsNot(Field::Oifname, name()), Part::Masquerade]));
    }
    commands
}

/// The gateway of a node: the hosting machine, if it leads out.
pub fn gateway(record: &Record) -> Result<Option<Ipv4Addr>> {
    match record.uplink {
        true => record.gateway().map(Some),
        false => Ok(None),
    }
}
