//! # Raw HTTP: a client with no opinions
//!
//! The API tests must see what is on the wire, not what a client library makes of it: the status line, the spelling of
//! headers, chunk by chunk. So this client is a Unix socket and fifty lines of parsing.
//!
//! * [`call`] is one request on a connection of its own, read to its end.
//! * [`Wire`] keeps the connection: for streams, upgrades, and requests that are never finished.
//!
//! Laws: every read has a deadline; nothing is retried.

#![allow(dead_code)] // each test binary uses its own part

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value by its name in any case; empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        let found = self.head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_string()).unwrap_or_default()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The `message` of a refusal.
    #[track_caller]
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_string()
    }

    /// This response, which must have that status.
    #[track_caller]
    pub fn is(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{}\n{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }
}

/// One request with a JSON body (or none, for an empty text), on a connection of its own.
pub fn call(socket: &Path, method: &str, path: &str, body: &str) -> Response {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    call_with(socket, method, path, kind, body.as_bytes())
}

/// One request with headers of its own.
pub fn call_with(socket: &Path, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
    let mut wire = Wire::open(socket);
    wire.send(method, path, &format!("Connection: close\r\n{headers}"), body);
    let mut response = wire.head();
    if method != "HEAD" && response.status != 204 && response.status != 304 {
        response.body = wire.body(&response);
    }
    response
}

/// One connection.
pub struct Wire {
    pub stream: BufReader<UnixStream>,
}

impl Wire {
    pub fn open(socket: &Path) -> Wire {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Wire { stream: BufReader::new(stream) }
    }

    /// Sends a whole request.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let length =
            if body.is_empty() && method != "POST" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: d\r\n{headers}{length}\r\n");
        self.write(&[head.as_bytes(), body].concat());
    }

    /// Sends bytes; a peer that is gone is the reader's business.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads the head of a response.
    pub fn head(&mut self) -> Response {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).expect("a head in time") == 0 {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Response { status, head, body: Vec::new() }
    }

    /// Reads a whole body, by its length, its chunks, or to the end.
    pub fn body(&mut self, response: &Response) -> Vec<u8> {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Ok(length) = response.header("content-length").parse::<usize>() {
            body.resize(length, 0);
            self.stream.read_exact(&mut body).expect("the whole body in time");
        } else {
            self.stream.read_to_end(&mut body).expect("the whole body in time");
        }
        body
    }

    /// Reads one chunk; none at the end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.stream.read_line(&mut size).ok()?;
        let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).ok()? + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(chunk.len() - 2);
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Every frame of a multiplexed stream: its number and payload.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, String)> {
    let mut all = Vec::new();
    while bytes.len() >= 8 {
        let length = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        assert_eq!(&bytes[1..4], [0, 0, 0], "three zeros in every frame");
        all.push((bytes[0], String::from_utf8_lossy(&bytes[8..8 + length]).into_owned()));
        bytes = &bytes[8 + length..];
    }
    assert!(bytes.is_empty(), "half a frame is left over");
    all
}
