//! # Standing: who leads, who is alive, how many are needed
//!
//! What a member knows at this moment, as plain values, and the three ways in which a proposal can fail. The texts are
//! written for the person who typed a command on a cluster that has just lost its majority: who was heard of, how many
//! are needed, and the ways out.
//!
//! *See:* Docker's "Recover from losing the quorum"; moby's error text `The swarm does not have a leader`.
//! *Next room:* [`crate::membership`]

use crate::{Consensus, kind::Member};
use minidock_base::Error;
use openraft::error::{ClientWriteError, RaftError};
use std::{fmt, time::Duration};

/// One other member as seen from here.
#[derive(Clone, Debug)]
pub struct Seen {
    pub member: Member,
    /// It votes; otherwise it still learns.
    pub votes: bool,
    /// How long ago it last said anything to us; `None`: never since this member started. Zero for oneself.
    pub silence: Option<Duration>,
}

/// What one member knows of the group.
#[derive(Clone, Debug)]
pub struct Standing {
    pub id: u64,
    pub term: u64,
    pub leader: Option<u64>,
    pub members: Vec<Seen>,
    /// As leader: how long ago a majority last answered.
    pub since_quorum: Option<Duration>,
    /// The newest entry applied here.
    pub applied: u64,
}

impl Standing {
    /// How many voters must agree.
    pub fn needed(&self) -> usize {
        self.voters() / 2 + 1
    }

    pub fn voters(&self) -> usize {
        self.members.iter().filter(|m| m.votes).count()
    }

    /// The leader's number and address, if known.
    pub fn leader(&self) -> Option<&Member> {
        let id = self.leader?;
        self.members.iter().map(|m| &m.member).find(|m| m.id == id)
    }

    /// Voters that were heard of within `limit` (oneself included).
    pub fn alive(&self, limit: Duration) -> Vec<&Member> {
        let heard = |m: &&Seen| m.votes && m.silence.is_some_and(|s| s <= limit);
        self.members.iter().filter(heard).map(|m| &m.member).collect()
    }
}

/// Why a proposal was not carried out.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// Another member leads (or none): nothing happened.
    NotLeader(Standing),
    /// This member leads, but a majority no longer answers: nothing happened.
    NoQuorum(Standing),
    /// No answer in time: it may yet be committed.
    Unknown(Standing),
    /// This member has stopped, for this reason.
    Stopped(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotLeader(s) if s.leader.is_some() => write!(f, "this manager is not the leader"),
            Refusal::NotLeader(_) | Refusal::NoQuorum(_) => f.write_str(
                "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.",
            ),
            Refusal::Unknown(_) => f.write_str("no majority of the managers has answered in time; the change may yet take effect"),
            Refusal::Stopped(why) => write!(f, "this manager takes no part any more: {why}"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let text = refusal.to_string();
        let error = Error::unavailable(text);
        match refusal {
            Refusal::NotLeader(s) | Refusal::NoQuorum(s) | Refusal::Unknown(s) => error.hint(ways_out(&s)),
            Refusal::Stopped(_) => error,
        }
    }
}

fn ways_out(standing: &Standing) -> String {
    let alive: Vec<&str> = standing.alive(Duration::from_secs(4)).iter().map(|m| m.address.as_str()).collect();
    let alive = if alive.is_empty() { "none".to_string() } else { alive.join(", ") };
    format!(
        "{} of {} managers are needed; heard of in the last seconds: {alive}. Start the others again, or, if they are lost for \
         good, run swarm init --force-new-cluster on a manager that is left",
        standing.needed(),
        standing.voters()
    )
}

/// openraft's refusal in our words.
pub(crate) fn refusal(error: RaftError<u64, ClientWriteError<u64, Member>>, standing: Standing) -> Refusal {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Refusal::NotLeader(standing),
        RaftError::APIError(other) => Refusal::Stopped(other.to_string()),
        RaftError::Fatal(fatal) => Refusal::Stopped(fatal.to_string()),
    }
}

impl Consensus {
    /// What this member knows of the group now.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics().borrow().clone();
        let config: &openraft::StoredMembership<u64, Member> = &metrics.membership_config;
        let voters: std::collections::BTreeSet<u64> = config.voter_ids().collect();
        let members = config
            .nodes()
            .map(|(id, member)| Seen {
                member: Member { id: *id, ..member.clone() },
                votes: voters.contains(id),
                silence: if *id == self.id { Some(Duration::ZERO) } else { self.wires.silence(*id) },
            })
            .collect();
        Standing {
            id: self.id,
            term: metrics.current_term,
            // who has taken its own voice away leads nobody any more, though it may not have noticed
            leader: metrics.current_leader.filter(|leader| voters.contains(leader)),
            members,
            since_quorum: metrics.millis_since_quorum_ack.map(Duration::from_millis),
            applied: metrics.last_applied.map_or(0, |id| id.index),
        }
    }
}
