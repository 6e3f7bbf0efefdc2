//! # Mesh: a port that is open on every machine
//!
//! A service publishes port 8080: whoever knocks at 8080 of *any* machine of the cluster is to reach one of its tasks, wherever they
//! run. All tasks with published ports are on one overlay network, *ingress*, on which every machine has an address of its own. So
//! each machine can lead a connection to any task, and the answers come back to it.
//!
//! ```text
//!   client ─► NODE:8080 ─► prerouting: doors { tcp . 8080 : goto tcp-8080 }
//!                            tcp-8080: dnat ip to numgen inc mod 2 map { 0 : 10.0.0.5 . 80, 1 : 10.0.0.6 . 80 }
//!                          ─► out by ov-…: postrouting: masquerade, as this machine's own address on ingress
//!                                           │
//!                          10.0.0.5 here, or 10.0.0.6 through the tunnel on another machine
//! ```
//!
//! * From everywhere: from outside, from this machine by any address of it (127.0.0.1 too: the overlay's bridge has
//!   `route_localnet`), from its containers, the task itself among them. `::1` is refused at once, and clients go on to 127.0.0.1.
//! * **Nobody there**: refused at once, not swallowed. The port is *held* ([`crate::port_map`]) as any published port is, so a `-p` that wants
//!   it, or a program of the host, hears who has it; a connection that is not led on ends at that socket, and the kernel
//!   refuses it. For UDP, where a bound socket swallows, a rule refuses.
//! * A port that a program of this machine has already is left to it, and told ([`Mesh::set`]): the other machines go on.
//! * The tasks see this machine's ingress address as their client, as with Docker.
//!
//! Laws: as in `deal`: a task that is to end gets no new connections and keeps those it has; one that is gone has none.
//! *In the real world* Docker leads a connection through two more namespaces and IPVS. *See:* docs.docker.com "Use Swarm mode routing
//! mesh", moby `libnetwork/service_linux.go`. *Next room:* [`crate::dns`]

use crate::{
    deal::{Deal, Dealer, Deals, Ground, turned},
    model::Protocol,
    port_map::{Held, Ports, Wish},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    netfilter::{
        Family, Table, batch,
        command::{Chain, Command, Hook, Purpose},
        conntrack::{self, Flow},
        rule::{Field, Part, Rule},
        set::{Answer, Element, Set, Verdict},
        value::{Type, Value},
    },
    netlink::{Family as Line, Socket},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Published ports, each with the chain that deals its connections out.
const DOORS: Set = Set { name: "doors", key: &[Type::Protocol, Type::Service], answer: Answer::Verdict, interval: false };
/// The same, to be asked after.
const HELD: Set = Set { name: "held", answer: Answer::Nothing, ..DOORS };
/// The link of the ingress network.
const INGRESS: Set = Set { name: "ingress", key: &[Type::Ifname], answer: Answer::Nothing, interval: false };

/// A published port of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    pub protocol: Protocol,
    /// On every machine.
    pub published: u16,
    /// In the tasks.
    pub target: u16,
    /// The tasks that take new connections: their addresses on the ingress network.
    pub backends: Vec<Ipv4Addr>,
}

/// This machine's part of the mesh.
#[derive(Debug)]
pub struct Mesh {
    ports: Ports,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dealer: Dealer,
    held: BTreeMap<(Protocol, u16), Vec<Held>>,
    /// As the table was told.
    ingress: Option<String>,
}

impl Mesh {
    /// Opens the line to the firewall of the calling thread's network namespace; changes nothing. `ports` are those of the engine.
    ///
    /// # Errors
    /// A kernel without nf_tables.
    pub fn open(ports: Ports) -> Result<Mesh> {
        let socket = Socket::open(Line::Netfilter).doing(|| "open a line to the firewall")?;
        let state = State { dealer: Dealer::new(ground(), socket), held: BTreeMap::new(), ingress: None };
        Ok(Mesh { ports, state: Mutex::new(state) })
    }

    /// Makes these the open doors; `ingress` is the bridge of the ingress network, `there` everybody on it, those on their
    /// way out included. Gives back the doors that cannot be opened on this machine, and why. Holds ports in the network namespace of
    /// the calling thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&self, ingress: Option<&str>, doors: &[Door], there: &BTreeSet<Ipv4Addr>) -> Result<Vec<(Door, Error)>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = Vec::new();
        let mut open = Vec::new();
        for door in doors {
            match state.hold(&self.ports, door) {
                Ok(()) => open.push(door),
                Err(error) => refused.push((door.clone(), error)),
            }
        }
        let ours = |flow: &Flow| doors.iter().any(|d| (d.protocol.number(), d.published) == (flow.protocol, flow.to.1));
        let deals: Deals = open.iter().map(|door| deal_of(door)).collect();
        let quiet: BTreeSet<u16> = state.changed_from_nobody(&open);
        if state.dealer.set(deals, there, ours).doing(|| "open the ports of the mesh")? {
            state.ingress = None;
        }
        if !quiet.is_empty() {
            // what a client kept sending while nobody was there is remembered as "for the machine itself"
            let stale = |flow: &Flow| {
                flow.protocol == Protocol::Udp.number() && quiet.contains(&flow.to.1) && flow.answers.0 == flow.to.0
            };
            if let Err(failed) = conntrack::forget_those(state.dealer.socket(), stale) {
                tracing::debug!("old packets to UDP ports of the mesh are not forgotten: {failed}");
            }
        }
        state.held.retain(|(protocol, port), _| open.iter().any(|d| (d.protocol, d.published) == (*protocol, *port)));
        state.lead_into(ingress)?;
        Ok(refused)
    }

    /// Closes all doors and lets all ports go.
    ///
    /// # Errors
    /// The kernel's.
    pub fn purge(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.dealer.purge()?;
        state.ingress = None;
        state.held.clear();
        Ok(())
    }
}

impl State {
    fn hold(&mut self, ports: &Ports, door: &Door) -> Result<()> {
        let key = (door.protocol, door.published);
        if self.held.contains_key(&key) {
            return Ok(());
        }
        let mut hosts = vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)];
        if Path::new("/proc/thread-self/net/if_inet6").exists() {
            hosts.push(Ipv6Addr::UNSPECIFIED.into());
        }
        let target = (door.backends.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED).into(), door.target);
        let wish = Wish { protocol: door.protocol, hosts, ports: Some((door.published, door.published)), target };
        self.held.insert(key, ports.reserve(&[wish])?);
        Ok(())
    }

    /// UDP ports that lead somewhere now and led nowhere before.
    fn changed_from_nobody(&self, open: &[&Door]) -> BTreeSet<u16> {
        let led = |door: &Door| {
            let told = self.dealer.told().and_then(|told| told.get(&key(door)));
            told.is_some_and(|deal| !deal.tasks.is_empty())
        };
        let changed = open.iter().filter(|d| d.protocol == Protocol::Udp && !d.backends.is_empty() && !led(d));
        changed.map(|d| d.published).collect()
    }

    /// Tells the table which link is that of the ingress network.
    fn lead_into(&mut self, ingress: Option<&str>) -> Result<()> {
        let link = |name: &str| vec![Element::of(vec![Value::Ifname(name.into())])];
        if self.ingress.as_deref() == ingress {
            return Ok(());
        }
        let before = self.ingress.as_deref().map(|before| Command::DeleteElements(table(), INGRESS, link(before)));
        let now = ingress.map(|name| Command::AddElements(table(), INGRESS, link(name)));
        let commands = before.into_iter().chain(now).collect();
        let done = batch::apply_deletions(self.dealer.socket(), commands);
        done.map_err(|e| e.cause).doing(|| "lead the mesh into the ingress network")?;
        self.ingress = ingress.map(str::to_string);
        Ok(())
    }
}

fn key(door: &Door) -> Vec<Value> {
    vec![Value::Protocol(door.protocol.number()), Value::Service(door.published)]
}

fn deal_of(door: &Door) -> (Vec<Value>, Deal) {
    let chain = format!("{}-{}", door.protocol, door.published);
    let asks = vec![Part::Is(Field::L4proto, Value::Protocol(door.protocol.number()))];
    (key(door), Deal { chain, asks, tasks: turned(&door.backends, 0), port: Some(door.target) })
}

fn table() -> Table {
    Table::new(Family::Inet, "minidock_mesh")
}

/// The mesh's one table in a machine.
pub(crate) fn ground() -> Ground {
    const TO: &[Field] = &[Field::L4proto, Field::Dport];
    let chain = |name: &str, purpose, hook, priority| {
        Command::AddChain(table(), Chain { name: name.into(), base: Some((purpose, hook, priority)) })
    };
    let rule = |chain: &str, parts: Vec<Part>| Command::AddRule(table(), chain.into(), Rule(parts));
    let lead = || vec![Part::V4, Part::ToThisMachine, Part::Vmap(TO, DOORS.name)];
    let past = || vec![Part::MidStream, Part::Verdict(Verdict::Accept)];
    // the socket that holds a port of TCP refuses by itself, and better: with a reset
    let not_tcp = Part::IsNot(Field::L4proto, Value::Protocol(Protocol::Tcp.number()));
    let structure = vec![
        chain("prerouting", Purpose::Nat, Hook::Prerouting, -100),
        chain("output", Purpose::Nat, Hook::Output, -100),
        chain("input", Purpose::Filter, Hook::Input, 0),
        chain("postrouting", Purpose::Nat, Hook::Postrouting, 100),
        Command::AddSet(table(), DOORS),
        Command::AddSet(table(), HELD),
        Command::AddSet(table(), INGRESS),
        rule("prerouting", past()),
        rule("prerouting", lead()),
        rule("output", past()),
        rule("output", lead()),
        rule("input", vec![Part::In(TO, HELD.name), not_tcp, Part::Reject]),
        rule("postrouting", vec![Part::In(&[Field::Oifname], INGRESS.name), Part::Translated, Part::Masquerade]),
    ];
    Ground { table: table(), map: DOORS, listed: HELD, structure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::tests::says_what_it_does;

    #[test]
    fn the_rules_read_as_a_person_would_write_them() {
        let at = |last: u8| Ipv4Addr::new(10, 0, 0, last);
        let door = |protocol, published, backends: &[u8]| Door {
            protocol,
            published,
            target: 80,
            backends: backends.iter().map(|last| at(*last)).collect(),
        };
        let doors = [door(Protocol::Tcp, 8080, &[5, 6]), door(Protocol::Tcp, 9090, &[7]), door(Protocol::Udp, 53, &[])];
        let deals: Deals = doors.iter().map(deal_of).collect();
        let lines: Vec<String> = ground().whole(&deals).iter().map(|c| c.to_string()).collect();
        for line in [
            "add rule inet minidock_mesh prerouting meta nfproto ipv4 fib daddr type local meta l4proto . th dport vmap @doors",
            "add rule inet minidock_mesh tcp-8080 meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.0.0.5 . 80, 1 : 10.0.0.6 . 80 }",
            "add rule inet minidock_mesh tcp-9090 meta l4proto tcp dnat ip to 10.0.0.7:80",
            "add chain inet minidock_mesh udp-53",
            "add rule inet minidock_mesh postrouting oifname @ingress ct status dnat masquerade",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is not among {lines:#?}");
        }
        says_what_it_does(&ground(), &deals);
    }
}
