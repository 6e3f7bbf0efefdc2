//! # The store of networks: records, leases, members
//!
//! Every network of this engine: its record on disk, and in memory the addresses that are taken and the containers that are
//! on it. Whoever wants a place gets it here first, under one short lock, before the kernel hears of it; so two
//! containers never get one address, and a network with somebody on it is never removed.
//!
//! ```text
//!   Networks ── index    std mutex: id → Network { record, leases, members }
//!            ├─ changing async lock: networks are made and removed one at a time
//!            ├─ standing container id → what it holds of the kernel while it runs
//!            ├─ ground   the daemon's namespace and table; or the reason why there is none
//!            ├─ zones    who is called what
//!            └─ overlays what the swarm wants, and what stands of it
//! ```
//!
//! * [`Networks::find`] is Docker's rule: full id, then name, then unambiguous beginning of an id.
//!
//! Laws: `index` is never held over a call of the kernel. A record that cannot be read is set aside and reported.
//! See: moby `daemon/network.go` (FindNetwork). Next room: [`crate::networks::ground`]

use crate::networks::{ground::Ground, overlay::Overlays, record::Record, standing::Standing};
use minidock_base::{Doing, Error, Result, paths::Paths, state_file};
use minidock_network::{
    dns::{server::Resolver, zone::Zones},
    ipam::Leases,
    model::Net,
};
use minidock_spec::engine::network::EndpointResource;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

/// All networks.
pub struct Networks {
    paths: Paths,
    ground: Result<Ground>,
    index: Mutex<BTreeMap<String, Network>>,
    /// Held by whoever makes or removes a network.
    pub(crate) changing: tokio::sync::Mutex<()>,
    standing: Mutex<HashMap<String, Arc<Mutex<Standing>>>>,
    pub(crate) zones: Arc<Zones>,
    pub(crate) resolver: Resolver,
    pub(crate) overlays: Overlays,
}

struct Network {
    record: Arc<Record>,
    leases: Leases,
    /// By container id.
    members: BTreeMap<String, EndpointResource>,
}

impl Networks {
    /// Reads what is on disk. With it comes the kernel's part, or why there is none.
    ///
    /// # Errors
    /// The folder of all networks cannot be read.
    pub(crate) fn read(paths: &Paths, ground: Result<Ground>) -> Result<Networks> {
        let zones = Arc::<Zones>::default();
        let networks = Networks {
            paths: paths.clone(),
            ground,
            index: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            standing: Mutex::default(),
            resolver: Resolver::new(zones.clone()),
            zones,
            overlays: Overlays::default(),
        };
        let folder = paths.networks();
        for entry in fs::read_dir(&folder).doing(|| format!("read {}", folder.display()))?.flatten() {
            let file = entry.path();
            if file.extension().is_none_or(|e| e != "json") {
                continue;
            }
            match state_file::load::<Record>(&file) {
                Ok(Some(record)) if paths.network(&record.id) == file => drop(networks.adopt(record)),
                Ok(_) => report(&file, "it is the record of another network"),
                Err(error) => report(&file, &error.message()),
            }
        }
        Ok(networks)
    }

    /// The kernel's part.
    ///
    /// # Errors
    /// Why this daemon has no networks but `none` and `host`.
    pub(crate) fn ground(&self) -> Result<&Ground> {
        self.ground.as_ref().map_err(Clone::clone)
    }

    /// Writes a new network down and shows it to everybody.
    pub(crate) fn insert(&self, record: Record) -> Result<Arc<Record>> {
        state_file::save_durably(&self.paths.network(&record.id), &record)?;
        Ok(self.adopt(record))
    }

    /// Shows a network.
    fn adopt(&self, record: Record) -> Arc<Record> {
        let mut leases = Leases::default();
        for pool in &record.subnets {
            leases.add(pool);
        }
        let record = Arc::new(record);
        let network = Network { record: record.clone(), leases, members: BTreeMap::new() };
        self.lock().insert(record.id.clone(), network);
        record
    }

    /// Shows what is known of an overlay now; who is on it stays.
    pub(crate) fn renew(&self, record: Record) {
        let mut index = self.lock();
        match index.get_mut(&record.id) {
            Some(known) => known.record = Arc::new(record),
            None => {
                drop(index);
                self.adopt(record);
            }
        }
    }

    /// Forgets a network and its record.
    ///
    /// # Errors
    /// `network … has active endpoints`; the disk's.
    pub(crate) fn forget(&self, id: &str) -> Result<()> {
        let mut index = self.lock();
        let Some(network) = index.get(id) else { return Ok(()) };
        if !network.members.is_empty() {
            let name = &network.record.name;
            return Err(Error::forbidden(format!("network {name} id {id} has active endpoints"))
                .hint("minidock network disconnect, or stop the containers that network inspect lists"));
        }
        self.erase(&mut index, id)
    }

    /// Forgets a network unless somebody is on it: in one deed, so that nobody comes in between. Gives back whether it is gone.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn forget_if_empty(&self, id: &str) -> Result<bool> {
        let mut index = self.lock();
        match index.get(id) {
            Some(network) if !network.members.is_empty() => Ok(false),
            Some(_) => self.erase(&mut index, id).map(|()| true),
            None => Ok(true),
        }
    }

    fn erase(&self, index: &mut BTreeMap<String, Network>, id: &str) -> Result<()> {
        match fs::remove_file(self.paths.network(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("remove {}", self.paths.network(id).display()));
            }
            _ => {}
        }
        index.remove(id);
        Ok(())
    }

    /// What the user meant by `text`: id, name or unambiguous beginning of an id.
    ///
    /// # Errors
    /// 404 `network x not found`; 400 `network x is ambiguous …`.
    pub fn find(&self, text: &str) -> Result<Arc<Record>> {
        let index = self.lock();
        if let Some(network) = index.get(text) {
            return Ok(network.record.clone());
        }
        if let Some(network) = index.values().find(|n| n.record.name == text) {
            return Ok(network.record.clone());
        }
        let mut begins = index.values().filter(|n| !text.is_empty() && n.record.id.starts_with(text));
        match (begins.next(), begins.count()) {
            (Some(only), 0) => Ok(only.record.clone()),
            (Some(_), more) => {
                let matches = more + 1;
                Err(Error::invalid(format!("network {text} is ambiguous ({matches} matches found based on ID prefix)")))
            }
            (None, _) => {
                Err(Error::not_found(format!("network {text} not found")).hint("minidock network ls lists all networks"))
            }
        }
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Record>> {
        let mut all: Vec<_> = self.lock().values().map(|n| n.record.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Every pool of every network.
    pub(crate) fn pools(&self) -> Vec<Net> {
        self.lock().values().flat_map(|n| n.record.subnets.iter().map(|pool| pool.subnet)).collect()
    }

    /// Takes addresses of a network for a container that is about to be plugged in, and counts it as a member.
    ///
    /// # Errors
    /// 404 when the network has just gone; `Address already in use`; `no available IPv4 addresses …`.
    pub(crate) fn enter(&self, id: &str, container: &str, wishes: [Option<IpAddr>; 2]) -> Result<[Option<IpAddr>; 2]> {
        let mut index = self.lock();
        let network = index.get_mut(id).ok_or_else(|| Error::not_found(format!("network {id} not found")))?;
        let record = network.record.clone();
        let mut taken = [None, None];
        for (n, v4) in [true, false].into_iter().enumerate() {
            // a wish says which pool, where there are several
            let pool = record
                .subnets
                .iter()
                .filter(|pool| pool.subnet.is_v4() == v4)
                .find(|pool| wishes[n].is_none_or(|wish| pool.subnet.contains(wish)));
            let Some(pool) = pool else { continue };
            match network.leases.take(pool, wishes[n]) {
                Ok(address) => taken[n] = Some(address),
                Err(error) => {
                    taken.iter().flatten().for_each(|address| network.leases.give_back(*address));
                    return Err(named(error, &record));
                }
            }
        }
        network.members.insert(container.to_string(), EndpointResource::default());
        Ok(taken)
    }

    /// Writes down how a member is plugged in.
    pub(crate) fn describe(&self, id: &str, container: &str, place: EndpointResource) {
        if let Some(network) = self.lock().get_mut(id) {
            network.members.insert(container.to_string(), place);
        }
    }

    /// Gives back the addresses of a container and forgets that it was there.
    pub(crate) fn leave(&self, id: &str, container: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        if let Some(network) = self.lock().get_mut(id) {
            network.members.remove(container);
            addresses.into_iter().for_each(|address| network.leases.give_back(address));
        }
    }

    /// Who is on a network now, by container id.
    pub fn members(&self, id: &str) -> BTreeMap<String, EndpointResource> {
        self.lock().get(id).map(|n| n.members.clone()).unwrap_or_default()
    }

    /// What a running container holds.
    pub(crate) fn standing(&self, container: &str) -> Option<Arc<Mutex<Standing>>> {
        self.standing.lock().expect("no holder panics").get(container).cloned()
    }

    /// What everybody holds, by container.
    pub(crate) fn all_standing(&self) -> Vec<(String, Arc<Mutex<Standing>>)> {
        let all = self.standing.lock().expect("no holder panics");
        all.iter().map(|(id, standing)| (id.clone(), standing.clone())).collect()
    }

    pub(crate) fn stand(&self, container: &str, standing: Standing) -> Arc<Mutex<Standing>> {
        let standing = Arc::new(Mutex::new(standing));
        self.standing.lock().expect("no holder panics").insert(container.to_string(), standing.clone());
        standing
    }

    pub(crate) fn stands_no_more(&self, container: &str) -> Option<Arc<Mutex<Standing>>> {
        self.standing.lock().expect("no holder panics").remove(container)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Network>> {
        self.index.lock().expect("no holder panics")
    }
}

/// Docker's text names the network that has no address left.
fn named(error: Error, record: &Record) -> Error {
    let text = error.message();
    match text.starts_with("no available") {
        true => Error::new(error.kind(), format!("{text}: {} ({})", record.name, record.id))
            .hint("a network with a larger subnet, or fewer containers on this one"),
        false => error,
    }
}

fn report(file: &std::path::Path, why: &str) {
    match state_file::set_aside(file) {
        Ok(aside) => tracing::error!(now = %aside.display(), why, "a network's record cannot be read and was set aside"),
        Err(error) => tracing::error!(why, "a network's record cannot be read: {}", error.message()),
    }
}
