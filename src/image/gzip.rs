//! # Gzip: compressing on all cores
//!
//! gzip is one stream, and one core compresses some sixty megabytes a second of it. But deflate allows a stream to be cut at any
//! place where nothing behind refers to anything before; so blocks of a megabyte are compressed side by side, each ending on a
//! whole byte, and put together again in order. Any gunzip reads the result as what it is: one member.
//!
//! ```text
//!   read ──► block 0 ──► core A ─┐
//!            block 1 ──► core B ─┤──in order──► header, deflate(0), deflate(1), …, last, crc32, length
//!            block 2 ──► core A ─┘
//! ```
//!
//! * [`gzip`] does it; the checksum of the whole is combined from those of the blocks. [`pack`] and [`Member`] are its parts, for who has the blocks
//!   already and a thread of its own.
//! * A block whose beginning gains little (pictures, archives, noise) is stored as it is: trying would take most of the time, for nothing.
//!
//! Laws: the same bytes give the same result, on however many cores; memory is a few blocks. See: RFC 1951 §3.2.3, RFC 1952 ·
//! pigz. Next room: [`crate::commit`]

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::{Mutex, mpsc::sync_channel},
};

/// Smaller blocks compress worse, larger ones need more memory.
pub const BLOCK: usize = 1 << 20;
/// By so much of a block is judged whether to compress it.
const SAMPLE: usize = BLOCK / 16;
/// For what is kept here: as fast as there is.
pub const QUICK: u32 = 1;
/// For what travels: behind this little is gained for the time it takes.
const LEVEL: u32 = 4;
/// No name, no time, "unknown" system: nothing that could differ.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A block, compressed.
pub struct Packed {
    bytes: io::Result<Vec<u8>>,
    crc: Crc,
}

/// A gzip member while it is written.
pub struct Member<W> {
    out: W,
    crc: Crc,
}

impl<W: Write> Member<W> {
    /// Begins one with its header.
    ///
    /// # Errors
    /// The stream's, as below.
    pub fn begin(mut out: W) -> io::Result<Member<W>> {
        out.write_all(&HEADER)?;
        Ok(Member { out, crc: Crc::new() })
    }

    /// Adds the next block.
    pub fn add(&mut self, packed: Packed) -> io::Result<()> {
        self.out.write_all(&packed.bytes?)?;
        self.crc.combine(&packed.crc);
        Ok(())
    }

    /// Ends it: an empty last block, then what the whole was.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[3, 0])?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())?;
        self.out.flush()
    }
}

/// Compresses all of `source` into `out` with `cores` threads; gives the count of bytes read. `read` hears it on the way.
///
/// # Errors
/// Those of the two streams.
pub fn gzip(
    mut source: impl Read + Send,
    out: impl Write,
    cores: usize,
    read: &mut (dyn FnMut(u64) + Send),
) -> io::Result<u64> {
    let mut member = Member::begin(out)?;
    let cores = cores.clamp(1, 16);
    let (blocks, waiting) = sync_channel::<(usize, Vec<u8>)>(cores);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        let (done, results) = sync_channel::<(usize, Packed)>(cores);
        for _ in 0..cores {
            let (waiting, done) = (&waiting, done.clone());
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
                    let Ok((nth, block)) = next else { return };
                    if done.send((nth, pack(&block, LEVEL))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let reading = scope.spawn(move || -> io::Result<u64> {
            let (mut total, mut nth) = (0, 0);
            loop {
                let mut block = Vec::with_capacity(BLOCK);
                (&mut source).take(BLOCK as u64).read_to_end(&mut block)?;
                if block.is_empty() {
                    return Ok(total);
                }
                total += block.len() as u64;
                read(total);
                if blocks.send((nth, block)).is_err() {
                    return Ok(total); // the writing has failed: its error counts
                }
                nth += 1;
            }
        });
        let (mut early, mut next, mut written) = (BTreeMap::new(), 0, Ok(()));
        for (nth, packed) in results {
            early.insert(nth, packed);
            while let Some(packed) = early.remove(&next).filter(|_| written.is_ok()) {
                written = member.add(packed);
                next += 1;
            }
        }
        let total = reading.join().map_err(|_| io::Error::other("the reading thread panicked"))??;
        written?;
        member.finish()?;
        Ok(total)
    })
}

/// One block as deflate data that ends on a whole byte and is not the last.
pub fn pack(block: &[u8], level: u32) -> Packed {
    let mut crc = Crc::new();
    crc.update(block);
    Packed { bytes: deflate(block, level), crc }
}

fn deflate(block: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut deflater = Compress::new(Compression::new(level), false);
    let mut packed = Vec::with_capacity(block.len() / 2 + 1024);
    let (sample, rest) = block.split_at(block.len().min(SAMPLE));
    push(&mut deflater, sample, &mut packed)?;
    if rest.is_empty() {
        return Ok(packed);
    }
    if packed.len() > sample.len() / 5 * 4 {
        return Ok(stored(block));
    }
    push(&mut deflater, rest, &mut packed)?;
    Ok(packed)
}

/// Compresses all of `bytes`, to a whole byte.
fn push(deflater: &mut Compress, bytes: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
    let before = deflater.total_in();
    loop {
        let used = usize::try_from(deflater.total_in() - before).unwrap_or(bytes.len());
        let room = packed.capacity() - packed.len();
        let status = deflater.compress_vec(&bytes[used..], packed, FlushCompress::Sync).map_err(io::Error::other)?;
        let all_in = deflater.total_in() - before == bytes.len() as u64;
        // room left over means that the flush is through
        if all_in && packed.len() < packed.capacity() && (status == Status::Ok || status == Status::BufError) {
            return Ok(());
        }
        if room == 0 || packed.len() == packed.capacity() {
            packed.reserve(64 << 10);
        }
    }
}

/// Blocks of the kind "stored", each with its length and that length's complement before it.
fn stored(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len() + block.len() / 4096 + 16);
    for piece in block.chunks(usize::from(u16::MAX)) {
        let length = piece.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(bytes: &[u8], cores: usize) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(gzip(bytes, &mut out, cores, &mut |_| ()).expect("memory"), bytes.len() as u64);
        out
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut one_member = flate2::bufread::GzDecoder::new(packed);
        one_member.read_to_end(&mut bytes).expect("gzip");
        assert!(one_member.into_inner().is_empty(), "nothing stands behind the one member");
        bytes
    }

    #[test]
    fn any_number_of_cores_gives_the_same_stream_and_gunzip_gives_the_bytes_back() {
        let mut seed = 7u64;
        let mut noise = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            if n.is_multiple_of(3) { b'x' } else { (seed >> 56) as u8 }
        };
        let noise: Vec<u8> = (0..3 * BLOCK + 100).map(&mut noise).collect();
        let pure: Vec<u8> = (0..2 * BLOCK + 17).map(|n| noise[n / 2 * 3 + 1 + n % 2]).collect();
        let mixed = [&pure[..BLOCK], &[0u8; BLOCK][..], &pure].concat();
        for (bytes, most) in
            [(&noise[..], 4 * BLOCK), (&[0u8; 2 * BLOCK][..], 4 << 10), (b"", 30), (b"a", 30), (&mixed, 3 * BLOCK + (4 << 10))]
        {
            let one = packed(bytes, 1);
            assert!(packed(bytes, 5) == one);
            assert!(unpacked(&one) == bytes);
            assert!(one.len() < most, "{} of {}", one.len(), bytes.len());
        }
    }

    #[test]
    fn a_stream_that_fails_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("full"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(gzip(&vec![1u8; 9 * BLOCK][..], Full, 2, &mut |_| ()).is_err());
        struct Fails(usize);
        impl Read for Fails {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 300 { Err(io::Error::other("torn")) } else { Ok(buffer.len().min(9000)) }
            }
        }
        assert!(gzip(Fails(0), Vec::new(), 2, &mut |_| ()).is_err());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(unpacked(&packed(&bytes, 2)), bytes);
        }
    }
}
