//! # Zone: who is called what, on which network
//!
//! A name means something only to those who share a network with its bearer, and it may mean different things on different
//! networks. So every network is a *zone* of its own, and a question is answered with the asker in mind: only the zones
//! in which the asker itself has a place are looked at.
//!
//! ```text
//!   network pets    cat → 172.18.0.2     4f6d…12 → 172.18.0.2     food → 172.18.0.2, 172.18.0.3
//!   network staff   admin → 172.19.0.2   cat → 172.19.0.3         (cat has a place on both)
//!
//!   admin asks for `cat`         172.19.0.3      the only network it shares with cat
//!   cat asks for `cat.pets`      172.18.0.2      a name may say which network is meant
//!   dog (on pets) asks `admin`   not ours        and so goes to the resolvers outside
//! ```
//!
//! * [`Member`] is one container's place on one network, pushed in by the engine when it is plugged in and taken back when
//!   it leaves; there is nothing to expire, so a name follows a restart at once.
//! * [`Zones::look_up`] finds addresses, [`Zones::name_of`] the name that goes with an address.
//! * [`names`] is the list of names Docker gives an endpoint: container name, aliases, the short id, the hostname.
//! * A name may belong to several members: the addresses of all of them are its answer.
//! * What is no container of this machine, a service of the swarm or a task elsewhere, is a [`Bearer`]: it has names, asks nothing, and comes
//!   and goes with the whole list of its network ([`crate::dns::services`]).
//!
//! Laws: names are compared without regard to case; what a container is *linked* to under an alias hides, for this asker,
//! a real name of that sort; the networks of an asker are asked in the order of their names, so the answer does not depend
//! on who was plugged in first.
//!
//! *In the real world* libnetwork keeps the same tables (`svcRecords`), and asks the networks by priority of their gateways.
//! *See:* moby `libnetwork/sandbox.go` (ResolveName), RFC 4343 (case). *Next room:* [`crate::dns::answer`]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// One container's place on one network, as the name server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub network_id: String,
    /// The network's name: the second half of `cat.pets`.
    pub network: String,
    pub container_id: String,
    /// What others on this network may call it; the first is the answer to reverse look-ups.
    pub names: Vec<String>,
    /// What it alone may call others: alias → their name (`--link`).
    pub links: Vec<(String, String)>,
    pub addresses: Vec<IpAddr>,
}

/// The names that Docker gives an endpoint, in its order and without repetition.
pub fn names(container: &str, aliases: &[String], id: &str, hostname: &str) -> Vec<String> {
    let short = id.get(..12).unwrap_or(id);
    let all =
        [container.trim_start_matches('/')].into_iter().chain(aliases.iter().map(String::as_str)).chain([short, hostname]);
    let mut seen = HashSet::new();
    all.filter(|name| !name.is_empty() && seen.insert(*name)).map(str::to_string).collect()
}

/// All zones of the house; shared by the engine, which writes, and every sandbox's server, which reads.
#[derive(Debug, Default)]
pub struct Zones {
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    /// By network id.
    zones: HashMap<String, Zone>,
    /// Container id → its places: (network name, network id), sorted.
    places: HashMap<String, BTreeSet<(String, String)>>,
}

/// Somebody with names on a network who is no container of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Whether these addresses, asked for their name, have the first of these names.
    pub owns: bool,
}

#[derive(Debug, Default)]
struct Zone {
    /// By container id; bearers by a number of ours.
    members: HashMap<String, Place>,
    /// How many of them are bearers.
    bearers: usize,
    /// Name in lower case → container ids.
    names: HashMap<String, BTreeSet<String>>,
    /// Address → container ids (for a moment two may have the same, when one leaves as another comes).
    owners: HashMap<IpAddr, BTreeSet<String>>,
}

#[derive(Debug)]
struct Place {
    names: Vec<String>,
    /// Alias → name, both in lower case.
    links: BTreeMap<String, String>,
    addresses: Vec<IpAddr>,
}

impl Zones {
    /// Writes a member down, in place of what was known of this container on this network.
    pub fn set(&self, member: Member) {
        let mut tables = self.write();
        tables.remove(&member.network_id, &member.container_id);
        tables.insert(member);
    }

    /// Forgets a container's place on a network; not to be there is fine.
    pub fn remove(&self, network_id: &str, container_id: &str) {
        self.write().remove(network_id, container_id);
    }

    /// Forgets a container on all its networks.
    pub fn remove_container(&self, container_id: &str) {
        let mut tables = self.write();
        for (_, network_id) in tables.places.get(container_id).cloned().unwrap_or_default() {
            tables.remove(&network_id, container_id);
        }
    }

    /// Makes these the bearers of a network, in place of those before.
    pub(super) fn set_bearers(&self, network_id: &str, bearers: Vec<Bearer>) {
        let mut tables = self.write();
        let zone = tables.zones.entry(network_id.to_string()).or_default();
        for number in 0..zone.bearers {
            zone.remove(&bearer_id(number));
        }
        zone.bearers = bearers.len();
        for (number, Bearer { names, addresses, owns }) in bearers.into_iter().enumerate() {
            zone.insert(bearer_id(number), Place { names, links: BTreeMap::new(), addresses }, owns);
        }
        if zone.members.is_empty() {
            tables.zones.remove(network_id);
        }
    }

    /// The addresses behind a name, for this asker; `None`: no name of ours (an empty list: ours, but without addresses).
    pub fn look_up(&self, asker: &str, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.to_lowercase();
        let tables = self.read();
        let places = tables.places.get(asker)?;
        readings(&name).find_map(|(host, network)| tables.in_networks(asker, places, host, network))
    }

    /// The first name of who has an address on a network of the asker's, with the network's: `cat.pets`.
    pub fn name_of(&self, asker: &str, address: IpAddr) -> Option<String> {
        let tables = self.read();
        let places = tables.places.get(asker)?;
        places.iter().find_map(|(network, id)| {
            let zone = tables.zones.get(id)?;
            let owner = zone.owners.get(&address)?.first()?;
            Some(format!("{}.{network}", zone.members.get(owner)?.names.first()?))
        })
    }

    // a panic while holding the lock leaves whole tables behind: every change below is made of infallible steps
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ways to read a name: as it stands, on any network; then, from the right, with more and more of it as a network's
/// name, for both may have dots in them. `a.b.c`: (`a.b.c`, any), (`a.b`, `c`), (`a`, `b.c`).
fn readings(name: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let split = name.rmatch_indices('.').map(|(dot, _)| (&name[..dot], Some(&name[dot + 1..])));
    [(name, None)].into_iter().chain(split)
}

impl Tables {
    fn insert(&mut self, member: Member) {
        let Member { network_id, network, container_id, names, links, addresses } = member;
        self.places.entry(container_id.clone()).or_default().insert((network, network_id.clone()));
        let links = links.into_iter().map(|(alias, name)| (alias.to_lowercase(), name.to_lowercase())).collect();
        self.zones.entry(network_id).or_default().insert(container_id, Place { names, links, addresses }, true);
    }

    fn remove(&mut self, network_id: &str, container_id: &str) {
        if let Some(zone) = self.zones.get_mut(network_id) {
            zone.remove(container_id);
            if zone.members.is_empty() {
                self.zones.remove(network_id);
            }
        }
        if let Some(places) = self.places.get_mut(container_id) {
            places.retain(|(_, id)| id != network_id);
            if places.is_empty() {
                self.places.remove(container_id);
            }
        }
    }

    /// One reading of a name on the asker's networks (or the one that is named): links first, then names.
    fn in_networks(
        &self,
        asker: &str,
        places: &BTreeSet<(String, String)>,
        host: &str,
        network: Option<&str>,
    ) -> Option<Vec<IpAddr>> {
        let zones = || {
            let meant = move |name: &str| network.is_none_or(|network| name.to_lowercase() == network);
            places.iter().filter(move |(name, _)| meant(name)).filter_map(|(_, id)| self.zones.get(id))
        };
        let link = |zone: &Zone| zone.members.get(asker).and_then(|own| own.links.get(host)).cloned();
        let linked = zones().find_map(|zone| zone.addresses(&link(zone)?));
        linked.or_else(|| zones().filter(|zone| link(zone).is_none()).find_map(|zone| zone.addresses(host)))
    }
}

/// No container has an id with a blank.
fn bearer_id(number: usize) -> String {
    format!("bearer {number}")
}

impl Zone {
    fn insert(&mut self, id: String, place: Place, owns: bool) {
        for name in &place.names {
            self.names.entry(name.to_lowercase()).or_default().insert(id.clone());
        }
        for address in place.addresses.iter().filter(|_| owns) {
            self.owners.entry(*address).or_default().insert(id.clone());
        }
        self.members.insert(id, place);
    }

    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = Vec::new();
        for id in self.names.get(name)? {
            for address in self.members.get(id).into_iter().flat_map(|place| &place.addresses) {
                if !found.contains(address) {
                    found.push(*address);
                }
            }
        }
        Some(found)
    }

    fn remove(&mut self, container_id: &str) {
        let Some(place) = self.members.remove(container_id) else { return };
        for name in place.names {
            leave(&mut self.names, &name.to_lowercase(), container_id);
        }
        for address in place.addresses {
            leave(&mut self.owners, &address, container_id);
        }
    }
}

/// Takes a container out of a set, and the set out of the table when it was the last.
fn leave<Q, K>(table: &mut HashMap<K, BTreeSet<String>>, key: &Q, container_id: &str)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(ids) = table.get_mut(key) {
        ids.remove(container_id);
        if ids.is_empty() {
            table.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(network: &str, container: &str, names: &[&str], address: &str) -> Member {
        Member {
            network_id: format!("id-of-{network}"),
            network: network.into(),
            container_id: container.into(),
            names: names.iter().map(|name| name.to_string()).collect(),
            links: Vec::new(),
            addresses: vec![address.parse().expect("an address")],
        }
    }

    fn found(zones: &Zones, asker: &str, name: &str) -> Option<Vec<String>> {
        zones.look_up(asker, name).map(|list| list.iter().map(IpAddr::to_string).collect())
    }

    fn pets_and_staff() -> Zones {
        let zones = Zones::default();
        zones.set(member("pets", "C1", &["dog", "food"], "172.18.0.3"));
        zones.set(member("pets", "C2", &["cat", "food"], "172.18.0.2"));
        zones.set(member("staff", "C2", &["cat"], "172.19.0.3"));
        zones.set(member("staff", "C3", &["admin", "b.c"], "172.19.0.2"));
        zones
    }

    #[test]
    fn only_names_of_shared_networks_are_known() {
        let zones = pets_and_staff();
        assert_eq!(found(&zones, "C1", "cat"), Some(vec!["172.18.0.2".into()]));
        assert_eq!(found(&zones, "C3", "cat"), Some(vec!["172.19.0.3".into()]));
        assert_eq!(found(&zones, "C1", "admin"), None);
        assert_eq!(found(&zones, "C3", "dog"), None);
        assert_eq!(found(&zones, "C2", "admin"), Some(vec!["172.19.0.2".into()]));
        assert_eq!(found(&zones, "nobody", "cat"), None);
    }

    #[test]
    fn a_name_may_say_its_network_and_case_does_not_matter() {
        let zones = pets_and_staff();
        assert_eq!(found(&zones, "C2", "CAT.Staff"), Some(vec!["172.19.0.3".into()]));
        assert_eq!(found(&zones, "C2", "cat.pets"), Some(vec!["172.18.0.2".into()]));
        assert_eq!(found(&zones, "C3", "cat.pets"), None, "not a network of the asker's");
        assert_eq!(found(&zones, "C3", "b.c"), Some(vec!["172.19.0.2".into()]));
        assert_eq!(found(&zones, "C3", "b.c.staff"), Some(vec!["172.19.0.2".into()]));
        assert_eq!(found(&zones, "C3", "x.cat.staff"), None);
        for odd in ["", ".", "..", ".staff", "cat.", "cat..staff"] {
            assert_eq!(found(&zones, "C3", odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_shared_name_has_the_addresses_of_all_its_bearers() {
        let zones = pets_and_staff();
        assert_eq!(found(&zones, "C1", "food"), Some(vec!["172.18.0.3".into(), "172.18.0.2".into()]));
        zones.remove("id-of-pets", "C2");
        assert_eq!(found(&zones, "C1", "food"), Some(vec!["172.18.0.3".into()]));
        assert_eq!(found(&zones, "C1", "cat"), None);
        zones.remove_container("C1");
        zones.remove_container("C2");
        zones.remove_container("C3");
        let tables = zones.read();
        assert!(tables.zones.is_empty() && tables.places.is_empty(), "{tables:?}");
    }

    #[test]
    fn a_name_follows_a_restart_with_another_address() {
        let zones = pets_and_staff();
        zones.set(member("pets", "C2", &["cat"], "172.18.0.9"));
        assert_eq!(found(&zones, "C1", "cat"), Some(vec!["172.18.0.9".into()]));
        assert_eq!(found(&zones, "C1", "food"), Some(vec!["172.18.0.3".into()]));
        assert_eq!(zones.name_of("C1", "172.18.0.2".parse().expect("an address")), None);
    }

    #[test]
    fn a_link_is_the_askers_own_and_hides_a_name() {
        let zones = pets_and_staff();
        let mut dog = member("pets", "C1", &["dog"], "172.18.0.3");
        dog.links = vec![("Prey".into(), "CAT".into()), ("cat".into(), "gone".into())];
        zones.set(dog);
        assert_eq!(found(&zones, "C1", "prey"), Some(vec!["172.18.0.2".into()]));
        assert_eq!(found(&zones, "C1", "prey.pets"), Some(vec!["172.18.0.2".into()]));
        assert_eq!(found(&zones, "C1", "cat"), None, "the alias points to who is not there");
        assert_eq!(found(&zones, "C2", "prey"), None);
    }

    #[test]
    fn an_address_has_the_first_name_of_its_owner() {
        let zones = pets_and_staff();
        let name = |asker, address: &str| zones.name_of(asker, address.parse().expect("an address"));
        assert_eq!(name("C2", "172.18.0.3").as_deref(), Some("dog.pets"));
        assert_eq!(name("C3", "172.19.0.3").as_deref(), Some("cat.staff"));
        assert_eq!(name("C3", "172.18.0.3"), None);
    }

    #[test]
    fn an_endpoint_has_dockers_names_in_dockers_order() {
        let id = "0123456789abcdef".repeat(4);
        let aliases = ["db".to_string(), "web".to_string()];
        assert_eq!(names("/web", &aliases, &id, "0123456789ab"), ["web", "db", "0123456789ab"]);
        assert_eq!(names("web", &[], &id, "box"), ["web", "0123456789ab", "box"]);
        assert_eq!(names("web", &[], "short", ""), ["web", "short"]);
    }

    proptest! {
        /// Whatever came and went, the tables answer as if they had been written afresh from who is there now.
        #[test]
        fn tables_remember_exactly_who_is_there(steps in prop::collection::vec((0u8..3, 0u8..4, prop::collection::vec("[a-cA-C]", 0..3), 0u8..4, any::<bool>()), 0..40)) {
            let (zones, mut there) = (Zones::default(), BTreeMap::new());
            for (network, container, names, last, comes) in steps {
                let (network, container) = (format!("n{network}"), format!("c{container}"));
                if comes {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let member = member(&network, &container, &names, &format!("10.0.0.{last}"));
                    there.insert((network, container), member.clone());
                    zones.set(member);
                } else {
                    zones.remove(&format!("id-of-{network}"), &container);
                    there.remove(&(network, container));
                }
            }
            let fresh = Zones::default();
            there.values().cloned().for_each(|member| fresh.set(member));
            for asker in ["c0", "c1", "c2", "c3"] {
                for name in ["a", "b", "c", "a.n0", "b.n1", "c.n2", "a.b"] {
                    prop_assert_eq!(zones.look_up(asker, name), fresh.look_up(asker, name));
                }
                for last in 0..4 {
                    let address = IpAddr::from([10, 0, 0, last]);
                    prop_assert_eq!(zones.name_of(asker, address), fresh.name_of(asker, address));
                }
            }
        }

        #[test]
        fn no_name_makes_the_readers_panic(name in "\\PC{0,60}") {
            pets_and_staff().look_up("C2", &name);
        }
    }
}
