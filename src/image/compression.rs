//! # Compression: gzip, zstd, or nothing
//!
//! Layers and whole archives come compressed or not, and the file name does not tell: the first bytes do
//! ([`Compression::of`]). Inflating costs as much as unpacking, so [`ahead`] does it on a thread of its own, a few buffers
//! ahead of the reader, and hashes what it produced on the way: that digest of the *uncompressed* bytes is the layer's
//! diff ID.
//!
//! ```text
//!   blob ──► inflate, hash ──┤ four buffers ├──► tar reader (BufRead, no copy)
//!            a thread                              the caller's thread
//! ```
//!
//! Laws: memory does not depend on what the stream claims (a zstd window above [`WIDEST_WINDOW`] is refused); all bytes
//! are hashed, those after the end of the tar archive too. See: RFC 1952, RFC 8878. Next room: [`crate::layer`]

use minidock_base::{Error, Result};
use minidock_spec::{
    digest::{Digest, Hasher},
    image::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD},
};
use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

/// What zstd -19 --long uses at most without being told twice.
pub const WIDEST_WINDOW: u64 = 128 << 20;

const CHUNK: usize = 128 << 10;
const CHUNKS_AHEAD: usize = 8;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl Compression {
    /// Reads the magic number.
    ///
    /// # Errors
    /// Formats that Docker once accepted and nobody writes any more (bzip2, xz), by name.
    pub fn of(first: &[u8]) -> Result<Compression> {
        let refuse = |format: &str, tool: &str| {
            Err(Error::invalid(format!("{format} compression is not supported; gzip, zstd and plain tar are"))
                .hint(format!("{tool} -dc ARCHIVE | minidock …")))
        };
        match first {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd), // a skippable frame first
            [b'B', b'Z', b'h', ..] => refuse("bzip2", "bunzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => refuse("xz", "xz"),
            _ => Ok(Compression::Plain),
        }
    }

    /// The media type of a layer packed this way.
    pub fn layer_type(self) -> &'static str {
        match self {
            Compression::Plain => OCI_LAYER,
            Compression::Gzip => OCI_LAYER_GZIP,
            Compression::Zstd => OCI_LAYER_ZSTD,
        }
    }
}

/// The uncompressed bytes of `packed`, whatever its compression.
///
/// # Errors
/// The stream cannot be read, or [`Compression::of`] refuses it.
pub fn inflate<'a>(mut packed: impl BufRead + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let first = packed.fill_buf().map_err(|e| crate::disk(&e, "read the beginning of an archive"))?;
    Ok(match Compression::of(first)? {
        Compression::Plain => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(Frames { packed, frame: None }),
    })
}

/// All zstd frames of a stream, one after the other, skippable ones left out.
struct Frames<R: BufRead> {
    packed: R,
    frame: Option<Box<ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame; false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {e}"));
        loop {
            if self.packed.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut decoder = self.frame.take().unwrap_or_else(|| Box::new(ruzstd::decoding::FrameDecoder::new()));
            decoder.set_max_window_size(WIDEST_WINDOW);
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

/// Reads `source` on a thread of its own while `work` uses the bytes; afterwards the rest is read too. Gives back what
/// `work` made, the digest of *all* bytes, and their count.
///
/// # Errors
/// Those of `work`; or those of `source`, which `work` sees as its stream's failure.
pub fn ahead<T>(
    source: impl Read + Send,
    hashed: bool,
    work: impl FnOnce(&mut Buffered) -> Result<T>,
) -> Result<(T, Digest, u64)> {
    std::thread::scope(|scope| {
        let (full, incoming) = sync_channel(CHUNKS_AHEAD);
        let (empty, spare) = sync_channel(CHUNKS_AHEAD + 2);
        let reading = scope.spawn(move || read_all(source, hashed, &full, &spare));
        let mut buffered = Buffered { incoming, empty, chunk: Vec::new(), used: 0, failed: None };
        let made = work(&mut buffered).and_then(|made| {
            buffered.drain().map_err(|e| crate::disk(&e, "read to the end of the archive"))?;
            Ok(made)
        });
        drop(buffered); // a reader that waits for room would wait for ever
        let (digest, count) = reading.join().map_err(|_| Error::system("the reading thread panicked"))?;
        made.map(|made| (made, digest, count))
    })
}

type Chunk = io::Result<Vec<u8>>;

fn read_all(mut source: impl Read, hashed: bool, full: &SyncSender<Chunk>, spare: &Receiver<Vec<u8>>) -> (Digest, u64) {
    let (mut hasher, mut count) = (Hasher::new(), 0u64);
    loop {
        let mut chunk = spare.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        let ended = loop {
            match source.read(&mut chunk[filled..]) {
                Ok(0) => break Ok(true),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
            if filled == chunk.len() {
                break Ok(false);
            }
        };
        chunk.truncate(filled);
        if hashed {
            hasher.update(&chunk);
        }
        count += filled as u64;
        let gone = filled > 0 && full.send(Ok(chunk)).is_err();
        match ended {
            Ok(false) if !gone => {}
            Err(e) => {
                let _ = full.send(Err(e)); // nobody listens any more: nobody minds
                break;
            }
            _ => break,
        }
    }
    (hasher.finish(), count)
}

/// The bytes that the reading thread has ready.
pub struct Buffered {
    incoming: Receiver<Chunk>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
    failed: Option<(io::ErrorKind, String)>,
}

impl Buffered {
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let n = self.fill_buf()?.len();
            if n == 0 {
                return Ok(());
            }
            self.consume(n);
        }
    }
}

impl BufRead for Buffered {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        if self.used >= self.chunk.len() {
            let used = std::mem::take(&mut self.chunk);
            self.used = 0;
            let _ = self.empty.try_send(used);
            match self.incoming.recv() {
                Ok(Ok(chunk)) => self.chunk = chunk,
                Ok(Err(e)) => {
                    self.failed = Some((e.kind(), e.to_string()));
                    return Err(e);
                }
                Err(_) => {} // the end
            }
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, n: usize) {
        self.used += n;
    }
}

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let slice = self.fill_buf()?;
        let n = slice.len().min(buffer.len());
        buffer[..n].copy_from_slice(&slice[..n]);
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn members_and_frames_are_read_one_after_the_other() {
        let twice = [gzip(b"one "), gzip(b"two")].concat();
        let mut text = String::new();
        inflate(&twice[..]).expect("gzip").read_to_string(&mut text).expect("whole");
        assert_eq!(text, "one two");
        let frame = |b: &[u8]| ruzstd::encoding::compress_to_vec(b, ruzstd::encoding::CompressionLevel::Fastest);
        let skip = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let frames = [&skip[..], &frame(b"one "), &skip, &frame(b"two"), &skip].concat();
        let mut text = String::new();
        inflate(&frames[..]).expect("zstd").read_to_string(&mut text).expect("whole");
        assert_eq!(text, "one two");
    }

    #[test]
    fn all_bytes_are_hashed_even_those_nobody_read() {
        let bytes = vec![7u8; 3 * CHUNK + 5];
        let (first, digest, count) = ahead(&bytes[..], true, |b| Ok(b.fill_buf().expect("bytes")[0])).expect("reads");
        assert_eq!((first, digest, count), (7, Digest::of(&bytes), bytes.len() as u64));
    }

    #[test]
    fn a_cut_stream_is_an_error_and_never_a_shorter_file() {
        let packed = gzip(&vec![1u8; 1 << 20]);
        for length in [3, 20, packed.len() / 2, packed.len() - 1] {
            let source = inflate(&packed[..length]).expect("the magic is there");
            assert!(ahead(source, true, |_| Ok(())).is_err(), "cut at {length}");
        }
    }
}
