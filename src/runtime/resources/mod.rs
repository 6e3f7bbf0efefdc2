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
pub mod cpu;
pub mod memory;

use crate::device_rules;
use minidock_base::{Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    errno::{self, CallFailed},
};
use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma, LinuxResources};
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
        cpu::set(cgroup, cpu)?;
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
    if let Some(cpu) = resources.cpu() {
        cpu::check(cpu)?;
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
    let v2 = cgroup.version() == Version::V2;
    let (why, hint) = match (failed.errno, has_controller) {
        (errno::ENOENT, false) if v2 => (
            format!("the {controller} controller is not handed down to this cgroup: "),
            "add it to cgroup.subtree_control of the groups above, or leave the limit out",
        ),
        (errno::ENOENT, false) => {
            (format!("the {controller} controller is not mounted on this machine: "), "leave the limit out")
        }
        (errno::ENOENT, true) => ("this kernel has no such knob: ".into(), "leave the limit out"),
        (errno::EINVAL | errno::ERANGE, _) => (String::new(), "a value that this machine has and the cgroup above allows"),
        (errno::EBUSY, _) => ("the container uses more than that already: ".into(), "a higher limit"),
        (errno::EACCES | errno::EPERM | errno::EROFS, _) => {
            (String::new(), "the cgroup above allows less, or belongs to somebody else")
        }
        _ => (String::new(), "the kernel's documentation of cgroups says what this knob takes"),
    };
    Error::system(format!("{why}{failed}")).hint(hint).during(format!("set {wish} to {value}"))
}

#[track_caller]
fn set_pids(cgroup: &Cgroup, pids: &LinuxPids) -> Result<()> {
    match pids.limit() {
        // 0 was "nothing said" before runtime-spec 1.3 and is a limit since; none at all would let nobody in
        0 => set(cgroup, "pids limit", "pids", "pids.max", "1"),
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
        return Err(Error::invalid("invalid configuration: linux.resources.unified is for cgroup v2, and this machine has v1")
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
