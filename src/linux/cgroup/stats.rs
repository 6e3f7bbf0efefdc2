//! # Stats: what a group has used so far
//!
//! Both interfaces count the same things under different names and in different units: v1 counts CPU time in
//! nanoseconds (and, user apart from system, in clock ticks), v2 in microseconds; v1 says "no limit" with the largest
//! number of pages, v2 with the word `max`; v1 counts page cache in `usage_in_bytes` and v2 in `memory.current`, and in both
//! a reader who wants what Docker shows has to take the inactive file pages off. [`read`] brings both into one [`Stats`].
//!
//! Laws: a file that is not there (an old kernel, a controller that is not delegated) leaves zeros; only a group that is
//! gone altogether is an error. See: cgroup-v1/{cpuacct,memory,blkio-controller}.rst, cgroup-v2.rst. Next room: [`crate::cgroup::oom`]

use super::{Cgroup, Version, knob};
use crate::{action::quoted, errno::CallFailed};
use std::collections::BTreeMap;

/// All counters of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub cpu: Cpu,
    pub memory: Memory,
    pub pids: Pids,
    pub block_io: BlockIo,
    /// By page size, as in the knob's name: `2MB`.
    pub hugetlb: BTreeMap<String, Counter>,
}

/// CPU time in nanoseconds, and how often the quota stopped the group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// v1 only: by CPU, total, kernel and user.
    pub per_cpu_ns: Vec<u64>,
    pub per_cpu_kernel_ns: Vec<u64>,
    pub per_cpu_user_ns: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

/// A thing that is counted and limited. No limit is `u64::MAX` on v2, the largest number of pages on v1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub usage: u64,
    pub max_usage: u64,
    pub failures: u64,
    pub limit: u64,
}

/// Memory in bytes, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub memory: Counter,
    /// Memory and swap together (v2 is added up to mean the same).
    pub with_swap: Counter,
    pub kernel: Counter,
    pub kernel_tcp: Counter,
    pub cache: u64,
    /// All of `memory.stat`.
    pub stat: BTreeMap<String, u64>,
    pub oom_kills: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pids {
    pub current: u64,
    /// 0 stands for no limit.
    pub limit: u64,
}

/// One counter of one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoEntry {
    pub major: u64,
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; empty where the kernel does not tell them apart.
    pub op: String,
    pub value: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    pub service_bytes: Vec<IoEntry>,
    pub serviced: Vec<IoEntry>,
    pub queued: Vec<IoEntry>,
    pub service_time: Vec<IoEntry>,
    pub wait_time: Vec<IoEntry>,
    pub merged: Vec<IoEntry>,
    pub time: Vec<IoEntry>,
    pub sectors: Vec<IoEntry>,
}

/// Reads everything.
pub(super) fn read(group: &Cgroup) -> Result<Stats, CallFailed> {
    if !group.exists() {
        let path = group.dirs().first().map(|dir| quoted(&dir.path)).unwrap_or_default();
        return Err(CallFailed::new("open", vec![path], libc::ENOENT));
    }
    let source = Source { group };
    let (cpu, memory, block_io) = match group.version() {
        Version::V1 => (source.cpu_v1(), source.memory_v1(), source.block_io_v1()),
        Version::V2 => (source.cpu_v2(), source.memory_v2(), source.block_io_v2()),
    };
    let pids = Pids {
        current: source.number("pids", "pids.current"),
        limit: match source.number("pids", "pids.max") {
            u64::MAX => 0,
            limit => limit,
        },
    };
    Ok(Stats { cpu, memory, pids, block_io, hugetlb: source.hugetlb() })
}

struct Source<'a> {
    group: &'a Cgroup,
}

impl Source<'_> {
    fn text(&self, controller: &str, file: &str) -> String {
        self.group.read(controller, file).unwrap_or_default()
    }

    fn number(&self, controller: &str, file: &str) -> u64 {
        knob::number(&self.text(controller, file))
    }

    fn cpu_v1(&self) -> Cpu {
        let throttling = self.text("cpu", "cpu.stat");
        let of = |key| knob::field(&throttling, key).unwrap_or(0);
        let ticks = self.text("cpuacct", "cpuacct.stat");
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let total_ns = self.number("cpuacct", "cpuacct.usage");
        let split = |key| knob::field(&ticks, key).unwrap_or(0) * tick_ns;
        let all = self.text("cpuacct", "cpuacct.usage_all");
        let column = |n: usize| {
            let lines = all.lines().skip(1);
            lines.filter_map(|line| line.split_whitespace().nth(n)?.parse().ok()).collect::<Vec<u64>>()
        };
        let per_cpu = self.text("cpuacct", "cpuacct.usage_percpu");
        Cpu {
            total_ns,
            user_ns: split("user"),
            system_ns: split("system"),
            per_cpu_ns: per_cpu.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
            per_cpu_user_ns: column(1),
            per_cpu_kernel_ns: column(2),
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_ns: of("throttled_time"),
        }
    }

    fn cpu_v2(&self) -> Cpu {
        let text = self.text("cpu", "cpu.stat");
        let of = |key| knob::field(&text, key).unwrap_or(0);
        Cpu {
            total_ns: of("usage_usec") * 1000,
            user_ns: of("user_usec") * 1000,
            system_ns: of("system_usec") * 1000,
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_ns: of("throttled_usec") * 1000,
            ..Cpu::default()
        }
    }

    fn counter_v1(&self, prefix: &str) -> Counter {
        let of = |what: &str| self.number("memory", &format!("memory.{prefix}{what}"));
        Counter {
            usage: of("usage_in_bytes"),
            max_usage: of("max_usage_in_bytes"),
            failures: of("failcnt"),
            limit: of("limit_in_bytes"),
        }
    }

    fn memory_v1(&self) -> Memory {
        let stat = pairs(&self.text("memory", "memory.stat"));
        Memory {
            memory: self.counter_v1(""),
            with_swap: self.counter_v1("memsw."),
            kernel: self.counter_v1("kmem."),
            kernel_tcp: self.counter_v1("kmem.tcp."),
            cache: stat.get("cache").copied().unwrap_or(0),
            oom_kills: self.group.oom_kills(),
            stat,
        }
    }

    fn memory_v2(&self) -> Memory {
        let stat = pairs(&self.text("memory", "memory.stat"));
        let events = self.text("memory", "memory.events");
        let counter = |name: &str| Counter {
            usage: self.number("memory", &format!("{name}.current")),
            max_usage: self.number("memory", &format!("{name}.peak")),
            failures: knob::field(&events, "max").unwrap_or(0),
            limit: self.number("memory", &format!("{name}.max")),
        };
        let (memory, swap) = (counter("memory"), counter("memory.swap"));
        // v2 counts swap alone; runc and Docker report it as v1 did, on top of memory
        let with_swap = Counter {
            usage: memory.usage.saturating_add(swap.usage),
            max_usage: memory.max_usage.saturating_add(swap.max_usage),
            failures: swap.failures,
            limit: memory.limit.saturating_add(swap.limit),
        };
        Memory {
            memory,
            with_swap,
            cache: stat.get("file").copied().unwrap_or(0),
            oom_kills: self.group.oom_kills(),
            stat,
            ..Memory::default()
        }
    }

    fn block_io_v1(&self) -> BlockIo {
        // with the BFQ scheduler the detailed counters exist; the throttling layer counts on every machine
        let first = |names: &[&str]| {
            let read = |name: &&str| entries_v1(&self.text("blkio", &format!("blkio.{name}")));
            names.iter().map(read).find(|list| !list.is_empty()).unwrap_or_default()
        };
        BlockIo {
            service_bytes: first(&[
                "io_service_bytes_recursive",
                "bfq.io_service_bytes_recursive",
                "throttle.io_service_bytes_recursive",
                "throttle.io_service_bytes",
            ]),
            serviced: first(&[
                "io_serviced_recursive",
                "bfq.io_serviced_recursive",
                "throttle.io_serviced_recursive",
                "throttle.io_serviced",
            ]),
            queued: first(&["io_queued_recursive", "bfq.io_queued_recursive"]),
            service_time: first(&["io_service_time_recursive", "bfq.io_service_time_recursive"]),
            wait_time: first(&["io_wait_time_recursive", "bfq.io_wait_time_recursive"]),
            merged: first(&["io_merged_recursive", "bfq.io_merged_recursive"]),
            time: first(&["time_recursive", "bfq.time_recursive"]),
            sectors: first(&["sectors_recursive", "bfq.sectors_recursive"]),
        }
    }

    /// `8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0`
    fn block_io_v2(&self) -> BlockIo {
        let mut io = BlockIo::default();
        for line in self.text("io", "io.stat").lines() {
            let mut words = line.split_whitespace();
            let Some((major, minor)) = words.next().and_then(device) else { continue };
            for (key, value) in words.filter_map(|word| word.split_once('=')) {
                let (list, op) = match key {
                    "rbytes" => (&mut io.service_bytes, "Read"),
                    "wbytes" => (&mut io.service_bytes, "Write"),
                    "dbytes" => (&mut io.service_bytes, "Discard"),
                    "rios" => (&mut io.serviced, "Read"),
                    "wios" => (&mut io.serviced, "Write"),
                    "dios" => (&mut io.serviced, "Discard"),
                    _ => continue,
                };
                list.push(IoEntry { major, minor, op: op.into(), value: knob::number(value) });
            }
        }
        io
    }

    fn hugetlb(&self) -> BTreeMap<String, Counter> {
        let (usage, limit) = match self.group.version() {
            Version::V1 => ("usage_in_bytes", "limit_in_bytes"),
            Version::V2 => ("current", "max"),
        };
        let Some(folder) = self.group.dir_of("hugetlb") else { return BTreeMap::new() };
        let names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let sizes = names.filter_map(|name| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(usage)?.strip_suffix('.')?;
            (!size.contains('.')).then(|| size.to_string())
        });
        let counter = |size: &str| Counter {
            usage: self.number("hugetlb", &format!("hugetlb.{size}.{usage}")),
            limit: self.number("hugetlb", &format!("hugetlb.{size}.{limit}")),
            max_usage: self.number("hugetlb", &format!("hugetlb.{size}.max_usage_in_bytes")),
            failures: self.number("hugetlb", &format!("hugetlb.{size}.failcnt")),
        };
        sizes.map(|size| (size.clone(), counter(&size))).collect()
    }
}

/// `8:0 Read 4096`, or `8:0 12` without an operation; the last line, `Total 4096`, belongs to no device.
fn entries_v1(text: &str) -> Vec<IoEntry> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let (op, value) = match (words.next()?, words.next()) {
            (op, Some(value)) => (op, value),
            (value, None) => ("", value),
        };
        Some(IoEntry { major, minor, op: op.into(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

fn device(word: &str) -> Option<(u64, u64)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| line.split_once(' ').and_then(|(key, value)| Some((key.to_string(), value.trim().parse().ok()?)));
    text.lines().filter_map(pair).collect()
}
