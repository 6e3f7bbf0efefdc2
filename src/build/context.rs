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
//! * [`crate::receive`] reads the archive (packed or not); [`Context::node`], [`Context::children`] and
//!   [`Context::resolve`] look around; [`Context::content`] reads a file; [`Context::write`] packs a part of it again.
//!
//! Laws: no name of the archive ever reaches the kernel. What it may take is bounded there. See: moby `builder/remotecontext`. Next room: [`crate::receive`]

use crate::receive;
use minidock_base::{Doing, Error, Result, ignore::Patterns};
use minidock_image::layer::{
    tar::{Entry, Kind, Sparse},
    tree::{self, join, lossy},
    write::{Writer, plain},
};
use minidock_linux::files::Moment;
use minidock_spec::digest::{Digest, Hasher};
use std::{
    collections::{BTreeMap, HashMap, hash_map},
    fs::File,
    io::{self, Read, Write},
    ops::Bound,
    os::unix::fs::FileExt,
    path::Path,
};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// What a name stands for.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub modified: Moment,
    /// Where its content lies: offset and length in the one file.
    pub(crate) place: (u64, u64),
    /// SHA-256 of its content.
    pub(crate) digest: Option<[u8; 32]>,
    /// What few files have: a million entries must not cost memory for it.
    pub(crate) rare: Option<Box<Rare>>,
}

/// What only links, devices and odd files have.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Option<Sparse>,
    /// Which file it is a name of, if that has several.
    pub inode: Option<u64>,
}

impl Node {
    /// A folder that only something below it implies.
    pub fn folder() -> Node {
        Node { kind: Kind::Directory, mode: 0o755, modified: Moment::default(), place: (0, 0), digest: None, rare: None }
    }

    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Directory
    }

    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Its length, holes included.
    pub fn size(&self) -> u64 {
        self.sparse().map_or(self.place.1, |sparse| sparse.real_size)
    }

    fn sparse(&self) -> Option<&Sparse> {
        self.rare.as_ref()?.sparse.as_ref()
    }

    /// Where a link points.
    pub fn link(&self) -> &[u8] {
        self.rare.as_ref().map_or(&[], |rare| &rare.link)
    }

    fn device(&self) -> (u32, u32) {
        self.rare.as_ref().map_or((0, 0), |rare| rare.device)
    }

    fn xattrs(&self) -> &[(Vec<u8>, Vec<u8>)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.xattrs)
    }

    fn inode(&self) -> Option<u64> {
        self.rare.as_ref()?.inode
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
        let kind = self.kind;
        let head = format!("{kind:?} {:o} {} {} {:?}\0", self.mode, name.len(), self.size(), self.device());
        into.update(head.as_bytes());
        into.update(name);
        into.update(self.link());
        for (key, value) in self.xattrs() {
            into.update(key);
            into.update(value);
        }
        into.update(self.digest.as_ref().map_or(&[], |digest| &digest[..]));
    }
}

/// A received context.
pub struct Context {
    pub(crate) content: File,
    pub(crate) nodes: BTreeMap<Vec<u8>, Node>,
}

impl Context {
    /// A context without files: `docker build - < Dockerfile`.
    pub fn empty(scratch: &Path) -> Result<Context> {
        Ok(Context { content: receive::nameless(scratch)?, nodes: BTreeMap::new() })
    }

    /// The node at this clean path; the root is always a folder.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(crate) fn is_folder(&self, path: &[u8]) -> bool {
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
                if node.link().starts_with(b"/") {
                    at = Vec::new();
                }
                rest.extend(node.link().rsplit(|b| *b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec));
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
        let (mut hasher, mut firsts) = (Hasher::new(), HashMap::new());
        if let Some(node) = self.node(real) {
            node.identity(b"", &mut hasher);
        }
        for (path, node) in self.below(real, exclude).filter(|(path, _)| !path.is_empty()) {
            node.identity(&path, &mut hasher);
            if let Some(first) = another_name(&mut firsts, node, &path) {
                hasher.update(b"\0another name of ");
                hasher.update(first);
            }
        }
        hasher.finish()
    }

    /// Packs what is at `real` under `name`; of a folder what is in it, its names below `name` (empty: without a prefix). Several names of
    /// one file stay that.
    ///
    /// # Errors
    /// The stream takes no more.
    pub fn write<W: Write>(&self, real: &[u8], name: &[u8], exclude: &Patterns, out: &mut Writer<W>) -> Result<()> {
        let mut firsts = HashMap::new();
        for (path, node) in self.below(real, exclude) {
            let name = match (path.is_empty(), name.is_empty()) {
                (true, _) => name.to_vec(),
                (_, true) => path,
                _ => join(name, &path),
            };
            if let Some(first) = another_name(&mut firsts, node, &name) {
                out.entry(&Entry { name, kind: Kind::HardLink, mode: node.mode_for_root(), link: first.to_vec(), ..plain() })?;
                continue;
            }
            let size = if node.kind == Kind::File { node.size() } else { 0 };
            let entry = Entry {
                name,
                kind: node.kind,
                mode: node.mode_for_root(),
                modified: node.modified,
                size,
                link: node.link().to_vec(),
                device: node.device(),
                xattrs: node.xattrs().to_vec(),
                ..plain()
            };
            out.entry(&entry)?;
            if node.kind == Kind::File {
                out.content(self.content(node))?;
            }
        }
        Ok(())
    }
}

/// The first name of this file, unless this is it.
fn another_name<'a>(firsts: &'a mut HashMap<u64, Vec<u8>>, node: &Node, name: &[u8]) -> Option<&'a [u8]> {
    match firsts.entry(node.inode()?) {
        hash_map::Entry::Occupied(first) => Some(&first.into_mut()[..]),
        hash_map::Entry::Vacant(none) => {
            none.insert(name.to_vec());
            None
        }
    }
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
        let (offset, length) = match self.node.sparse() {
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
        receive::receive(&bytes[..], &std::env::temp_dir(), 1 << 30).expect("our own")
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
    fn names_of_one_file_stay_that_and_the_hash_knows_it() {
        let made = |entries: &[(&str, &str, &str)]| {
            let mut out = Writer::new(Vec::new());
            for (name, content, link) in entries {
                let (kind, size) = if link.is_empty() { (Kind::File, content.len() as u64) } else { (Kind::HardLink, 0) };
                let (name, link) = (name.as_bytes().to_vec(), link.as_bytes().to_vec());
                out.entry(&Entry { name, kind, mode: 0o644, size, link, ..plain() }).expect("memory");
                if size > 0 {
                    out.content(content.as_bytes()).expect("memory");
                }
            }
            receive::receive(&out.finish().expect("memory")[..], &std::env::temp_dir(), 1 << 30).expect("our own")
        };
        let none = Patterns::default();
        let linked = made(&[("a/x", "1", ""), ("a/y", "", "a/x"), ("z", "", "a/y")]);
        let copied = made(&[("a/x", "1", ""), ("a/y", "1", ""), ("z", "1", "")]);
        assert_ne!(linked.hash(b"", &none), copied.hash(b"", &none));
        assert_eq!(linked.hash(b"z", &none), copied.hash(b"z", &none), "one name alone is a file like any other");
        let mut out = Writer::new(Vec::new());
        linked.write(b"", b"to", &none, &mut out).expect("memory");
        let bytes = out.finish().expect("memory");
        let mut reader = minidock_image::layer::tar::Reader::new(&bytes[..]);
        let mut seen = Vec::new();
        while let Some(entry) = reader.next().expect("our own") {
            seen.push(format!("{} {:?} {}", lossy(&entry.name), entry.kind, lossy(&entry.link)));
        }
        assert_eq!(seen, ["to/a Directory ", "to/a/x File ", "to/a/y HardLink to/a/x", "to/z HardLink to/a/x"]);
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_written() {
        let mut out = Writer::new(Vec::new());
        out.entry(&Entry { name: b"x".to_vec(), size: 100, ..plain() }).expect("memory");
        out.content(&[0; 100][..]).expect("memory");
        let bytes = out.finish().expect("memory");
        let refused = receive::receive(&bytes[..], &std::env::temp_dir(), 99).err().expect("too large");
        assert!(refused.message().contains("larger than the 99 bytes"), "{refused}");
        assert!(receive::receive(&b"FROM x\n"[..], &std::env::temp_dir(), 99).is_err());
    }

    proptest! {
        #[test]
        fn no_archive_and_no_path_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), path in "[a./]{0,12}") {
            let _ = receive::receive(&bytes[..], &std::env::temp_dir(), 1 << 20);
            let some = context(&[("a/a", "1"), ("a/..a", "-> /a"), ("b", "-> a/..a/..")]);
            let _ = (some.resolve(path.as_bytes(), true), some.children(path.as_bytes()));
        }
    }
}
