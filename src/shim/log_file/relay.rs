//! # Relay: each line to somebody else, too
//!
//! Logs of many machines are wanted in one place. `--log-driver gelf` and `--log-driver syslog` send every line, as it is said, in one datagram to
//! somebody who collects. The file is written all the same, so that `logs` can show what was sent; Docker calls that dual logging.
//!
//! ```text
//!   web-1 says  hello⏎ ──┬─► <id>-json.log
//!                        └─► udp://127.0.0.1:12201     {"version":"1.1","host":"vm","short_message":"hello","timestamp":1764322962.016,"level":6,
//!                                                       "_container_name":"web-1", … }                                              GELF
//!                            /dev/log, udp://…:514     <30>Nov 28 09:36:42 4f1d2a3b4c5d[812]: hello                                  syslog
//! ```
//!
//! * [`Sender`] opens its socket with the first line; [`message`] is what a line becomes.
//!
//! Laws: the container never waits for a collector: a line that cannot be sent at once is not sent, and the file has it. A GELF message that is too
//! long for one datagram is sent in numbered chunks. *In the real world* GELF is also packed with gzip, which every collector can do without, and
//! both also go by TCP and TLS. *See:* GELF 1.1 · RFC 3164, RFC 5424 · moby `daemon/logger/{gelf,syslog}`. *Next room:* [`crate::log_file::reader`]

use crate::{
    log_file::line::Source,
    protocol::{Form, Hearer, Layout, Relay},
};
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::clock::rfc3339;
use serde_json::{Value, json};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::unix::net::UnixDatagram,
};

/// What a datagram of GELF may hold, and the most chunks of one message.
const CHUNK: usize = 1420;
const MOST_CHUNKS: usize = 128;

/// Sends the lines of one container.
pub struct Sender {
    relay: Relay,
    socket: Option<Socket>,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Sender {
    pub fn new(relay: Relay) -> Sender {
        Sender { relay, socket: None }
    }

    /// Sends one line, if that can be done at once.
    pub fn say(&mut self, source: Source, text: &[u8], at: Timestamp) {
        let bytes = message(&self.relay.form, source, &String::from_utf8_lossy(text), at);
        if bytes.is_empty() {
            return;
        }
        let chunked = matches!(self.relay.form, Form::Gelf { .. }) && bytes.len() > CHUNK;
        let sent = match chunked {
            true => chunks(&bytes, at).iter().try_for_each(|chunk| self.send(chunk)),
            false => self.send(&bytes),
        };
        // a collector that was started again has another socket behind the same name
        if sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.socket = None;
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.relay.to)?,
        };
        let sent = match &socket {
            Socket::Udp(socket) => socket.send(bytes),
            Socket::Unix(socket) => socket.send(bytes),
        };
        self.socket = Some(socket);
        sent.map(drop)
    }
}

fn open(to: &Hearer) -> io::Result<Socket> {
    match to {
        Hearer::Udp(address) => {
            let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::Udp(socket))
        }
        Hearer::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::Unix(socket))
        }
    }
}

/// A line as its hearer wants it; nothing if it has no word for it.
pub fn message(form: &Form, source: Source, text: &str, at: Timestamp) -> Vec<u8> {
    let (error, info) = (3, 6); // the severities of syslog, which GELF has taken over
    let severity = if source == Source::Stdout { info } else { error };
    match form {
        // GELF knows no empty message
        Form::Gelf { .. } if text.is_empty() => Vec::new(),
        Form::Gelf { host, fields } => {
            let mut said = json!({"version": "1.1", "host": host, "short_message": text, "level": severity});
            said["timestamp"] = json!(at.as_millisecond() as f64 / 1000.0);
            fields.iter().for_each(|(name, value)| said[name.as_str()] = Value::from(value.as_str()));
            said.to_string().into_bytes()
        }
        Form::Syslog { facility, tag, host, layout } => {
            let (priority, pid) = (facility * 8 + severity, std::process::id());
            let stamp = || at.to_zoned(TimeZone::system()).strftime("%b %e %H:%M:%S").to_string();
            match layout {
                Layout::Unix => format!("<{priority}>{} {tag}[{pid}]: {text}", stamp()),
                Layout::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: {text}", stamp()),
                Layout::Rfc5424 => format!("<{priority}>1 {} {host} {tag} {pid} {tag} - {text}", rfc3339(at)),
            }
            .into_bytes()
        }
    }
}

/// A message in pieces: two bytes of magic, eight that all its pieces share, which and how many.
fn chunks(bytes: &[u8], at: Timestamp) -> Vec<Vec<u8>> {
    let pieces: Vec<&[u8]> = bytes.chunks(CHUNK - 12).collect();
    if pieces.len() > MOST_CHUNKS {
        return Vec::new();
    }
    let shared = (at.as_nanosecond() as u64 ^ u64::from(std::process::id()).rotate_left(40)).to_be_bytes();
    let chunk = |(n, piece): (usize, &&[u8])| {
        let head = [&[0x1e, 0x0f][..], &shared, &[n as u8, pieces.len() as u8]].concat();
        [&head, *piece].concat()
    };
    pieces.iter().enumerate().map(chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_millisecond(1_764_322_962_016).expect("a time")
    }

    #[test]
    fn a_line_is_heard_as_gelf_whole_or_in_chunks_and_nobody_waits_for_who_does_not_listen() {
        let ear = UdpSocket::bind("127.0.0.1:0").expect("a port");
        ear.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a limit");
        let to = Hearer::Udp(ear.local_addr().expect("an address"));
        let form = Form::Gelf { host: "vm".into(), fields: [("_container_name".to_string(), "web".to_string())].into() };
        let mut sender = Sender::new(Relay { to, form });
        let mut room = [0; 4096];
        sender.say(Source::Stderr, b"boo", at());
        let n = ear.recv(&mut room).expect("a datagram");
        let heard: Value = serde_json::from_slice(&room[..n]).expect("JSON");
        let wanted = json!({"version": "1.1", "host": "vm", "short_message": "boo", "level": 3, "timestamp": 1764322962.016,
            "_container_name": "web"});
        assert_eq!(heard, wanted);
        sender.say(Source::Stdout, &[b'x'; 3000], at());
        let mut whole = Vec::new();
        for n in 0..3 {
            let got = ear.recv(&mut room).expect("a datagram");
            assert_eq!((room[..2].to_vec(), room[10], room[11]), (vec![0x1e, 0x0f], n, 3));
            whole.extend_from_slice(&room[12..got]);
        }
        let heard: Value = serde_json::from_slice(&whole).expect("JSON");
        assert_eq!(heard["short_message"].as_str().map(str::len), Some(3000));
        drop(ear);
        (0..100).for_each(|_| sender.say(Source::Stdout, b"nobody listens", at()));
    }

    #[test]
    fn syslog_has_its_three_ways_to_write_a_line() {
        let line = |layout| {
            let form = Form::Syslog { facility: 3, tag: "web".into(), host: "vm".into(), layout };
            String::from_utf8(message(&form, Source::Stdout, "hello", at())).expect("text")
        };
        let pid = std::process::id();
        assert!(line(Layout::Unix).starts_with("<30>Nov ") && line(Layout::Unix).ends_with(&format!(" web[{pid}]: hello")));
        assert!(line(Layout::Rfc3164).ends_with(&format!(" vm web[{pid}]: hello")));
        assert_eq!(line(Layout::Rfc5424), format!("<30>1 {} vm web {pid} web - hello", rfc3339(at())));
    }
}
