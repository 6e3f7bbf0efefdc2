//! # Console: a terminal that the container made itself
//!
//! With `terminal: true` the program's streams are a pseudo-terminal. Its slave must come from the container's own devpts
//! (else `ttyname` would name a terminal of the host), so it is made inside; its master must come out, to whoever shows it
//! to a person. The way out is a unix socket that was opened before the host went out of sight:
//!
//! ```text
//!   init: open /dev/pts/ptmx ─► master ── SCM_RIGHTS over the console socket ──► shim, conmon, `run` itself
//!                            └► slave  ── becomes 0, 1, 2, the controlling terminal, and /dev/console
//! ```
//!
//! Laws: `/dev/console` is made as a new file and bound by descriptor: a link of that name in a `/dev` that the bundle brings
//! along leads nowhere (CVE-2025-52565). See: pty(7), devpts. Next room: [`crate::hooks`]

use crate::targets;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    fds,
    files::{self, FileType, Open, Resolve},
    mount::{self, Target},
    tty,
};
use oci_spec::runtime::Process;
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::net::UnixStream,
    path::Path,
};

/// Connects to the socket that waits for the master; before the host goes out of sight.
///
/// # Errors
/// Nobody listens there.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let socket = UnixStream::connect(path).doing(|| format!("connect to the console socket {}", path.display()))?;
    Ok(OwnedFd::from(socket))
}

/// What is wanted of a terminal.
#[derive(Clone, Copy)]
pub struct How {
    /// It becomes the container's `/dev/console`.
    pub as_console: bool,
    /// Newlines come out as they went in, without returns.
    pub plain_newlines: bool,
}

/// Makes the terminal inside the container and sends its master out. The caller leads a session.
///
/// # Errors
/// There is no devpts, or the socket is gone.
pub fn make(process: &Process, out: BorrowedFd<'_>, root: BorrowedFd<'_>, how: How) -> Result<()> {
    let doing = || "make the container's terminal";
    let ptmx = Path::new("/dev/pts/ptmx");
    let pty = tty::open_pty(ptmx).doing(doing).map_err(|e| e.hint("a terminal needs a devpts mounted at /dev/pts"))?;
    if let Some(size) = process.console_size().filter(|size| size.height() != 0 || size.width() != 0) {
        let cells = |n: u64| n.min(u16::MAX as u64) as u16;
        tty::resize(&pty.master, cells(size.height()), cells(size.width())).doing(doing)?;
    }
    if how.plain_newlines {
        tty::plain_newlines(&pty.master).doing(doing)?;
    }
    if how.as_console {
        bind(root, &pty.slave)?;
    }
    fds::send_fd(out, &pty.master, b"/dev/ptmx").doing(|| "send the terminal's master out")?;
    fds::become_stdio(&pty.slave, &pty.slave, &pty.slave).doing(doing)?;
    tty::make_controlling(&pty.slave).doing(doing)
}

/// Binds the slave over `/dev/console`, by descriptors only.
fn bind(root: BorrowedFd<'_>, slave: &OwnedFd) -> Result<()> {
    let doing = || "bind the terminal to /dev/console";
    let Ok(dev) = targets::find(root, Path::new("/dev")) else { return Ok(()) };
    let open = || files::openat2(&dev, "console", Open::PathNoFollow, Resolve::Beneath);
    let place = match open() {
        Ok(place) => place,
        Err(_) => {
            let made = files::openat2(&dev, "console", Open::CreateNew, Resolve::Beneath).doing(doing)?;
            drop(made);
            open().doing(doing)?
        }
    };
    match targets::file_type(&place).doing(doing)? {
        FileType::RegularFile | FileType::CharacterDevice => {}
        other => {
            return Err(Error::forbidden(format!("/dev/console is a {other:?}, not a place for a terminal")).during(doing()));
        }
    }
    let tree = mount::open_tree(slave.as_fd(), "the terminal", false).doing(doing)?;
    mount::move_mount(tree.as_fd(), "the terminal", Target { fd: place.as_fd(), shown: Path::new("/dev/console") }).doing(doing)
}

/// Standard streams that are the host's null device become the container's.
///
/// # Errors
/// The container has no null device that is one.
pub fn reopen_null(root: BorrowedFd<'_>) -> Result<()> {
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
    let is_null =
        |stream: &BorrowedFd<'_>| files::fstat(stream).is_ok_and(|facts| facts.st_rdev == crate::devices::NULL_DEVICE);
    if !streams.iter().any(is_null) {
        return Ok(());
    }
    // Without one of its own the container keeps the host's: it cannot reach anything through it.
    let Ok(proved) = crate::devices::null(root) else { return Ok(()) };
    drop(proved);
    let null = files::openat2(root, "dev/null", Open::Write, Resolve::Beneath);
    let null = null.doing(|| "open the container's /dev/null")?;
    let facts = files::fstat(&null).doing(|| "look at the container's /dev/null")?;
    if facts.st_rdev != crate::devices::NULL_DEVICE {
        return Err(Error::forbidden("the container's /dev/null changed while it was opened"));
    }
    let [a, b, c] = streams.map(|stream| if is_null(&stream) { null.as_fd() } else { stream });
    fds::become_stdio(a, b, c).doing(|| "reopen the null device")
}
