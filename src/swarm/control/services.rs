//! # Services: validate, create, update, remove
//!
//! What must hold of a service before it is written: a name, an image, constraints that can be read, networks, secrets and configs
//! that exist, ports that no other service has. An update keeps name and mode; when what tasks are made of has changed, the spec
//! gets a new version, and the updater does the rest. The spec before it is kept for a rollback.
//!
//! *See:* swarmkit `manager/controlapi/service.go`. *Next room:* [`super::networks`]

use super::{Decided, check_dns_name, find, out_of_sequence, refusal, size};
use crate::{
    agent::expand,
    allocator::{is_of_the_node, ports},
    orchestrator::Context,
    scheduler::constraint,
    store::{Action, Table, Tables},
};
use minidock_base::{Error, Kind, Result};
use minidock_spec::{
    reference::Reference,
    swarm::{
        Version,
        generic::GenericResource,
        service::{EndpointPort, JobStatus, Service, ServiceSpec, UpdateConfig, UpdateStatus},
        task::ContainerSpec,
    },
};
use serde_json::json;
use std::collections::BTreeSet;

fn invalid(text: impl std::fmt::Display) -> Error {
    refusal(Kind::InvalidParameter, text)
}

/// A new service. Its name was chosen by the asker, or for it: a decision draws no random names.
///
/// # Errors
/// See the essay.
pub fn create(tables: &Tables, spec: &ServiceSpec, context: &mut Context) -> Decided {
    if tables.named(Table::Service, &spec.name).is_some() {
        let text = format!("name conflicts with an existing object: service {} already exists", spec.name);
        return Err(refusal(Kind::Conflict, text));
    }
    let spec = checked(tables, spec.clone(), None)?;
    let job = spec.mode.is_job().then(|| JobStatus { last_execution: Some(context.now), ..JobStatus::default() });
    let service = Service { id: (context.new_id)(), spec, job_status: job, ..Service::default() };
    let answer = json!({ "ID": service.id });
    Ok((vec![Action::Put(service.into())], answer))
}

/// Another spec for a service; `rollback`: the one before.
///
/// # Errors
/// See the essay.
pub fn update(tables: &Tables, text: &str, version: u64, spec: &ServiceSpec, rollback: bool, context: &mut Context) -> Decided {
    let id = find(tables, Table::Service, text)?;
    let before = tables.service(&id).ok_or_else(|| Error::not_found(format!("service {text} not found")))?;
    if before.version.index != version {
        return Err(out_of_sequence());
    }
    let mut service = Service::clone(before);
    let wanted = match (rollback, &service.previous_spec) {
        (false, _) => spec.clone(),
        (true, Some(previous)) => previous.clone(),
        (true, None) => return Err(refusal(Kind::Forbidden, format!("service {id} does not have a previous spec"))),
    };
    let wanted = checked(tables, wanted, Some(before))?;
    if wanted.task_template != before.spec.task_template
        || held(&wanted) != held(&before.spec)
        || wanted.networks != before.spec.networks
    {
        service.spec_version = Version { index: service.spec_version.index + 1 };
    }
    if let Some(job) = &mut service.job_status {
        job.job_iteration.index += 1;
        job.last_execution = Some(context.now);
    }
    service.update_status = rollback.then(|| UpdateStatus {
        state: "rollback_started".into(),
        started_at: Some(context.now),
        completed_at: None,
        message: "manually requested rollback".into(),
    });
    service.previous_spec = Some(std::mem::replace(&mut service.spec, wanted));
    Ok((vec![Action::Put(service.into())], json!({ "Warnings": null })))
}

/// Removes a service; its tasks follow.
///
/// # Errors
/// 404.
pub fn remove(tables: &Tables, text: &str) -> Decided {
    let id = find(tables, Table::Service, text)?;
    Ok((vec![Action::Delete(Table::Service, id)], json!(null)))
}

/// Ports that tasks hold themselves: a change of them is a change of the tasks.
fn held(spec: &ServiceSpec) -> Vec<&EndpointPort> {
    spec.endpoint_spec.iter().flat_map(|e| &e.ports).filter(|p| p.publish_mode == "host").collect()
}

/// The spec with names of networks replaced by IDs, if it is one that can be carried out.
fn checked(tables: &Tables, mut spec: ServiceSpec, before: Option<&Service>) -> Result<ServiceSpec> {
    check_dns_name(&spec.name)?;
    let modes = [
        spec.mode.replicated.is_some(),
        spec.mode.global.is_some(),
        spec.mode.replicated_job.is_some(),
        spec.mode.global_job.is_some(),
    ];
    if modes.iter().filter(|m| **m).count() > 1 {
        return Err(Error::invalid("must specify only one service mode"));
    }
    if let Some(before) = before {
        if spec.name != before.spec.name {
            return Err(refusal(Kind::NotImplemented, "renaming services is not supported"));
        }
        if spec.mode.name() != before.spec.mode.name() {
            return Err(refusal(Kind::NotImplemented, "service mode change is not allowed"));
        }
    }
    let container = spec.task_template.container_spec.as_ref();
    let container = container.ok_or_else(|| invalid("ContainerSpec: missing in service spec"))?;
    check_container(tables, container)?;
    check_terms(&spec)?;
    size::check(tables, &spec)?;
    check_ports(tables, &spec, before)?;
    for network in spec.task_template.networks.iter_mut().chain(&mut spec.networks) {
        network.target = target(tables, &network.target)?;
    }
    Ok(spec)
}

fn check_container(tables: &Tables, container: &ContainerSpec) -> Result<()> {
    if container.image.is_empty() {
        return Err(invalid("ContainerSpec: image reference must be provided"));
    }
    if Reference::parse(&container.image).is_err() {
        return Err(invalid(format!("ContainerSpec: {:?} is not a valid repository/tag", container.image)));
    }
    expand::check(container)?;
    let mut places = BTreeSet::new();
    let secrets = container.secrets.iter().map(|s| (Table::Secret, &s.secret_id, &s.secret_name, &s.file));
    let configs = container.configs.iter().map(|c| (Table::Config, &c.config_id, &c.config_name, &c.file));
    for (table, id, name, file) in secrets.chain(configs) {
        if tables.row(table, id).is_none() {
            return Err(invalid(format!("{table} not found: {name}")));
        }
        let place = file.as_ref().map(|f| f.name.clone()).unwrap_or_default();
        if !place.is_empty() && !places.insert((table, place.clone())) {
            return Err(invalid(format!("{table} references '{name}' and another one have a conflicting target: '{place}'")));
        }
    }
    let mut targets = BTreeSet::new();
    match container.mounts.iter().find(|m| !targets.insert(&m.target)) {
        Some(twice) => Err(invalid(format!("ContainerSpec: duplicate mount point: {}", twice.target))),
        None => Ok(()),
    }
}

/// Restart, resources, placement and update: numbers and words that make sense.
fn check_terms(spec: &ServiceSpec) -> Result<()> {
    let template = &spec.task_template;
    if let Some(policy) = &template.restart_policy {
        if !matches!(policy.condition.as_str(), "" | "none" | "on-failure" | "any") {
            return Err(Error::invalid(format!("invalid RestartCondition: \"{}\"", policy.condition)));
        }
        if policy.delay.is_some_and(|d| d < 0) {
            return Err(invalid("TaskSpec: restart-delay cannot be negative"));
        }
        if spec.mode.is_job() && policy.condition == "any" {
            return Err(invalid("Restart condition \"any\" is not allowed for jobs"));
        }
    }
    for amounts in template.resources.iter().flat_map(|r| [&r.limits, &r.reservations]).flatten() {
        if let Some(named) = amounts.generic.iter().find(|r| !matches!(r, GenericResource::Discrete(some) if some.value >= 0)) {
            return Err(invalid(format!("invalid argument for resource {}", named.kind())).hint("a number of them, 0 or more"));
        }
        if amounts.nano_cpus != 0 && amounts.nano_cpus < 1_000_000 {
            let cpus = amounts.nano_cpus as f64 / 1e9;
            return Err(invalid(format!("invalid cpu value {}: Must be at least 0.001", scientific(cpus))));
        }
        if amounts.memory_bytes != 0 && amounts.memory_bytes < 4 << 20 {
            return Err(invalid(format!("invalid memory value {}: Must be at least 4MiB", amounts.memory_bytes)));
        }
    }
    for constraint in template.placement.iter().flat_map(|p| &p.constraints) {
        constraint::parse(constraint)?;
    }
    for config in [&spec.update_config, &spec.rollback_config].into_iter().flatten() {
        check_update(config)?;
    }
    if spec.mode.is_job() && spec.update_config.is_some() {
        return Err(invalid("Jobs may not have an update config"));
    }
    Ok(())
}

/// As Go prints a small float.
fn scientific(number: f64) -> String {
    if number >= 1e-4 { number.to_string() } else { format!("{number:e}").replace("e-", "e-0") }
}

fn check_update(config: &UpdateConfig) -> Result<()> {
    if config.delay < 0 {
        return Err(invalid("TaskSpec: update-delay cannot be negative"));
    }
    if config.monitor < 0 {
        return Err(invalid("TaskSpec: update-monitor cannot be negative"));
    }
    if !(0.0..=1.0).contains(&config.max_failure_ratio) {
        return Err(invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"));
    }
    if !matches!(config.failure_action.as_str(), "" | "pause" | "continue" | "rollback") {
        return Err(Error::invalid(format!("unrecognized update failure action {}", config.failure_action)));
    }
    match config.order.as_str() {
        "" | "stop-first" | "start-first" => Ok(()),
        other => Err(Error::invalid(format!("unrecognized update order {other}"))),
    }
}

fn check_ports(tables: &Tables, spec: &ServiceSpec, before: Option<&Service>) -> Result<()> {
    let Some(endpoint) = &spec.endpoint_spec else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for port in &endpoint.ports {
        if port.target_port == 0 || port.target_port > 65_535 || port.published_port > 65_535 {
            return Err(invalid(format!("EndpointSpec: invalid port {}", port.target_port.max(port.published_port))));
        }
        if !matches!(port.protocol.as_str(), "tcp" | "udp") {
            return Err(invalid(format!("EndpointSpec: ports can be published over tcp and udp, not over {}", port.protocol)));
        }
        if endpoint.mode == "dnsrr" && port.publish_mode != "host" {
            let text = "EndpointSpec: port published with ingress mode can't be used with dnsrr mode";
            return Err(
                invalid(text).hint("it is reached through the virtual address: --endpoint-mode vip, or publish with mode=host")
            );
        }
        let key = (port.publish_mode.as_str(), port.protocol.as_str(), port.published_port);
        if port.published_port != 0 && !seen.insert(key) {
            return Err(invalid("EndpointSpec: duplicate published ports provided"));
        }
        let other = ports::holder(tables, &port.protocol, port.published_port).filter(|s| before.is_none_or(|b| b.id != s.id));
        if let Some(other) = other.filter(|_| port.publish_mode != "host") {
            let (number, name, id) = (port.published_port, &other.spec.name, &other.id);
            return Err(invalid(format!("port '{number}' is already in use by service '{name}' ({id}) as an ingress port")));
        }
    }
    Ok(())
}

/// A network's ID.
fn target(tables: &Tables, text: &str) -> Result<String> {
    if is_of_the_node(text) {
        return Ok(text.to_string());
    }
    let id = find(tables, Table::Network, text)
        .map_err(|e| e.hint("services use networks of the swarm: minidock network create -d overlay NAME makes one"))?;
    match tables.network(&id) {
        Some(network) if network.spec.ingress => {
            Err(invalid("Service cannot be explicitly attached to the ingress network \"ingress\""))
        }
        _ => Ok(id),
    }
}
