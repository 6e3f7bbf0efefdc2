//! # Cgroup v1: a tree for each controller
//!
//! Making a group means a mkdir in every tree. Two controllers need care. *cpuset* gives a new group no CPU and no memory
//! node at all, and nobody may enter such a group (`ENOSPC`), so both lists are copied down from above. The *freezer* is
//! asynchronous: after `FROZEN` is written the file reads `FREEZING` until the last task has stopped, and a task that
//! forks at the wrong moment can delay that, so we thaw and try again.
//!
//! ```text
//!   THAWED ──FROZEN──► FREEZING ──(all stopped)──► FROZEN
//!      ▲                  │ too long: THAWED, try again  │
//!      └──────────────────┴─────────────THAWED───────────┘
//! ```
//!
//! v1 has no `cgroup.kill`. Killing is: freeze (so that nobody forks away), signal everyone, thaw (a frozen process does
//! not even die), and look again.
//!
//! See: Documentation/admin-guide/cgroup-v1/{cpusets,freezer-subsystem}.rst. Next room: [`crate::cgroup::v2`]

use super::{Cgroup, Dir, knob};
use crate::{action, errno::CallFailed};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const FREEZE_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the folder in one tree.
#[track_caller]
pub(super) fn create(dir: &Dir) -> Result<(), CallFailed> {
    let is_cpuset = dir.controllers.iter().any(|name| name == "cpuset");
    make(&dir.path, &dir.top, is_cpuset)
}

#[track_caller]
fn make(path: &Path, top: &Path, is_cpuset: bool) -> Result<(), CallFailed> {
    if path == top || !path.starts_with(top) {
        return Ok(());
    }
    // most often all but the last folder are there: ask for that one first
    let made = match knob::make_folder(path) {
        Err(failed) if failed.is(libc::ENOENT) => {
            if let Some(above) = path.parent() {
                make(above, top, is_cpuset)?;
            }
            knob::make_folder(path)
        }
        answer => answer,
    };
    let is_new = made?;
    match is_cpuset {
        true => inherit_cpuset(path, top, is_new),
        false => Ok(()),
    }
}

/// Copies `cpuset.cpus` and `cpuset.mems` from the group above where they are still empty, as in a new one they are.
#[track_caller]
fn inherit_cpuset(path: &Path, top: &Path, is_new: bool) -> Result<(), CallFailed> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !is_new && !knob::read(&path.join(file))?.trim().is_empty() {
            continue;
        }
        let Some(above) = path.parent().filter(|above| above.starts_with(top)) else { continue };
        let mut given = knob::read(&above.join(file))?;
        if given.trim().is_empty() && above != top {
            inherit_cpuset(above, top, false)?;
            given = knob::read(&above.join(file))?;
        }
        knob::write(&path.join(file), given.trim())?;
    }
    Ok(())
}

/// Writes `FROZEN` until it is true.
#[track_caller]
pub(super) fn freeze(group: &Cgroup) -> Result<(), CallFailed> {
    let deadline = Instant::now() + FREEZE_PATIENCE;
    let mut tries = 0u32;
    while Instant::now() < deadline {
        // A task in uninterruptible sleep, or a storm of forks, keeps FREEZING from becoming FROZEN; letting go for a
        // moment resolves both. See the freezer's documentation.
        if tries > 0 && tries.is_multiple_of(50) {
            group.write("freezer", "freezer.state", "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        group.write("freezer", "freezer.state", "FROZEN")?;
        for _ in 0..10 {
            if group.read("freezer", "freezer.state")? == "FROZEN" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(if tries == 0 { 20 } else { 500 }));
        }
        tries += 1;
    }
    thaw(group)?;
    Err(CallFailed::new("freeze", vec![group.dir_of("freezer").map(action::quoted).unwrap_or_default()], libc::EBUSY))
}

#[track_caller]
pub(super) fn thaw(group: &Cgroup) -> Result<(), CallFailed> {
    group.write("freezer", "freezer.state", "THAWED")
}

pub(super) fn is_frozen(group: &Cgroup) -> bool {
    // what was asked for, not `freezer.state`: that also says FROZEN below a frozen group and FREEZING on the way
    match group.read("freezer", "freezer.self_freezing") {
        Ok(text) => text.trim() == "1",
        Err(_) => group.read("freezer", "freezer.state").is_ok_and(|text| text != "THAWED"),
    }
}

/// Freezes, signals everyone, and thaws again what was not frozen before (for `SIGKILL`: always).
#[track_caller]
pub(super) fn signal_all(group: &Cgroup, signal: i32) -> Result<(), CallFailed> {
    let was_frozen = group.is_frozen();
    for round in 0..64 {
        let pids = group.procs()?;
        if pids.is_empty() {
            break;
        }
        // A single process, usually the init of a pid namespace whose death takes the others along, needs no freezing.
        let frozen = pids.len() > 1 && !was_frozen && group.freeze().is_ok();
        let pids = if frozen { group.procs()? } else { pids };
        let sent = pids.iter().try_for_each(|pid| kill(*pid, signal));
        if frozen || (was_frozen && signal == libc::SIGKILL) {
            // a group that went meanwhile needs no thawing
            match group.thaw() {
                Err(failed) if !knob::is_gone(&failed) => return Err(failed),
                _ => {}
            }
        }
        sent?;
        if signal != libc::SIGKILL {
            break;
        }
        std::thread::sleep(Duration::from_micros(100 << round.min(8)));
    }
    Ok(())
}

#[track_caller]
fn kill(pid: i32, signal: i32) -> Result<(), CallFailed> {
    let sent = action::call(
        "kill",
        || vec![pid.to_string(), signal.to_string()],
        // SAFETY: kill takes two integers and touches no memory of ours.
        || match unsafe { libc::kill(pid, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    );
    match sent {
        Err(failed) if failed.is(libc::ESRCH) => Ok(()),
        answer => answer,
    }
}
