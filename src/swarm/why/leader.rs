//! # Who leads, or why does nobody?
//!
//! A leader needs the voices of more than half of the managers. Whether there is one, and who has not been heard, is known to each
//! manager by itself; what this room adds is the arithmetic and the ways out.
//!
//! *See:* Raft §5.2. *Next room:* [`crate::manager`]

use crate::manager::{Leadership, Peer};
use minidock_spec::swarm::why::{LeaderWhy, ManagerWhy};

/// The answer of one manager.
pub fn why(known: &Leadership) -> LeaderWhy {
    let row = |peer: &Peer| ManagerWhy {
        id: peer.node_id.clone(),
        hostname: peer.hostname.clone(),
        addr: peer.addr.clone(),
        leads: known.leader.as_deref() == Some(&peer.node_id),
        votes: peer.votes,
        reachable: peer.reachable,
        itself: peer.node_id == known.node_id,
        silence: peer.silence.map(|s| s.as_secs_f64()),
    };
    let managers: Vec<ManagerWhy> = known.managers.iter().map(row).collect();
    let heard = managers.iter().filter(|m| m.votes && (m.reachable || m.itself)).count();
    let voters = managers.iter().filter(|m| m.votes).count();
    let mut why = LeaderWhy {
        leader: known.leader.clone().unwrap_or_default(),
        term: known.term,
        needed: known.needed,
        heard,
        ..LeaderWhy::default()
    };
    let missing: Vec<String> = managers.iter().filter(|m| m.votes && !m.reachable && !m.itself).map(silent).collect();
    match managers.iter().find(|m| m.leads) {
        Some(leader) => {
            why.verdict = format!(
                "{} leads since term {}: {heard} of {voters} managers can be heard, {} are needed",
                name(leader),
                known.term,
                known.needed
            )
        }
        None if heard < known.needed => {
            why.verdict = format!(
                "nobody leads: {} of {voters} managers must agree, and {heard} can be heard; {}",
                known.needed,
                missing.join(", ")
            );
            why.ways.push("start the missing managers again: one that was only off rejoins by itself".into());
            why.ways.push("if they never come back, on the manager that shall survive: minidock swarm init --force-new-cluster (services and nodes are kept, the other managers are forgotten)".into());
        }
        None => {
            why.verdict = format!(
                "nobody leads just now: an election is under way (term {}), and enough managers can be heard",
                known.term
            );
            why.ways.push(
                "ask again in a second; if it goes on, the managers cannot hear one another: look at port 2377 between them"
                    .into(),
            );
        }
    }
    why.managers = managers;
    why
}

fn name(manager: &ManagerWhy) -> &str {
    if manager.hostname.is_empty() { &manager.id } else { &manager.hostname }
}

fn silent(manager: &ManagerWhy) -> String {
    match manager.silence {
        Some(silence) => format!("{} ({}) is silent for {silence:.0} s", name(manager), manager.addr),
        None => format!("{} ({}) has not been heard of", name(manager), manager.addr),
    }
}
