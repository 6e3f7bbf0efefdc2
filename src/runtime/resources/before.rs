//! # Before: what the knobs said, in case an update fails half-way
//!
//! An update turns several knobs, and the kernel may refuse the second when the first is turned already. A person who reads
//! "refused" expects that nothing has changed. So all knobs that an update can touch are read before, and written back
//! after a refusal.
//!
//! ```text
//!   read all ──► turn one after the other ──► all accepted
//!                         │ refused
//!                         └──► write back what differs, twice: limit and limit+swap bound each other
//! ```
//!
//! Laws: the failure that the user hears of is the refusal, never one of the writing back.
//! See: cgroups(7). Next room: [`crate::resources::memory`]

use minidock_linux::cgroup::{Cgroup, Version};

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
