//! # Resources: how much of the machine
//!
//! Docker's numbers become the runtime-spec's. Most are copied; a few are computed: `--cpus 1.5` is a quota of 150 ms in
//! each period of 100 ms, and a limit of memory without one for swap means as much swap again.
//!
//! The same function serves `update`, where only what was given may change.
//!
//! *See:* config-linux.md#control-groups · moby `daemon/daemon_unix.go`. *Next room:* [`crate::container::create`]

use minidock_base::{Error, Result};
use minidock_spec::engine::container::{Resources, ThrottleDevice, WeightDevice};
use serde_json::{Map, Value, json};
use std::os::unix::fs::MetadataExt;

/// The `linux.resources` of a config (or of an update).
///
/// # Errors
/// A block device that is not there.
pub fn limits(wishes: &Resources, device_rules: Vec<Value>) -> Result<Value> {
    let mut limits = Map::new();
    if !device_rules.is_empty() {
        limits.insert("devices".into(), device_rules.into());
    }
    let mut put = |name: &str, section: Map<String, Value>| {
        if !section.is_empty() {
            limits.insert(name.into(), section.into());
        }
    };
    put("memory", memory(wishes));
    put("cpu", cpu(wishes));
    put("blockIO", block_io(wishes)?);
    if let Some(most) = wishes.pids_limit.filter(|n| *n != 0) {
        put("pids", Map::from_iter([("limit".to_string(), json!(most.max(-1)))]));
    }
    Ok(limits.into())
}

fn memory(wishes: &Resources) -> Map<String, Value> {
    let mut memory = Map::new();
    let mut put = |name: &str, value: Value| drop(memory.insert(name.into(), value));
    if wishes.memory > 0 {
        put("limit", json!(wishes.memory));
    }
    if wishes.memory_reservation > 0 {
        put("reservation", json!(wishes.memory_reservation));
    }
    if wishes.memory_swap != 0 {
        put("swap", json!(wishes.memory_swap));
    }
    if let Some(swappiness) = wishes.memory_swappiness.filter(|s| *s >= 0) {
        put("swappiness", json!(swappiness));
    }
    if wishes.oom_kill_disable == Some(true) {
        put("disableOOMKiller", json!(true));
    }
    memory
}

fn cpu(wishes: &Resources) -> Map<String, Value> {
    const PERIOD: i64 = 100_000;
    let mut cpu = Map::new();
    let mut put = |name: &str, value: Value| drop(cpu.insert(name.into(), value));
    if wishes.cpu_shares > 0 {
        put("shares", json!(wishes.cpu_shares));
    }
    if wishes.nano_cpus > 0 {
        put("period", json!(PERIOD));
        put("quota", json!((i128::from(wishes.nano_cpus) * i128::from(PERIOD) / 1_000_000_000) as i64));
    }
    if wishes.cpu_period > 0 {
        put("period", json!(wishes.cpu_period));
    }
    if wishes.cpu_quota != 0 {
        put("quota", json!(wishes.cpu_quota));
    }
    if wishes.cpu_realtime_period > 0 {
        put("realtimePeriod", json!(wishes.cpu_realtime_period));
    }
    if wishes.cpu_realtime_runtime > 0 {
        put("realtimeRuntime", json!(wishes.cpu_realtime_runtime));
    }
    for (name, list) in [("cpus", &wishes.cpuset_cpus), ("mems", &wishes.cpuset_mems)] {
        if !list.is_empty() {
            put(name, json!(list));
        }
    }
    cpu
}

fn block_io(wishes: &Resources) -> Result<Map<String, Value>> {
    let mut io = Map::new();
    if wishes.blkio_weight > 0 {
        io.insert("weight".into(), json!(wishes.blkio_weight));
    }
    let weights: &[WeightDevice] = wishes.blkio_weight_device.as_deref().unwrap_or_default();
    let weigh = |d: &WeightDevice| device(&d.path, "weight", d.weight.into());
    if !weights.is_empty() {
        io.insert("weightDevice".into(), weights.iter().map(weigh).collect::<Result<Vec<_>>>()?.into());
    }
    let throttles: [(&str, &Option<Vec<ThrottleDevice>>); 4] = [
        ("throttleReadBpsDevice", &wishes.blkio_device_read_bps),
        ("throttleWriteBpsDevice", &wishes.blkio_device_write_bps),
        ("throttleReadIOPSDevice", &wishes.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", &wishes.blkio_device_write_iops),
    ];
    for (name, devices) in throttles {
        let devices = devices.as_deref().unwrap_or_default();
        if !devices.is_empty() {
            let list = devices.iter().map(|d| device(&d.path, "rate", d.rate)).collect::<Result<Vec<_>>>()?;
            io.insert(name.into(), list.into());
        }
    }
    Ok(io)
}

fn device(path: &str, name: &str, value: u64) -> Result<Value> {
    let meta = std::fs::metadata(path).map_err(|e| {
        let why = e.raw_os_error().map_or_else(|| e.to_string(), minidock_linux::errno::words);
        Error::invalid(format!("stat {path}: {why}"))
    })?;
    let dev = meta.rdev();
    let (major, minor) = ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff), (dev & 0xff) | (dev >> 12 & !0xff));
    Ok(json!({ "major": major, "minor": minor, name: value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cpu_is_half_of_each_period() {
        let wishes = Resources { nano_cpus: 500_000_000, memory: 64 << 20, pids_limit: Some(-1), ..Resources::default() };
        let limits = limits(&wishes, Vec::new()).expect("plain numbers");
        assert_eq!(limits["cpu"], json!({"period": 100_000, "quota": 50_000}));
        assert_eq!(limits["memory"], json!({"limit": 67_108_864}));
        assert_eq!(limits["pids"], json!({"limit": -1}));
        assert!(limits.get("blockIO").is_none() && limits.get("devices").is_none());
    }
}
