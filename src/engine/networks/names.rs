//! # Names: told to the name server the moment they change
//!
//! On a network that somebody made, containers find each other by name. The name server ([`minidock_network::dns`]) has a
//! table for each network; here is who writes it: a member is set when a container is plugged in, set again when it is
//! renamed, and taken out when it leaves. So a name follows a restart at once: nothing expires, nothing is asked.
//!
//! See: moby `daemon/rename.go`, `libnetwork/network.go` (addSvcRecords). Next room: [`crate::networks::links`]

use crate::{
    Engine,
    container::{record::Record as Container, store::Container as Kept},
    networks::{
        place::{Place, dns_names},
        record::Record,
    },
};
use minidock_network::dns::zone::Member;
use std::net::IpAddr;

/// A container on a network, as the name server knows it.
pub(crate) fn member(container: &Container, network: &Record, place: &Place) -> Member {
    let plugged = place.plugged.as_ref();
    let v4 = plugged.and_then(|p| p.v4).map(|(address, _)| IpAddr::from(address));
    let v6 = plugged.and_then(|p| p.v6).map(|(address, _)| IpAddr::from(address));
    let link = |text: &String| {
        let (name, alias) = text.split_once(':').unwrap_or((text, text));
        (alias.trim_start_matches('/').to_string(), name.trim_start_matches('/').to_string())
    };
    Member {
        network_id: network.id.clone(),
        network: network.name.clone(),
        container_id: container.id.clone(),
        names: dns_names(container, &place.settings),
        links: place.settings.links.iter().flatten().map(link).collect(),
        addresses: v4.into_iter().chain(v6).collect(),
    }
}

/// Tells the name server about every place of a running container again: its name has changed, or we have just come back.
pub(crate) fn announce(engine: &Engine, container: &Kept) {
    container.change_in_memory(|record| {
        let snapshot = record.clone();
        for (name, place) in &mut record.networking.places {
            let Ok(network) = engine.networks.find(name) else { continue };
            if !network.has_names() || place.plugged.is_none() {
                continue;
            }
            place.settings.dns_names = Some(dns_names(&snapshot, &place.settings));
            engine.networks.zones.set(member(&snapshot, &network, place));
        }
    });
}
