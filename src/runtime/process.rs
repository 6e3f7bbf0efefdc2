//! # Process: who the program will be
//!
//! `process` in `config.json` says under which user, with which groups, limits, environment and working directory the
//! program starts. These are plain calls, but their order is not free: a limit is lowered while we may still do what it
//! forbids, groups go before the user (afterwards nobody lets us), the working directory is entered as root where possible
//! and *looked at* afterwards.
//!
//! * [`environment`]: repeated variables collapse, the last one wins; `HOME` comes from the container's own `/etc/passwd`.
//! * [`enter_cwd`]: a working directory outside the root would be a way out (CVE-2024-21626), so the kernel is asked where
//!   we are before anything else happens.
//! * [`own_stdio`]: the program may reopen `/dev/stdout`, so the streams belong to its user.
//!
//! Laws: `/etc/passwd` is the container's, so it is opened as a stranger's file: regular, bounded, without waiting (a FIFO
//! there hangs other runtimes). See: runtime-spec config.md#process. Next room: [`crate::privileges`]

use crate::devices::NULL_DEVICE;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    exec::{self, NotFound},
    files::{self, FileType, Open, Resolve},
    limits::{self, Scheduling},
    pivot_root::{chdir, getcwd},
    userns,
};
use oci_spec::runtime::{IOPriorityClass, LinuxSchedulerPolicy, Process, Spec, User};
use std::{
    ffi::CString,
    fs::File,
    io::Read,
    os::fd::{AsFd, BorrowedFd},
};

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENOENT: i32 = 2;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;

/// No image needs more; containerd reads as much.
const PASSWD_LIMIT: u64 = 1 << 20;

/// Sets the resource limits asked for.
///
/// # Errors
/// EPERM for raising one above our own hard limit.
pub fn set_limits(process: &Process) -> Result<()> {
    for limit in process.rlimits().iter().flatten() {
        let name = limit.typ().to_string();
        limits::setrlimit(&name, limit.soft(), limit.hard())
            .doing(|| format!("error setting rlimit type {name}"))
            .map_err(|e| e.hint("a hard limit can only be lowered, but for a process with CAP_SYS_RESOURCE"))?;
    }
    Ok(())
}

/// Scheduling, priority of input and output, personality.
///
/// # Errors
/// EPERM for a real-time class without the capability.
pub fn set_weights(process: &Process, spec: Option<&Spec>) -> Result<()> {
    if let Some(asked) = process.scheduler() {
        let pinned = spec.and_then(|spec| spec.linux().as_ref()).and_then(|linux| linux.resources().as_ref());
        let pinned =
            pinned.and_then(|all| all.cpu().as_ref()).and_then(|cpu| cpu.cpus().as_ref()).is_some_and(|c| !c.is_empty());
        let done = limits::sched_setattr(&scheduling(asked));
        if pinned && done.as_ref().is_err_and(|failed| failed.is(minidock_linux::errno::EPERM)) {
            return Err(Error::invalid("process scheduler can't be used together with AllowedCPUs"));
        }
        done.doing(|| "error setting scheduler")?;
    }
    if let Some(asked) = process.io_priority() {
        let class = match asked.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        limits::ioprio_set(class, asked.priority().clamp(0, 7) as u32).doing(|| "error setting io priority")?;
    }
    if let Some(asked) = spec.and_then(|spec| spec.linux().as_ref()).and_then(|linux| linux.personality().as_ref()) {
        let domain = match asked.domain() {
            oci_spec::runtime::LinuxPersonalityDomain::PerLinux => 0,
            oci_spec::runtime::LinuxPersonalityDomain::PerLinux32 => 8,
        };
        limits::personality(domain).doing(|| "error setting personality")?;
    }
    if let Some(policy) = spec.and_then(|spec| spec.linux().as_ref()).and_then(|linux| linux.memory_policy().as_ref()) {
        crate::memory_policy::set(policy)?;
    }
    Ok(())
}

fn scheduling(asked: &oci_spec::runtime::Scheduler) -> Scheduling {
    use oci_spec::runtime::LinuxSchedulerFlag as Flag;
    let policy = match asked.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let bit = |flag: &Flag| match flag {
        Flag::SchedResetOnFork => 0x01,
        Flag::SchedFlagReclaim => 0x02,
        Flag::SchedFlagDLOverrun => 0x04,
        Flag::SchedFlagKeepPolicy => 0x08,
        Flag::SchedFlagKeepParams => 0x10,
        Flag::SchedFlagUtilClampMin => 0x20,
        Flag::SchedFlagUtilClampMax => 0x40,
    };
    Scheduling {
        policy,
        flags: asked.flags().iter().flatten().map(bit).fold(0, |bits, bit| bits | bit),
        nice: asked.nice().unwrap_or(0),
        priority: asked.priority().unwrap_or(0).max(0) as u32,
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    }
}

/// Groups, then the user. Capabilities are dealt with around this (crate::privileges).
///
/// # Errors
/// EINVAL for an id that is not mapped in the user namespace.
pub fn become_user(user: &User) -> Result<()> {
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    match userns::setgroups(groups) {
        // In a user namespace without the right to drop groups there is nothing to set, and nothing to gain.
        Err(refused) if refused.is(EPERM) && groups.is_empty() => {}
        answer => answer.doing(|| "set the supplementary groups")?,
    }
    userns::setresgid(user.gid()).doing(|| format!("become group {}", user.gid()))?;
    userns::setresuid(user.uid()).doing(|| format!("become user {}", user.uid()))
}

/// Enters the working directory; `Ok(false)` when only the user itself may, who has to try again.
///
/// # Errors
/// It is not there, or it is not inside the container.
pub fn enter_cwd(process: &Process) -> Result<bool> {
    let cwd = process.cwd();
    let doing = || format!("chdir to cwd ({:?}) set in config.json failed", cwd.display().to_string());
    match chdir(cwd) {
        Err(refused) if refused.is(EACCES) || refused.is(EPERM) => return Ok(false),
        entered => entered.doing(doing)?,
    }
    match getcwd() {
        Err(outside) if outside.is(ENOENT) => Err(Error::forbidden(
            "current working directory is outside of container mount namespace root -- possible container breakout attempt",
        )
        .during(doing())),
        // A filter that is loaded already may forbid asking; then it was asked before.
        Err(refused) if refused.is(EPERM) || refused.is(ENOSYS) => Ok(true),
        asked => asked.doing(doing).map(|()| true),
    }
}

/// The environment: repeated variables collapse, the last one wins, and `HOME` is there.
///
/// # Errors
/// A `/etc/passwd` that is no regular file.
pub fn environment(process: &Process, root: BorrowedFd<'_>) -> Result<Vec<(String, String)>> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for text in process.env().iter().flatten() {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::invalid(format!("invalid environment variable {text:?}: missing '='")));
        };
        if name.is_empty() {
            return Err(Error::invalid(format!("invalid environment variable {text:?}: name cannot be empty")));
        }
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_string(),
            None => variables.push((name.to_string(), value.to_string())),
        }
    }
    let home = variables.iter().position(|(name, _)| name == "HOME");
    if home.is_none_or(|at| variables[at].1.is_empty()) {
        let value = home_of(process.user().uid(), root)?;
        match home {
            Some(at) => variables[at].1 = value,
            None => variables.push(("HOME".into(), value)),
        }
    }
    Ok(variables)
}

fn home_of(uid: u32, root: BorrowedFd<'_>) -> Result<String> {
    let doing = || "read the container's /etc/passwd";
    let file = match files::openat2(root, "etc/passwd", Open::Read, Resolve::InRoot) {
        Err(_) => return Ok("/".into()),
        Ok(file) => file,
    };
    let facts = files::fstat(&file).doing(doing)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
        return Err(Error::invalid("it is not a regular file").during(doing()));
    }
    let mut text = Vec::new();
    File::from(file).take(PASSWD_LIMIT).read_to_end(&mut text).doing(doing)?;
    Ok(home_in(&String::from_utf8_lossy(&text), uid).unwrap_or_else(|| "/".into()))
}

fn home_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.nth(2)?.parse() == Ok(uid)).then(|| fields.nth(2).unwrap_or_default().to_string())
    })
}

/// The streams belong to the user, or it could not reopen them; nobody's loss if the kernel refuses.
///
/// # Errors
/// What fchown(2) says beyond the refusals that are to be expected.
pub fn own_stdio(user: &User) -> Result<()> {
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [input.as_fd(), output.as_fd(), errors.as_fd()] {
        let facts = files::fstat(stream).doing(|| "look at the standard streams")?;
        // The null device is everybody's: its owner on the host must not change (runc issue 3674).
        if facts.st_rdev == NULL_DEVICE || facts.st_uid == user.uid() {
            continue;
        }
        match files::fchown(stream, user.uid(), facts.st_gid) {
            Err(refused) if [EPERM, EINVAL, EROFS].iter().any(|errno| refused.is(*errno)) => {}
            owned => owned.doing(|| "give the standard streams to the user")?,
        }
    }
    Ok(())
}

/// Finds the program by the container's PATH, with the rights we have now.
///
/// # Errors
/// In the words that Docker's clients look for: `exec: "x": executable file not found in $PATH`.
pub fn find_program(process: &Process, variables: &[(String, String)]) -> Result<CString> {
    let name = process.args().as_deref().and_then(|args| args.first()).map(String::as_str).unwrap_or_default();
    let path = variables.iter().find(|(known, _)| known == "PATH").map(|(_, value)| value.as_str()).unwrap_or_default();
    exec::find_in_path(name, path).map_err(|why| match why {
        NotFound::NotInPath => Error::not_found(format!("exec: {name:?}: executable file not found in $PATH")),
        NotFound::AtPath(errno) => {
            Error::not_found(format!("exec: {name:?}: stat {name}: {}", minidock_linux::errno::words(errno)))
        }
        NotFound::NotExecutable => Error::forbidden(format!("exec: {name:?}: permission denied")),
        NotFound::IsFolder => Error::forbidden(format!("exec: {name:?}: is a directory: permission denied")),
    })
}

/// Words as the kernel takes them.
///
/// # Errors
/// A word with a NUL in it.
pub fn c_strings<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Vec<CString>> {
    let word = |word: &str| CString::new(word).map_err(|_| Error::invalid(format!("{word:?} contains a NUL byte")));
    words.into_iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::fd::OwnedFd};

    fn process(env: &[&str]) -> Process {
        let text = serde_json::json!({"cwd": "/", "args": ["true"], "user": {"uid": 7, "gid": 0}, "env": env});
        serde_json::from_value(text).expect("a process")
    }

    #[test]
    fn the_last_variable_wins_and_home_comes_from_the_image() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("etc")).expect("room");
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\ngo:x:7:7::/home/go:/bin/sh\n").expect("room");
        let folder = OwnedFd::from(File::open(root.path()).expect("just made"));
        let variables = environment(&process(&["A=1", "B=2", "A=3", "HOME="]), folder.as_fd()).expect("well formed");
        let pairs: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["A=3", "B=2", "HOME=/home/go"]);
        assert!(environment(&process(&["nonsense"]), folder.as_fd()).is_err());
    }

    #[test]
    fn a_passwd_that_is_a_fifo_is_refused_at_once() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("etc")).expect("room");
        minidock_linux::fifo::mkfifo(&root.path().join("etc/passwd")).expect("room");
        let folder = OwnedFd::from(File::open(root.path()).expect("just made"));
        let refused = environment(&process(&[]), folder.as_fd()).expect_err("a FIFO");
        assert!(refused.message().contains("not a regular file"), "{refused}");
    }
}
