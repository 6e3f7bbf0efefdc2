//! # Unpacking: a tar from a container becomes files here
//!
//! The archive was made from files that a *container* controls, perhaps while we read: it may name `../../etc/passwd`, or a
//! link to `/etc` and then a file below that link. So no name is ever given to the kernel as a path of ours. The
//! destination is opened once, and everything is opened from there with `RESOLVE_BENEATH`, which makes the kernel refuse
//! whatever would lead out, by dots or by links.
//!
//! ```text
//!   archive: hosts, hosts/a, hosts/b     the first entry is the root, renamed to where it lands
//!   destination ─openat2(BENEATH)─► parent ─openat(O_EXCL|O_NOFOLLOW)─► file
//! ```
//!
//! * What stands in the way of a file is removed first, unless it is a folder.
//! * Folders get their modes and times at the end, when nothing is written into them any more.
//! * Devices are made only when everything is to be kept (`-a`): a container can make a node for any device, and here it
//!   would work.
//!
//! *See:* openat2(2); CVE-2019-14271, CVE-2018-15664. *Next room:* [`crate::container::commit`]

use bytes::Bytes;
use minidock_base::{Doing, Error, Result};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps},
    fs::{chmodat, chownat, fchmod, linkat, mkdirat, mknodat, openat, openat2, symlinkat, unlinkat, utimensat},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc;

/// A sender of pieces and a reader of what was sent.
pub fn channel() -> (mpsc::Sender<Bytes>, impl Read + Send) {
    let (sender, receiver) = mpsc::channel(8);
    (sender, Pieces { receiver, piece: Bytes::new() })
}

struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let n = into.len().min(self.piece.len());
        into[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

/// Unpacks into `folder`, the archive's root renamed to `name`; gives back the names of devices that were left out.
///
/// # Errors
/// The first thing that cannot be written, by name; an archive that breaks off.
pub fn unpack(archive: impl Read, folder: &Path, name: Option<&Path>, keep_all: bool) -> Result<Vec<String>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::open(folder, flags, Mode::empty()).map_err(io::Error::from);
    let base = base.doing(|| format!("open {}", folder.display()))?;
    let name = name.map(Path::to_path_buf);
    let mut unpacker = Unpacker { base, name, keep_all, root: None, folders: Vec::new(), skipped: Vec::new() };
    let mut archive = Archive::new(archive);
    for entry in archive.entries().doing(|| "read the archive")? {
        let mut entry = entry.doing(|| "read the archive")?;
        let path = entry.path().doing(|| "read a name in the archive")?.into_owned();
        let inside = unpacker.place(&path)?;
        unpacker.one(&mut entry, &inside).doing(|| format!("write {}", folder.join(&inside).display()))?;
    }
    unpacker.finish(folder)
}

struct Unpacker {
    base: OwnedFd,
    /// What the archive's root is called here; without it, its contents go straight into the base.
    name: Option<PathBuf>,
    keep_all: bool,
    /// The first entry's name: everything is below it.
    root: Option<PathBuf>,
    /// Folders with their mode and time, to be set at the end.
    folders: Vec<(PathBuf, u32, i64)>,
    skipped: Vec<String>,
}

impl Unpacker {
    /// Where an entry lands, relative to the base.
    fn place(&mut self, path: &Path) -> Result<PathBuf> {
        let plain = plain(path)?;
        let root = &*self.root.get_or_insert_with(|| plain.clone());
        let below = plain
            .strip_prefix(root)
            .map_err(|_| Error::invalid(format!("the archive names {} outside of {}", path.display(), root.display())))?;
        Ok(self.name.iter().flat_map(|name| name.components()).chain(below.components()).collect())
    }

    fn one(&mut self, entry: &mut Entry<'_, impl Read>, inside: &Path) -> Result<()> {
        let header = entry.header().clone();
        let mode = header.mode().unwrap_or(0o644) & if self.keep_all { 0o7777 } else { 0o1777 };
        let time = header.mtime().unwrap_or(0) as i64;
        let kind = header.entry_type();
        let Some(name) = inside.file_name() else {
            self.folders.push((PathBuf::from("."), mode, time));
            return Ok(());
        };
        let parent = self.parent(inside).doing(|| "open its folder")?;
        let done = match kind {
            EntryType::Directory => {
                self.folders.push((inside.to_path_buf(), mode, time));
                folder(parent.as_fd(), name)
            }
            EntryType::Symlink => {
                let target = entry.link_name().ok().flatten().map(|t| t.into_owned()).unwrap_or_default();
                clear(parent.as_fd(), name).and_then(|()| Ok(symlinkat(&target, &parent, name)?))
            }
            EntryType::Link => {
                let target = entry.link_name().ok().flatten().map(|t| t.into_owned()).unwrap_or_default();
                return self.link(parent.as_fd(), name, &target);
            }
            EntryType::Fifo => node(parent.as_fd(), name, FileType::Fifo, mode, 0),
            EntryType::Char | EntryType::Block if !self.keep_all => {
                self.skipped.push(inside.display().to_string());
                return Ok(());
            }
            EntryType::Char | EntryType::Block => {
                let number = |n: io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
                let device = rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
                let file_type = if kind == EntryType::Char { FileType::CharacterDevice } else { FileType::BlockDevice };
                node(parent.as_fd(), name, file_type, mode, device)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => file(entry, parent.as_fd(), name, mode),
            _ => return Ok(()),
        };
        done.doing(|| "create it")?;
        self.settle(parent.as_fd(), name, &header, kind, time).doing(|| "set its owner and time")
    }

    /// Owner and time; a folder's come at the end.
    fn settle(&self, parent: BorrowedFd<'_>, name: &OsStr, header: &tar::Header, kind: EntryType, time: i64) -> io::Result<()> {
        if self.keep_all {
            let owner = |n: io::Result<u64>| n.ok().and_then(|n| u32::try_from(n).ok());
            let uid = owner(header.uid()).map(rustix::fs::Uid::from_raw);
            let gid = owner(header.gid()).map(rustix::fs::Gid::from_raw);
            chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            if kind.is_file() {
                // chown takes set-user-ID bits away
                chmodat(parent, name, Mode::from_raw_mode(header.mode().unwrap_or(0o644) & 0o7777), AtFlags::empty())?;
            }
        }
        Ok(utimensat(parent, name, &at(time), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn link(&mut self, parent: BorrowedFd<'_>, name: &OsStr, target: &Path) -> Result<()> {
        let landed = self.place(target).doing(|| format!("link it to {}", target.display()))?;
        let folder = self.parent(&landed).doing(|| "open the folder it links into")?;
        let first = landed.file_name().ok_or_else(|| Error::invalid("it is a link to a folder"))?;
        let made = clear(parent, name).and_then(|()| Ok(linkat(&folder, first, parent, name, AtFlags::empty())?));
        made.doing(|| format!("link it to {}", landed.display()))
    }

    /// The folder that holds `inside`, opened so that nothing can lead out of the base.
    fn parent(&self, inside: &Path) -> io::Result<OwnedFd> {
        let folder = inside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat2(&self.base, folder, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)?)
    }

    fn finish(self, base: &Path) -> Result<Vec<String>> {
        for (inside, mode, time) in self.folders.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let set = || -> io::Result<()> {
                let folder = openat2(&self.base, inside, flags, Mode::empty(), resolve)?;
                fchmod(&folder, Mode::from_raw_mode(*mode))?;
                Ok(rustix::fs::futimens(&folder, &at(*time))?)
            };
            set().doing(|| format!("set mode and time of {}", base.join(inside).display()))?;
        }
        Ok(self.skipped)
    }
}

/// A name without `.`; one with `..` or from the root of the file system is refused.
fn plain(path: &Path) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(Error::invalid(format!("the archive names {}, which leads out", path.display()))),
        }
    }
    Ok(plain)
}

/// Removes what stands in the way, if it is no folder.
fn clear(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn folder(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(parent, name, flags, Mode::empty()) {
                Ok(_) => Ok(()),
                Err(_) => Err(io::Error::other("a file stands where a folder should go")),
            }
        }
        made => Ok(made?),
    }
}

fn node(parent: BorrowedFd<'_>, name: &OsStr, kind: FileType, mode: u32, device: u64) -> io::Result<()> {
    clear(parent, name)?;
    Ok(mknodat(parent, name, kind, Mode::from_raw_mode(mode), device)?)
}

fn file(entry: &mut Entry<'_, impl Read>, parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    clear(parent, name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(entry, &mut file)?;
    Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
}

fn at(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tar::{Builder, Header};

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, text) in entries {
            let mut header = Header::new_gnu();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            let data = if kind.is_file() { text.as_bytes() } else { b"" };
            if !kind.is_file() {
                header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).expect("memory");
        }
        builder.into_inner().expect("memory")
    }

    const F: EntryType = EntryType::Regular;
    const D: EntryType = EntryType::Directory;
    const S: EntryType = EntryType::Symlink;
    const L: EntryType = EntryType::Link;

    fn into(folder: &Path, name: Option<&str>, entries: &[(&str, EntryType, &str)]) -> Result<Vec<String>> {
        unpack(archive(entries).as_slice(), folder, name.map(Path::new), false)
    }

    #[test]
    fn the_root_is_renamed_and_links_follow() {
        let place = tempfile::tempdir().expect("a folder");
        let tree = [("src/", D, ""), ("src/a", F, "one"), ("src/b", L, "src/a"), ("src/s", S, "a"), ("src/d/", D, "")];
        into(place.path(), Some("new"), &tree).expect("a good archive");
        let new = place.path().join("new");
        assert_eq!(std::fs::read(new.join("b")).expect("linked"), b"one");
        assert_eq!(std::fs::read_link(new.join("s")).expect("a link"), Path::new("a"));
        assert!(new.join("d").is_dir());
        assert_eq!(new.join("a").metadata().expect("there").permissions().mode() & 0o7777, 0o755, "set-user-ID is dropped");
        into(place.path(), None, &[("./", D, ""), ("./a", F, "two"), ("./b", L, "./a")]).expect("contents only");
        assert_eq!(std::fs::read(place.path().join("b")).expect("linked"), b"two");
        into(place.path(), Some("a"), &[("x", F, "three")]).expect("a file replaces a file");
        assert_eq!(std::fs::read(place.path().join("a")).expect("there"), b"three");
    }

    #[test]
    fn no_archive_leaves_its_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        std::fs::create_dir(&inside).expect("room");
        std::fs::create_dir(&outside).expect("room");
        let out = outside.to_str().expect("text");
        let attacks: [&[(&str, EntryType, &str)]; 6] = [
            &[("x/", D, ""), ("x/../../out/evil", F, "!")],
            &[("x/", D, ""), ("x/l", S, out), ("x/l/evil", F, "!")],
            &[("x/", D, ""), ("x/l", S, "../../out"), ("x/l/evil", F, "!")],
            &[("x/", D, ""), ("y/evil", F, "!")],
            &[("x/", D, ""), ("x/h", L, "../out/secret")],
            &[("x", S, out), ("x/evil", F, "!")],
        ];
        std::fs::write(outside.join("secret"), "s").expect("room");
        for (n, attack) in attacks.iter().enumerate() {
            assert!(into(&inside, Some(&format!("n{n}")), attack).is_err(), "attack {n} should be refused");
        }
        assert_eq!(std::fs::read_dir(&outside).expect("there").count(), 1, "nothing was written outside");
        into(&inside, Some("abs"), &[("/etc/", D, ""), ("/etc/x", F, "inside")]).expect("absolute names are relative here");
        assert_eq!(std::fs::read(inside.join("abs/x")).expect("there"), b"inside");
    }

    #[test]
    fn a_broken_archive_is_an_error_and_devices_are_left_out() {
        let place = tempfile::tempdir().expect("a folder");
        let whole = archive(&[("a", F, "some text")]);
        assert!(unpack(&whole[..700], place.path(), None, false).is_err());
        let skipped = into(place.path(), Some("n"), &[("d/", D, ""), ("d/null", EntryType::Char, "")]).expect("readable");
        assert_eq!(skipped, ["n/null"]);
    }
}
