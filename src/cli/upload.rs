//! # Uploads: a file or a pipe as the body of a request
//!
//! `image load` sends gigabytes. The bytes are read on a thread of their own, a few pieces ahead, so that the one async
//! thread can send them and at the same time read what the daemon says about its progress; a slow pipe blocks nobody.
//!
//! Laws: at most [`AHEAD`] pieces are in memory; when the daemon stops listening, the thread ends at its next piece.
//! *Next room:* [`crate::progress`]

use bytes::Bytes;
use futures_util::Stream;
use std::io::{self, Read};

const PIECE: usize = 256 << 10;
const AHEAD: usize = 8;

/// Everything `reader` gives, in pieces.
pub fn pieces(mut reader: impl Read + Send + 'static) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (send, receive) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(AHEAD);
    std::thread::spawn(move || {
        loop {
            let mut buffer = vec![0; PIECE];
            let piece = match fill(&mut reader, &mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    buffer.truncate(length);
                    Ok(Bytes::from(buffer))
                }
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if send.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    futures_util::stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) })
}

/// Reads until the buffer is full or the input ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
