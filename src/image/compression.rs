//! # Compression: gzip, zstd, bzip2, xz, or nothing
//!
//! Layers and whole archives come compressed or not, and the file name does not tell: the first bytes do
//! ([`Compression::of`]). Gzip and zstd are what layers are kept in; bzip2 and xz are how some archives come, and no media type of a layer
//! knows them: what is kept of those is what is in them ([`storable`]). Inflating costs as much as unpacking, so [`ahead`] does it on a thread of its own, a few buffers
//! ahead of the reader, and hashes what it produced on the way: that digest of the *uncompressed* bytes is the layer's
//! diff ID.
//!
//! ```text
//!   blob ──► inflate, hash ──┤ four buffers ├──► tar reader (BufRead, no copy)
//!            a thread                              the caller's thread
//! ```
//!
//! Laws: memory does not depend on what the stream claims (a window above [`WIDEST_WINDOW`] is refused); all bytes
//! are hashed, those after the end of the tar archive too; who reads on after a failure gets it again. See: RFC 1952, RFC 8878, the .xz file
//! format. Next room: [`crate::zstd`]

use crate::zstd::Frames;
use minidock_base::{Error, Result};
use minidock_spec::{
    digest::{Digest, Hasher},
    image::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD},
};
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

/// What zstd -19 --long uses at most without being told twice; xz -9 uses half of it.
pub const WIDEST_WINDOW: u64 = 128 << 20;

/// The same for xz, in KiB, with what its tables take.
const WIDEST_KIB: u32 = (WIDEST_WINDOW >> 10) as u32 + 1024;

const LONGEST_MAGIC: u64 = 6;
const CHUNK: usize = 128 << 10;
const CHUNKS_AHEAD: usize = 8;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Reads the magic number.
    pub fn of(first: &[u8]) -> Compression {
        match first {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd, // a skippable frame first
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            _ => Compression::Plain,
        }
    }

    /// The media type of a layer packed this way; `None` if none has a name.
    pub fn layer_type(self) -> Option<&'static str> {
        match self {
            Compression::Plain => Some(OCI_LAYER),
            Compression::Gzip => Some(OCI_LAYER_GZIP),
            Compression::Zstd => Some(OCI_LAYER_ZSTD),
            Compression::Bzip2 | Compression::Xz => None,
        }
    }
}

/// The uncompressed bytes of `packed`, whatever its compression.
///
/// # Errors
/// The beginning of the stream cannot be read.
pub fn inflate<'a>(packed: impl BufRead + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let (compression, packed) = recognised(packed)?;
    Ok(inflated(compression, packed))
}

/// The bytes of `packed` as they are kept for a layer, and their media type: as they come, or inflated if no layer may be packed like that.
///
/// # Errors
/// The beginning of the stream cannot be read.
pub fn storable<'a>(packed: impl BufRead + Send + 'a) -> Result<(Box<dyn BufRead + Send + 'a>, &'static str)> {
    let (compression, packed) = recognised(packed)?;
    Ok(match compression.layer_type() {
        Some(media_type) => (Box::new(packed), media_type),
        None => (Box::new(BufReader::with_capacity(CHUNK, inflated(compression, packed))), OCI_LAYER),
    })
}

fn inflated<'a>(compression: Compression, packed: impl BufRead + Send + 'a) -> Box<dyn Read + Send + 'a> {
    match compression {
        Compression::Plain => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(Frames::new(packed)),
        Compression::Bzip2 => Box::new(Checked::new(bzip2::bufread::MultiBzDecoder::new(packed))),
        Compression::Xz => Box::new(Checked::new(lzma_rust2::XzReader::new_mem_limit(packed, true, WIDEST_KIB))),
    }
}

/// Reads the magic number, and gives it back with the rest: a pipe may bring it byte by byte.
fn recognised(mut packed: impl BufRead) -> Result<(Compression, impl BufRead)> {
    let mut first = Vec::new();
    let read = (&mut packed).take(LONGEST_MAGIC).read_to_end(&mut first);
    read.map_err(|e| crate::disk(&e, "read the beginning of an archive"))?;
    Ok((Compression::of(&first), io::Cursor::new(first).chain(packed)))
}

/// A decoder whose first failure is its last word.
struct Checked<R> {
    decoder: R,
    failed: Option<(io::ErrorKind, String)>,
}

impl<R> Checked<R> {
    fn new(decoder: R) -> Checked<R> {
        Checked { decoder, failed: None }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        self.decoder.read(buffer).inspect_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => {}
            kind => self.failed = Some((kind, e.to_string())),
        })
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
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        ::bzip2::read::BzEncoder::new(bytes, ::bzip2::Compression::fast()).read_to_end(&mut packed).expect("memory");
        packed
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).expect("memory");
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn all_kinds() -> [(&'static str, fn(&[u8]) -> Vec<u8>); 4] {
        [("gzip", gzip), ("zstd", zstd), ("bzip2", bzip2), ("xz", xz)]
    }

    /// Gives single bytes, as a slow pipe does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    #[test]
    fn members_frames_and_streams_are_read_one_after_the_other() {
        for (kind, pack) in all_kinds() {
            let twice = [pack(b"one "), pack(b"two")].concat();
            let mut text = String::new();
            inflate(BufReader::new(Slow(&twice))).expect(kind).read_to_string(&mut text).expect("whole");
            assert_eq!(text, "one two", "{kind}");
        }
    }

    #[test]
    fn skippable_frames_are_skipped() {
        let skip = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let frames = [&skip[..], &zstd(b"one "), &skip, &zstd(b"two"), &skip].concat();
        let mut text = String::new();
        inflate(&frames[..]).expect("zstd").read_to_string(&mut text).expect("whole");
        assert_eq!(text, "one two");
    }

    #[test]
    fn what_no_layer_may_be_packed_with_is_kept_inflated() {
        for (kind, pack) in all_kinds() {
            let packed = pack(b"a layer");
            let (mut kept, media_type) = storable(&packed[..]).expect(kind);
            let mut bytes = Vec::new();
            kept.read_to_end(&mut bytes).expect("whole");
            assert_eq!(bytes == packed, !matches!(kind, "bzip2" | "xz"), "{kind}");
            assert_eq!(media_type == OCI_LAYER, matches!(kind, "bzip2" | "xz"), "{kind}");
        }
    }

    #[test]
    fn an_xz_window_too_wide_is_refused_before_it_is_allocated() {
        let mut options = lzma_rust2::XzOptions::with_preset(0);
        options.lzma_options.dict_size = 64 << 20;
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("memory");
        encoder.write_all(b"small").expect("memory");
        let mut packed = encoder.finish().expect("memory");
        // the block header: size, flags, filter id, size of its properties, the dictionary's size; CRC32 behind
        let (header, dictionary) = (12, 12 + 4);
        assert_eq!(packed[dictionary], 28, "64 MiB");
        packed[dictionary] = 40; // 4 GiB - 1
        let length = (usize::from(packed[header]) + 1) * 4;
        let sum = crc32(&packed[header..header + length - 4]);
        packed[header + length - 4..header + length].copy_from_slice(&sum.to_le_bytes());
        let error = inflate(&packed[..]).expect("the magic is there").read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let bit = |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(sum & 1));
        !bytes.iter().fold(!0u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), bit))
    }

    #[test]
    fn all_bytes_are_hashed_even_those_nobody_read() {
        let bytes = vec![7u8; 3 * CHUNK + 5];
        let (first, digest, count) = ahead(&bytes[..], true, |b| Ok(b.fill_buf().expect("bytes")[0])).expect("reads");
        assert_eq!((first, digest, count), (7, Digest::of(&bytes), bytes.len() as u64));
    }

    #[test]
    fn a_cut_stream_is_an_error_and_never_a_shorter_file() {
        for (kind, pack) in all_kinds() {
            let packed = pack(&(0..1u32 << 16).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
            for length in [8, 20, packed.len() / 2, packed.len() - 1] {
                let source = inflate(&packed[..length]).expect("the magic is there");
                assert!(ahead(source, true, |_| Ok(())).is_err(), "{kind} cut at {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_damaged_stream_ends_and_fails_for_good(
            kind in 0usize..4,
            length in 0usize..60_000,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let bytes: Vec<u8> = (0..length).map(|n| ((n * n) >> 7) as u8).collect();
            let mut packed = all_kinds()[kind].1(&bytes);
            for (at, byte) in damage {
                let at = at.index(packed.len());
                packed[at] = byte;
            }
            let Ok(mut source) = inflate(&packed[..]) else { return Ok(()) };
            // a bomb made by chance may be long; it never takes memory
            if io::copy(&mut (&mut source).take(64 << 20), &mut io::sink()).is_err() && kind >= 2 {
                prop_assert!(source.read(&mut [0; 16]).is_err());
            }
        }
    }
}
