//! # The body: what a service's container is made of
//!
//! The long list at the end of the chapter: each key of the file finds the field of `POST /containers/create` that it means. What depends
//! on containers that exist already (whose network it shares, whom it links to) comes in a [`Seat`].
//!
//! ```text
//!   Project, Service, Seat { number: 2, … }  ──►  CreateBody     named app-web-2, on app_default as "web" and "app-web-2"
//! ```
//!
//! * [`labels`] are how everything of a project finds each other again; their words are Docker's, so that its own `compose` sees ours.
//! * The parts: [`super::limits`], [`super::mounts`], [`super::places`].
//!
//! Law: the same input gives the same body. *See:* docker/compose `pkg/compose/create.go`. *Next room:* [`super::limits`]

use super::{
    hash, limits, mounts, places,
    project::{Project, Service},
};
use crate::{
    node::{Entry, Node},
    stack::{deploy::nanoseconds, pairs},
};
use minidock_base::Result;
use minidock_spec::engine::container::{ContainerConfig, CreateBody, HealthConfig, HostConfig, LogConfig, MountPoint};
use std::collections::BTreeMap;

pub const PROJECT: &str = "com.docker.compose.project";
pub const SERVICE: &str = "com.docker.compose.service";
pub const NUMBER: &str = "com.docker.compose.container-number";
pub const ONEOFF: &str = "com.docker.compose.oneoff";
pub const HASH: &str = "com.docker.compose.config-hash";
pub const FOLDER: &str = "com.docker.compose.project.working_dir";
pub const FILES: &str = "com.docker.compose.project.config_files";
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub const IMAGE: &str = "com.docker.compose.image";
pub const REPLACE: &str = "com.docker.compose.replace";
pub const VERSION: &str = "com.docker.compose.version";
pub const NETWORK: &str = "com.docker.compose.network";
pub const VOLUME: &str = "com.docker.compose.volume";

/// A container that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub id: String,
    pub name: String,
    pub number: u32,
}

/// Which container of a service it shall be, and what is around it.
pub struct Seat<'a> {
    /// From 1; 0 for one that is run once.
    pub number: u32,
    pub name: String,
    /// `compose run`.
    pub oneoff: bool,
    /// Whether it answers to the service's name.
    pub aliases: bool,
    /// Whether its ports are published.
    pub ports: bool,
    /// The containers of another service.
    pub others: &'a dyn Fn(&str) -> Vec<Peer>,
    /// What the one it replaces had mounted.
    pub inherited: &'a [MountPoint],
    /// The folders that its image declares as volumes.
    pub declared: &'a [String],
    /// `sha256:…` of its image, when it is known.
    pub image_id: &'a str,
}

impl<'a> Seat<'a> {
    /// A service's first container, made for the first time.
    pub fn first(name: String, others: &'a dyn Fn(&str) -> Vec<Peer>) -> Seat<'a> {
        let (aliases, ports) = (true, true);
        Seat { number: 1, name, oneoff: false, aliases, ports, others, inherited: &[], declared: &[], image_id: "" }
    }
}

/// The name of a service's container.
pub fn container_name(project: &str, service: &Service, number: u32) -> String {
    service.container_name.clone().unwrap_or_else(|| format!("{project}-{}-{number}", service.name))
}

/// Makes the body.
///
/// # Errors
/// Values that no container can have, with their place; a service whose namespace it shares and that has no container.
pub fn body(project: &Project, service: &Service, seat: &Seat) -> Result<CreateBody> {
    let node = &service.node;
    let is = |key: &str| node.bool(key) == Some(true);
    let word = |key: &str| Some(node.text(key)).filter(|text| !text.is_empty());
    let some = |key: &str| Some(node.texts(key)).filter(|list| !list.is_empty());
    let places = places::places(project, service, seat)?;
    let mounts = mounts::mounts(project, service, seat.inherited, seat.declared)?;
    let (exposed, bindings) = places::ports(service, seat.ports)?;
    let seconds = |nanos: i64| nanos.div_euclid(1_000_000_000) + i64::from(nanos % 1_000_000_000 > 0);
    let command = |key: &str| node.get(key).filter(|node| !node.items().is_empty()).map(|_| node.texts(key));
    let config = ContainerConfig {
        hostname: node.text("hostname"),
        domainname: node.text("domainname"),
        user: node.text("user"),
        attach_stdout: true,
        attach_stderr: true,
        exposed_ports: (!exposed.is_empty()).then_some(exposed),
        tty: is("tty"),
        open_stdin: is("stdin_open"),
        env: environment(node),
        cmd: command("command"),
        healthcheck: health(service)?,
        image: service.image.clone(),
        working_dir: node.text("working_dir"),
        entrypoint: command("entrypoint"),
        mac_address: word("mac_address"),
        labels: labels(project, service, seat),
        stop_signal: word("stop_signal"),
        stop_timeout: nanoseconds(node, "stop_grace_period").map(seconds),
        ..ContainerConfig::default()
    };
    let logging =
        |node: &Node| LogConfig { kind: node.text("driver"), config: node.get("options").map(pairs).unwrap_or_default() };
    let shared = |key: &str| places::shared(service, key, seat.others);
    let host_config = HostConfig {
        binds: Some(mounts.binds).filter(|binds| !binds.is_empty()),
        mounts: Some(mounts.mounts).filter(|mounts| !mounts.is_empty()),
        log_config: node.get("logging").map(logging).unwrap_or_default(),
        network_mode: places.mode,
        port_bindings: bindings,
        restart_policy: if seat.oneoff { Default::default() } else { limits::restart(service)? },
        volumes_from: mounts::volumes_from(service, seat.others)?,
        annotations: node.get("annotations").map(pairs).unwrap_or_default(),
        cap_add: some("cap_add"),
        cap_drop: some("cap_drop"),
        cgroupns_mode: node.text("cgroup"),
        dns: node.texts("dns"),
        dns_options: node.texts("dns_opt"),
        dns_search: node.texts("dns_search"),
        extra_hosts: some("extra_hosts"),
        group_add: some("group_add"),
        ipc_mode: shared("ipc")?,
        links: places.links,
        oom_score_adj: node.int("oom_score_adj").unwrap_or(0),
        pid_mode: shared("pid")?,
        privileged: is("privileged"),
        readonly_rootfs: is("read_only"),
        security_opt: some("security_opt"),
        storage_opt: node.get("storage_opt").map(pairs).unwrap_or_default(),
        tmpfs: mounts.tmpfs,
        uts_mode: node.text("uts"),
        userns_mode: node.text("userns_mode"),
        shm_size: node.text("shm_size").parse().unwrap_or(0),
        sysctls: node.get("sysctls").map(pairs).unwrap_or_default(),
        runtime: node.text("runtime"),
        init: node.bool("init"),
        volume_driver: node.text("volume_driver"),
        resources: limits::resources(service)?,
        ..HostConfig::default()
    };
    Ok(CreateBody { config, host_config, networking_config: places.networking })
}

/// The service's own labels, and those by which it is found.
pub fn labels(project: &Project, service: &Service, seat: &Seat) -> BTreeMap<String, String> {
    let mut labels = service.node.get("labels").map(pairs).unwrap_or_default();
    let waits = |d: &super::project::Dependency| format!("{}:{}:{}", d.service, d.condition.word(), d.restart);
    let ours = [
        (PROJECT, project.name.clone()),
        (SERVICE, service.name.clone()),
        (VERSION, env!("CARGO_PKG_VERSION").to_string()),
        (ONEOFF, if seat.oneoff { "True" } else { "False" }.to_string()),
        (HASH, hash::service(service)),
        (FOLDER, project.folder.display().to_string()),
        (FILES, project.files.join(",")),
        (DEPENDS_ON, service.depends_on.iter().map(waits).collect::<Vec<_>>().join(",")),
        (IMAGE, seat.image_id.to_string()),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_string(), value)));
    if seat.number > 0 {
        labels.insert(NUMBER.into(), seat.number.to_string());
    }
    labels
}

/// `NAME=value`, sorted.
fn environment(node: &Node) -> Vec<String> {
    let line = |entry: &Entry| format!("{}={}", entry.key, entry.node.as_text().unwrap_or_default());
    let mut lines: Vec<String> = node.get("environment").map(Node::entries).unwrap_or_default().iter().map(line).collect();
    lines.sort();
    lines
}

fn health(service: &Service) -> Result<Option<HealthConfig>> {
    let Some(node) = service.node.get("healthcheck") else { return Ok(None) };
    let test = node.texts("test");
    if node.bool("disable") == Some(true) {
        return Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }));
    }
    if let Some(first) = test.first().filter(|first| !matches!(first.as_str(), "NONE" | "CMD" | "CMD-SHELL")) {
        return Err(service
            .wrong(
                "healthcheck",
                format_args!("healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\", not {first:?}"),
            )
            .hint("test: [CMD, PROGRAM, …], or test: a line for a shell"));
    }
    let time = |key: &str| nanoseconds(node, key).unwrap_or(0);
    Ok(Some(HealthConfig {
        test,
        interval: time("interval"),
        timeout: time("timeout"),
        start_period: time("start_period"),
        start_interval: time("start_interval"),
        retries: node.int("retries").unwrap_or(0),
    }))
}
