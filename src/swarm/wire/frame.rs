//! # Frames: length, kind, payload
//!
//! A frame is handed to the connection whole: head and payload apart would be two records of TLS, sealed and sent one by one.
//!
//! *Next room:* [`super::line`]

use crate::ca::identity::refused;
use minidock_base::{Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most a frame may hold.
pub const LIMIT: usize = 64 << 20;
/// The most that somebody without a certificate may send: a token and a request are a few kilobytes.
pub const OF_A_STRANGER: usize = 64 << 10;

/// Length and kind, in bytes.
const HEAD: usize = 5;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ask,
    Raft,
    Session,
    Tell,
    Hear,
    Ok,
    Error,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Ask => b'A',
            Kind::Raft => b'R',
            Kind::Session => b'S',
            Kind::Tell => b'T',
            Kind::Hear => b'H',
            Kind::Ok => b'O',
            Kind::Error => b'E',
        }
    }

    fn of(byte: u8) -> Option<Kind> {
        [Kind::Ask, Kind::Raft, Kind::Session, Kind::Tell, Kind::Hear, Kind::Ok, Kind::Error]
            .into_iter()
            .find(|k| k.byte() == byte)
    }
}

fn broken(error: std::io::Error) -> Error {
    refused(&error).during("speak with another node")
}

/// Sends one frame.
///
/// # Errors
/// The connection is gone; the payload is too large.
pub async fn send(out: &mut (impl AsyncWrite + Unpin), kind: Kind, payload: &[u8]) -> Result<()> {
    if payload.len() > LIMIT {
        return Err(Error::invalid(format!("a message of {} bytes is too large: {LIMIT} are allowed", payload.len())));
    }
    let mut whole = Vec::with_capacity(HEAD + payload.len());
    whole.extend((payload.len() as u32).to_be_bytes());
    whole.push(kind.byte());
    whole.extend(payload);
    out.write_all(&whole).await.map_err(broken)?;
    out.flush().await.map_err(broken)
}

/// The next frame, of at most `limit` bytes; `None` when the other side has ended the connection between two frames.
///
/// # Errors
/// The connection broke within a frame; what came is no frame, or too large a one.
pub async fn receive(from: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Option<(Kind, Vec<u8>)>> {
    let mut head = [0; HEAD];
    match from.read_exact(&mut head[..1]).await {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(broken(e)),
    }
    from.read_exact(&mut head[1..]).await.map_err(broken)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let kind = Kind::of(head[4]).ok_or_else(|| Error::invalid(format!("{:#04x} is no kind of frame", head[4])))?;
    if length > limit {
        return Err(Error::invalid(format!("a frame of {length} bytes was announced: {limit} are allowed")));
    }
    let mut payload = Vec::new();
    let read = from.take(length as u64).read_to_end(&mut payload).await.map_err(broken)?; // grows with what really comes
    match read == length {
        true => Ok(Some((kind, payload))),
        false => Err(Error::unavailable("the connection ended in the middle of a frame").during("speak with another node")),
    }
}
