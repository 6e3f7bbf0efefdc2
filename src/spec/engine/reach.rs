//! # Reach: whether one can reach another, link by link
//!
//! Ours, not Docker's: the body of `GET /minidock/why/reach?from=A&to=B[:port]`. A connection hangs on a chain of six links; if one
//! of them does not hold, what lies behind it cannot be asked.
//!
//! ```text
//!   name ── address ── route ── neighbour ── rule ── listener
//! ```
//!
//! See: `src/network/reach/mod.rs` (the verdict), `src/engine/reach/mod.rs` (the facts). Next room: [`crate::engine::network`]

use serde::{Deserialize, Serialize};
use std::fmt;

/// A link of the chain, in the order in which a packet depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// What the name means to who asks.
    Name,
    /// Whose the address is now.
    Address,
    /// By which link, and over whom, it is reached.
    Route,
    /// Whether the next one on the way answers.
    Neighbour,
    /// Whether a firewall lets it pass.
    Rule,
    /// Whether somebody listens there.
    Listener,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Step::Name => "name",
            Step::Address => "address",
            Step::Route => "route",
            Step::Neighbour => "neighbour",
            Step::Rule => "rule",
            Step::Listener => "listener",
        })
    }
}

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    Yes,
    No,
    /// It cannot be seen from here, or does not matter.
    Unknown,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub step: Step,
    pub holds: Holds,
    /// What was found.
    pub says: String,
    /// What to do about it.
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The whole chain, as far as it could be asked: at most the last link does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub from: String,
    /// As it was asked for.
    pub to: String,
    pub reachable: bool,
    pub links: Vec<Link>,
}

impl Reach {
    /// The first link that does not hold.
    pub fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.holds == Holds::No)
    }
}
