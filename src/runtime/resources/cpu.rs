//! # CPU: shares, quotas, and which CPUs
//!
//! Three different limits. *Shares* are a weight: they divide what there is when all want it, and mean nothing on an idle
//! machine. A *quota* is a ceiling: so many microseconds of CPU time in each period, and then the group waits. A *cpuset*
//! says which CPUs (and which memory nodes) at all.
//!
//! ```text
//!                  v1                                     v2
//!   shares  1024   cpu.shares 1024                        cpu.weight 100
//!   quota   50%    cpu.cfs_quota_us 50000                 cpu.max "50000 100000"
//!                  cpu.cfs_period_us 100000
//!   cpus    0,1    cpuset.cpus 0,1                        the same
//! ```
//!
//! Laws: quota and period are one limit in two files on v1, so the pair in between must be legal, too.
//! See: sched-bwc.rst, cgroup-v1/cpusets.rst, cgroup-v2.rst ("CPU"). Next room: [`super::memory`]

use super::{refused, set as set_knob};
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    errno,
};
use oci_spec::runtime::LinuxCpu;

/// What can be refused without asking the kernel.
///
/// # Errors
/// A burst beyond the quota.
pub fn check(cpu: &LinuxCpu) -> Result<()> {
    match (cpu.burst(), cpu.quota()) {
        (Some(burst), Some(quota)) if quota > 0 && burst > quota.unsigned_abs() => {
            Err(Error::invalid(format!("cpu burst {burst} is larger than the quota {quota}")))
        }
        _ => Ok(()),
    }
}

/// Sets what is asked for.
///
/// # Errors
/// One that names the limit.
#[track_caller]
pub fn set(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    match cgroup.version() {
        Version::V1 => set_v1(cgroup, cpu)?,
        Version::V2 => set_v2(cgroup, cpu)?,
    }
    set_cpuset(cgroup, cpu)
}

#[track_caller]
fn set_v1(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        set_knob(cgroup, "cpu shares", "cpu", "cpu.shares", &shares.to_string())?;
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
    let write_quota = || quota.as_ref().map_or(Ok(()), |q| set_knob(cgroup, "cpu quota", "cpu", "cpu.cfs_quota_us", q));
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
        set_knob(cgroup, "cpu burst", "cpu", "cpu.cfs_burst_us", &burst.to_string())?;
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        set_knob(cgroup, "cpu realtime period", "cpu", "cpu.rt_period_us", &period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        set_knob(cgroup, "cpu realtime runtime", "cpu", "cpu.rt_runtime_us", &runtime.to_string())?;
    }
    match cpu.idle() {
        Some(idle) => set_knob(cgroup, "cpu idle", "cpu", "cpu.idle", &idle.to_string()),
        None => Ok(()),
    }
}

#[track_caller]
fn set_v2(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    if cpu.realtime_period().is_some_and(|n| n != 0) || cpu.realtime_runtime().is_some_and(|n| n != 0) {
        return Err(Error::invalid("realtime CPU time cannot be limited with cgroup v2")
            .hint("leave realtimePeriod and realtimeRuntime out"));
    }
    if let Some(idle) = cpu.idle() {
        set_knob(cgroup, "cpu idle", "cpu", "cpu.idle", &idle.to_string())?;
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        set_knob(cgroup, "cpu shares", "cpu", "cpu.weight", &weight_from_shares(shares).to_string())?;
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
        set_knob(cgroup, "cpu quota", "cpu", "cpu.max", &value)?;
    }
    match cpu.burst() {
        Some(burst) => set_knob(cgroup, "cpu burst", "cpu", "cpu.max.burst", &burst.to_string()),
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
        set_knob(cgroup, wish, "cpuset", file, list).map_err(|e| {
            match cgroup.read("cpuset", file.replace("cpuset.", "cpuset.effective_").as_str()) {
                Ok(now) => e.hint(format!("this cgroup has {}", now.trim())),
                Err(_) => e,
            }
        })?;
    }
    Ok(())
}
