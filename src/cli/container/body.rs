//! # From flags to a body: what `POST /containers/create` is told
//!
//! One function, [`wish`], turns what was typed into the API's [`CreateBody`]. It only rearranges: small languages are read
//! by the rooms beside this one ([`super::mounts`], [`super::ports`], [`super::limits`], [`super::environment`],
//! [`super::security`]), and whether a wish can be fulfilled is for the daemon to say.
//!
//! ```text
//!   ArgMatches ──► Wish { body: CreateBody { config, HostConfig, NetworkingConfig }, name, platform, pull, … }
//! ```
//!
//! Laws: a flag that was not given leaves its field at "not set", so that the image's defaults and the daemon's stand.
//! Conflicts that Docker's client refuses are refused here, before anything is created. *See:* docker/cli
//! `cli/command/container/opts.go` `parse`. *Next room:* [`crate::container::create`]

use crate::container::{environment, limits, mounts, ports, security};
use crate::flag::{list_of, number_of, text_of};
use crate::words::is_given;
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result, units};
use minidock_spec::engine::{
    container::{ContainerConfig, CreateBody, HostConfig, LogConfig, Resources},
    network::{EndpointSettings, NetworkingConfig},
};

/// When to fetch an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    Always,
    Missing,
    Never,
}

/// A container as wished for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub body: CreateBody,
    pub name: Option<String>,
    pub platform: Option<String>,
    pub pull: Pull,
    pub quiet: bool,
    pub cidfile: Option<String>,
}

/// Reads the flags of `run` and `create`.
///
/// # Errors
/// Everything that is wrong with one flag or with two together, in Docker's words.
pub fn wish(m: &ArgMatches) -> Result<Wish> {
    let host_config = host_config(m)?;
    if m.get_flag("rm") && !matches!(host_config.restart_policy.name.as_str(), "" | "no") {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
    }
    let mut config = config(m)?;
    let networking_config = networking(m, &host_config)?;
    let here = std::env::current_dir().doing(|| "find the current folder")?;
    let volumes = mounts::volumes(&list_of(m, "volume"), &here)?;
    let (exposed, bindings) = ports::ports(&list_of(m, "publish"), &list_of(m, "expose"))?;
    config.volumes = (!volumes.anonymous.is_empty()).then_some(volumes.anonymous);
    config.exposed_ports = (!exposed.is_empty()).then_some(exposed);
    let mounts = list_of(m, "mount").iter().map(|value| mounts::mount(value, &here)).collect::<Result<Vec<_>>>()?;
    let host_config = HostConfig {
        binds: (!volumes.binds.is_empty()).then_some(volumes.binds),
        mounts: (!mounts.is_empty()).then_some(mounts),
        port_bindings: bindings,
        ..host_config
    };
    let pull = match text_of(m, "pull").unwrap_or("missing") {
        "always" => Pull::Always,
        "missing" | "" => Pull::Missing,
        "never" => Pull::Never,
        other => {
            return Err(Error::invalid(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            )));
        }
    };
    let owned = |id: &str| text_of(m, id).filter(|text| !text.is_empty()).map(str::to_string);
    Ok(Wish {
        body: CreateBody { config, host_config, networking_config },
        name: owned("name"),
        platform: owned("platform"),
        pull,
        quiet: m.get_flag("quiet"),
        cidfile: owned("cidfile"),
    })
}

/// The portable half.
fn config(m: &ArgMatches) -> Result<ContainerConfig> {
    let text = |id: &str| text_of(m, id).unwrap_or_default().to_string();
    let attach = attach(&list_of(m, "attach"), m.get_flag("interactive"))?;
    let program = list_of(m, "ARG");
    let entrypoint = text_of(m, "entrypoint").map(|word| vec![word.to_string()]);
    let health = security::health(&security::Health {
        none: m.get_flag("no-healthcheck"),
        command: text_of(m, "health-cmd"),
        interval: text_of(m, "health-interval"),
        timeout: text_of(m, "health-timeout"),
        start_period: text_of(m, "health-start-period"),
        start_interval: text_of(m, "health-start-interval"),
        retries: number_of(m, "health-retries"),
    })?;
    let ours = |name: &str| std::env::var(name).ok();
    Ok(ContainerConfig {
        hostname: text("hostname"),
        domainname: text("domainname"),
        user: text("user"),
        attach_stdin: attach.stdin,
        attach_stdout: attach.stdout,
        attach_stderr: attach.stderr,
        tty: m.get_flag("tty"),
        open_stdin: m.get_flag("interactive"),
        stdin_once: m.get_flag("interactive") && attach.stdin,
        env: environment::variables(&list_of(m, "env-file"), &list_of(m, "env"), ours)?,
        cmd: (!program.is_empty()).then_some(program),
        healthcheck: health,
        image: text("IMAGE"),
        working_dir: text("workdir"),
        entrypoint,
        mac_address: text_of(m, "mac-address").map(str::to_string),
        labels: environment::labels(&list_of(m, "label-file"), &list_of(m, "label"))?,
        stop_signal: text_of(m, "stop-signal").map(str::to_string),
        stop_timeout: number_of(m, "stop-timeout"),
        ..ContainerConfig::default()
    })
}

/// Which streams the client wants.
#[derive(Debug, PartialEq)]
struct Attach {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

fn attach(values: &[String], interactive: bool) -> Result<Attach> {
    if values.is_empty() {
        return Ok(Attach { stdin: interactive, stdout: true, stderr: true });
    }
    let mut attach = Attach { stdin: false, stdout: false, stderr: false };
    for value in values {
        match value.to_ascii_lowercase().as_str() {
            "stdin" => attach.stdin = true,
            "stdout" => attach.stdout = true,
            "stderr" => attach.stderr = true,
            _ => {
                return Err(Error::invalid(format!(
                    "invalid argument {value:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                )));
            }
        }
    }
    Ok(attach)
}

/// The half that is about this machine.
fn host_config(m: &ArgMatches) -> Result<HostConfig> {
    let text = |id: &str| text_of(m, id).unwrap_or_default().to_string();
    let many = |id: &str| Some(list_of(m, id)).filter(|list| !list.is_empty());
    let security = security::security(&list_of(m, "security-opt"))?;
    let closed = |open: bool| open.then(Vec::new);
    let (log_driver, log_opts) = (text("log-driver"), environment::pairs("log-opt", &list_of(m, "log-opt"))?);
    if log_driver == "none" && !log_opts.is_empty() {
        return Err(Error::invalid("invalid logging opts for driver none"));
    }
    let mode = |id: &str, what: &str, valid: &dyn Fn(&str) -> bool| {
        let value = text(id);
        match value.is_empty() || valid(&value) {
            true => Ok(value),
            false => Err(Error::invalid(format!("--{id}: invalid {what} mode"))),
        }
    };
    Ok(HostConfig {
        container_id_file: text("cidfile"),
        log_config: LogConfig { kind: log_driver, config: log_opts },
        network_mode: network_mode(m)?,
        restart_policy: limits::restart(text_of(m, "restart").unwrap_or_default())?,
        auto_remove: m.get_flag("rm"),
        volume_driver: text("volume-driver"),
        volumes_from: many("volumes-from"),
        annotations: environment::pairs("annotation", &list_of(m, "annotation"))?,
        cap_add: many("cap-add"),
        cap_drop: many("cap-drop"),
        cgroupns_mode: mode("cgroupns", "CGROUP", &|v| matches!(v, "host" | "private"))?,
        dns: list_of(m, "dns"),
        dns_options: list_of(m, "dns-option"),
        dns_search: list_of(m, "dns-search"),
        extra_hosts: many("add-host").map(|hosts| hosts.iter().map(|host| extra_host(host)).collect()).transpose()?,
        group_add: many("group-add"),
        ipc_mode: text("ipc"),
        links: many("link"),
        oom_score_adj: number_of(m, "oom-score-adj").unwrap_or(0),
        pid_mode: mode("pid", "PID", &|v| v == "host" || v.strip_prefix("container:").is_some_and(|c| !c.is_empty()))?,
        privileged: m.get_flag("privileged"),
        publish_all_ports: m.get_flag("publish-all"),
        readonly_rootfs: m.get_flag("read-only"),
        security_opt: Some(security.options).filter(|options| !options.is_empty()),
        storage_opt: environment::pairs("storage-opt", &list_of(m, "storage-opt"))?,
        tmpfs: mounts::tmpfs(&list_of(m, "tmpfs")),
        uts_mode: mode("uts", "UTS", &|v| v == "host")?,
        userns_mode: mode("userns", "USER", &|v| v == "host" || v == "private" || v.starts_with("auto"))?,
        shm_size: bytes(m, "shm-size")?,
        sysctls: environment::pairs("sysctl", &list_of(m, "sysctl"))?,
        runtime: text("runtime"),
        masked_paths: closed(security.paths_open),
        readonly_paths: closed(security.paths_open),
        init: is_given(m, "init").then(|| m.get_flag("init")),
        resources: resources(m)?,
        ..HostConfig::default()
    })
}

/// `host:ip`, `host=ip`.
fn extra_host(value: &str) -> Result<String> {
    let parts = value.split_once('=').or_else(|| value.split_once(':'));
    match parts {
        Some((host, address)) if !host.is_empty() => {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
                return Err(Error::invalid(format!("invalid IP address in add-host: {address:?}")));
            }
            Ok(format!("{host}:{address}"))
        }
        _ => Err(Error::invalid(format!("bad format for add-host: {value:?}")).hint("--add-host name:address")),
    }
}

/// The limits that `run`, `create` and `update` share; flags a command does not have count as not given.
///
/// # Errors
/// Sizes, CPUs, weights that are none.
pub fn resources(m: &ArgMatches) -> Result<Resources> {
    let has = |id: &str| m.try_contains_id(id).is_ok();
    let text = |id: &str| has(id).then(|| text_of(m, id)).flatten().unwrap_or_default().to_string();
    let number = |id: &str| has(id).then(|| number_of(m, id)).flatten();
    let many = |id: &str| if has(id) { list_of(m, id) } else { Vec::new() };
    let some = |list: Vec<_>| Some(list).filter(|list: &Vec<_>| !list.is_empty());
    let swappiness = number("memory-swappiness");
    if let Some(wrong) = swappiness.filter(|value| !(-1..=100).contains(value)) {
        return Err(Error::invalid(format!("invalid value: {wrong}. Valid memory swappiness range is 0-100")));
    }
    let weight = number("blkio-weight").unwrap_or(0);
    let weight = u16::try_from(weight).map_err(|_| Error::invalid(format!("invalid value for --blkio-weight: {weight}")))?;
    let rates = |flag: &str| many(flag).iter().map(|value| limits::rate_bytes(flag, value)).collect::<Result<Vec<_>>>();
    let operations =
        |flag: &str| many(flag).iter().map(|value| limits::rate_operations(flag, value)).collect::<Result<Vec<_>>>();
    let cpus = text("cpus");
    Ok(Resources {
        memory: bytes(m, "memory")?,
        memory_swap: swap(m)?,
        memory_reservation: bytes(m, "memory-reservation")?,
        kernel_memory: bytes(m, "kernel-memory")?,
        memory_swappiness: swappiness,
        nano_cpus: if cpus.is_empty() { 0 } else { read_cpus(&cpus)? },
        cpu_shares: number("cpu-shares").unwrap_or(0),
        cpu_period: number("cpu-period").unwrap_or(0),
        cpu_quota: number("cpu-quota").unwrap_or(0),
        cpu_realtime_period: number("cpu-rt-period").unwrap_or(0),
        cpu_realtime_runtime: number("cpu-rt-runtime").unwrap_or(0),
        cpuset_cpus: text("cpuset-cpus"),
        cpuset_mems: text("cpuset-mems"),
        pids_limit: number("pids-limit"),
        blkio_weight: weight,
        blkio_weight_device: some_of(many("blkio-weight-device").iter().map(|v| limits::weight(v)).collect::<Result<_>>()?),
        blkio_device_read_bps: some_of(rates("device-read-bps")?),
        blkio_device_write_bps: some_of(rates("device-write-bps")?),
        blkio_device_read_iops: some_of(operations("device-read-iops")?),
        blkio_device_write_iops: some_of(operations("device-write-iops")?),
        ulimits: some_of(many("ulimit").iter().map(|v| limits::ulimit(v)).collect::<Result<_>>()?),
        devices: some_of(many("device").iter().map(|v| limits::device(v)).collect::<Result<_>>()?),
        device_cgroup_rules: some(many("device-cgroup-rule")),
        oom_kill_disable: (has("oom-kill-disable") && m.get_flag("oom-kill-disable")).then_some(true),
        cgroup_parent: text("cgroup-parent"),
        ..Resources::default()
    })
}

fn some_of<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn read_cpus(text: &str) -> Result<i64> {
    units::parse_cpus(text)
        .map_err(|e| Error::invalid(format!("invalid argument {text:?} for \"--cpus\" flag: {}", e.message())))
}

fn bytes(m: &ArgMatches, id: &str) -> Result<i64> {
    let given = m.try_contains_id(id).is_ok().then(|| text_of(m, id)).flatten();
    match given {
        None | Some("") => Ok(0),
        Some(text) => units::parse_bytes(text).map_err(|e| {
            Error::invalid(format!("invalid argument {text:?} for \"--{id}\" flag: {}", e.message()))
                .hint("such as 64m or 1.5g")
        }),
    }
}

/// `--memory-swap` may be -1.
fn swap(m: &ArgMatches) -> Result<i64> {
    match text_of(m, "memory-swap") {
        Some("-1") => Ok(-1),
        _ => bytes(m, "memory-swap"),
    }
}

/// The first network decides; none given is Docker's "default".
fn network_mode(m: &ArgMatches) -> Result<String> {
    match list_of(m, "network").first() {
        None => Ok("default".into()),
        Some(first) => Ok(network_name(first)?.0),
    }
}

/// `NAME`, or `name=NAME,alias=A,ip=1.2.3.4`.
fn network_name(value: &str) -> Result<(String, EndpointSettings)> {
    let mut endpoint = EndpointSettings::default();
    if !value.contains('=') {
        return Ok((value.to_string(), endpoint));
    }
    let (mut name, mut ipam) = (String::new(), serde_json::Map::new());
    for field in value.split(',') {
        let wrong = || Error::invalid(format!("invalid field {field} in --network {value}"));
        let (key, text) = field.split_once('=').ok_or_else(wrong)?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => name = text.to_string(),
            "alias" => endpoint.aliases.get_or_insert_default().push(text.to_string()),
            "ip" => drop(ipam.insert("IPv4Address".into(), text.into())),
            "ip6" => drop(ipam.insert("IPv6Address".into(), text.into())),
            "mac-address" => endpoint.mac_address = text.to_string(),
            _ => return Err(wrong()),
        }
    }
    if name.is_empty() {
        return Err(Error::invalid(format!("network name is missing in --network {value}")));
    }
    endpoint.ipam_config = (!ipam.is_empty()).then_some(ipam.into());
    Ok((name, endpoint))
}

/// What is wished on each network; nothing for a plain `--network NAME`.
fn networking(m: &ArgMatches, host: &HostConfig) -> Result<NetworkingConfig> {
    let mut all = NetworkingConfig::default();
    for value in list_of(m, "network") {
        let (name, endpoint) = network_name(&value)?;
        all.endpoints_config.insert(name, Some(endpoint));
    }
    let aliases = list_of(m, "network-alias");
    let (ip, ip6) = (text_of(m, "ip"), text_of(m, "ip6"));
    if !aliases.is_empty() || ip.is_some() || ip6.is_some() {
        let first =
            all.endpoints_config.entry(host.network_mode.clone()).or_default().get_or_insert_with(EndpointSettings::default);
        first.aliases = some_of(aliases);
        let pairs = [("IPv4Address", ip), ("IPv6Address", ip6)];
        let ipam: serde_json::Map<_, _> =
            pairs.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?.into()))).collect();
        first.ipam_config = (!ipam.is_empty()).then_some(ipam.into());
    }
    let plain = all.endpoints_config.len() == 1
        && all.endpoints_config.values().all(|e| e.as_ref().is_none_or(|e| *e == EndpointSettings::default()));
    Ok(if plain { NetworkingConfig::default() } else { all })
}
