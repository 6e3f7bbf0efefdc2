//! # Cgroups: how much of the machine
//!
//! Namespaces decide what a process *sees*; a control group decides how much of the machine it may *use*, which devices
//! it may open, and lets us stop, count and kill everything inside it without asking it. The interface is nothing but
//! folders and small files: `mkdir` makes a group, writing a pid into a file moves a process, writing a number sets a limit.
//!
//! ```text
//!            v1: one tree for each controller               v2: one tree for all
//!
//!  /sys/fs/cgroup/memory/minidock/ID/tasks          /sys/fs/cgroup/minidock/ID/cgroup.procs
//!                        │            memory.limit_in_bytes                │   memory.max
//!  /sys/fs/cgroup/cpu/minidock/ID/tasks                                    │   cpu.max
//!                        │        cpu.cfs_quota_us                         │   pids.max
//!  /sys/fs/cgroup/pids/minidock/ID/…        a folder in each        one folder, and each folder above it has to
//!                                                                   say `+memory +cpu` in cgroup.subtree_control
//! ```
//!
//! * [`hierarchy`] finds out which of the two this machine has. A *hybrid* machine mounts both; it is v1 to us as long as
//!   v1 holds the controllers, for a controller lives in one tree only; its v2 tree gets a group of the same name.
//! * [`Cgroup`] is one group: on v1 a folder in every tree, on v2 one folder. It can be written into a state file, for a
//!   relative path means something else to a process that lives in another group.
//! * [`v1`] and [`v2`] hold what differs: making, freezing, killing. [`stats`] reads the counters of both into one shape;
//!   [`oom`] waits for the out-of-memory killer. [`knob`] reads and writes one file.
//!
//! **Joining is the child's work.** On v1 a parent that writes a pid into `cgroup.procs` waits for a grace period of the
//! thread-group lock: 9.6 ms. A single-threaded child that writes `0` into `tasks` pays 42 µs. On v2 `clone3` can give birth
//! to the child inside the group ([`Cgroup::clone_into_fd`]).
//!
//! Laws: making what is there already succeeds, removing what is gone succeeds; every step works on a group that is only
//! half made; nothing here decides what a limit should be (that is `runtime::resources`).
//! See: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Next room: [`hierarchy`]

pub mod hierarchy;
pub mod knob;
pub mod oom;
pub mod stats;
pub mod v1;
pub mod v2;

use crate::errno::CallFailed;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use hierarchy::{Hierarchy, Version};

/// How long [`Cgroup::remove`] waits for the last process of a group to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// One control group: a folder in each v1 tree, or one folder of the v2 tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    version: Version,
    dirs: Vec<Dir>,
    /// On a hybrid machine: the group of the same name in the v2 tree. It limits nothing, but who asks v2 (a desktop, a
    /// monitor) finds the container's processes together there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unified: Option<Dir>,
}

/// A group's folder in one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dir {
    /// The folder itself.
    pub path: PathBuf,
    /// Where its tree is mounted: never removed, and above it nothing is ours.
    pub top: PathBuf,
    /// The controllers of this tree (`cpu`, `cpuacct`, …); `name=systemd` for a tree without one; empty on v2.
    pub controllers: Vec<String>,
}

impl Cgroup {
    /// A group of these folders; [`Hierarchy::cgroup`] makes it from a path.
    pub(crate) fn new(version: Version, dirs: Vec<Dir>, unified: Option<Dir>) -> Cgroup {
        Cgroup { version, dirs, unified }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The group's folders, one for each tree that can limit something.
    pub fn dirs(&self) -> &[Dir] {
        &self.dirs
    }

    /// All folders, that of a hybrid machine's v2 tree included.
    fn all_dirs(&self) -> impl Iterator<Item = &Dir> {
        self.dirs.iter().chain(&self.unified)
    }

    /// runc's `cgroup_paths`: controller → folder (v2: one entry with an empty name).
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for dir in self.all_dirs() {
            match dir.controllers.as_slice() {
                [] => drop(paths.insert(String::new(), dir.path.clone())),
                names => paths.extend(names.iter().map(|name| (name.clone(), dir.path.clone()))),
            }
        }
        paths
    }

    /// The folder where `controller` keeps its files; on v2 always the one folder, whether the controller is delegated or not.
    pub fn dir_of(&self, controller: &str) -> Option<&Path> {
        let of = |dir: &&Dir| self.version == Version::V2 || dir.controllers.iter().any(|name| name == controller);
        self.dirs.iter().find(of).map(|dir| dir.path.as_path())
    }

    /// A group below this one, in every tree: `exec --cgroup`.
    pub fn child(&self, name: &Path) -> Cgroup {
        let below = |dir: &Dir| Dir { path: dir.path.join(name), ..dir.clone() };
        let (dirs, unified) = (self.dirs.iter().map(below).collect(), self.unified.as_ref().map(below));
        Cgroup { version: self.version, dirs, unified }
    }

    /// The same in the trees of some controllers only (none named: in all); elsewhere the group stays itself.
    pub fn child_in(&self, controllers: &[&str], name: &Path) -> Cgroup {
        let meant = |dir: &Dir| controllers.is_empty() || dir.controllers.iter().any(|own| controllers.contains(&own.as_str()));
        let below = |dir: &Dir| match meant(dir) && !name.as_os_str().is_empty() {
            true => Dir { path: dir.path.join(name), ..dir.clone() },
            false => dir.clone(),
        };
        // who makes groups by hand seldom makes them in a hybrid machine's v2 tree, too
        let unified =
            self.unified.as_ref().map(|dir| Some(below(dir)).filter(|below| below.path.is_dir()).unwrap_or(dir.clone()));
        Cgroup { version: self.version, dirs: self.dirs.iter().map(below).collect(), unified }
    }

    /// The same group, in those trees only where this process may make it: a daemon without root has none, or those that
    /// somebody handed down to it.
    pub fn within_reach(&self) -> Cgroup {
        let reachable = |dir: &&Dir| {
            let nearest = dir.path.ancestors().find(|folder| folder.is_dir());
            nearest.is_some_and(|folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok())
        };
        let dirs = self.dirs.iter().filter(reachable).cloned().collect();
        Cgroup { version: self.version, dirs, unified: self.unified.as_ref().filter(reachable).cloned() }
    }

    /// Makes the group's folders and all above them, and on v2 hands the controllers down to it.
    ///
    /// # Errors
    /// `EACCES`, `EROFS` where this user may not; `EBUSY` on v2 below a group that has processes of its own.
    #[track_caller]
    pub fn create(&self) -> Result<(), CallFailed> {
        // the group above may be removed by its last other user between our two steps: then it is made once more
        for _ in 0..16 {
            match self.create_once() {
                Err(failed) if failed.is(libc::ENOENT) => {}
                answer => return answer,
            }
        }
        self.create_once()
    }

    #[track_caller]
    fn create_once(&self) -> Result<(), CallFailed> {
        // loops, here and below: within a closure the caller who shall be recorded is lost
        for dir in self.all_dirs() {
            match self.version {
                Version::V1 => v1::create(dir)?,
                Version::V2 => v2::create(dir)?,
            }
        }
        Ok(())
    }

    /// Makes only the folder that a process can be born in ([`Cgroup::clone_into_fd`]): the v2 tree's, if there is one. For who
    /// makes the rest while the child is at work already.
    ///
    /// # Errors
    /// As [`Cgroup::create`].
    #[track_caller]
    pub fn create_birthplace(&self) -> Result<(), CallFailed> {
        match (self.version, &self.unified) {
            (Version::V2, _) => self.create(),
            (Version::V1, Some(unified)) => {
                let place = Cgroup { version: self.version, dirs: vec![unified.clone()], unified: None };
                place.create()
            }
            (Version::V1, None) => Ok(()),
        }
    }

    /// Whether any of its folders exists.
    pub fn exists(&self) -> bool {
        self.all_dirs().any(|dir| dir.path.is_dir())
    }

    /// The calling thread moves itself into the group.
    ///
    /// # Errors
    /// `ENOENT` when the group was not made; `ENOSPC` on v1 when `cpuset.cpus` is empty; `EBUSY` on v2 when the group hands
    /// controllers to groups below it.
    #[track_caller]
    pub fn enter_self(&self) -> Result<(), CallFailed> {
        for door in self.doors() {
            knob::write(&door, "0")?;
        }
        Ok(())
    }

    /// The files a process writes `0` into in order to enter: opened now, by us, for a child that will no longer see them.
    ///
    /// # Errors
    /// As open(2) for each of the files.
    #[track_caller]
    pub fn open_doors(&self) -> Result<Vec<OwnedFd>, CallFailed> {
        let mut open = Vec::new();
        for door in self.doors() {
            open.push(knob::open_to_write(&door)?);
        }
        Ok(open)
    }

    /// Enters through doors that [`Cgroup::open_doors`] opened.
    ///
    /// # Errors
    /// As [`Cgroup::enter_self`].
    #[track_caller]
    pub fn enter_through(doors: &[OwnedFd]) -> Result<(), CallFailed> {
        for door in doors {
            knob::write_fd(door, "0")?;
        }
        Ok(())
    }

    /// Moves another process, with all its threads. On v1 this costs some 10 ms a tree: let the child enter by itself.
    ///
    /// # Errors
    /// `ESRCH` when the process is gone.
    #[track_caller]
    pub fn add(&self, pid: i32) -> Result<(), CallFailed> {
        for dir in self.all_dirs() {
            knob::write(&dir.path.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    fn doors(&self) -> Vec<PathBuf> {
        // Only v1 lets a single thread in, which spares it a lock that takes milliseconds; v2's way without that lock is to be
        // born there, so a hybrid machine's v2 tree has no door here ([`Cgroup::clone_into_fd`]).
        let door = |dir: &Dir| dir.path.join(if self.version == Version::V1 { "tasks" } else { "cgroup.procs" });
        self.dirs.iter().map(door).collect()
    }

    /// A descriptor for `clone3`'s `CLONE_INTO_CGROUP`: the v2 folder, on a hybrid machine too; `None` on v1, where there is no
    /// such thing.
    ///
    /// # Errors
    /// `ENOENT` when the group was not made.
    #[track_caller]
    pub fn clone_into_fd(&self) -> Result<Option<OwnedFd>, CallFailed> {
        let tree = match self.version {
            Version::V1 => self.unified.as_ref(),
            Version::V2 => self.dirs.first(),
        };
        tree.map(|dir| knob::open_folder(&dir.path)).transpose()
    }

    /// Writes one knob: `write("memory", "memory.limit_in_bytes", "67108864")`.
    ///
    /// # Errors
    /// `ENOENT` when this kernel, or this tree, has no such knob; else what the kernel says to the value.
    #[track_caller]
    pub fn write(&self, controller: &str, file: &str, value: &str) -> Result<(), CallFailed> {
        match self.dir_of(controller) {
            Some(dir) => knob::write(&dir.join(file), value),
            None => Err(knob::missing(controller, file)),
        }
    }

    /// Writes several sentences to one knob, as [`knob::write_each`].
    ///
    /// # Errors
    /// As [`Cgroup::write`].
    #[track_caller]
    pub fn write_each(
        &self,
        controller: &str,
        file: &str,
        values: &[String],
        judge: &mut knob::Judge<'_>,
    ) -> Result<(), CallFailed> {
        match self.dir_of(controller) {
            Some(dir) => knob::write_each(&dir.join(file), values, judge),
            None => Err(knob::missing(controller, file)),
        }
    }

    /// Reads one file of the group, without its last line break.
    ///
    /// # Errors
    /// `ENOENT` when there is no such file.
    #[track_caller]
    pub fn read(&self, controller: &str, file: &str) -> Result<String, CallFailed> {
        match self.dir_of(controller) {
            Some(dir) => knob::read(&dir.join(file)),
            None => Err(knob::missing(controller, file)),
        }
    }

    /// Whether the group has this file.
    pub fn has(&self, controller: &str, file: &str) -> bool {
        self.dir_of(controller).is_some_and(|dir| dir.join(file).exists())
    }

    /// Stops every process of the group where it stands, and waits until all have stopped.
    ///
    /// # Errors
    /// `ENOENT` without a freezer; `EBUSY` when some process did not stop in time (it is thawed again).
    #[track_caller]
    pub fn freeze(&self) -> Result<(), CallFailed> {
        match self.version {
            Version::V1 => v1::freeze(self),
            Version::V2 => v2::freeze(self),
        }
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// `ENOENT` without a freezer.
    #[track_caller]
    pub fn thaw(&self) -> Result<(), CallFailed> {
        match self.version {
            Version::V1 => v1::thaw(self),
            Version::V2 => v2::thaw(self),
        }
    }

    /// Whether the group itself was frozen (one above it may be too). A group that is gone is not frozen.
    pub fn is_frozen(&self) -> bool {
        match self.version {
            Version::V1 => v1::is_frozen(self),
            Version::V2 => v2::is_frozen(self),
        }
    }

    /// The processes in the group and in all groups below it, ascending.
    ///
    /// # Errors
    /// None for a group that is gone: it is empty.
    pub fn procs(&self) -> Result<Vec<i32>, CallFailed> {
        // On v1 the trees may disagree for a moment (a child between two writes) or for good (somebody moved a process in
        // one of them); whoever is in any of them is ours.
        let mut pids = Vec::new();
        for dir in self.all_dirs() {
            collect_procs(&dir.path, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Sends `signal` to every process of the group, frozen meanwhile so that none can fork away.
    ///
    /// # Errors
    /// As kill(2), except that who is gone already is no error.
    #[track_caller]
    pub fn signal_all(&self, signal: i32) -> Result<(), CallFailed> {
        match self.version {
            Version::V2 if signal == libc::SIGKILL => v2::kill(self),
            _ => v1::signal_all(self, signal),
        }
    }

    /// Kills whatever is inside, frozen or not.
    ///
    /// # Errors
    /// As kill(2).
    #[track_caller]
    pub fn kill(&self) -> Result<(), CallFailed> {
        self.signal_all(libc::SIGKILL)
    }

    /// Removes the group and the groups below it, after its last process is gone; waits for that up to ten seconds.
    ///
    /// # Errors
    /// `EBUSY` when processes remain. All folders are tried before the first failure is told.
    #[track_caller]
    pub fn remove(&self) -> Result<(), CallFailed> {
        self.remove_until(Instant::now() + PATIENCE)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// `EBUSY` when processes remain.
    #[track_caller]
    pub fn remove_now(&self) -> Result<(), CallFailed> {
        self.remove_until(Instant::now())
    }

    #[track_caller]
    fn remove_until(&self, deadline: Instant) -> Result<(), CallFailed> {
        let mut first = Ok(());
        for dir in self.all_dirs().filter(|dir| dir.path != dir.top) {
            let removed = knob::remove_tree(&dir.path, deadline);
            first = first.and(removed);
        }
        first
    }

    /// How often the kernel killed somebody in this group for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let (file, key) = match self.version {
            Version::V1 => ("memory.oom_control", "oom_kill"),
            Version::V2 => ("memory.events", "oom_kill"),
        };
        self.read("memory", file).ok().and_then(|text| knob::field(&text, key)).unwrap_or(0)
    }

    /// All counters of the group.
    ///
    /// # Errors
    /// `ENOENT` when the group is gone; a controller that this machine has not leaves its part at zero.
    pub fn stats(&self) -> Result<stats::Stats, CallFailed> {
        stats::read(self)
    }
}

fn collect_procs(folder: &Path, pids: &mut Vec<i32>) -> Result<(), CallFailed> {
    match knob::read(&folder.join("cgroup.procs")) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(failed) if knob::is_gone(&failed) => return Ok(()),
        // a threaded group answers EOPNOTSUPP: its processes are listed in the group above it
        Err(failed) if failed.is(libc::EOPNOTSUPP) => {}
        Err(failed) => return Err(failed),
    }
    for below in knob::folders(folder) {
        collect_procs(&below, pids)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
