//! # Cgroup v2: one tree for all controllers
//!
//! A group has a controller only if *every* group above it hands it down, by `+memory` in its `cgroup.subtree_control`, and
//! a group that hands controllers down may hold no processes itself (the root excepted). So making a group means walking
//! from the top: make, hand down, make, hand down; the last one only receives.
//!
//! ```text
//! /sys/fs/cgroup            cgroup.controllers: cpuset cpu io memory pids      offered here
//!    │  +cpu +memory +pids  in cgroup.subtree_control                          handed down
//!    └ minidock             cgroup.controllers: cpu memory pids
//!        │  +cpu +memory +pids
//!        └ ID               memory.max, cpu.max, pids.max
//! ```
//!
//! A controller that cannot be handed down (it is held by somebody else, or realtime processes forbid `cpu`) is no failure
//! yet: it becomes one when a limit asks for it, and the message can then name the limit.
//!
//! Freezing and killing are one write each (`cgroup.freeze`, Linux 5.2; `cgroup.kill`, 5.14); before 5.14 we do as on v1.
//! See: Documentation/admin-guide/cgroup-v2.rst. Next room: [`crate::cgroup::stats`]

use super::{Cgroup, Dir, knob, v1};
use crate::{action, errno::CallFailed};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const FREEZE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the folder and hands down to it what there is.
#[track_caller]
pub(super) fn create(dir: &Dir) -> Result<(), CallFailed> {
    let Ok(below) = dir.path.strip_prefix(&dir.top) else { return Ok(()) };
    let mut here = dir.top.clone();
    for name in below.components() {
        hand_down(&here)?;
        here.push(name);
        knob::make_folder(&here)?;
    }
    reject_invalid(&here)
}

/// Adds every offered controller to the group's `cgroup.subtree_control`, as far as the kernel lets us.
#[track_caller]
fn hand_down(group: &Path) -> Result<(), CallFailed> {
    let offered = knob::read(&group.join("cgroup.controllers"))?;
    let control = group.join("cgroup.subtree_control");
    let given = knob::read(&control)?;
    let given: Vec<&str> = given.split_whitespace().collect();
    let lacking: Vec<String> =
        offered.split_whitespace().filter(|name| !given.contains(name)).map(|name| format!("+{name}")).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    // all at once is one write; when one of them is refused, the others must not suffer for it
    if knob::write(&control, &lacking.join(" ")).is_err() {
        for name in &lacking {
            match knob::write(&control, name) {
                Err(failed) if failed.is(libc::ENOENT) => return Err(failed),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A group of type "domain invalid" lies below a threaded one: no process can enter it.
#[track_caller]
fn reject_invalid(group: &Path) -> Result<(), CallFailed> {
    match knob::read(&group.join("cgroup.type")) {
        Ok(kind) if kind == "domain invalid" => {
            Err(CallFailed::new("enter", vec![action::quoted(group), kind], libc::EOPNOTSUPP))
        }
        _ => Ok(()),
    }
}

#[track_caller]
pub(super) fn freeze(group: &Cgroup) -> Result<(), CallFailed> {
    group.write("cgroup", "cgroup.freeze", "1")?;
    let deadline = Instant::now() + FREEZE_PATIENCE;
    let mut pause = Duration::from_micros(20);
    while Instant::now() < deadline {
        if knob::field(&group.read("cgroup", "cgroup.events")?, "frozen") == Some(1) {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    thaw(group)?;
    Err(CallFailed::new("freeze", vec![group.dir_of("cgroup").map(action::quoted).unwrap_or_default()], libc::EBUSY))
}

#[track_caller]
pub(super) fn thaw(group: &Cgroup) -> Result<(), CallFailed> {
    group.write("cgroup", "cgroup.freeze", "0")
}

pub(super) fn is_frozen(group: &Cgroup) -> bool {
    group.read("cgroup", "cgroup.freeze").is_ok_and(|text| text == "1")
}

/// Kills the group and all below it, frozen or not.
#[track_caller]
pub(super) fn kill(group: &Cgroup) -> Result<(), CallFailed> {
    if !group.exists() {
        return Ok(());
    }
    match group.write("cgroup", "cgroup.kill", "1") {
        Err(failed) if knob::is_gone(&failed) => v1::signal_all(group, libc::SIGKILL),
        answer => answer,
    }
}
