//! # Towards: name, address, route, neighbour
//!
//! The first four links lead from what a person typed to the next one on the way: what the name means to A, whose the address is now,
//! by which link A's kernel would send, and whether the next one there answers.
//!
//! Laws: one sentence for what was found, one for what to try. Next room: `arrival.rs`

use super::{
    facts::{Facts, Naming, Owner, Party, Stack, Way},
    no, out_of, place_of, target, unknown, yes,
};
use minidock_spec::engine::reach::{Link, Step};
use std::net::IpAddr;

pub(super) fn name(facts: &Facts) -> Link {
    let (from, to) = (&facts.from, &facts.to);
    if !from.running {
        return no(
            Step::Name,
            format!("{} is {}: nobody is there to ask", from.name, from.status),
            format!("minidock start {}", from.name),
        );
    }
    if let Some(meant) = facts.meant.as_ref().filter(|meant| !meant.running) {
        return no(
            Step::Name,
            format!("{} is {}: it has no address and no name", meant.name, meant.status),
            format!("minidock start {}", meant.name),
        );
    }
    match &facts.naming {
        Some(Naming::Literal(address)) => yes(Step::Name, format!("{address} is an address: there is nothing to look up")),
        Some(Naming::Hosts(address)) => yes(Step::Name, format!("{to} is {address}, says /etc/hosts of {}", from.name)),
        Some(Naming::Answered(server, address)) => yes(Step::Name, format!("{to} is {address}, says {server}")),
        Some(Naming::Unknown(server)) => no_such_name(facts, &format!("{server} knows no {to}")),
        Some(Naming::Silent(Some(server), why)) => no(
            Step::Name,
            format!("{server} could not tell {} who {to} is: {why}", from.name),
            format!("minidock exec {} cat /etc/resolv.conf; another server: --dns", from.name),
        ),
        Some(Naming::Silent(None, why)) => no_such_name(facts, why),
        None => unknown(Step::Name, "was not asked"),
    }
}

/// Nobody could say what the name means: why, if it is a container's.
fn no_such_name(facts: &Facts, says: &str) -> Link {
    let (from, to) = (&facts.from, &facts.to);
    let Some(meant) = &facts.meant else {
        return no(Step::Name, says, "minidock ps shows names; minidock network inspect NETWORK shows who is on it");
    };
    let networks = |party: &Party| match party.stack {
        Stack::Host => "the host's network".to_string(),
        Stack::None => "no network".to_string(),
        Stack::Bridged => party.places.iter().map(|p| p.network.as_str()).collect::<Vec<_>>().join(", "),
    };
    let common = from.places.iter().find_map(|mine| meant.places.iter().find(|theirs| theirs.network == mine.network));
    match common {
        Some(place) if !place.names => {
            let address = place.addresses.first().map_or("its address".to_string(), IpAddr::to_string);
            no(
                Step::Name,
                format!("{says}: on the default network {} containers have no names", place.network),
                format!(
                    "call it {address}; or make a network of your own, where names are known: minidock network create NAME"
                ),
            )
        }
        Some(place) => no(
            Step::Name,
            format!("{says}, although {} is on {}, too", meant.name, place.network),
            "minidock network disconnect and connect it again; then tell us",
        ),
        None => {
            let (mine, theirs) = (networks(from), networks(meant));
            let join = meant.places.first().map_or("NETWORK", |p| p.network.as_str());
            // who was started without a network cannot be connected to one later
            let anew = |who: &str, network: &str| {
                format!("{who} was started with --network none and stays so; make it anew: minidock run --network {network} …")
            };
            let hint = match meant.stack {
                _ if from.stack == Stack::None => anew(&from.name, join),
                Stack::None => anew(&meant.name, from.places.first().map_or("NETWORK", |p| p.network.as_str())),
                Stack::Host => format!("{to} has the host's addresses: call the gateway of {mine}"),
                _ => format!("minidock network connect {join} {}", from.name),
            };
            no(Step::Name, format!("no common network: {} is on {mine}, {} on {theirs}", from.name, meant.name), hint)
        }
    }
}

pub(super) fn address(facts: &Facts) -> Link {
    let Some(address) = target(facts) else { return unknown(Step::Address, "was not asked") };
    match &facts.owner {
        Some(Owner::Itself) => yes(Step::Address, format!("{address} is {} itself", facts.from.name)),
        Some(Owner::Container(party)) => {
            let network = place_of(party, address).map_or(String::new(), |p| format!(", on network {}", p.network));
            yes(Step::Address, format!("{address} is {}{network}", party.name))
        }
        Some(Owner::Host(Some((to, party)))) => {
            let port = facts.port.map_or(0, |(_, port)| port);
            yes(Step::Address, format!("{address} is this host; port {port} is published and leads to {to} in {}", party.name))
        }
        Some(Owner::Host(None)) => yes(Step::Address, format!("{address} is this host")),
        Some(Owner::Elsewhere) => match facts.from.places.iter().find(|p| p.blocks.iter().any(|b| b.contains(address))) {
            Some(place) => no(
                Step::Address,
                format!("nobody on network {} has {address} now", place.network),
                format!(
                    "minidock network inspect {} shows who has which; a name follows its container, an address does not",
                    place.network
                ),
            ),
            None => unknown(Step::Address, format!("{address} is somewhere outside")),
        },
        None => unknown(Step::Address, "was not asked"),
    }
}

pub(super) fn route(facts: &Facts) -> Link {
    match &facts.way {
        Some(Way::Local) => yes(Step::Route, "it does not leave this network stack"),
        Some(Way::Direct { link }) => yes(Step::Route, format!("directly on link {link}")),
        Some(Way::Via { gateway, link }) => yes(Step::Route, format!("over {gateway} on link {link}")),
        Some(Way::None { why }) => {
            let from = &facts.from;
            let all_internal = !from.places.is_empty() && from.places.iter().all(|p| p.internal);
            let (reason, hint) = match from.stack {
                Stack::None => ("it was started with --network none".into(), "minidock run --network NETWORK …".into()),
                _ if all_internal => {
                    let names: Vec<&str> = from.places.iter().map(|p| p.network.as_str()).collect();
                    let names = names.join(", ");
                    (
                        format!("{names} is internal: it has no way out"),
                        format!(
                            "minidock network connect a network that is not internal: minidock network connect bridge {}",
                            from.name
                        ),
                    )
                }
                _ => (why.clone(), format!("minidock exec {} ip route", from.name)),
            };
            no(Step::Route, format!("{} has no route there: {reason}", from.name), hint)
        }
        None => unknown(Step::Route, "was not asked"),
    }
}

pub(super) fn neighbour(facts: &Facts) -> Link {
    match (&facts.way, &facts.neighbour) {
        (Some(Way::Local), _) => yes(Step::Neighbour, "none is needed"),
        (_, Some((next, Some(mac)))) => yes(Step::Neighbour, format!("{next} answers from {mac}")),
        (_, Some(_)) if is_shy(facts) => {
            unknown(Step::Neighbour, "the ports of that bridge are isolated: they do not even pass the question on")
        }
        (_, Some((next, None))) => no(
            Step::Neighbour,
            format!("nobody answers for {next} on that link"),
            "the bridge or the cable is down, or the address is nobody's: ip -br link; bridge link",
        ),
        (_, None) => unknown(Step::Neighbour, "was not asked"),
    }
}

/// Whether both are on one network whose members may not talk to one another: the rule is then the cause, not the silence.
fn is_shy(facts: &Facts) -> bool {
    match (out_of(facts), &facts.owner, target(facts)) {
        (Some(from), Some(Owner::Container(to)), Some(address)) => {
            !from.icc && place_of(to, address).is_some_and(|to| to.network == from.network)
        }
        _ => false,
    }
}
