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
            pids: 0,
        },
        engine: EngineDescription {
            engine_version: info.server_version,
            labels: facts.labels.clone(),
            plugins: plugins.collect(),
        },
        ..NodeDescription::default()
    })
}
