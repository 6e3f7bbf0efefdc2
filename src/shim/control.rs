//! # Control: a connection that carries lines
//!
//! The daemon's end of the wire: requests come in, answers and events go out, one JSON object a line. Neither side may wait
//! for the other in the middle of one, so both directions have a buffer, and both buffers have an end.
//!
//! * [`Control::lines`] takes whole lines out of what has arrived; a line over a mebibyte ends the connection.
//! * [`Control::say`] queues a line and writes what the socket takes; a daemon that does not read a mebibyte of answers is
//!   no daemon, and the connection ends too.
//!
//! A new connection is a [`Control`] until its greeting says otherwise: what arrived behind the greeting ([`Control::split`])
//! belongs to the stream.
//!
//! *Next room:* [`crate::socket`]

use crate::protocol::Reply;
use minidock_linux::poll::Want;
use serde::Serialize;
use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

/// The longest line, and the most that may wait unread.
const LIMIT: usize = 1 << 20;

/// One connection that carries lines.
pub struct Control {
    /// Told apart by this number, for answers that come later.
    pub serial: u64,
    /// When it came.
    pub since: Instant,
    socket: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    pub dead: bool,
}

impl Control {
    /// `socket` must not block.
    pub fn new(serial: u64, socket: UnixStream) -> Control {
        Control { serial, since: Instant::now(), socket, inbox: Vec::new(), outbox: Vec::new(), dead: false }
    }

    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    pub fn want(&self) -> Want {
        Want { read: true, write: !self.outbox.is_empty() }
    }

    /// Reads what has arrived. Whether the connection is still good.
    pub fn receive(&mut self) {
        let mut room = [0; 4096];
        loop {
            match self.socket.read(&mut room) {
                Ok(0) => return self.dead = true,
                Ok(n) => self.inbox.extend_from_slice(&room[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.dead = true,
            }
            if self.inbox.len() > LIMIT {
                return self.dead = true;
            }
            if self.inbox.ends_with(b"\n") {
                return; // most often this was all: poll again rather than ask for an EAGAIN
            }
        }
    }

    /// The next whole line that has arrived, without its newline.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let line = self.inbox[..end].to_vec();
        self.inbox.drain(..=end);
        if self.inbox.is_empty() {
            self.inbox = Vec::new(); // a Launch may have been large; an idle shim must stay small
        }
        Some(line)
    }

    /// The socket, and what arrived behind the greeting.
    pub fn split(self) -> (UnixStream, Vec<u8>) {
        (self.socket, self.inbox)
    }

    /// Sends one line.
    pub fn say(&mut self, reply: &Reply) {
        self.outbox.extend_from_slice(&to_line(reply));
        self.flush();
        self.dead |= self.outbox.len() > LIMIT;
    }

    /// Writes what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.outbox.len() {
            match self.socket.write(&self.outbox[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.dead = true,
            }
        }
        self.outbox.drain(..sent);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
    }

    /// Whether everything said has been handed to the kernel.
    pub fn drained(&self) -> bool {
        self.dead || self.outbox.is_empty()
    }
}

/// A value as one line of JSON.
pub fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("the protocol's types are plain data");
    line.push(b'\n');
    line
}
