//! # Archive: `ADD x.tar.gz /to` unpacks it
//!
//! `ADD` looks at the first bytes of each local file: a tar archive, plain or packed with gzip or zstd, is unpacked at the
//! destination; anything else is copied. The name says nothing, only the bytes do.
//!
//! * [`is_archive`] looks, [`unpack`] does it; owners are the archive's own.
//!
//! Laws: what is unpacked goes through the same guard as a layer: `..`, links and repeats lead nowhere else. A packed tar of
//! a kind that we cannot read (bzip2, xz) is refused, never silently copied. Next room: [`crate::fetch`]

use crate::origin::{Found, Origin};
use minidock_base::{Error, Result, ignore::Patterns};
use minidock_image::{
    compression,
    layer::{
        tar::{Reader, is_header},
        tree::Tree,
        unpack::{self, Policy},
    },
};
use std::io::{self, BufRead, BufReader, Read};
use tokio_util::sync::CancellationToken;

/// The content of the entry a reader stands at.
pub struct EntryContent<'a, R>(pub &'a mut Reader<R>);

impl<R: BufRead> Read for EntryContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let slice = self.0.fill().map_err(|e| io::Error::other(e.message()))?;
        let n = slice.len().min(buffer.len());
        buffer[..n].copy_from_slice(&slice[..n]);
        self.0.consume(n);
        Ok(n)
    }
}

/// Reads the content of one file of an origin.
fn content<T>(
    origin: &Origin,
    found: &Found,
    cancel: &CancellationToken,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T>,
) -> Result<T> {
    origin.piped(found, b"x", &Patterns::default(), cancel, |archive| {
        let mut reader = Reader::new(BufReader::with_capacity(128 << 10, archive));
        match reader.next()? {
            Some(_) => take(&mut EntryContent(&mut reader)),
            None => Err(Error::invalid("it has vanished")),
        }
    })
}

/// Whether a file is an archive that `ADD` unpacks.
///
/// # Errors
/// It cannot be read; it is packed in a way that we cannot read.
pub fn is_archive(origin: &Origin, found: &Found, cancel: &CancellationToken) -> Result<bool> {
    let mut first = vec![0; 64 << 10];
    let n = content(origin, found, cancel, |file| {
        let mut filled = 0;
        while filled < first.len() {
            match file.read(&mut first[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) => return Err(Error::system(e.to_string())),
            }
        }
        Ok(filled)
    })?;
    looks_like_one(&first[..n])
}

fn looks_like_one(first: &[u8]) -> Result<bool> {
    if first.starts_with(b"BZh") || first.starts_with(b"\xfd7zXZ\0") {
        let kind = if first.starts_with(b"BZh") { "bzip2" } else { "xz" };
        return Err(Error::not_implemented(format!("ADD cannot look into a file packed with {kind}"))
            .hint("COPY takes it as it is; pack it with gzip or zstd to have it unpacked"));
    }
    let mut block = [0; 512];
    let Ok(mut inflated) = compression::inflate(first) else { return Ok(false) };
    let mut filled = 0;
    while filled < block.len() {
        match inflated.read(&mut block[filled..]) {
            Ok(0) | Err(_) => return Ok(false),
            Ok(n) => filled += n,
        }
    }
    Ok(is_header(&block))
}

/// Unpacks it below the folder `base` (a real path) of the tree.
///
/// # Errors
/// A damaged archive, naming the entry.
pub fn unpack(
    origin: &Origin,
    found: &Found,
    tree: Tree,
    base: Vec<u8>,
    owner: Option<(u32, u32)>,
    cancel: &CancellationToken,
) -> Result<()> {
    let owner = owner.filter(|owner| *owner != (0, 0)); // without --chown the archive decides
    let policy = Policy { base, whiteouts: false, keep_kinds: false, owner };
    content(origin, found, cancel, |mut file| {
        let inflated = compression::inflate(BufReader::with_capacity(128 << 10, &mut file))?;
        unpack::unpack_into(BufReader::with_capacity(128 << 10, inflated), tree, policy).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_image::layer::write::{Writer, plain};

    #[test]
    fn only_the_bytes_say_what_an_archive_is() {
        let mut out = Writer::new(Vec::new());
        out.entry(&minidock_image::layer::tar::Entry { name: b"x".to_vec(), ..plain() }).expect("memory");
        let tar = out.finish().expect("memory");
        assert!(looks_like_one(&tar).expect("readable"));
        for other in [&b""[..], b"hello", b"\x1f\x8bnot really", &[0; 1024]] {
            assert!(!looks_like_one(other).expect("readable"), "{other:?}");
        }
        assert!(looks_like_one(b"BZh91AY").is_err());
    }
}
