//! # Streams: this terminal and a program somewhere else
//!
//! `run`, `start -a`, `attach` and `exec` all end up here with a hijacked connection: what is typed must go there, what the
//! program says must appear here, on the right descriptor, at once, until the program has nothing more to say.
//!
//! ```text
//!   standard input ──thread──► channel ──detach keys?──► connection ─────► the program
//!        at its end: half close                          │
//!   standard output ◄── frames of stream 1 ◄─────────────┤   with a terminal: no frames, all is output
//!   standard error  ◄── frames of stream 2 ◄─────────────┘
//! ```
//!
//! * [`join`] ends when the daemon closes its side, or when the detach keys were typed.
//! * Standard input is read by a thread of its own: a read(2) of a terminal cannot be waited for and given up. Nobody waits
//!   for that thread at the end.
//!
//! Laws: nothing is buffered, nothing is coloured; the end of our input never ends the output; a terminal made raw here is
//! given back when [`join`] ends or is dropped. *See:* Engine API, attach. *Next room:* [`crate::container::signals`]

use crate::container::signals;
use crate::detach_keys::Watch;
use crate::terminal::{self, Raw};
use minidock_base::{Error, Result};
use minidock_client::Hijacked;
use minidock_client::hijack::{Input, Output};
use minidock_spec::engine::stream::{Deframer, Stream};
use tokio::sync::mpsc;

/// What is connected to what.
#[derive(Clone, Debug)]
pub struct Wires {
    /// The program has a terminal: no frames, and ours becomes raw.
    pub tty: bool,
    /// Our standard input goes to the program.
    pub stdin: bool,
    pub detach_keys: Vec<u8>,
    /// Nobody passes signals on to the program: one that would end us gives the terminal back first.
    pub mortal: bool,
}

/// Why the streams ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The program has nothing more to say.
    Output,
    /// The user typed the detach keys.
    Detached,
    /// We were told to end, by this signal.
    Signal(i32),
}

/// Connects both sides until one of them ends it.
///
/// # Errors
/// tcsetattr(3) of our terminal; frames that are none.
pub async fn join(io: Hijacked, wires: &Wires) -> Result<End> {
    let Hijacked { output, input } = io;
    let raw = if wires.tty && wires.stdin { Raw::enter()? } else { None };
    let typed = wires.stdin.then(keyboard);
    let mortal = wires.mortal && raw.is_some();
    tokio::select! {
        shown = show(output, wires.tty) => shown.map(|()| End::Output),
        () = send(input, typed, wires) => Ok(End::Detached),
        number = signals::ending(), if mortal => Ok(End::Signal(number)),
    }
}

/// The same while `start` is under way; when it has succeeded, what `then` gives lives until the streams end.
///
/// # Errors
/// As [`join`], and those of `start`.
pub async fn join_while<T>(
    io: Hijacked,
    wires: &Wires,
    start: impl Future<Output = Result<()>>,
    then: impl FnOnce() -> T,
) -> Result<End> {
    let joined = join(io, wires);
    tokio::pin!(joined, start);
    // a fast program may have said everything before its start is answered
    let mut early = None;
    loop {
        tokio::select! {
            started = &mut start => break started?,
            end = &mut joined, if early.is_none() => early = Some(end?),
        }
    }
    let _lives = then();
    match early {
        Some(end) => Ok(end),
        None => joined.await,
    }
}

/// Everything the daemon sends, to the descriptor it belongs to.
async fn show(mut output: Output, tty: bool) -> Result<()> {
    let mut buffer = vec![0u8; 64 * 1024];
    let mut frames = Deframer::new();
    loop {
        let n = match output.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => n,
        };
        match tty {
            true => terminal::print_bytes(&buffer[..n]),
            false => frames.feed(&buffer[..n], show_piece).map_err(not_a_frame)?,
        }
    }
}

/// One piece of a frame.
pub fn show_piece(stream: Stream, bytes: &[u8]) {
    match stream {
        Stream::Stdin | Stream::Stdout => terminal::print_bytes(bytes),
        Stream::Stderr => terminal::eprint_bytes(bytes),
        Stream::System => {
            terminal::eprint("minidock: Error response from daemon: ");
            terminal::eprint_bytes(bytes);
        }
    }
}

/// The error for a first byte that names no stream.
pub fn not_a_frame(byte: u8) -> Error {
    Error::system(format!("unrecognized stream: {byte}"))
        .hint("the program has a terminal, or the daemon speaks another protocol")
}

/// Passes on what is typed; comes back only when the detach keys were.
async fn send(mut input: Input, typed: Option<mpsc::Receiver<Vec<u8>>>, wires: &Wires) {
    let Some(mut typed) = typed else { return std::future::pending().await };
    let mut watch = Watch::new(if wires.tty { wires.detach_keys.clone() } else { Vec::new() });
    while let Some(keys) = typed.recv().await {
        let (on, detached) = watch.pass(&keys);
        // the program may have gone already: its output is still to come, so that is no reason to end
        if input.write_all(&on).await.is_err() {
            break;
        }
        if detached {
            return;
        }
    }
    let _ = input.close().await;
    std::future::pending().await
}

/// A thread that reads standard input; the channel closes at its end.
fn keyboard() -> mpsc::Receiver<Vec<u8>> {
    use std::io::Read;
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0u8; 32 * 1024];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(n) if sender.blocking_send(buffer[..n].to_vec()).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}
