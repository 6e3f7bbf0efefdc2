//! # Seccomp: loading a filter
//!
//! A filter is a small program in classic BPF that the kernel runs before every system call of a process and of all its
//! children. It sees the number, the architecture and the six arguments, nothing behind pointers, and answers with an action:
//! allow, an errno, a signal, death. It can be added to, never taken off.
//!
//! ```text
//!   struct seccomp_data       offset 0  nr             the number
//!                                    4  arch           AUDIT_ARCH_*: the same number means another call elsewhere
//!                                    8  instruction_pointer
//!                                   16  args[6]        64 bits each; BPF loads 32 at a time
//! ```
//!
//! This room only loads; what to load is written by `runtime::seccomp`. The caller needs no_new_privs set, or CAP_SYS_ADMIN
//! in its user namespace: else a filter could lie to a setuid program about what its calls returned.
//!
//! See: seccomp(2), seccomp_unotify(2). Next room: [`crate::device_filter`]

use crate::{action, errno::CallFailed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One classic BPF instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// How many instructions to skip when a comparison is true.
    pub if_true: u8,
    /// … and when it is false.
    pub if_false: u8,
    pub operand: u32,
}

/// A filter program with the flags to load it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
}

/// The kernel's limit on one program.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Installs the filter for the calling thread. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` the answer is the descriptor on
/// which the calls to be judged arrive (close-on-exec).
///
/// # Errors
/// `EACCES` without no_new_privs and without CAP_SYS_ADMIN; `EINVAL` for a bad program or unknown flags; `EBUSY` when a
/// filter with a listener is there already.
#[track_caller]
pub fn load(filter: &Filter) -> Result<Option<OwnedFd>, CallFailed> {
    let args = || {
        let flags = filter.flags;
        vec!["SECCOMP_SET_MODE_FILTER".into(), format!("{flags:#x}"), format!("{} instructions", filter.program.len())]
    };
    if filter.program.is_empty() || filter.program.len() > MAX_INSTRUCTIONS {
        return Err(CallFailed::new("seccomp", args(), libc::EINVAL));
    }
    let native: Vec<libc::sock_filter> = filter
        .program
        .iter()
        .map(|line| libc::sock_filter { code: line.code, jt: line.if_true, jf: line.if_false, k: line.operand })
        .collect();
    let program = libc::sock_fprog { len: native.len() as u16, filter: native.as_ptr().cast_mut() };
    let answer = action::call_showing(
        "seccomp",
        args,
        || {
            // SAFETY: `program` and the instructions it points to live until the call returns, `len` is their true number
            // (checked to fit above), and the kernel copies them without writing.
            match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, filter.flags, &program) } {
                -1 => Err(std::io::Error::last_os_error()),
                answer => Ok(answer),
            }
        },
        |answer| *answer,
    )?;
    if filter.flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER the kernel has just opened this descriptor for us, and nobody else knows of it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(answer as i32) }))
}

/// Whether this kernel knows the action (`SECCOMP_RET_*`).
pub fn action_available(action: u32) -> bool {
    // SAFETY: the kernel reads one u32 from the pointer, which lives until the call returns.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 }
}

/// Takes a descriptor out of another process: how a listener made in a container reaches its agent outside.
///
/// # Errors
/// `EPERM` without the right to trace the process; `EBADF` when it has no such descriptor.
#[track_caller]
pub fn pidfd_getfd(pidfd: &OwnedFd, theirs: i32) -> Result<OwnedFd, CallFailed> {
    action::call_showing(
        "pidfd_getfd",
        || vec![pidfd.as_raw_fd().to_string(), theirs.to_string(), "0".into()],
        || {
            // SAFETY: three integers; `pidfd` is borrowed and so stays open during the call.
            match unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), theirs, 0) } {
                -1 => Err(std::io::Error::last_os_error()),
                // SAFETY: the kernel has just installed this descriptor for us, and nobody else knows of it.
                fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
            }
        },
        |fd| fd.as_raw_fd().into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every call with success except getppid (EDOM), in the shortest program that does.
    fn getppid_fails() -> Filter {
        let line = |code, if_true, if_false, operand| Instruction { code, if_true, if_false, operand };
        let program = vec![
            line(0x20, 0, 0, 0),
            line(0x15, 0, 1, libc::SYS_getppid as u32),
            line(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EDOM as u32),
            line(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        Filter { program, flags: 0 }
    }

    #[test]
    fn a_loaded_filter_judges_this_thread_only() {
        let judged = std::thread::spawn(|| {
            crate::caps::no_new_privs().expect("always allowed");
            load(&getppid_fails()).expect("a correct program");
            // SAFETY: getppid takes no arguments.
            let answer = unsafe { libc::syscall(libc::SYS_getppid) };
            (answer, std::io::Error::last_os_error().raw_os_error())
        });
        assert_eq!(judged.join().expect("the thread ends"), (-1, Some(libc::EDOM)));
        // SAFETY: as above.
        assert!(unsafe { libc::syscall(libc::SYS_getppid) } > 0);
    }

    #[test]
    fn a_program_that_falls_off_its_end_is_refused() {
        let refused = std::thread::spawn(|| {
            crate::caps::no_new_privs().expect("always allowed");
            load(&Filter { program: getppid_fails().program[..2].to_vec(), flags: 0 })
        });
        assert!(refused.join().expect("the thread ends").expect_err("no return at the end").is(libc::EINVAL));
        assert!(load(&Filter::default()).expect_err("empty").is(libc::EINVAL));
        assert!(action_available(libc::SECCOMP_RET_LOG));
    }
}
