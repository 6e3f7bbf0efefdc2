//! # OOM: told when somebody was killed for want of memory
//!
//! A container whose memory is used up does not get an error from `malloc`: the kernel picks one of its processes and
//! kills it. Whoever wants to know has to ask in advance. On v1 one registers an eventfd (its number and that of
//! `memory.oom_control`, written into `cgroup.event_control`); on v2 `memory.events` changes, and inotify says so.
//!
//! On v1 the kernel speaks *before* it kills: whoever looks at once finds a counter that has not moved yet, and nothing will say
//! when it has. So [`Watch::drain`] looks again for a short while.
//!
//! [`Watch`] hides the difference: a descriptor that becomes readable, and [`Watch::drain`] that says whether it was an
//! out-of-memory kill, or the end of the group.
//!
//! See: cgroup-v1/memory.rst §9 and §10, cgroup-v2.rst (memory.events), eventfd(2), inotify(7). Next room: [`crate::seccomp`]

use super::{Cgroup, Version, knob};
use crate::{
    action::{self, quoted},
    errno::CallFailed,
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::inotify,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

/// How long after v1's notice the kill may come.
const SLOW: Duration = Duration::from_millis(100);

/// Waits for the out-of-memory killer of one group.
#[derive(Debug)]
pub struct Watch {
    group: Cgroup,
    fd: OwnedFd,
    kills: u64,
}

/// What [`Watch::drain`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oom {
    /// So many kills since last asked.
    Killed(u64),
    /// Something else happened to the file.
    Nothing,
    /// The group was removed.
    Gone,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// `ENOENT` without a memory controller.
    #[track_caller]
    pub fn new(group: &Cgroup) -> Result<Watch, CallFailed> {
        let fd = match group.version() {
            Version::V1 => watch_v1(group)?,
            Version::V2 => watch_v2(group)?,
        };
        Ok(Watch { group: group.clone(), fd, kills: group.oom_kills() })
    }

    /// Call when the descriptor is readable.
    pub fn drain(&mut self) -> Oom {
        let mut buffer = [0u8; 4096];
        let noticed = rustix::io::read(&self.fd, &mut buffer).is_ok_and(|n| n > 0);
        let until = (noticed && self.group.version() == Version::V1).then(|| Instant::now() + SLOW);
        loop {
            let folder = self.group.dir_of("memory");
            if !folder.is_some_and(|folder| folder.join("cgroup.procs").exists()) {
                return Oom::Gone;
            }
            let now = self.group.oom_kills();
            let more = now.saturating_sub(self.kills);
            self.kills = now;
            if more > 0 {
                return Oom::Killed(more);
            }
            if until.is_none_or(|until| Instant::now() >= until) {
                return Oom::Nothing;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[track_caller]
fn watch_v1(group: &Cgroup) -> Result<OwnedFd, CallFailed> {
    let Some(folder) = group.dir_of("memory") else { return Err(knob::missing("memory", "memory.oom_control")) };
    let control = knob::open_to_write(&folder.join("memory.oom_control"))?;
    let event = action::call(
        "eventfd2",
        || vec!["0".into(), "EFD_CLOEXEC".into()],
        || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK),
    )?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    knob::write(&folder.join("cgroup.event_control"), &line)?;
    Ok(event)
}

#[track_caller]
fn watch_v2(group: &Cgroup) -> Result<OwnedFd, CallFailed> {
    let Some(folder) = group.dir_of("memory") else { return Err(knob::missing("memory", "memory.events")) };
    let events = folder.join("memory.events");
    let fd = action::call(
        "inotify_init1",
        || vec!["IN_CLOEXEC|IN_NONBLOCK".into()],
        || inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK),
    )?;
    // cgroup.events tells the end: its last change is "populated 0"
    for (path, flags) in [(events, inotify::WatchFlags::MODIFY), (folder.join("cgroup.events"), inotify::WatchFlags::MODIFY)] {
        action::call(
            "inotify_add_watch",
            || vec![fd.as_raw_fd().to_string(), quoted(&path), "IN_MODIFY".into()],
            || inotify::add_watch(&fd, &path, flags),
        )?;
    }
    Ok(fd)
}
