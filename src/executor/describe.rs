//! # Describe: what this node offers
//!
//! The scheduler places tasks by what nodes say of themselves: how many CPUs, how much memory, for which platform, with which labels.
//! A simulated node says what it was given instead of what its machine has, so that a lesson on reservations works on a laptop.
//!
//! *See:* moby `daemon/cluster/executor/container/executor.go` `Describe`. *Next room:* [`crate::ground`]

use crate::Facts;
use minidock_base::Result;
use minidock_engine::{Engine, system};
use minidock_spec::swarm::{
    node::{EngineDescription, NodeDescription, Plugin},
    task::{Amounts, Platform},
};
use std::sync::Arc;

/// No bridge of the kernel has more ports than 1023, and each task is one on each of its networks.
const PORTS_OF_A_BRIDGE: i64 = 1000;
/// What a task costs at least: its keeper, a sandbox, the kernel's share; with room to breathe.
const BYTES_OF_A_TASK: i64 = 16 << 20;

/// How many tasks this machine can bear at once. It is the machine's own memory that counts, whatever a simulated node was given.
fn bears(memory_bytes: i64) -> i64 {
    (memory_bytes / BYTES_OF_A_TASK).clamp(16, PORTS_OF_A_BRIDGE)
}

/// The node's description.
///
/// # Errors
/// What the machine does not tell.
pub async fn describe(engine: &Arc<Engine>, facts: &Facts) -> Result<NodeDescription> {
    let info = system::info(engine).await?;
    let plugins = [("Log", &info.plugins.log), ("Network", &info.plugins.network), ("Volume", &info.plugins.volume)];
    let plugins = plugins
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| Plugin { kind: kind.to_string(), name: name.clone() }));
    Ok(NodeDescription {
        hostname: facts.hostname.clone().unwrap_or(info.name),
        platform: Platform { architecture: info.architecture, os: info.os_type },
        resources: Amounts {
            nano_cpus: facts.nano_cpus.unwrap_or(info.ncpu * 1_000_000_000),
            memory_bytes: facts.memory_bytes.unwrap_or(info.mem_total),
            pids: bears(info.mem_total),
            generic: facts.generic.clone(),
        },
        engine: EngineDescription {
            engine_version: info.server_version,
            labels: facts.labels.clone(),
            plugins: plugins.collect(),
        },
        ..NodeDescription::default()
    })
}
