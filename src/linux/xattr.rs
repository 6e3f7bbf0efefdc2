//! # Extended attributes: what a file carries besides its mode
//!
//! A file capability, an ACL, overlayfs' marks: all are named byte strings beside the inode. They have no `…at` calls
//! before Linux 6.13, so the `l…` calls here go through `/proc/self/fd/N/name`, whose last component is not followed.
//!
//! * A file system that knows no attributes (ENOTSUP) has an empty list and no values; setting one there is a failure that
//!   the caller may forgive.
//!
//! See: xattr(7), capabilities(7) on `security.capability`. Next room: [`crate::overlayfs`]

use crate::{
    action::{call, quoted},
    errno::CallFailed,
};
use rustix::fs::{self, XattrFlags};
use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
};

fn fd(file: BorrowedFd<'_>) -> String {
    file.as_raw_fd().to_string()
}

/// fsetxattr(2)
#[track_caller]
pub fn fsetxattr(file: impl AsFd, key: impl AsRef<OsStr>, value: &[u8]) -> Result<(), CallFailed> {
    let (file, key) = (file.as_fd(), key.as_ref());
    call(
        "fsetxattr",
        || vec![fd(file), quoted(key), format!("{} bytes", value.len())],
        || fs::fsetxattr(file, key, value, XattrFlags::empty()),
    )
}

/// The name `dir/name` as a path through procfs whose last component the `l…xattr` calls do not follow.
fn through_proc(dir: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

/// lsetxattr(2) on `dir/name`; `name` must be a single component.
#[track_caller]
pub fn lsetxattr(dir: impl AsFd, name: impl AsRef<OsStr>, key: impl AsRef<OsStr>, value: &[u8]) -> Result<(), CallFailed> {
    let (dir, name, key) = (dir.as_fd(), name.as_ref(), key.as_ref());
    call(
        "lsetxattr",
        || vec![quoted(through_proc(dir, name)), quoted(key), format!("{} bytes", value.len())],
        || fs::lsetxattr(through_proc(dir, name), key, value, XattrFlags::empty()),
    )
}

/// llistxattr(2) on `dir/name`; empty where the file system knows no attributes.
#[track_caller]
pub fn llistxattr(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Vec<OsString>, CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    let path = through_proc(dir, name);
    let list = call("llistxattr", || vec![quoted(&path)], || grown(|buffer| fs::llistxattr(&path, buffer)));
    names_of(list)
}

/// lgetxattr(2) on `dir/name`; `None` when there is no such attribute.
#[track_caller]
pub fn lgetxattr(dir: impl AsFd, name: impl AsRef<OsStr>, key: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>, CallFailed> {
    let (dir, name, key) = (dir.as_fd(), name.as_ref(), key.as_ref());
    let path = through_proc(dir, name);
    present(call("lgetxattr", || vec![quoted(&path), quoted(key)], || grown(|buffer| fs::lgetxattr(&path, key, buffer))))
}

/// flistxattr(2)
#[track_caller]
pub fn flistxattr(file: impl AsFd) -> Result<Vec<OsString>, CallFailed> {
    let file = file.as_fd();
    names_of(call("flistxattr", || vec![fd(file)], || grown(|buffer| fs::flistxattr(file, buffer))))
}

/// fgetxattr(2); `None` when there is no such attribute.
#[track_caller]
pub fn fgetxattr(file: impl AsFd, key: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>, CallFailed> {
    let (file, key) = (file.as_fd(), key.as_ref());
    present(call("fgetxattr", || vec![fd(file), quoted(key)], || grown(|buffer| fs::fgetxattr(file, key, buffer))))
}

/// Reads with a buffer that fits nearly always, and with the kernel's largest (64 KiB) when it does not.
fn grown(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0u8; 512];
    match read(&mut small) {
        Ok(n) => Ok(small[..n].to_vec()),
        Err(rustix::io::Errno::RANGE) => {
            let mut large = vec![0u8; 65_536];
            let n = read(&mut large)?;
            large.truncate(n);
            Ok(large)
        }
        Err(e) => Err(e),
    }
}

fn names_of(list: Result<Vec<u8>, CallFailed>) -> Result<Vec<OsString>, CallFailed> {
    match list {
        Err(failed) if failed.is(libc::ENOTSUP) => Ok(Vec::new()),
        Err(failed) => Err(failed),
        Ok(bytes) => {
            let names = bytes.split(|b| *b == 0).filter(|name| !name.is_empty());
            Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
        }
    }
}

fn present(value: Result<Vec<u8>, CallFailed>) -> Result<Option<Vec<u8>>, CallFailed> {
    match value {
        Ok(bytes) => Ok(Some(bytes)),
        Err(failed) if failed.is(libc::ENODATA) || failed.is(libc::ENOTSUP) => Ok(None),
        Err(failed) => Err(failed),
    }
}
