//! # Masks: what a container may see but not touch, or not even see
//!
//! `/proc` and `/sys` speak about the whole machine, whoever reads them. Some of their files are covered (*masked*), some
//! made read-only, and the root itself may be read-only.
//!
//! ```text
//!   masked file    ◄── the container's /dev/null         reads as empty
//!   masked folder  ◄── one empty, read-only tmpfs        the same for all of them
//!   read-only path ◄── itself, bind mounted read-only, with all mounts below it
//! ```
//!
//! * The null device that covers is proved to be one: with a link or a file in its place, masking would uncover something
//!   of the attacker's choice (CVE-2025-31133).
//! * A path that is not there needs no mask.
//!
//! See: runtime-spec config-linux.md#masked-paths. Next room: [`crate::rootfs`]

use crate::{devices, targets};
use minidock_base::{Doing, Result};
use minidock_linux::{
    errno::{CallFailed, EINVAL, ENOENT, ENOTDIR},
    files::FileType,
    mount::{self, Attributes, FileSystem, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, Target},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const READ_ONLY: Attributes<'static> = Attributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace: None };

fn find(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, CallFailed> {
    match targets::find(root, path) {
        Err(failed) if failed.is(ENOENT) || failed.is(ENOTDIR) => Ok(None),
        found => found.map(Some),
    }
}

/// Covers each of these paths, if it is there.
///
/// # Errors
/// A null device that is none; what mount says.
pub fn mask(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    let (mut null, mut empty) = (None, None);
    for (n, path) in paths.iter().enumerate() {
        if paths[..n].contains(path) {
            continue;
        }
        let shown = Path::new(path);
        let doing = || format!("can't mask path {path:?}");
        let Some(target) = find(root, shown).doing(doing)? else { continue };
        let cover = match targets::file_type(&target).doing(doing)? {
            FileType::Directory => copy_of(&mut empty, empty_folder, "tmpfs").map_err(|e| e.during(doing()))?,
            _ => copy_of(&mut null, || devices::null(root), "/dev/null").map_err(|e| e.during(doing()))?,
        };
        let on_it = Target { fd: target.as_fd(), shown };
        mount::move_mount(cover.as_fd(), "a cover", on_it).doing(doing)?;
    }
    Ok(())
}

/// A fresh detached copy of the cover, which is made at the first need; or the cover itself, where the kernel copies no mount that
/// hangs nowhere yet (before Linux 6.15).
fn copy_of(cover: &mut Option<OwnedFd>, make: impl FnOnce() -> Result<OwnedFd>, shown: &str) -> Result<OwnedFd> {
    let made = match cover.take() {
        Some(cover) => cover,
        None => make()?,
    };
    match mount::open_tree(made.as_fd(), shown, false) {
        Err(failed) if failed.is(EINVAL) => Ok(made),
        copy => {
            *cover = Some(made);
            copy.doing(|| format!("copy the mount of {shown}"))
        }
    }
}

fn empty_folder() -> Result<OwnedFd> {
    let tmpfs = FileSystem::open("tmpfs").doing(|| "make an empty tmpfs")?;
    tmpfs
        .string("source", "tmpfs")
        .and_then(|()| tmpfs.string("size", "0k"))
        .and_then(|()| tmpfs.string("nr_inodes", "2"))
        .doing(|| "make an empty tmpfs")?;
    let flags = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    tmpfs.mount(flags).doing(|| "make an empty tmpfs")
}

/// Makes each of these paths read-only, if it is there, with whatever is mounted below it.
///
/// # Errors
/// What mount says.
pub fn make_read_only(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    for path in paths {
        let shown = Path::new(path);
        let doing = || format!("can't make {path:?} read-only");
        let Some(target) = find(root, shown).doing(doing)? else { continue };
        let tree = mount::open_tree(target.as_fd(), shown, true).doing(doing)?;
        mount::mount_setattr(tree.as_fd(), shown, &READ_ONLY, true).doing(doing)?;
        mount::move_mount(tree.as_fd(), shown, Target { fd: target.as_fd(), shown }).doing(doing)?;
    }
    Ok(())
}

/// Makes the mount at `path` itself read-only.
///
/// # Errors
/// What mount_setattr says.
pub fn seal(root: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let doing = || format!("make {} read-only", path.display());
    let target = targets::find(root, path).doing(doing)?;
    mount::mount_setattr(target.as_fd(), path, &READ_ONLY, false).doing(doing)
}
