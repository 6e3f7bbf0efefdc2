//! # Reach: the facts behind "why can A not reach B?"
//!
//! [`minidock_network::reach`] judges; here the facts are gathered, each where it is true: names are asked of the name server that
//! A's `resolv.conf` names, from within A's sandbox; routes and neighbours are A's; who listens is read in B; and if a TCP port was named,
//! one connection is attempted, from A.
//!
//! ```text
//!   from A's sandbox   hosts, resolv.conf ─► question ─► route get ─► neighbour ─► connect
//!   from our records   whose is the address? which networks have A and B in common?
//!   from the firewall  where does this port lead? is our table there? who else drops?
//!   from B's sandbox   /proc/<pid>/net/tcp
//! ```
//!
//! * `host` as A is the daemon's own network stack, unless a container is called so.
//! * A container that lives in another's network stack (`--network container:X`) is asked there.
//!
//! Laws: looking changes nothing but a neighbour table and one connection's count; every wait has a limit. Nothing is read through the
//! container's own file system, whose links lead where it wants: its `hosts` and `resolv.conf` are ours, beside its record.
//! See: issue 3. Next room: `inside.rs`

mod inside;

use crate::{
    Engine,
    container::record::Record,
    networks::{record::is_predefined, standing::Cable},
    oci_config::namespaces::Mode,
};
use inside::{ask_all, attempt, in_hosts, waiting, way, words_after};
use minidock_base::{Doing, Error, Result};
use minidock_linux::netlink::{Family, Socket, address};
use minidock_network::{
    model::Protocol,
    reach::{
        facts::{Facts, Naming, Owner, Party, Place, Stack, Way, target},
        verdict,
    },
    sandbox::Sandbox,
};
use minidock_spec::engine::reach::Reach;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::task::spawn_blocking;

/// `GET /minidock/why/reach`.
///
/// # Errors
/// 404: no such container A; 400: a target that cannot be read.
pub async fn reach(engine: &Arc<Engine>, from: &str, to: &str) -> Result<Reach> {
    let (host, port) = target(to)?;
    let asker = match engine.containers.find(from) {
        Ok(container) => Some(container.record()),
        Err(_) if from == "host" => None,
        Err(error) => return Err(error),
    };
    let engine = engine.clone();
    let look = move || {
        let facts = Gatherer { engine: &engine, asker: asker.as_deref() }.gather(host, port)?;
        Ok(verdict(&facts))
    };
    spawn_blocking(look).await.map_err(|_| Error::system("the thread that looks ended early"))?
}

struct Gatherer<'a> {
    engine: &'a Engine,
    /// Who asks; nobody: the host.
    asker: Option<&'a Record>,
}

impl Gatherer<'_> {
    fn gather(&self, to: String, port: Option<(Protocol, u16)>) -> Result<Facts> {
        let from = match self.asker {
            Some(record) => self.party(record),
            None => Party {
                name: "the host".into(),
                running: true,
                status: "running".into(),
                stack: Stack::Host,
                places: Vec::new(),
            },
        };
        let meant = self.meant(&to).map(|record| self.party(&record));
        let mut facts = Facts {
            from,
            to,
            port,
            meant,
            naming: None,
            owner: None,
            way: None,
            neighbour: None,
            findings: Vec::new(),
            table: true,
            published_on: Vec::new(),
            waiting: None,
            attempt: None,
        };
        if facts.from.running && facts.meant.as_ref().is_none_or(|meant| meant.running) {
            self.along_the_chain(&mut facts)?;
        }
        Ok(facts)
    }

    fn along_the_chain(&self, facts: &mut Facts) -> Result<()> {
        let naming = self.naming(facts)?;
        let address = match naming {
            Naming::Literal(address) | Naming::Hosts(address) | Naming::Answered(_, address) => Some(address),
            _ => None,
        };
        facts.naming = Some(naming);
        let Some(address) = address else { return Ok(()) };
        let (owner, listens) = self.owner(&facts.from, address, facts.port)?;
        facts.owner = Some(owner);
        let (way, next) = self.inside(move || way(address))??;
        (facts.way, facts.neighbour) = (Some(way), next);
        if let Ok(ground) = self.engine.networks.ground() {
            (facts.findings, facts.table) = (ground.table.findings()?, ground.table.is_there()?);
        }
        let Some((protocol, number)) = facts.port else { return Ok(()) };
        if let (Some(Owner::Host(None)), Ok(ground)) = (&facts.owner, self.engine.networks.ground()) {
            let doors = ground.table.wanted().published.into_iter();
            facts.published_on = doors.filter(|d| (d.protocol, d.host.1) == (protocol, number)).map(|d| d.host.0).collect();
        }
        facts.waiting = listens.and_then(|pid| waiting(&pid, protocol));
        let may_try = protocol == Protocol::Tcp && !matches!(facts.way, Some(Way::None { .. }));
        if may_try && facts.neighbour.as_ref().is_none_or(|(_, mac)| mac.is_some()) {
            facts.attempt = Some(self.inside(move || attempt(SocketAddr::new(address, number)))?);
        }
        Ok(())
    }

    /// Runs `f` in the network stack of who asks.
    fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        match self.asker {
            Some(record) => Sandbox::of_pid(record.state.pid)?.visit(f),
            None => Ok(f()),
        }
    }

    /// The container that B's name is the name of, whether A can see it or not.
    fn meant(&self, text: &str) -> Option<Arc<Record>> {
        let record = self.engine.containers.find(text).ok()?.record();
        // the beginning of an id may be the name of somebody else to A
        (record.name == text || (text.len() >= 12 && record.id.starts_with(text))).then_some(record)
    }

    /// The container in whose network stack this one lives: itself as a rule.
    fn housed(&self, record: &Record) -> Option<Arc<Record>> {
        match Mode::of(&record.host_config.network_mode) {
            Mode::Container(other) => Some(self.engine.containers.find(other).ok()?.record()),
            _ => self.engine.containers.get(&record.id).map(|container| container.record()),
        }
    }

    fn party(&self, record: &Record) -> Party {
        let house = self.housed(record);
        let has = |name: &str| house.as_ref().is_some_and(|house| house.networking.places.contains_key(name));
        let stack = match () {
            () if has("host") => Stack::Host,
            () if has("none") => Stack::None,
            () => Stack::Bridged,
        };
        let standing = house.and_then(|house| self.engine.networks.standing(&house.id));
        let places = standing.map(|standing| {
            let standing = standing.lock().expect("no holder panics");
            standing.cables.iter().map(place).collect()
        });
        Party {
            name: record.name.clone(),
            running: record.state.has_process() && record.state.pid > 0,
            status: record.state.phase.word().into(),
            stack,
            places: places.unwrap_or_default(),
        }
    }

    fn naming(&self, facts: &Facts) -> Result<Naming> {
        let name = &facts.to;
        if let Ok(address) = name.parse() {
            return Ok(Naming::Literal(address));
        }
        let file = |of: &str| match self.asker.and_then(|record| self.housed(record)) {
            Some(house) => fs::read_to_string(self.engine.paths.container(&house.id).join(of)).unwrap_or_default(),
            None => fs::read_to_string(format!("/etc/{of}")).unwrap_or_default(),
        };
        if let Some(address) = in_hosts(&file("hosts"), name) {
            return Ok(Naming::Hosts(address));
        }
        // a container's name is nobody else's business: without a table that has it, no server of the world is asked
        let id = self.asker.and_then(|record| self.housed(record)).map_or(String::new(), |house| house.id.clone());
        if facts.meant.is_some() && self.engine.networks.zones.look_up(&id, name).is_none() {
            return Ok(Naming::Silent(None, format!("nobody tells {} who {name} is", facts.from.name)));
        }
        let conf = file("resolv.conf");
        let Some(server) = words_after(&conf, "nameserver").find_map(|word| word.parse::<IpAddr>().ok()) else {
            return Ok(Naming::Silent(None, format!("resolv.conf of {} names no server", facts.from.name)));
        };
        let names: Vec<String> = std::iter::once(name.clone())
            .chain(words_after(&conf, "search").map(|domain| format!("{name}.{domain}")))
            .collect();
        self.inside(move || ask_all(server, &names))
    }

    /// Whose the address is, and which process tells who listens there.
    fn owner(&self, from: &Party, to: IpAddr, port: Option<(Protocol, u16)>) -> Result<(Owner, Option<String>)> {
        let own = |party: &Party| party.places.iter().any(|p| p.addresses.contains(&to));
        let ours = from.stack == Stack::Host;
        if own(from) || (!ours && is_loopback(to)) {
            return Ok((Owner::Itself, self.asker.map(|record| record.state.pid.to_string())));
        }
        if let Some(record) = self.who_has(to) {
            return Ok((Owner::Container(self.party(&record)), Some(record.state.pid.to_string())));
        }
        if !is_loopback(to) && !self.is_of_this_host(to)? {
            return Ok((Owner::Elsewhere, None));
        }
        let door = match (self.engine.networks.ground(), port) {
            (Ok(ground), Some((protocol, number))) => ground.table.leads_to(protocol, (to, number))?,
            _ => None,
        };
        match door.and_then(|door| Some((door, self.who_has(door.0)?))) {
            Some((door, record)) => {
                let pid = record.state.pid.to_string();
                Ok((Owner::Host(Some((SocketAddr::from(door), self.party(&record)))), Some(pid)))
            }
            None => Ok((Owner::Host(None), Some("self".into()))),
        }
    }

    fn who_has(&self, address: IpAddr) -> Option<Arc<Record>> {
        let plugged = |id: &str| {
            let standing = self.engine.networks.standing(id)?;
            let standing = standing.lock().expect("no holder panics");
            standing.cables.iter().any(|cable| cable.addresses().contains(&address)).then_some(())
        };
        let mut running = self.engine.containers.all().into_iter().map(|c| c.record()).filter(|r| r.state.has_process());
        running.find(|record| plugged(&record.id).is_some())
    }

    fn is_of_this_host(&self, to: IpAddr) -> Result<bool> {
        let mut socket = Socket::open(Family::Route).doing(|| "open a netlink socket")?;
        let all = address::all(&mut socket).doing(|| "list the addresses of this host")?;
        Ok(all.iter().any(|on| on.address == to))
    }
}

fn place(cable: &Cable) -> Place {
    Place {
        network: cable.network.clone(),
        inside: cable.endpoint.inside.clone(),
        blocks: cable.bridge.subnets.iter().map(|s| s.subnet).collect(),
        addresses: cable.addresses(),
        internal: cable.bridge.internal,
        icc: cable.bridge.icc,
        masquerade: cable.bridge.masquerade,
        names: !is_predefined(&cable.network),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
