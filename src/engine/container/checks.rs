//! # Checks: refuse early, say why
//!
//! Whatever can be known to be wrong is refused before anything is made: half a container is worse than none. The texts
//! are Docker's, because clients and people search for them; the hints are ours.
//!
//! * [`settings`] checks everything of a new container and gives the warnings that come with the answer.
//! * [`resources`] is the part that `update` needs as well; it also *fills in* what Docker fills in (swap twice the
//!   memory, no negative swappiness).
//! * Which networks there are is not asked here: [`crate::networks::wishes`] does that.
//!
//! *See:* moby `daemon/container.go`, `daemon/daemon_unix.go`, `runconfig/hostconfig_unix.go`.
//! *Next room:* [`crate::container::create`]

use crate::{
    container::mounts,
    networks::ports,
    oci_config::{Host, devices, namespaces, process, security},
};
use minidock_base::{Error, Result};
use minidock_linux::signal;
use minidock_network::resolv_conf;
use minidock_spec::engine::container::{ContainerConfig, HealthConfig, HostConfig, Resources, RestartPolicy};

const LEAST_MEMORY: i64 = 6 << 20;
/// Docker's shortest time for a health check: a millisecond, in nanoseconds.
const LEAST_DURATION: i64 = 1_000_000;

/// Checks a new container and fills in what follows from what was said.
///
/// # Errors
/// 400 in Docker's words; 501 for what is not there yet.
pub fn settings(config: &mut ContainerConfig, wishes: &mut HostConfig, host: &Host) -> Result<Vec<String>> {
    portable(config)?;
    if wishes.auto_remove && !matches!(wishes.restart_policy.name.as_str(), "" | "no") {
        return Err(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    mounts::check(wishes)?;
    restart_policy(&wishes.restart_policy)?;
    log_driver(wishes)?;
    security::capabilities(wishes, host)?;
    devices::check(wishes)?;
    process::rlimits(wishes.resources.ulimits.as_deref().unwrap_or_default(), &[], host)?;
    let mut warnings = resources(&mut wishes.resources, false)?;
    namespaces::check(wishes)?;
    namespaces::check_remap(wishes, host)?;
    if wishes.shm_size < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&wishes.oom_score_adj) {
        let value = wishes.oom_score_adj;
        return Err(Error::invalid(format!("Invalid value {value}, range for oom score adj is [-1000, 1000]")));
    }
    if !matches!(wishes.isolation.as_str(), "" | "default") {
        return Err(Error::invalid(format!("invalid isolation {:?}: linux only supports 'default'", wishes.isolation)));
    }
    if !matches!(wishes.runtime.as_str(), "" | "minidock" | "runc" | "io.containerd.runc.v2") {
        return Err(Error::invalid(format!("unknown or invalid runtime name: {}", wishes.runtime)));
    }
    if wishes.resources.device_requests.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(Error::invalid("could not select device driver \"\" with capabilities: [[gpu]]"));
    }
    if !wishes.storage_opt.is_empty() {
        return Err(Error::invalid("--storage-opt is not supported: the writable layer has no quota"));
    }
    warnings.extend(security::warnings(wishes)?);
    if wishes.network_mode == "host" && !wishes.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".into());
    }
    network(config, wishes)?;
    Ok(warnings)
}

fn portable(config: &mut ContainerConfig) -> Result<()> {
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            let folder = &config.working_dir;
            return Err(Error::invalid(format!(
                "the working directory '{folder}' is invalid, it needs to be an absolute path"
            )));
        }
        config.working_dir = minidock_base::clean_path::clean(&config.working_dir);
    }
    if let Some(text) = config.stop_signal.as_deref().filter(|s| !s.is_empty())
        && signal::parse(text).is_none()
    {
        return Err(Error::invalid(format!("invalid signal: {text}")).hint("a name or number such as SIGTERM or 15"));
    }
    if let Some(variable) = config.env.iter().find(|v| v.is_empty() || v.starts_with('=')) {
        return Err(Error::invalid(format!("invalid environment variable: {variable}")));
    }
    if config.hostname.len() > 64 {
        let name = &config.hostname;
        return Err(Error::invalid(format!("hostname {name:?} is too long (maximum 64 bytes)")));
    }
    config.healthcheck.as_ref().map_or(Ok(()), health)
}

fn health(check: &HealthConfig) -> Result<()> {
    let durations = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    if let Some((name, _)) = durations.into_iter().find(|(_, d)| *d != 0 && *d < LEAST_DURATION) {
        return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
    }
    match check.retries {
        ..0 => Err(Error::invalid("Retries in Healthcheck cannot be negative")),
        _ => Ok(()),
    }
}

/// Whether a restart policy makes sense.
///
/// # Errors
/// `invalid restart policy: …`
pub fn restart_policy(policy: &RestartPolicy) -> Result<()> {
    let counted = policy.maximum_retry_count;
    let bad = |why: String| Err(Error::invalid(format!("invalid restart policy: {why}")));
    match policy.name.as_str() {
        "" if counted > 0 => bad("maximum retry count can only be used with 'on-failure'".into()),
        "" => Ok(()),
        "always" | "unless-stopped" | "no" if counted > 0 => {
            bad("maximum retry count can only be used with 'on-failure'".into())
        }
        "always" | "unless-stopped" | "no" => Ok(()),
        "on-failure" if counted < 0 => bad("maximum retry count cannot be negative".into()),
        "on-failure" => Ok(()),
        other => bad(format!("unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'")),
    }
}

fn log_driver(wishes: &HostConfig) -> Result<()> {
    let log = &wishes.log_config;
    let kind = if log.kind.is_empty() { "json-file" } else { log.kind.as_str() };
    let own = super::log_relay::options(kind);
    if !matches!(kind, "json-file" | "local" | "none") && own.is_empty() {
        return Err(Error::invalid(format!("logger: no log driver named '{}' is registered", log.kind))
            .hint("json-file, local, none, gelf or syslog"));
    }
    let file =
        ["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"];
    let known = if own.is_empty() { &file[..] } else { own };
    super::log_relay::check(log)?;
    match log.config.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Error::invalid(format!("unknown log opt '{key}' for {kind} log driver"))),
        None => super::log_options::limits(log).map(drop),
    }
}

/// Checks limits and fills in what follows from them.
///
/// # Errors
/// 400 in Docker's words.
pub fn resources(wishes: &mut Resources, update: bool) -> Result<Vec<String>> {
    let bad = |why: &str| Err(Error::invalid(why));
    let mut warnings = Vec::new();
    let (memory, swap) = (wishes.memory, wishes.memory_swap);
    if memory != 0 && memory < LEAST_MEMORY {
        return bad("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return bad("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 && !update {
        return bad("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if memory > 0 && swap == 0 && !update {
        wishes.memory_swap = memory.saturating_mul(2);
    }
    wishes.memory_swappiness = wishes.memory_swappiness.filter(|s| *s != -1);
    if let Some(value) = wishes.memory_swappiness.filter(|s| !(0..=100).contains(s)) {
        return bad(&format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
    }
    if wishes.memory_reservation > 0 && wishes.memory_reservation < LEAST_MEMORY {
        return bad("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && wishes.memory_reservation > memory {
        return bad("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if wishes.oom_kill_disable == Some(true) && memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of \
             resources."
                .into(),
        );
    }
    wishes.pids_limit = wishes.pids_limit.filter(|n| *n > 0 || (update && *n != 0));
    cpu(wishes)?;
    if wishes.io_maximum_bandwidth != 0 || wishes.io_maximum_iops != 0 {
        return bad("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps");
    }
    if wishes.blkio_weight > 0 && !(10..=1000).contains(&wishes.blkio_weight) {
        return bad("Range of blkio weight is from 10 to 1000");
    }
    Ok(warnings)
}

fn cpu(wishes: &mut Resources) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid(why));
    if wishes.nano_cpus > 0 && wishes.cpu_period > 0 {
        return bad("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if wishes.nano_cpus > 0 && wishes.cpu_quota > 0 {
        return bad("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as i64);
    if wishes.nano_cpus < 0 || wishes.nano_cpus > cpus * 1_000_000_000 {
        return bad(&format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"));
    }
    if wishes.cpu_period != 0 && !(1000..=1_000_000).contains(&wishes.cpu_period) {
        return bad("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if wishes.cpu_quota > 0 && wishes.cpu_quota < 1000 {
        return bad("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    match wishes.cpu_shares {
        ..=-1 => return bad(&format!("invalid CPU shares ({}): value must be a positive integer", wishes.cpu_shares)),
        1 => wishes.cpu_shares = 2,
        262_145.. => wishes.cpu_shares = 262_144,
        _ => {}
    }
    list(&wishes.cpuset_cpus, "/sys/devices/system/cpu/online", "cpus", "Requested CPUs")?;
    list(&wishes.cpuset_mems, "/sys/devices/system/node/online", "mems", "Requested memory nodes")
}

/// Whether every number of `0-2,5` is in the kernel's own list.
fn list(wanted: &str, online: &str, what: &str, name: &str) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let wants = numbers(wanted).ok_or_else(|| Error::invalid(format!("Invalid value {wanted} for cpuset {what}")))?;
    let there = std::fs::read_to_string(online).unwrap_or_else(|_| "0".into());
    let have = numbers(there.trim()).unwrap_or_default();
    match wants.iter().all(|n| have.contains(n)) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{name} are not available - requested {wanted}, available: {}", there.trim()))),
    }
}

fn numbers(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to > 8192 {
            return None;
        }
        all.extend(from..=to);
    }
    Some(all)
}

/// What of the network can be known to be wrong without looking at networks.
fn network(config: &ContainerConfig, wishes: &HostConfig) -> Result<()> {
    let mode = wishes.network_mode.as_str();
    let bad = |why: &str| Err(Error::invalid(format!("conflicting options: {why}")));
    if let Some(other) = mode.strip_prefix("container:") {
        if other.is_empty() {
            return Err(Error::invalid("Invalid network mode: invalid container format container:<name|id>"));
        }
        if !config.hostname.is_empty() {
            return bad("hostname and the network mode");
        }
        if wishes.links.iter().flatten().next().is_some() {
            return bad("container type network can't be used with links. This would result in undefined behavior");
        }
        if !wishes.dns.is_empty() {
            return bad("dns and the network mode");
        }
        if wishes.extra_hosts.as_ref().is_some_and(|h| !h.is_empty()) {
            return bad("custom host-to-IP mapping and the network mode");
        }
        if wishes.publish_all_ports || !wishes.port_bindings.is_empty() {
            return bad("port publishing and the container type network mode");
        }
        if config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            return bad("port exposing and the container type network mode");
        }
    }
    if wishes.uts_mode == "host" && !config.hostname.is_empty() {
        return bad("hostname and the UTS mode");
    }
    resolv_conf::check(&wishes.dns)?;
    ports::doors(config, wishes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(change: impl FnOnce(&mut ContainerConfig, &mut HostConfig)) -> String {
        let (mut config, mut wishes) = (ContainerConfig::default(), HostConfig::default());
        change(&mut config, &mut wishes);
        settings(&mut config, &mut wishes, &Host::default()).map_or_else(|e| e.message(), |w| w.join(" "))
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        assert_eq!(why(|_, w| w.resources.memory = 1000), "Minimum memory limit allowed is 6MB");
        assert!(why(|c, _| c.working_dir = "x".into()).contains("needs to be an absolute path"));
        assert!(why(|_, w| w.restart_policy.name = "often".into()).contains("unknown policy 'often'"));
        assert!(why(|_, w| w.cap_add = Some(vec!["NOPE".into()])).contains("invalid CapAdd: unknown capability: \"CAP_NOPE\""));
        assert!(why(|_, w| w.pid_mode = "mine".into()).contains("invalid PID mode: mine"));
        assert!(why(|_, w| w.resources.cpuset_cpus = "99".into()).contains("Requested CPUs are not available"));
        assert!(why(|c, _| c.env = vec!["=x".into()]).contains("invalid environment variable: =x"));
        let foreign =
            |_: &mut ContainerConfig, w: &mut HostConfig| drop(w.log_config.config.insert("foo".into(), "bar".into()));
        assert_eq!(why(foreign), "unknown log opt 'foo' for json-file log driver");
        let (shared, publish) = ("container:x".to_string(), true);
        assert_eq!(
            why(|_, w| (w.network_mode, w.publish_all_ports) = (shared, publish)),
            "conflicting options: port publishing and the container type network mode"
        );
        assert_eq!(why(|_, _| {}), "");
    }

    #[test]
    fn a_memory_limit_allows_as_much_swap_again() {
        let mut wishes = Resources { memory: 64 << 20, memory_swappiness: Some(-1), ..Resources::default() };
        resources(&mut wishes, false).expect("plain");
        assert_eq!((wishes.memory_swap, wishes.memory_swappiness), (128 << 20, None));
    }
}
