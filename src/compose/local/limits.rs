//! # Limits: how much of the machine, and what after the end
//!
//! Two generations of keys say the same: `cpus`, `mem_limit`, `restart` of old, and `deploy.resources`, `deploy.restart_policy`, which a
//! swarm reads too. Where both speak, `deploy` wins for amounts and `restart` for the policy.
//!
//! *See:* docker/compose `pkg/compose/create.go` getDeployResources, getRestartPolicy. *Next room:* [`super::mounts`]

use super::project::Service;
use crate::node::Node;
use minidock_base::{Result, units};
use minidock_spec::engine::container::{DeviceMapping, Resources, RestartPolicy, Ulimit};

/// The half of the host's configuration that is about amounts.
///
/// # Errors
/// CPUs that are no number, a limit without both of its ends.
pub fn resources(service: &Service) -> Result<Resources> {
    let node = &service.node;
    let bytes = |node: &Node, key: &str| node.text(key).parse::<i64>().ok();
    let given = |key: &str| node.get("deploy").and_then(|d| d.get("resources")).and_then(|r| r.get(key));
    let (limits, reservations) = (given("limits"), given("reservations"));
    let cpus = limits.map(|limits| limits.text("cpus")).filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| node.text("cpus"));
    let nano_cpus = match cpus.as_str() {
        "" => 0,
        cpus => units::parse_cpus(cpus).map_err(|error| service.wrong("cpus", error.message()))?,
    };
    let device = |node: &Node| DeviceMapping {
        path_on_host: node.text("source"),
        path_in_container: Some(node.text("target")).filter(|target| !target.is_empty()).unwrap_or_else(|| node.text("source")),
        cgroup_permissions: Some(node.text("permissions")).filter(|p| !p.is_empty()).unwrap_or_else(|| "rwm".into()),
    };
    let devices: Vec<DeviceMapping> = node.get("devices").map(Node::items).unwrap_or_default().iter().map(device).collect();
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    Ok(Resources {
        cpu_shares: node.int("cpu_shares").unwrap_or(0),
        memory: limits.and_then(|limits| bytes(limits, "memory")).or(bytes(node, "mem_limit")).unwrap_or(0),
        nano_cpus,
        cgroup_parent: node.text("cgroup_parent"),
        cpu_period: node.int("cpu_period").unwrap_or(0),
        cpu_quota: node.int("cpu_quota").unwrap_or(0),
        cpuset_cpus: node.text("cpuset"),
        devices: (!devices.is_empty()).then_some(devices),
        device_cgroup_rules: some(node.texts("device_cgroup_rules")),
        memory_reservation: reservations.and_then(|r| bytes(r, "memory")).or(bytes(node, "mem_reservation")).unwrap_or(0),
        memory_swap: bytes(node, "memswap_limit").unwrap_or(0),
        memory_swappiness: node.int("mem_swappiness"),
        oom_kill_disable: node.bool("oom_kill_disable"),
        pids_limit: limits.and_then(|limits| limits.int("pids")).or(node.int("pids_limit")),
        ulimits: Some(ulimits(service)?).filter(|all| !all.is_empty()),
        ..Resources::default()
    })
}

fn ulimits(service: &Service) -> Result<Vec<Ulimit>> {
    let mut all = Vec::new();
    for limit in service.node.get("ulimits").map(Node::entries).unwrap_or_default() {
        let (soft, hard) = match (limit.node.int("single"), limit.node.int("soft"), limit.node.int("hard")) {
            (Some(both), ..) => (both, both),
            (None, Some(soft), Some(hard)) => (soft, hard),
            _ => return Err(service.wrong("ulimits", format_args!("ulimits.{}: a number, or soft and hard", limit.key))),
        };
        all.push(Ulimit { name: limit.key.clone(), hard, soft });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// What happens when the program ends.
///
/// # Errors
/// A policy that is none.
pub fn restart(service: &Service) -> Result<RestartPolicy> {
    let text = service.node.text("restart");
    if text.is_empty() {
        let Some(policy) = service.node.get("deploy").and_then(|deploy| deploy.get("restart_policy")) else {
            return Ok(RestartPolicy::default());
        };
        let name = match policy.text("condition").as_str() {
            "none" | "no" => "no",
            "on-failure" => "on-failure",
            "unless-stopped" => "unless-stopped",
            "" | "any" | "always" => "always",
            other => {
                return Err(service
                    .wrong("deploy", format_args!("unknown restart policy: {other}"))
                    .hint("none, on-failure or any"));
            }
        };
        let times = if name == "on-failure" { policy.int("max_attempts").unwrap_or(0) } else { 0 };
        return Ok(RestartPolicy { name: name.into(), maximum_retry_count: times });
    }
    let (name, times) = text.split_once(':').unwrap_or((&text, "0"));
    match (name, times.parse()) {
        ("no" | "always" | "unless-stopped", Ok(0)) => Ok(RestartPolicy { name: name.into(), maximum_retry_count: 0 }),
        ("on-failure", Ok(maximum_retry_count)) if maximum_retry_count >= 0 => {
            Ok(RestartPolicy { name: name.into(), maximum_retry_count })
        }
        _ => Err(service
            .wrong("restart", format_args!("invalid restart policy: {text}"))
            .hint("\"no\", always, unless-stopped, on-failure or on-failure:TIMES")),
    }
}
