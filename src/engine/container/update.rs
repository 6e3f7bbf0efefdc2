//! # Update: other limits, at once
//!
//! Limits are files of a cgroup, so they can change while the container runs. What is given changes, everything else
//! stays; the record keeps the whole, for the next start.
//!
//! ```text
//!   body ─► merged into the record's limits ─► checked ─► runtime update --resources - (if it runs) ─► record
//! ```
//!
//! *See:* moby `daemon/update.go`, `container.UpdateContainer`. *Next room:* [`crate::container::attach`]

use crate::{
    Engine,
    container::{checks, publish, record::Phase, to_the_end},
    oci_config::resources,
    runtime_client,
};
use minidock_base::{Doing, Error, Result};
use minidock_spec::engine::container::{Resources, UpdateAnswer, UpdateBody};
use std::sync::Arc;

/// Changes limits and the restart policy of a container.
///
/// # Errors
/// 400 for limits that make no sense; what the kernel refuses.
pub async fn update(engine: &Arc<Engine>, text: &str, body: UpdateBody) -> Result<UpdateAnswer> {
    let (engine, text) = (engine.clone(), text.to_string());
    to_the_end(async move { steps(&engine, &text, body).await }).await
}

async fn steps(engine: &Arc<Engine>, text: &str, mut body: UpdateBody) -> Result<UpdateAnswer> {
    let container = engine.containers.find(text)?;
    let _life = container.life.lock().await;
    let record = container.record();
    let doing = |e: Error| e.during(format!("update container {text}"));
    if matches!(record.state.phase, Phase::Removing | Phase::Dead) {
        return Err(doing(Error::conflict("container is marked for removal and cannot be \"update\"")));
    }
    let warnings = checks::resources(&mut body.resources, true).map_err(doing)?;
    if let Some(policy) = &body.restart_policy {
        checks::restart_policy(policy)?;
        if record.host_config.auto_remove && !matches!(policy.name.as_str(), "" | "no") {
            return Err(Error::invalid("Restart policy cannot be updated because AutoRemove is enabled for the container"));
        }
    }
    let merged = merge(&record.host_config.resources, &body.resources).map_err(doing)?;
    let limits = resources::limits(&body.resources, Vec::new())?;
    let changes_limits = limits.as_object().is_some_and(|l| !l.is_empty());
    if record.state.has_process() && changes_limits {
        let text = serde_json::to_vec(&resources::limits(&only_limits(&merged), Vec::new())?).doing(|| "encode the limits")?;
        runtime_client::call(engine, &["update", "--resources", "-", &container.id], &text).await.map_err(doing)?;
    }
    container.change(|r| {
        r.host_config.resources = merged;
        if let Some(policy) = body.restart_policy.filter(|p| !p.name.is_empty()) {
            r.host_config.restart_policy = policy;
        }
        Ok(())
    })?;
    publish(engine, &container.record(), "update", &[]);
    Ok(UpdateAnswer { warnings: Some(warnings) })
}

/// What of the limits a running container can take over: no devices.
fn only_limits(all: &Resources) -> Resources {
    Resources { devices: None, ..all.clone() }
}

/// The old limits with what was given over them.
fn merge(old: &Resources, new: &Resources) -> Result<Resources> {
    let mut all = old.clone();
    let number = |mine: &mut i64, theirs: i64| {
        if theirs != 0 {
            *mine = theirs;
        }
    };
    for (wanted, set, words) in [
        (new.nano_cpus, old.cpu_period, "Nano CPUs cannot be updated as CPU Period"),
        (new.nano_cpus, old.cpu_quota, "Nano CPUs cannot be updated as CPU Quota"),
        (new.cpu_period, old.nano_cpus, "CPU Period cannot be updated as NanoCPUs"),
        (new.cpu_quota, old.nano_cpus, "CPU Quota cannot be updated as NanoCPUs"),
    ] {
        if wanted > 0 && set > 0 {
            return Err(Error::conflict(format!("Conflicting options: {words} has already been set")));
        }
    }
    number(&mut all.cpu_shares, new.cpu_shares);
    number(&mut all.nano_cpus, new.nano_cpus);
    number(&mut all.cpu_period, new.cpu_period);
    number(&mut all.cpu_quota, new.cpu_quota);
    number(&mut all.cpu_realtime_period, new.cpu_realtime_period);
    number(&mut all.cpu_realtime_runtime, new.cpu_realtime_runtime);
    number(&mut all.memory_reservation, new.memory_reservation);
    if new.memory != 0 {
        let raises_over_swap = new.memory_swap == 0 && old.memory_swap > 0 && new.memory > old.memory_swap;
        if raises_over_swap {
            return Err(Error::invalid(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            ));
        }
        all.memory = new.memory;
    }
    number(&mut all.memory_swap, new.memory_swap);
    if new.blkio_weight != 0 {
        all.blkio_weight = new.blkio_weight;
    }
    for (mine, theirs) in [(&mut all.cpuset_cpus, &new.cpuset_cpus), (&mut all.cpuset_mems, &new.cpuset_mems)] {
        if !theirs.is_empty() {
            mine.clone_from(theirs);
        }
    }
    if new.pids_limit.is_some() {
        all.pids_limit = new.pids_limit;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_changes() {
        let old = Resources { memory: 64 << 20, memory_swap: 128 << 20, cpu_shares: 512, ..Resources::default() };
        let new = Resources { memory: 32 << 20, pids_limit: Some(50), ..Resources::default() };
        let all = merge(&old, &new).expect("plain");
        assert_eq!((all.memory, all.memory_swap, all.cpu_shares, all.pids_limit), (32 << 20, 128 << 20, 512, Some(50)));
        let high = Resources { memory: 1 << 30, ..Resources::default() };
        assert!(merge(&old, &high).unwrap_err().message().contains("memoryswap"));
        let (cpus, quota) =
            (Resources { nano_cpus: 5, ..Resources::default() }, Resources { cpu_quota: 5000, ..Resources::default() });
        assert!(merge(&cpus, &quota).unwrap_err().message().contains("CPU Quota cannot be updated as NanoCPUs has already"));
        assert!(merge(&quota, &cpus).unwrap_err().message().contains("Nano CPUs cannot be updated as CPU Quota has already"));
    }
}
