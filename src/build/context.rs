//! # Context: the files that a client sends, never unpacked
//!
//! A build context is a tar archive from a stranger. Unpacking it would mean making its links, devices and million folders
//! on our disk just to read some of them again. So it is not unpacked: all content goes into *one* nameless file, and what
//! the names mean is an index in memory.
//!
//! ```text
//!   tar ──► app/      folder                     content (one unlinked file)
//!           app/a.js  file, 0..812, sha256 ────► ├ a.js ┤├ b.png ─────┤…
//!           app/l     link -> ../../etc/passwd   only a text: resolved within the index, where `/` and `..` end at the top
//! ```
//!
//! * [`Context::receive`] reads the archive (plain, gzip, zstd); [`Context::node`], [`Context::children`] and
//!   [`Context::resolve`] look around; [`Context::content`] reads a file; [`Context::write`] packs a part of it again.
//!
//! Laws: no name of the archive ever reaches the kernel. What it may take is bounded: entries by [`MOST_ENTRIES`], bytes by
//! what the caller allows, holes counted as if they were full. See: moby `builder/remotecontext`. Next room: [`crate::origin`]

use minidock_base::{Doing, Error, Result, ignore::Patterns};
use minidock_image::{
    compression,
    layer::{
        tar::{Entry, Kind, Reader, Sparse},
        tree::{self, join, lossy},
        write::{Writer, plain},
    },
};
use minidock_linux::files::Moment;
use minidock_spec::digest::{Digest, Hasher};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    ops::Bound,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// More files than any context that makes sense.
pub const MOST_ENTRIES: usize = 2_000_000;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// What a name stands for.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub modified: Moment,
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its content lies: offset and length in the one file.
    place: (u64, u64),
    sparse: Option<Box<Sparse>>,
    /// Of its content.
    digest: Option<Digest>,
}

impl Node {
    fn folder() -> Node {
        let modified = Moment::default();
        Node {
            kind: Kind::Directory,
            mode: 0o755,
            modified,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            place: (0, 0),
            sparse: None,
            digest: None,
        }
    }

    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Its length, holes included.
    pub fn size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.place.1, |sparse| sparse.real_size)
    }

    /// Its mode once it belongs to root: giving a file away takes its setuid bits (chown(2)), and so does Docker.
    fn mode_for_root(&self) -> u32 {
        match (self.kind, self.mode & 0o010) {
            (Kind::File, 0) => self.mode & !0o4000,
            (Kind::File, _) => self.mode & !0o6000,
            _ => self.mode,
        }
    }

    /// What makes it the same file for the cache: everything but times and owners (who copies decides about those).
    fn identity(&self, name: &[u8], into: &mut Hasher) {
        let kind = match self.kind {
            Kind::HardLink => Kind::File,
            kind => kind,
        };
        let head = format!("{kind:?} {:o} {} {} {:?}\0", self.mode, name.len(), self.size(), self.device);
        into.update(head.as_bytes());
        into.update(name);
        into.update(&self.link);
        for (key, value) in &self.xattrs {
            into.update(key);
            into.update(value);
        }
        into.update(self.digest.as_ref().map_or("", |digest| digest.as_str()).as_bytes());
    }
}

/// A received context.
pub struct Context {
    content: File,
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Context {
    /// A context without files: `docker build - < Dockerfile`.
    pub fn empty(scratch: &Path) -> Result<Context> {
        Ok(Context { content: nameless(scratch)?, nodes: BTreeMap::new() })
    }

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
        let mut receiving =
            Receiving { context: Context::empty(scratch)?, written: 0, counted: 0, most, buffer: Vec::with_capacity(1 << 20) };
        while let Some(entry) = reader.next().doing(|| "read the build context")? {
            receiving.entry(entry, &mut reader).doing(|| "read the build context")?;
        }
        // what a client sends behind the end (padding) is taken, or it would see a broken pipe
        io::copy(&mut reader.into_inner(), &mut io::sink()).doing(|| "read the build context")?;
        receiving.flush()?;
        Ok(receiving.context)
    }

    /// The node at this clean path; the root is always a folder.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    fn is_folder(&self, path: &[u8]) -> bool {
        path.is_empty() || self.node(path).is_some_and(Node::is_folder)
    }

    /// The names in a folder, in byte order.
    pub fn children(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let prefix = if folder.is_empty() { Vec::new() } else { join(folder, b"") };
        let (mut names, mut from) = (Vec::new(), Bound::Included(prefix.clone()));
        while let Some((path, _)) = self.nodes.range((from, Bound::Unbounded)).next() {
            let Some(rest) = path.strip_prefix(&prefix[..]) else { break };
            let name = rest.split(|b| *b == b'/').next().unwrap_or_default().to_vec();
            let mut past = prefix.clone();
            past.extend_from_slice(&name);
            past.push(b'/' + 1); // everything below the name lies before this
            let own = path.len() == prefix.len() + name.len();
            if own || !self.nodes.contains_key(&past[..past.len() - 1]) {
                names.push(name);
            }
            from = match own {
                true => Bound::Excluded(path.clone()),
                false => Bound::Included(past),
            };
        }
        names.dedup();
        names
    }

    /// Follows links within the context; `None` if it leads to nothing.
    pub fn resolve(&self, path: &[u8], follow_last: bool) -> Option<Vec<u8>> {
        let mut rest: Vec<Vec<u8>> = path.rsplit(|b| *b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec).collect();
        let (mut at, mut links): (Vec<u8>, usize) = (Vec::new(), 0);
        while let Some(name) = rest.pop() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    at = tree::split(&at).0.to_vec();
                    continue;
                }
                _ => {}
            }
            let here = join(&at, &name);
            let node = self.node(&here)?;
            if node.kind == Kind::Symlink && (follow_last || !rest.is_empty()) {
                links += 1;
                if links > MOST_LINKS || rest.len() > 4096 {
                    return None;
                }
                if node.link.starts_with(b"/") {
                    at = Vec::new();
                }
                rest.extend(node.link.rsplit(|b| *b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec));
                continue;
            }
            if !rest.is_empty() && !node.is_folder() {
                return None;
            }
            at = here;
        }
        Some(at)
    }

    /// The whole content of a file, if it is at most `most` bytes.
    pub fn read(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>> {
        let Some(real) = self.resolve(path, true) else { return Ok(None) };
        let Some(node) = self.node(&real).filter(|node| node.kind == Kind::File) else { return Ok(None) };
        if node.size() > most {
            return Err(Error::invalid(format!("{:?} is larger than {most} bytes", lossy(path))));
        }
        let mut all = Vec::new();
        self.content(node).read_to_end(&mut all).doing(|| format!("read {:?} of the build context", lossy(path)))?;
        Ok(Some(all))
    }

    /// Reads a file, its holes as zeros.
    pub fn content<'a>(&'a self, node: &'a Node) -> Content<'a> {
        Content { file: &self.content, node, at: 0 }
    }

    /// Takes a file out: the Dockerfile itself, when `.dockerignore` says so.
    pub fn forget(&mut self, path: &str) {
        self.nodes.remove(path.as_bytes());
    }

    /// Everything at and below `real` that is not excluded: path relative to it, and node.
    fn below<'a>(&'a self, real: &'a [u8], exclude: &'a Patterns) -> impl Iterator<Item = (Vec<u8>, &'a Node)> {
        let prefix = if real.is_empty() { Vec::new() } else { join(real, b"") };
        let all = self.nodes.range(prefix.clone()..).take_while({
            let prefix = prefix.clone();
            move |(path, _)| path.starts_with(&prefix)
        });
        let relative = move |(path, node): (&Vec<u8>, &'a Node)| (path[prefix.len()..].to_vec(), node);
        let own = self.node(real).filter(|node| !node.is_folder()).map(|node| (Vec::new(), node));
        own.into_iter().chain(all.map(relative)).filter(|(path, _)| path.is_empty() || !exclude.excludes(&lossy(path)))
    }

    /// What makes this part of the context the same for the cache.
    pub fn hash(&self, real: &[u8], exclude: &Patterns) -> Digest {
        let mut hasher = Hasher::new();
        if let Some(node) = self.node(real) {
            node.identity(b"", &mut hasher);
        }
        for (path, node) in self.below(real, exclude).filter(|(path, _)| !path.is_empty()) {
            node.identity(&path, &mut hasher);
        }
        hasher.finish()
    }

    /// Packs what is at `real` under `name`; of a folder what is in it, its names below `name` (empty: without a prefix).
    ///
    /// # Errors
    /// The stream takes no more.
    pub fn write<W: Write>(&self, real: &[u8], name: &[u8], exclude: &Patterns, out: &mut Writer<W>) -> Result<()> {
        for (path, node) in self.below(real, exclude) {
            let name = match (path.is_empty(), name.is_empty()) {
                (true, _) => name.to_vec(),
                (_, true) => path,
                _ => join(name, &path),
            };
            let size = if node.kind == Kind::File { node.size() } else { 0 };
            let entry = Entry {
                name,
                kind: node.kind,
                mode: node.mode_for_root(),
                modified: node.modified,
                size,
                link: node.link.clone(),
                device: node.device,
                xattrs: node.xattrs.clone(),
                ..plain()
            };
            out.entry(&entry)?;
            if node.kind == Kind::File {
                out.content(BufReader::with_capacity(128 << 10, self.content(node)))?;
            }
        }
        Ok(())
    }
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
            _ => Node {
                digest: None,
                place: (self.written, entry.size),
                kind: entry.kind,
                mode: entry.mode,
                modified: entry.modified,
                link: entry.link,
                device: entry.device,
                xattrs: entry.xattrs.into_iter().filter(|(key, _)| !is_overlays(key)).collect(),
                sparse: entry.sparse.map(Box::new),
            },
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
    fn linked(&self, entry: &Entry) -> Result<Node> {
        let target = tree::clean(&entry.link)?;
        let node = self.context.node(&target).filter(|node| !node.is_folder());
        node.cloned()
            .ok_or_else(|| Error::invalid(format!("it is a hard link to {:?}, which did not come before", lossy(&target))))
    }

    fn take(&mut self, reader: &mut Reader<impl BufRead>) -> Result<Digest> {
        let mut hasher = Hasher::new();
        loop {
            let slice = reader.fill()?;
            if slice.is_empty() {
                return Ok(hasher.finish());
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

/// Attributes that would change what a whole pile of layers means.
fn is_overlays(key: &[u8]) -> bool {
    key.windows(9).any(|part| part == b".overlay.")
}

/// Reads one file of a context.
pub struct Content<'a> {
    file: &'a File,
    node: &'a Node,
    at: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.node.size() - self.at).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        if room == 0 {
            return Ok(0);
        }
        let (offset, length) = match &self.node.sparse {
            None => (Some(self.node.place.0 + self.at), room as u64),
            Some(sparse) => stretch(sparse, self.node.place.0, self.at),
        };
        let room = room.min(usize::try_from(length).unwrap_or(usize::MAX));
        let read = match offset {
            Some(offset) => self.file.read_at(&mut buffer[..room], offset)?,
            None => {
                buffer[..room].fill(0);
                room
            }
        };
        self.at += read as u64;
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// What lies at `at` of a file with holes: where in the one file (or a hole), and how far it goes.
fn stretch(sparse: &Sparse, base: u64, at: u64) -> (Option<u64>, u64) {
    let mut before = 0;
    for (offset, length) in &sparse.segments {
        if at < *offset {
            return (None, offset - at);
        }
        if at < offset + length {
            return (Some(base + before + (at - offset)), offset + length - at);
        }
        before += length;
    }
    (None, sparse.real_size - at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn context(files: &[(&str, &str)]) -> Context {
        let mut out = Writer::new(Vec::new());
        for (name, content) in files {
            let link = content.strip_prefix("-> ");
            let kind = match (name.ends_with('/'), link) {
                (true, _) => Kind::Directory,
                (_, Some(_)) => Kind::Symlink,
                _ => Kind::File,
            };
            let size = if kind == Kind::File { content.len() as u64 } else { 0 };
            let link = link.unwrap_or_default().as_bytes().to_vec();
            out.entry(&Entry { name: name.as_bytes().to_vec(), kind, mode: 0o644, size, link, ..plain() }).expect("memory");
            if kind == Kind::File {
                out.content(content.as_bytes()).expect("memory");
            }
        }
        let bytes = out.finish().expect("memory");
        Context::receive(&bytes[..], &std::env::temp_dir(), 1 << 30).expect("our own")
    }

    fn names(list: Vec<Vec<u8>>) -> Vec<String> {
        list.iter().map(|name| lossy(name)).collect()
    }

    #[test]
    fn the_index_knows_folders_children_and_links() {
        let context = context(&[
            ("a/b/c", "1"),
            ("a-b", "2"),
            ("a/d", "-> ../a-b"),
            ("up", "-> ../../../a"),
            ("loop", "-> loop"),
            ("z/", ""),
        ]);
        assert_eq!(names(context.children(b"")), ["a", "a-b", "loop", "up", "z"]);
        assert_eq!(names(context.children(b"a")), ["b", "d"]);
        assert_eq!(context.resolve(b"up/d", true).as_deref(), Some(&b"a-b"[..]));
        assert_eq!(context.resolve(b"up/b/c", true).as_deref(), Some(&b"a/b/c"[..]));
        assert!(context.resolve(b"loop", true).is_none() && context.resolve(b"a-b/x", true).is_none());
        assert_eq!(context.read(b"up/d", 10).expect("small"), Some(b"2".to_vec()));
        assert!(context.read(b"up/d", 0).is_err());
    }

    #[test]
    fn a_hash_sees_content_names_and_modes_and_no_times() {
        let none = Patterns::default();
        let hash = |files: &[(&str, &str)]| context(files).hash(b"", &none);
        let one = hash(&[("a", "x"), ("b/c", "y")]);
        assert_eq!(one, hash(&[("b/c", "y"), ("a", "x")]));
        for other in [&[("a", "z"), ("b/c", "y")], &[("a2", "x"), ("b/c", "y")]] {
            assert_ne!(one, hash(other));
        }
        let but = Patterns::of(["a*"]).expect("a pattern");
        assert_eq!(context(&[("a", "x"), ("b", "y")]).hash(b"", &but), context(&[("a2", "z"), ("b", "y")]).hash(b"", &but));
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_written() {
        let mut out = Writer::new(Vec::new());
        out.entry(&Entry { name: b"x".to_vec(), size: 100, ..plain() }).expect("memory");
        out.content(&[0; 100][..]).expect("memory");
        let bytes = out.finish().expect("memory");
        let refused = Context::receive(&bytes[..], &std::env::temp_dir(), 99).err().expect("too large");
        assert!(refused.message().contains("larger than the 99 bytes"), "{refused}");
        assert!(Context::receive(&b"FROM x\n"[..], &std::env::temp_dir(), 99).is_err());
    }

    proptest! {
        #[test]
        fn no_archive_and_no_path_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), path in "[a./]{0,12}") {
            let _ = Context::receive(&bytes[..], &std::env::temp_dir(), 1 << 20);
            let some = context(&[("a/a", "1"), ("a/..a", "-> /a"), ("b", "-> a/..a/..")]);
            let _ = (some.resolve(path.as_bytes(), true), some.children(path.as_bytes()));
        }
    }
}
