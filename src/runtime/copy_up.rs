//! # Copy-up: a tmpfs that begins with what it covers
//!
//! `tmpcopyup` is for folders that must be writable and are not empty, `/etc` or `/var` of a read-only image. The new tmpfs
//! is made *detached*, filled from the folder it will cover while nobody else sees it, and only then hung on its place.
//!
//! ```text
//!   fsopen(tmpfs) → fsmount ─► [detached] ◄─ copy ─ folder in the root        then move_mount(detached → folder)
//! ```
//!
//! Laws: the walk goes by descriptors and follows no link; devices and sockets are copied as names, not opened.
//! See: fsopen(2). Next room: [`crate::devices`]

use crate::mounts::{Prepared, set_later};
use minidock_base::{Doing, Result};
use minidock_linux::{
    errno::CallFailed,
    files::{self, FileType, Moment, Open, Resolve},
    mount::{self, Attributes, FileSystem, Target},
};
use std::{
    ffi::OsStr,
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Makes the tmpfs of `prepared`, filled from `covered`, on top of it.
///
/// # Errors
/// An option that tmpfs does not know; a tree that does not fit `size=`.
pub fn mount(prepared: &Prepared<'_>, covered: &OwnedFd) -> Result<()> {
    let (options, path) = (&prepared.options, prepared.entry.destination());
    let below = files::fstat(covered).doing(|| "look at the folder below")?;
    let tmpfs = FileSystem::open("tmpfs").doing(|| "make a tmpfs")?;
    let mut words = options.data.clone();
    if !options.has_data("mode") {
        words.push(format!("mode={:04o}", below.st_mode & 0o7777));
    }
    for word in &words {
        tmpfs.set(word).doing(|| format!("make a tmpfs with {word}"))?;
    }
    let (set, _) = options.attributes();
    let filled = tmpfs.mount(0).doing(|| "make a tmpfs")?;
    let from = reopen(covered.as_fd()).doing(|| "open the folder below")?;
    let to = reopen(filled.as_fd()).doing(|| "open the new tmpfs")?;
    copy_folder(from.as_fd(), to.as_fd()).doing(|| format!("copy {} into its tmpfs", path.display()))?;
    if !words.iter().any(|word| word.starts_with("uid=") || word.starts_with("gid=")) {
        files::fchown(&to, below.st_uid, below.st_gid).doing(|| "take over the owner")?;
    }
    if set != 0 {
        let flags = Attributes { set, ..Default::default() };
        mount::mount_setattr(filled.as_fd(), path, &flags, false).doing(|| "set its flags")?;
    }
    set_later(filled.as_fd(), path, options)?;
    mount::move_mount(filled.as_fd(), "tmpfs", Target { fd: covered.as_fd(), shown: path }).doing(|| "hang it on its place")
}

/// An `O_PATH` descriptor of a folder, opened for reading.
fn reopen(folder: BorrowedFd<'_>) -> Result<OwnedFd, CallFailed> {
    files::openat2(folder, ".", Open::Directory, Resolve::Beneath)
}

fn copy_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), CallFailed> {
    for name in files::getdents(from)? {
        copy(from, to, &name)?;
    }
    Ok(())
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> Result<(), CallFailed> {
    let facts = files::lstatat(from, name)?;
    let kind = FileType::from_raw_mode(facts.st_mode);
    let mode = facts.st_mode & 0o7777;
    match kind {
        FileType::Directory => {
            files::mkdirat(to, name, 0o700)?;
            let inside = files::openat2(from, name, Open::DirectoryNoFollow, Resolve::Beneath)?;
            let made = files::openat2(to, name, Open::DirectoryNoFollow, Resolve::Beneath)?;
            copy_folder(inside.as_fd(), made.as_fd())?;
            files::fchown(&made, facts.st_uid, facts.st_gid)?;
            files::fchmod(&made, mode)?;
        }
        FileType::RegularFile => {
            let made = copy_file(from, to, name)?;
            files::fchown(&made, facts.st_uid, facts.st_gid)?;
            // After the owner: a change of owner takes the setuid bit away.
            files::fchmod(&made, mode)?;
        }
        FileType::Symlink => {
            files::symlinkat(files::readlinkat(from, name)?, to, name)?;
            files::lchownat(to, name, facts.st_uid, facts.st_gid)?;
        }
        _ => {
            let device = ((facts.st_rdev >> 8 & 0xfff) as u32, (facts.st_rdev & 0xff | facts.st_rdev >> 12 & 0xfff00) as u32);
            files::mknodat(to, name, kind, mode, device)?;
            files::lchownat(to, name, facts.st_uid, facts.st_gid)?;
        }
    }
    let moment = |seconds, nanoseconds| Moment { seconds, nanoseconds };
    files::lutimensat(
        to,
        name,
        moment(facts.st_atime as i64, facts.st_atime_nsec as u32),
        moment(facts.st_mtime as i64, facts.st_mtime_nsec as u32),
    )
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> Result<File, CallFailed> {
    let mut source = File::from(files::openat2(from, name, Open::ReadNoFollow, Resolve::Beneath)?);
    let mut copy = File::from(files::openat2(to, name, Open::CreateNew, Resolve::Beneath)?);
    let shown = Path::new(name).display().to_string();
    match std::io::copy(&mut source, &mut copy) {
        Ok(_) => Ok(copy),
        Err(e) => Err(CallFailed::new("copy_file_range", vec![shown], e.raw_os_error().unwrap_or(5))),
    }
}
