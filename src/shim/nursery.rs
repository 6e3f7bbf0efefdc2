//! # Nursery: shims are born, not executed
//!
//! A shim executed for each container costs a millisecond before its first line has run: a new address space, a program of
//! many megabytes mapped into it page by page, and the same taken down again. A copy of a process that is up already costs
//! a tenth of that. So the daemon executes *one* process that has done everything a shim does before it hears its orders,
//! and each container's shim is a fork of it.
//!
//! ```text
//!   daemon ── exec, once ──► minidock shim nursery…       settled: no ties, signals blocked; waits in recvmsg
//!      │                          │
//!      ├── id + control socket ──►│ fork ──► minidock shim <id>   session and orders of its own (crate::boot)
//!      ├── id + control socket ──►│ fork ──► minidock shim <id>
//!      └── end of file ──────────►│ ends; the shims do not care
//! ```
//!
//! * The nursery never learns how its children end: they are the init process's business as soon as it is gone, and as long as
//!   it lives the kernel forgets them by itself.
//! * What the runtime can know ahead is worked out here, once, and lies in the memory of all ([`Own::warm`](crate::Own)).
//! * `ps` shows each shim with its container's id: the argument that the nursery was started with is as long as an id, and is
//!   overwritten ([`minidock_linux::proc::Title`]).
//!
//! Laws: one thread; a nursery that dies is replaced by the daemon; what is forked knows nothing of any other container, for
//! the nursery itself is told nothing but ids.
//!
//! *In the real world:* Android's zygote starts every app this way, for the same reason. The price is the same too: all
//! children share one layout of memory, so that a leak of addresses in one would help against another; a shim reads nothing
//! from its container but bytes that it passes on. *Next room:* [`crate::boot`]

use crate::{boot, runtime::Own, supervise::Shim};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    action,
    clone::{self, Cloned},
    fds, limits,
    proc::Title,
    signal,
};
use std::os::{fd::OwnedFd, unix::net::UnixStream};

/// The argument that a nursery is started with: this word, and as many spaces as make it as long as an id.
pub const WORD: &str = "nursery";

/// The variable that names the soft limit of open files which the daemon had before it raised its own: containers get that one.
pub const FILES: &str = "MINIDOCK_NOFILE";

const EINTR: i32 = 4;

/// Bears a shim for each descriptor that arrives, until the other end is gone: then there is none. In each child, returns with
/// its shim.
///
/// # Errors
/// What the nursery could not have, or what a shim could not have.
pub fn live(own: Option<Own>) -> Result<Option<Shim>> {
    let orders = boot::settle()?;
    lower_files();
    signal::forget_children(true).doing(|| "let children go")?;
    let title = Title::find(WORD);
    own.inspect(|own| (own.warm)());
    let Some((id, control)) = until_born(&orders)? else { return Ok(None) };
    drop(orders); // a shim does not keep the nursery's door open
    signal::forget_children(false).doing(|| "wait for children")?;
    title.inspect(|title| title.set(&id));
    boot::boot(UnixStream::from(control), own).map(Some)
}

/// The daemon may open many files; what runs in containers gets the limit that the daemon was started with.
fn lower_files() {
    let soft = std::env::var(FILES).ok().and_then(|soft| soft.parse::<u64>().ok());
    if let (Some(soft), Ok((_, hard))) = (soft, limits::getrlimit("RLIMIT_NOFILE")) {
        let _ = limits::setrlimit("RLIMIT_NOFILE", soft.min(hard), hard); // lowering is always allowed
    }
}

/// One shim for one container, executed for it alone: the way without a nursery.
///
/// # Errors
/// As [`boot::boot`].
pub fn alone(own: Option<Own>) -> Result<Shim> {
    boot::boot(UnixStream::from(boot::settle()?), own)
}

/// In a child: its container's id and its connection. In the nursery: none, when it is no longer needed.
fn until_born(orders: &OwnedFd) -> Result<Option<(String, OwnedFd)>> {
    loop {
        let mut id = [0; 64];
        let (length, control) = match fds::receive_fd(orders, &mut id) {
            Ok((0, _)) => return Ok(None),
            Ok((length, Some(control))) => (length, control),
            Ok((_, None)) => return Err(Error::invalid("a shim was ordered without a connection")),
            Err(failed) if failed.is(EINTR) => continue, // it was stopped, and goes on
            Err(failed) => return Err(failed).doing(|| "hear of a new container"),
        };
        drop(action::take_lines()); // the nursery's own calls are no container's
        let id = String::from_utf8_lossy(&id[..length]).into_owned();
        match clone::fork(|| format!("[\"minidock\", \"shim\", \"{id}\"]")) {
            Ok(Cloned::Child) => return Ok(Some((id, control))),
            Ok(Cloned::Parent { .. }) => {}
            Err(failed) => eprintln!("minidock: {failed}"), // the daemon sees the connection close
        }
    }
}
