//! # Arrival: rule and listener
//!
//! The last two links: whether the firewall lets the packet pass ([`crate::nft`] says what the rules are), and whether somebody waits for
//! it. Here the real attempt has the last word: what was tried and worked is not in the way.
//!
//! Next room: [`crate::reach::facts`]

use super::{
    facts::{Attempt, Facts, Owner, Place},
    no, out_of, place_of, target, unknown, yes,
};
use crate::{listening::takes, nft::foreign::Finding};
use minidock_spec::engine::reach::{Holds, Link, Step};
use std::net::{IpAddr, SocketAddr};

pub(super) fn rule(facts: &Facts) -> Link {
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

pub(super) fn listener(facts: &Facts) -> Link {
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
    if let (Some(Owner::Host(None)), [_, ..]) = (&facts.owner, facts.published_on.as_slice()) {
        let on: Vec<String> = facts.published_on.iter().map(IpAddr::to_string).collect();
        let asked = target(facts).map_or(facts.to.clone(), |address| address.to_string());
        return no(
            Step::Listener,
            format!("port {port}/{protocol} is published on {} only, not on {asked}", on.join(", ")),
            format!("publish it on every address: -p {port}:…"),
        );
    }
    if let (Some(waiting), Some(end)) = (&facts.waiting, end) {
        let here: Vec<&SocketAddr> = waiting.iter().filter(|at| at.port() == end.port()).collect();
        if here.is_empty() {
            return no(
                Step::Listener,
                format!("nothing listens at port {}/{protocol} of {who}{}", end.port(), others(waiting)),
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
    // the name server that we have put there is nobody's program
    let embedded = IpAddr::from([127, 0, 0, 11]);
    let mut list: Vec<String> = waiting.iter().filter(|at| at.ip() != embedded).map(SocketAddr::to_string).collect();
    list.sort();
    list.dedup();
    list.truncate(6);
    match list.is_empty() {
        true => "; it listens nowhere".into(),
        false => format!("; it listens at {}", list.join(", ")),
    }
}
