//! # Standard streams: three pipes, or one terminal
//!
//! What a program writes goes to descriptors 1 and 2, what it reads comes from 0. The shim makes these before the program
//! exists and keeps the other ends as long as it lives, so that nobody else has to.
//!
//! ```text
//!  pipes     stdin  ══► 0          a terminal    master ◄═► 0, 1, 2   (the runtime opens it *inside* the container
//!            stdout ◄══ 1                                              and sends the master through the console socket)
//!            stderr ◄══ 2
//! ```
//!
//! * [`pipes`] makes both sides; without `open_stdin` the program reads `/dev/null`.
//! * [`Stdin`] is a queue in front of the pipe: a program that does not read holds back the typists, never the loop. It closes
//!   when it was told to *and* everything typed has gone in.
//! * [`read`] tells the end of a terminal (EIO, when the last program has closed it) from the end of a pipe (0): both are ends.
//!
//! Laws: our ends never block; the program's ends are closed here as soon as it has them, or there would never be an end.
//! *See:* pipe(7), pty(7). *Next room:* [`crate::console`]

use minidock_base::{Doing, Result};
use minidock_linux::fds;
use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
    rc::Rc,
};

/// How much may wait in front of standard input before typists are held back.
const QUEUE: usize = 64 * 1024;

/// The ends that the program gets as 0, 1 and 2.
pub struct Theirs {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// The ends that stay here.
pub struct Ours {
    pub stdin: Option<File>,
    pub stdout: File,
    pub stderr: File,
}

/// Three pipes, or two and `/dev/null`.
pub fn pipes(open_stdin: bool) -> Result<(Ours, Theirs)> {
    let doing = || "make the container's standard streams";
    let (stdin, their_stdin) = match open_stdin {
        false => (None, fds::dev_null().doing(doing)?),
        true => {
            let (theirs, ours) = fds::pipe().doing(doing)?;
            fds::nonblocking(&ours).doing(doing)?;
            (Some(File::from(ours)), theirs)
        }
    };
    let output = || -> Result<(File, OwnedFd)> {
        let (ours, theirs) = fds::pipe().doing(doing)?;
        fds::nonblocking(&ours).doing(doing)?;
        Ok((File::from(ours), theirs))
    };
    let ((stdout, their_stdout), (stderr, their_stderr)) = (output()?, output()?);
    Ok((Ours { stdin, stdout, stderr }, Theirs { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr }))
}

/// `/dev/null` three times: what the runtime gets when the program will have a terminal instead.
pub fn nothing() -> Result<Theirs> {
    let null = || fds::dev_null().doing(|| "open the null device");
    Ok(Theirs { stdin: null()?, stdout: null()?, stderr: null()? })
}

/// What one read came to.
pub enum Got {
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

/// Reads once from a pipe or a master.
pub fn read(mut from: &File, room: &mut [u8]) -> Got {
    loop {
        return match from.read(room) {
            Ok(0) => Got::End,
            Ok(n) => Got::Bytes(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::Nothing,
            Err(_) => Got::End,
        };
    }
}

/// The way into a program: a queue in front of a pipe or a master.
#[derive(Default)]
pub struct Stdin {
    end: Option<Rc<File>>,
    queue: Vec<u8>,
    /// Close as soon as the queue is empty.
    closing: bool,
}

impl Stdin {
    pub fn open(&mut self, end: Rc<File>) {
        self.end = Some(end);
        self.flush();
    }

    /// The descriptor, when something waits to be written to it.
    pub fn to_poll(&self) -> Option<&File> {
        self.end.as_deref().filter(|_| !self.queue.is_empty())
    }

    /// Whether typists may go on.
    pub fn has_room(&self) -> bool {
        self.queue.len() < QUEUE
    }

    /// Takes what was typed. `before_start`: the program will come, keep it; otherwise, without a program, it is nobody's.
    pub fn push(&mut self, bytes: &[u8], before_start: bool) {
        if (self.end.is_some() || before_start) && !self.closing {
            self.queue.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// No more will be typed: the program sees the end after what waits.
    pub fn close(&mut self) {
        self.closing = true;
        self.flush();
    }

    /// The program is gone.
    pub fn discard(&mut self) {
        *self = Stdin { closing: true, ..Stdin::default() };
    }

    /// Writes what waits, as far as the pipe takes it.
    pub fn flush(&mut self) {
        let Some(end) = &self.end else { return };
        let mut sent = 0;
        while sent < self.queue.len() {
            match (&mut &**end).write(&self.queue[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // the program has closed its standard input: what is typed now is nobody's
                Err(_) => return self.discard(),
            }
        }
        self.queue.drain(..sent);
        if self.queue.is_empty() {
            self.queue = Vec::new();
            if self.closing {
                self.end = None;
            }
        }
    }
}
