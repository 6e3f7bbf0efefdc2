//! # The host: facts about this machine, found out once
//!
//! Some of a container's configuration depends on the machine: which version of cgroups carries the controllers, which
//! capabilities we have to give, how high our own limits are. They do not change while the daemon runs, so they are asked for when
//! the engine opens, and handed as a value to whoever decides.
//!
//! *See:* cgroups(7), capabilities(7), getrlimit(2). *Next room:* [`crate::oci_config`]

use crate::oci_config::{Groups, Host};
use minidock_image::layer::owners;
use minidock_linux::{
    caps,
    cgroup::hierarchy::{Hierarchy, Version},
};
use std::fs;

/// Looks around. What cannot be found out is taken to be absent.
pub fn look() -> Host {
    Host {
        cgroup_v2: Hierarchy::detect().is_ok_and(|h| h.version() == Version::V2),
        capabilities: caps::Sets::of_self().map(|sets| sets.permitted.names()).unwrap_or_default().into_iter().collect(),
        thermal_throttle: thermal_throttle(),
        hard_limits: hard_limits(&fs::read_to_string("/proc/self/limits").unwrap_or_default()),
        groups: groups(),
        remap: owners::table().cloned(),
    }
}

/// The groups of our user namespace: user_namespaces(7).
fn groups() -> Groups {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let table = read("gid_map");
    let whole = table.is_empty() || table.split_whitespace().eq(["0", "0", "4294967295"]);
    Groups { mapped: (!whole).then(|| ranges(&table)), denied: read("setgroups").trim() == "deny" }
}

/// `inside outside count` a line → (inside, count).
fn ranges(table: &str) -> Vec<(u32, u32)> {
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        Some((number(words.next())?, number(words.nth(1))?))
    };
    table.lines().filter_map(range).collect()
}

fn thermal_throttle() -> Vec<String> {
    let path = |n: usize| format!("/sys/devices/system/cpu/cpu{n}/thermal_throttle");
    let cpus = fs::read_dir("/sys/devices/system/cpu").map_or(0, Iterator::count);
    (0..cpus).map(path).filter(|p| fs::exists(p).unwrap_or(false)).collect()
}

/// The hard limits in `/proc/self/limits`: columns of fixed width, the third is the hard limit.
fn hard_limits(text: &str) -> Vec<(String, u64)> {
    const NAMES: [(&str, &str); 15] = [
        ("Max cpu time", "CPU"),
        ("Max file size", "FSIZE"),
        ("Max data size", "DATA"),
        ("Max stack size", "STACK"),
        ("Max core file size", "CORE"),
        ("Max resident set", "RSS"),
        ("Max processes", "NPROC"),
        ("Max open files", "NOFILE"),
        ("Max locked memory", "MEMLOCK"),
        ("Max file locks", "LOCKS"),
        ("Max pending signals", "SIGPENDING"),
        ("Max msgqueue size", "MSGQUEUE"),
        ("Max nice priority", "NICE"),
        ("Max realtime priority", "RTPRIO"),
        ("Max realtime timeout", "RTTIME"),
    ];
    let limit = |(label, name): &(&str, &str)| {
        let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
        let hard = match rest.split_whitespace().nth(1)? {
            "unlimited" => u64::MAX,
            number => number.parse().ok()?,
        };
        Some((format!("RLIMIT_{name}"), hard))
    };
    NAMES.iter().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_limit_of_open_files_and_some_capabilities() {
        let host = look();
        assert!(host.hard_limits.iter().any(|(name, hard)| name == "RLIMIT_NOFILE" && *hard > 0), "{host:?}");
        assert!(host.capabilities.contains("CAP_CHOWN") || host.capabilities.is_empty());
    }

    #[test]
    fn a_single_mapped_id_knows_no_terminals() {
        let of = |table| Groups { mapped: Some(ranges(table)), denied: false };
        assert!(!of("         0       1000          1\n").has(5));
        let two = of("0 1000 1\n1 100000 65536\n");
        assert_eq!((two.has(0), two.has(5), two.has(65_536), two.has(65_537)), (true, true, true, false));
        assert!(Groups::default().has(u32::MAX));
        assert!(!Groups { denied: true, ..Groups::default() }.may_be_added(5));
    }
}
