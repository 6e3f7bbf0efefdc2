//! # Proc: the kernel's own files, and how to be sure that they are
//!
//! `/proc` is where the kernel says who runs and takes orders: a sysctl, an oom score, an id map are all plain writes. That
//! makes it worth faking. A container that gets its own file system mounted over `/proc/sys/kernel/core_pattern` turns the
//! runtime's harmless write into another one (CVE-2019-16884, CVE-2025-52881). So nothing here trusts a path:
//!
//! ```text
//!   [`Proc::open`]   O_PATH on the folder, fstatfs says PROC_SUPER_MAGIC, its inode is 1: the root of a procfs
//!   [`Proc::write`]  openat2(…, RESOLVE_NO_XDEV | NO_SYMLINKS | NO_MAGICLINKS): no mount lies over it, no link leads away
//! ```
//!
//! [`Process`] is the line about one process in `/proc/PID/stat`: state, and when it started. Pid and start time together
//! name a process for good, even in a file that is read days later. [`Title`] is what `ps` shows of ourselves.
//!
//! See: proc(5), openat2(2). Next room: [`crate::limits`]

use crate::{action, errno::CallFailed, files};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// The root of a proc file system, verified.
pub struct Proc(OwnedFd);

impl Proc {
    /// Opens the proc file system mounted at `path` (`/proc`, as a rule).
    ///
    /// # Errors
    /// ENOENT when nothing is there; EXDEV when it is not the root of a procfs.
    #[track_caller]
    pub fn open(path: &Path) -> Result<Proc, CallFailed> {
        action::call(
            "open",
            || vec![action::quoted(path), "O_PATH|O_DIRECTORY|O_NOFOLLOW".into()],
            || {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rustix::fs::open(path, flags, Mode::empty())?;
                verify(folder)
            },
        )
    }

    /// The same for a folder that is already open.
    ///
    /// # Errors
    /// EXDEV when it is not the root of a procfs.
    #[track_caller]
    pub fn from_fd(folder: OwnedFd) -> Result<Proc, CallFailed> {
        action::call("fstatfs", || vec!["/proc".into()], || verify(folder))
    }

    /// Writes `value` into the file `name` below, in one write.
    ///
    /// # Errors
    /// ENOENT for a name that is not there; EXDEV when something is mounted over it; what the kernel says to the value.
    #[track_caller]
    pub fn write(&self, name: &str, value: &str) -> Result<(), CallFailed> {
        action::call(
            "write",
            || vec![format!("\"/proc/{name}\""), action::quoted(value.trim_end())],
            || {
                let mut file = File::from(self.below(name, OFlags::WRONLY)?);
                file.write_all(value.as_bytes())
            },
        )
    }

    /// Reads the file `name` below.
    ///
    /// # Errors
    /// As [`Proc::write`].
    pub fn read(&self, name: &str) -> std::io::Result<String> {
        let mut text = String::new();
        File::from(self.below(name, OFlags::RDONLY)?).read_to_string(&mut text)?;
        Ok(text)
    }

    fn below(&self, name: &str, flags: OFlags) -> std::io::Result<OwnedFd> {
        // `self` is a magic symlink; its text is our pid, and we have that.
        let own;
        let name = match name.strip_prefix("self/") {
            Some(rest) => {
                own = format!("{}/{rest}", self.own_pid()?);
                &own
            }
            None => name,
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.0, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve)?)
    }

    /// Our pid as *this* procfs counts, which need not be what getpid says.
    fn own_pid(&self) -> std::io::Result<String> {
        let text = rustix::fs::readlinkat(&self.0, "self", Vec::new())?;
        text.into_string().map_err(std::io::Error::other)
    }
}

fn verify(folder: OwnedFd) -> std::io::Result<Proc> {
    const ROOT_INODE: u64 = 1;
    let kind = rustix::fs::fstatfs(folder.as_fd())?.f_type;
    let inode = rustix::fs::fstat(folder.as_fd())?.st_ino;
    match kind as i64 == rustix::fs::PROC_SUPER_MAGIC && inode == ROOT_INODE {
        true => Ok(Proc(folder)),
        false => Err(std::io::Error::from_raw_os_error(libc::EXDEV)),
    }
}

/// Writes a file of a process, `/proc/PID/name`, through the verified `/proc` of this mount namespace.
///
/// # Errors
/// As [`Proc::open`] and [`Proc::write`].
#[track_caller]
pub fn write_of(pid: i32, name: &str, value: &str) -> Result<(), CallFailed> {
    Proc::open(Path::new("/proc"))?.write(&format!("{pid}/{name}"), value)
}

/// One process as `/proc/PID/stat` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// `R`, `S`, `D`, `T`, `Z`, …: proc_pid_stat(5).
    pub state: char,
    pub parent: i32,
    /// In clock ticks since the boot.
    pub started: u64,
}

impl Process {
    /// Reads the line; `None` when there is no such process.
    pub fn read(pid: i32) -> Option<Process> {
        let text = files::read_small(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
        Process::parse(pid, &text)
    }

    fn parse(pid: i32, text: &str) -> Option<Process> {
        // The command may hold spaces and parentheses: what follows the last ')' is regular.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
        Some(Process {
            pid,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it has ended and only its status is left.
    pub fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Where one of this process's own arguments lies in its memory, so that `ps` can be told something else of the same length.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    at: u64,
    room: usize,
}

impl Title {
    /// The first argument that begins with `word`; none when there is none, or when the kernel does not say where it is.
    pub fn find(word: &str) -> Option<Title> {
        const ARG_START: usize = 48 - 3; // counted from the state, the third field
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let start: u64 = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().nth(ARG_START)?.parse().ok()?;
        let line = std::fs::read("/proc/self/cmdline").ok()?;
        let mut at = start;
        for argument in line.split(|byte| *byte == 0) {
            if argument.starts_with(word.as_bytes()) {
                return Some(Title { at, room: argument.len() });
            }
            at += argument.len() as u64 + 1;
        }
        None
    }

    /// Writes `text` there, cut or padded with spaces to the length that there is. Only for who looks: a failure changes nothing.
    pub fn set(self, text: &str) {
        use std::os::unix::fs::FileExt;
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(self.room, b' ');
        if let Ok(memory) = File::options().write(true).open("/proc/self/mem") {
            let _ = memory.write_at(&bytes, self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_only_looks_like_proc_is_refused() {
        let fake = tempfile::tempdir().expect("a folder");
        assert!(Proc::open(fake.path()).is_err_and(|e| e.is(libc::EXDEV)));
        assert!(Proc::open(Path::new("/proc/self")).is_err());
        assert!(Proc::open(Path::new("/proc/sys")).is_err_and(|e| e.is(libc::EXDEV)));
        let real = Proc::open(Path::new("/proc")).expect("a procfs");
        assert!(real.read("self/stat").expect("our own").starts_with(&std::process::id().to_string()));
        assert!(real.read("self/root/etc/passwd").is_err(), "a magic link leads away");
    }

    #[test]
    fn a_command_with_parentheses_does_not_confuse_the_line() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let process = Process::parse(7, line).expect("well formed");
        assert_eq!((process.state, process.parent, process.started), ('S', 1, 4242));
        assert!(Process::read(std::process::id() as i32).is_some_and(|me| !me.is_over()));
    }
}
