//! # Diff: what a container changed
//!
//! The writable layer *is* the difference, so nothing needs to be compared file by file: whatever lies in the upper
//! directory was added, changed or deleted. Which of the three is asked of the layers below.
//!
//! ```text
//!   upper: device 0:0            below: there        D  (with all below it, said once)
//!   upper: file                  below: nothing      A
//!   upper: file                  below: there        C  if mode, owner, size or time differ
//!   upper: folder                below: folder       C  if mode or owner differ, or something in it changed
//!   upper: folder [opaque]       below: folder       … and D for what it no longer has
//! ```
//!
//! * [`changes`] is the list that `docker diff` prints; [`write_tar`] the same as the archive of a new layer.
//! * What the runtime itself puts there as mount points ([`is_mount_point`]) is no change of the container's.
//!
//! See: moby `pkg/archive/changes.go` (ChangesDirs). Next room: [`super::pack`]

use super::{
    below,
    pack::{DEEPEST, Options, Packer},
    tree::{join, lossy},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    files::{self, FileType, Open, Resolve, Stat},
    overlayfs, xattr,
};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// What happened to a path; the numbers are those of Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// One changed path, absolute as the container sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub path: String,
    pub kind: ChangeKind,
}

/// The changes of `upper` against the layers `lower` (top first), in the order of their paths.
///
/// # Errors
/// A directory that cannot be read; folders nested without end.
pub fn changes(lower: &[PathBuf], upper: &Path) -> Result<Vec<Change>> {
    let upper = files::open_directory(upper).doing(|| "open the writable layer")?;
    let below = match lower {
        [] => None,
        lower => Some(below::view(lower)?),
    };
    let mut all = Vec::new();
    walk(&upper, below.as_ref(), b"", 0, &mut all)?;
    all.sort();
    Ok(all)
}

/// Lists the changes in one folder; gives back whether there were any.
fn walk(upper: &OwnedFd, below: Option<&OwnedFd>, path: &[u8], depth: usize, all: &mut Vec<Change>) -> Result<bool> {
    if depth > DEEPEST {
        return Err(Error::invalid(format!("more than {DEEPEST} folders within each other")));
    }
    let look = || format!("look at {:?}", lossy(path));
    let before = all.len();
    let mut gone: BTreeSet<OsString> = BTreeSet::new();
    if let (Some(below), true) = (below, xattr::fgetxattr(upper, overlayfs::OPAQUE).doing(look)?.is_some()) {
        gone.extend(files::getdents(below).doing(look)?);
    }
    for name in files::getdents(upper).doing(look)? {
        let Ok(stat) = files::lstatat(upper, &name) else { continue }; // a running container may remove it meanwhile
        let here = join(path, name.as_bytes());
        let old = below.and_then(|below| files::lstatat(below, &name).ok());
        gone.remove(&name);
        if is_mount_point(&here, &stat) {
            continue;
        }
        let mut say = |kind| all.push(Change { path: format!("/{}", lossy(&here)), kind });
        if overlayfs::is_whiteout(&stat) {
            if old.is_some() {
                say(ChangeKind::Deleted);
            }
            continue;
        }
        let told = match &old {
            None => Some(ChangeKind::Added),
            Some(old) if differs(old, &stat) => Some(ChangeKind::Modified),
            Some(_) => None,
        };
        told.into_iter().for_each(&mut say);
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        let Ok(inside) = files::openat2(upper, &name, Open::DirectoryNoFollow, Resolve::Beneath) else { continue };
        let under = old.filter(|old| FileType::from_raw_mode(old.st_mode) == FileType::Directory).and(below);
        let under = under.and_then(|below| files::openat2(below, &name, Open::DirectoryNoFollow, Resolve::Beneath).ok());
        let at = all.len();
        let changed = walk(&inside, under.as_ref(), &here, depth + 1, all)?;
        match told {
            None if changed => all.push(Change { path: format!("/{}", lossy(&here)), kind: ChangeKind::Modified }),
            // a folder that only holds mount points is the runtime's
            Some(ChangeKind::Added) if !changed && SCAFFOLD.contains(&&here[..]) => drop(all.remove(at - 1)),
            _ => {}
        }
    }
    let deleted =
        |name: OsString| Change { path: format!("/{}", lossy(&join(path, name.as_bytes()))), kind: ChangeKind::Deleted };
    all.extend(gone.into_iter().map(deleted));
    Ok(all.len() > before)
}

/// Docker's test: a folder's size and time say nothing, since whatever happens in it changes them.
fn differs(old: &Stat, new: &Stat) -> bool {
    let folder = FileType::from_raw_mode(new.st_mode) == FileType::Directory;
    let facts = |s: &Stat| (s.st_mode, s.st_uid, s.st_gid, s.st_rdev);
    let content = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    facts(old) != facts(new) || (!folder && content(old) != content(new))
}

/// Folders that hold mount points of every container.
pub const SCAFFOLD: &[&[u8]] = &[b"dev", b"etc", b"proc", b"sys"];

/// Whether this is an empty file or folder that the runtime made to mount something on. In Docker these lie in a layer of
/// their own below the container's.
pub fn is_mount_point(path: &[u8], stat: &Stat) -> bool {
    const FILES: &[&[u8]] = &[b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"dev/console", b".dockerenv"];
    const FOLDERS: &[&[u8]] = &[b"proc", b"sys", b"dev/pts", b"dev/shm", b"dev/mqueue"];
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size == 0 && FILES.contains(&path),
        FileType::Directory => FOLDERS.contains(&path),
        FileType::Symlink => path == b"etc/mtab",
        _ => false,
    }
}

/// Writes the upper directory as the archive of a layer.
///
/// # Errors
/// A directory that cannot be read, a stream that takes no more.
pub fn write_tar<W: Write>(upper: &Path, out: W) -> Result<W> {
    let dir = files::open_directory(upper).doing(|| "open the writable layer")?;
    let skip = |path: &[u8], stat: &Stat| is_mount_point(path, stat) || is_empty_scaffold(&dir, path, stat);
    let mut packer = Packer::new(out, Options { whiteouts: true, skip: Some(&skip), mounted: None });
    packer.tree(&dir, b"")?;
    packer.finish()
}

/// `dev` and its like when nothing but mount points is in them.
fn is_empty_scaffold(root: &impl AsFd, path: &[u8], stat: &Stat) -> bool {
    if !SCAFFOLD.contains(&path) || FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return false;
    }
    let Ok(dir) = files::openat2(root, OsStr::from_bytes(path), Open::DirectoryNoFollow, Resolve::Beneath) else {
        return false;
    };
    if !matches!(xattr::fgetxattr(&dir, overlayfs::OPAQUE), Ok(None)) {
        return false;
    }
    let Ok(names) = files::getdents(&dir) else { return false };
    let stub =
        |name: &OsString| files::lstatat(&dir, name).is_ok_and(|stat| is_mount_point(&join(path, name.as_bytes()), &stat));
    !names.is_empty() && names.iter().all(stub)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{tar::Reader, unpack};
    use std::fs;

    fn told(list: &[Change]) -> Vec<String> {
        list.iter().map(|c| format!("{}{}", ["C", "A", "D"][c.kind as usize], c.path)).collect()
    }

    #[test]
    fn folders_nested_without_end_are_an_error_and_no_overflow() {
        let folder = tempfile::tempdir().expect("room");
        let mut at = files::open_directory(folder.path()).expect("there");
        for _ in 0..600 {
            files::mkdirat(&at, "d", 0o755).expect("room");
            at = files::openat2(&at, "d", Open::Directory, Resolve::Beneath).expect("just made");
        }
        assert!(write_tar(folder.path(), std::io::sink()).is_err_and(|e| e.message().contains("folders within each other")));
        assert!(changes(&[], folder.path()).is_err_and(|e| e.message().contains("folders within each other")));
    }

    #[test]
    fn what_was_changed_is_told_and_packed_and_unpacks_to_the_same() {
        let folder = tempfile::tempdir().expect("room");
        let at = |name: &str| folder.path().join(name);
        for dir in ["low/etc", "low/var/log", "low/same", "up/etc", "up/var", "up/same", "up/proc", "up/dev/pts", "again"] {
            fs::create_dir_all(at(dir)).expect("room");
        }
        for file in ["low/etc/passwd", "low/etc/group", "low/var/log/x", "up/new", "up/var/y"] {
            fs::write(at(file), file).expect("room");
        }
        fs::write(at("up/etc/group"), "longer than it was").expect("room");
        fs::write(at("up/etc/hosts"), "").expect("room");
        fs::hard_link(at("up/new"), at("up/same/new2")).expect("room");
        let up = files::open_directory(&at("up")).expect("there");
        let (etc, var) =
            (files::open_directory(&at("up/etc")).expect("there"), files::open_directory(&at("up/var")).expect("there"));
        if overlayfs::make_whiteout(etc.as_fd(), OsStr::new("passwd")).is_err() {
            return println!("SKIP: this user may make no device node");
        }
        overlayfs::make_whiteout(up.as_fd(), OsStr::new("never-was")).expect("just could");
        xattr::fsetxattr(&var, overlayfs::OPAQUE, b"y").expect("root may");
        let list = changes(&[at("low")], &at("up")).expect("readable");
        let expected =
            ["C/etc", "C/etc/group", "D/etc/passwd", "A/new", "C/same", "A/same/new2", "C/var", "D/var/log", "A/var/y"];
        assert_eq!(told(&list), expected);
        let archive = write_tar(&at("up"), Vec::new()).expect("memory");
        assert_eq!(archive, write_tar(&at("up"), Vec::new()).expect("memory"), "the same bytes each time");
        let mut reader = Reader::new(&archive[..]);
        let mut names = Vec::new();
        while let Some(entry) = reader.next().expect("our own") {
            names.push(lossy(&entry.name));
        }
        let packed = [
            "etc/",
            "etc/group",
            "etc/.wh.passwd",
            ".wh.never-was",
            "new",
            "same/",
            "same/new2",
            "var/",
            "var/.wh..wh..opq",
            "var/y",
        ];
        assert_eq!(names, packed);
        unpack::unpack(&archive[..], files::open_directory(&at("again")).expect("there")).expect("our own");
        assert_eq!(told(&changes(&[at("low")], &at("again")).expect("readable")), expected);
    }
}
