//! # pivot_root: the seven steps that change what "/" means
//!
//! `chroot` changes where a path *begins*; the old tree is still mounted, one open descriptor away. `pivot_root` changes
//! the mount namespace itself: the container's tree becomes its root mount and the old one is hung below it, from where it
//! can be taken off for good. Then no path, no `..`, no descriptor leads back.
//!
//! ```text
//!   1 new = open(new root)      2 old = open("/")           remember both by descriptor
//!   3 fchdir(new)               4 pivot_root(".", ".")      the old root now lies *on top of* the new one
//!   5 fchdir(old)               6 mount(".", MS_REC|MS_SLAVE)  so that the next step does not unmount the host's
//!   7 umount2(".", MNT_DETACH); chdir("/")                  the new root is what is left
//! ```
//!
//! Laws: the new root must be a mount point, and neither it nor its parent mount may be *shared*; the initial ramfs cannot
//! be pivoted away ([`move_root`] is for that: `--no-pivot`).
//! See: pivot_root(2) (its section on `pivot_root(".", ".")`). Next room: [`crate::overlayfs`]

use crate::{action, errno::CallFailed, mount};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes the mount behind `new` the root of this mount namespace and takes the old one away.
///
/// # Errors
/// EINVAL when `new` is not the root of a mount, or shared; EPERM without CAP_SYS_ADMIN over the mount namespace.
#[track_caller]
pub fn pivot_root(new: BorrowedFd<'_>) -> Result<(), CallFailed> {
    let old = open_root()?;
    fchdir(new, "the new root")?;
    action::call("pivot_root", || vec!["\".\"".into(), "\".\"".into()], || rustix::process::pivot_root(".", "."))?;
    fchdir(old.as_fd(), "the old root")?;
    mount::set_propagation(".", mount::MS_SLAVE | mount::MS_REC)?;
    mount::umount2(".", mount::MNT_DETACH)?;
    chdir("/")
}

/// The old way, for a root that cannot be pivoted (an initramfs): moves the mount onto `/` and enters it. Whatever was
/// mounted before stays below it, out of reach by path alone.
///
/// # Errors
/// As mount(2).
#[track_caller]
pub fn move_root(new: BorrowedFd<'_>) -> Result<(), CallFailed> {
    fchdir(new, "the new root")?;
    action::call(
        "mount",
        || vec!["\".\"".into(), "\"/\"".into(), "NULL".into(), "MS_MOVE".into(), "NULL".into()],
        || rustix::mount::mount_move(".", "/"),
    )?;
    chroot(".")?;
    chdir("/")
}

/// Changes where absolute paths of this process begin.
///
/// # Errors
/// EPERM without CAP_SYS_CHROOT.
#[track_caller]
pub fn chroot(path: &str) -> Result<(), CallFailed> {
    action::call("chroot", || vec![action::quoted(path)], || rustix::process::chroot(path))
}

/// Changes the working directory.
///
/// # Errors
/// ENOENT, ENOTDIR, EACCES.
#[track_caller]
pub fn chdir(path: impl AsRef<std::path::Path>) -> Result<(), CallFailed> {
    let path = path.as_ref();
    action::call("chdir", || vec![action::quoted(path)], || rustix::process::chdir(path))
}

/// Changes the working directory to one that is open.
///
/// # Errors
/// ENOTDIR.
#[track_caller]
pub fn fchdir(folder: BorrowedFd<'_>, shown: &str) -> Result<(), CallFailed> {
    action::call("fchdir", || vec![shown.to_string()], || rustix::process::fchdir(folder))
}

/// Whether the working directory can be reached from the root: the kernel says `(unreachable)` if it lies outside, which
/// is how a leaked descriptor of the host's gives itself away (CVE-2024-21626).
///
/// # Errors
/// ENOENT when it is unreachable or deleted.
#[track_caller]
pub fn getcwd() -> Result<(), CallFailed> {
    action::call("getcwd", Vec::new, || match rustix::process::getcwd(Vec::new())?.as_bytes().first() {
        Some(b'/') => Ok(()),
        _ => Err(rustix::io::Errno::NOENT),
    })
}

#[track_caller]
fn open_root() -> Result<OwnedFd, CallFailed> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    action::call("open", || vec!["\"/\"".into(), "O_DIRECTORY".into()], || rustix::fs::open("/", flags, Mode::empty()))
}
