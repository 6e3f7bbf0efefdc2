//! # Client: somebody who watches, and perhaps types
//!
//! `attach` may be asked for by several people at once, and each reads at a pace of its own. What the container says goes to
//! all of them and to the log; so the slowest must not decide for ever.
//!
//! ```text
//!   chunk ─► nothing waits? ── write at once, no copy
//!        └─► else, or what the socket did not take ─► backlog
//!                      256 KiB full ─► the container's pipe is not read: it waits, as behind any pipe
//!                      30 s without a byte taken ─► the client is dropped, the container goes on
//! ```
//!
//! A client that reads slowly slows the container down (`minidock run … | less` loses nothing); one that has stopped reading
//! holds it for half a minute at most.
//!
//! Laws: a write never blocks the loop; an idle client costs no buffer. *See:* attach in the Engine API, "Stream format".
//! *Next room:* [`crate::control`]

use minidock_linux::poll::Want;
use minidock_spec::engine::stream::{self, Stream};
use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// What waits for a client before the container's output is held back.
const BACKLOG: usize = 256 * 1024;
/// How long a client with a full backlog may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// One attached connection.
pub struct Client {
    socket: UnixStream,
    /// What it wants: standard input, output, error.
    pub stdin: bool,
    stdout: bool,
    stderr: bool,
    /// Docker's 8-byte frames, or raw bytes (a terminal).
    framed: bool,
    backlog: Vec<u8>,
    /// Bytes of the backlog already written.
    sent: usize,
    /// Since when a full backlog has not moved.
    stuck_since: Option<Instant>,
    /// Its half of the conversation is still open.
    pub reading: bool,
    /// Nothing more will come: close when the backlog is empty.
    ending: bool,
    pub dead: bool,
}

impl Client {
    /// `socket` must not block.
    pub fn new(socket: UnixStream, wants: (bool, bool, bool), framed: bool) -> Client {
        let (stdin, stdout, stderr) = wants;
        let (backlog, sent) = (Vec::new(), 0);
        Client {
            socket,
            stdin,
            stdout,
            stderr,
            framed,
            backlog,
            sent,
            stuck_since: None,
            reading: true,
            ending: false,
            dead: false,
        }
    }

    /// With frames around the pieces, or (for a terminal) without.
    pub fn framed(mut self, framed: bool) -> Client {
        self.framed = framed;
        self
    }

    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// What the poll loop shall wait for; `room` says whether standard input would take more.
    pub fn want(&self, room: bool) -> Want {
        Want { read: self.reading && (room || !self.stdin), write: self.waiting() > 0 }
    }

    fn waiting(&self) -> usize {
        self.backlog.len() - self.sent
    }

    /// Whether everything said so far has been handed over.
    pub fn drained(&self) -> bool {
        self.dead || self.waiting() == 0
    }

    /// Whether the container's output must wait for this client.
    pub fn full(&self) -> bool {
        !self.dead && self.waiting() >= BACKLOG
    }

    /// When this client's patience ends, if it is on trial.
    pub fn deadline(&self) -> Option<Instant> {
        self.stuck_since.filter(|_| self.full()).map(|since| since + PATIENCE)
    }

    /// A line before the stream begins: the answer to its greeting.
    pub fn greet(&mut self, line: &[u8]) {
        self.send(&[], line);
    }

    /// Hands over what the container said.
    pub fn offer(&mut self, from: Stream, bytes: &[u8]) {
        let wanted = if from == Stream::Stderr { self.stderr } else { self.stdout };
        if !wanted || self.dead || self.ending {
            return;
        }
        let header = stream::header(from, bytes.len() as u32);
        self.send(if self.framed { &header } else { &[] }, bytes);
    }

    fn send(&mut self, header: &[u8], bytes: &[u8]) {
        let mut done = 0;
        if self.waiting() == 0 {
            done = match self.socket.write_vectored(&[IoSlice::new(header), IoSlice::new(bytes)]) {
                Ok(written) => written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
                Err(_) => return self.dead = true,
            };
        }
        self.backlog.extend_from_slice(&header[done.min(header.len())..]);
        self.backlog.extend_from_slice(&bytes[done.saturating_sub(header.len())..]);
        if self.full() {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        while self.waiting() > 0 && !self.dead {
            match self.socket.write(&self.backlog[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.dead = true,
            }
        }
        if self.waiting() == 0 {
            (self.backlog, self.sent) = (Vec::new(), 0);
            self.dead |= self.ending;
        } else if self.sent >= BACKLOG / 2 {
            self.backlog.drain(..self.sent);
            self.sent = 0;
        }
        if self.full() {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    /// Nothing more will be said: the connection closes when the backlog is empty.
    pub fn end(&mut self) {
        self.ending = true;
        self.flush();
    }

    /// Takes up to `room.len()` bytes of what the client types: 0 when there is nothing now, or no more ever (`reading` tells).
    pub fn typed(&mut self, room: &mut [u8]) -> usize {
        match self.socket.read(room) {
            Ok(0) => self.reading = false,
            Ok(n) => return n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => (self.reading, self.dead) = (false, true),
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_client_that_stops_reading_fills_its_backlog_and_loses_nothing_when_it_goes_on() {
        let (ours, mut theirs) = UnixStream::pair().expect("two sockets");
        ours.set_nonblocking(true).expect("a socket");
        let mut client = Client::new(ours, (false, true, false), false);
        let chunk: Vec<u8> = (0..32 * 1024).map(|n| (n % 251) as u8).collect();
        let mut sent = 0;
        while !client.full() {
            client.offer(Stream::Stdout, &chunk);
            client.offer(Stream::Stderr, b"not wanted");
            sent += chunk.len();
        }
        assert!(client.deadline().is_some() && client.backlog.len() <= BACKLOG + chunk.len());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).expect("a socket");
            all
        });
        client.end();
        while !client.dead {
            client.flush();
        }
        drop(client);
        let all = reader.join().expect("no panic");
        assert!(all.len() == sent && all.chunks(chunk.len()).all(|piece| piece == chunk));
    }
}
