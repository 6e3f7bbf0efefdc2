//! # Targets: where a mount goes, and why not by its path
//!
//! `"destination": "/var/run/x"` is a path *in the container's tree*, which somebody else filled: `/var/run` may be a link
//! to `/run`, to `/../../etc`, or become one while we look. So a target is never a path to us but a descriptor, found by a
//! walk that cannot leave the tree.
//!
//! ```text
//!   [`find`]   one openat2(root, path, RESOLVE_IN_ROOT): links are followed as the container would, `/` is its own root
//!   [`make`]   the same by hand, one name at a time, making what is missing; a stack of descriptors knows the way back up
//! ```
//!
//! * [`ordinary_folder`] is for `/proc` and `/sys`: there a link, even a harmless one, is an attempt at something
//!   (CVE-2019-19921), and refused.
//!
//! Laws: nothing outside the tree is opened, made or changed, whatever happens in the tree meanwhile.
//! See: openat2(2), CVE-2021-30465. Next room: [`crate::mounts`]

use minidock_base::{Error, Result};
use minidock_linux::{
    errno::{CallFailed, name as errno_name},
    files::{self, FileType, Open, Resolve},
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

/// How many links a walk follows before it is called a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// What the last name should be when it has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
}

/// The path without its leading slash; `.` for the root itself.
pub fn relative(path: &Path) -> &Path {
    let inside = path.strip_prefix("/").unwrap_or(path);
    if inside.as_os_str().is_empty() { Path::new(".") } else { inside }
}

/// Opens (`O_PATH`) what is at `path` below `root`, following links inside.
///
/// # Errors
/// ENOENT, ELOOP, ENOTDIR.
#[track_caller]
pub fn find(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, CallFailed> {
    files::openat2(root, relative(path), Open::Path, Resolve::InRoot)
}

/// Opens what is at `path` below `root`, and makes it (and all folders on the way) where it is missing.
///
/// # Errors
/// ENOTDIR when a file is in the way; ELOOP; EROFS.
#[track_caller]
pub fn find_or_make(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, CallFailed> {
    match find(root, path) {
        Err(failed) if failed.is(ENOENT) => make(root, path, kind),
        found => found,
    }
}

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ELOOP: i32 = 40;

#[track_caller]
fn make(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, CallFailed> {
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            way.pop();
            continue;
        }
        let here = way.last().map_or(root, |fd| fd.as_fd());
        let kind = if ahead.is_empty() { kind } else { Kind::Folder };
        let found = step(here, &name, kind)?;
        match file_type(&found)? {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(CallFailed::new("openat2", vec![format!("{path:?}")], ELOOP));
                }
                let target = files::readlinkat(here, &name)?;
                if Path::new(&target).is_absolute() {
                    way.clear();
                }
                for part in names(Path::new(&target)).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(part);
                }
            }
            _ => way.push(found),
        }
    }
    match way.pop() {
        Some(last) => Ok(last),
        None => files::openat2(root, ".", Open::Path, Resolve::InRoot),
    }
}

/// Opens one name, a link as itself, and makes it if it is missing.
#[track_caller]
fn step(here: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> Result<OwnedFd, CallFailed> {
    let open = || files::openat2(here, name, Open::PathNoFollow, Resolve::Beneath);
    match open() {
        Err(failed) if failed.is(ENOENT) => {}
        found => return found,
    }
    let made = match kind {
        Kind::Folder => files::mkdirat(here, name, 0o755),
        Kind::File => files::openat2(here, name, Open::CreateNew, Resolve::Beneath).and_then(|file| files::fchmod(file, 0o644)),
    };
    match made {
        // Somebody was quicker: what is there now is looked at as if it had been there before.
        Err(failed) if !failed.is(EEXIST) => Err(failed),
        _ => open(),
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// The type of an open file.
///
/// # Errors
/// None that a valid descriptor gives.
pub fn file_type(fd: impl AsFd) -> Result<FileType, CallFailed> {
    Ok(FileType::from_raw_mode(files::fstat(fd)?.st_mode))
}

/// The folder at `path`, made if missing, where neither it nor any folder above it is a link.
///
/// # Errors
/// Forbidden: `"/proc" must be mounted on ordinary directory`.
pub fn ordinary_folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let refused = |why: String| {
        Error::forbidden(format!("filesystem {path:?} must be mounted on ordinary directory ({why})"))
            .hint("the image has a link or a file there; nothing is ever mounted through one")
    };
    let mut here: Option<OwnedFd> = None;
    for name in names(path) {
        let at = here.as_ref().map_or(root, |fd| fd.as_fd());
        let next = step(at, &name, Kind::Folder).map_err(|failed| refused(errno_name(failed.errno)))?;
        match file_type(&next).map_err(|failed| refused(errno_name(failed.errno)))? {
            FileType::Directory => here = Some(next),
            other => return Err(refused(format!("it is a {other:?}"))),
        }
    }
    here.ok_or_else(|| refused("it is the root".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn world() -> (tempfile::TempDir, OwnedFd) {
        let world = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(world.path().join("root/run")).expect("room");
        fs::create_dir(world.path().join("victim")).expect("room");
        let root = fs::File::open(world.path().join("root")).expect("just made");
        (world, root.into())
    }

    #[test]
    fn a_missing_target_is_made_inside_whatever_the_links_say() {
        let (world, root) = world();
        let inside = world.path().join("root");
        symlink("/run", inside.join("var-run")).expect("room");
        symlink("../../victim", inside.join("up")).expect("room");
        symlink(world.path().join("victim"), inside.join("away")).expect("room");
        for (path, kind) in
            [("/var-run/a/b", Kind::File), ("/up/x", Kind::Folder), ("/away/y", Kind::Folder), ("/../../z", Kind::File)]
        {
            find_or_make(root.as_fd(), Path::new(path), kind).expect("made");
        }
        assert!(inside.join("run/a/b").is_file());
        assert!(inside.join("z").is_file());
        assert!(inside.join("victim/x").is_dir());
        assert_eq!(fs::read_dir(world.path().join("victim")).expect("there").count(), 0);
    }

    #[test]
    fn a_loop_ends() {
        let (world, root) = world();
        symlink("b", world.path().join("root/a")).expect("room");
        symlink("a", world.path().join("root/b")).expect("room");
        assert!(find_or_make(root.as_fd(), Path::new("/a/x"), Kind::Folder).is_err_and(|e| e.is(ELOOP)));
    }

    #[test]
    fn proc_is_not_mounted_through_a_link() {
        let (world, root) = world();
        symlink("/run", world.path().join("root/proc")).expect("room");
        let refused = ordinary_folder(root.as_fd(), Path::new("/proc")).expect_err("a link");
        assert!(refused.message().contains("must be mounted on ordinary directory"), "{refused}");
        assert!(ordinary_folder(root.as_fd(), Path::new("/sys")).is_ok());
    }
}
