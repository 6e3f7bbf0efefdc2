//! # Logs: what a container has said
//!
//! The shim keeps everything in a file; this room reads it back for the API: the last lines, from a time to a time, and
//! on and on while the container says more.
//!
//! ```text
//!   <id>-json.log ──thread that may block──► entries ─► chosen streams, timestamps, frames ──channel──► the API's body
//!                                             follow: asks "does it still run?" at the end
//! ```
//!
//! * Without a terminal each entry is a frame (stdout 1, stderr 2); with one, bare text.
//! * The channel is short: a client that does not read holds the thread, and costs no memory.
//!
//! *See:* [`minidock_shim::log_file`]; Engine API, logs. *Next room:* [`crate::container::exec`]

use crate::{Engine, container::store::Container};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use minidock_base::{Error, Result, clock};
use minidock_shim::log_file::{
    self, Following, LogRead,
    line::{Entry, Source},
};
use minidock_spec::engine::stream::{self, Stream};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// How many pieces may wait for the client.
const WAITING: usize = 16;

/// What of the log is wanted.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub timestamps: bool,
    pub details: bool,
    pub tail: Option<u64>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// A log as the API sends it.
pub struct LogStream {
    /// Bare text instead of frames.
    pub tty: bool,
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// Reads a container's log.
///
/// # Errors
/// 400 when neither stream is wanted; 501 when it keeps no log.
pub async fn logs(engine: &Arc<Engine>, text: &str, options: LogOptions) -> Result<LogStream> {
    if !options.stdout && !options.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let container = engine.containers.find(text)?;
    let tty = container.record().config.tty;
    let shape = options.clone();
    let receive = begin(engine, &container, options, move |entry| piece(&entry, &shape, tty))?;
    let stream = futures_util::stream::unfold(receive, |mut receive| async move {
        let piece: Result<Bytes> = receive.recv().await?;
        Some((piece, receive))
    });
    Ok(LogStream { tty, stream: Box::pin(stream) })
}

/// One thing a container said.
#[derive(Clone, Debug)]
pub struct Said {
    pub at: Timestamp,
    pub stream: Stream,
    /// Its newline included.
    pub text: String,
    /// `key=value,key=value`: what `--log-opt labels=…` attached.
    pub details: String,
}

/// The same as values: for whoever sends them elsewhere.
///
/// # Errors
/// 501 when it keeps no log.
pub fn entries(engine: &Engine, container: &Arc<Container>, options: LogOptions) -> Result<mpsc::Receiver<Result<Said>>> {
    begin(engine, container, options, |entry| Said {
        at: entry.at,
        stream: stream_of(entry.source),
        details: details(&entry),
        text: entry.text,
    })
}

/// Reads on a thread that may block; each entry as `make` makes it.
fn begin<T: Send + 'static>(
    engine: &Engine,
    container: &Arc<Container>,
    options: LogOptions,
    make: impl Fn(Entry) -> T + Send + 'static,
) -> Result<mpsc::Receiver<Result<T>>> {
    if container.record().host_config.log_config.kind == "none" {
        return Err(Error::not_implemented("configured logging driver does not support reading")
            .hint("containers made with --log-driver none keep no log"));
    }
    let (send, receive) = mpsc::channel(WAITING);
    let path = engine.paths.container_log(&container.id);
    let follow = options.follow.then(|| following(Arc::downgrade(container), send.downgrade()));
    let wish = LogRead { path, tail: options.tail, since: options.since, until: options.until, follow };
    tokio::task::spawn_blocking(move || read(wish, &options, make, &send));
    Ok(receive)
}

/// What to do at the end of the file.
fn following<T: Send + 'static>(
    container: Weak<Container>,
    send: mpsc::WeakSender<Result<T>>,
) -> Arc<dyn Fn() -> Following + Send + Sync> {
    Arc::new(move || {
        let listens = send.upgrade().is_some_and(|send| !send.is_closed());
        match container.upgrade() {
            _ if !listens => Following::Stop,
            Some(container) if container.record().state.is_running() || !container.has_ended() => Following::GoOn,
            _ => Following::EndWhenDrained,
        }
    })
}

fn read<T>(wish: LogRead, options: &LogOptions, make: impl Fn(Entry) -> T, send: &mpsc::Sender<Result<T>>) {
    let reader = match log_file::read(wish) {
        Ok(reader) => reader,
        Err(error) => return drop(send.blocking_send(Err(error))), // nobody may be listening any more
    };
    for entry in reader {
        let piece = match entry {
            Ok(entry) if !wants(options, entry.source) => continue,
            Ok(entry) => Ok(make(entry)),
            Err(error) => Err(error),
        };
        if send.blocking_send(piece).is_err() {
            return; // the client has gone
        }
    }
}

fn wants(options: &LogOptions, source: Source) -> bool {
    match source {
        Source::Stdout => options.stdout,
        Source::Stderr => options.stderr,
    }
}

/// One entry as the client gets it.
fn piece(entry: &Entry, options: &LogOptions, tty: bool) -> Bytes {
    let mut text = String::new();
    if options.timestamps {
        text.push_str(&clock::rfc3339_nanos(entry.at));
        text.push(' ');
    }
    if options.details {
        text.push_str(&details(entry));
        text.push(' ');
    }
    text.push_str(&entry.text);
    if tty {
        return Bytes::from(text);
    }
    let mut frame = stream::header(stream_of(entry.source), text.len() as u32).to_vec();
    frame.extend_from_slice(text.as_bytes());
    Bytes::from(frame)
}

fn stream_of(source: Source) -> Stream {
    match source {
        Source::Stdout => Stream::Stdout,
        Source::Stderr => Stream::Stderr,
    }
}

/// What was attached, as `logs --details` shows it.
fn details(entry: &Entry) -> String {
    let attributes: Vec<String> = entry.attrs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
    attributes.join(",")
}

/// As Go's `url.QueryEscape`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
