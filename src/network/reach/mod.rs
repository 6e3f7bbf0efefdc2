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
//! * [`Facts`] are gathered from where they are (`src/engine/reach/mod.rs`): A's name server, its routes and its neighbour table, our
//!   rules, B's list of sockets, and one real attempt to connect.
//! * [`verdict`] walks the chain: pure, so that every broken link is a test of three lines.
//!
//! Laws: what was not asked is said to be unknown, never guessed; the attempt decides where the chain alone cannot.
//! Next room: `towards.rs`, then `arrival.rs`

mod arrival;
pub mod facts;
mod towards;

use arrival::{listener, rule};
use facts::{Facts, Naming, Party, Place, Stack, Way};
use minidock_spec::engine::reach::{Holds, Link, Reach, Step};
use std::net::IpAddr;
use towards::{address, name, neighbour, route};

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

fn target(facts: &Facts) -> Option<IpAddr> {
    match facts.naming.as_ref()? {
        Naming::Literal(address) | Naming::Hosts(address) | Naming::Answered(_, address) => Some(*address),
        _ => None,
    }
}

fn place_of(party: &Party, address: IpAddr) -> Option<&Place> {
    party.places.iter().find(|p| p.addresses.contains(&address))
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

#[cfg(test)]
mod tests;
