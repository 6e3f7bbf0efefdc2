//! # Clone: where a container begins
//!
//! `clone3` is `fork` with a form to fill in. One call makes a child that already stands behind new walls: its own pids,
//! mounts, network. Parent and child then go on from the same line of the same program, each with its own copy of memory.
//!
//! ```text
//!   runtime ──clone3(CLONE_NEWPID|CLONE_NEWNS|…)──┬── parent: [`Cloned::Parent`], the pid and a pidfd
//!                                                 └── child:  [`Cloned::Child`], pid 1 in there
//! ```
//!
//! * There is no stack in the form, so the child uses a copy of the parent's, as after `fork`.
//! * The *pidfd* names the child for good; a pid can be used again for another process, a pidfd cannot.
//! * On cgroup v2 the child can be born inside its cgroup (`CLONE_INTO_CGROUP`): no moment outside, no moving.
//!
//! Laws: **one thread.** A second thread could hold the allocator's lock at this moment; in the child nobody would ever
//! give it back. So [`clone3`] counts the threads first and refuses if there is more than one. With one thread the child
//! may do whatever it likes.
//! See: clone(2), rust-lang/rust #130756, containerd/runwasi #357. Next room: [`crate::exec`]

use crate::{action, errno::CallFailed, namespaces::Set};
use std::{
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    os::unix::fs::MetadataExt,
};

/// `libc` has this constant as a 32-bit integer, where it overflows to 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child should be.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// New namespaces.
    pub namespaces: Set,
    /// A cgroup v2 folder to be born in.
    pub into_cgroup: Option<BorrowedFd<'a>>,
    /// Become a sibling of the caller instead of its child (`CLONE_PARENT`).
    pub sibling: bool,
}

/// Who we are after the call.
#[derive(Debug)]
pub enum Cloned {
    Child,
    Parent {
        /// The child's pid as seen by the caller.
        pid: i32,
        pidfd: OwnedFd,
    },
}

/// Makes a child as requested. It inherits memory, descriptors, working directory; the recording of actions goes on in
/// the parent only (a child that wants to record calls [`action::start`] again).
///
/// # Errors
/// EDEADLK when the caller has more than one thread; EPERM without CAP_SYS_ADMIN for what `namespaces` asks; EAGAIN at a
/// limit of processes; EUSERS/ENOSPC at a limit of namespaces.
#[track_caller]
pub fn clone3(request: Request<'_>) -> Result<Cloned, CallFailed> {
    action::call_showing(
        "clone3",
        || vec![shown(&request)],
        || {
            if threads()? != 1 {
                return Err(std::io::Error::from_raw_os_error(libc::EDEADLK));
            }
            raw(&request)
        },
        |cloned| match cloned {
            Cloned::Child => 0,
            Cloned::Parent { pid, .. } => *pid as i64,
        },
    )
}

/// As fork(2): a child that goes on as something else, with this program's own code. `words` says as what, for who reads the
/// recording. See [`clone3`].
///
/// # Errors
/// EDEADLK when the caller has more than one thread; EAGAIN at a limit of processes.
#[track_caller]
pub fn fork(words: impl FnOnce() -> String) -> Result<Cloned, CallFailed> {
    action::call_showing(
        "fork",
        || vec![words()],
        || {
            if threads()? != 1 {
                return Err(std::io::Error::from_raw_os_error(libc::EDEADLK));
            }
            raw(&Request::default())
        },
        |cloned| match cloned {
            Cloned::Child => 0,
            Cloned::Parent { pid, .. } => *pid as i64,
        },
    )
}

fn raw(request: &Request<'_>) -> std::io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero clone_args is the documented "nothing asked" value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = request.namespaces.bits() | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if request.sibling {
        args.flags |= libc::CLONE_PARENT as u64;
        args.exit_signal = 0;
    }
    if let Some(cgroup) = request.into_cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` and `pidfd` outlive the call and are of the size given. No stack is passed and CLONE_VM is not set,
    // so the child runs on its own copy of everything; the caller has one thread, so no lock is held by a vanished one.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, std::mem::size_of::<libc::clone_args>()) };
    match answer {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        // SAFETY: the kernel has just opened this descriptor for us (CLONE_PIDFD) and nobody else knows it.
        pid => Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// How many threads this process has: the kernel counts them in the link count of its `task` folder.
pub fn threads() -> std::io::Result<u64> {
    match std::fs::metadata("/proc/self/task") {
        Ok(folder) => Ok(folder.nlink().saturating_sub(2)),
        Err(_) => Ok(1),
    }
}

fn shown(request: &Request<'_>) -> String {
    let mut text = format!("{{flags={}|CLONE_PIDFD", request.namespaces);
    if request.sibling {
        text.push_str("|CLONE_PARENT");
    }
    if request.into_cgroup.is_some() {
        text.push_str("|CLONE_INTO_CGROUP");
    }
    text.push_str(", exit_signal=");
    text.push_str(if request.sibling { "0}" } else { "SIGCHLD}" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clone_refuses_a_process_with_two_threads() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().is_ok());
        assert!(threads().expect("/proc is there") > 1);
        let refused = clone3(Request::default());
        drop(stop);
        other.join().expect("it only waits");
        assert!(refused.is_err_and(|e| e.is(libc::EDEADLK)));
    }
}
