//! # Size: how much is too much
//!
//! `--replicas 1000000000` is a slip of the finger, and must not fell the machines, nor the managers that would write down a task for each.
//! So what is asked for is weighed before anything is made: a container costs its machine some memory whatever it does, and its spec is
//! carried once for every task. What is merely much is let in: the scheduler gives no node more than it can bear, and the rest waits.
//!
//! *In the real world* Docker makes them all and falls over. *Next room:* [`super::networks`]

use super::refusal;
use crate::store::Tables;
use minidock_base::{Kind, Result, units::human_bytes};
use minidock_spec::swarm::{
    node::{Availability, Node, NodeState},
    service::ServiceSpec,
};
use std::sync::Arc;

/// Up to so many tasks nobody counts; a container costs its machine so much at the least; a job may end so often.
const FEW: u64 = 10_000;
const LEAST_BYTES: i64 = 4 << 20;
const MOST_COMPLETIONS: u64 = 100_000;
/// What the managers carry for one service, its spec in every task; and a spec by itself, which goes with the one before it into
/// one message between managers.
const MOST_BYTES: u64 = 32 << 20;
const MOST_OF_ONE: u64 = 4 << 20;

/// What the nodes cannot hold is refused before anything is made.
///
/// # Errors
/// 400, with what would be enough.
pub fn check(tables: &Tables, spec: &ServiceSpec) -> Result<()> {
    let refuse = |text: String, hint: &str| Err(refusal(Kind::Forbidden, text).hint(hint));
    let (wanted, job) = (spec.mode.wanted(), spec.mode.replicated_job);
    if job.is_some() && wanted > MOST_COMPLETIONS {
        return refuse(
            format!("a job of {wanted} completions is more than the {MOST_COMPLETIONS} that can be kept"),
            "let each task do more",
        );
    }
    let is_ready = |n: &&Arc<Node>| n.status.state == NodeState::Ready && n.spec.availability == Availability::Active;
    if spec.mode.is_global() {
        return carry(spec, tables.nodes().filter(is_ready).count() as u64);
    }
    let at_once = job.map_or(wanted, |job| job.max_concurrent.unwrap_or(1).min(wanted));
    let memory: i64 = tables.nodes().filter(is_ready).map(|n| n.description.resources.memory_bytes).sum();
    let most = u64::try_from(memory / LEAST_BYTES).unwrap_or_default();
    if at_once > FEW.max(most) {
        let all = human_bytes(memory as f64);
        let text = format!(
            "{at_once} replicas are more than the nodes can hold: they have {all}, enough for {most} of at least 4MiB each"
        );
        return refuse(text, "ask for less, or add nodes");
    }
    carry(spec, at_once)
}

/// The spec is in every task, and every manager has all of them.
fn carry(spec: &ServiceSpec, at_once: u64) -> Result<()> {
    let bytes = serde_json::to_vec(spec).map_or(0, |text| text.len() as u64);
    let text = match bytes {
        _ if bytes > MOST_OF_ONE => format!("a spec of {} is more than the managers can carry", human_bytes(bytes as f64)),
        _ if bytes.saturating_mul(at_once) > MOST_BYTES => {
            format!("a spec of {} in each of {at_once} tasks is more than the managers can carry", human_bytes(bytes as f64))
        }
        _ => return Ok(()),
    };
    Err(refusal(Kind::Forbidden, text).hint("put what is long into a config: minidock config create"))
}
