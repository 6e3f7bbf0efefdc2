//! # Resources: OCI limits as cgroup knobs
//!
//! `linux.resources` says what a container may use, in words that come from cgroup v1 (CPU *shares*, memory *plus* swap).
//! On v1 each word is a file; on v2 the same wish has to be said differently.
//!
//! ```text
//!   wish                       v1                              v2
//!   memory.limit               memory.limit_in_bytes           memory.max
//!   memory.swap (with memory)  memory.memsw.limit_in_bytes     memory.swap.max = swap − limit
//!   memory.reservation         memory.soft_limit_in_bytes      memory.low
//!   cpu.shares   2 … 262144    cpu.shares                      cpu.weight 1 … 10000
//!   cpu.quota, cpu.period      cpu.cfs_quota_us, …_period_us   cpu.max "quota period"
//!   cpu.cpus, cpu.mems         cpuset.cpus, cpuset.mems        the same
//!   pids.limit                 pids.max                        the same
//!   blockIO                    blkio.*                         io.weight, io.max    ([`block_io`])
//! ```
//!
//! * [`path_for`] says where a container's group lies; [`apply`] turns the knobs, at creation; [`update`] later.
//! * [`check`] is what can be said without the kernel.
//!
//! Laws: a limit that the kernel refuses, or has no knob for, is an error that names the limit; none is dropped. What the
//! user did not ask for is not written. Order matters where one limit bounds another: memory may not exceed memory+swap at
//! any moment, nor the CPU quota its parent's.
//! See: runtime-spec config-linux.md#control-groups, cgroups(7). Next room: [`crate::device_rules`]

pub mod before;
pub mod block_io;
pub mod memory;

use crate::device_rules;
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    errno::{self, CallFailed},
};
use oci_spec::runtime::{LinuxCpu, LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma, LinuxResources};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// The path of a container's group: `linux.cgroupsPath`, or its id below the group we live in. systemd's form
/// `slice:prefix:name` becomes the folder systemd would make.
pub fn path_for(cgroups_path: Option<&Path>, id: &str) -> PathBuf {
    let Some(path) = cgroups_path.filter(|path| !path.as_os_str().is_empty()) else { return id.into() };
    let text = path.to_string_lossy();
    match text.splitn(3, ':').collect::<Vec<_>>().as_slice() {
        [slice, prefix, name] if !text.contains('/') => {
            let scope = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
            Path::new("/").join(if slice.is_empty() { "system.slice" } else { slice }).join(scope)
        }
        _ => path.into(),
    }
}

/// Sets everything a new container asks for, device rules included (and the devices that every container has).
///
/// # Errors
/// One that names the limit, when the kernel refuses it or has no knob for it.
#[track_caller]
pub fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let rules = resources.devices().as_deref().unwrap_or_default();
    device_rules::apply(cgroup, rules, true)?;
    set_limits(cgroup, resources)
}

/// Changes a living container: only what is mentioned, and all of it or nothing.
///
/// # Errors
/// As [`apply`].
#[track_caller]
pub fn update(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let before = before::Before::read(cgroup);
    let changed = change(cgroup, resources);
    if changed.is_err() {
        before.restore(cgroup);
    }
    changed
}

#[track_caller]
fn change(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    if let Some(rules) = resources.devices().as_deref().filter(|rules| !rules.is_empty()) {
        device_rules::apply(cgroup, rules, false)?;
    }
    set_limits(cgroup, resources)
}

#[track_caller]
fn set_limits(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    check(resources)?;
    if let Some(memory) = resources.memory() {
        memory::set(cgroup, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        set_cpu(cgroup, cpu)?;
        set_cpuset(cgroup, cpu)?;
    }
    if let Some(pids) = resources.pids() {
        set_pids(cgroup, pids)?;
    }
    if let Some(block_io) = resources.block_io() {
        block_io::set(cgroup, block_io)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        set_hugepages(cgroup, limit)?;
    }
    if let Some(network) = resources.network() {
        set_network(cgroup, network)?;
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        set_rdma(cgroup, device, limits)?;
    }
    set_unified(cgroup, resources.unified().as_ref())
}

/// What can be refused without asking the kernel.
///
/// # Errors
/// Contradictions, numbers out of range.
pub fn check(resources: &LinuxResources) -> Result<()> {
    if let Some(memory) = resources.memory() {
        memory::check(memory)?;
    }
    if let Some(cpu) = resources.cpu()
        && let (Some(burst), Some(quota)) = (cpu.burst(), cpu.quota())
        && quota > 0
        && burst > quota.unsigned_abs()
    {
        return Err(Error::invalid(format!("cpu burst {burst} is larger than the quota {quota}")));
    }
    Ok(())
}

/// Writes a knob for a wish, and says which wish it was when that fails.
#[track_caller]
pub(crate) fn set(cgroup: &Cgroup, wish: &str, controller: &str, file: &str, value: &str) -> Result<()> {
    cgroup.write(controller, file, value).map_err(|failed| refused(cgroup, wish, controller, value, &failed))
}

/// One clear error for a limit that cannot be had.
#[track_caller]
pub(crate) fn refused(cgroup: &Cgroup, wish: &str, controller: &str, value: &str, failed: &CallFailed) -> Error {
    let has_controller = match cgroup.version() {
        Version::V1 => cgroup.dir_of(controller).is_some_and(Path::is_dir),
        Version::V2 => cgroup.read("cgroup", "cgroup.controllers").is_ok_and(|all| all.split(' ').any(|one| one == controller)),
    };
    let hint = match (failed.errno, has_controller) {
        (errno::ENOENT, false) if cgroup.version() == Version::V2 => {
            format!(
                "the {controller} controller is not handed down to this cgroup: see cgroup.subtree_control of the groups above"
            )
        }
        (errno::ENOENT, false) => format!("the {controller} controller is not mounted on this machine"),
        (errno::ENOENT, true) => "this kernel has no such knob; leave the limit out".into(),
        (errno::EINVAL | errno::ERANGE, _) => "the value is outside what this machine or the cgroup above allows".into(),
        (errno::EBUSY, _) => "the container uses more than that already".into(),
        (errno::EACCES | errno::EPERM | errno::EROFS, _) => "the cgroup above allows less, or belongs to somebody else".into(),
        _ => "see the kernel's documentation of cgroups".into(),
    };
    Error::system(failed.to_string()).hint(hint).during(format!("set {wish} to {value}"))
}

#[track_caller]
fn set_cpu(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    match cgroup.version() {
        Version::V1 => set_cpu_v1(cgroup, cpu),
        Version::V2 => set_cpu_v2(cgroup, cpu),
    }
}

#[track_caller]
fn set_cpu_v1(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        set(cgroup, "cpu shares", "cpu", "cpu.shares", &shares.to_string())?;
        // the kernel does not refuse a number out of range, it bends it
        let bent = cgroup.read("cpu", "cpu.shares").doing(|| "read cpu.shares back")?;
        match bent.trim().parse::<u64>().unwrap_or(shares) {
            real if real < shares => return Err(Error::invalid(format!("the maximum allowed cpu-shares is {real}"))),
            real if real > shares => return Err(Error::invalid(format!("the minimum allowed cpu-shares is {real}"))),
            _ => {}
        }
    }
    let period = cpu.period().filter(|period| *period != 0).map(|period| period.to_string());
    let quota = cpu.quota().filter(|quota| *quota != 0).map(|quota| quota.to_string());
    let write_period = || period.as_ref().map_or(Ok(()), |p| cgroup.write("cpu", "cpu.cfs_period_us", p));
    let write_quota = || quota.as_ref().map_or(Ok(()), |q| set(cgroup, "cpu quota", "cpu", "cpu.cfs_quota_us", q));
    // Quota and period are one limit in two files, and the pair in between may exceed the parent's: then try the other order.
    match write_period() {
        Ok(()) => write_quota()?,
        Err(failed) if failed.is(errno::EINVAL) && quota.is_some() => {
            write_quota()?;
            let value = period.clone().unwrap_or_default();
            write_period().map_err(|failed| refused(cgroup, "cpu period", "cpu", &value, &failed))?;
        }
        Err(failed) => return Err(refused(cgroup, "cpu period", "cpu", &period.unwrap_or_default(), &failed)),
    }
    if let Some(burst) = cpu.burst() {
        set(cgroup, "cpu burst", "cpu", "cpu.cfs_burst_us", &burst.to_string())?;
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        set(cgroup, "cpu realtime period", "cpu", "cpu.rt_period_us", &period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        set(cgroup, "cpu realtime runtime", "cpu", "cpu.rt_runtime_us", &runtime.to_string())?;
    }
    match cpu.idle() {
        Some(idle) => set(cgroup, "cpu idle", "cpu", "cpu.idle", &idle.to_string()),
        None => Ok(()),
    }
}

#[track_caller]
fn set_cpu_v2(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    if cpu.realtime_period().is_some_and(|n| n != 0) || cpu.realtime_runtime().is_some_and(|n| n != 0) {
        return Err(Error::invalid("realtime CPU time cannot be limited with cgroup v2")
            .hint("leave realtimePeriod and realtimeRuntime out"));
    }
    if let Some(idle) = cpu.idle() {
        set(cgroup, "cpu idle", "cpu", "cpu.idle", &idle.to_string())?;
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        set(cgroup, "cpu shares", "cpu", "cpu.weight", &weight_from_shares(shares).to_string())?;
    }
    let (quota, period) = (cpu.quota().filter(|n| *n != 0), cpu.period().filter(|n| *n != 0));
    if quota.is_some() || period.is_some() {
        // what is not mentioned stays as it is: "max 100000" at first
        let now = cgroup.read("cpu", "cpu.max").unwrap_or_default();
        let mut now = now.split(' ');
        let quota = match quota {
            Some(quota) if quota > 0 => quota.to_string(),
            Some(_) => "max".into(),
            None => now.next().filter(|text| !text.is_empty()).unwrap_or("max").into(),
        };
        let value = match (period, now.next_back()) {
            (Some(period), _) => format!("{quota} {period}"),
            (None, _) => quota,
        };
        set(cgroup, "cpu quota", "cpu", "cpu.max", &value)?;
    }
    match cpu.burst() {
        Some(burst) => set(cgroup, "cpu burst", "cpu", "cpu.max.burst", &burst.to_string()),
        None => Ok(()),
    }
}

/// v1's shares as v2's weight: a curve through (2, 1), (1024, 100) and (262144, 10000), so that both defaults meet.
pub fn weight_from_shares(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1 | 2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // a hair off, so that 1024 is 100 and not, by a rounding error, 101
            (10f64.powf(exponent) - 1e-9).ceil() as u64
        }
    }
}

#[track_caller]
fn set_cpuset(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    let lists = [("cpuset cpus", "cpuset.cpus", cpu.cpus()), ("cpuset mems", "cpuset.mems", cpu.mems())];
    for (wish, file, list) in lists {
        let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else { continue };
        set(cgroup, wish, "cpuset", file, list).map_err(|e| {
            match cgroup.read("cpuset", file.replace("cpuset.", "cpuset.effective_").as_str()) {
                Ok(now) => e.hint(format!("this cgroup has {}", now.trim())),
                Err(_) => e,
            }
        })?;
    }
    Ok(())
}

#[track_caller]
fn set_pids(cgroup: &Cgroup, pids: &LinuxPids) -> Result<()> {
    match pids.limit() {
        0 => Ok(()),
        limit if limit < 0 => set(cgroup, "pids limit", "pids", "pids.max", "max"),
        limit => set(cgroup, "pids limit", "pids", "pids.max", &limit.to_string()),
    }
}

#[track_caller]
fn set_hugepages(cgroup: &Cgroup, limit: &LinuxHugepageLimit) -> Result<()> {
    let size = limit.page_size();
    if size.is_empty() || !size.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::invalid(format!("hugepage size '{size}': such as 2MB or 1GB")));
    }
    let file = match cgroup.version() {
        Version::V1 => format!("hugetlb.{size}.limit_in_bytes"),
        Version::V2 => format!("hugetlb.{size}.max"),
    };
    let value = limit.limit().to_string();
    set(cgroup, &format!("hugepage limit for {size}"), "hugetlb", &file, &value)?;
    // reserved pages have a counter of their own on newer kernels
    let reserved = file.replacen(&format!("{size}."), &format!("{size}.rsvd."), 1);
    match cgroup.has("hugetlb", &reserved) {
        true => set(cgroup, &format!("reserved hugepage limit for {size}"), "hugetlb", &reserved, &value),
        false => Ok(()),
    }
}

#[track_caller]
fn set_network(cgroup: &Cgroup, network: &LinuxNetwork) -> Result<()> {
    let priorities = network.priorities().as_deref().unwrap_or_default();
    if cgroup.version() == Version::V2 && (network.class_id().is_some_and(|id| id != 0) || !priorities.is_empty()) {
        return Err(
            Error::invalid("network class and priorities do not exist in cgroup v2").hint("leave linux.resources.network out")
        );
    }
    if let Some(class) = network.class_id().filter(|id| *id != 0) {
        set(cgroup, "network class id", "net_cls", "net_cls.classid", &class.to_string())?;
    }
    for priority in priorities {
        let line = format!("{} {}", priority.name(), priority.priority());
        set(cgroup, "network priority", "net_prio", "net_prio.ifpriomap", &line)?;
    }
    Ok(())
}

#[track_caller]
fn set_rdma(cgroup: &Cgroup, device: &str, limits: &LinuxRdma) -> Result<()> {
    let mut line = device.to_string();
    let parts = [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())];
    for (name, value) in parts {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    set(cgroup, "rdma limit", "rdma", "rdma.max", &line)
}

/// `linux.resources.unified`: v2's own files by name.
#[track_caller]
fn set_unified(cgroup: &Cgroup, unified: Option<&HashMap<String, String>>) -> Result<()> {
    let Some(unified) = unified.filter(|map| !map.is_empty()) else { return Ok(()) };
    if cgroup.version() == Version::V1 {
        return Err(Error::invalid("linux.resources.unified is for cgroup v2, and this machine has v1")
            .hint("use the limits by their own names"));
    }
    let mut sorted: Vec<_> = unified.iter().collect();
    sorted.sort();
    for (file, value) in sorted {
        let Some((controller, _)) = file.split_once('.').filter(|_| !file.contains('/')) else {
            return Err(Error::invalid(format!("unified resource \"{file}\" must be a file name with a dot, without slashes")));
        };
        // values of several lines (io.max of several devices) are several writes
        for line in value.lines() {
            set(cgroup, &format!("unified resource \"{file}\""), controller, file, line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
