//! # Stats: what it uses, second by second
//!
//! `stats` is a conversation in readings: the client gets all counters once a second, each reading with the one before it
//! (`precpu_stats`), so that a percentage can be computed without remembering anything.
//!
//! ```text
//!   cgroup counters   cpu, memory, pids, blkio     ─┐
//!   /proc/stat        the machine's CPU time        ├─► {"read", "preread", "cpu_stats", "precpu_stats", …}
//!   /proc/PID/net/dev its interfaces, without lo   ─┘
//!
//!   CPU % = Δ cpu_usage.total_usage / Δ system_cpu_usage × online_cpus × 100          (the client's work)
//! ```
//!
//! * `stream`: one reading at once, then one a second until the container is removed; while it does not run the counters
//!   are zero. Without `stream`: two readings a second apart, of which the second is told; with `one_shot` just one, whose
//!   `precpu_stats` are zero.
//! * Clients know cgroup v1 and v2 by the names inside `memory_stats.stats` (`total_inactive_file`, `inactive_file`) and by
//!   whether `percpu_usage` is there, so each version's own names go out unchanged.
//!
//! Laws: a container without a limit shows the machine's memory as its limit.
//! *See:* Docker API `ContainerStats`, moby `daemon/stats_unix.go`. *Next room:* [`crate::container::top`]

use crate::{Engine, container::bundle, container::record::Record, container::store::Container};
use futures_util::{StreamExt, stream, stream::BoxStream};
use jiff::Timestamp;
use minidock_base::{
    Error, Result,
    clock::{self, ZERO, rfc3339},
    error::Doing,
};
use minidock_linux::cgroup::{
    Hierarchy, Version,
    stats::{IoEntry, Stats},
};
use serde_json::{Map, Value, json};
use std::{fs, path::Path, sync::Arc, time::Duration};

/// How often the counters are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// The readings of one container.
///
/// # Errors
/// No such container.
pub async fn stats(engine: &Arc<Engine>, id: &str, stream: bool, one_shot: bool) -> Result<BoxStream<'static, Value>> {
    let container = engine.containers.find(id)?;
    let runs = container.record().state.has_process();
    let before = match (stream, one_shot || !runs) {
        (false, false) => {
            let before = read(engine, &container).await;
            tokio::time::sleep(INTERVAL).await;
            before
        }
        _ => Reading::nothing(),
    };
    let first = read(engine, &container).await;
    let told = first.to_json(&before, &container.record());
    if !stream {
        return Ok(stream::iter([told]).boxed());
    }
    Ok(stream::iter([told]).chain(every_second(engine.clone(), container, first)).boxed())
}

fn every_second(engine: Arc<Engine>, container: Arc<Container>, first: Reading) -> BoxStream<'static, Value> {
    let ticks = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    stream::unfold((engine, container, first, ticks), |(engine, container, before, mut ticks)| async move {
        ticks.tick().await;
        if container.turns().borrow().removed {
            return None;
        }
        let now = read(&engine, &container).await;
        let told = now.to_json(&before, &container.record());
        Some((told, (engine, container, now, ticks)))
    })
    .boxed()
}

/// One look at all counters.
struct Reading {
    at: Option<Timestamp>,
    /// None while it does not run.
    counters: Option<(Version, Stats)>,
    system_ns: u64,
    online_cpus: u64,
    memory_total: u64,
    networks: Map<String, Value>,
}

/// Reads on a blocking thread: some twenty small files.
async fn read(engine: &Arc<Engine>, container: &Container) -> Reading {
    let record = container.record();
    if !record.state.has_process() {
        return Reading::nothing();
    }
    let path = bundle::cgroups_path(engine, &record);
    let look = move || look(&path, &record);
    // a reading that cannot be had (the container just ended) is one without counters
    tokio::task::spawn_blocking(look).await.ok().and_then(Result::ok).unwrap_or_else(Reading::nothing)
}

fn look(path: &str, record: &Record) -> Result<Reading> {
    let hierarchy = Hierarchy::detect().doing(|| "find the cgroups of this machine")?;
    let counters = hierarchy.cgroup(Path::new(path)).stats().doing(|| "read the counters")?;
    let (system_ns, online_cpus) = machine_cpu(&fs::read_to_string("/proc/stat").doing(|| "read /proc/stat")?);
    let memory_total = memory_total(&fs::read_to_string("/proc/meminfo").doing(|| "read /proc/meminfo")?);
    let has_own_network = record.host_config.network_mode != "host";
    let devices = fs::read_to_string(format!("/proc/{}/net/dev", record.state.pid)).unwrap_or_default();
    let networks = if has_own_network { interfaces(&devices) } else { Map::new() };
    let counters = Some((hierarchy.version(), counters));
    Ok(Reading { at: Some(clock::now()), counters, system_ns, online_cpus, memory_total, networks })
}

impl Reading {
    fn nothing() -> Reading {
        Reading { at: None, counters: None, system_ns: 0, online_cpus: 0, memory_total: 0, networks: Map::new() }
    }

    /// This reading with the one before it, as the API tells it.
    fn to_json(&self, before: &Reading, record: &Record) -> Value {
        let time = |at: Option<Timestamp>| at.map(rfc3339).unwrap_or_else(|| ZERO.to_string());
        let mut told = json!({
            "name": format!("/{}", record.name),
            "id": record.id,
            "read": time(self.at),
            "preread": time(before.at),
            "pids_stats": self.pids(),
            "blkio_stats": self.block_io(),
            "num_procs": 0,
            "storage_stats": {},
            "cpu_stats": self.cpu(),
            "precpu_stats": before.cpu(),
            "memory_stats": self.memory(),
        });
        if !self.networks.is_empty() {
            told["networks"] = self.networks.clone().into();
        }
        told
    }

    fn cpu(&self) -> Value {
        let Some((version, Stats { cpu, .. })) = &self.counters else {
            let usage = json!({"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0});
            let throttling = json!({"periods": 0, "throttled_periods": 0, "throttled_time": 0});
            return json!({"cpu_usage": usage, "throttling_data": throttling});
        };
        let mut usage = json!({
            "total_usage": cpu.total_ns,
            "usage_in_kernelmode": cpu.system_ns,
            "usage_in_usermode": cpu.user_ns,
        });
        if *version == Version::V1 {
            usage["percpu_usage"] = cpu.per_cpu_ns.clone().into();
        }
        json!({
            "cpu_usage": usage,
            "system_cpu_usage": self.system_ns,
            "online_cpus": self.online_cpus,
            "throttling_data": {
                "periods": cpu.periods,
                "throttled_periods": cpu.throttled_periods,
                "throttled_time": cpu.throttled_ns,
            },
        })
    }

    fn memory(&self) -> Value {
        let Some((version, Stats { memory, .. })) = &self.counters else { return json!({}) };
        let mut told = json!({
            "usage": memory.memory.usage,
            "stats": memory.stat,
            "limit": memory.memory.limit.min(self.memory_total),
        });
        if *version == Version::V1 {
            told["max_usage"] = memory.memory.max_usage.into();
            told["failcnt"] = memory.memory.failures.into();
        }
        told
    }

    fn pids(&self) -> Value {
        let Some((_, Stats { pids, .. })) = &self.counters else { return json!({}) };
        let mut told = json!({"current": pids.current});
        if pids.limit != 0 {
            told["limit"] = pids.limit.into();
        }
        told
    }

    fn block_io(&self) -> Value {
        let lists = match &self.counters {
            None => return block_io_lists(|_| Value::Null),
            Some((version, stats)) => (*version, &stats.block_io),
        };
        let (version, io) = lists;
        let list = |entries: &[IoEntry]| match (version, entries) {
            // v2 has two of the eight; the others are null there and empty on v1
            (Version::V2, []) => Value::Null,
            _ => entries.iter().map(|entry| io_entry(version, entry)).collect(),
        };
        block_io_lists(|name| match name {
            "io_service_bytes_recursive" => list(&io.service_bytes),
            "io_serviced_recursive" => list(&io.serviced),
            "io_queue_recursive" => list(&io.queued),
            "io_service_time_recursive" => list(&io.service_time),
            "io_wait_time_recursive" => list(&io.wait_time),
            "io_merged_recursive" => list(&io.merged),
            "io_time_recursive" => list(&io.time),
            _ => list(&io.sectors),
        })
    }
}

const BLOCK_IO: [&str; 8] = [
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
];

fn block_io_lists(list: impl Fn(&str) -> Value) -> Value {
    BLOCK_IO.iter().map(|name| (name.to_string(), list(name))).collect::<Map<String, Value>>().into()
}

/// v1's operations are written `Read`, v2's `read`: clients compare without regard to case, tests do not.
fn io_entry(version: Version, entry: &IoEntry) -> Value {
    let op = if version == Version::V2 { entry.op.to_ascii_lowercase() } else { entry.op.clone() };
    json!({"major": entry.major, "minor": entry.minor, "op": op, "value": entry.value})
}

/// The machine's CPU time so far in nanoseconds (busy and idle, all CPUs together) and the number of CPUs.
fn machine_cpu(stat: &str) -> (u64, u64) {
    const TICK_NS: u64 = 10_000_000;
    let all = stat.lines().next().unwrap_or_default();
    let ticks: u64 = all.split_whitespace().skip(1).take(7).filter_map(|word| word.parse::<u64>().ok()).sum();
    let is_cpu = |line: &&str| line.starts_with("cpu") && line.as_bytes().get(3).is_some_and(u8::is_ascii_digit);
    (ticks * TICK_NS, stat.lines().filter(is_cpu).count() as u64)
}

fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).map_or(u64::MAX, |kib| kib * 1024)
}

/// The interfaces of `/proc/PID/net/dev`, except `lo`.
fn interfaces(text: &str) -> Map<String, Value> {
    let interface = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let at = |n: usize| numbers.get(n).copied().unwrap_or(0);
        let told = json!({
            "rx_bytes": at(0), "rx_packets": at(1), "rx_errors": at(2), "rx_dropped": at(3),
            "tx_bytes": at(8), "tx_packets": at(9), "tx_errors": at(10), "tx_dropped": at(11),
        });
        Some((name.trim().to_string(), told))
    };
    // two lines of headings come first
    text.lines().skip(2).filter_map(interface).filter(|(name, _)| name != "lo").collect()
}

/// `container … is not running`: for whoever needs a live process.
///
/// # Errors
/// Conflict, unless it runs (paused counts).
pub fn must_run(record: &Record) -> Result<()> {
    match record.state.has_process() {
        true => Ok(()),
        false => Err(Error::conflict(format!("container {} is not running", record.id)).hint("minidock start it first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_linux::cgroup::stats::{Counter, Memory, Pids};

    #[test]
    fn the_machine_is_counted() {
        let stat = "cpu  10 20 30 40 5 6 7 8 9 10\ncpu0 1 2 3\ncpu1 1 2 3\nintr 1\n";
        assert_eq!(machine_cpu(stat), (118 * 10_000_000, 2));
        assert_eq!(memory_total("MemTotal:        8056844 kB\nMemFree: 1 kB\n"), 8_056_844 * 1024);
        let devices = "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0: 100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n";
        let found = interfaces(devices);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eth0"]);
        assert_eq!((&found["eth0"]["rx_bytes"], &found["eth0"]["tx_dropped"]), (&json!(100), &json!(7)));
    }

    fn reading(version: Version) -> Reading {
        let counter = Counter { usage: 5, max_usage: 9, failures: 1, limit: u64::MAX };
        let memory = Memory { memory: counter, ..Memory::default() };
        let stats = Stats { memory, pids: Pids { current: 3, limit: 0 }, ..Stats::default() };
        Reading { counters: Some((version, stats)), memory_total: 1000, ..Reading::nothing() }
    }

    #[test]
    fn each_version_of_cgroups_speaks_its_own_names() {
        let (v1, v2) = (reading(Version::V1), reading(Version::V2));
        assert_eq!(v1.memory()["limit"], 1000, "no limit is the machine's memory");
        assert_eq!((&v1.memory()["max_usage"], v2.memory().get("max_usage")), (&json!(9), None));
        assert!(v1.cpu()["cpu_usage"].get("percpu_usage").is_some());
        assert!(v2.cpu()["cpu_usage"].get("percpu_usage").is_none());
        assert_eq!(v1.pids(), json!({"current": 3}));
        assert_eq!((&v1.block_io()["sectors_recursive"], &v2.block_io()["sectors_recursive"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn a_container_that_does_not_run_has_zeros_and_no_limit() {
        let nothing = Reading::nothing();
        assert_eq!((nothing.memory(), nothing.pids()), (json!({}), json!({})));
        assert_eq!(nothing.cpu()["cpu_usage"]["total_usage"], 0);
        assert!(nothing.cpu().get("system_cpu_usage").is_none());
    }
}
