//! # Namespaces: eight walls a process can live behind
//!
//! A container has no object of its own in the kernel. What keeps it apart are its *namespaces*: the process sees its own
//! mounts, its own pids, its own network, and so on, and every process carries eight pointers that say which. This room
//! names them ([`Namespace`], [`Set`]) and has the two calls that change the caller's own pointers.
//!
//! ```text
//!                     clone3(CLONE_NEW…)   a child is born behind new walls      linux::clone
//!   unshare(CLONE_NEW…)                    the caller gets new walls             [`unshare`]
//!   setns(fd, CLONE_NEW…)                  the caller goes behind others' walls  [`setns`]
//! ```
//!
//! * A namespace lives as long as a process is in it, or somebody holds a descriptor of `/proc/PID/ns/…`, or that file is
//!   bind mounted somewhere ([`open`] and a path in `config.json`).
//! * With a *pidfd* in place of a namespace file, [`setns`] takes many flags at once: one call and the caller stands in the
//!   whole container (Linux 5.8).
//!
//! Laws: the pid and time namespaces of the caller itself never change, only those of its children (so join them *before*
//! clone); a user namespace must be joined before what it owns; `unshare` and `setns` act on the calling thread alone, so
//! they belong to processes with one thread.
//! See: namespaces(7), unshare(2), setns(2). Next room: [`crate::userns`]

use crate::{action, errno::CallFailed};
use std::{
    fmt,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// One of the eight kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

impl Namespace {
    /// All of them, in the order in which it is safe to join.
    pub const ALL: [Namespace; 8] = [
        Namespace::User,
        Namespace::Mount,
        Namespace::Pid,
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Cgroup,
        Namespace::Time,
    ];

    /// The kernel's flag.
    pub fn flag(self) -> u64 {
        (match self {
            Namespace::User => libc::CLONE_NEWUSER,
            Namespace::Mount => libc::CLONE_NEWNS,
            Namespace::Pid => libc::CLONE_NEWPID,
            Namespace::Network => libc::CLONE_NEWNET,
            Namespace::Ipc => libc::CLONE_NEWIPC,
            Namespace::Uts => libc::CLONE_NEWUTS,
            Namespace::Cgroup => libc::CLONE_NEWCGROUP,
            Namespace::Time => libc::CLONE_NEWTIME,
        }) as u64
    }

    /// The flag's name in the man page.
    pub fn flag_name(self) -> &'static str {
        match self {
            Namespace::User => "CLONE_NEWUSER",
            Namespace::Mount => "CLONE_NEWNS",
            Namespace::Pid => "CLONE_NEWPID",
            Namespace::Network => "CLONE_NEWNET",
            Namespace::Ipc => "CLONE_NEWIPC",
            Namespace::Uts => "CLONE_NEWUTS",
            Namespace::Cgroup => "CLONE_NEWCGROUP",
            Namespace::Time => "CLONE_NEWTIME",
        }
    }

    /// The file's name below `/proc/PID/ns`.
    pub fn file_name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mnt",
            Namespace::Pid => "pid",
            Namespace::Network => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Cgroup => "cgroup",
            Namespace::Time => "time",
        }
    }
}

/// Some of the eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    pub const EMPTY: Set = Set(0);

    pub fn with(self, kind: Namespace) -> Set {
        Set(self.0 | kind.flag())
    }

    pub fn without(self, kind: Namespace) -> Set {
        Set(self.0 & !kind.flag())
    }

    pub fn has(self, kind: Namespace) -> bool {
        self.0 & kind.flag() != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags as the kernel takes them.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl FromIterator<Namespace> for Set {
    fn from_iter<I: IntoIterator<Item = Namespace>>(kinds: I) -> Set {
        kinds.into_iter().fold(Set::EMPTY, Set::with)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Namespace::ALL.iter().filter(|kind| self.has(**kind)).map(|kind| kind.flag_name()).collect();
        match names.is_empty() {
            true => f.write_str("0"),
            false => f.write_str(&names.join("|")),
        }
    }
}

/// Gives the calling thread namespaces of its own; a pid or time namespace waits for its first child.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN in the user namespace; EUSERS or ENOSPC beyond `/proc/sys/user/max_*_namespaces`.
#[track_caller]
pub fn unshare(set: Set) -> Result<(), CallFailed> {
    action::call(
        "unshare",
        || vec![set.to_string()],
        || {
            // SAFETY: unshare takes no pointers; the flags are namespaces only, so no memory or descriptor table is split.
            match unsafe { libc::syscall(libc::SYS_unshare, set.bits()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

/// Moves the calling thread into the namespace behind `fd` (a file of `/proc/PID/ns`), or, when `fd` is a pidfd, into all
/// of `set` of that process at once. `shown` is how the record names it.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN there; EINVAL for a user namespace one is already in, or a caller with several threads.
#[track_caller]
pub fn setns(fd: BorrowedFd<'_>, set: Set, shown: &str) -> Result<(), CallFailed> {
    action::call(
        "setns",
        || vec![shown.to_string(), set.to_string()],
        || {
            // SAFETY: setns takes a descriptor, which the borrow keeps open for the call, and an integer.
            match unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), set.bits() as libc::c_long) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

/// Opens the file of a namespace, and makes sure that it is one: a path from a bundle could point anywhere.
///
/// # Errors
/// ENOENT and its like for the path; EINVAL when the file is not a namespace of this kind.
#[track_caller]
pub fn open(path: &Path, kind: Namespace) -> Result<OwnedFd, CallFailed> {
    let shown = || vec![action::quoted(path), "O_RDONLY|O_CLOEXEC".into(), kind.flag_name().into()];
    action::call("open", shown, || {
        let file = File::open(path)?;
        match kind_of(file.as_fd())? == kind.flag() {
            true => Ok(OwnedFd::from(file)),
            false => Err(std::io::Error::from_raw_os_error(libc::EINVAL)),
        }
    })
}

/// The kind of namespace behind a descriptor, as its CLONE flag (ioctl_ns(2), `NS_GET_NSTYPE`).
fn kind_of(fd: BorrowedFd<'_>) -> std::io::Result<u64> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument; any other file answers ENOTTY.
    match unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) } {
        -1 => Err(std::io::Error::from_raw_os_error(libc::EINVAL)),
        kind => Ok(kind as u64),
    }
}

/// Names the machine (or the container) the caller is in.
///
/// # Errors
/// EPERM outside a UTS namespace of one's own; EINVAL for more than 64 bytes.
#[track_caller]
pub fn sethostname(name: &str) -> Result<(), CallFailed> {
    action::call("sethostname", || vec![action::quoted(name)], || rustix::system::sethostname(name.as_bytes()))
}

/// The NIS domain name, which is what `uname -a` means by domain.
#[track_caller]
pub fn setdomainname(name: &str) -> Result<(), CallFailed> {
    action::call("setdomainname", || vec![action::quoted(name)], || rustix::system::setdomainname(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_like_the_man_page() {
        let set: Set = [Namespace::Pid, Namespace::Mount].into_iter().collect();
        assert_eq!(set.to_string(), "CLONE_NEWNS|CLONE_NEWPID");
        assert_eq!(Set::EMPTY.to_string(), "0");
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        assert!(open(Path::new("/proc/self/ns/uts"), Namespace::Uts).is_ok());
        assert!(open(Path::new("/proc/self/ns/uts"), Namespace::Ipc).is_err_and(|e| e.is(libc::EINVAL)));
        assert!(open(Path::new("/proc/self/status"), Namespace::Uts).is_err_and(|e| e.is(libc::EINVAL)));
    }
}
