//! # Remove tree: `rm -r` of what a stranger has made
//!
//! A container may leave folders nested deeper than any path, any stack and any table of descriptors reaches, links to
//! places that are not ours, and mounts. So a tree is removed by descriptors, one step at a time, and never deeper than
//! [`DEEPEST_STEP`] at once: what lies further down is first moved up.
//!
//! ```text
//!   dir/name/1/2/…/64/x/…   ──renameat──►  dir/.minidock-gone-0/…     and from there again
//! ```
//!
//! Laws: no link is followed; what is gone already is no failure; the first failure is told, the rest removed all the same.
//! See: unlinkat(2), rm(1). Next room: [`crate::xattr`]

use crate::{
    errno::CallFailed,
    files::{Open, Resolve, getdents, openat2, renameat, rmdirat, unlinkat},
};
use std::{
    ffi::{OsStr, OsString},
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicU64, Ordering},
};

/// Removes `dir/name` and everything below it, never following a link and never crossing into another mount.
/// What is already gone is no failure. A program can nest folders deeper than descriptors and stack reach, so what lies
/// [`DEEPEST_STEP`] below is moved up beside `name` first and removed from there.
///
/// # Errors
/// The first call that failed; what could be removed is removed all the same.
#[track_caller]
pub fn remove_tree(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<(), CallFailed> {
    let (dir, mut left) = (dir.as_fd(), vec![name.as_ref().to_os_string()]);
    let mut first = Ok(());
    while let Some(name) = left.pop() {
        let removed = remove_below(dir, &name, 0, &mut |deep, deep_name| {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let aside = OsString::from(format!(".minidock-gone-{}-{serial}", std::process::id()));
            renameat(deep, deep_name, dir, &aside)?;
            left.push(aside);
            Ok(())
        });
        first = first.and(removed);
    }
    first
}

/// Several trees may be removed beside each other at once: no two may move something up under one name.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// How many folders are held open at once while a tree is removed.
const DEEPEST_STEP: usize = 64;

fn remove_below(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    depth: usize,
    move_up: &mut impl FnMut(BorrowedFd<'_>, &OsStr) -> Result<(), CallFailed>,
) -> Result<(), CallFailed> {
    match unlinkat(dir, name) {
        Ok(()) => return Ok(()),
        Err(failed) if failed.is(libc::ENOENT) => return Ok(()),
        Err(failed) if failed.is(libc::EISDIR) || failed.is(libc::EPERM) => {}
        Err(failed) => return Err(failed),
    }
    if depth >= DEEPEST_STEP {
        return move_up(dir, name);
    }
    // between two calls somebody else, who removes the same tree, may have been faster
    let gone = |failed: &CallFailed| failed.is(libc::ENOENT);
    let inside = match openat2(dir, name, Open::DirectoryNoFollow, Resolve::Beneath) {
        Err(failed) if gone(&failed) => return Ok(()),
        inside => inside?,
    };
    let entries = match getdents(&inside) {
        Err(failed) if gone(&failed) => return Ok(()),
        entries => entries?,
    };
    let mut first = Ok(());
    for entry in entries {
        first = first.and(remove_below(inside.as_fd(), &entry, depth + 1, move_up));
    }
    first?;
    match rmdirat(dir, name) {
        Err(failed) if failed.is(libc::ENOENT) => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{mkdirat, open_directory};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_removed_without_following_its_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("kept");
        std::fs::create_dir_all(folder.path().join("tree/a/b")).expect("room");
        std::fs::create_dir(&kept).expect("room");
        std::fs::write(kept.join("file"), "x").expect("room");
        symlink(&kept, folder.path().join("tree/a/link")).expect("room");
        let dir = open_directory(folder.path()).expect("just made");
        remove_tree(&dir, "tree").expect("removable");
        remove_tree(&dir, "tree").expect("gone is fine");
        assert!(kept.join("file").exists() && !folder.path().join("tree").exists());
    }

    #[test]
    fn several_may_remove_one_tree_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        for n in 0..400 {
            std::fs::create_dir_all(folder.path().join(format!("tree/{}/{n}/diff/work", n % 7))).expect("room");
        }
        let remove = || remove_tree(open_directory(folder.path()).expect("just made"), "tree");
        std::thread::scope(|scope| {
            let removers: Vec<_> = (0..4).map(|_| scope.spawn(remove)).collect();
            removers.into_iter().for_each(|r| r.join().expect("no panic").expect("removed, or gone"));
        });
        assert!(!folder.path().join("tree").exists());
    }

    #[test]
    fn folders_nested_beyond_all_descriptors_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = open_directory(folder.path()).expect("just made");
        mkdirat(&top, "tree", 0o755).expect("room");
        let mut at = openat2(&top, "tree", Open::Directory, Resolve::Beneath).expect("just made");
        for _ in 0..1500 {
            mkdirat(&at, "deeper", 0o755).expect("room");
            at = openat2(&at, "deeper", Open::Directory, Resolve::Beneath).expect("just made");
        }
        remove_tree(&top, "tree").expect("removable");
        assert!(getdents(&top).expect("a folder").is_empty());
    }
}
