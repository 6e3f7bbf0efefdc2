//! # Deployment: how many, with how much, and what then
//!
//! *See:* docker/cli `cli/compose/convert/service.go`. *Next room:* [`crate::kubernetes`]

use super::wrong;
use crate::{
    node::{Entry, Node},
    values,
};
use minidock_base::{Result, units};
use minidock_spec::swarm::{
    generic::GenericResource,
    service::{Empty, EndpointPort, EndpointSpec, Replicated, ReplicatedJob, ServiceMode, UpdateConfig},
    task::{Amounts, Placement, PlacementPreference, ResourceRequirements, RestartPolicy, Spread},
};

/// Nanoseconds below a key.
pub fn nanoseconds(node: &Node, key: &str) -> Option<i64> {
    values::nanoseconds(node.get(key)?.as_text()?)
}

/// `mode` and `replicas`.
///
/// # Errors
/// An unknown mode; a number of replicas where every node has one.
pub fn mode(service: &Entry) -> Result<ServiceMode> {
    let Some(deploy) = service.node.get("deploy") else {
        return Ok(ServiceMode { replicated: Some(Replicated::default()), ..ServiceMode::default() });
    };
    let (mode, replicas) = (deploy.text("mode"), deploy.count("replicas"));
    let at = deploy.get("mode").map_or(&deploy.at, |node| &node.at);
    match mode.as_str() {
        "" | "replicated" => Ok(ServiceMode { replicated: Some(Replicated { replicas }), ..ServiceMode::default() }),
        "replicated-job" => Ok(ServiceMode {
            replicated_job: Some(ReplicatedJob { max_concurrent: replicas, total_completions: replicas }),
            ..ServiceMode::default()
        }),
        "global" | "global-job" if replicas.is_some() => {
            Err(wrong(at, &service.key, "replicas can only be used with replicated or replicated-job mode"))
        }
        "global" => Ok(ServiceMode { global: Some(Empty {}), ..ServiceMode::default() }),
        "global-job" => Ok(ServiceMode { global_job: Some(Empty {}), ..ServiceMode::default() }),
        other => Err(wrong(at, &service.key, format_args!("Unknown mode: {other}"))
            .hint("replicated, global, replicated-job or global-job")),
    }
}

/// `update_config` or `rollback_config`.
pub fn update(deploy: Option<&Node>, key: &str) -> Option<UpdateConfig> {
    let node = deploy?.get(key)?;
    let usual = UpdateConfig::default();
    let or = |key: &str, usual: String| Some(node.text(key)).filter(|text| !text.is_empty()).unwrap_or(usual);
    Some(UpdateConfig {
        parallelism: node.count("parallelism").unwrap_or(usual.parallelism),
        delay: nanoseconds(node, "delay").unwrap_or(0),
        failure_action: or("failure_action", usual.failure_action),
        monitor: nanoseconds(node, "monitor").unwrap_or(usual.monitor),
        max_failure_ratio: node.float("max_failure_ratio").unwrap_or(0.0) as f32,
        order: or("order", usual.order),
    })
}

/// `resources`: limits and reservations.
///
/// # Errors
/// CPUs that are no number.
pub fn resources(service: &Entry) -> Result<Option<ResourceRequirements>> {
    let Some(resources) = service.node.get("deploy").and_then(|deploy| deploy.get("resources")) else { return Ok(None) };
    let amounts = |key: &str| -> Result<Option<Amounts>> {
        let Some(node) = resources.get(key) else { return Ok(None) };
        let nano_cpus = match node.text("cpus").as_str() {
            "" => 0,
            cpus => units::parse_cpus(cpus).map_err(|error| {
                let at = node.get("cpus").map_or(&node.at, |cpus| &cpus.at);
                wrong(at, &service.key, error.message())
            })?,
        };
        let memory_bytes = node.text("memory").parse().unwrap_or(0);
        let things = node.get("generic_resources").map(Node::items).unwrap_or_default();
        let things = things.iter().filter_map(|thing| thing.get("discrete_resource_spec"));
        let generic = things.map(|spec| GenericResource::discrete(&spec.text("kind"), spec.int("value").unwrap_or(0)));
        Ok(Some(Amounts { nano_cpus, memory_bytes, pids: node.int("pids").unwrap_or(0), generic: generic.collect() }))
    };
    Ok(Some(ResourceRequirements { limits: amounts("limits")?, reservations: amounts("reservations")? }))
}

/// `deploy.restart_policy`, or the old `restart`.
///
/// # Errors
/// A policy that is none.
pub fn restart(service: &Entry) -> Result<Option<RestartPolicy>> {
    if let Some(node) = service.node.get("deploy").and_then(|deploy| deploy.get("restart_policy")) {
        let condition = match node.text("condition").as_str() {
            "" => "any".to_string(),
            known @ ("none" | "on-failure" | "any") => known.to_string(),
            other => {
                let at = node.get("condition").map_or(&node.at, |condition| &condition.at);
                return Err(
                    wrong(at, &service.key, format_args!("unknown restart policy: {other}")).hint("none, on-failure or any")
                );
            }
        };
        let (delay, window) = (nanoseconds(node, "delay"), nanoseconds(node, "window"));
        return Ok(Some(RestartPolicy { condition, delay, window, max_attempts: node.count("max_attempts").unwrap_or(0) }));
    }
    let Some(node) = service.node.get("restart") else { return Ok(None) };
    let text = node.as_text().unwrap_or_default();
    let (policy, times) = text.split_once(':').unwrap_or((text, "0"));
    let condition = match (policy, times.parse()) {
        // as Docker: the old key can make a policy, but not take away the one that every service has
        ("", _) | ("no", Ok(0)) => return Ok(None),
        ("always" | "unless-stopped", Ok(0)) => "any",
        ("on-failure", Ok(_)) => "on-failure",
        _ => return Err(wrong(&node.at, &service.key, format_args!("unknown restart policy: {text}"))),
    };
    let max_attempts = times.parse().unwrap_or(0);
    Ok(Some(RestartPolicy { condition: condition.into(), delay: None, max_attempts, window: None }))
}

/// `placement`.
pub fn placement(deploy: Option<&Node>) -> Placement {
    let Some(node) = deploy.and_then(|deploy| deploy.get("placement")) else { return Placement::default() };
    let preference = |node: &Node| PlacementPreference { spread: Some(Spread { spread_descriptor: node.text("spread") }) };
    Placement {
        constraints: node.texts("constraints"),
        preferences: node.get("preferences").map(Node::items).unwrap_or_default().iter().map(preference).collect(),
        max_replicas: node.count("max_replicas_per_node").unwrap_or(0),
        platforms: Vec::new(),
    }
}

/// `ports` and `endpoint_mode`.
///
/// # Errors
/// A port that is none.
pub fn endpoint(service: &Entry) -> Result<EndpointSpec> {
    let mode = service.node.get("deploy").map(|deploy| deploy.text("endpoint_mode")).unwrap_or_default();
    let mut ports = Vec::new();
    for node in service.node.get("ports").map(Node::items).unwrap_or_default() {
        let number = |key: &str| match node.int(key) {
            None => Ok(0),
            Some(port @ 0..=65535) => Ok(port as u32),
            Some(port) => Err(wrong(&node.at, &service.key, format_args!("{port} is no port"))),
        };
        let or = |key: &str, usual: &str| Some(node.text(key)).filter(|t| !t.is_empty()).unwrap_or(usual.into());
        ports.push(EndpointPort {
            name: String::new(),
            protocol: or("protocol", "tcp"),
            target_port: number("target")?,
            published_port: number("published")?,
            publish_mode: or("mode", "ingress"),
        });
    }
    ports.sort_by_key(|port| port.published_port);
    Ok(EndpointSpec { mode, ports })
}
