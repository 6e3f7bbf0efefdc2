//! # A service of a stack: from its keys to a spec
//!
//! The long list at the end of the chapter: each key of the file finds the field it means. Two words change their meaning on the way:
//! what Compose calls `entrypoint` a swarm calls `Command`, and Compose's `command` are `Args`.
//!
//! *See:* docker/cli `cli/compose/convert/service.go`. *Next room:* [`super::networks`]

use super::{IMAGE, Scope, deploy, mounts, networks, pairs, wrong};
use crate::node::{Entry, Node};
use minidock_base::Result;
use minidock_spec::{
    engine::container::{HealthConfig, Ulimit},
    swarm::{
        container::{ConfigReference, ContainerSpec, DnsConfig, FileTarget, SecretReference},
        service::ServiceSpec,
        task::{Driver, TaskSpec},
    },
};

/// The spec of one service.
///
/// # Errors
/// No image; what is not defined; values that no swarm knows.
pub fn plan(scope: &Scope, entry: &Entry) -> Result<ServiceSpec> {
    let node = &entry.node;
    let image = node.text("image");
    if image.is_empty() {
        let refusal =
            wrong(&entry.at, &entry.key, format_args!("invalid image reference for service {}: no image specified", entry.key));
        return Err(match node.get("build") {
            Some(_) => refusal.hint("a swarm builds nothing: `minidock build -t NAME .`, and image: NAME"),
            None => refusal,
        });
    }
    let deployed = node.get("deploy");
    let mut labels = scope.labels(deployed.and_then(|deploy| deploy.get("labels")));
    labels.insert(IMAGE.into(), image.clone());
    let logging =
        |node: &Node| Driver { name: node.text("driver"), options: node.get("options").map(pairs).unwrap_or_default() };
    Ok(ServiceSpec {
        name: format!("{}_{}", scope.name, entry.key),
        labels,
        task_template: TaskSpec {
            container_spec: Some(container(scope, entry, image)?),
            resources: deploy::resources(entry)?,
            restart_policy: deploy::restart(entry)?,
            placement: Some(deploy::placement(deployed)),
            networks: networks::attachments(scope, entry),
            log_driver: node.get("logging").map(logging),
            ..TaskSpec::default()
        },
        mode: deploy::mode(entry)?,
        update_config: deploy::update(deployed, "update_config"),
        rollback_config: deploy::update(deployed, "rollback_config"),
        networks: Vec::new(),
        endpoint_spec: Some(deploy::endpoint(entry)?),
    })
}

fn container(scope: &Scope, entry: &Entry, image: String) -> Result<ContainerSpec> {
    let node = &entry.node;
    let is = |key: &str| node.bool(key) == Some(true);
    let dns = DnsConfig { nameservers: node.texts("dns"), search: node.texts("dns_search"), options: Vec::new() };
    let secret = |(file, name)| SecretReference { file: Some(file), secret_id: String::new(), secret_name: name };
    let config = |(file, name)| ConfigReference { file: Some(file), config_id: String::new(), config_name: name };
    Ok(ContainerSpec {
        image,
        labels: scope.labels(node.get("labels")),
        command: node.texts("entrypoint"),
        args: node.texts("command"),
        hostname: node.text("hostname"),
        env: environment(node),
        dir: node.text("working_dir"),
        user: node.text("user"),
        init: node.bool("init"),
        stop_signal: node.text("stop_signal"),
        tty: is("tty"),
        open_stdin: is("stdin_open"),
        read_only: is("read_only"),
        mounts: mounts::plan(scope, entry)?,
        stop_grace_period: deploy::nanoseconds(node, "stop_grace_period"),
        healthcheck: health(entry)?,
        hosts: hosts(node),
        dns_config: (dns != DnsConfig::default()).then_some(dns),
        secrets: files(scope, entry, "secrets")?.into_iter().map(secret).collect(),
        configs: files(scope, entry, "configs")?.into_iter().map(config).collect(),
        isolation: node.text("isolation"),
        sysctls: node.get("sysctls").map(pairs).unwrap_or_default(),
        capability_add: capabilities(node, "cap_add"),
        capability_drop: capabilities(node, "cap_drop"),
        ulimits: ulimits(entry)?,
        oom_score_adj: node.int("oom_score_adj").unwrap_or(0),
        ..ContainerSpec::default()
    })
}

/// `NAME=value`, sorted; a name alone is taken out of the image's environment.
fn environment(node: &Node) -> Vec<String> {
    let line = |entry: &Entry| match entry.node.as_text() {
        Some(value) => format!("{}={value}", entry.key),
        None => entry.key.clone(),
    };
    let mut lines: Vec<String> = node.get("environment").map(Node::entries).unwrap_or_default().iter().map(line).collect();
    lines.sort();
    lines
}

/// `name:address` as hosts(5) has it: the address first.
fn hosts(node: &Node) -> Vec<String> {
    let line = |host: String| host.split_once(':').map(|(name, address)| format!("{address} {name}"));
    node.texts("extra_hosts").into_iter().filter_map(line).collect()
}

/// `CAP_NET_ADMIN`, sorted, each once.
fn capabilities(node: &Node, key: &str) -> Vec<String> {
    let whole = |name: String| match name.to_ascii_uppercase() {
        all if all == "ALL" => all,
        name if name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    let mut names: Vec<String> = node.texts(key).into_iter().map(whole).collect();
    names.sort();
    names.dedup();
    names
}

fn health(entry: &Entry) -> Result<Option<HealthConfig>> {
    let Some(node) = entry.node.get("healthcheck") else { return Ok(None) };
    let test = node.texts("test");
    if node.bool("disable") == Some(true) {
        return match test.is_empty() {
            true => Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() })),
            false => Err(wrong(&node.at, &entry.key, "test and disable can't be set at the same time")),
        };
    }
    let time = |key: &str| deploy::nanoseconds(node, key).unwrap_or(0);
    Ok(Some(HealthConfig {
        test,
        interval: time("interval"),
        timeout: time("timeout"),
        start_period: time("start_period"),
        start_interval: time("start_interval"),
        retries: node.int("retries").unwrap_or(0),
    }))
}

/// Secrets or configs of a service: where they lie, and what they are called outside.
fn files(scope: &Scope, entry: &Entry, section: &str) -> Result<Vec<(FileTarget, String)>> {
    let mut files = Vec::new();
    for node in entry.node.get(section).map(Node::items).unwrap_or_default() {
        let source = node.text("source");
        let Some(outer) = scope.find(section, &source) else {
            let one = section.trim_end_matches('s');
            return Err(wrong(&node.at, &entry.key, format_args!("undefined {one} \"{source}\""))
                .hint(format!("add it below {section}: {source}: with file: or external: true")));
        };
        let or = |key: &str, usual: &str| Some(node.text(key)).filter(|text| !text.is_empty()).unwrap_or(usual.into());
        let mode = node.int("mode").unwrap_or(0o444);
        let Ok(mode) = u32::try_from(mode) else {
            return Err(wrong(&node.at, &entry.key, format_args!("mode {mode} is none")));
        };
        let file = FileTarget { name: or("target", &source), uid: or("uid", "0"), gid: or("gid", "0"), mode };
        files.push((file, scope.outside(&source, Some(outer))));
    }
    files.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(files)
}

fn ulimits(entry: &Entry) -> Result<Vec<Ulimit>> {
    let mut limits = Vec::new();
    for limit in entry.node.get("ulimits").map(Node::entries).unwrap_or_default() {
        let (soft, hard) = match limit.node.int("single") {
            Some(both) => (both, both),
            None => {
                let need = |key: &str| {
                    let missing = format!("ulimits.{}: {key} is required", limit.key);
                    limit.node.int(key).ok_or_else(|| wrong(&limit.at, &entry.key, missing))
                };
                (need("soft")?, need("hard")?)
            }
        };
        limits.push(Ulimit { name: limit.key.clone(), hard, soft });
    }
    limits.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(limits)
}
