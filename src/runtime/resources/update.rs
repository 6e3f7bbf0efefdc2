//! # Update: other limits for a living container
//!
//! `update` takes a part of `linux.resources`, from a file, from standard input, or from single flags, and turns only the
//! knobs that are mentioned; zero and the empty text mean "as it is". Where the second of two limits is refused, the first
//! was already changed: so the knobs are read before, and written back.
//!
//! ```text
//!   update --memory 64m --pids-limit 50 ID          flags
//!   update -r FILE ID,  update -r - ID              JSON; flags are then ignored, as in runc
//! ```
//!
//! Laws: all or nothing. See: runc-update(8). Next room: [`crate::resources::memory`]

use crate::flags::{Given, Known, option};
use minidock_base::{Error, Result, error::Doing, units};
use minidock_linux::cgroup::{Cgroup, Version};
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};
use std::io::Read;

/// The flags of `update`.
pub const FLAGS: [Known; 18] = [
    option("resources", "r", "FILE", "read the resources from a file, or - for standard input"),
    option("blkio-weight", "", "N", "weight among groups on a busy disk, 10 to 1000"),
    option("cpu-period", "", "MICROSECONDS", "CPU CFS period; 0 for the default"),
    option("cpu-quota", "", "MICROSECONDS", "CPU time allowed in a period"),
    option("cpu-burst", "", "MICROSECONDS", "CPU time that may be saved up beyond the quota"),
    option("cpu-share", "", "N", "CPU shares (relative weight)"),
    option("cpu-rt-period", "", "MICROSECONDS", "CPU realtime period"),
    option("cpu-rt-runtime", "", "MICROSECONDS", "CPU realtime runtime"),
    option("cpu-idle", "", "0|1", "run only when nobody else does"),
    option("cpuset-cpus", "", "LIST", "CPUs to use"),
    option("cpuset-mems", "", "LIST", "memory nodes to use"),
    option("memory", "", "BYTES", "memory limit"),
    option("memory-reservation", "", "BYTES", "soft memory limit"),
    option("memory-swap", "", "BYTES", "memory plus swap; -1 for unlimited swap"),
    option("kernel-memory", "", "BYTES", "no longer exists in Linux: refused"),
    option("kernel-memory-tcp", "", "BYTES", "limit of TCP buffers (cgroup v1)"),
    option("pids-limit", "", "N", "largest number of processes and threads"),
    option("swappiness", "", "N", "how eagerly to swap, 0 to 100 (cgroup v1)"),
];

/// The resources that the flags ask for.
///
/// # Errors
/// A file that cannot be read, JSON that is none (with line and column), a value that is no number or size.
pub fn wanted(given: &Given) -> Result<LinuxResources> {
    match given.get("resources") {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).doing(|| "read resources from standard input")?;
            parse(&text)
        }
        Some(file) => parse(&std::fs::read_to_string(file).doing(|| format!("read {file}"))?),
        None => from_flags(given),
    }
}

fn parse(text: &str) -> Result<LinuxResources> {
    serde_json::from_str(text).map_err(|e| Error::invalid(format!("resources: {e}")))
}

fn from_flags(given: &Given) -> Result<LinuxResources> {
    let mut memory = Map::new();
    for (flag, key) in [
        ("memory", "limit"),
        ("memory-reservation", "reservation"),
        ("memory-swap", "swap"),
        ("kernel-memory", "kernel"),
        ("kernel-memory-tcp", "kernelTCP"),
    ] {
        if let Some(text) = given.get(flag) {
            memory.insert(key.into(), bytes(flag, text)?.into());
        }
    }
    insert_number(&mut memory, given, "swappiness", "swappiness")?;
    let mut cpu = Map::new();
    for (flag, key) in [
        ("cpu-period", "period"),
        ("cpu-quota", "quota"),
        ("cpu-burst", "burst"),
        ("cpu-share", "shares"),
        ("cpu-rt-period", "realtimePeriod"),
        ("cpu-rt-runtime", "realtimeRuntime"),
        ("cpu-idle", "idle"),
    ] {
        insert_number(&mut cpu, given, flag, key)?;
    }
    for (flag, key) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(list) = given.get(flag) {
            cpu.insert(key.into(), list.into());
        }
    }
    let mut all = Map::from_iter([("memory".to_string(), memory.into()), ("cpu".to_string(), cpu.into())]);
    if let Some(limit) = given.number::<i64>("pids-limit")? {
        all.insert("pids".into(), json!({"limit": limit}));
    }
    if let Some(weight) = given.number::<u16>("blkio-weight")? {
        all.insert("blockIO".into(), json!({"weight": weight}));
    }
    serde_json::from_value(all.into()).map_err(|e| Error::invalid(format!("resources: {e}")))
}

fn insert_number(map: &mut Map<String, Value>, given: &Given, flag: &'static str, key: &str) -> Result<()> {
    if let Some(number) = given.number::<i64>(flag)? {
        map.insert(key.into(), number.into());
    }
    Ok(())
}

fn bytes(flag: &str, text: &str) -> Result<i64> {
    match text {
        "-1" => Ok(-1),
        _ => units::parse_bytes(text).map_err(|e| Error::invalid(format!("invalid value for {flag}: {}", e.cause()))),
    }
}

/// Knobs that an update may have changed before it failed.
const V1: [(&str, &str); 13] = [
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes"),
    ("memory", "memory.swappiness"),
    ("cpu", "cpu.shares"),
    ("cpu", "cpu.cfs_period_us"),
    ("cpu", "cpu.cfs_quota_us"),
    ("cpu", "cpu.cfs_burst_us"),
    ("cpu", "cpu.idle"),
    ("cpuset", "cpuset.cpus"),
    ("cpuset", "cpuset.mems"),
    ("pids", "pids.max"),
    ("blkio", "blkio.weight"),
];
const V2: [(&str, &str); 11] = [
    ("memory", "memory.max"),
    ("memory", "memory.swap.max"),
    ("memory", "memory.low"),
    ("cpu", "cpu.max"),
    ("cpu", "cpu.max.burst"),
    ("cpu", "cpu.weight"),
    ("cpu", "cpu.idle"),
    ("cpuset", "cpuset.cpus"),
    ("cpuset", "cpuset.mems"),
    ("pids", "pids.max"),
    ("io", "io.weight"),
];

/// What the knobs said before.
pub struct Before(Vec<(&'static str, &'static str, String)>);

impl Before {
    pub fn read(cgroup: &Cgroup) -> Before {
        let knobs: &[(&str, &str)] = match cgroup.version() {
            Version::V1 => &V1,
            Version::V2 => &V2,
        };
        let read =
            |(controller, file): &(&'static str, &'static str)| Some((*controller, *file, cgroup.read(controller, file).ok()?));
        Before(knobs.iter().filter_map(read).collect())
    }

    /// Writes back what differs. Twice, for one limit may have to wait for another.
    #[track_caller]
    pub fn restore(&self, cgroup: &Cgroup) {
        for _ in 0..2 {
            for (controller, file, text) in &self.0 {
                if cgroup.read(controller, file).is_ok_and(|now| now != *text) {
                    // the failure that brought us here is what the user hears of
                    let _ = cgroup.write(controller, file, text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Result<LinuxResources> {
        let words: Vec<String> = text.split(' ').map(String::from).collect();
        wanted(&Given::parse(&words, &FLAGS, None)?)
    }

    #[test]
    fn flags_become_resources() {
        let all =
            flags("--memory 64m --memory-swap -1 --cpu-quota=5000 --cpuset-cpus 0-1 --pids-limit 20 web").expect("good flags");
        let memory = all.memory().expect("asked for");
        assert_eq!((memory.limit(), memory.swap(), memory.reservation()), (Some(64 << 20), Some(-1), None));
        let cpu = all.cpu().clone().expect("asked for");
        assert_eq!((cpu.quota(), cpu.cpus().as_deref(), cpu.shares()), (Some(5000), Some("0-1"), None));
        assert_eq!(all.pids().map(|pids| pids.limit()), Some(20));
        assert!(all.block_io().is_none());
        assert_eq!(flags("--memory foo web").expect_err("no size").message(), "invalid value for memory: invalid size: 'foo'");
        assert!(flags("--cpu-share many web").is_err());
    }

    #[test]
    fn json_is_taken_as_runc_takes_it() {
        let zeros = r#"{"memory": {"limit": 0, "reservation": 0, "swap": 0}, "cpu": {"shares": 0, "quota": 0, "period": 0,
            "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0}}"#;
        parse(zeros).expect("runc's own example");
        assert!(parse("{\n nonsense").expect_err("no JSON").message().contains("line 2"));
    }
}
