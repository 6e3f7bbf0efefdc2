//! # Stream frames: two pipes on one wire
//!
//! Without a terminal, standard output and standard error share one connection. Each piece is preceded by eight bytes:
//! which stream, three zeros, and the length, big-endian. With a terminal there is one stream and no frames.
//!
//! ```text
//!   01 00 00 00  00 00 00 06  'h' 'e' 'l' 'l' 'o' '\n'
//!   │            └ length
//!   └ 0 stdin, 1 stdout, 2 stderr, 3 an error of the daemon's
//! ```
//!
//! See: Engine API, "Stream format" of attach. Next room: the floor above, `client` or `api`

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    Stdin = 0,
    Stdout = 1,
    Stderr = 2,
    System = 3,
}

/// The eight bytes in front of `length` bytes of `stream`.
pub fn header(stream: Stream, length: u32) -> [u8; 8] {
    let n = length.to_be_bytes();
    [stream as u8, 0, 0, 0, n[0], n[1], n[2], n[3]]
}

/// Reads a header back; `None` for a stream number that does not exist.
pub fn parse_header(bytes: [u8; 8]) -> Option<(Stream, usize)> {
    let stream = match bytes[0] {
        0 => Stream::Stdin,
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        3 => Stream::System,
        _ => return None,
    };
    Some((stream, u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize))
}

/// Takes frames out of bytes that arrive in any pieces.
#[derive(Default)]
pub struct Deframer {
    head: Vec<u8>,
    left: usize,
    stream: Option<Stream>,
}

impl Deframer {
    pub fn new() -> Deframer {
        Deframer::default()
    }

    /// Feeds `bytes`; `each` gets every piece of payload with its stream.
    ///
    /// # Errors
    /// The first byte of a header that is no stream number.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Stream, &[u8])) -> Result<(), u8> {
        while !bytes.is_empty() {
            match self.stream {
                Some(stream) => {
                    let n = self.left.min(bytes.len());
                    each(stream, &bytes[..n]);
                    self.left -= n;
                    bytes = &bytes[n..];
                    if self.left == 0 {
                        self.stream = None;
                    }
                }
                None => {
                    let n = (8 - self.head.len()).min(bytes.len());
                    self.head.extend_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                    if let Ok(head) = <[u8; 8]>::try_from(self.head.as_slice()) {
                        let (stream, length) = parse_header(head).ok_or(head[0])?;
                        self.head.clear();
                        self.left = length;
                        self.stream = (length > 0).then_some(stream);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cutting(pieces in prop::collection::vec((1u8..3, prop::collection::vec(any::<u8>(), 0..50)), 0..10), cut in 1usize..17) {
            let mut wire = Vec::new();
            let mut want: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
            for (stream, payload) in &pieces {
                let stream = if *stream == 1 { Stream::Stdout } else { Stream::Stderr };
                wire.extend(header(stream, payload.len() as u32));
                wire.extend(payload);
                want[stream as usize - 1].extend(payload);
            }
            let mut got: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
            let mut deframer = Deframer::new();
            for piece in wire.chunks(cut) {
                deframer.feed(piece, |stream, bytes| got[stream as usize - 1].extend_from_slice(bytes)).expect("known streams");
            }
            prop_assert_eq!(got, want);
        }
    }
}
