//! # service inspect --pretty: a service, for people
//!
//! The JSON of a service is long; this page says the same in some twenty lines, in Docker's words and Docker's uneven tabs, for people have
//! scripts that look for them.
//!
//! * [`page`]: one service. [`super::pretty_container`] writes the part about the container.
//!
//! *See:* docker/cli `cli/command/service/formatter.go`. *Next room:* [`super::pretty_container`]

use super::pretty_container::{container, healthcheck};
use crate::page::{pairs, put};
use jiff::Timestamp;
use minidock_base::units;
use minidock_spec::swarm::{
    service::{Service, UpdateConfig, UpdateStatus},
    task::{Amounts, ResourceRequirements, TaskSpec},
};
use std::{collections::BTreeMap, time::Duration};

/// The page of one service; `networks` are names by ID.
pub fn page(service: &Service, networks: &BTreeMap<String, String>, now: Timestamp) -> String {
    let spec = &service.spec;
    let mut text = format!("\nID:\t\t{}\nName:\t\t{}\n", service.id, spec.name);
    if !spec.labels.is_empty() {
        text += "Labels:\n";
        pairs(&mut text, " ", "=", &spec.labels);
    }
    text += "Service Mode:";
    if spec.mode.is_global() && !spec.mode.is_job() {
        text += "\tGlobal\n";
    } else if let Some(replicated) = &spec.mode.replicated {
        text += "\tReplicated\n";
        if let Some(replicas) = replicated.replicas {
            put(&mut text, " Replicas:\t", &replicas.to_string());
        }
    } else {
        text += "\n";
    }
    if let Some(status) = service.update_status.as_ref().filter(|status| !status.state.is_empty()) {
        update_status(&mut text, status, now);
    }
    placement(&mut text, &spec.task_template);
    rollout(&mut text, "Update", spec.update_config.as_ref());
    rollout(&mut text, "Rollback", spec.rollback_config.as_ref());
    if let Some(spec) = &spec.task_template.container_spec {
        container(&mut text, spec);
    }
    if let Some(driver) = &spec.task_template.log_driver {
        text += "Log Driver:\n";
        if !driver.name.is_empty() {
            put(&mut text, " Name:\t\t", &driver.name);
        }
        if !driver.options.is_empty() {
            text += " LogOpts:\n";
            pairs(&mut text, "  ", ":       ", &driver.options);
        }
        text += "\n";
    }
    resources(&mut text, spec.task_template.resources.as_ref());
    if !spec.task_template.networks.is_empty() {
        let name = |id: &String| networks.get(id).unwrap_or(id).clone();
        let names: Vec<String> = spec.task_template.networks.iter().map(|network| name(&network.target)).collect();
        put(&mut text, "Networks: ", &format!("{} ", names.join(" ")));
    }
    let mode = spec.endpoint_spec.as_ref().map(|endpoint| endpoint.mode.as_str()).unwrap_or_default();
    put(&mut text, "Endpoint Mode:\t", mode);
    ports(&mut text, service);
    if let Some(check) = spec.task_template.container_spec.as_ref().and_then(|spec| spec.healthcheck.as_ref()) {
        healthcheck(&mut text, check);
    }
    text + "\n"
}

fn update_status(text: &mut String, status: &UpdateStatus, now: Timestamp) {
    let ago = |at: Timestamp| {
        format!("{} ago", units::human_duration(Duration::try_from(now.duration_since(at)).unwrap_or_default()))
    };
    *text += "UpdateStatus:\n";
    put(text, " State:\t\t", &status.state);
    if let Some(at) = status.started_at {
        put(text, " Started:\t", &ago(at));
    }
    if let Some(at) = status.completed_at.filter(|_| status.state == "completed") {
        put(text, " Completed:\t", &ago(at));
    }
    put(text, " Message:\t", &status.message);
}

fn placement(text: &mut String, task: &TaskSpec) {
    *text += "Placement:\n";
    let Some(placement) = &task.placement else { return };
    if !placement.constraints.is_empty() {
        put(text, " Constraints:\t", &format!("[{}]", placement.constraints.join(" ")));
    }
    let over: Vec<String> = placement
        .preferences
        .iter()
        .filter_map(|preference| preference.spread.as_ref())
        .map(|spread| format!("spread={}", spread.spread_descriptor))
        .collect();
    if !over.is_empty() {
        put(text, " Preferences:   ", &format!("[{}]", over.join(" ")));
    }
    if placement.max_replicas > 0 {
        put(text, " Max Replicas Per Node:   ", &placement.max_replicas.to_string());
    }
}

fn rollout(text: &mut String, which: &str, config: Option<&UpdateConfig>) {
    let Some(config) = config else { return };
    put(text, which, "Config:");
    put(text, " Parallelism:\t", &config.parallelism.to_string());
    if config.delay > 0 {
        put(text, " Delay:\t\t", &units::go_duration(config.delay));
    }
    put(text, " On failure:\t", &config.failure_action);
    if config.monitor > 0 {
        put(text, " Monitoring Period: ", &units::go_duration(config.monitor));
    }
    put(text, " Max failure ratio: ", &config.max_failure_ratio.to_string());
    put(text, &format!(" {:<19}", format!("{which} order:")), &config.order);
}

fn resources(text: &mut String, resources: Option<&ResourceRequirements>) {
    let Some(resources) = resources else { return };
    *text += "Resources:\n";
    let any = |amounts: &&Amounts| amounts.nano_cpus > 0 || amounts.memory_bytes > 0 || amounts.pids > 0;
    let mut part = |name: &str, amounts: Option<&Amounts>| {
        let Some(amounts) = amounts.filter(any) else { return };
        put(text, " ", &format!("{name}:"));
        if amounts.nano_cpus > 0 {
            put(text, "  CPU:\t\t", &(amounts.nano_cpus as f64 / 1e9).to_string());
        }
        if amounts.memory_bytes > 0 {
            put(text, "  Memory:\t", &units::human_bytes(amounts.memory_bytes as f64));
        }
        if amounts.pids > 0 {
            put(text, "  PIDs:\t\t", &amounts.pids.to_string());
        }
    };
    part("Reservations", resources.reservations.as_ref());
    part("Limits", resources.limits.as_ref());
}

fn ports(text: &mut String, service: &Service) {
    if service.endpoint.ports.is_empty() {
        return;
    }
    *text += "Ports:\n";
    for port in &service.endpoint.ports {
        put(text, " PublishedPort = ", &port.published_port.to_string());
        put(text, "  Protocol = ", &port.protocol);
        put(text, "  TargetPort = ", &port.target_port.to_string());
        put(text, "  PublishMode = ", &port.publish_mode);
    }
    text.pop();
    *text += " \n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn show(service: serde_json::Value) -> String {
        let service: Service = serde_json::from_value(service).expect("a service");
        let networks = BTreeMap::from([("n1".to_string(), "over".to_string())]);
        page(&service, &networks, "2026-11-27T10:01:00Z".parse().expect("a moment"))
    }

    /// What `docker service inspect --pretty` of 28.2 says of the same services.
    #[test]
    fn a_plain_service_reads_as_dockers() {
        let config = json!({"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000i64, "MaxFailureRatio": 0, "Order": "stop-first"});
        let plain = json!({
            "ID": "4sf1i38db83dnmjvlrnn7mvxs", "Endpoint": {"Spec": {}},
            "Spec": {"Name": "web", "Labels": {}, "Mode": {"Replicated": {"Replicas": 1}}, "EndpointSpec": {"Mode": "vip"}, "UpdateConfig": config, "RollbackConfig": config,
                "TaskTemplate": {"ContainerSpec": {"Image": "alpine:latest", "Args": ["sleep", "1000"], "Env": ["A=1"], "Init": false}, "Resources": {"Limits": {}, "Reservations": {}}, "Placement": {}}},
            "UpdateStatus": {"State": "rollback_completed", "StartedAt": "2026-11-27T10:00:54Z", "Message": "rollback completed"}
        });
        assert_eq!(
            show(plain),
            "\nID:\t\t4sf1i38db83dnmjvlrnn7mvxs\nName:\t\tweb\nService Mode:\tReplicated\n Replicas:\t1\nUpdateStatus:\n State:\t\trollback_completed\n Started:\t6 seconds ago\n \
             Message:\trollback completed\nPlacement:\nUpdateConfig:\n Parallelism:\t1\n On failure:\tpause\n Monitoring Period: 5s\n Max failure ratio: 0\n Update order:      stop-first\n\
             RollbackConfig:\n Parallelism:\t1\n On failure:\tpause\n Monitoring Period: 5s\n Max failure ratio: 0\n Rollback order:    stop-first\nContainerSpec:\n Image:\t\talpine:latest\n \
             Args:\t\tsleep 1000 \n Env:\t\tA=1 \n Init:\t\tfalse\nResources:\nEndpoint Mode:\tvip\n\n"
        );
    }
}
