//! # Zstd: frames, one after the other
//!
//! A zstd stream is frames end to end, and some of them are only padding or somebody's index ("skippable"). The decoder that we buy reads one
//! frame; a layer is all of them.
//!
//! ```text
//!   ├ frame ─────┤├ skippable ┤├ frame ──┤     ──► the bytes of both frames
//! ```
//!
//! Law: a window above [`compression::WIDEST_WINDOW`] is refused before it is allocated. See: RFC 8878 §3.1. Next room: [`crate::layer`]

use crate::compression;
use std::io::{self, BufRead, Read};

/// All frames of a stream.
pub(crate) struct Frames<R: BufRead> {
    packed: R,
    frame: Option<Box<ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    pub fn new(packed: R) -> Frames<R> {
        Frames { packed, frame: None }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {e}"));
        loop {
            if self.packed.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut decoder = self.frame.take().unwrap_or_else(|| Box::new(ruzstd::decoding::FrameDecoder::new()));
            decoder.set_max_window_size(compression::WIDEST_WINDOW);
            match decoder.reset(&mut self.packed) {
                Ok(()) => {
                    self.frame = Some(decoder);
                    return Ok(true);
                }
                Err(ruzstd::decoding::errors::FrameDecoderError::ReadFrameHeaderError(
                    ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame { length, .. },
                )) => {
                    let skipped = io::copy(&mut (&mut self.packed).take(u64::from(length)), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(invalid("a skippable frame ends too early".into()));
                    }
                }
                Err(other) => return Err(invalid(other.to_string())),
            }
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.frame.is_none() && !self.begin()? {
                return Ok(0);
            }
            let Some(frame) = self.frame.as_mut() else { return Ok(0) };
            while frame.can_collect() == 0 && !frame.is_finished() {
                frame
                    .decode_blocks(&mut self.packed, ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {e}")))?;
            }
            let n = Read::read(frame.as_mut(), buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if !self.begin()? {
                self.frame = None;
                return Ok(0);
            }
        }
    }
}
