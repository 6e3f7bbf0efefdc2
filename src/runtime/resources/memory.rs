//! # Memory: the limit, swap, and what may go wrong
//!
//! Two numbers that bound each other: v1 limits *memory* and *memory plus swap*, and the first may never exceed the
//! second, not even between two writes. So raising writes the larger one first, lowering the smaller one. v2 limits memory
//! and swap apart, and the OCI number has to be split.
//!
//! ```text
//!   v1   0 ─── limit_in_bytes ───── memsw.limit_in_bytes      limit ≤ memsw always
//!   v2   0 ─── memory.max           0 ── swap.max             swap.max = swap − limit
//! ```
//!
//! A limit below what is used already makes v1 reclaim and then refuse (`EBUSY`); v2 takes it and kills. To be asked first
//! (`checkBeforeUpdate`) is therefore a wish of its own.
//!
//! Laws: no swap without a limit; `-1` is "no limit". See: cgroup-v1/memory.rst, cgroup-v2.rst ("Memory"), runtime-spec
//! config-linux.md#memory. Next room: [`super::block_io`]

use super::{refused, set as set_knob};
use minidock_base::{Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Version, knob},
    errno,
};
use oci_spec::runtime::LinuxMemory;

/// What can be refused without asking the kernel.
///
/// # Errors
/// Swap below the limit, or without one; swappiness beyond 100.
pub fn check(memory: &LinuxMemory) -> Result<()> {
    let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    if swap > 0 && limit > 0 && swap < limit {
        return Err(Error::invalid(format!("memory+swap limit {swap} should be >= memory limit {limit}")));
    }
    if let Some(swappiness) = memory.swappiness().filter(|swappiness| *swappiness > 100) {
        return Err(Error::invalid(format!("invalid memory swappiness value: {swappiness} (valid range is 0-100)")));
    }
    Ok(())
}

/// Sets what is asked for.
///
/// # Errors
/// One that names the limit.
#[track_caller]
pub fn set(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<()> {
    reject_kernel_limits(memory)?;
    match cgroup.version() {
        Version::V1 => set_v1(cgroup, memory),
        Version::V2 => set_v2(cgroup, memory),
    }
}

/// Linux 6.1 took the limit on kernel memory away: writing it succeeds and means nothing, which is worse than a refusal.
#[track_caller]
fn reject_kernel_limits(memory: &LinuxMemory) -> Result<()> {
    #[allow(deprecated, reason = "it is deprecated, so we say that we do not have it")]
    let kernel = memory.kernel().filter(|limit| *limit > 0);
    match kernel {
        None => Ok(()),
        Some(limit) => Err(Error::invalid(format!("a kernel memory limit ({limit}) no longer exists in Linux"))
            .hint("leave memory.kernel out: the memory limit counts the kernel's share, too")),
    }
}

#[track_caller]
fn set_v1(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<()> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    // no limit on memory leaves no meaning to one on memory+swap
    let swap = memory.swap().filter(|swap| *swap != 0).or(limit.filter(|limit| *limit == -1));
    let has_swap = cgroup.has("memory", "memory.memsw.limit_in_bytes");
    let write_limit = || match limit {
        Some(limit) => write_v1_limit(cgroup, limit),
        None => Ok(()),
    };
    let write_swap = || match swap {
        Some(-1) if !has_swap => Ok(()),
        Some(swap) => set_knob(cgroup, "memory+swap limit", "memory", "memory.memsw.limit_in_bytes", &swap.to_string()),
        None => Ok(()),
    };
    let now = cgroup.read("memory", "memory.memsw.limit_in_bytes").map(|text| knob::number(&text)).unwrap_or(u64::MAX);
    let raises = swap.is_some_and(|swap| swap == -1 || now < swap.unsigned_abs());
    if raises {
        write_swap()?;
        write_limit()?;
    } else {
        write_limit()?;
        write_swap()?;
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        set_knob(cgroup, "memory reservation", "memory", "memory.soft_limit_in_bytes", &reservation.to_string())?;
    }
    if let Some(limit) = memory.kernel_tcp().filter(|bytes| *bytes != 0) {
        set_knob(cgroup, "kernel TCP memory limit", "memory", "memory.kmem.tcp.limit_in_bytes", &limit.to_string())?;
    }
    if let Some(swappiness) = memory.swappiness() {
        set_knob(cgroup, "memory swappiness", "memory", "memory.swappiness", &swappiness.to_string())?;
    }
    match memory.disable_oom_killer() {
        Some(true) => set_knob(cgroup, "memory disableOOMKiller", "memory", "memory.oom_control", "1"),
        _ => Ok(()),
    }
}

#[track_caller]
fn write_v1_limit(cgroup: &Cgroup, limit: i64) -> Result<()> {
    let value = limit.to_string();
    cgroup.write("memory", "memory.limit_in_bytes", &value).map_err(|failed| {
        let number = |file| cgroup.read("memory", file).map(|text| knob::number(&text)).unwrap_or(0);
        match failed.errno {
            errno::EBUSY => Error::conflict(format!(
                "unable to set memory limit to {limit} (current usage: {}, peak usage: {})",
                number("memory.usage_in_bytes"),
                number("memory.max_usage_in_bytes")
            ))
            .hint("the container uses more than that already"),
            _ => refused(cgroup, "memory limit", "memory", &value, &failed),
        }
    })
}

#[track_caller]
fn set_v2(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<()> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    let swap = v2_swap(memory.swap().unwrap_or(0), limit.unwrap_or(0))?;
    if memory.check_before_update().unwrap_or(false)
        && let Some(limit) = limit.filter(|limit| *limit > 0)
    {
        check_usage_v2(cgroup, limit, swap.as_deref())?;
    }
    if let Some(swap) = &swap {
        // a kernel without swap has no knob: no swap at all is what "0" asks for, and "max" asks for nothing
        let needless =
            (swap == "max" || swap == "0") && !cgroup.has("memory", "memory.swap.max") && cgroup.has("memory", "memory.max");
        if !needless {
            set_knob(cgroup, "memory+swap limit", "memory", "memory.swap.max", swap)?;
        }
    }
    if let Some(limit) = limit {
        set_knob(cgroup, "memory limit", "memory", "memory.max", &or_max(limit))?;
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        set_knob(cgroup, "memory reservation", "memory", "memory.low", &or_max(reservation))?;
    }
    let unsupported = [
        (memory.kernel_tcp().is_some_and(|bytes| bytes > 0), "a limit on kernel TCP memory"),
        (memory.swappiness().is_some(), "memory swappiness"),
        (memory.disable_oom_killer() == Some(true), "switching the out-of-memory killer off"),
    ];
    match unsupported.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::invalid(format!("{what} does not exist in cgroup v2")).hint("leave it out")),
        None => Ok(()),
    }
}

/// OCI's memory+swap as v2's swap alone; `None` for "not mentioned".
///
/// # Errors
/// A sum without its other part.
pub fn v2_swap(with_memory: i64, limit: i64) -> Result<Option<String>> {
    match (with_memory, limit) {
        // an unlimited container is unlimited in swap, too
        (0, -1) | (-1, _) => Ok(Some("max".into())),
        (0, _) => Ok(None),
        (_, 0 | -1) => Err(Error::invalid("unable to set swap limit without memory limit")),
        (sum, _) if sum < 0 => Err(Error::invalid(format!("invalid memory+swap limit: {sum}"))),
        (sum, limit) if sum < limit => {
            Err(Error::invalid(format!("memory+swap limit {sum} should be >= memory limit {limit}")))
        }
        (sum, limit) => Ok(Some((sum - limit).to_string())),
    }
}

fn or_max(bytes: i64) -> String {
    if bytes < 0 { "max".into() } else { bytes.to_string() }
}

#[track_caller]
fn check_usage_v2(cgroup: &Cgroup, limit: i64, swap: Option<&str>) -> Result<()> {
    let current = |file| cgroup.read("memory", file).map(|text| knob::number(&text)).unwrap_or(0);
    let usage = current("memory.current");
    if usage > limit.unsigned_abs() {
        return Err(Error::conflict(format!("rejecting memory limit {limit} due to checkBeforeUpdate: usage is {usage}")));
    }
    let swap = swap.and_then(|text| text.parse::<u64>().ok());
    let with_swap = usage.saturating_add(current("memory.swap.current"));
    match swap.map(|swap| swap.saturating_add(limit.unsigned_abs())).filter(|sum| with_swap > *sum) {
        Some(sum) => {
            Err(Error::conflict(format!("rejecting memory+swap limit {sum} due to checkBeforeUpdate: usage is {with_swap}")))
        }
        None => Ok(()),
    }
}
