//! # Reach: the first link that does not hold
//!
//! "A cannot reach B" has a dozen causes, and the symptom is always the same: nothing comes back. But a packet depends on one
//! thing after the other, so they can be asked in order, and the first that does not hold is the cause.
//!
//! ```text
//!   name ─► address ─► route ─► neighbour ─► rule ─► listener
//!   db?     is it      by       does it      may     does anybody
//!           anybody's? which    answer?      it      wait at that
//!                      link?                 pass?   port?
//! ```
//!
//! * [`Facts`] are gathered from where they are (`src/engine/reach.rs`): A's name server, its routes and its neighbour table, our
//!   rules, B's list of sockets, and one real attempt to connect.
//! * [`verdict`] walks the chain: pure, so that every broken link is a test of three lines.
//!
//! Laws: what was not asked is said to be unknown, never guessed; the attempt decides where the chain alone cannot.
//! Next room: [`facts`]

pub mod facts;

use crate::{listening::takes, nft::foreign::Finding};
use facts::{Attempt, Facts, Naming, Owner, Party, Place, Stack, Way};
use minidock_spec::engine::reach::{Holds, Link, Reach, Step};
use std::net::{IpAddr, SocketAddr};

/// Walks the chain to its end or to the first link that does not hold.
pub fn verdict(facts: &Facts) -> Reach {
    let mut links = Vec::new();
    let steps = [name, address, route, neighbour, rule, listener];
    for step in steps {
        let link = step(facts);
        let broken = link.holds == Holds::No;
        links.push(link);
        if broken {
            break;
        }
    }
    let to = match facts.port {
        Some((protocol, port)) if facts.to.contains(':') => format!("[{}]:{port}/{protocol}", facts.to),
        Some((protocol, port)) => format!("{}:{port}/{protocol}", facts.to),
        None => facts.to.clone(),
    };
    let reachable = links.iter().all(|link| link.holds != Holds::No);
    Reach { from: facts.from.name.clone(), to, reachable, links }
}

fn yes(step: Step, says: impl Into<String>) -> Link {
    Link { step, holds: Holds::Yes, says: says.into(), hint: None }
}

fn unknown(step: Step, says: impl Into<String>) -> Link {
    Link { step, holds: Holds::Unknown, says: says.into(), hint: None }
}

fn no(step: Step, says: impl Into<String>, hint: impl Into<String>) -> Link {
    Link { step, holds: Holds::No, says: says.into(), hint: Some(hint.into()) }
}

fn name(facts: &Facts) -> Link {
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
            format!("{server} does not answer when {} asks for {to}: {why}", from.name),
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
            let hint = match meant.stack {
                Stack::Host => format!("{to} has the host's addresses: call the gateway of {mine}"),
                _ => format!("minidock network connect {join} {}", from.name),
            };
            no(Step::Name, format!("no common network: {} is on {mine}, {} on {theirs}", from.name, meant.name), hint)
        }
    }
}

fn target(facts: &Facts) -> Option<IpAddr> {
    match facts.naming.as_ref()? {
        Naming::Literal(address) | Naming::Hosts(address) | Naming::Answered(_, address) => Some(*address),
        _ => None,
    }
}

fn address(facts: &Facts) -> Link {
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

fn place_of(party: &Party, address: IpAddr) -> Option<&Place> {
    party.places.iter().find(|p| p.addresses.contains(&address))
}

fn route(facts: &Facts) -> Link {
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

fn neighbour(facts: &Facts) -> Link {
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

fn rule(facts: &Facts) -> Link {
    let from = out_of(facts);
    let link = match &facts.owner {
        Some(Owner::Itself) => return yes(Step::Rule, "none is asked: it stays inside"),
        Some(Owner::Container(to)) => between(from, target(facts).and_then(|address| place_of(to, address)), false),
        Some(Owner::Host(Some((door, to)))) => between(from, place_of(to, door.ip()), true),
        Some(Owner::Host(None)) => yes(Step::Rule, "ours lets everything pass to the host itself"),
        Some(Owner::Elsewhere) => match from {
            Some(place) if place.internal => no(
                Step::Rule,
                format!("network {} is internal: `iifname @internal drop`", place.network),
                "connect a network that is not internal",
            ),
            Some(place) if place.masquerade => yes(Step::Rule, "it leaves with the host's address (masquerade)"),
            _ => yes(Step::Rule, "it leaves with its own address: the world must know the way back"),
        },
        None => return unknown(Step::Rule, "was not asked"),
    };
    if link.holds != Holds::Yes || facts.attempt == Some(Attempt::Connected) {
        return link;
    }
    if !facts.table && from.is_some() {
        return no(
            Step::Rule,
            "our table inet minidock is not in the kernel: nothing is published or masqueraded",
            "restart the daemon: minidock system stop && minidock system start",
        );
    }
    match facts.findings.first() {
        Some(Finding { what, hint }) if from.is_some() => {
            Link { step: Step::Rule, holds: Holds::No, says: what.clone(), hint: Some(hint.clone()) }
        }
        _ => link,
    }
}

/// The place by which the packet leaves A; `None` when A has the host's stack.
fn out_of(facts: &Facts) -> Option<&Place> {
    match &facts.way {
        Some(Way::Direct { link } | Way::Via { link, .. }) if facts.from.stack == Stack::Bridged => {
            facts.from.places.iter().find(|p| p.inside == *link)
        }
        _ => None,
    }
}

/// What the rules of [`crate::nft`] say of a packet from one place to another.
fn between(from: Option<&Place>, to: Option<&Place>, published: bool) -> Link {
    let Some(from) = from else { return yes(Step::Rule, "what this host sends itself passes") };
    let Some(to) = to else { return yes(Step::Rule, "none of ours is asked") };
    let apart = || format!("networks {} and {} are apart", from.network, to.network);
    if from.network == to.network {
        return match from.icc || published {
            true => yes(Step::Rule, format!("both are on network {}: it is switched, not routed", from.network)),
            false => no(
                Step::Rule,
                format!("members of network {} may not talk to one another (enable_icc=false)", from.network),
                "publish a port, or put both on another network",
            ),
        };
    }
    if from.internal || to.internal {
        let internal = if from.internal { from } else { to };
        let rule = if from.internal { "iifname @internal drop" } else { "oifname vmap @into: drop" };
        return no(
            Step::Rule,
            format!("network {} is internal: nothing goes in or out (`{rule}`)", internal.network),
            format!("minidock network connect both to one network, or leave {} for the others", internal.network),
        );
    }
    match published {
        true => yes(Step::Rule, "a published port may be reached from every network (`ct status dnat accept`)"),
        false => no(
            Step::Rule,
            format!("{}: only published ports lead from one to the other (`oifname vmap @into`: published_only)", apart()),
            "put both on one network, or publish the port and call the host's address",
        ),
    }
}

fn listener(facts: &Facts) -> Link {
    let Some((protocol, port)) = facts.port else {
        return unknown(Step::Listener, "no port was asked for: B:PORT asks");
    };
    let (end, who) = match (&facts.owner, target(facts)) {
        (Some(Owner::Host(Some((door, party)))), _) => (Some(*door), party.name.clone()),
        (Some(Owner::Container(party)), Some(address)) => (Some(SocketAddr::new(address, port)), party.name.clone()),
        (Some(Owner::Itself), Some(address)) => (Some(SocketAddr::new(address, port)), facts.from.name.clone()),
        (Some(Owner::Host(None)), Some(address)) => (Some(SocketAddr::new(address, port)), "this host".into()),
        (_, address) => (None, address.map_or(facts.to.clone(), |address| address.to_string())),
    };
    if facts.attempt == Some(Attempt::Connected) {
        return yes(Step::Listener, format!("{who} accepts connections at port {port}/{protocol}"));
    }
    if let (Some(waiting), Some(end)) = (&facts.waiting, end) {
        let here: Vec<&SocketAddr> = waiting.iter().filter(|at| at.port() == end.port()).collect();
        if here.is_empty() {
            return no(
                Step::Listener,
                format!("nothing in {who} listens at port {}/{protocol}{}", end.port(), others(waiting)),
                "start the program, or ask for the port it really has",
            );
        }
        if !takes(waiting, end) {
            let places: Vec<String> = here.iter().map(|at| at.ip().to_string()).collect();
            return no(
                Step::Listener,
                format!("{who} listens at port {} on {} only, not on {}", end.port(), places.join(", "), end.ip()),
                "let the program listen on 0.0.0.0",
            );
        }
    }
    match &facts.attempt {
        Some(Attempt::Refused) => no(
            Step::Listener,
            format!("{who} refuses port {port}/{protocol}"),
            "nobody listens there, or a firewall there says so",
        ),
        Some(Attempt::Silence) => no(
            Step::Listener,
            format!("all links hold, but {who} does not answer at port {port}/{protocol}"),
            "something on the way drops it that cannot be seen from here: another firewall, a full backlog, a program that hangs",
        ),
        Some(Attempt::Failed(why)) => {
            no(Step::Listener, format!("connecting to port {port}/{protocol} failed: {why}"), "see the message")
        }
        _ if facts.waiting.is_some() => yes(Step::Listener, format!("{who} listens at port {port}/{protocol}")),
        _ => unknown(Step::Listener, "it cannot be seen from here"),
    }
}

fn others(waiting: &[SocketAddr]) -> String {
    let mut list: Vec<String> = waiting.iter().map(SocketAddr::to_string).collect();
    list.sort();
    list.dedup();
    list.truncate(6);
    match list.is_empty() {
        true => "; it listens nowhere".into(),
        false => format!("; it listens at {}", list.join(", ")),
    }
}

#[cfg(test)]
mod tests;
