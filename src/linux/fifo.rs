//! # FIFO: a pipe with a name
//!
//! A pipe joins two processes that have a common parent; a FIFO joins two that only know a path. Opening one end waits for
//! the other, which is the one thing about it that must be handled with care, so the three ways of opening stand here.
//!
//! See: fifo(7), mkfifo(3). Next room: [`crate::poll`]

use crate::{
    action::{call, quoted},
    errno::CallFailed,
};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::{fs::File, os::fd::OwnedFd, path::Path};

/// Makes a FIFO, for its owner only.
///
/// # Errors
/// EEXIST, ENOENT, ENOSPC.
#[track_caller]
pub fn mkfifo(path: &Path) -> Result<(), CallFailed> {
    call(
        "mknodat",
        || vec!["AT_FDCWD".into(), quoted(path), "S_IFIFO|0600".into()],
        || rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0),
    )
}

#[track_caller]
fn open(path: &Path, flags: OFlags, shown: &str) -> Result<OwnedFd, CallFailed> {
    call("open", || vec![quoted(path), shown.to_string()], || rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()))
}

/// Both ends at once: never waits, and never sees an end of file, because a writer is always there: the reader itself.
///
/// # Errors
/// As open(2).
#[track_caller]
pub fn hold(path: &Path) -> Result<File, CallFailed> {
    open(path, OFlags::RDWR, "O_RDWR").map(File::from)
}

/// The reading end, without waiting for a writer; reading waits as usual.
///
/// # Errors
/// As open(2).
#[track_caller]
pub fn reader(path: &Path) -> Result<File, CallFailed> {
    let end = open(path, OFlags::RDONLY | OFlags::NONBLOCK, "O_RDONLY|O_NONBLOCK")?;
    call("ioctl", || vec![quoted(path), "FIONBIO".into(), "[0]".into()], || rustix::io::ioctl_fionbio(&end, false))?;
    Ok(File::from(end))
}

/// The writing end, of a FIFO that somebody has open for reading.
///
/// # Errors
/// ENXIO when nobody has.
#[track_caller]
pub fn writer(path: &Path) -> Result<File, CallFailed> {
    open(path, OFlags::WRONLY | OFlags::NONBLOCK, "O_WRONLY|O_NONBLOCK").map(File::from)
}
