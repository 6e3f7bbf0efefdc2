//! # Foreground: when the runtime stays and is the terminal
//!
//! `run` and `exec` without `--detach` stay until the program ends: they pass signals on, carry bytes between a person's
//! terminal and the container's, and end with the program's own exit status. (Engines never use this; their shim does it.)
//!
//! ```text
//!   stdin  (raw) ──►  master  ──► the container's terminal
//!   stdout       ◄──  master  ◄──
//!   SIGWINCH ──► resize        SIGTERM, SIGINT … ──► the program
//! ```
//!
//! Laws: signals are blocked before the program is started, so that none is lost between; the person's terminal is set back
//! whatever happens. Next room: [`crate::report`]

use minidock_base::{Doing, Result};
use minidock_linux::{
    fds,
    poll::{Poll, Want},
    signal::{self, Mask},
    tty, wait,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// Signals that are passed on: all that a process can catch, but those that speak of the runtime itself.
fn passed_on() -> Vec<i32> {
    const OURS: [i32; 12] = [4, 5, 7, 8, 9, 11, 13, 19, 23, 31, 32, 33];
    (1..=64).filter(|number| !OURS.contains(number)).collect()
}

/// What must be prepared before the program is started.
pub struct Foreground {
    signals: OwnedFd,
    before: Mask,
    /// Where init will send the master, and from where we take it.
    terminal: Option<(OwnedFd, OwnedFd)>,
}

/// Blocks the signals, and makes a way for the terminal's master if there will be one.
///
/// # Errors
/// What signalfd(2) and socketpair(2) say.
pub fn prepare(terminal: bool) -> Result<Foreground> {
    let doing = || "stay in the foreground";
    let mask = Mask::of(&passed_on());
    let before = signal::block(&mask).doing(doing)?;
    let signals = signal::descriptor(&mask).doing(doing)?;
    let terminal = if terminal { Some(fds::socketpair().doing(doing)?) } else { None };
    Ok(Foreground { signals, before, terminal })
}

/// Whether what the container says goes to a terminal; into a file or a pipe newlines go plain, for programs read them.
pub fn shows_a_terminal() -> bool {
    tty::is_terminal(std::io::stdout())
}

impl Foreground {
    /// The end of the way for init.
    ///
    /// # Errors
    /// EMFILE.
    pub fn for_init(&self) -> Result<Option<OwnedFd>> {
        match &self.terminal {
            Some((theirs, _)) => theirs.try_clone().map(Some).doing(|| "pass on the terminal's way"),
            None => Ok(None),
        }
    }

    /// Stays until `pid` has ended, and gives back its exit status as a shell counts.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn stay(mut self, pid: i32) -> Result<i32> {
        let master = match self.terminal.take() {
            Some((theirs, ours)) => {
                drop(theirs);
                let mut name = [0; 64];
                fds::receive_fd(&ours, &mut name).doing(|| "receive the terminal")?.1
            }
            None => None,
        };
        let input = std::io::stdin();
        let saved = match (&master, tty::is_terminal(&input)) {
            (Some(master), true) => {
                copy_size(&input, master);
                tty::raw(&input).ok()
            }
            _ => None,
        };
        let status = self.pump(pid, master.map(File::from));
        if let Some(saved) = saved {
            // A terminal that is gone needs no setting back.
            let _ = tty::restore(&input, &saved);
        }
        let _ = signal::set(&self.before);
        status
    }

    fn pump(&self, pid: i32, mut master: Option<File>) -> Result<i32> {
        let mut input = true;
        let mut ended = None;
        loop {
            if let (Some(status), None) = (ended, &master) {
                return Ok(status);
            }
            let stdin = std::io::stdin();
            let mut poll = Poll::with_capacity(3);
            let signals = poll.add(self.signals.as_fd(), Want::READ);
            let from_master = master.as_ref().map(|master| poll.add(master.as_fd(), Want::READ));
            let from_input = (input && master.is_some() && ended.is_none()).then(|| poll.add(stdin.as_fd(), Want::READ));
            // After the program's end its last words are still in the terminal; its children may hold it open for ever.
            let limit = ended.map(|_| std::time::Duration::from_millis(100));
            let woken = poll.wait(limit).doing(|| "wait for the container")?;
            let (signalled, spoke, typed) = (
                poll.ready(signals).any(),
                from_master.is_some_and(|n| poll.ready(n).any()),
                from_input.is_some_and(|n| poll.ready(n).any()),
            );
            drop(poll);
            if woken == 0 && ended.is_some() {
                master = None;
                continue;
            }
            if signalled {
                while let Some(number) = signal::next(&self.signals) {
                    self.one_signal(number, pid, master.as_ref(), &mut ended);
                }
            }
            if spoke && !carry(&mut master.as_ref(), &mut Some(std::io::stdout())) {
                master = None;
            }
            if typed {
                input = carry(&mut Some(stdin), &mut master.as_ref());
            }
        }
    }

    fn one_signal(&self, number: i32, pid: i32, master: Option<&File>, ended: &mut Option<i32>) {
        match number {
            SIGCHLD => {
                while let Some(end) = wait::wait_any() {
                    if end.pid == pid {
                        *ended = Some(end.how.docker_code());
                    }
                }
            }
            SIGWINCH => {
                if let Some(master) = master {
                    copy_size(std::io::stdin(), master);
                }
            }
            // Who is gone needs no signal.
            _ => drop(signal::kill(pid, number)),
        }
    }
}

fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok((rows, cols)) = tty::size(from) {
        let _ = tty::resize(to, rows, cols);
    }
}

/// Carries what is there; false at the end of the source (a terminal's end is an error to read from).
fn carry(from: &mut Option<impl Read>, to: &mut Option<impl Write>) -> bool {
    let mut bytes = [0; 32 << 10];
    let (Some(from), Some(to)) = (from, to) else { return false };
    match from.read(&mut bytes) {
        Ok(0) | Err(_) => false,
        Ok(n) => to.write_all(&bytes[..n]).and_then(|()| to.flush()).is_ok(),
    }
}
