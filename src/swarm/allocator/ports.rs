//! # Ports: which service has which on every node
//!
//! A port published on `ingress` belongs to one service in the whole swarm; where none was asked for, the lowest free one of
//! 30000–32767 is taken, and kept as long as the service asks for it. A port in `host` mode belongs to a task on its node and is the
//! scheduler's business.
//!
//! *See:* swarmkit `manager/allocator/portallocator.go`. *Next room:* [`crate::scheduler`]

use crate::store::Tables;
use minidock_spec::swarm::service::{EndpointPort, Service};
use std::collections::BTreeMap;

const DYNAMIC: std::ops::RangeInclusive<u32> = 30000..=32767;

/// The ports a service wants on every node.
pub fn on_ingress(service: &Service) -> impl Iterator<Item = &EndpointPort> {
    service.spec.endpoint_spec.iter().flat_map(|e| &e.ports).filter(|p| p.publish_mode != "host")
}

/// The service that has an ingress port, if any has.
pub fn holder<'a>(tables: &'a Tables, protocol: &str, port: u32) -> Option<&'a Service> {
    let has = |s: &Service| {
        let shown = s.endpoint.ports.iter().chain(on_ingress(s));
        shown.filter(|p| p.publish_mode != "host").any(|p| p.protocol == protocol && p.published_port == port)
    };
    tables.services().map(|s| &**s).find(|s| port != 0 && has(s))
}

/// Which service has which port: as in the tables, and as given out since.
pub struct Published(BTreeMap<(String, u32), String>);

impl Published {
    pub fn of(tables: &Tables) -> Published {
        let mut published = Published(BTreeMap::new());
        for service in tables.services() {
            published.note(&service.id, &service.endpoint.ports);
        }
        published
    }

    fn note(&mut self, service: &str, ports: &[EndpointPort]) {
        for port in ports.iter().filter(|p| p.publish_mode != "host" && p.published_port != 0) {
            self.0.insert((port.protocol.clone(), port.published_port), service.to_string());
        }
    }

    /// The ports of a service as they are published: what it asks for, with a number where it named none. `None` when none is
    /// free.
    pub fn publish(&mut self, service: &Service, wanted: &[EndpointPort]) -> Option<Vec<EndpointPort>> {
        let mut before: Vec<&EndpointPort> = service.endpoint.ports.iter().collect();
        self.0.retain(|_, holder| *holder != service.id);
        self.note(&service.id, wanted);
        let mut ports = Vec::new();
        for port in wanted {
            let mut port = port.clone();
            if port.published_port == 0 && port.publish_mode != "host" {
                let same = |old: &&EndpointPort| {
                    (&old.protocol, old.target_port, &old.publish_mode)
                        == (&port.protocol, port.target_port, &port.publish_mode)
                };
                let free = |n: u32| n != 0 && !self.0.contains_key(&(port.protocol.clone(), n));
                let kept = before.iter().position(|old| same(old) && free(old.published_port));
                port.published_port = match kept {
                    Some(at) => before.swap_remove(at).published_port,
                    None => DYNAMIC.into_iter().find(|n| free(*n))?,
                };
                self.note(&service.id, std::slice::from_ref(&port));
            }
            ports.push(port);
        }
        Some(ports)
    }
}
