//! # Block I/O: weights and rates
//!
//! Two different things share a name. A *weight* (10 to 1000) divides a busy disk among groups, and only the BFQ scheduler
//! (or, on v2, iocost) does anything with it: a kernel without either has no knob, and we say so. A *rate* is a ceiling in
//! bytes or operations a second for one device, which every kernel has.
//!
//! ```text
//!                v1                                          v2
//!   weight       blkio.weight or blkio.bfq.weight            io.bfq.weight, or io.weight 1 … 10000
//!   of a device  blkio.weight_device  "8:0 500"              io.bfq.weight "8:0 500"
//!   read rate    blkio.throttle.read_bps_device "8:0 1048576"    io.max "8:0 rbps=1048576"
//! ```
//!
//! Laws: rate 0 means "no limit". See: cgroup-v1/blkio-controller.rst, cgroup-v2.rst ("IO"). Next room: [`crate::device_rules`]

use super::{refused, set as set_knob};
use minidock_base::{Error, Result};
use minidock_linux::cgroup::{Cgroup, Version};
use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice, LinuxWeightDevice};

/// Sets what is asked for.
///
/// # Errors
/// One that names the limit: a kernel without BFQ has no weights.
#[track_caller]
pub fn set(cgroup: &Cgroup, block_io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        set_weight(cgroup, weight)?;
    }
    if let Some(leaf) = block_io.leaf_weight().filter(|weight| *weight != 0) {
        only_v1(cgroup, "blkio leaf weight")?;
        set_knob(cgroup, "blkio leaf weight", "blkio", "blkio.leaf_weight", &leaf.to_string())?;
    }
    for device in block_io.weight_device().iter().flatten() {
        set_device_weight(cgroup, device)?;
    }
    let rates = [
        ("read_bps", "rbps", block_io.throttle_read_bps_device()),
        ("write_bps", "wbps", block_io.throttle_write_bps_device()),
        ("read_iops", "riops", block_io.throttle_read_iops_device()),
        ("write_iops", "wiops", block_io.throttle_write_iops_device()),
    ];
    for (old, new, devices) in rates {
        for device in devices.iter().flatten() {
            set_rate(cgroup, old, new, device)?;
        }
    }
    Ok(())
}

#[track_caller]
fn set_weight(cgroup: &Cgroup, weight: u16) -> Result<()> {
    let (controller, files): (_, &[&str]) = match cgroup.version() {
        Version::V1 => ("blkio", &["blkio.weight", "blkio.bfq.weight"]),
        Version::V2 => ("io", &["io.bfq.weight", "io.weight"]),
    };
    let file = files.iter().copied().find(|file| cgroup.has(controller, file)).unwrap_or(files[0]);
    let value = match file {
        "io.weight" => weight_for_iocost(weight).to_string(),
        _ => weight.to_string(),
    };
    set_knob(cgroup, "blkio weight", controller, file, &value).map_err(|e| match cgroup.has(controller, file) {
        true => e,
        false => e.hint("only the BFQ I/O scheduler knows weights, and this kernel does not have it; leave the weight out"),
    })
}

/// 10 … 1000 as 1 … 10000.
pub fn weight_for_iocost(weight: u16) -> u64 {
    match u64::from(weight) {
        0 => 0,
        weight => 1 + weight.saturating_sub(10) * 9999 / 990,
    }
}

#[track_caller]
fn set_device_weight(cgroup: &Cgroup, device: &LinuxWeightDevice) -> Result<()> {
    let number = format!("{}:{}", device.major(), device.minor());
    if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
        let (controller, file) = match cgroup.version() {
            Version::V1 if cgroup.has("blkio", "blkio.weight_device") => ("blkio", "blkio.weight_device"),
            Version::V1 => ("blkio", "blkio.bfq.weight_device"),
            Version::V2 => ("io", "io.bfq.weight"),
        };
        set_knob(cgroup, &format!("blkio weight of device {number}"), controller, file, &format!("{number} {weight}"))?;
    }
    match device.leaf_weight().filter(|weight| *weight != 0) {
        None => Ok(()),
        Some(leaf) => {
            only_v1(cgroup, "blkio leaf weight")?;
            let line = format!("{number} {leaf}");
            set_knob(cgroup, &format!("blkio leaf weight of device {number}"), "blkio", "blkio.leaf_weight_device", &line)
        }
    }
}

#[track_caller]
fn set_rate(cgroup: &Cgroup, old: &str, new: &str, device: &LinuxThrottleDevice) -> Result<()> {
    let number = format!("{}:{}", device.major(), device.minor());
    let (controller, file, line) = match cgroup.version() {
        Version::V1 => ("blkio", format!("blkio.throttle.{old}_device"), format!("{number} {}", device.rate())),
        Version::V2 => {
            let rate = if device.rate() == 0 { "max".into() } else { device.rate().to_string() };
            ("io", "io.max".into(), format!("{number} {new}={rate}"))
        }
    };
    let wish = format!("blkio {old} of device {number}");
    cgroup.write(controller, &file, &line).map_err(|failed| match failed.errno {
        minidock_linux::errno::ENODEV => Error::invalid(failed.to_string())
            .hint("there is no such block device (partitions cannot be limited, only whole disks)")
            .during(format!("set {wish} to {}", device.rate())),
        _ => refused(cgroup, &wish, controller, &device.rate().to_string(), &failed),
    })
}

#[track_caller]
fn only_v1(cgroup: &Cgroup, what: &str) -> Result<()> {
    match cgroup.version() {
        Version::V1 => Ok(()),
        Version::V2 => Err(Error::invalid(format!("{what} does not exist in cgroup v2")).hint("leave it out")),
    }
}
