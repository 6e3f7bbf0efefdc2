//! # Terminals: two ends of a make-believe cable
//!
//! A program that edits lines, colours its output or asks for a password wants a terminal. A *pseudo-terminal* is one
//! made of software: what is written to the master comes out of the slave as if typed, and the kernel's line discipline
//! sits between them (echo, Ctrl-C, `\n` to `\r\n`).
//!
//! ```text
//!  your keyboard                                                      container
//!  (raw) ── cli ── socket ── daemon ── shim ── master ║ line disc. ║ slave ── 0,1,2 of the program
//!                                              /dev/ptmx             /dev/pts/0, its *controlling* terminal
//! ```
//!
//! * [`open_pty`] opens a pair on a chosen `ptmx`: the container's own devpts instance, so that `/dev/pts/0` means the same
//!   inside. The slave is taken from the master ([TIOCGPTPEER]), never by path: a container could have put another file there.
//! * [`raw`] is for the user's own terminal: every key must travel, Ctrl-C included, for the far line discipline judges it.
//! * [`make_controlling`] ties a session to its terminal, after setsid(2): only then does Ctrl-C reach anybody.
//!
//! See: pty(7), termios(3), ioctl_tty(2). Next room: [`crate::signal`]
//!
//! [TIOCGPTPEER]: https://man7.org/linux/man-pages/man2/ioctl_tty.2.html

use crate::{
    action::{call, quoted},
    errno::CallFailed,
};
use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::{OptionalActions, Termios, Winsize},
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
    /// Its number in its devpts: the slave is `/dev/pts/<number>` there.
    pub number: u32,
}

/// Opens a pseudo-terminal through the multiplexer at `ptmx` (`/dev/ptmx`, or `…/dev/pts/ptmx` of a fresh devpts).
#[track_caller]
pub fn open_pty(ptmx: &Path) -> Result<Pty, CallFailed> {
    let master = call(
        "openat",
        || vec!["AT_FDCWD".into(), quoted(ptmx), "O_RDWR|O_NOCTTY|O_CLOEXEC".into()],
        || rustix::fs::open(ptmx, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()),
    )?;
    let shown = master.as_raw_fd().to_string();
    call("ioctl", || vec![shown.clone(), "TIOCSPTLCK".into(), "[0]".into()], || rustix::pty::unlockpt(&master))?;
    let slave = call(
        "ioctl",
        || vec![shown.clone(), "TIOCGPTPEER".into(), "O_RDWR|O_NOCTTY|O_CLOEXEC".into()],
        || rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC),
    )?;
    let number = call("ioctl", || vec![shown.clone(), "TIOCGPTN".into()], || pty_number(&master))?;
    Ok(Pty { master, slave, number })
}

fn pty_number(master: &OwnedFd) -> std::io::Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int to the pointer, which points to one that outlives the call.
    match unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) } {
        0 => Ok(number),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Whether this is a terminal at all.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// Rows and columns of a terminal.
#[track_caller]
pub fn size(fd: impl AsFd) -> Result<(u16, u16), CallFailed> {
    let fd = fd.as_fd();
    let size = call("ioctl", || vec![fd.as_raw_fd().to_string(), "TIOCGWINSZ".into()], || rustix::termios::tcgetwinsize(fd))?;
    Ok((size.ws_row, size.ws_col))
}

/// Changes rows and columns; the programs in the foreground get SIGWINCH.
#[track_caller]
pub fn resize(fd: impl AsFd, rows: u16, cols: u16) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call(
        "ioctl",
        || vec![fd.as_raw_fd().to_string(), "TIOCSWINSZ".into(), format!("{{ws_row={rows}, ws_col={cols}}}")],
        || rustix::termios::tcsetwinsize(fd, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }),
    )
}

/// Makes the terminal of `fd` the controlling terminal of this session; the caller is its leader (setsid(2)).
#[track_caller]
pub fn make_controlling(fd: impl AsFd) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call("ioctl", || vec![fd.as_raw_fd().to_string(), "TIOCSCTTY".into(), "0".into()], || rustix::process::ioctl_tiocsctty(fd))
}

/// Lets a terminal pass newlines on as they are, without returns before them: for a master whose reader is no terminal.
#[track_caller]
pub fn plain_newlines(fd: impl AsFd) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    let shown = fd.as_raw_fd().to_string();
    let mut wanted = call("ioctl", || vec![shown.clone(), "TCGETS".into()], || rustix::termios::tcgetattr(fd))?;
    wanted.output_modes.remove(rustix::termios::OutputModes::ONLCR);
    call(
        "ioctl",
        || vec![shown, "TCSETS".into(), "-ONLCR".into()],
        || rustix::termios::tcsetattr(fd, OptionalActions::Now, &wanted),
    )
}

/// How a terminal was set, to be given back to [`restore`].
pub struct Saved(Termios);

/// Puts the user's terminal into raw mode: no echo, no line editing, no signals from keys.
#[track_caller]
pub fn raw(fd: impl AsFd) -> Result<Saved, CallFailed> {
    let fd = fd.as_fd();
    let shown = fd.as_raw_fd().to_string();
    let saved = call("ioctl", || vec![shown.clone(), "TCGETS".into()], || rustix::termios::tcgetattr(fd))?;
    let mut wanted = saved.clone();
    wanted.make_raw();
    call(
        "ioctl",
        || vec![shown, "TCSETS".into(), "cfmakeraw".into()],
        || rustix::termios::tcsetattr(fd, OptionalActions::Now, &wanted),
    )?;
    Ok(Saved(saved))
}

/// Sets a terminal back as it was, after what was written has gone out.
#[track_caller]
pub fn restore(fd: impl AsFd, saved: &Saved) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call(
        "ioctl",
        || vec![fd.as_raw_fd().to_string(), "TCSETSW".into(), "saved".into()],
        || rustix::termios::tcsetattr(fd, OptionalActions::Drain, &saved.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read, Write},
    };

    #[test]
    fn what_is_written_to_the_slave_comes_out_of_the_master_with_returns() {
        let pty = open_pty(Path::new("/dev/ptmx")).expect("a devpts at /dev/pts");
        assert!(is_terminal(&pty.slave));
        resize(&pty.master, 24, 80).expect("a terminal");
        assert_eq!(size(&pty.slave).expect("a terminal"), (24, 80));
        File::from(pty.slave).write_all(b"hi\n").expect("the master is open");
        let mut text = [0; 16];
        let n = File::from(pty.master).read(&mut text).expect("something was written");
        assert_eq!(&text[..n], b"hi\r\n");
    }
}
