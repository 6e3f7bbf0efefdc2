//! # Lifecycle: start, kill, pause, resume, update, delete
//!
//! One function for each thing that can happen to a container after it was made. Each reads the record, asks what the
//! container is now ([`Record::status`]), and refuses what makes no sense in that state, in runc's words.
//!
//! ```text
//!   [`start`]    created → running      through the door, until the program runs
//!   [`kill`]     a signal to the first process, or to all in the cgroup
//!   [`pause`], [`resume`]               the freezer
//!   [`update`]   other limits
//!   [`delete`]   stopped → gone         with --force also from any other state, and from no state at all
//! ```
//!
//! Laws: removing what is gone succeeds under --force, and so does removing what is being made: its maker ends first; teardown goes on
//! after a failure and tells the first.
//! See: runtime-spec runtime.md#operations. Next room: [`crate::join`]

use crate::{
    door,
    handshake::{self, Word},
    hooks::{self, Moment},
    log, resources,
    state::{Folder, Record},
};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_linux::{
    cgroup::Cgroup,
    mount,
    poll::{self, Want},
    proc::Process as Running,
    signal, wait,
};
use minidock_spec::runtime::Status;
use oci_spec::runtime::LinuxResources;
use std::{fs::File, os::fd::AsFd, path::Path, time::Duration};

const ESRCH: i32 = 3;
const SIGKILL: i32 = 9;

/// The record of a container that exists.
///
/// # Errors
/// `container does not exist`.
pub fn load(root: &Path, id: &str) -> Result<(Folder, Record)> {
    let folder = Folder::of(root, id)?;
    let record = folder.load()?;
    Ok((folder, record))
}

/// Lets a created container begin.
///
/// # Errors
/// It is not one that waits; or its program cannot be executed.
pub fn start(root: &Path, id: &str) -> Result<()> {
    let (folder, record) = load(root, id)?;
    match record.status(&folder) {
        Status::Created => {}
        Status::Stopped => return Err(Error::conflict("cannot start a container that has stopped")),
        Status::Running | Status::Paused => return Err(Error::conflict("cannot start an already running container")),
        Status::Creating => return Err(Error::conflict("cannot start a container in the creating state")),
    }
    let mut answer = door::open(&folder)?;
    let started = hear_it_start(&mut answer);
    door::remove(&folder);
    started?;
    let spec = folder.spec()?;
    hooks::run_all(Moment::Poststart, spec.hooks(), &record.to_state(Status::Running));
    Ok(())
}

/// Listens to init until its program runs: Going, then the end of file that execve makes.
///
/// # Errors
/// What init says instead.
pub fn hear_it_start(from: &mut File) -> Result<()> {
    let mut going = false;
    loop {
        match handshake::hear(from)? {
            Some(Word::Going) => going = true,
            Some(Word::Failed(wire)) => return Err(Error::from_wire(wire)),
            Some(_) => return Err(Error::system("init says something that belongs elsewhere")),
            None if going => return Ok(()),
            None => return Err(Error::conflict("cannot start a container that has stopped")),
        }
    }
}

/// Sends a signal to the container's first process; with `all`, to everyone in its cgroup.
///
/// # Errors
/// `container not running`.
pub fn kill(root: &Path, id: &str, number: i32, all: bool) -> Result<()> {
    let (folder, record) = load(root, id)?;
    let status = record.status(&folder);
    if all {
        return match &record.cgroup {
            Some(cgroup) => cgroup.signal_all(number).doing(|| format!("signal all processes of {id}")),
            None => Ok(()),
        };
    }
    // A process that shares its pid namespace does not take the others with it, dead or alive.
    let shares_pids = !record.namespaces.iter().any(|name| name == "pid");
    if let (Status::Stopped, SIGKILL, true, Some(cgroup)) = (status, number, shares_pids, &record.cgroup)
        && cgroup.procs().is_ok_and(|inside| !inside.is_empty())
    {
        return cgroup.kill().doing(|| format!("kill the processes of {id}"));
    }
    if status == Status::Stopped || status == Status::Creating {
        return Err(Error::conflict("container not running"));
    }
    send(&record, number)?;
    // The frozen do not die.
    match (&record.cgroup, number) {
        (Some(cgroup), SIGKILL) if shares_pids => drop(cgroup.kill()),
        (Some(cgroup), SIGKILL) if status == Status::Paused => drop(cgroup.thaw()),
        _ => {}
    }
    Ok(())
}

/// By pidfd, and only if the pid is still the process that was started.
fn send(record: &Record, number: i32) -> Result<()> {
    let gone = || Error::conflict("container not running");
    let pidfd = wait::pidfd_open(record.pid).map_err(|_| gone())?;
    record.process().ok_or_else(gone)?;
    match signal::pidfd_send_signal(&pidfd, number) {
        Err(failed) if failed.is(ESRCH) => Err(gone()),
        sent => sent.doing(|| format!("send {} to the container", signal::name(number))),
    }
}

/// Stops all its processes where they stand.
///
/// # Errors
/// It does not run.
pub fn pause(root: &Path, id: &str) -> Result<()> {
    let (folder, record) = load(root, id)?;
    match record.status(&folder) {
        Status::Running | Status::Created => {}
        _ => return Err(Error::conflict("container not running or created")),
    }
    cgroup_of(&record)?.freeze().doing(|| format!("pause {id}"))
}

/// Lets them go on.
///
/// # Errors
/// It was not paused.
pub fn resume(root: &Path, id: &str) -> Result<()> {
    let (_, record) = load(root, id)?;
    let cgroup = cgroup_of(&record)?;
    match cgroup.is_frozen() {
        true => cgroup.thaw().doing(|| format!("resume {id}")),
        false => Err(Error::conflict("container not paused")),
    }
}

/// Changes its limits.
///
/// # Errors
/// What the kernel says to a value.
pub fn update(root: &Path, id: &str, wanted: &LinuxResources) -> Result<()> {
    let (folder, record) = load(root, id)?;
    match record.status(&folder) {
        Status::Stopped | Status::Creating => Err(Error::conflict("container not running")),
        _ => resources::update(cgroup_of(&record)?, wanted),
    }
}

fn cgroup_of(record: &Record) -> Result<&Cgroup> {
    record.cgroup.as_ref().ok_or_else(|| Error::system(format!("the record of {} has no cgroup", record.id)))
}

/// Removes a container and everything that was made for it.
///
/// # Errors
/// It is not stopped (without `force`); or the first thing that could not be removed.
pub fn delete(root: &Path, id: &str, force: bool) -> Result<()> {
    let folder = Folder::of(root, id)?;
    let mut record = match folder.load() {
        Ok(record) => record,
        Err(e) if force && e.kind() == Kind::NotFound => return folder.remove(),
        // A record cut short by a crash: there was no cgroup yet, for the record comes first.
        Err(_) if force => return folder.remove(),
        Err(e) => return Err(e),
    };
    if force && record.status(&folder) == Status::Creating {
        // it would go on making what we take away; what it has made until then is written down
        end_maker(&record);
        record = folder.load().unwrap_or(record);
    }
    match record.status(&folder) {
        Status::Stopped => {}
        Status::Created => drop(send(&record, SIGKILL)),
        _ if force => drop(send(&record, SIGKILL)),
        status => {
            let word = serde_json::to_string(&status).unwrap_or_default();
            let word = word.trim_matches('"');
            return Err(Error::conflict(format!("cannot delete container {id} that is not stopped: {word}")));
        }
    }
    wait_until_gone(&record);
    finish(&folder, &record)
}

/// After its first process is gone: cgroup, poststop hooks, folder.
///
/// # Errors
/// The first thing that could not be removed; the rest is tried all the same.
pub fn finish(folder: &Folder, record: &Record) -> Result<()> {
    clear_cgroup(record);
    clear_mounts(record);
    if let Some(spec) = folder.spec_with_hooks() {
        hooks::run_all(Moment::Poststop, spec.hooks(), &record.to_state(Status::Stopped));
    }
    folder.remove()
}

/// Kills whoever is left in the container's group and removes it; one that others live in is left to them.
pub fn clear_cgroup(record: &Record) {
    let Some(cgroup) = record.cgroup.as_ref() else { return };
    // most often its last process has gone by itself: then there is nobody to look for
    if (!record.shares_cgroup && cgroup.remove_now().is_ok()) || !cgroup.exists() {
        return;
    }
    let inside = cgroup.procs().is_ok_and(|inside| !inside.is_empty());
    if inside && record.shares_cgroup {
        return;
    }
    let cleared = if inside { cgroup.kill() } else { Ok(()) };
    if let Err(failed) = cleared.and_then(|()| cgroup.remove()) {
        log::warn(&failed.to_string());
    }
}

/// A container without a mount namespace has hung its tree into the host's, at its root's folder: one umount takes all.
pub fn clear_mounts(record: &Record) {
    if record.namespaces.iter().any(|name| name == "mnt") {
        return;
    }
    if let Some(folder) = record.rootfs.to_str() {
        // Not mounted: nothing to take away.
        let _ = mount::umount2(folder, mount::MNT_DETACH);
    }
}

/// Ends the `create` that is still at work; its newborn, if there is one, ends when it finds nobody to talk to.
fn end_maker(record: &Record) {
    let (pid, started) = record.maker;
    let Ok(pidfd) = wait::pidfd_open(pid) else { return };
    // looked at after it was taken hold of: the number cannot have passed to another meanwhile
    if Running::read(pid).is_some_and(|process| process.started == started)
        && signal::pidfd_send_signal(&pidfd, SIGKILL).is_ok()
    {
        let _ = poll::until_ready(pidfd.as_fd(), Want::READ, Some(Duration::from_secs(10)));
    }
}

fn wait_until_gone(record: &Record) {
    if record.process().is_none() {
        return;
    }
    // The frozen do not die.
    if let Some(cgroup) = record.cgroup.as_ref().filter(|cgroup| cgroup.is_frozen()) {
        let _ = cgroup.thaw();
    }
    if let Ok(pidfd) = wait::pidfd_open(record.pid) {
        let _ = poll::until_ready(pidfd.as_fd(), Want::READ, Some(Duration::from_secs(10)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_in_the_making_is_removed_by_force_with_its_maker() {
        let root = tempfile::tempdir().expect("room");
        let mut maker = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep(1) is there");
        let pid = maker.id() as i32;
        let started = Running::read(pid).expect("it lives").started;
        let folder = Folder::of(root.path(), "half").expect("a name");
        folder.make().expect("room");
        let record = |maker: (i32, u64)| Record {
            id: "half".into(),
            pid: 0,
            started: 0,
            maker,
            created: String::new(),
            bundle: root.path().into(),
            rootfs: root.path().join("rootfs"),
            oci_version: "1.2.0".into(),
            cgroup: None,
            shares_cgroup: false,
            namespaces: vec!["mnt".into()],
            annotations: Default::default(),
        };
        folder.save(&record((pid, started + 1))).expect("room");
        delete(root.path(), "half", false).expect("its maker is gone: it is a ruin");
        assert!(signal::exists(pid), "another process with that number is left alone");
        folder.make().expect("room");
        folder.save(&record((pid, started))).expect("room");
        delete(root.path(), "half", false).expect_err("it is being made");
        delete(root.path(), "half", true).expect("by force");
        assert!(matches!(wait::wait(pid), Ok(wait::How::Killed(SIGKILL))), "nobody goes on making it");
        assert!(maker.try_wait().is_err() && folder.load().is_err());
    }
}
