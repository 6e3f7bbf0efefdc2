//! # Signals: names, numbers, and reading them like a file
//!
//! A signal handler runs between any two instructions, so almost nothing may be done in one. minidock has a single one,
//! which ends the process ([`end_by`]); else a process *blocks* the signals it cares about and reads them from a descriptor
//! ([`descriptor`]), in the same poll loop as everything else. And it sends them to a *pidfd* where it can, for a pid may
//! meanwhile belong to somebody else.
//!
//! * [`parse`] understands what people type: `9`, `KILL`, `SIGKILL`, `sigrtmin+3`; [`name`] prints it.
//! * [`block`] gives back the old mask; children started by `std::process::Command` begin with an empty mask, while
//!   *ignored* signals would stay ignored across `execve`: this is why the shim blocks and never ignores.
//!
//! Laws: a pid of zero or below never reaches kill(2): it would mean "everybody". See: signal(7), signalfd(2),
//! pidfd_send_signal(2). Next room: [`crate::wait`]

use crate::{action::call, errno::CallFailed};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

macro_rules! signals {
    ($($n:ident)*) => { &[$((libc::$n, stringify!($n))),*] };
}

/// Number and name, first the name that is printed.
const NAMES: &[(i32, &str)] = signals!(
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT
    SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS SIGIOT
    SIGPOLL
);

/// The first real-time signal a program may use: glibc keeps 32 and 33 for itself, and Docker counts as glibc does.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of a signal as typed: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`.
pub fn parse(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
    let number = match (short.strip_prefix("RTMIN"), short.strip_prefix("RTMAX"), short) {
        (Some(rest), _, _) => RTMIN + offset(rest)?,
        (_, Some(rest), _) => RTMAX + offset(rest)?,
        (_, _, "CLD") => libc::SIGCHLD,
        _ => NAMES.iter().find(|(_, name)| &name[3..] == short).map(|(number, _)| *number)?,
    };
    (1..=RTMAX).contains(&number).then_some(number)
}

/// `SIGTERM`; `SIGRTMIN+2` for the real-time ones; `signal 99` for a number that is none.
pub fn name(number: i32) -> String {
    match NAMES.iter().find(|(n, _)| *n == number) {
        Some((_, name)) => (*name).to_string(),
        None if number == RTMIN => "SIGRTMIN".into(),
        None if (RTMIN..=RTMAX).contains(&number) => format!("SIGRTMIN+{}", number - RTMIN),
        None => format!("signal {number}"),
    }
}

/// Sends a signal to one process. See: kill(2).
///
/// # Errors
/// ESRCH when there is no such process, or `pid` is not above zero.
#[track_caller]
pub fn kill(pid: i32, signal: i32) -> Result<(), CallFailed> {
    call(
        "kill",
        || vec![pid.to_string(), name(signal)],
        || match pid {
            ..=0 => Err(std::io::Error::from_raw_os_error(libc::ESRCH)),
            // SAFETY: two integers, no memory; the pid is positive, so exactly one process is meant.
            _ => match unsafe { libc::kill(pid, signal) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        },
    )
}

/// Whether a process with this number exists (signal 0); it may be a zombie, or by now somebody else.
pub fn exists(pid: i32) -> bool {
    // SAFETY: two integers, no memory; signal 0 delivers nothing.
    pid > 0 && (unsafe { libc::kill(pid, 0) } == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

/// Sends a signal to exactly the process that a pidfd stands for. See: pidfd_send_signal(2).
#[track_caller]
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> Result<(), CallFailed> {
    let pidfd = pidfd.as_fd();
    call(
        "pidfd_send_signal",
        || vec![pidfd.as_raw_fd().to_string(), name(signal), "NULL".into(), "0".into()],
        // SAFETY: the descriptor is borrowed for the call; the null pointer means "as kill(2) would fill it".
        || match unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0u32)
        } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    )
}

/// A set of signals as the kernel counts them.
pub struct Mask(libc::sigset_t);

impl Mask {
    /// Exactly these signals.
    pub fn of(signals: &[i32]) -> Mask {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset fills the whole set it is given a pointer to, so it is initialised afterwards.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in signals {
            // SAFETY: the set is initialised; a number that is no signal is EINVAL and changes nothing.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        Mask(set)
    }

    /// Every signal (KILL and STOP cannot be blocked and are passed over by the kernel).
    pub fn all() -> Mask {
        Mask::of(&(1..=RTMAX).collect::<Vec<_>>())
    }
}

/// Blocks these signals for this thread beside those blocked already; gives back the mask that was.
#[track_caller]
pub fn block(mask: &Mask) -> Result<Mask, CallFailed> {
    set_mask("SIG_BLOCK", libc::SIG_BLOCK, mask)
}

/// Sets exactly this mask for this thread; gives back the one that was.
#[track_caller]
pub fn set(mask: &Mask) -> Result<Mask, CallFailed> {
    set_mask("SIG_SETMASK", libc::SIG_SETMASK, mask)
}

#[track_caller]
fn set_mask(shown: &'static str, how: i32, mask: &Mask) -> Result<Mask, CallFailed> {
    let mut before = Mask::of(&[]);
    call(
        "rt_sigprocmask",
        || vec![shown.into(), "set".into(), "old".into()],
        // SAFETY: both pointers are to initialised sets that live through the call.
        || match unsafe { libc::pthread_sigmask(how, &raw const mask.0, &raw mut before.0) } {
            0 => Ok(()),
            errno => Err(std::io::Error::from_raw_os_error(errno)),
        },
    )?;
    Ok(before)
}

/// Sets every signal back to its default action: what `execve` does not do for those that are ignored.
#[track_caller]
pub fn defaults() -> Result<(), CallFailed> {
    call(
        "rt_sigaction",
        || vec!["all".into(), "SIG_DFL".into()],
        || {
            for signal in 1..=RTMAX {
                // SAFETY: SIG_DFL is a valid disposition for every signal; KILL and STOP answer EINVAL.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            // libc keeps two signals for itself and refuses to touch them, but its posix_spawn leaves them ignored
            let by_default = [0u64; 4];
            for own in [32, 33] {
                // SAFETY: the kernel's sigaction is four words here (handler, flags, restorer, mask of 8 bytes), all zero:
                // SIG_DFL; nothing is written back.
                unsafe { libc::syscall(libc::SYS_rt_sigaction, own, by_default.as_ptr(), std::ptr::null::<u64>(), 8) };
            }
            Ok::<_, std::io::Error>(())
        },
    )
}

/// From now on these signals end the process at once, with a shell's status: 128 and the number. That is what they do to anybody
/// but the first process of a pid namespace, whom the kernel spares what it has not asked for. `execve` sets them back.
#[track_caller]
pub fn end_by(signals: &[i32]) -> Result<(), CallFailed> {
    extern "C" fn end(number: libc::c_int) {
        // SAFETY: one integer; _exit is among the few calls that a handler may make.
        unsafe { libc::_exit(128 + number) }
    }
    call(
        "rt_sigaction",
        || vec![signals.iter().map(|number| name(*number)).collect::<Vec<_>>().join(" "), "exit at once".into()],
        || {
            for number in signals {
                // SAFETY: the handler takes a signal's number as promised, lives as long as the program, and returns to nobody.
                if unsafe { libc::signal(*number, end as *const () as libc::sighandler_t) } == libc::SIG_ERR {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        },
    )
}

/// Children that end leave nothing to wait for (`true`), or a status for their parent as usual (`false`).
/// See: sigaction(2), SA_NOCLDWAIT.
#[track_caller]
pub fn forget_children(forget: bool) -> Result<(), CallFailed> {
    let (shown, how) = if forget { ("SIG_IGN", libc::SIG_IGN) } else { ("SIG_DFL", libc::SIG_DFL) };
    call(
        "rt_sigaction",
        || vec!["SIGCHLD".into(), shown.into()],
        // SAFETY: both are valid dispositions of SIGCHLD, and neither is a function of ours.
        || match unsafe { libc::signal(libc::SIGCHLD, how) } {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        },
    )
}

/// A descriptor that becomes readable when one of these (blocked) signals arrives; it never blocks. See: signalfd(2).
#[track_caller]
pub fn descriptor(mask: &Mask) -> Result<OwnedFd, CallFailed> {
    call(
        "signalfd4",
        || vec!["-1".into(), "set".into(), "SFD_CLOEXEC|SFD_NONBLOCK".into()],
        // SAFETY: the set is initialised and lives through the call; -1 asks for a new descriptor.
        || match unsafe { libc::signalfd(-1, &raw const mask.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) } {
            -1 => Err(std::io::Error::last_os_error()),
            // SAFETY: the kernel just made this descriptor, nobody else owns it.
            fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        },
    )
}

/// The next signal that waits in a [`descriptor`]; none when there is none. Part of every poll loop, so not recorded.
pub fn next(descriptor: &OwnedFd) -> Option<i32> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut info) {
        Ok(n) if n == info.len() => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_understood_as_people_type_them() {
        for text in ["9", "KILL", "kill", "SIGKILL", "sigKill"] {
            assert_eq!(parse(text), Some(libc::SIGKILL), "{text}");
        }
        assert_eq!((parse("RTMIN"), parse("SIGRTMIN+3"), parse("RTMAX-1")), (Some(34), Some(37), Some(63)));
        assert!(["", "SIG", "0", "65", "-9", "KILLER", "RTMIN+99", "RTMINx"].iter().all(|text| parse(text).is_none()));
        assert_eq!((name(15), name(36), name(6)), ("SIGTERM".into(), "SIGRTMIN+2".into(), "SIGABRT".into()));
    }

    #[test]
    fn zero_never_means_everybody() {
        assert!(kill(0, libc::SIGTERM).unwrap_err().is(libc::ESRCH));
        assert!(kill(-1, libc::SIGTERM).unwrap_err().is(libc::ESRCH));
    }

    #[test]
    fn a_blocked_signal_is_read_like_a_file() {
        let mask = Mask::of(&[libc::SIGUSR2]);
        let before = block(&mask).expect("a valid mask");
        let descriptor = descriptor(&mask).expect("a descriptor");
        assert_eq!(next(&descriptor), None);
        // SAFETY: the signal is blocked in this thread and sent to this thread only.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
        assert_eq!(next(&descriptor), Some(libc::SIGUSR2));
        set(&before).expect("the mask that was");
    }
}
