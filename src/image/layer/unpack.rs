//! # Unpack: tar → directory, without ever leaving it
//!
//! One layer becomes one directory in the form that overlayfs stacks. The archive is a stranger's, so it may name any path,
//! repeat names, link to anything, lie about sizes. What it can never do is touch something outside its own directory: all
//! work goes through a [`Tree`], every call is relative to a descriptor, no last component is followed.
//!
//! ```text
//!   entry ──► Mark? ──deleted──► device 0:0 (unless this layer itself made the name)
//!               │    ──opaque───► trusted.overlay.opaque on the folder
//!               └─none─► make room (a later entry of the same name wins) ──► file | folder | link | node ──► owner, mode, xattrs, times
//!   end: links whose target came later · folders' owner, mode and times, deepest first
//! ```
//!
//! * [`unpack`] does it and says in [`Unpacked`] what the layer left unsaid: folders it only implied, hard links to files of
//!   lower layers. [`super::below`] settles those.
//!
//! Laws: chown before chmod and capabilities (it clears them); folders get their mode and time last (work inside would
//! change the time, and a setgid folder would pass its group on); overlayfs' own attributes are never taken from a layer.
//! See: OCI image-spec layer.md, overlayfs.rst,CVE-2017-14992. Next room: [`super::whiteout`]

use super::{
    owners,
    tar::{Entry, Kind, Reader, Sparse},
    tree::{self, Folder, Missing, Tree, lossy},
    whiteout::Mark,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{self, CallFailed},
    files::{self, FileType, Open, Resolve},
    overlayfs, remove_tree, xattr,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::File,
    io::{BufRead, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    rc::Rc,
};

/// What came of a layer.
#[derive(Clone, Debug, Default)]
pub struct Unpacked {
    /// Bytes of all regular files.
    pub size: u64,
    pub entries: u64,
    /// Whether the archive says what the root directory itself is like.
    pub root: bool,
    /// Folders that only became necessary, parents first.
    pub implied: Vec<Vec<u8>>,
    /// Hard links (name, target) whose target is in no part of this layer.
    pub borrowed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the archive is: a layer, or files that somebody copies into a living tree.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The folder of the tree that names are relative to; `..` does not lead out of it.
    pub base: Vec<u8>,
    /// Whether `.wh.` names delete.
    pub whiteouts: bool,
    /// A folder may not replace another kind of file, nor the other way round (`docker cp`).
    pub keep_kinds: bool,
    /// Everything belongs to this user and group, whatever the archive says.
    pub owner: Option<(u32, u32)>,
}

impl Policy {
    fn layer() -> Policy {
        Policy { base: Vec::new(), whiteouts: true, keep_kinds: false, owner: None }
    }
}

/// Unpacks files into a tree that is in use: through the same guard, but by the rules of `docker cp`.
///
/// # Errors
/// As [`unpack`]; `cannot overwrite directory … with non-directory …`.
pub fn unpack_into(archive: impl BufRead, tree: Tree, policy: Policy) -> Result<Unpacked> {
    run(archive, tree, policy).map(|(done, _)| done)
}

/// Unpacks the archive into the empty directory `root`.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] when the archive is at fault, naming the entry;
/// [`minidock_base::Kind::System`] when the kernel or the disk is.
pub fn unpack<R: BufRead>(archive: R, root: OwnedFd) -> Result<(Unpacked, R)> {
    run(archive, Tree::new(root), Policy::layer())
}

fn run<R: BufRead>(archive: R, tree: Tree, policy: Policy) -> Result<(Unpacked, R)> {
    let mut work =
        Work { tree, policy, folders: BTreeMap::new(), links: Vec::new(), opaque: BTreeSet::new(), done: Unpacked::default() };
    let mut reader = Reader::new(archive);
    while let Some(mut entry) = reader.next()? {
        let owner = owners::on_disk(work.policy.owner.unwrap_or((entry.uid, entry.gid)));
        let owned = owner.map(|owner| (entry.uid, entry.gid) = owner);
        owned
            .and_then(|()| work.entry(&entry, &mut reader))
            .map_err(|e| e.during(format!("unpack {:?}", lossy(&entry.name))))?;
    }
    work.finish().map(|done| (done, reader.into_inner()))
}

struct Work {
    tree: Tree,
    policy: Policy,
    /// Folders that entries described, by real path: settled at the end.
    folders: BTreeMap<Vec<u8>, Entry>,
    links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Folders below which nothing older is seen.
    opaque: BTreeSet<Vec<u8>>,
    done: Unpacked,
}

impl Work {
    fn entry(&mut self, entry: &Entry, reader: &mut Reader<impl BufRead>) -> Result<()> {
        self.done.entries += 1;
        let path = tree::clean(&entry.name)?;
        if path.is_empty() {
            return match entry.kind {
                Kind::Directory if !self.policy.whiteouts => Ok(()), // the folder copied into keeps what it is
                Kind::Directory => {
                    self.done.root = true;
                    self.folders.insert(path, entry.clone());
                    Ok(())
                }
                _ => Err(Error::invalid("the root of a layer must be a directory")),
            };
        }
        let path = match self.policy.base.is_empty() {
            true => path,
            false => tree::join(&self.policy.base, &path),
        };
        let (above, name) = tree::split(&path);
        let mark = if self.policy.whiteouts { Mark::of(name)? } else { Mark::None };
        if mark == Mark::Bookkeeping || above.starts_with(b".wh..wh.plnk") {
            return Ok(());
        }
        let folder =
            self.tree.directory(above, Missing::Make)?.ok_or_else(|| Error::system("a folder just made is missing"))?;
        match mark {
            Mark::Deleted(deleted) => self.delete(&folder, deleted),
            Mark::Opaque => {
                self.opaque.insert(folder.path.clone());
                set_opaque(&*folder)
            }
            _ => self.make(&folder, name, entry, reader),
        }
    }

    /// A deletion: the device 0:0, unless this layer has made that name itself.
    fn delete(&mut self, folder: &Folder, name: &[u8]) -> Result<()> {
        let text = OsStr::from_bytes(name);
        match overlayfs::make_whiteout(folder.as_fd(), text) {
            Err(failed) if failed.is(errno::EEXIST) => match files::lstatat(folder, text) {
                // the new folder replaces the old one, and does not mix with it
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    let inside = files::openat2(folder, text, Open::DirectoryNoFollow, Resolve::Beneath);
                    set_opaque(&inside.doing(|| format!("open {:?}", lossy(name)))?)
                }
                _ => Ok(()),
            },
            made => made.doing(|| format!("mark {:?} as deleted", lossy(name))),
        }
    }

    fn make(&mut self, folder: &Rc<Folder>, name: &[u8], entry: &Entry, reader: &mut Reader<impl BufRead>) -> Result<()> {
        let text = OsStr::from_bytes(name);
        match entry.kind {
            Kind::File => {
                let file = self.retried(folder, name, |f| files::openat2(f, text, Open::CreateNew, Resolve::Beneath))?;
                let mut file = File::from(file);
                match &entry.sparse {
                    None => copy(reader, &mut file)?,
                    Some(sparse) => copy_sparse(reader, &mut file, sparse)?,
                }
                self.done.size += entry.sparse.as_ref().map_or(entry.size, |s| s.real_size);
                settle_open(&file, entry)
            }
            Kind::Directory => self.folder(folder, name, entry),
            Kind::HardLink => self.hard_link(folder, name, entry),
            Kind::Symlink => {
                self.retried(folder, name, |f| files::symlinkat(OsStr::from_bytes(&entry.link), f, text))?;
                self.settle_name(folder, name, entry)
            }
            Kind::CharDevice if entry.device == (0, 0) && self.policy.whiteouts => self.delete(folder, name),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                let kind = match entry.kind {
                    Kind::CharDevice => FileType::CharacterDevice,
                    Kind::BlockDevice => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                self.retried(folder, name, |f| files::mknodat(f, text, kind, entry.mode & 0o777, entry.device))?;
                self.settle_name(folder, name, entry)
            }
        }
    }

    /// Tries a call that makes a name; if the name is taken, removes what this layer put there and tries again.
    fn retried<T>(
        &mut self,
        folder: &Folder,
        name: &[u8],
        mut make: impl FnMut(&Folder) -> Result<T, CallFailed>,
    ) -> Result<T> {
        match make(folder) {
            Err(failed) if failed.is(errno::EEXIST) => {
                self.may_replace(folder, name)?;
                self.remove(folder, name)?;
                make(folder).doing(|| format!("make {:?}", lossy(name)))
            }
            made => made.doing(|| format!("make {:?}", lossy(name))),
        }
    }

    /// `docker cp` replaces files by files, but never a folder.
    fn may_replace(&self, folder: &Folder, name: &[u8]) -> Result<()> {
        let stat = files::lstatat(folder, OsStr::from_bytes(name));
        let is_folder = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        match self.policy.keep_kinds && is_folder {
            true => Err(Error::invalid(format!("cannot overwrite directory {0:?} with non-directory {0:?}", lossy(name)))),
            false => Ok(()),
        }
    }

    fn remove(&mut self, folder: &Folder, name: &[u8]) -> Result<()> {
        let path = folder.join(name);
        remove_tree::remove_tree(folder, OsStr::from_bytes(name)).doing(|| format!("replace {:?}", lossy(&path)))?;
        let below = tree::join(&path, b"");
        self.folders.retain(|known, _| *known != path && !known.starts_with(&below));
        self.tree.implied.retain(|known| *known != path && !known.starts_with(&below));
        self.tree.forget();
        Ok(())
    }

    fn folder(&mut self, folder: &Rc<Folder>, name: &[u8], entry: &Entry) -> Result<()> {
        let (text, path) = (OsStr::from_bytes(name), folder.join(name));
        match files::mkdirat(&**folder, text, 0o700) {
            Ok(()) => {}
            Err(failed) if failed.is(errno::EEXIST) => {
                let stat = files::lstatat(&**folder, text).doing(|| format!("look at {:?}", lossy(&path)))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    if self.policy.keep_kinds {
                        let text = format!("cannot overwrite non-directory {0:?} with directory {0:?}", lossy(name));
                        return Err(Error::invalid(text));
                    }
                    let replaces_whiteout = self.policy.whiteouts && overlayfs::is_whiteout(&stat);
                    self.remove(folder, name)?;
                    files::mkdirat(&**folder, text, 0o700).doing(|| format!("make {:?}", lossy(&path)))?;
                    if replaces_whiteout {
                        let inside = files::openat2(&**folder, text, Open::DirectoryNoFollow, Resolve::Beneath);
                        set_opaque(&inside.doing(|| format!("open {:?}", lossy(name)))?)?;
                    }
                }
            }
            Err(failed) => return Err(failed).doing(|| format!("make the folder {:?}", lossy(&path))),
        }
        self.tree.implied.retain(|known| *known != path);
        self.folders.insert(path, entry.clone());
        Ok(())
    }

    /// A second name. The target must lie in this layer, now or by its end, or else in the layers below.
    fn hard_link(&mut self, folder: &Rc<Folder>, name: &[u8], entry: &Entry) -> Result<()> {
        let target = tree::clean(&entry.link)?;
        let target = if self.policy.base.is_empty() { target } else { tree::join(&self.policy.base, &target) };
        if target == folder.join(name) {
            return Ok(()); // a name linked to itself: GNU tar writes it for files given twice
        }
        if !self.link(folder, name, &target)? {
            self.links.push((folder.join(name), target));
        }
        Ok(())
    }

    fn link(&mut self, folder: &Rc<Folder>, name: &[u8], target: &[u8]) -> Result<bool> {
        let (above, last) = tree::split(target);
        let Some(from) = self.tree.directory(above, Missing::Fail)? else { return Ok(false) };
        let (last, text) = (OsStr::from_bytes(last), OsStr::from_bytes(name));
        let Ok(stat) = files::lstatat(&*from, last) else { return Ok(false) };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory || overlayfs::is_whiteout(&stat) {
            return Err(Error::invalid(format!("a hard link to {:?}, which is no file", lossy(target))));
        }
        self.retried(folder, name, |f| files::linkat(&*from, last, f, text))?;
        Ok(true)
    }

    fn settle_name(&self, folder: &Folder, name: &[u8], entry: &Entry) -> Result<()> {
        let text = OsStr::from_bytes(name);
        let why = || format!("set owner, mode and times of {:?}", lossy(name));
        files::lchownat(folder, text, entry.uid, entry.gid).doing(why)?;
        if entry.kind != Kind::Symlink {
            let node = files::openat2(folder, text, Open::PathNoFollow, Resolve::Beneath).doing(why)?;
            files::chmod_path(&node, entry.mode).doing(why)?;
        }
        set_xattrs(entry, |key, value| xattr::lsetxattr(folder, text, key, value))?;
        files::lutimensat(folder, text, entry.accessed.unwrap_or(entry.modified), entry.modified).doing(why)
    }

    fn finish(mut self) -> Result<Unpacked> {
        for (path, target) in std::mem::take(&mut self.links) {
            let (above, name) = tree::split(&path);
            let folder = self.tree.directory(above, Missing::Fail)?;
            let linked = match folder {
                Some(folder) => self.link(&folder, name, &target)?,
                None => true, // replaced by a later entry
            };
            if !linked {
                self.done.borrowed.push((path, target));
            }
        }
        for path in std::mem::take(&mut self.opaque) {
            if let Some(folder) = self.tree.directory(&path, Missing::Fail)? {
                drop_whiteouts(&*folder, 0)?;
            }
        }
        for (path, entry) in std::mem::take(&mut self.folders).into_iter().rev() {
            let folder = self.tree.directory(&path, Missing::Fail)?.ok_or_else(|| Error::system("a folder has vanished"))?;
            settle_open(&*folder, &entry).map_err(|e| e.during(format!("unpack {:?}", lossy(&path))))?;
        }
        self.done.implied = std::mem::take(&mut self.tree.implied);
        self.done.implied.sort();
        Ok(self.done)
    }
}

/// Below an opaque folder there is nothing to delete, and overlayfs would *list* a mark that hides nothing.
fn drop_whiteouts(folder: &impl AsFd, depth: usize) -> Result<()> {
    tree::not_too_deep(depth)?;
    for name in files::getdents(folder).doing(|| "list an opaque folder")? {
        let stat = files::lstatat(folder, &name).doing(|| format!("look at {name:?}"))?;
        if overlayfs::is_whiteout(&stat) {
            files::unlinkat(folder, &name).doing(|| format!("drop the whiteout {name:?}"))?;
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let inside = files::openat2(folder, &name, Open::DirectoryNoFollow, Resolve::Beneath);
            drop_whiteouts(&inside.doing(|| format!("open the folder {name:?}"))?, depth + 1)?;
        }
    }
    Ok(())
}

fn set_opaque(folder: &impl AsFd) -> Result<()> {
    xattr::fsetxattr(folder, overlayfs::OPAQUE, b"y").doing(|| "mark a folder as opaque")
}

/// Owner first (it clears what follows), then mode, attributes, and times last of all.
fn settle_open(file: &impl AsFd, entry: &Entry) -> Result<()> {
    let why = || "set its owner, mode and times".to_string();
    if (entry.uid, entry.gid) != (0, 0) || entry.kind == Kind::Directory {
        files::fchown(file, entry.uid, entry.gid).doing(why)?;
    }
    files::fchmod(file, entry.mode).doing(why)?;
    set_xattrs(entry, |key, value| xattr::fsetxattr(file, key, value))?;
    files::futimens(file, entry.accessed.unwrap_or(entry.modified), entry.modified).doing(why)
}

/// Applies the attributes that belong to the file. overlayfs' own would change what the whole pile means, and SELinux
/// labels belong to the host; a file system without attributes does without.
fn set_xattrs(entry: &Entry, set: impl Fn(&OsStr, &[u8]) -> Result<(), CallFailed>) -> Result<()> {
    for (key, value) in &entry.xattrs {
        if key == b"security.selinux" || key.windows(9).any(|part| part == b".overlay.") {
            continue;
        }
        match set(OsStr::from_bytes(key), value) {
            Err(failed) if failed.is(errno::ENOTSUP) => {}
            // user.* on a link or device, trusted.* in a user namespace
            Err(failed) if failed.is(errno::EPERM) && !key.starts_with(b"security.capability") => {}
            done => done.doing(|| format!("set its attribute {}", lossy(key)))?,
        }
    }
    Ok(())
}

fn copy(reader: &mut Reader<impl BufRead>, file: &mut File) -> Result<()> {
    loop {
        let slice = reader.fill()?;
        if slice.is_empty() {
            return Ok(());
        }
        let n = slice.len();
        write(file, slice)?;
        reader.consume(n);
    }
}

fn copy_sparse(reader: &mut Reader<impl BufRead>, file: &mut File, sparse: &Sparse) -> Result<()> {
    for (offset, length) in &sparse.segments {
        file.seek(SeekFrom::Start(*offset)).doing(|| "find the place after a hole")?;
        let mut left = *length;
        while left > 0 {
            let slice = reader.fill()?;
            let n = slice.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if n == 0 {
                return Err(Error::invalid("its content is shorter than its sparse map"));
            }
            write(file, &slice[..n])?;
            reader.consume(n);
            left -= n as u64;
        }
    }
    files::ftruncate(&*file, sparse.real_size).doing(|| "give it its whole length")
}

fn write(file: &mut File, slice: &[u8]) -> Result<()> {
    file.write_all(slice).map_err(|e| crate::disk(&e, "write its content"))
}
