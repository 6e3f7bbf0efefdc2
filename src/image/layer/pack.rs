//! # Pack: directory → tar
//!
//! Three commands read a directory into an archive: `commit` the writable layer, `export` the whole tree, `cp` a part of
//! it. The tree belongs to a container that may be running and may mean harm, so it is walked as layers are unpacked: by
//! descriptors, one step at a time, no link followed, no FIFO opened, no depth without end.
//!
//! ```text
//!   upper directory:  etc/ [opaque]   tmp = device 0:0     a ═ b (one inode)
//!   layer.tar:        etc/ etc/.wh..wh..opq   .wh.tmp      a, b = hard link to a
//! ```
//!
//! * [`Packer::tree`] packs what is below a directory; [`Packer::one`] a single file or a directory with all below it.
//! * [`Options`] say whether overlayfs' marks become whiteouts, and which paths are left out.
//!
//! Laws: names in byte order, so the same tree gives the same archive; a second name of a file is a hard link to the
//! first; sockets cannot be archived and are left out; overlayfs' own attributes never leave. Next room: [`super::diff`]

use super::{
    owners,
    tar::{Entry, Kind},
    tree::{join, lossy},
    whiteout,
    write::{Writer, plain},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{self, CallFailed},
    files::{self, FileType, Moment, Open, Resolve, Stat},
    overlayfs, xattr,
};
use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

/// Folders within folders: each holds a descriptor while it is read.
pub const DEEPEST: usize = 400;

/// How a tree is packed.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Turn overlayfs' marks into whiteouts: the tree is an upper directory.
    pub whiteouts: bool,
    /// Paths (as in the archive) to leave out, with all below them.
    pub skip: Option<&'a dyn Fn(&[u8], &Stat) -> bool>,
    /// Directories that stand in the place of others (names as in the archive): volumes that are not mounted now.
    pub mounted: Option<&'a dyn Fn(&[u8]) -> Option<OwnedFd>>,
}

/// Packs files into an archive.
pub struct Packer<'a, W: Write> {
    writer: Writer<W>,
    options: Options<'a>,
    /// Files with several names: the first one, by inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    /// Names begin with a slash: the root directory itself is packed.
    rooted: bool,
}

impl<'a, W: Write> Packer<'a, W> {
    pub fn new(out: W, options: Options<'a>) -> Packer<'a, W> {
        Packer { writer: Writer::new(out), options, linked: HashMap::new(), rooted: false }
    }

    /// Packs an open directory itself and everything below it. With an empty name its entries begin with a slash.
    pub fn folder_itself(&mut self, dir: &impl AsFd, name: &[u8]) -> Result<()> {
        let stat = files::fstat(dir).doing(|| format!("pack {:?}", lossy(name)))?;
        self.rooted = name.is_empty();
        let dir = dir.as_fd().try_clone_to_owned().doing(|| format!("pack {:?}", lossy(name)))?;
        self.folder(&dir, name, &stat)?;
        self.below(dir, name)
    }

    /// Packs everything below `dir`, with names below `name` (empty: names without a prefix).
    pub fn tree(&mut self, dir: &impl AsFd, name: &[u8]) -> Result<()> {
        let dir = dir.as_fd().try_clone_to_owned().doing(|| format!("pack {:?}", lossy(name)))?;
        self.below(dir, name)
    }

    /// Packs `dir/file` under `name`, a folder with all below it. What has vanished meanwhile is left out.
    pub fn one(&mut self, dir: &impl AsFd, file: &OsStr, name: &[u8]) -> Result<()> {
        match self.entry(dir, file, name)? {
            Some(inside) => self.below(inside, name),
            None => Ok(()),
        }
    }

    /// Writes the end of the archive.
    pub fn finish(self) -> Result<W> {
        self.writer.finish()
    }

    /// A loop with a stack of its own: a program can nest folders deeper than the thread's stack reaches.
    fn below(&mut self, dir: OwnedFd, name: &[u8]) -> Result<()> {
        let mut open = vec![Level::new(dir, name.to_vec())?];
        while let Some(level) = open.last_mut() {
            let Some(file) = level.files.next() else {
                open.pop();
                continue;
            };
            let path = join(&level.name, file.as_bytes());
            if let Some(inside) = self.entry(&level.dir, &file, &path)? {
                if open.len() >= DEEPEST {
                    return Err(Error::invalid(format!("more than {DEEPEST} folders within each other")));
                }
                open.push(Level::new(inside, path)?);
            }
        }
        Ok(())
    }

    /// Packs one file; of a folder only itself, and gives it back open.
    fn entry(&mut self, dir: &impl AsFd, file: &OsStr, name: &[u8]) -> Result<Option<OwnedFd>> {
        let pack = || format!("pack {:?}", lossy(name));
        if let Some(inside) = self.options.mounted.and_then(|mounted| mounted(name)) {
            let stat = files::fstat(&inside).doing(pack)?;
            return self.folder(&inside, name, &stat).map(|()| Some(inside));
        }
        let Some(stat) = present(files::lstatat(dir, file)).doing(pack)? else { return Ok(None) };
        if self.options.skip.is_some_and(|skip| skip(name, &stat)) {
            return Ok(None);
        }
        if self.options.whiteouts && overlayfs::is_whiteout(&stat) {
            return self.mark(name, &whiteout::deleting(file.as_bytes()), &stat).map(|()| None);
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        let Some(mut entry) = self.described(kind, &stat, name) else { return Ok(None) };
        if kind != FileType::Directory && stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&inode) {
                entry = Entry { kind: Kind::HardLink, link: first.clone(), size: 0, ..entry };
                return self.put(entry).map(|()| None);
            }
            self.linked.insert(inode, name.to_vec());
        }
        match kind {
            FileType::RegularFile => self.file(dir, file, entry).map(|()| None),
            FileType::Directory => {
                let Some(inside) = present(files::openat2(dir, file, Open::DirectoryNoFollow, Resolve::Beneath)).doing(pack)?
                else {
                    return Ok(None);
                };
                self.folder(&inside, name, &stat).map(|()| Some(inside))
            }
            FileType::Symlink => {
                let Some(target) = present(files::readlinkat(dir, file)).doing(pack)? else { return Ok(None) };
                let xattrs = attributes(dir, file).doing(pack)?;
                self.put(Entry { link: target.as_bytes().to_vec(), xattrs, ..entry }).map(|()| None)
            }
            _ => {
                let xattrs = attributes(dir, file).doing(pack)?;
                self.put(Entry { xattrs, ..entry }).map(|()| None)
            }
        }
    }

    fn folder(&mut self, inside: &OwnedFd, name: &[u8], stat: &Stat) -> Result<()> {
        let pack = || format!("pack {:?}", lossy(name));
        let Some(mut entry) = self.described(FileType::Directory, stat, name) else { return Ok(()) };
        entry.name.push(b'/');
        entry.xattrs = attributes_of(inside).doing(pack)?;
        self.put(entry)?;
        if self.options.whiteouts && xattr::fgetxattr(inside, overlayfs::OPAQUE).doing(pack)?.is_some() {
            self.mark(&join(name, b"x"), whiteout::OPAQUE_NAME, stat)?;
        }
        Ok(())
    }

    fn put(&mut self, mut entry: Entry) -> Result<()> {
        if self.rooted {
            if !entry.name.starts_with(b"/") {
                entry.name.insert(0, b'/');
            }
            if entry.kind == Kind::HardLink {
                entry.link.insert(0, b'/');
            }
        }
        self.writer.entry(&entry)
    }

    fn described(&self, kind: FileType, stat: &Stat, name: &[u8]) -> Option<Entry> {
        let (uid, gid) = owners::inside((stat.st_uid, stat.st_gid));
        Some(Entry {
            name: name.to_vec(),
            kind: match kind {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Symlink,
                FileType::CharacterDevice => Kind::CharDevice,
                FileType::BlockDevice => Kind::BlockDevice,
                FileType::Fifo => Kind::Fifo,
                _ => return None, // a socket is only alive while its owner runs
            },
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            size: stat.st_size as u64,
            modified: Moment { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
            device: match kind {
                FileType::CharacterDevice | FileType::BlockDevice => files::device_numbers(stat),
                _ => (0, 0),
            },
            ..plain()
        })
    }

    fn file(&mut self, dir: &impl AsFd, file: &OsStr, entry: Entry) -> Result<()> {
        let pack = || format!("pack {:?}", lossy(&entry.name));
        let Some(open) = present(files::openat2(dir, file, Open::ReadNoFollow, Resolve::Beneath)).doing(pack)? else {
            return Ok(());
        };
        // between lstat and open it may have become something else: only what is open counts
        let stat = files::fstat(&open).doing(pack)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let xattrs = attributes_of(&open).doing(pack)?;
        self.put(Entry { size: stat.st_size as u64, xattrs, ..entry })?;
        self.writer.content(File::from(open)).doing(|| format!("pack {file:?}"))
    }

    /// A whiteout beside `name`.
    fn mark(&mut self, name: &[u8], mark: &[u8], stat: &Stat) -> Result<()> {
        let (folder, _) = super::tree::split(name);
        let modified = Moment { seconds: stat.st_mtime, nanoseconds: 0 };
        self.put(Entry { name: join(folder, mark), mode: 0o600, modified, ..plain() })?;
        self.writer.content(std::io::empty())
    }
}

/// A folder whose files are being packed.
struct Level {
    dir: OwnedFd,
    name: Vec<u8>,
    files: std::vec::IntoIter<OsString>,
}

impl Level {
    fn new(dir: OwnedFd, name: Vec<u8>) -> Result<Level> {
        let mut files: Vec<OsString> = files::getdents(&dir).doing(|| format!("list {:?}", lossy(&name)))?;
        files.sort();
        Ok(Level { dir, name, files: files.into_iter() })
    }
}

/// What vanished between two calls is no failure.
fn present<T>(answer: Result<T, CallFailed>) -> Result<Option<T>, CallFailed> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failed) if [errno::ENOENT, errno::ELOOP, errno::ENOTDIR, errno::ENXIO].contains(&failed.errno) => Ok(None),
        Err(failed) => Err(failed),
    }
}

fn attributes(dir: &impl AsFd, file: &OsStr) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CallFailed> {
    let keys = present(xattr::llistxattr(dir, file))?.unwrap_or_default();
    kept(keys, |key| present(xattr::lgetxattr(dir, file, key)).map(Option::flatten))
}

fn attributes_of(file: &impl AsFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CallFailed> {
    kept(xattr::flistxattr(file)?, |key| xattr::fgetxattr(file, key))
}

/// The attributes that belong to the file itself: not overlayfs' marks, not the host's labels.
fn kept(
    keys: Vec<OsString>,
    get: impl Fn(&OsStr) -> Result<Option<Vec<u8>>, CallFailed>,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CallFailed> {
    let mut all = Vec::new();
    for key in keys {
        let name = key.as_bytes();
        if name == b"security.selinux" || name.windows(9).any(|part| part == b".overlay.") {
            continue;
        }
        if let Some(value) = get(&key)? {
            all.push((name.to_vec(), value));
        }
    }
    Ok(all)
}
