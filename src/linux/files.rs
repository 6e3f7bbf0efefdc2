//! # Files: every call relative to a descriptor, none through a stranger's symlink
//!
//! A layer, a container's root and a volume are trees that somebody else filled. A path such as `etc/passwd` is only safe
//! in them if the kernel itself refuses to leave the tree: checks on strings lose against a symlink swapped in between.
//! So each wrapper here takes a directory *descriptor* and a name below it.
//!
//! ```text
//!   openat2(dir, "a/b", RESOLVE_IN_ROOT | NO_MAGICLINKS)   ".." and absolute links end at dir, like chroot(2)
//!   openat2(dir, "a",   RESOLVE_BENEATH | NO_SYMLINKS)     one step, no link followed at all
//!   mkdirat, symlinkat, linkat, mknodat, unlinkat(dir, "a")   the last component is never followed
//! ```
//!
//! * [`Resolve`] names the two ways of walking; [`openat2`] is their only door.
//! * `rm -r` of these calls is in [`crate::remove_tree`]; extended attributes have a room of their own.
//!
//! See: openat2(2), symlink(7). Next room: [`crate::xattr`]

use crate::{
    action::{call, call_showing, quoted},
    errno::CallFailed,
};
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::Path,
};

pub use rustix::fs::{FileType, Stat};

/// How far a path may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// As if the directory were `/`: links are followed inside it, `..` stops at it.
    InRoot,
    /// No link is followed and nothing outside is reached; a link on the way is ELOOP, a mount EXDEV.
    Beneath,
}

impl Resolve {
    fn flags(self) -> ResolveFlags {
        match self {
            Resolve::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            Resolve::Beneath => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Resolve::InRoot => "RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS",
            Resolve::Beneath => "RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS",
        }
    }
}

/// What to open a path for. Always close-on-exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// `O_RDONLY|O_NONBLOCK`: a FIFO in the tree must not hang the reader.
    Read,
    /// `O_RDONLY|O_NONBLOCK|O_NOFOLLOW`
    ReadNoFollow,
    /// `O_RDONLY|O_DIRECTORY`
    Directory,
    /// `O_RDONLY|O_DIRECTORY|O_NOFOLLOW`
    DirectoryNoFollow,
    /// `O_PATH`: a name only.
    Path,
    /// `O_PATH|O_NOFOLLOW`: a name only, even of a symlink.
    PathNoFollow,
    /// `O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW`, mode 0600.
    CreateNew,
    /// `O_RDWR|O_NOFOLLOW`
    Write,
}

impl Open {
    fn flags(self) -> OFlags {
        OFlags::CLOEXEC
            | match self {
                Open::Read => OFlags::RDONLY | OFlags::NONBLOCK,
                Open::ReadNoFollow => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW,
                Open::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
                Open::DirectoryNoFollow => OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW,
                Open::Path => OFlags::PATH,
                Open::PathNoFollow => OFlags::PATH | OFlags::NOFOLLOW,
                Open::CreateNew => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
                Open::Write => OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK,
            }
    }

    fn words(self) -> &'static str {
        match self {
            Open::Read => "O_RDONLY|O_NONBLOCK",
            Open::ReadNoFollow => "O_RDONLY|O_NONBLOCK|O_NOFOLLOW",
            Open::Directory => "O_DIRECTORY",
            Open::DirectoryNoFollow => "O_DIRECTORY|O_NOFOLLOW",
            Open::Path => "O_PATH",
            Open::PathNoFollow => "O_PATH|O_NOFOLLOW",
            Open::CreateNew => "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW",
            Open::Write => "O_RDWR|O_NOFOLLOW",
        }
    }
}

fn fd(dir: impl AsFd) -> String {
    dir.as_fd().as_raw_fd().to_string()
}

/// openat2(2): opens `path` below `dir`, and cannot leave it. Renames that disturb the walk (EAGAIN) are tried again.
#[track_caller]
pub fn openat2(dir: impl AsFd, path: impl AsRef<OsStr>, how: Open, resolve: Resolve) -> Result<OwnedFd, CallFailed> {
    let (dir, path) = (dir.as_fd(), path.as_ref());
    let mode = if how == Open::CreateNew { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    call_showing(
        "openat2",
        || vec![fd(dir), quoted(path), format!("{{{}, resolve={}}}", how.words(), resolve.words())],
        || {
            let mut tries = 0;
            loop {
                match fs::openat2(dir, path, how.flags(), mode, resolve.flags()) {
                    Err(rustix::io::Errno::AGAIN) if tries < 64 => tries += 1,
                    answer => return answer,
                }
            }
        },
        |file| file.as_raw_fd() as i64,
    )
}

/// open(2) of a path we trust (our own folders), as a directory.
#[track_caller]
pub fn open_directory(path: &Path) -> Result<OwnedFd, CallFailed> {
    call_showing(
        "open",
        || vec![quoted(path), "O_DIRECTORY".into()],
        || fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()),
        |file| file.as_raw_fd() as i64,
    )
}

/// mkdirat(2)
#[track_caller]
pub fn mkdirat(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call("mkdirat", || vec![fd(dir), quoted(name), format!("{mode:#o}")], || fs::mkdirat(dir, name, Mode::from_raw_mode(mode)))
}

/// symlinkat(2): `name` will hold the text `target`, whatever that is.
#[track_caller]
pub fn symlinkat(target: impl AsRef<OsStr>, dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<(), CallFailed> {
    let (target, dir, name) = (target.as_ref(), dir.as_fd(), name.as_ref());
    call("symlinkat", || vec![quoted(target), fd(dir), quoted(name)], || fs::symlinkat(target, dir, name))
}

/// linkat(2), a symlink being linked itself.
#[track_caller]
pub fn linkat(
    old_dir: impl AsFd,
    old: impl AsRef<OsStr>,
    new_dir: impl AsFd,
    new: impl AsRef<OsStr>,
) -> Result<(), CallFailed> {
    let (old_dir, old, new_dir, new) = (old_dir.as_fd(), old.as_ref(), new_dir.as_fd(), new.as_ref());
    call(
        "linkat",
        || vec![fd(old_dir), quoted(old), fd(new_dir), quoted(new), "0".into()],
        || fs::linkat(old_dir, old, new_dir, new, AtFlags::empty()),
    )
}

/// mknodat(2): a device, FIFO or socket node.
#[track_caller]
pub fn mknodat(
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    kind: FileType,
    mode: u32,
    device: (u32, u32),
) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call(
        "mknodat",
        || {
            let letters = match kind {
                FileType::CharacterDevice => "S_IFCHR",
                FileType::BlockDevice => "S_IFBLK",
                FileType::Fifo => "S_IFIFO",
                FileType::Socket => "S_IFSOCK",
                _ => "S_IFREG",
            };
            vec![fd(dir), quoted(name), format!("{letters}|{mode:#o}"), format!("makedev({}, {})", device.0, device.1)]
        },
        || fs::mknodat(dir, name, kind, Mode::from_raw_mode(mode), fs::makedev(device.0, device.1)),
    )
}

/// unlinkat(2) of anything but a directory.
#[track_caller]
pub fn unlinkat(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call("unlinkat", || vec![fd(dir), quoted(name), "0".into()], || fs::unlinkat(dir, name, AtFlags::empty()))
}

/// unlinkat(2) of an empty directory.
#[track_caller]
pub fn rmdirat(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call("unlinkat", || vec![fd(dir), quoted(name), "AT_REMOVEDIR".into()], || fs::unlinkat(dir, name, AtFlags::REMOVEDIR))
}

/// renameat(2)
#[track_caller]
pub fn renameat(
    old_dir: impl AsFd,
    old: impl AsRef<OsStr>,
    new_dir: impl AsFd,
    new: impl AsRef<OsStr>,
) -> Result<(), CallFailed> {
    let (old_dir, old, new_dir, new) = (old_dir.as_fd(), old.as_ref(), new_dir.as_fd(), new.as_ref());
    call("renameat", || vec![fd(old_dir), quoted(old), fd(new_dir), quoted(new)], || fs::renameat(old_dir, old, new_dir, new))
}

/// fstatat(2), not following a link.
#[track_caller]
pub fn lstatat(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Stat, CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call(
        "newfstatat",
        || vec![fd(dir), quoted(name), "AT_SYMLINK_NOFOLLOW".into()],
        || fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW),
    )
}

/// Major and minor number of the device that a node stands for.
pub fn device_numbers(stat: &Stat) -> (u32, u32) {
    (fs::major(stat.st_rdev), fs::minor(stat.st_rdev))
}

/// fstat(2)
#[track_caller]
pub fn fstat(file: impl AsFd) -> Result<Stat, CallFailed> {
    let file = file.as_fd();
    call("fstat", || vec![fd(file)], || fs::fstat(file))
}

/// readlinkat(2)
#[track_caller]
pub fn readlinkat(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<OsString, CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call("readlinkat", || vec![fd(dir), quoted(name)], || fs::readlinkat(dir, name, Vec::new()))
        .map(|text| OsString::from_vec(text.into_bytes()))
}

/// fchownat(2), not following a link. An id of 2^32-1 means "leave it" to the kernel and is refused here (EINVAL).
#[track_caller]
pub fn lchownat(dir: impl AsFd, name: impl AsRef<OsStr>, uid: u32, gid: u32) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call(
        "fchownat",
        || vec![fd(dir), quoted(name), uid.to_string(), gid.to_string(), "AT_SYMLINK_NOFOLLOW".into()],
        || {
            let (uid, gid) = ids(uid, gid)?;
            fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        },
    )
}

/// fchown(2)
#[track_caller]
pub fn fchown(file: impl AsFd, uid: u32, gid: u32) -> Result<(), CallFailed> {
    let file = file.as_fd();
    call(
        "fchown",
        || vec![fd(file), uid.to_string(), gid.to_string()],
        || {
            let (uid, gid) = ids(uid, gid)?;
            fs::fchown(file, uid, gid)
        },
    )
}

fn ids(uid: u32, gid: u32) -> rustix::io::Result<(Option<Uid>, Option<Gid>)> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(rustix::io::Errno::INVAL);
    }
    Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
}

/// fchmod(2)
#[track_caller]
pub fn fchmod(file: impl AsFd, mode: u32) -> Result<(), CallFailed> {
    let file = file.as_fd();
    call("fchmod", || vec![fd(file), format!("{mode:#o}")], || fs::fchmod(file, Mode::from_raw_mode(mode)))
}

/// fchmodat(2). It follows a last symlink: only for a name that this process made itself, in a tree nobody else writes.
#[track_caller]
pub fn fchmodat(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call(
        "fchmodat",
        || vec![fd(dir), quoted(name), format!("{mode:#o}")],
        || fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty()),
    )
}

/// chmod(2) of what an `O_PATH` descriptor names, through `/proc/self/fd/N`: fchmod(2) refuses such descriptors, and
/// fchmodat(2) would follow a symlink put there meanwhile. A descriptor of a symlink itself is ENOTSUP.
#[track_caller]
pub fn chmod_path(node: impl AsFd, mode: u32) -> Result<(), CallFailed> {
    let path = format!("/proc/self/fd/{}", node.as_fd().as_raw_fd());
    call("chmod", || vec![quoted(&path), format!("{mode:#o}")], || fs::chmod(&path, Mode::from_raw_mode(mode)))
}

/// A moment as the kernel counts it: seconds (negative before 1970) and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub seconds: i64,
    pub nanoseconds: u32,
}

fn stamps(accessed: Moment, modified: Moment) -> Timestamps {
    let spec = |m: Moment| Timespec { tv_sec: m.seconds, tv_nsec: m.nanoseconds as _ };
    Timestamps { last_access: spec(accessed), last_modification: spec(modified) }
}

/// utimensat(2), not following a link.
#[track_caller]
pub fn lutimensat(dir: impl AsFd, name: impl AsRef<OsStr>, accessed: Moment, modified: Moment) -> Result<(), CallFailed> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    call(
        "utimensat",
        || vec![fd(dir), quoted(name), format!("{{{}, {}}}", accessed.seconds, modified.seconds), "AT_SYMLINK_NOFOLLOW".into()],
        || fs::utimensat(dir, name, &stamps(accessed, modified), AtFlags::SYMLINK_NOFOLLOW),
    )
}

/// futimens(3)
#[track_caller]
pub fn futimens(file: impl AsFd, accessed: Moment, modified: Moment) -> Result<(), CallFailed> {
    let file = file.as_fd();
    call(
        "utimensat",
        || vec![fd(file), "NULL".into(), format!("{{{}, {}}}", accessed.seconds, modified.seconds)],
        || fs::futimens(file, &stamps(accessed, modified)),
    )
}

/// ftruncate(2)
#[track_caller]
pub fn ftruncate(file: impl AsFd, length: u64) -> Result<(), CallFailed> {
    let file = file.as_fd();
    call("ftruncate", || vec![fd(file), length.to_string()], || fs::ftruncate(file, length))
}

/// statvfs(3): the bytes that are free for unprivileged users on the file system that holds `path`.
#[track_caller]
pub fn free_bytes(path: &Path) -> Result<u64, CallFailed> {
    call("statvfs", || vec![quoted(path)], || fs::statvfs(path)).map(|about| about.f_bavail.saturating_mul(about.f_frsize))
}

/// syncfs(2): everything written to the file system that holds `file` is on the disk when this returns.
#[track_caller]
pub fn syncfs(file: impl AsFd) -> Result<(), CallFailed> {
    let file = file.as_fd();
    call("syncfs", || vec![fd(file)], || fs::syncfs(file))
}

/// The text of a file of the kernel's, which has no size to ask for and most often fits into one page: few calls, no growing.
///
/// # Errors
/// As open(2) and read(2); text that is no UTF-8.
pub fn read_small(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut room = [0; 4096];
    let mut text = Vec::new();
    loop {
        match file.read(&mut room) {
            Ok(0) => return String::from_utf8(text).map_err(std::io::Error::other),
            Ok(n) => text.extend_from_slice(&room[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says of a folder that those in it have nothing to do with one another, so that the disk keeps each of them apart, as if they
/// stood at its top (`chattr +T`). ext4 puts folders and files near the one they lie in, and passes over every inode that was freed
/// there in the last minutes: where many small trees come and go, each new file would cost a search through all that went.
///
/// # Errors
/// `ENOTTY`, `EOPNOTSUPP` where the file system knows no such thing.
#[track_caller]
pub fn spread(folder: impl AsFd) -> Result<(), CallFailed> {
    let folder = folder.as_fd();
    call(
        "ioctl",
        || vec![fd(folder), "FS_IOC_SETFLAGS".into(), "FS_TOPDIR_FL".into()],
        || fs::ioctl_setflags(folder, fs::ioctl_getflags(folder)? | fs::IFlags::TOPDIR),
    )
}

/// The names in a directory (without `.` and `..`), in the kernel's order. Each call reads from the beginning.
#[track_caller]
pub fn getdents(dir: impl AsFd) -> Result<Vec<OsString>, CallFailed> {
    let dir = dir.as_fd();
    call(
        "getdents64",
        || vec![fd(dir)],
        || {
            let mut names = Vec::new();
            for entry in fs::Dir::read_from(dir)? {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push(OsString::from_vec(entry.file_name().to_bytes().to_vec()));
                }
            }
            Ok::<_, rustix::io::Errno>(names)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_points_out_ends_inside_or_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, victim) = (folder.path().join("root"), folder.path().join("victim"));
        std::fs::create_dir(&root).expect("room");
        std::fs::write(&victim, "secret").expect("room");
        symlink(&victim, root.join("absolute")).expect("room");
        symlink("../victim", root.join("relative")).expect("room");
        let dir = open_directory(&root).expect("just made");
        for name in ["absolute", "relative", "../victim", "/../victim"] {
            assert!(openat2(&dir, name, Open::Read, Resolve::InRoot).is_err(), "{name} led out");
            assert!(openat2(&dir, name, Open::Read, Resolve::Beneath).is_err(), "{name} led out");
        }
    }
}
