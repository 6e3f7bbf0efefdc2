//! # Limits: what one process may use, and how the kernel weighs it
//!
//! Cgroups limit a *group*; this room has what a single process carries with it across `execve`: resource limits, its
//! place in the queue when memory runs out, scheduling, priority of its reads and writes, personality, umask.
//!
//! Laws: a hard limit can be lowered by anybody and raised only with CAP_SYS_RESOURCE; the same goes for an oom score
//! below the lowest one ever set.
//! See: prlimit(2), proc_pid_oom_score_adj(5), sched_setattr(2), ioprio_set(2), personality(2). Next room: [`crate::cgroup`]

use crate::{action::call, errno::CallFailed};
use std::sync::OnceLock;

/// The names of the spec and the kernel's numbers.
const RESOURCES: [(&str, u32); 16] = [
    ("RLIMIT_CPU", libc::RLIMIT_CPU),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE),
    ("RLIMIT_DATA", libc::RLIMIT_DATA),
    ("RLIMIT_STACK", libc::RLIMIT_STACK),
    ("RLIMIT_CORE", libc::RLIMIT_CORE),
    ("RLIMIT_RSS", libc::RLIMIT_RSS),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
    ("RLIMIT_AS", libc::RLIMIT_AS),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", libc::RLIMIT_NICE),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME),
];

/// The kernel's number of a resource: `RLIMIT_NOFILE` → 7.
pub fn resource(name: &str) -> Option<u32> {
    RESOURCES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Sets both limits of one resource of the calling process.
///
/// # Errors
/// EPERM for raising the hard limit without CAP_SYS_RESOURCE; EINVAL when soft is above hard.
#[track_caller]
pub fn setrlimit(name: &str, soft: u64, hard: u64) -> Result<(), CallFailed> {
    call(
        "prlimit64",
        || vec!["0".into(), name.to_string(), format!("{{rlim_cur={soft}, rlim_max={hard}}}"), "NULL".into()],
        || {
            let number = resource(name).ok_or_else(|| std::io::Error::from_raw_os_error(libc::EINVAL))?;
            let wanted = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
            // SAFETY: `wanted` lives through the call, and a null pointer means that the old limits are not wanted.
            match unsafe { libc::prlimit64(0, number, &raw const wanted, std::ptr::null_mut()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

/// Both limits of one resource of the calling process: (soft, hard).
///
/// # Errors
/// EINVAL for a name that is none.
#[track_caller]
pub fn getrlimit(name: &str) -> Result<(u64, u64), CallFailed> {
    call(
        "prlimit64",
        || vec!["0".into(), name.to_string(), "NULL".into(), "old".into()],
        || {
            let number = resource(name).ok_or_else(|| std::io::Error::from_raw_os_error(libc::EINVAL))?;
            let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `old` lives through the call, and a null pointer means that no limit is to be set.
            match unsafe { libc::prlimit64(0, number, std::ptr::null(), &raw mut old) } {
                0 => Ok((old.rlim_cur, old.rlim_max)),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

static FILES_BEFORE: OnceLock<u64> = OnceLock::new();

/// Lets this process open as many files as its hard limit allows: a daemon holds several for each container, and the usual soft
/// limit of 1,024 is meant for programs that use select(2). What is executed later inherits the limit; [`files_before`] is for
/// giving it the old one back.
///
/// # Errors
/// None is expected: the hard limit is not touched.
#[track_caller]
pub fn raise_files() -> Result<(), CallFailed> {
    let (soft, hard) = getrlimit("RLIMIT_NOFILE")?;
    let wanted = hard.min(1 << 20);
    if soft < wanted {
        setrlimit("RLIMIT_NOFILE", wanted, hard)?;
        let _ = FILES_BEFORE.set(soft);
    }
    Ok(())
}

/// The soft limit of open files before [`raise_files`], if that changed it.
pub fn files_before() -> Option<u64> {
    FILES_BEFORE.get().copied()
}

/// The scheduling of one process: sched_setattr(2)'s form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduling {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// Schedules the calling thread so.
///
/// # Errors
/// EPERM for a real-time policy without CAP_SYS_NICE; EINVAL for a form that makes no sense.
#[track_caller]
pub fn sched_setattr(wanted: &Scheduling) -> Result<(), CallFailed> {
    #[repr(C)]
    struct Form {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    call(
        "sched_setattr",
        || vec!["0".into(), format!("{wanted:?}"), "0".into()],
        || {
            let form = Form {
                size: std::mem::size_of::<Form>() as u32,
                policy: wanted.policy,
                flags: wanted.flags,
                nice: wanted.nice,
                priority: wanted.priority,
                runtime: wanted.runtime,
                deadline: wanted.deadline,
                period: wanted.period,
            };
            // SAFETY: the form carries its own size, is laid out as sched_attr's first version, and outlives the call.
            match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const form, 0) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

/// Sets the class (1 real time, 2 best effort, 3 idle) and level (0–7) of the calling process's input and output.
///
/// # Errors
/// EPERM for the real-time class without CAP_SYS_ADMIN; EINVAL for a class or level that there is not.
#[track_caller]
pub fn ioprio_set(class: u32, level: u32) -> Result<(), CallFailed> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    call(
        "ioprio_set",
        || vec!["IOPRIO_WHO_PROCESS".into(), "0".into(), format!("{class}<<13|{level}")],
        // SAFETY: three integers, no memory.
        || match unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, class << 13 | level) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    )
}

/// Sets the execution domain: 0 is Linux, 8 a 32-bit machine.
///
/// # Errors
/// EINVAL.
#[track_caller]
pub fn personality(domain: u32) -> Result<(), CallFailed> {
    call(
        "personality",
        || vec![format!("{domain:#x}")],
        // SAFETY: an integer; it changes how later calls of this process behave, not its memory.
        || match unsafe { libc::personality(domain as libc::c_ulong) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        },
    )
}

/// Which permission bits new files of this process never get.
pub fn umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask & 0o777));
}

/// Lets the calling thread run on these processors only: `0-3,7`.
///
/// # Errors
/// EINVAL when none of them is there, or the text is not a list.
#[track_caller]
pub fn sched_setaffinity(list: &str) -> Result<(), CallFailed> {
    call(
        "sched_setaffinity",
        || vec!["0".into(), list.to_string()],
        || {
            let bad = || std::io::Error::from_raw_os_error(libc::EINVAL);
            let mut wanted = rustix::thread::CpuSet::new();
            for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last): (usize, usize) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
                if first > last || last >= rustix::thread::CpuSet::MAX_CPU {
                    return Err(bad());
                }
                (first..=last).for_each(|cpu| wanted.set(cpu));
            }
            Ok(rustix::thread::sched_setaffinity(None, &wanted)?)
        },
    )
}

/// The first sixty-four processors that the calling thread may run on, as bits.
///
/// # Errors
/// None that a kernel of this century gives.
pub fn processors() -> std::io::Result<u64> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..64).filter(|cpu| set.is_set(*cpu)).fold(0, |mask, cpu| mask | 1 << cpu))
}

/// From which memory nodes the calling thread and its children get their pages: a mode with its flags, and a mask of nodes.
///
/// # Errors
/// EINVAL for a node that is not there, or a mode that wants other nodes; ENOSYS on a kernel without NUMA.
#[track_caller]
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<(), CallFailed> {
    call(
        "set_mempolicy",
        || vec![format!("{mode:#x}"), format!("{nodes:x?}"), (nodes.len() * 64).to_string()],
        || {
            // the kernel's count is of bits, and one more than it reads
            let (mask, bits) = match nodes {
                [] => (std::ptr::null(), 0),
                nodes => (nodes.as_ptr(), nodes.len() * 64 + 1),
            };
            // SAFETY: `mask` is null or points at `bits - 1` bits that live through the call; the kernel only reads them.
            match unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) } {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            }
        },
    )
}

/// Whether other processes of the same user may trace this one and open its files below `/proc`: a process on its way
/// into a container must not be touched by those inside before it is one of them (CVE-2016-9962).
///
/// # Errors
/// None that a kernel of this century gives.
#[track_caller]
pub fn set_dumpable(dumpable: bool) -> Result<(), CallFailed> {
    use rustix::process::DumpableBehavior;
    let wanted = if dumpable { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    call(
        "prctl",
        || vec!["PR_SET_DUMPABLE".into(), u8::from(dumpable).to_string()],
        || rustix::process::set_dumpable_behavior(wanted),
    )
}

/// Gives the calling process a session keyring of its own, so that it cannot read the keys of whoever started it.
///
/// # Errors
/// ENOSYS on a kernel without keys; EDQUOT at the user's quota of keys.
#[track_caller]
pub fn join_session_keyring(name: &str) -> Result<(), CallFailed> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    call(
        "keyctl",
        || vec!["KEYCTL_JOIN_SESSION_KEYRING".into(), crate::action::quoted(name)],
        || {
            let name = std::ffi::CString::new(name).map_err(|_| std::io::Error::from_raw_os_error(libc::EINVAL))?;
            // SAFETY: an integer and a NUL-terminated string that lives through the call.
            match unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) } {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_the_name_in_the_spec() {
        assert_eq!(resource("RLIMIT_NOFILE"), Some(7));
        setrlimit("RLIMIT_CORE", 0, 0).expect("lowering is always allowed");
        assert!(setrlimit("RLIMIT_NOSUCH", 0, 0).is_err_and(|e| e.is(libc::EINVAL)));
        let (soft, hard) = getrlimit("RLIMIT_NOFILE").expect("a known name");
        assert!(soft > 0 && soft <= hard);
        assert!(setrlimit("RLIMIT_NOFILE", 9, 3).is_err_and(|e| e.is(libc::EINVAL)));
    }
}
