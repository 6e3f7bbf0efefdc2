//! # Events: what a container uses, and when it runs out of memory
//!
//! `events --stats` prints one JSON object with all counters; `events` prints one every five seconds, and another kind in
//! between: `{"type":"oom"}`, the moment the kernel kills somebody in the container for want of memory. It ends with the
//! container.
//!
//! ```text
//!   cgroup counters ──┐
//!   timer             ├──► {"type":"stats","id":"web","data":{…}}      one object a line, runc's names and omissions
//!   oom descriptor  ──┘    {"type":"oom","id":"web"}
//! ```
//!
//! Engines parse this, so the names are runc's to the letter: `throttledPeriods`, `ioServiceBytesRecursive`; and what runc
//! leaves out when it is zero is left out.
//!
//! See: runc-events(8), runc `types/events.go` (names). Next room: [`crate::update_options`]

use crate::state::{Folder, Record};
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::{
    cgroup::{
        Cgroup,
        oom::{Oom, Watch},
        stats::{Counter, IoEntry, Stats},
    },
    poll::{self, Want},
};
use minidock_spec::runtime::Status;
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

/// How often the counters are printed unless somebody says otherwise.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// How `events` was asked.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Print once and end.
    pub stats_only: bool,
    pub interval: Duration,
}

/// Prints the events of a container until it ends.
///
/// # Errors
/// `container does not exist`, `container … is not running`; an interval of zero.
pub fn events(root: &Path, id: &str, options: Options, out: &mut dyn Write) -> Result<()> {
    if options.interval.is_zero() {
        return Err(Error::invalid("duration interval must be greater than 0"));
    }
    let folder = Folder::of(root, id)?;
    let record = folder.load()?;
    if record.status(&folder) == Status::Stopped {
        return Err(Error::conflict(format!("container with id {id} is not running")));
    }
    let cgroup = record.cgroup.as_ref().ok_or_else(|| Error::system("the container has no cgroup"))?;
    if options.stats_only {
        return print(out, &stats(id, cgroup)?);
    }
    follow(&folder, &record, cgroup, options.interval, out)
}

fn follow(folder: &Folder, record: &Record, cgroup: &Cgroup, interval: Duration, out: &mut dyn Write) -> Result<()> {
    let mut watch = Watch::new(cgroup).doing(|| "watch for the out-of-memory killer")?;
    let mut next = Instant::now() + interval;
    loop {
        // a container that ends without a word is noticed within the second
        let wait = next.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
        let woken = poll::until_ready(watch.as_fd(), Want::READ, Some(wait)).doing(|| "wait for events")?;
        if woken {
            match watch.drain() {
                Oom::Killed(times) => {
                    for _ in 0..times {
                        print(out, &json!({"type": "oom", "id": record.id}))?;
                    }
                }
                Oom::Nothing => {}
                Oom::Gone => return Ok(()),
            }
        }
        if record.status(folder) == Status::Stopped {
            return Ok(());
        }
        if Instant::now() >= next {
            next += interval;
            match stats(&record.id, cgroup) {
                Ok(event) => print(out, &event)?,
                // gone between two looks
                Err(_) if !cgroup.exists() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn print(out: &mut dyn Write, event: &Value) -> Result<()> {
    writeln!(out, "{event}").and_then(|()| out.flush()).doing(|| "print events")
}

/// One `stats` event.
fn stats(id: &str, cgroup: &Cgroup) -> Result<Value> {
    let stats = cgroup.stats().doing(|| "read the counters of the container")?;
    Ok(json!({"type": "stats", "id": id, "data": data(cgroup, &stats)}))
}

fn data(cgroup: &Cgroup, stats: &Stats) -> Value {
    let cpu = &stats.cpu;
    let usage = without_zeros(json!({
        "total": cpu.total_ns,
        "percpu": cpu.per_cpu_ns,
        "percpu_kernel": cpu.per_cpu_kernel_ns,
        "percpu_user": cpu.per_cpu_user_ns,
    }));
    let mut usage = usage;
    usage["kernel"] = cpu.system_ns.into();
    usage["user"] = cpu.user_ns.into();
    let throttling = without_zeros(json!({
        "periods": cpu.periods,
        "throttledPeriods": cpu.throttled_periods,
        "throttledTime": cpu.throttled_ns,
    }));
    let memory = &stats.memory;
    json!({
        "cpu": {"usage": usage, "throttling": throttling},
        "cpuset": cpuset(cgroup),
        "memory": without_zeros(json!({
            "cache": memory.cache,
            "usage": counter(&memory.memory),
            "swap": counter(&memory.with_swap),
            "kernel": counter(&memory.kernel),
            "kernelTCP": counter(&memory.kernel_tcp),
            "raw": memory.stat,
        })),
        "pids": without_zeros(json!({"current": stats.pids.current, "limit": stats.pids.limit})),
        "blkio": without_zeros(json!({
            "ioServiceBytesRecursive": entries(&stats.block_io.service_bytes),
            "ioServicedRecursive": entries(&stats.block_io.serviced),
            "ioQueueRecursive": entries(&stats.block_io.queued),
            "ioServiceTimeRecursive": entries(&stats.block_io.service_time),
            "ioWaitTimeRecursive": entries(&stats.block_io.wait_time),
            "ioMergedRecursive": entries(&stats.block_io.merged),
            "ioTimeRecursive": entries(&stats.block_io.time),
            "sectorsRecursive": entries(&stats.block_io.sectors),
        })),
        "hugetlb": stats.hugetlb.iter().map(|(size, hugetlb)| {
            let some = json!({"usage": hugetlb.usage, "max": hugetlb.max_usage});
            let mut value = without_zeros(some);
            value["failcnt"] = hugetlb.failures.into();
            (size.clone(), value)
        }).collect::<Map<String, Value>>(),
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn counter(counter: &Counter) -> Value {
    let mut value = without_zeros(json!({"limit": counter.limit, "usage": counter.usage, "max": counter.max_usage}));
    value["limit"] = counter.limit.into();
    value["failcnt"] = counter.failures.into();
    value
}

fn entries(entries: &[IoEntry]) -> Value {
    let entry = |entry: &IoEntry| {
        let mut value = without_zeros(json!({"major": entry.major, "minor": entry.minor}));
        if !entry.op.is_empty() {
            value["op"] = entry.op.clone().into();
        }
        if entry.value != 0 {
            value["value"] = entry.value.into();
        }
        value
    };
    entries.iter().map(entry).collect()
}

/// cpuset's own files, v1 only; runc prints them as numbers and lists of numbers.
fn cpuset(cgroup: &Cgroup) -> Value {
    let list = |file: &str| {
        let text = cgroup.read("cpuset", file).unwrap_or_default();
        numbers(&text)
    };
    let number = |file: &str| cgroup.read("cpuset", file).ok().and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    let mut value = without_zeros(json!({"cpus": list("cpuset.cpus"), "mems": list("cpuset.mems")}));
    for name in [
        "cpu_exclusive",
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
        "sched_relax_domain_level",
    ] {
        value[name] = number(&format!("cpuset.{name}")).into();
    }
    value
}

/// `0-2,5` as 0, 1, 2, 5.
fn numbers(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<u32>().ok()?..=to.trim().parse::<u32>().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Go's `omitempty`: zeros, empty lists and empty maps are left out.
fn without_zeros(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !is_empty(value)).collect::<Map<String, Value>>().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_linux::cgroup::Hierarchy;

    #[test]
    fn stats_have_runcs_names_and_omissions() {
        let Ok(hierarchy) = Hierarchy::detect() else { return };
        let cgroup = hierarchy.cgroup(Path::new(&format!("/minidock-test-{}-events", std::process::id())));
        if let Err(failed) = cgroup.create() {
            eprintln!("SKIP: {failed}");
            return;
        }
        let event = stats("web", &cgroup);
        cgroup.remove().expect("nobody is inside");
        let event = event.expect("the group is there");
        assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!("web")));
        let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let parts = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"];
        assert_eq!(keys(&event["data"]), parts);
        assert_eq!(event["data"]["cpu"]["throttling"], json!({}));
        assert!(event["data"]["memory"]["usage"]["failcnt"].is_u64());
        assert_eq!(event["data"]["pids"], json!({}), "nobody, no limit");
    }

    #[test]
    fn lists_of_cpus_are_spelled_out() {
        assert_eq!(numbers("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(numbers("0"), [0]);
        assert!(numbers("").is_empty());
    }
}
