//! # Body: a task as a create request
//!
//! SwarmKit's words on the left, the Engine API's on the right. Nothing is asked of the machine here: what a task becomes is a
//! function of the task, of the node it is on, and of where its files lie.
//!
//! | task | container |
//! |---|---|
//! | `web`, slot 2 | name `web.2.<task>`, labels `com.docker.swarm.*` |
//! | `Command`, `Args` | `Entrypoint`, `Cmd` |
//! | `Resources.Limits` | `NanoCpus`, `Memory`, `PidsLimit` (reservations decide only where it runs) |
//! | `GenericResources` | `DOCKER_RESOURCE_GPU=…` in `Env` |
//! | `Networks` | endpoints with the addresses the managers gave |
//! | ports with `mode=host` | port bindings; those of the mesh are not the container's business |
//! | secrets, configs | read-only binds of files in memory ([`crate::files`]) |
//!
//! A task's container has no restart policy: the managers restart, by making another task. *See:* moby
//! `daemon/cluster/executor/container/container.go`. *Next room:* [`crate::container`]

use crate::files::Placed;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minidock_base::{Error, Result};
use minidock_spec::{
    engine::{
        container::{BindOptions, ContainerConfig, CreateBody, HostConfig, LogConfig, MountRequest, Resources},
        network::{EndpointIpamConfig, EndpointSettings, NetworkingConfig, PortBinding},
    },
    swarm::{
        container::Privileges,
        generic,
        service::EndpointPort,
        task::{ContainerSpec, Task},
    },
};
use minidock_swarm::{agent::expand::Words, allocator::is_of_the_node};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// By which a task's container is found.
pub const TASK_ID: &str = "com.docker.swarm.task.id";

/// The container that a task asks for.
///
/// # Errors
/// Templates that cannot be filled in; what is not for this machine.
pub fn of(words: &Words<'_>, files: &[Placed]) -> Result<CreateBody> {
    let task = words.task;
    let spec = container_spec(task)?;
    let ports = host_ports(task);
    let texts = |all: &[String]| all.iter().map(|text| words.expand(text)).collect::<Result<Vec<String>>>();
    let some = |all: &[String]| (!all.is_empty()).then(|| all.to_vec());
    let config = ContainerConfig {
        image: spec.image.clone(),
        hostname: words.expand(&spec.hostname)?,
        user: spec.user.clone(),
        env: environment(task, texts(&spec.env)?),
        entrypoint: some(&spec.command),
        cmd: some(&spec.args),
        working_dir: spec.dir.clone(),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        healthcheck: spec.healthcheck.clone(),
        labels: labels(words, spec),
        stop_signal: Some(spec.stop_signal.clone()).filter(|s| !s.is_empty()),
        stop_timeout: spec.stop_grace_period.map(seconds),
        exposed_ports: (!ports.is_empty()).then(|| ports.iter().map(|port| (door(port), json!({}))).collect()),
        ..ContainerConfig::default()
    };
    let dns = spec.dns_config.clone().unwrap_or_default();
    let (network_mode, networking_config) = networks(task)?;
    let host_config = HostConfig {
        network_mode,
        port_bindings: bindings(&ports),
        mounts: Some(mounts(words, spec, files)?),
        readonly_rootfs: spec.read_only,
        init: spec.init,
        group_add: some(&spec.groups),
        sysctls: spec.sysctls.clone(),
        cap_add: some(&spec.capability_add),
        cap_drop: some(&spec.capability_drop),
        dns: dns.nameservers,
        dns_search: dns.search,
        dns_options: dns.options,
        extra_hosts: some(&extra_hosts(&spec.hosts)),
        security_opt: security(spec.privileges.as_ref())?,
        isolation: spec.isolation.clone(),
        oom_score_adj: spec.oom_score_adj,
        log_config: task
            .spec
            .log_driver
            .clone()
            .map_or(LogConfig::default(), |d| LogConfig { kind: d.name, config: d.options }),
        resources: resources(task, spec),
        ..HostConfig::default()
    };
    Ok(CreateBody { config, host_config, networking_config })
}

/// What runs in a task.
///
/// # Errors
/// Nothing that this executor knows.
pub fn container_spec(task: &Task) -> Result<&ContainerSpec> {
    let runtime = task.spec.runtime.as_str();
    match &task.spec.container_spec {
        Some(spec) if matches!(runtime, "" | "container") => Ok(spec),
        _ => Err(Error::not_implemented(format!("tasks of runtime {runtime:?} are not for this node: it runs containers"))),
    }
}

/// Nanoseconds as whole seconds, and never less than was asked for.
pub fn seconds(nanoseconds: i64) -> i64 {
    nanoseconds.max(0).div_euclid(1_000_000_000) + i64::from(nanoseconds.max(0) % 1_000_000_000 > 0)
}

fn labels(words: &Words<'_>, spec: &ContainerSpec) -> BTreeMap<String, String> {
    let task = words.task;
    let mut labels = spec.labels.clone();
    labels.extend(task.labels.clone());
    let ours = [
        ("com.docker.swarm.task", String::new()),
        (TASK_ID, task.id.clone()),
        ("com.docker.swarm.task.name", task.container_name()),
        ("com.docker.swarm.node.id", words.here.node_id.clone()),
        ("com.docker.swarm.service.id", task.service_id.clone()),
        ("com.docker.swarm.service.name", task.service.name.clone()),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_string(), value)));
    labels
}

/// Ports that this task holds on its node.
pub fn host_ports(task: &Task) -> Vec<&EndpointPort> {
    task.endpoint_ports.iter().filter(|port| port.publish_mode == "host").collect()
}

/// `80/tcp`
pub fn door(port: &EndpointPort) -> String {
    format!("{}/{}", port.target_port, port.protocol)
}

fn bindings(ports: &[&EndpointPort]) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in ports {
        let host_port = if port.published_port == 0 { String::new() } else { port.published_port.to_string() };
        let binding = PortBinding { host_ip: String::new(), host_port };
        bindings.entry(door(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

/// The networks of the managers, each with the address they gave; one of the node's own; else the default one.
fn networks(task: &Task) -> Result<(String, NetworkingConfig)> {
    let mut endpoints = BTreeMap::new();
    for attachment in &task.networks {
        let address = attachment.addresses.first().and_then(|a| a.split('/').next()).unwrap_or_default();
        let asked = task.spec.networks.iter().find(|n| n.target == attachment.network.id);
        let settings = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig { ipv4_address: address.to_string(), ..EndpointIpamConfig::default() }),
            // the service's aliases lead to its virtual address, as its name does: no single task answers to them
            aliases: None,
            network_id: attachment.network.id.clone(),
            driver_opts: asked.map(|n| n.driver_opts.clone()).filter(|options| !options.is_empty()),
            ..EndpointSettings::default()
        };
        endpoints.insert(attachment.network.id.clone(), Some(settings));
    }
    let own: BTreeSet<&str> = task.spec.networks.iter().map(|n| n.target.as_str()).filter(|n| is_of_the_node(n)).collect();
    if own.contains("host") {
        alone_on_host(task, own.len() > 1)?;
        return Ok(("host".into(), NetworkingConfig::default()));
    }
    let first = task.networks.iter().find(|a| !a.network.spec.ingress).or(task.networks.first());
    let mode = match (own.first(), first) {
        (Some(own), _) => own.to_string(),
        (None, Some(attachment)) => attachment.network.id.clone(),
        (None, None) => "default".to_string(),
    };
    if let Some(own) = own.first().filter(|_| !endpoints.is_empty()) {
        endpoints.insert(own.to_string(), None);
    }
    Ok((mode, NetworkingConfig { endpoints_config: endpoints }))
}

/// Who shares the network stack of its machine has none of its own that could be plugged in elsewhere.
fn alone_on_host(task: &Task, is_on_bridge: bool) -> Result<()> {
    let is_on_overlay = task.networks.iter().any(|n| !n.network.spec.ingress);
    match (is_on_bridge || is_on_overlay, task.networks.is_empty()) {
        (true, _) => Err(Error::forbidden(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        )),
        (false, false) => {
            Err(Error::forbidden("container cannot be disconnected from host network or connected to host network")
                .hint("the mesh does not lead to the network of a machine: leave out -p, the program listens there by itself"))
        }
        (false, true) => Ok(()),
    }
}

fn mounts(words: &Words<'_>, spec: &ContainerSpec, files: &[Placed]) -> Result<Vec<MountRequest>> {
    let mut mounts = Vec::new();
    for wished in &spec.mounts {
        let (source, target) = (words.expand(&wished.source)?, words.expand(&wished.target)?);
        mounts.push(MountRequest { source, target, ..wished.clone() });
    }
    mounts.extend(files.iter().map(|file| MountRequest {
        kind: "bind".into(),
        source: file.source.to_string_lossy().into_owned(),
        target: file.target.clone(),
        read_only: true,
        bind_options: Some(BindOptions { non_recursive: true, ..BindOptions::default() }),
        ..MountRequest::default()
    }));
    Ok(mounts)
}

/// `10.0.0.1 db other` (as in hosts(5)) → `db:10.0.0.1`, `other:10.0.0.1`.
fn extra_hosts(hosts: &[String]) -> Vec<String> {
    let of = |line: &String| -> Vec<String> {
        let mut words = line.split_whitespace();
        let address = words.next().unwrap_or_default().to_string();
        words.map(|name| format!("{name}:{address}")).collect()
    };
    hosts.iter().flat_map(of).collect()
}

fn security(privileges: Option<&Privileges>) -> Result<Option<Vec<String>>> {
    let Some(privileges) = privileges else { return Ok(None) };
    let not_here = |what: &str| Err(Error::not_implemented(format!("{what} is not there on this node")));
    let set = |value: &Option<Value>| value.as_ref().is_some_and(|v| v.as_object().is_none_or(|o| !o.is_empty()));
    if set(&privileges.credential_spec) {
        return not_here("a credential spec (it is for Windows)");
    }
    if set(&privileges.selinux_context) {
        return not_here("an SELinux context");
    }
    let mut options = Vec::new();
    if privileges.no_new_privileges {
        options.push("no-new-privileges".to_string());
    }
    if let Some(seccomp) = &privileges.seccomp {
        match seccomp.mode.as_str() {
            "" | "default" => {}
            "unconfined" => options.push("seccomp=unconfined".into()),
            "custom" => {
                let profile = STANDARD.decode(&seccomp.profile).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let profile =
                    profile.ok_or_else(|| Error::invalid("the custom seccomp profile is no base64 of a JSON text"))?;
                options.push(format!("seccomp={profile}"));
            }
            other => return Err(Error::invalid(format!("unknown seccomp mode {other:?}"))),
        }
    }
    match privileges.app_armor.as_ref().map_or("", |a| a.mode.as_str()) {
        "" | "default" => {}
        "disabled" => options.push("apparmor=unconfined".into()),
        other => return Err(Error::invalid(format!("unknown AppArmor mode {other:?}"))),
    }
    Ok((!options.is_empty()).then_some(options))
}

/// What the service says, and what the task was given of what only some machines have.
fn environment(task: &Task, mut env: Vec<String>) -> Vec<String> {
    env.extend(generic::variables(&task.generic_resources));
    env
}

fn resources(task: &Task, spec: &ContainerSpec) -> Resources {
    let limits = task.spec.resources.as_ref().and_then(|r| r.limits.clone()).unwrap_or_default();
    Resources {
        nano_cpus: limits.nano_cpus,
        memory: limits.memory_bytes,
        pids_limit: (limits.pids > 0).then_some(limits.pids),
        ulimits: (!spec.ulimits.is_empty()).then(|| spec.ulimits.clone()),
        ..Resources::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::{
        network::Network,
        task::{Amounts, NetworkAttachment, NetworkAttachmentConfig, ResourceRequirements},
    };
    use minidock_swarm::agent::executor::Here;

    fn task() -> Task {
        let mut task = Task { id: "t1".into(), slot: 2, service_id: "s1".into(), ..Task::default() };
        task.service.name = "web".into();
        task.spec.container_spec = Some(ContainerSpec {
            image: "nginx".into(),
            command: vec!["/bin/sh".into()],
            args: vec!["-c".into(), "true".into()],
            hostname: "{{.Service.Name}}-{{.Task.Slot}}".into(),
            hosts: vec!["10.0.0.1 db other".into()],
            stop_grace_period: Some(1_500_000_000),
            ..ContainerSpec::default()
        });
        task
    }

    fn body(task: &Task) -> CreateBody {
        of(&Words { task, here: &Here::default(), inside: None }, &[]).expect("a body")
    }

    #[test]
    fn a_task_in_the_words_of_the_engine() {
        let mut task = task();
        let limits = Some(Amounts { nano_cpus: 500_000_000, memory_bytes: 64 << 20, pids: 9, generic: vec![] });
        task.spec.resources = Some(ResourceRequirements { limits: limits.clone(), reservations: limits });
        task.generic_resources = vec![generic::GenericResource::named("gpu", "a"), generic::GenericResource::named("gpu", "b")];
        let body = body(&task);
        assert_eq!((body.config.hostname.as_str(), body.config.stop_timeout), ("web-2", Some(2)));
        assert_eq!(body.config.env, ["DOCKER_RESOURCE_GPU=a,b"]);
        assert_eq!(body.config.entrypoint, Some(vec!["/bin/sh".to_string()]));
        assert_eq!(body.config.labels["com.docker.swarm.task.name"], "web.2.t1");
        assert_eq!(body.host_config.extra_hosts, Some(vec!["db:10.0.0.1".to_string(), "other:10.0.0.1".to_string()]));
        let resources = body.host_config.resources;
        assert_eq!((resources.memory, resources.pids_limit, resources.memory_reservation), (64 << 20, Some(9), 0));
        assert_eq!(body.host_config.network_mode, "default");
    }

    #[test]
    fn only_ports_of_mode_host_are_the_containers_own() {
        let mut task = task();
        let port = |published_port, publish_mode: &str| EndpointPort {
            target_port: 80,
            published_port,
            publish_mode: publish_mode.into(),
            ..EndpointPort::default()
        };
        task.endpoint_ports = vec![port(8080, "ingress"), port(8081, "host")];
        let bindings = body(&task).host_config.port_bindings;
        let ports: Vec<String> = bindings["80/tcp"].iter().flatten().map(|b| b.host_port.clone()).collect();
        assert_eq!(ports, ["8081"]);
    }

    #[test]
    fn the_mesh_is_not_the_first_network_unless_it_is_the_only_one() {
        let mut task = task();
        let mut attach = |id: &str, ingress: bool| {
            let mut network = Network { id: id.into(), ..Network::default() };
            network.spec.ingress = ingress;
            task.networks.push(NetworkAttachment { network, addresses: vec!["10.0.1.5/24".into()], aliases: Vec::new() });
        };
        attach("mesh", true);
        attach("back", false);
        let found = body(&task);
        assert_eq!(found.host_config.network_mode, "back");
        let endpoint = found.networking_config.endpoints_config["back"].clone().expect("settings");
        assert_eq!(endpoint.ipam_config.expect("an address").ipv4_address, "10.0.1.5");
        task.networks.pop();
        assert_eq!(body(&task).host_config.network_mode, "mesh");
    }

    #[test]
    fn whoever_is_on_the_network_of_its_machine_is_on_no_other() {
        let on = |own: &[&str], overlays: &[(&str, bool)]| {
            let mut task = task();
            let target =
                |name: &&str| NetworkAttachmentConfig { target: name.to_string(), ..NetworkAttachmentConfig::default() };
            task.spec.networks = own.iter().map(target).collect();
            for (id, ingress) in overlays {
                let mut network = Network { id: id.to_string(), ..Network::default() };
                network.spec.ingress = *ingress;
                task.networks.push(NetworkAttachment { network, addresses: vec!["10.0.1.5/24".into()], aliases: Vec::new() });
            }
            let body = of(&Words { task: &task, here: &Here::default(), inside: None }, &[]);
            body.map(|b| (b.host_config.network_mode, b.networking_config.endpoints_config.into_keys().collect::<Vec<_>>()))
        };
        let is = |own: &[&str], overlays: &[(&str, bool)]| on(own, overlays).expect("it can be");
        let why = |own: &[&str], overlays: &[(&str, bool)]| on(own, overlays).expect_err("it cannot be").message();
        assert_eq!(is(&["host", "host"], &[]), ("host".into(), vec![]));
        assert_eq!(is(&["bridge"], &[]), ("bridge".into(), vec![]));
        assert_eq!(is(&["bridge", "back"], &[("back", false)]), ("bridge".into(), vec!["back".into(), "bridge".into()]));
        assert_eq!(is(&["bridge"], &[("mesh", true)]), ("bridge".into(), vec!["bridge".into(), "mesh".into()]));
        assert!(why(&["host"], &[("mesh", true)]).contains("disconnected from host network"));
        assert!(why(&["bridge", "host"], &[]).contains("cannot be connected to any other network"));
        assert!(why(&["host", "back"], &[("mesh", true), ("back", false)]).contains("any other network"));
    }

    #[test]
    fn what_is_not_for_this_machine_is_refused() {
        let mut task = task();
        task.spec.runtime = "plugin".into();
        assert!(of(&Words { task: &task, here: &Here::default(), inside: None }, &[]).is_err());
    }
}
