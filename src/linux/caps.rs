//! # Capabilities: root's power in 41 pieces
//!
//! Root's privileges are cut into capabilities, and every thread carries *five* sets of them. A container is started
//! with 14 of the 41, and this room is the vocabulary for that: names to bits, and the calls that read and set the sets.
//!
//! ```text
//!   bounding ──────── the ceiling: what execve can ever give again; bits can only be dropped
//!   inheritable ───── with a file's own inheritable set: given on execve (empty in a container: CVE-2022-24769)
//!   permitted ─────── what the thread may switch on
//!     └ effective ─── what counts now
//!   ambient ───────── kept across execve by a process that is not root; must be permitted *and* inheritable
//! ```
//!
//! Leaving uid 0 clears permitted, effective and ambient, unless `PR_SET_KEEPCAPS` was set: then permitted stays (and
//! only that).
//!
//! * [`Set`] is one set, as a 64-bit mask; [`Set::parse`] takes names with or without `CAP_`, in any case.
//! * [`Sets`] is the five together, of this thread or of any process.
//!
//! Laws: names are written `CAP_CHOWN`; `ALL` means what the *caller* has, never a constant, for who lacks a capability
//! cannot pass it on. See: capabilities(7), capget(2), prctl(2). Next room: [`crate::seccomp`]

use crate::{action, errno::CallFailed};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use std::fmt;

/// Names in the order of their numbers (include/uapi/linux/capability.h).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// One set of capabilities: bit n is the capability of number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set(pub u64);

/// The five sets of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub effective: Set,
    pub permitted: Set,
    pub inheritable: Set,
    pub bounding: Set,
    pub ambient: Set,
}

/// The number of a capability by its name, with or without `CAP_`, in any case.
pub fn number(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == short).map(|at| at as u32)
}

/// `CAP_CHOWN` for 0.
pub fn name(number: u32) -> Option<String> {
    NAMES.get(number as usize).map(|short| format!("CAP_{short}"))
}

impl Set {
    pub const EMPTY: Set = Set(0);

    /// A set from names; the first unknown name is given back.
    ///
    /// # Errors
    /// The name that is no capability.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Set, String> {
        let mut set = Set::EMPTY;
        for word in names {
            set.0 |= 1 << number(word).ok_or_else(|| word.to_string())?;
        }
        Ok(set)
    }

    pub fn contains(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// What is in this set and not in the other.
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers in the set, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |number| self.contains(*number))
    }

    /// The names in the set: `CAP_CHOWN`, …
    pub fn names(self) -> Vec<String> {
        self.numbers().map(|number| name(number).unwrap_or_else(|| format!("capability {number}"))).collect()
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.names().join(","))
    }
}

impl Sets {
    /// The sets of this thread, from `/proc/thread-self/status`.
    ///
    /// # Errors
    /// As open(2) and read(2): `/proc` may not be mounted.
    pub fn of_self() -> Result<Sets, CallFailed> {
        let path = "/proc/thread-self/status";
        let text = std::fs::read_to_string(path)
            .map_err(|error| CallFailed::new("read", vec![action::quoted(path)], error.raw_os_error().unwrap_or(libc::EIO)))?;
        Ok(Sets::from_status(&text))
    }

    /// The sets in the text of a `/proc/PID/status`.
    pub fn from_status(text: &str) -> Sets {
        let set = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            Set(line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0))
        };
        Sets {
            effective: set("CapEff:"),
            permitted: set("CapPrm:"),
            inheritable: set("CapInh:"),
            bounding: set("CapBnd:"),
            ambient: set("CapAmb:"),
        }
    }
}

/// The effective, permitted and inheritable set of the calling thread, by the call itself (no `/proc` needed).
///
/// # Errors
/// As capget(2).
#[track_caller]
pub fn capget() -> Result<(Set, Set, Set), CallFailed> {
    let sets = thread::capabilities(None).map_err(|errno| CallFailed::new("capget", vec!["0".into()], errno.raw_os_error()))?;
    Ok((Set(sets.effective.bits()), Set(sets.permitted.bits()), Set(sets.inheritable.bits())))
}

/// Sets effective, permitted and inheritable of the calling thread.
///
/// # Errors
/// `EPERM` for a permitted bit that the thread has not, an effective bit that is not permitted, an inheritable bit outside
/// the bounding set.
#[track_caller]
pub fn capset(effective: Set, permitted: Set, inheritable: Set) -> Result<(), CallFailed> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(effective.0),
        permitted: CapabilitySet::from_bits_retain(permitted.0),
        inheritable: CapabilitySet::from_bits_retain(inheritable.0),
    };
    action::call(
        "capset",
        || vec![format!("effective={effective}"), format!("permitted={permitted}"), format!("inheritable={inheritable}")],
        || thread::set_capabilities(None, sets),
    )
}

/// The highest capability number this kernel knows (asked of the bounding set, for `/proc` may not be there).
pub fn last_capability() -> u32 {
    // usually the kernel is as new as our table or newer by one or two
    (0..64).take_while(|number| bounding_contains(*number).is_some()).last().unwrap_or(NAMES.len() as u32 - 1)
}

/// Whether the bounding set has it; `None` for a number the kernel does not know.
pub fn bounding_contains(number: u32) -> Option<bool> {
    match prctl(libc::PR_CAPBSET_READ, number.into(), 0) {
        Ok(answer) => Some(answer == 1),
        Err(_) => None,
    }
}

/// Drops every capability that is not in `keep` from the bounding set.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP.
#[track_caller]
pub fn narrow_bounding_set(keep: Set) -> Result<(), CallFailed> {
    for number in 0..64 {
        match bounding_contains(number) {
            None => break,
            Some(false) => continue,
            Some(true) if keep.contains(number) => continue,
            Some(true) => drop_from_bounding_set(number)?,
        }
    }
    Ok(())
}

#[track_caller]
fn drop_from_bounding_set(number: u32) -> Result<(), CallFailed> {
    action::call(
        "prctl",
        || vec!["PR_CAPBSET_DROP".into(), name(number).unwrap_or_else(|| number.to_string())],
        || prctl(libc::PR_CAPBSET_DROP, number.into(), 0),
    )
    .map(drop)
}

/// Whether permitted capabilities survive leaving uid 0.
///
/// # Errors
/// As prctl(2) with `PR_SET_KEEPCAPS`.
#[track_caller]
pub fn keep_capabilities(keep: bool) -> Result<(), CallFailed> {
    let args = || vec!["PR_SET_KEEPCAPS".into(), u8::from(keep).to_string()];
    action::call("prctl", args, || thread::set_keep_capabilities(keep))
}

/// Empties the ambient set.
///
/// # Errors
/// As prctl(2) with `PR_CAP_AMBIENT_CLEAR_ALL`.
#[track_caller]
pub fn clear_ambient() -> Result<(), CallFailed> {
    let args = || vec!["PR_CAP_AMBIENT".into(), "PR_CAP_AMBIENT_CLEAR_ALL".into()];
    action::call("prctl", args, || prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)).map(drop)
}

/// Adds one capability to the ambient set.
///
/// # Errors
/// `EPERM` unless it is permitted and inheritable.
#[track_caller]
pub fn raise_ambient(number: u32) -> Result<(), CallFailed> {
    action::call(
        "prctl",
        || {
            let which = name(number).unwrap_or_else(|| number.to_string());
            vec!["PR_CAP_AMBIENT".into(), "PR_CAP_AMBIENT_RAISE".into(), which]
        },
        || prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, number.into()),
    )
    .map(drop)
}

/// No execve of this thread or its children will ever raise privileges again.
///
/// # Errors
/// As prctl(2) with `PR_SET_NO_NEW_PRIVS`.
#[track_caller]
pub fn no_new_privs() -> Result<(), CallFailed> {
    let args = || vec!["PR_SET_NO_NEW_PRIVS".into(), "1".into()];
    action::call("prctl", args, || thread::set_no_new_privs(true))
}

/// prctl with numbers only, for the options that rustix types by a closed list of capabilities.
fn prctl(option: i32, second: u64, third: u64) -> std::io::Result<i32> {
    // SAFETY: the options used here (PR_CAPBSET_*, PR_CAP_AMBIENT) take integers only; unused arguments are zero, as
    // PR_CAP_AMBIENT demands. No memory of ours is read or written.
    match unsafe { libc::prctl(option, second, third, 0u64, 0u64) } {
        -1 => Err(std::io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_with_or_without_prefix_and_in_any_case() {
        assert_eq!(Set::parse(["CAP_CHOWN", "net_raw", "Cap_Kill"]), Ok(Set(1 | 1 << 13 | 1 << 5)));
        assert_eq!(Set::parse(["CHOWN", "FLY"]), Err("FLY".into()));
        assert_eq!(Set(0xa80425fb).names().len(), 14);
        assert_eq!(number("CAP_CHECKPOINT_RESTORE"), Some(40));
        assert_eq!(Set(1 | 1 << 63).to_string(), "CAP_CHOWN,capability 63");
    }

    #[test]
    fn the_call_and_proc_tell_the_same() {
        let status = Sets::of_self().expect("/proc is mounted");
        let (effective, permitted, inheritable) = capget().expect("capget has no reason to fail");
        assert_eq!((status.effective, status.permitted, status.inheritable), (effective, permitted, inheritable));
        assert!(last_capability() >= 40, "{}", last_capability());
    }

    #[test]
    fn a_bounding_set_only_ever_shrinks() {
        // on a thread of its own: capabilities belong to threads
        std::thread::spawn(|| {
            let before = Sets::of_self().expect("/proc is mounted");
            if !before.effective.contains(8) {
                eprintln!("SKIP: needs CAP_SETPCAP");
                return;
            }
            let keep = Set::parse(["CHOWN", "KILL"]).expect("both are known");
            narrow_bounding_set(keep).expect("we have CAP_SETPCAP");
            clear_ambient().expect("always allowed");
            assert!(raise_ambient(0).is_err(), "not inheritable: not ambient");
            capset(keep, keep, keep).expect("less than we have");
            raise_ambient(0).expect("permitted and inheritable");
            let after = Sets::of_self().expect("/proc is mounted");
            assert_eq!((after.bounding, after.effective, after.ambient), (keep, keep, Set(1)));
            assert!(capset(before.effective, before.permitted, keep).expect_err("no way back").is(libc::EPERM));
        })
        .join()
        .expect("the thread's own assertions");
    }
}
