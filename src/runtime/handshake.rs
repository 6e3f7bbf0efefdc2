//! # Handshake: the few messages parent and child exchange
//!
//! After clone3 there are two of us, and each has work that only it can do: the parent still sees the host (id maps, hooks
//! of the host's side, state), the child stands inside. They talk over one socket pair.
//!
//! ```text
//!   parent (runtime)                              child (init)
//!     id maps, oom score …            ── go ──►   only if there was something to wait for
//!     cgroups                       ── doors ──►   only if they are made while the child builds its tree already
//!     open it in the child's tree     ◄─ Source   a bind mount of something that was mounted just now
//!                                     ── go, with the descriptor ──►
//!     hooks prestart, createRuntime   ◄─ Hooks    mounts are made, the root is not yet pivoted
//!                                     ── go ──►
//!     hand it to the agent            ◄─ Listener{fd}   seccomp notify: take it with pidfd_getfd
//!                                     ── go ──►
//!     write state, pid file           ◄─ Ready    only the start is missing
//!                                     ── go ──►   `run`: at once. `create`: through the door, by `start`
//!                                     ◄─ Going    execve is next; end of file: it has happened
//!                                     ◄─ Failed   instead of any of these, and the child ends
//! ```
//!
//! * A message is twice four bytes of length (little endian), a word in JSON, and the lines of what the child recorded since
//!   the last one, as they will stand in the file: the parent need not understand them. Towards the child it is one byte.
//! * End of file where a message was due means that the child died; the parent learns how by wait(2).
//!
//! Laws: between Going and end of file nothing may fail silently: a failed execve still sends Failed.
//! Next room: [`crate::init`]

use crate::recording;
use minidock_base::{Doing, Error, Kind, Result, error::Wire};
use minidock_linux::{action, errno::CallFailed, fds};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{IoSlice, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// By its place in the list of mounts.
    Source {
        entry: usize,
    },
    Hooks,
    Listener {
        fd: i32,
    },
    Ready,
    Going,
    Failed(Wire),
}

/// No message of ours is near this; a child that sends more is not ours.
const LIMIT: u32 = 16 << 20;

/// The child's side: says a word, with what was recorded.
///
/// # Errors
/// The other end is gone.
pub fn say(to: &mut File, word: Word) -> std::io::Result<()> {
    let mut head = vec![0; 8];
    serde_json::to_writer(&mut head, &word)?;
    let (word, lines) = (head.len() - 8, action::take_lines());
    head[..4].copy_from_slice(&(word as u32).to_le_bytes());
    head[4..8].copy_from_slice(&(lines.len() as u32).to_le_bytes());
    write_both(to, &head, &lines)
}

/// One message of two pieces, in one call as a rule.
fn write_both(to: &mut File, head: &[u8], lines: &[u8]) -> std::io::Result<()> {
    let written = match to.write_vectored(&[IoSlice::new(head), IoSlice::new(lines)]) {
        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => 0,
        written => written?,
    };
    to.write_all(head.get(written..).unwrap_or_default())?;
    to.write_all(&lines[written.saturating_sub(head.len())..])
}

/// The parent's side: the next word, or none at the end of file. What the child recorded goes to our own recording.
///
/// # Errors
/// A message that is cut short or none of ours.
pub fn hear(from: &mut File) -> Result<Option<Word>> {
    let mut lengths = [0; 8];
    if !fill(from, &mut lengths).map_err(cut)? {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = lengths;
    let (word, lines) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if word > LIMIT || lines > LIMIT {
        return Err(Error::system(format!("a message of {word} and {lines} bytes is not from our init")));
    }
    let mut text = vec![0; word as usize];
    from.read_exact(&mut text).map_err(cut)?;
    let word = serde_json::from_slice(&text).map_err(|e| Error::system(format!("init's message: {e}")))?;
    recording::adopt(lines as usize, |room| from.read_exact(room)).map_err(cut)?;
    Ok(Some(word))
}

fn fill(from: &mut File, room: &mut [u8]) -> std::io::Result<bool> {
    match from.read(room) {
        Ok(0) => Ok(false),
        Ok(n) => from.read_exact(&mut room[n..]).map(|()| true),
        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => fill(from, room),
        // A killed child's end of a socket may answer so; it is an end like the other.
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
        Err(e) => Err(e),
    }
}

fn cut(e: std::io::Error) -> Error {
    Error::new(Kind::System, format!("init's message was cut short: {e}"))
}

/// The parent lets the child go on.
///
/// # Errors
/// The child is gone.
pub fn go(to: &mut File) -> std::io::Result<()> {
    to.write_all(b"g")
}

/// As [`go`], with a descriptor that the child has asked for.
///
/// # Errors
/// The child is gone.
pub fn go_with(to: &File, fd: &OwnedFd) -> Result<(), CallFailed> {
    fds::send_fd(to, fd, b"g")
}

/// The groups are there: hands their doors to the child that waits for them.
///
/// # Errors
/// The child is gone.
pub fn doors_with(to: &File, doors: &[OwnedFd]) -> Result<(), CallFailed> {
    let doors: Vec<_> = doors.iter().map(AsFd::as_fd).collect();
    fds::send_fds(to, &doors, b"d")
}

/// The child waits for the doors of its groups.
///
/// # Errors
/// The parent is gone.
pub fn wait_for_doors(from: &File) -> Result<Vec<OwnedFd>> {
    match fds::receive_fds(from, &mut [0]).doing(|| "wait for the control groups")? {
        (1.., doors) => Ok(doors),
        _ => Err(Error::system("the runtime is gone").during("wait for the control groups")),
    }
}

/// The child waits for a descriptor.
///
/// # Errors
/// The parent is gone; or it sent none.
pub fn wait_for_descriptor(from: &File) -> Result<OwnedFd> {
    match fds::receive_fd(from, &mut [0]).doing(|| "talk to the runtime")? {
        (1.., Some(fd)) => Ok(fd),
        _ => Err(Error::system("the runtime sent no descriptor").during("talk to the runtime")),
    }
}

/// The child waits for the parent.
///
/// # Errors
/// The parent is gone, and with it all reason to go on.
pub fn wait(from: &mut File) -> std::io::Result<()> {
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_whole_and_in_order() {
        let (a, b) = minidock_linux::fds::socketpair().expect("a pair");
        let (mut child, mut parent) = (File::from(a), File::from(b));
        say(&mut child, Word::Ready).expect("the parent listens");
        say(&mut child, Word::Failed(Error::system("no luck").to_wire())).expect("the parent listens");
        drop(child);
        assert!(matches!(hear(&mut parent), Ok(Some(Word::Ready))));
        assert!(matches!(hear(&mut parent), Ok(Some(Word::Failed(wire))) if wire.because == "no luck"));
        assert!(matches!(hear(&mut parent), Ok(None)));
    }
}
