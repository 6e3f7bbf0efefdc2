//! # Archive: `ADD x.tar.gz /to` unpacks it
//!
//! `ADD` looks at the first bytes of each local file: a tar archive, plain or packed with gzip, bzip2, xz or zstd, is unpacked at the
//! destination; anything else is copied. The name says nothing, only the bytes do.
//!
//! * [`is_archive`] looks, [`unpack`] does it; owners are the archive's own.
//!
//! Laws: what is unpacked goes through the same guard as a layer: `..`, links and repeats lead nowhere else. To look costs the beginning of
//! a file only. Next room: [`crate::fetch`]

use crate::{
    context::Content,
    origin::{Found, Origin, Watched},
};
use minidock_base::{Error, Result};
use minidock_image::{
    compression,
    layer::{
        tar::is_header,
        tree::Tree,
        unpack::{self, Policy},
    },
};
use std::io::{BufRead, BufReader, Read};
use tokio_util::sync::CancellationToken;

/// A file of the build context, as a stream.
fn content<'a>(
    origin: &'a Origin,
    found: &Found,
    cancel: &'a CancellationToken,
) -> Result<Option<BufReader<Watched<'a, Content<'a>>>>> {
    let Origin::Context(context) = origin else {
        return Err(Error::invalid("only archives of the build context are unpacked"));
    };
    let node = context.node(&found.real).filter(|node| node.is_file());
    let stream = |node| BufReader::with_capacity(128 << 10, Watched { read: context.content(node), cancel });
    Ok(node.map(stream))
}

/// Whether a file is an archive that `ADD` unpacks.
///
/// # Errors
/// The file is none of the build context.
pub fn is_archive(origin: &Origin, found: &Found, cancel: &CancellationToken) -> Result<bool> {
    Ok(content(origin, found, cancel)?.is_some_and(looks_like_one))
}

/// Whether it begins as a tar archive does, once it is inflated.
pub fn looks_like_one(file: impl BufRead + Send) -> bool {
    let mut block = [0; 512];
    let inflated = compression::inflate(file);
    inflated.is_ok_and(|mut inflated| inflated.read_exact(&mut block).is_ok()) && is_header(&block)
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
    let Some(file) = content(origin, found, cancel)? else { return Err(Error::invalid("it is no file")) };
    let inflated = compression::inflate(file)?;
    unpack::unpack_into(BufReader::with_capacity(128 << 10, inflated), tree, policy).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_image::layer::{
        tar::Entry,
        write::{Writer, plain},
    };

    #[test]
    fn only_the_bytes_say_what_an_archive_is() {
        let mut out = Writer::new(Vec::new());
        out.entry(&Entry { name: b"x".to_vec(), ..plain() }).expect("memory");
        let tar = out.finish().expect("memory");
        assert!(looks_like_one(&tar[..]));
        for other in [&b""[..], b"hello", b"\x1f\x8bnot really", b"BZh91AY", b"\xfd7zXZ\0", &[0; 1024]] {
            assert!(!looks_like_one(other), "{other:?}");
        }
    }
}
