//! # The wire between nodes
//!
//! One port (2377), one protocol: TLS 1.3 with the swarm's own certificates, and inside it frames. A frame is four bytes of
//! length, one byte of kind, and the payload:
//!
//! ```text
//!   ┌────────────┬──────┬───────────────┐   kind  A  an [`Ask`] as JSON          answered by one frame O (ok) or E (error)
//!   │ length, BE │ kind │ payload       │         R  a message between managers  answered by one frame O or E
//!   └────────────┴──────┴───────────────┘         S  from here on a [`line`]: both sides send when they like
//!                                                 T, H  a line on which what tasks say is told, or heard
//! ```
//!
//! * [`desk`]: the manager's end. Who calls is read from the certificate; what may be asked depends on it.
//! * [`phone`]: the caller's end, with connections kept open for the next call.
//! * [`line`]: an agent's session with the dispatcher.
//!
//! Laws: a frame is at most 64 MiB, a stranger's 64 KiB; whoever sends more, or nonsense, is hung up on. A caller without a
//! certificate may ask for the root and for a certificate, nothing else. *See:* RFC 8446; swarmkit's gRPC services stand in its `api/*.proto`.
//! *Next room:* [`desk`]

pub mod desk;
pub mod frame;
pub mod line;
pub mod phone;

use crate::{
    ca::Subject,
    control::{Wish, attachments::Attach},
};
use minidock_spec::swarm::{
    local::RemoteManager,
    node::{Availability, Role},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What may be asked of a manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// The root certificate; anybody may ask.
    Root,
    /// A certificate for a newcomer; the token says as what.
    Join { token: String, request: String, availability: Availability },
    /// A new certificate for a node of this swarm, in the role the managers want it in.
    Renew { request: String },
    /// A manager that has its certificate asks to be one of those who agree.
    Enlist { raft_id: u64, address: String },
    /// Something a person wants, sent on by a manager that does not lead.
    Wish(Box<Wish>),
    /// A container of a person on the asking node wants a place on a network.
    Attach(Attach),
    /// A node leaves the swarm: it need not be waited for.
    Farewell,
    /// A manager leaves the swarm: its voice shall not be counted any more.
    Resign,
    /// What a manager that does not lead was asked, by whom (none: a newcomer) and from where.
    Relay { node: Option<Subject>, address: SocketAddr, ask: Box<Ask> },
}

/// The answer to [`Ask::Join`] and [`Ask::Renew`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Papers {
    pub node_id: String,
    pub cluster_id: String,
    /// PEM; while the root is rotated a chain.
    pub certificate: String,
    /// Roots to trust, PEM.
    pub root: String,
    pub role: Role,
    pub managers: Vec<RemoteManager>,
}

/// The answer to [`Ask::Wish`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// What the asker is told, and the entry of the log by which it is true.
    Granted { index: u64, value: serde_json::Value },
    /// Nothing happened: somebody else leads.
    NotLeader,
}

impl Ask {
    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Ask::Root => "the root certificate",
            Ask::Join { .. } => "to join",
            Ask::Renew { .. } => "a new certificate",
            Ask::Enlist { .. } => "to be a manager",
            Ask::Wish(_) => "a change",
            Ask::Attach(_) => "a place on a network",
            Ask::Farewell | Ask::Resign => "to leave",
            Ask::Relay { ask, .. } => ask.name(),
        }
    }
}

#[cfg(test)]
mod tests;
