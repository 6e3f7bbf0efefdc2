//! # Resources: the limits of a container, from flags
//!
//! `run`, `create` and `update` share these: memory, CPUs, processes, block devices. Each flag that was given becomes one field
//! of the API's [`Resources`]; one that was not, or that a command does not have, stays at "not set".
//!
//! *See:* docker/cli `cli/command/container/opts.go`, `update.go`; Engine API, ContainerUpdate. *Next room:*
//! [`crate::container::limits`]

use crate::container::limits;
use clap::ArgMatches;
use minidock_base::{Error, Result, units};
use minidock_spec::engine::container::Resources;

/// The limits that `run`, `create` and `update` share; flags a command does not have count as not given.
///
/// # Errors
/// Sizes, CPUs, weights that are none.
pub fn resources(m: &ArgMatches) -> Result<Resources> {
    let text = |id: &str| given::<String>(m, id).unwrap_or_default();
    let number = |id: &str| given::<i64>(m, id);
    let many = |id: &str| -> Vec<String> {
        m.try_get_many::<String>(id).ok().flatten().map(|values| values.cloned().collect()).unwrap_or_default()
    };
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
        device_requests: some_of(many("gpus").iter().map(|v| limits::gpus(v)).collect::<Result<_>>()?),
        oom_kill_disable: given::<bool>(m, "oom-kill-disable").filter(|on| *on),
        cgroup_parent: text("cgroup-parent"),
        ..Resources::default()
    })
}

/// What a flag was given, if this command has it. (Clap only knows which flags a command has in debug builds; in a release `get_flag` of one
/// that is not there panics, and `contains_id` of it is no error.)
fn given<T: Clone + Send + Sync + 'static>(m: &ArgMatches, id: &str) -> Option<T> {
    m.try_get_one::<T>(id).ok().flatten().cloned()
}

/// `None` for an empty list: not set.
pub fn some_of<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn read_cpus(text: &str) -> Result<i64> {
    units::parse_cpus(text)
        .map_err(|e| Error::invalid(format!("invalid argument {text:?} for \"--cpus\" flag: {}", e.message())))
}

/// A size in bytes; 0 if it was not given.
///
/// # Errors
/// A text that is no size, with the flag's name.
pub fn bytes(m: &ArgMatches, id: &str) -> Result<i64> {
    let flag = if id == "memory" { "-m, --memory".to_string() } else { format!("--{id}") };
    match given::<String>(m, id).as_deref() {
        None | Some("") => Ok(0),
        Some(text) => units::parse_bytes(text).map_err(|e| {
            Error::invalid(format!("invalid argument {text:?} for {flag:?} flag: {}", e.message())).hint("such as 64m or 1.5g")
        }),
    }
}

/// `--memory-swap` may be -1.
fn swap(m: &ArgMatches) -> Result<i64> {
    match given::<String>(m, "memory-swap").as_deref() {
        Some("-1") => Ok(-1),
        _ => bytes(m, "memory-swap"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::update,
        words::{self, Read},
    };

    fn read(line: &str) -> Result<Resources> {
        let words: Vec<String> = line.split_whitespace().chain(["web"]).map(str::to_string).collect();
        match words::read(update::command(), "update", &words) {
            Ok(Read::Matches(m)) => resources(&m),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_given_is_set_and_the_rest_is_not() {
        let all =
            read("-m 64m --memory-swap -1 --cpus 1.5 --pids-limit -1 --cpuset-cpus 0-1 --blkio-weight 500").expect("limits");
        assert_eq!((all.memory, all.memory_swap, all.nano_cpus), (64 << 20, -1, 1_500_000_000));
        assert_eq!((all.pids_limit, all.cpuset_cpus.as_str(), all.blkio_weight), (Some(-1), "0-1", 500));
        assert_eq!(read("").expect("nothing"), Resources::default());
    }

    #[test]
    fn a_wrong_limit_names_its_flag() {
        assert!(read("-m lots").unwrap_err().message().starts_with("invalid argument \"lots\" for \"-m, --memory\" flag"));
        assert!(read("--cpus many").unwrap_err().message().contains("--cpus"));
        assert!(read("--blkio-weight 70000").is_err() && read("--blkio-weight -1").is_err());
    }
}
