//! # Waiting: how a process ended, told once and only to its parent
//!
//! The kernel keeps a dead process as a zombie until its parent asks; then the answer is gone. Whoever asks must be the
//! parent, or a *subreaper* to whom orphans fall, and must keep what it heard.
//!
//! ```text
//!  runtime ─clone─► init        runtime exits: init is an orphan
//!     ▲                            └──► falls to the nearest ancestor with PR_SET_CHILD_SUBREAPER: the shim
//!  shim ── child_subreaper(), then SIGCHLD ► wait_any() ► Ended { pid, how }
//! ```
//!
//! * [`How`] keeps exit and signal apart; [`How::docker_code`] folds them into one number as shells and Docker do: 128 + n.
//! * [`pidfd_open`] names a process so that the name cannot be reused; it becomes readable when the process ends.
//!
//! See: waitpid(2), pidfd_open(2), prctl(2) PR_SET_CHILD_SUBREAPER. Next room: [`crate::poll`]

use crate::{
    action::{call, call_showing},
    errno::CallFailed,
};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};
use std::os::fd::{AsRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl How {
    /// One number, as shells and Docker count: the status, or 128 + signal.
    pub fn docker_code(self) -> i32 {
        match self {
            How::Exited(status) => status,
            How::Killed(signal) => 128 + signal,
        }
    }
}

/// A process that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub pid: i32,
    pub how: How,
}

/// A descriptor for exactly this process. See: pidfd_open(2).
///
/// # Errors
/// ESRCH when there is none.
#[track_caller]
pub fn pidfd_open(pid: i32) -> Result<OwnedFd, CallFailed> {
    call_showing(
        "pidfd_open",
        || vec![pid.to_string(), "0".into()],
        || match Pid::from_raw(pid).filter(|_| pid > 0) {
            Some(pid) => rustix::process::pidfd_open(pid, PidfdFlags::empty()),
            None => Err(rustix::io::Errno::SRCH),
        },
        |fd| fd.as_raw_fd() as i64,
    )
}

/// Waits until this child has ended, and reaps it.
///
/// # Errors
/// ECHILD when it is not (any longer) a child of this process.
#[track_caller]
pub fn wait(pid: i32) -> Result<How, CallFailed> {
    let how = |status: WaitStatus| how(status).unwrap_or(How::Exited(0));
    call_showing(
        "wait4",
        || vec![pid.to_string(), "&status".into(), "0".into(), "NULL".into()],
        || loop {
            let Some(child) = Pid::from_raw(pid).filter(|_| pid > 0) else { break Err(rustix::io::Errno::CHILD) };
            match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
                Ok(Some((_, status))) => break Ok(how(status)),
                Ok(None) | Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => break Err(errno),
            }
        },
        |how| how.docker_code() as i64,
    )
}

/// Reaps any child that has ended, without waiting: none when all are alive or there are none. Part of the shim's poll
/// loop, so not recorded.
pub fn wait_any() -> Option<Ended> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => match how(status) {
                Some(how) => return Some(Ended { pid: pid.as_raw_nonzero().get(), how }),
                None => continue, // stopped or continued: not an end
            },
            Err(rustix::io::Errno::INTR) => continue,
            _ => return None,
        }
    }
}

fn how(status: WaitStatus) -> Option<How> {
    status.exit_status().map(How::Exited).or(status.terminating_signal().map(How::Killed))
}

/// From now on orphaned descendants fall to this process. See: PR_SET_CHILD_SUBREAPER(2const).
#[track_caller]
pub fn child_subreaper() -> Result<(), CallFailed> {
    call(
        "prctl",
        || vec!["PR_SET_CHILD_SUBREAPER".into(), "1".into()],
        || {
            // the argument is a flag in disguise: any pid means "yes"
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        },
    )
}

/// Leaves the session and terminal of whoever started this process, and becomes a leader of a new one. See: setsid(2).
///
/// # Errors
/// EPERM when it is a group leader already (a shell's direct child often is): then it has its own group anyway.
#[track_caller]
pub fn setsid() -> Result<(), CallFailed> {
    call("setsid", Vec::new, || rustix::process::setsid().map(drop))
}

/// The kernel sends `signal` to this process when its parent dies. See: PR_SET_PDEATHSIG(2const).
#[track_caller]
pub fn parent_death_signal(signal: i32) -> Result<(), CallFailed> {
    call(
        "prctl",
        || vec!["PR_SET_PDEATHSIG".into(), crate::signal::name(signal)],
        // SAFETY: PR_SET_PDEATHSIG takes an integer and touches no memory.
        || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    #[allow(clippy::zombie_processes)] // waited for by its number: that is what is tried
    fn an_exit_and_a_kill_are_told_apart_and_folded_as_docker_does() {
        let spawn = |script: &str| {
            let child = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).spawn().expect("a shell");
            child.id() as i32
        };
        let exited = wait(spawn("exit 7")).expect("our child");
        let killed = wait(spawn("kill -9 $$")).expect("our child");
        assert_eq!((exited, exited.docker_code()), (How::Exited(7), 7));
        assert_eq!((killed, killed.docker_code()), (How::Killed(9), 137));
        assert!(wait(1).unwrap_err().is(libc::ECHILD));
        assert!(pidfd_open(0).unwrap_err().is(libc::ESRCH));
    }
}
