//! # The terminal: raw while a program has it, and always given back
//!
//! With `-t` the program in the container talks to *this* terminal: every key must reach it as it is typed, so echo, line
//! editing and signals are switched off here ("raw") and happen at the other end, in the container's own terminal. If we
//! left without switching them on again the user's shell would be unusable, so [`Raw`] gives the terminal back when it is
//! dropped, on a panic ([`prepare`]) and before every early exit.
//!
//! ```text
//!   keys ──raw──► minidock ──hijacked connection──► shim ──pty──► the program
//!   SIGWINCH ──► new size ──POST resize──► shim ──TIOCSWINSZ──► SIGWINCH to the program
//! ```
//!
//! * [`print`] and [`eprint`] write at once and whole. When the reader has gone (`| head`) the program ends quietly with 141,
//!   as one that SIGPIPE killed.
//!
//! Laws: the mode before is remembered once, by whoever switches first. *See:* termios(3), tty_ioctl(4).
//! *Next room:* [`crate::detach_keys`]

use minidock_base::{Doing, Result};
use rustix::{
    stdio::{stderr, stdin, stdout},
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use std::{os::fd::BorrowedFd, sync::Mutex};

/// The status of a program whose reader has gone: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// The terminal's mode before we made it raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Standard input is a raw terminal for as long as this lives.
pub struct Raw(());

impl Raw {
    /// Makes standard input raw; `None` if it is no terminal.
    ///
    /// # Errors
    /// tcsetattr(3).
    pub fn enter() -> Result<Option<Raw>> {
        if !isatty(stdin()) {
            return Ok(None);
        }
        let set = || -> std::io::Result<()> {
            let before = tcgetattr(stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            BEFORE.lock().expect("no holder panics").get_or_insert(before);
            Ok(tcsetattr(stdin(), OptionalActions::Now, &raw)?)
        };
        set().doing(|| "make the terminal raw")?;
        Ok(Some(Raw(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        give_back();
    }
}

/// What is typed is not shown for as long as this lives: a password.
pub struct Hidden(Option<Termios>);

impl Hidden {
    /// Switches the echo off, if standard input is a terminal.
    ///
    /// # Errors
    /// tcsetattr(3).
    pub fn enter() -> Result<Hidden> {
        if !isatty(stdin()) {
            return Ok(Hidden(None));
        }
        let set = || -> std::io::Result<Termios> {
            let before = tcgetattr(stdin())?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
            tcsetattr(stdin(), OptionalActions::Now, &quiet)?;
            Ok(before)
        };
        set().doing(|| "hide what is typed").map(|before| Hidden(Some(before)))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            // a terminal that has hung up cannot be put right, and nobody is there to mind
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

/// Whether the terminal is raw now: then a line must end in a carriage return, too.
pub fn is_raw() -> bool {
    BEFORE.lock().is_ok_and(|before| before.is_some())
}

/// Gives the terminal back as it was; may be called at any time.
pub fn give_back() {
    let before = BEFORE.lock().map(|mut before| before.take()).unwrap_or(None);
    if let Some(before) = before {
        // a terminal that has hung up cannot be put right, and nobody is there to mind
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// A panic gives the terminal back before it speaks; one about a reader that has gone ends quietly.
pub fn prepare() {
    let speak = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to std") {
            std::process::exit(READER_GONE);
        }
        speak(info);
    }));
}

/// Whether standard input, output are terminals.
pub fn input_is_terminal() -> bool {
    isatty(stdin())
}

/// Whether standard output is a terminal.
pub fn output_is_terminal() -> bool {
    isatty(stdout())
}

/// Whether standard error is a terminal.
pub fn error_is_terminal() -> bool {
    isatty(stderr())
}

/// Rows and columns of the terminal on standard output, if there is one with a size.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The width to wrap help at.
pub fn width() -> usize {
    tcgetwinsize(stdin()).ok().map(|size| size.ws_col as usize).filter(|columns| *columns > 0).unwrap_or(80)
}

/// Writes to standard output.
pub fn print(text: &str) {
    write(stdout(), text.as_bytes());
}

/// Writes to standard error.
pub fn eprint(text: &str) {
    write(stderr(), text.as_bytes());
}

/// Writes bytes to standard output.
pub fn print_bytes(bytes: &[u8]) {
    write(stdout(), bytes);
}

/// Writes bytes to standard error.
pub fn eprint_bytes(bytes: &[u8]) {
    write(stderr(), bytes);
}

/// Writes all of it now; a descriptor that somebody made non-blocking is waited for.
fn write(to: BorrowedFd<'_>, mut bytes: &[u8]) {
    use rustix::{
        event::{PollFd, PollFlags, poll},
        io::Errno,
    };
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(Errno::PIPE) => {
                give_back();
                std::process::exit(READER_GONE);
            }
            // a full disk, a closed descriptor: there is nowhere left to say so
            Err(_) => return,
        }
    }
}
