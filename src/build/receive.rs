//! # Receive: a context comes in
//!
//! The client's archive is read once, from front to back: content goes into the one file, hashed on the way, names into the index.
//!
//! ```text
//!   tar, packed? ───► entry ──► clean name ──► count, bound ──► node ──► content ──► one file
//!                        └ hard link: the node of a file that came before
//! ```
//!
//! * [`receive`] does it; [`nameless`] makes a file that ends with its descriptor.
//!
//! Laws: entries are bounded by [`MOST_ENTRIES`], bytes by what the caller allows, and holes count as if they were full: a terabyte of
//! zeros is refused before one of them is written. See: tar(5). Next room: [`crate::origin`]

use crate::context::{Context, Node, Rare};
use minidock_base::{Doing, Error, Result};
use minidock_image::{
    compression,
    layer::{
        tar::{Entry, Kind, Reader},
        tree::{self, join, lossy},
    },
};
use minidock_spec::digest::{Digest, Hasher};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// More files than any context that makes sense.
pub const MOST_ENTRIES: usize = 1_500_000;

/// Reads an archive to its end. `most` bounds the bytes of all files together.
///
/// # Errors
/// Not an archive, damaged, too large; the client has gone; the disk is full.
pub fn receive(archive: impl Read + Send, scratch: &Path, most: u64) -> Result<Context> {
    let mut packed = BufReader::with_capacity(128 << 10, archive);
    let first = packed.fill_buf().doing(|| "read the build context")?;
    if first.is_empty() {
        return Err(Error::invalid("the build context is empty"));
    }
    let inflated = compression::inflate(packed).doing(|| "read the build context")?;
    let mut reader = Reader::new(BufReader::with_capacity(128 << 10, inflated));
    let mut receiving = Receiving {
        context: Context::empty(scratch)?,
        written: 0,
        counted: 0,
        most,
        inodes: 0,
        buffer: Vec::with_capacity(1 << 20),
    };
    while let Some(entry) = reader.next().doing(|| "read the build context")? {
        receiving.entry(entry, &mut reader).doing(|| "read the build context")?;
    }
    // what a client sends behind the end (padding) is taken, or it would see a broken pipe
    io::copy(&mut reader.into_inner(), &mut io::sink()).doing(|| "read the build context")?;
    receiving.flush()?;
    Ok(receiving.context)
}

/// A file without a name: it ends with its descriptor, however we end.
pub fn nameless(scratch: &Path) -> Result<File> {
    let path = scratch.join(format!("context-{}", minidock_base::id::random_id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.doing(|| "make a file for the build context")?;
    fs::remove_file(&path).doing(|| "make a file for the build context")?;
    Ok(file)
}

/// A context while it comes in.
struct Receiving {
    context: Context,
    written: u64,
    counted: u64,
    most: u64,
    /// Files of several names so far.
    inodes: u64,
    buffer: Vec<u8>,
}

impl Receiving {
    fn entry(&mut self, entry: Entry, reader: &mut Reader<impl BufRead>) -> Result<()> {
        let path = tree::clean(&entry.name)?;
        if path.is_empty() {
            return Ok(());
        }
        let why = || format!("take in {:?}", lossy(&path));
        if self.context.nodes.len() >= MOST_ENTRIES {
            return Err(
                Error::invalid(format!("it has more than {MOST_ENTRIES} files")).hint("a .dockerignore leaves files out")
            );
        }
        let size = entry.sparse.as_ref().map_or(entry.size, |sparse| sparse.real_size);
        self.counted = self.counted.saturating_add(size);
        if self.counted > self.most {
            return Err(Error::invalid(format!(
                "its files are larger than the {} bytes that the disk has room for",
                self.most
            ))
            .hint("a .dockerignore leaves files out")
            .during(why()));
        }
        self.folders_above(&path)?;
        let node = match entry.kind {
            Kind::HardLink => self.linked(&entry).map_err(|e| e.during(why()))?,
            _ => {
                let xattrs: Vec<_> =
                    entry.xattrs.into_iter().filter(|(key, _)| !is_overlays(key) && !goes_with_its_owner(key)).collect();
                let rare = Rare { link: entry.link, device: entry.device, xattrs, sparse: entry.sparse, inode: None };
                let plain = rare.link.is_empty() && rare.device == (0, 0) && rare.xattrs.is_empty() && rare.sparse.is_none();
                Node {
                    kind: entry.kind,
                    mode: entry.mode,
                    modified: entry.modified,
                    place: (self.written, entry.size),
                    digest: None,
                    rare: (!plain).then(|| Box::new(rare)),
                }
            }
        };
        let node = match node.kind == Kind::File && node.digest.is_none() {
            true => Node { digest: Some(self.take(reader).map_err(|e| e.during(why()))?), ..node },
            false => node,
        };
        if !node.is_folder() && self.context.is_folder(&path) {
            let below = join(&path, b"");
            self.context.nodes.retain(|known, _| !known.starts_with(&below));
        }
        self.context.nodes.insert(path, node);
        Ok(())
    }

    /// Folders that no entry has named.
    fn folders_above(&mut self, path: &[u8]) -> Result<()> {
        let (above, _) = tree::split(path);
        if above.is_empty() || self.context.is_folder(above) {
            return Ok(());
        }
        let depth = path.iter().filter(|b| **b == b'/').count();
        tree::not_too_deep(depth)?;
        let ends = above.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).chain([above.len()]);
        for end in ends.collect::<Vec<_>>() {
            if !self.context.is_folder(&above[..end]) {
                self.context.nodes.insert(above[..end].to_vec(), Node::folder());
            }
        }
        Ok(())
    }

    /// A second name of a file that came before.
    fn linked(&mut self, entry: &Entry) -> Result<Node> {
        let target = tree::clean(&entry.link)?;
        let node = self.context.nodes.get_mut(&target).filter(|node| !node.is_folder());
        let node = node
            .ok_or_else(|| Error::invalid(format!("it is a hard link to {:?}, which did not come before", lossy(&target))))?;
        let rare = node.rare.get_or_insert_default();
        if rare.inode.is_none() {
            self.inodes += 1;
            rare.inode = Some(self.inodes);
        }
        Ok(node.clone())
    }

    fn take(&mut self, reader: &mut Reader<impl BufRead>) -> Result<[u8; 32]> {
        let mut hasher = Hasher::new();
        loop {
            let slice = reader.fill()?;
            if slice.is_empty() {
                return Ok(bytes_of(&hasher.finish()));
            }
            hasher.update(slice);
            self.buffer.extend_from_slice(slice);
            let n = slice.len();
            self.written += n as u64;
            reader.consume(n);
            if self.buffer.len() >= 1 << 20 {
                self.flush()?;
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        let written = (&self.context.content).write_all(&self.buffer);
        self.buffer.clear();
        written
            .doing(|| "keep the build context")
            .map_err(|e| e.hint("free some space: minidock image prune, minidock builder prune"))
    }
}

/// The digest without its words: half as long, and without a place of its own in memory.
fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digest.hex()[2 * at..2 * at + 2], 16).unwrap_or_default();
    }
    bytes
}

/// Capabilities do not survive that a file is given to root (chown(2)), as all of a context is; so it is with Docker.
fn goes_with_its_owner(key: &[u8]) -> bool {
    key == b"security.capability"
}

/// Attributes that would change what a whole pile of layers means.
fn is_overlays(key: &[u8]) -> bool {
    key.windows(9).any(|part| part == b".overlay.")
}
