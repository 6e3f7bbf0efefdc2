//! # The nouns of a swarm: what is wanted, and what is
//!
//! Docker's names for SwarmKit's things. Every object has a head (an ID of 25 letters, a [`Version`] that grows with each
//! change, two times), a *spec*, which is what somebody asked for and only a person's command changes, and a *status*, which
//! is what the loops have found or decided. The distance between the two is the work to do.
//!
//! ```text
//!   Service ── spec: image, replicas … ──orchestrator──► Task ×n ──scheduler──► Node
//!      │                                                  │
//!      └── endpoint: VIPs, ports ◄── allocator            └── status: one step of the ladder at a time ([`task`])
//! ```
//!
//! The same types are the bodies of the Engine API and the rows of the replicated tables, so what a manager stores is what
//! `docker service inspect` shows; rows have a few fields more than Docker's, which its clients ignore.
//!
//! *See:* moby `api/swagger.yaml`, tags Swarm, Node, Service, Task, Secret, Config · swarmkit `api/objects.proto`.
//! *Next room:* [`task`]

pub mod cluster;
pub mod container;
pub mod generic;
pub mod local;
pub mod network;
pub mod node;
pub mod secret;
pub mod service;
pub mod task;
pub mod why;

use serde::{Deserialize, Deserializer, Serialize};

/// Grows with every change of an object; a writer shows the one it read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    #[serde(rename = "Index", default)]
    pub index: u64,
}

fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

fn not(b: &bool) -> bool {
    !*b
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
