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
    let number = |n: Option<i64>| n.filter(|n| *n != 0).map(|n| n.to_string());
    let period = |n: Option<u64>| n.filter(|n| *n != 0).map(|n| n.to_string());
    let (quota, every) = (number(cpu.quota()), period(cpu.period()));
    set_pair(cgroup, ("cpu period", "cpu.cfs_period_us", every), ("cpu quota", "cpu.cfs_quota_us", quota))?;
    if let Some(burst) = cpu.burst() {
        set_knob(cgroup, "cpu burst", "cpu", "cpu.cfs_burst_us", &burst.to_string())?;
    }
    let (runtime, every) = (number(cpu.realtime_runtime()), period(cpu.realtime_period()));
    set_pair(
        cgroup,
        ("cpu realtime period", "cpu.rt_period_us", every),
        ("cpu realtime runtime", "cpu.rt_runtime_us", runtime),
    )?;
    match cpu.idle() {
        Some(idle) => set_knob(cgroup, "cpu idle", "cpu", "cpu.idle", &idle.to_string()),
        None => Ok(()),
    }
}

/// A limit for people, its file, its value.
type Knob = (&'static str, &'static str, Option<String>);

/// Two files that are one limit: the pair in between may exceed the parent's, or itself; then the other order is tried.
#[track_caller]
fn set_pair(cgroup: &Cgroup, period: Knob, time: Knob) -> Result<()> {
    let ((period_is, period_file, period), (time_is, time_file, time)) = (period, time);
    let write_period = || period.as_ref().map_or(Ok(()), |value| cgroup.write("cpu", period_file, value));
    let write_time = || time.as_ref().map_or(Ok(()), |value| set_knob(cgroup, time_is, "cpu", time_file, value));
    let told = |failed| refused(cgroup, period_is, "cpu", period.as_deref().unwrap_or_default(), &failed);
    match write_period() {
        Ok(()) => write_time(),
        Err(failed) if failed.is(errno::EINVAL) && time.is_some() => {
            write_time()?;
            write_period().map_err(told)
        }
        Err(failed) => Err(told(failed)),
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
