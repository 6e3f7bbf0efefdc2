//! # Sweep: what a test leaves when it fails half-way
//!
//! A daemon that died cannot remove its containers: their shims, programs and pins would stay on the machine after the test. They
//! are found by what names them, the folders of the exec root: each is a container's id, and a shim's command line says whose it is.
//!
//! Law: only processes whose shim carries an id of *this* exec root are ended.

#![allow(dead_code)] // each test binary uses its own part of the props

use rustix::{
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};
use std::{
    fs,
    io::ErrorKind,
    path::Path,
    time::{Duration, Instant},
};

/// Ends every container that still runs below `exec_root`, and takes down its cgroups and the mounts there.
pub fn sweep(exec_root: &Path) {
    let ids: Vec<String> = fs::read_dir(exec_root.join("containers"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|id| id.len() == 64)
        .collect();
    for shim in processes().filter(|pid| ids.iter().any(|id| says(*pid, id))) {
        let children = fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([shim]).for_each(end);
    }
    for id in &ids {
        for controller in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            for group in [controller.path().join("minidock").join(id), controller.path().join(id)] {
                remove_group(&group);
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|target| Path::new(target).starts_with(exec_root))
    {
        let _ = unmount(target, UnmountFlags::DETACH);
    }
}

/// Removes a cgroup as soon as the last of its processes is gone; its own groups first.
fn remove_group(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    below.for_each(|entry| remove_group(&entry.path()));
    let deadline = Instant::now() + Duration::from_secs(5);
    while fs::remove_dir(group).is_err_and(|e| e.kind() == ErrorKind::ResourceBusy) && Instant::now() < deadline {
        std::thread::yield_now();
    }
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process is the shim of the container `id`.
fn says(pid: i32, id: &str) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    words.get(1) == Some(&&b"shim"[..]) && words.get(2).is_some_and(|word| word.starts_with(id.as_bytes()))
}

fn end(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL); // it may have ended by itself
    }
}
