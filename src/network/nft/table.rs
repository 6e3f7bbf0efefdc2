//! # Table: the kernel's copy of the ruleset
//!
//! The engine says "this port now leads there"; the kernel must come to know it before the container is told to run, and must
//! forget it when the container is gone. [`Table`] remembers what it was told ([`Ruleset`]), so that it can say it again when somebody
//! has thrown our table away (`nft flush ruleset`, a restarted firewall service).
//!
//! ```text
//!   publish, unpublish, add_bridge, remove_bridge ──► elements, one transaction, some 20 µs
//!   replace (the daemon is back)                  ──► the whole table, one transaction: no duplicate, nothing stale
//!   purge                                         ──► no table
//! ```
//!
//! * UDP has no connections, but the kernel remembers some: what was sent to a port before it was published, or after, is forgotten
//!   by [`conntrack::forget`] when the port's meaning changes.
//!
//! Laws: a failed change is as if it had never been asked for; taking away what is gone succeeds.
//! Next room: [`crate::nft::foreign`]

use super::{
    foreign,
    ruleset::{self, Ruleset},
};
use crate::model::{Bridge, Protocol, Published};
use minidock_base::{Doing, Result};
use minidock_linux::{
    errno,
    netfilter::{
        batch::{self, Refused},
        command::Command,
        conntrack, read,
        set::{Data, Element, Set},
        value::Value,
    },
    netlink::socket::{Family, Socket},
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Our table in one network namespace.
#[derive(Debug)]
pub struct Table {
    state: Mutex<State>,
}

/// A door from outside: no two ports may have the same.
type Door = (Protocol, (IpAddr, u16));

fn door(port: &Published) -> Door {
    (port.protocol, port.host)
}

/// What the table was told, and the line to the kernel.
#[derive(Debug)]
pub(super) struct State {
    pub(super) socket: Socket,
    pub(super) bridges: Vec<Bridge>,
    published: BTreeMap<Door, Published>,
    /// Bridges of another engine beside us.
    pub(super) foreign: Vec<String>,
}

impl Table {
    /// Opens the line to the firewall of the calling thread's network namespace; changes nothing.
    ///
    /// # Errors
    /// When the kernel has no nf_tables.
    pub fn open() -> Result<Table> {
        let socket = Socket::open(Family::Netfilter).doing(|| "open a line to the firewall")?;
        Ok(Table { state: Mutex::new(State { socket, bridges: Vec::new(), published: BTreeMap::new(), foreign: Vec::new() }) })
    }

    /// Makes the table what `wanted` says, whatever it was; packets see the old one or the new one. Connections that were
    /// let in stay.
    ///
    /// # Errors
    /// A port whose families do not fit; the kernel's.
    pub fn replace(&self, wanted: &Ruleset) -> Result<()> {
        let mut state = self.lock();
        let before = state.published_by_the_kernel();
        state.bridges = wanted.bridges.clone();
        state.published = wanted.published.iter().map(|p| (door(p), p.clone())).collect();
        state.foreign = foreign::bridges_of_docker(&mut state)?;
        state.rebuild()?;
        let after: Vec<(Set, Element)> = wanted.published.iter().filter_map(|p| ruleset::of_port(p).ok()).collect();
        let changed = before.iter().filter(|old| !after.contains(old)).chain(after.iter().filter(|new| !before.contains(new)));
        state.forget(changed.filter_map(|(_, element)| door_of(element)));
        foreign::settle(&mut state)
    }

    /// Adds a bridge, or changes what is known of it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_bridge(&self, bridge: &Bridge) -> Result<()> {
        let mut state = self.lock();
        let known = state.bridges.iter().position(|b| b.link == bridge.link).map(|at| state.bridges.remove(at));
        state.bridges.push(bridge.clone());
        let changed = known.as_ref().is_some_and(|known| known != bridge);
        let done = match changed {
            true => state.rebuild(),
            false => state.add(ruleset::of_bridge(bridge)),
        };
        if let Err(error) = done {
            state.bridges.pop();
            state.bridges.extend(known);
            return Err(error.during(format!("open the firewall for bridge {}", bridge.link)));
        }
        foreign::settle(&mut state)
    }

    /// Takes a bridge away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_bridge(&self, bridge: &Bridge) -> Result<()> {
        let mut state = self.lock();
        state.bridges.retain(|b| b.link != bridge.link);
        state.delete(ruleset::of_bridge(bridge)).doing(|| format!("close the firewall for bridge {}", bridge.link))?;
        foreign::settle(&mut state)
    }

    /// Opens doors: all of them, or none.
    ///
    /// # Errors
    /// A port whose families do not fit; EBUSY: the port leads elsewhere already.
    pub fn publish(&self, ports: &[Published]) -> Result<()> {
        if ports.is_empty() {
            return Ok(());
        }
        let members = ports.iter().map(ruleset::of_port).collect::<Result<Vec<_>>>()?;
        let mut state = self.lock();
        let before: Vec<(Door, Option<Published>)> =
            ports.iter().map(|p| (door(p), state.published.insert(door(p), p.clone()))).collect();
        if let Err(error) = state.add(members) {
            for (door, port) in before.into_iter().rev() {
                match port {
                    Some(port) => state.published.insert(door, port),
                    None => state.published.remove(&door),
                };
            }
            return Err(error.during(format!("publish {}", words(ports))));
        }
        state.forget(ports.iter().map(door));
        Ok(())
    }

    /// Closes doors.
    ///
    /// # Errors
    /// The kernel's; not that one was closed already.
    pub fn unpublish(&self, ports: &[Published]) -> Result<()> {
        let mut state = self.lock();
        // a door that another endpoint has taken over meanwhile (a restart that overlaps) stays open for it
        let is_its_own = |p: &&Published| state.published.get(&door(p)).is_none_or(|now| now == *p);
        let closed: Vec<&Published> = ports.iter().filter(is_its_own).collect();
        let gone = closed.iter().filter_map(|p| ruleset::of_port(p).ok()).collect();
        closed.iter().for_each(|p| drop(state.published.remove(&door(p))));
        state.delete(gone).doing(|| format!("close {}", words(ports)))?;
        state.forget(closed.iter().map(|p| door(p)));
        Ok(())
    }

    /// Leaves the host's firewall as if we had never been there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn purge(&self) -> Result<()> {
        let mut state = self.lock();
        (state.bridges, state.published, state.foreign) = Default::default();
        let mut commands = foreign::removal(&mut state)?;
        commands.extend([Command::AddTable(ruleset::table()), Command::DeleteTable(ruleset::table())]);
        batch::apply(&mut state.socket, &commands).map_err(|e| e.cause).doing(|| "remove our table from the firewall")
    }

    /// Puts back what others have thrown away: our table, our way past Docker's. Cheap when nothing is missing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn mend(&self) -> Result<()> {
        let mut state = self.lock();
        let tables = read::tables(&mut state.socket).doing(|| "list the firewall's tables")?;
        let wanted = !state.bridges.is_empty() || !state.published.is_empty();
        if wanted && !tables.contains(&ruleset::table()) {
            state.rebuild()?;
        }
        foreign::settle(&mut state)
    }

    /// What a person should know of other firewalls beside ours.
    ///
    /// # Errors
    /// The kernel's.
    pub fn findings(&self) -> Result<Vec<foreign::Finding>> {
        let mut state = self.lock();
        foreign::findings(&mut state)
    }

    /// Whether Docker has its rules on this machine, too, and so needs as much of the host's settings as we do.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_beside_docker(&self) -> Result<bool> {
        Ok(!foreign::bridges_of_docker(&mut self.lock())?.is_empty())
    }

    /// Whether the kernel has our table now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_there(&self) -> Result<bool> {
        let tables = read::tables(&mut self.lock().socket).doing(|| "list the firewall's tables")?;
        Ok(tables.contains(&ruleset::table()))
    }

    /// What the kernel answers for a door, asked now: where it leads.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leads_to(&self, protocol: Protocol, host: (IpAddr, u16)) -> Result<Option<(IpAddr, u16)>> {
        let mut state = self.lock();
        let all = state.doors()?;
        let of = |address: IpAddr| all.iter().find(|d| d.0 == protocol && d.1 == (address, host.1)).map(|d| d.2);
        let any: IpAddr = match host.0 {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(of(host.0).or_else(|| of(any)))
    }

    /// What it was told last.
    pub fn wanted(&self) -> Ruleset {
        self.lock().wanted()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // what a panic may have left undone, the next replace or mend does
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wanted(&self) -> Ruleset {
        Ruleset { bridges: self.bridges.clone(), published: self.published.values().cloned().collect() }
    }

    /// The whole table anew.
    #[track_caller]
    fn rebuild(&mut self) -> Result<()> {
        let commands = self.wanted().commands(&self.foreign)?;
        batch::apply(&mut self.socket, &commands).map_err(|e| e.cause).doing(|| "set up our table in the firewall")
    }

    /// Adds elements; when the table is not there, all of it.
    #[track_caller]
    fn add(&mut self, members: Vec<(Set, Element)>) -> Result<()> {
        match batch::apply(&mut self.socket, &ruleset::additions(members)) {
            Err(refused) if refused.only_missing() => self.rebuild(),
            Err(Refused { cause, .. }) => Err(cause).doing(|| "add to our table in the firewall"),
            Ok(()) => Ok(()),
        }
    }

    #[track_caller]
    fn delete(&mut self, members: Vec<(Set, Element)>) -> Result<(), errno::CallFailed> {
        batch::apply_deletions(&mut self.socket, ruleset::deletions(members)).map_err(|e| e.cause)
    }

    /// Makes the kernel forget what was sent by UDP to doors whose meaning has changed. Failing is no failure of ours: at worst
    /// a client that never pauses must pause for half a minute.
    fn forget(&mut self, doors: impl Iterator<Item = Door>) {
        for (protocol, host) in doors.filter(|(protocol, _)| *protocol == Protocol::Udp) {
            if let Err(failed) = conntrack::forget(&mut self.socket, protocol.number(), host) {
                tracing::debug!("old packets to {}:{}/udp are not forgotten: {failed}", host.0, host.1);
            }
        }
    }

    /// The members of the four maps of doors, as the kernel has them; nothing when there is no table.
    fn published_by_the_kernel(&mut self) -> Vec<(Set, Element)> {
        let maps = [ruleset::BOUND4, ruleset::PUBLISHED4, ruleset::BOUND6, ruleset::PUBLISHED6];
        let read = |set: Set| {
            let members = read::elements(&mut self.socket, &ruleset::table(), &set).unwrap_or_default();
            members.into_iter().map(move |element| (set, element))
        };
        maps.into_iter().flat_map(read).collect()
    }

    /// The doors as the kernel has them: protocol, outside, inside.
    fn doors(&mut self) -> Result<Vec<(Protocol, (IpAddr, u16), (IpAddr, u16))>> {
        let members = self.published_by_the_kernel();
        Ok(members.iter().filter_map(|(set, element)| whole_door(set, element)).collect())
    }
}

/// The protocol and the outside of an element of the maps of doors.
fn door_of(element: &Element) -> Option<Door> {
    let to = match &element.data {
        Some(Data::Values(values)) => values.first(),
        _ => None,
    };
    let any: IpAddr = match to {
        Some(Value::Address(IpAddr::V6(_))) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv4Addr::UNSPECIFIED.into(),
    };
    let (address, rest) = match element.key.as_slice() {
        [Value::Address(address), rest @ ..] => (*address, rest),
        rest => (any, rest),
    };
    match rest {
        [Value::Protocol(6), Value::Service(port)] => Some((Protocol::Tcp, (address, *port))),
        [Value::Protocol(17), Value::Service(port)] => Some((Protocol::Udp, (address, *port))),
        _ => None,
    }
}

fn whole_door(_set: &Set, element: &Element) -> Option<(Protocol, (IpAddr, u16), (IpAddr, u16))> {
    let (protocol, outside) = door_of(element)?;
    match &element.data {
        Some(Data::Values(values)) => match values.as_slice() {
            [Value::Address(address), Value::Service(port)] => Some((protocol, outside, (*address, *port))),
            _ => None,
        },
        _ => None,
    }
}

fn words(ports: &[Published]) -> String {
    let words = ports.iter().map(|p| {
        let host = std::net::SocketAddr::from(p.host);
        let target = std::net::SocketAddr::from(p.target);
        format!("{host} → {target}/{}", p.protocol)
    });
    words.collect::<Vec<_>>().join(", ")
}
