//! # Workloads: what keeps copies running
//!
//! *See:* Kubernetes API: Deployment, DaemonSet, Job, PodSpec. *Next room:* [`super::storage`]

use super::{Scope, label, member, storage};
use minidock_spec::swarm::{
    container::ContainerSpec,
    service::{ServiceSpec, UpdateConfig},
    task::{Amounts, TaskSpec},
};
use serde_json::{Map, Value, json};

/// A Deployment, a DaemonSet or a Job; what has no counterpart is noted.
pub fn workload(scope: &Scope, service: &ServiceSpec, notes: &mut Vec<String>) -> Value {
    let name = scope.inside(&service.name);
    let mut note = |what: String| notes.push(format!("service {name}: {what}"));
    let mut metadata = scope.metadata(&name);
    let own = service.labels.iter().filter(|(key, _)| !key.starts_with("com.docker.stack."));
    let annotations: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations);
    }
    let mut pod = pod(scope, service, &mut note);
    gaps(scope, service, &mut note);
    let selector = json!({"matchLabels": {"app.kubernetes.io/name": name.as_str()}});
    let mode = &service.mode;
    let (version, kind, spec) = if mode.is_job() {
        // without a policy a swarm tries again, too
        let failing = service.task_template.restart_policy.as_ref().is_none_or(|policy| policy.condition != "none");
        pod["spec"]["restartPolicy"] = if failing { "OnFailure" } else { "Never" }.into();
        let wanted = if mode.is_global() { 1 } else { mode.wanted() };
        if mode.is_global() {
            note("a job on every node has no counterpart: it becomes a job that runs once".into());
        }
        ("batch/v1", "Job", json!({"parallelism": wanted, "completions": wanted, "template": pod}))
    } else if mode.is_global() {
        ("apps/v1", "DaemonSet", json!({"selector": selector, "template": pod}))
    } else {
        let strategy = strategy(service.update_config.as_ref());
        let spec = json!({"replicas": mode.wanted(), "selector": selector, "strategy": strategy, "template": pod});
        ("apps/v1", "Deployment", spec)
    };
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// Swarm's order and parallelism: how many may be missing, or too many, at once.
fn strategy(update: Option<&UpdateConfig>) -> Value {
    let usual = UpdateConfig::default();
    let update = update.unwrap_or(&usual);
    let at_once = if update.parallelism == 0 { json!("100%") } else { json!(update.parallelism) };
    let (surge, missing) = if update.order == "start-first" { (at_once, json!(0)) } else { (json!(0), at_once) };
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}})
}

fn pod(scope: &Scope, service: &ServiceSpec, note: &mut dyn FnMut(String)) -> Value {
    let (name, task) = (scope.inside(&service.name), &service.task_template);
    let nothing = ContainerSpec::default();
    let container = task.container_spec.as_ref().unwrap_or(&nothing);
    let mut labels = scope.metadata(&name)["labels"].clone();
    for network in &task.networks {
        labels[member(scope, network)] = "true".into();
    }
    let (mounts, volumes) = storage::mounts(scope, container);
    let mut spec = json!({"containers": [program(&name, service, container, mounts)]});
    if !volumes.is_empty() {
        spec["volumes"] = volumes.into();
    }
    if let Some(grace) = container.stop_grace_period {
        spec["terminationGracePeriodSeconds"] = (grace / 1_000_000_000).into();
    }
    if !container.hostname.is_empty() {
        spec["hostname"] = label(&container.hostname).into();
    }
    if !container.hosts.is_empty() {
        let alias = |line: &String| line.split_once(' ').map(|(ip, name)| json!({"ip": ip, "hostnames": [name]}));
        spec["hostAliases"] = container.hosts.iter().filter_map(alias).collect();
    }
    let selector = places(task, note);
    if !selector.is_empty() {
        spec["nodeSelector"] = Value::Object(selector);
    }
    if !container.sysctls.is_empty() {
        let sysctl = |(name, value): (&String, &String)| json!({"name": name, "value": value});
        spec["securityContext"] = json!({"sysctls": container.sysctls.iter().map(sysctl).collect::<Value>()});
    }
    for (what, is) in [
        ("ulimits", !container.ulimits.is_empty()),
        ("a log driver", task.log_driver.is_some()),
        ("limits of processes", task.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|limits| limits.pids > 0)),
        (
            "generic resources",
            task.resources.as_ref().and_then(|r| r.reservations.as_ref()).is_some_and(|r| !r.generic.is_empty()),
        ),
        ("init", container.init == Some(true)),
        ("placement preferences", task.placement.as_ref().is_some_and(|place| !place.preferences.is_empty())),
        ("a name server of its own", container.dns_config.is_some()),
    ] {
        if is {
            note(format!("{what}: set on the nodes there, not in a manifest"));
        }
    }
    json!({"metadata": {"labels": labels}, "spec": spec})
}

/// Notes on what a manifest has no word for.
fn gaps(scope: &Scope, service: &ServiceSpec, note: &mut dyn FnMut(String)) {
    let task = &service.task_template;
    let Some(container) = &task.container_spec else { return };
    if !container.stop_signal.is_empty() {
        note(format!("stop signal {}: a pod is stopped with its image's STOPSIGNAL, or SIGTERM", container.stop_signal));
    }
    if !container.groups.is_empty() {
        note(format!("groups {}: write their numbers as supplementalGroups", container.groups.join(", ")));
    }
    for id in container.user.split(':').filter(|id| !id.is_empty() && id.parse::<u32>().is_err()) {
        note(format!("user or group {id}: only numbers are known there; the image's own user is taken"));
    }
    if container.oom_score_adj != 0 {
        note("an OOM score: follows there from what is requested and limited".into());
    }
    let most = task.placement.as_ref().map_or(0, |placement| placement.max_replicas);
    if most > 0 {
        note(format!("at most {most} on a node: write it as topologySpreadConstraints, or an anti-affinity"));
    }
    for alias in
        task.networks.iter().flat_map(|network| &network.aliases).filter(|alias| label(alias) != scope.inside(&service.name))
    {
        note(format!("alias {alias}: make another Service of that name"));
    }
    let Some(endpoint) = &service.endpoint_spec else { return };
    for port in endpoint.ports.iter().filter(|port| port.publish_mode == "host") {
        note(format!(
            "port {} of the host: it becomes a load balancer's; hostPort would be the node's own",
            port.published_port
        ));
    }
    // without ports the name leads to the copies anyway
    if endpoint.mode == "dnsrr" && !endpoint.ports.is_empty() {
        note("endpoint mode dnsrr: with ports there is one address in front; clusterIP: None would show all".into());
    }
}

/// Constraints that name a label or a role; others are noted.
fn places(task: &TaskSpec, note: &mut dyn FnMut(String)) -> Map<String, Value> {
    let mut selector = Map::new();
    for constraint in task.placement.iter().flat_map(|placement| &placement.constraints) {
        let known = constraint.split_once("==").and_then(|(key, value)| {
            let value = value.trim();
            match key.trim() {
                "node.role" if value == "manager" => Some(("node-role.kubernetes.io/control-plane".to_string(), "")),
                "node.hostname" => Some(("kubernetes.io/hostname".to_string(), value)),
                "node.platform.os" => Some(("kubernetes.io/os".to_string(), value)),
                key => key.strip_prefix("node.labels.").map(|label| (label.to_string(), value)),
            }
        });
        match known {
            Some((key, value)) => drop(selector.insert(key, value.into())),
            None => note(format!("constraint {constraint}: write it as an affinity")),
        }
    }
    selector
}

fn program(name: &str, service: &ServiceSpec, container: &ContainerSpec, mounts: Vec<Value>) -> Value {
    let mut spec = json!({"name": name, "image": container.image.as_str()});
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(truth) => !truth,
            Value::Number(_) => false,
        };
        if !empty {
            spec[key] = value;
        }
    };
    put("command", container.command.clone().into());
    put("args", container.args.clone().into());
    put("workingDir", container.dir.as_str().into());
    let variable = |line: &String| match line.split_once('=') {
        Some((name, value)) => json!({"name": name, "value": value}),
        None => json!({"name": line.as_str(), "value": ""}),
    };
    put("env", container.env.iter().map(variable).collect());
    let ports = service.endpoint_spec.as_ref().map(|endpoint| endpoint.ports.as_slice()).unwrap_or_default();
    put(
        "ports",
        ports.iter().map(|p| json!({"containerPort": p.target_port, "protocol": p.protocol.to_uppercase()})).collect(),
    );
    let resources = service.task_template.resources.clone().unwrap_or_default();
    let mut amounts = Map::new();
    for (key, amount) in [("limits", resources.limits), ("requests", resources.reservations)] {
        let shown = amount.map(shown).unwrap_or_default();
        if !shown.is_empty() {
            amounts.insert(key.into(), Value::Object(shown));
        }
    }
    put("resources", Value::Object(amounts));
    put("livenessProbe", probe(container));
    put("volumeMounts", mounts.into());
    put("securityContext", security(container));
    put("stdin", container.open_stdin.into());
    put("tty", container.tty.into());
    spec
}

/// `500m` CPUs, bytes.
fn shown(amount: Amounts) -> Map<String, Value> {
    let mut map = Map::new();
    if amount.nano_cpus > 0 {
        map.insert("cpu".into(), format!("{}m", (amount.nano_cpus / 1_000_000).max(1)).into());
    }
    if amount.memory_bytes > 0 {
        map.insert("memory".into(), amount.memory_bytes.to_string().into());
    }
    map
}

/// A health check; unlike a swarm's, a failed one starts the container again where it is.
fn probe(container: &ContainerSpec) -> Value {
    let Some(health) = &container.healthcheck else { return Value::Null };
    let command: Vec<&str> = match health.test.split_first() {
        Some((kind, words)) if kind == "CMD" => words.iter().map(String::as_str).collect(),
        Some((kind, words)) if kind == "CMD-SHELL" => {
            ["/bin/sh", "-c"].into_iter().chain(words.iter().map(String::as_str)).collect()
        }
        _ => return Value::Null,
    };
    let seconds = |nanos: i64, usual: i64| if nanos > 0 { (nanos / 1_000_000_000).max(1) } else { usual };
    let mut probe = json!({
        "exec": {"command": command},
        "periodSeconds": seconds(health.interval, 30),
        "timeoutSeconds": seconds(health.timeout, 30),
        "failureThreshold": if health.retries > 0 { health.retries } else { 3 },
    });
    if health.start_period > 0 {
        probe["initialDelaySeconds"] = seconds(health.start_period, 0).into();
    }
    probe
}

fn security(container: &ContainerSpec) -> Value {
    let mut context = Map::new();
    let names = |list: &[String]| -> Value { list.iter().map(|name| name.trim_start_matches("CAP_")).collect() };
    let mut capabilities = Map::new();
    for (key, list) in [("add", &container.capability_add), ("drop", &container.capability_drop)] {
        if !list.is_empty() {
            capabilities.insert(key.into(), names(list));
        }
    }
    if !capabilities.is_empty() {
        context.insert("capabilities".into(), Value::Object(capabilities));
    }
    let (user, group) = container.user.split_once(':').unwrap_or((&container.user, ""));
    for (key, id) in [("runAsUser", user), ("runAsGroup", group)] {
        if let Ok(id) = id.parse::<u32>() {
            context.insert(key.into(), id.into());
        }
    }
    if container.read_only {
        context.insert("readOnlyRootFilesystem".into(), true.into());
    }
    Value::Object(context)
}
