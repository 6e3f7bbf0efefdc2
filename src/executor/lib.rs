//! # The executor: tasks become containers
//!
//! The swarm's agent knows rungs, the engine knows containers; this floor stands between them and translates. A task says what it
//! wants in SwarmKit's words; what comes out is a body for `POST /containers/create`, and calls of the engine that anybody could make.
//!
//! ```text
//!   swarm::agent ──► Machine ── ground(view) ─────► [`ground`]    networks, names, the mesh
//!                      │
//!                      └─ controller(task) ─► one container
//! ```
//!
//! Laws: the engine does not know the swarm, and the agent does not know the engine; what a container is of the swarm stands in its
//! labels (`com.docker.swarm.task.id`), so that a daemon that comes back finds its tasks by looking at what is there.
//!
//! *In the real world* this is dockerd's `daemon/cluster/executor/container`. *Next room:* [`ground`]

pub mod ground;

use minidock_engine::Engine;
use minidock_registry::client::Client;
use std::{collections::BTreeMap, sync::Arc};

/// What a node says of itself, where its machine would say otherwise: a simulated node has a name and a share of its own.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `node1`; else the machine's name.
    pub hostname: Option<String>,
    /// Billionths of a CPU; else all there are.
    pub nano_cpus: Option<i64>,
    pub memory_bytes: Option<i64>,
    /// `daemon --label`: the engine's labels.
    pub labels: BTreeMap<String, String>,
}

/// One machine's engine, as the swarm uses it.
pub struct Machine {
    pub engine: Arc<Engine>,
    /// Images come from registries by this.
    pub registry: Arc<Client>,
    pub facts: Facts,
}
