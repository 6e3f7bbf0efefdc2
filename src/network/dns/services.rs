//! # Services: the names of a swarm
//!
//! On an overlay network more can be called by name than the containers of this machine: every service, by its name and its
//! aliases, and every task, wherever it runs. Whoever runs the cluster knows them all and tells them network by network.
//!
//! ```text
//!   web          10.0.1.2                  the virtual IP; with `dnsrr` the tasks themselves, another one first each time
//!   tasks.web    10.0.1.5, 10.0.1.6        the tasks that take connections
//!   web.1.x7k…   10.0.1.5                  one task, by the name of its container
//!   10.0.1.2     web.NETWORK               and back
//! ```
//!
//! * [`Zones::set_services`] replaces all that was told of a network: no name outlives its service.
//! * A service without tasks has a name all the same: no addresses is an answer, and the question does not leave the house.
//!
//! Laws: as for containers: only who is on the network may ask.
//! See: moby `libnetwork/service_common.go` (addSvcRecords). Next room: [`crate::dns::answer`]

use super::zone::{Bearer, Zones};
use std::net::IpAddr;

/// A service on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, then its aliases.
    pub names: Vec<String>,
    /// Absent with `dnsrr`.
    pub vip: Option<IpAddr>,
    /// The tasks that take new connections.
    pub backends: Vec<IpAddr>,
}

impl Zones {
    /// Makes these the services and tasks (name of the container, address) of a network, in place of those before.
    pub fn set_services(&self, network_id: &str, services: &[Service], tasks: &[(String, IpAddr)]) {
        let of_service = services.iter().flat_map(|service| {
            let addresses = service.vip.map_or(service.backends.clone(), |vip| vec![vip]);
            let each = service.names.iter().map(|name| format!("tasks.{name}")).collect();
            [
                Bearer { names: service.names.clone(), addresses, owns: service.vip.is_some() },
                Bearer { names: each, addresses: service.backends.clone(), owns: false },
            ]
        });
        let of_task =
            tasks.iter().map(|(name, address)| Bearer { names: vec![name.clone()], addresses: vec![*address], owns: true });
        self.set_bearers(network_id, of_service.chain(of_task).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zone::Member;

    fn address(last: u8) -> IpAddr {
        [10, 0, 1, last].into()
    }

    fn service(names: &[&str], vip: Option<u8>, backends: &[u8]) -> Service {
        let names = names.iter().map(|name| name.to_string()).collect();
        Service { names, vip: vip.map(address), backends: backends.iter().map(|last| address(*last)).collect() }
    }

    fn on_it(zones: &Zones, container: &str, network: &str, last: u8) {
        zones.set(Member {
            network_id: format!("id-of-{network}"),
            network: network.into(),
            container_id: container.into(),
            names: vec![container.into()],
            links: Vec::new(),
            addresses: vec![address(last)],
        });
    }

    #[test]
    fn services_and_tasks_are_called_by_who_shares_their_network() {
        let zones = Zones::default();
        on_it(&zones, "client", "shop", 9);
        on_it(&zones, "stranger", "elsewhere", 8);
        let services =
            [service(&["web", "www"], Some(2), &[5, 6]), service(&["db"], None, &[7, 4]), service(&["idle"], None, &[])];
        zones.set_services("id-of-shop", &services, &[("web.1.abc".into(), address(5)), ("db.2.xyz".into(), address(4))]);
        let asked = |who: &str, name: &str| zones.look_up(who, name);
        for name in ["web", "WWW", "web.shop"] {
            assert_eq!(asked("client", name), Some(vec![address(2)]), "{name}");
        }
        for name in ["tasks.web", "tasks.www", "Tasks.Web.shop"] {
            assert_eq!(asked("client", name), Some(vec![address(5), address(6)]), "{name}");
        }
        assert_eq!(asked("client", "db"), asked("client", "tasks.db"));
        assert_eq!(asked("client", "db"), Some(vec![address(7), address(4)]));
        assert_eq!(asked("client", "idle"), Some(Vec::new()), "ours, but nobody is there");
        assert_eq!(asked("client", "web.1.abc"), Some(vec![address(5)]));
        assert_eq!(asked("client", "db.2.xyz.shop"), Some(vec![address(4)]));
        for name in ["web", "tasks.web", "web.1.abc"] {
            assert_eq!(asked("stranger", name), None, "{name}");
        }
        let named = |last| zones.name_of("client", address(last));
        assert_eq!(named(2).as_deref(), Some("web.shop"));
        assert_eq!(named(5).as_deref(), Some("web.1.abc.shop"));
        assert_eq!(named(6), None, "its own name was not told");
    }

    #[test]
    fn what_is_told_replaces_what_was_and_leaves_containers_alone() {
        let zones = Zones::default();
        on_it(&zones, "client", "shop", 9);
        zones.set_services("id-of-shop", &[service(&["web"], Some(2), &[5]), service(&["db"], Some(3), &[])], &[]);
        zones.set_services("id-of-shop", &[service(&["web"], Some(4), &[])], &[]);
        assert_eq!(zones.look_up("client", "web"), Some(vec![address(4)]));
        assert_eq!((zones.look_up("client", "db"), zones.name_of("client", address(2))), (None, None));
        assert_eq!(zones.look_up("client", "client"), Some(vec![address(9)]));
        zones.remove("id-of-shop", "client");
        on_it(&zones, "client", "shop", 9);
        assert_eq!(zones.look_up("client", "web"), Some(vec![address(4)]), "known though nobody was there for a while");
        zones.set_services("id-of-shop", &[], &[]);
        assert_eq!(zones.look_up("client", "web"), None);
    }
}
