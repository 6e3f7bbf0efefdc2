//! # Mount: hanging trees on trees
//!
//! A mount namespace is a tree of mounts; each mount shows some file system at some folder, with flags of its own. The
//! runtime builds the container's tree out of three kinds of work, and aims every one of them at a *descriptor*, never at
//! a path that somebody could bend meanwhile:
//!
//! ```text
//!   mount(2)            a new file system: proc, sysfs, tmpfs, devpts …        [`mount`]
//!   open_tree(2)        a copy of an existing tree, hanging nowhere yet         [`open_tree`]
//!     mount_setattr(2)  … made read-only, private, id-mapped while nobody sees  [`mount_setattr`]
//!     move_mount(2)     … then hung where it belongs: a bind mount, no races    [`move_mount`]
//!   mount(2) MS_SHARED… how mounts here and there echo each other               [`set_propagation`]
//! ```
//!
//! * [`FileSystem`] is the long way to make a new file system (fsopen(2)): needed where the options do not fit a page
//!   (an overlay of many layers) or the tree must be filled before it is seen.
//! * Flags are the kernel's own bits, with the man page's names when recorded.
//!
//! Laws: needs Linux 5.12 (mount_setattr). A detached tree disappears with its last descriptor.
//! See: mount(2), open_tree(2), mount_setattr(2), move_mount(2), fsopen(2). Next room: [`crate::pivot_root`]

use crate::{action, errno::CallFailed};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

pub const MS_REC: u64 = libc::MS_REC;
pub const MS_SHARED: u64 = libc::MS_SHARED;
pub const MS_SLAVE: u64 = libc::MS_SLAVE;
pub const MS_PRIVATE: u64 = libc::MS_PRIVATE;
pub const MS_UNBINDABLE: u64 = libc::MS_UNBINDABLE;
pub const MNT_DETACH: u32 = libc::MNT_DETACH as u32;

pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
pub const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// mount(2)'s flags by name.
const MS_NAMES: [(u64, &str); 17] = [
    (libc::MS_RDONLY, "MS_RDONLY"),
    (libc::MS_NOSUID, "MS_NOSUID"),
    (libc::MS_NODEV, "MS_NODEV"),
    (libc::MS_NOEXEC, "MS_NOEXEC"),
    (libc::MS_SYNCHRONOUS, "MS_SYNCHRONOUS"),
    (libc::MS_MANDLOCK, "MS_MANDLOCK"),
    (libc::MS_DIRSYNC, "MS_DIRSYNC"),
    (0x100, "MS_NOSYMFOLLOW"),
    (libc::MS_NOATIME, "MS_NOATIME"),
    (libc::MS_NODIRATIME, "MS_NODIRATIME"),
    (libc::MS_REC, "MS_REC"),
    (libc::MS_UNBINDABLE, "MS_UNBINDABLE"),
    (libc::MS_PRIVATE, "MS_PRIVATE"),
    (libc::MS_SLAVE, "MS_SLAVE"),
    (libc::MS_SHARED, "MS_SHARED"),
    (libc::MS_RELATIME, "MS_RELATIME"),
    (libc::MS_STRICTATIME, "MS_STRICTATIME"),
];

const ATTR_NAMES: [(u64, &str); 8] = [
    (MOUNT_ATTR_RDONLY, "MOUNT_ATTR_RDONLY"),
    (MOUNT_ATTR_NOSUID, "MOUNT_ATTR_NOSUID"),
    (MOUNT_ATTR_NODEV, "MOUNT_ATTR_NODEV"),
    (MOUNT_ATTR_NOEXEC, "MOUNT_ATTR_NOEXEC"),
    (MOUNT_ATTR_NOATIME, "MOUNT_ATTR_NOATIME"),
    (MOUNT_ATTR_STRICTATIME, "MOUNT_ATTR_STRICTATIME"),
    (MOUNT_ATTR_NODIRATIME, "MOUNT_ATTR_NODIRATIME"),
    (MOUNT_ATTR_NOSYMFOLLOW, "MOUNT_ATTR_NOSYMFOLLOW"),
];

fn names(bits: u64, table: &[(u64, &str)]) -> String {
    let known: Vec<&str> = table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    match known.is_empty() {
        true => "0".into(),
        false => known.join("|"),
    }
}

/// Where something is to be mounted: a descriptor, and the path by which people know it.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub fd: BorrowedFd<'a>,
    pub shown: &'a Path,
}

/// Mounts a new file system. The target is reached through `/proc/self/fd`, so this must happen while the host's `/proc`
/// is still in sight.
///
/// # Errors
/// ENODEV for a type this kernel has not; EINVAL for options it does not know; EPERM where this user namespace may not.
#[track_caller]
pub fn mount(source: &str, target: Target<'_>, kind: &str, flags: u64, data: &str) -> Result<(), CallFailed> {
    let shown = || {
        let data = if data.is_empty() { "NULL".into() } else { action::quoted(data) };
        vec![action::quoted(source), action::quoted(target.shown), action::quoted(kind), names(flags, &MS_NAMES), data]
    };
    action::call("mount", shown, || {
        let nul = |_| std::io::Error::from_raw_os_error(libc::EINVAL);
        let path = format!("/proc/self/fd/{}", target.fd.as_raw_fd());
        let (source, path) = (CString::new(source).map_err(nul)?, CString::new(path).map_err(nul)?);
        let (kind, data) = (CString::new(kind).map_err(nul)?, CString::new(data).map_err(nul)?);
        // SAFETY: four NUL-terminated strings that live through the call; every file system we pass takes text as data.
        match unsafe { libc::mount(source.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

/// Changes how mounts at `path` (and, with MS_REC, below it) echo those elsewhere.
///
/// # Errors
/// EINVAL when `path` is not a mount point.
#[track_caller]
pub fn set_propagation(path: &str, flags: u64) -> Result<(), CallFailed> {
    action::call(
        "mount",
        || vec!["NULL".into(), action::quoted(path), "NULL".into(), names(flags, &MS_NAMES), "NULL".into()],
        || {
            let path = CString::new(path).map_err(|_| std::io::Error::from_raw_os_error(libc::EINVAL))?;
            // SAFETY: one NUL-terminated path; the kernel ignores source, type and data for a change of propagation.
            match unsafe { libc::mount(std::ptr::null(), path.as_ptr(), std::ptr::null(), flags, std::ptr::null()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        },
    )
}

/// Takes a mount away; with [`MNT_DETACH`] at once, even if it is in use.
///
/// # Errors
/// EINVAL when it is not a mount point; EBUSY.
#[track_caller]
pub fn umount2(path: &str, flags: u32) -> Result<(), CallFailed> {
    let shown = || vec![action::quoted(path), if flags == MNT_DETACH { "MNT_DETACH".into() } else { flags.to_string() }];
    action::call("umount2", shown, || rustix::mount::unmount(path, UnmountFlags::from_bits_retain(flags)))
}

/// A descriptor that only names what is at `path` (`O_PATH`), following links: for a path of the host's.
///
/// # Errors
/// ENOENT, EACCES.
#[track_caller]
pub fn open_path(path: &Path) -> Result<OwnedFd, CallFailed> {
    use rustix::fs::{Mode, OFlags};
    action::call(
        "open",
        || vec![action::quoted(path), "O_PATH".into()],
        || rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
    )
}

/// A copy of the mount (with `recursive`, of all mounts below it too) at `from`, which hangs nowhere yet.
///
/// # Errors
/// EINVAL when it belongs to another mount namespace or is unbindable.
#[track_caller]
pub fn open_tree(from: BorrowedFd<'_>, shown: impl AsRef<std::ffi::OsStr>, recursive: bool) -> Result<OwnedFd, CallFailed> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let word = if recursive { "OPEN_TREE_CLONE|AT_RECURSIVE" } else { "OPEN_TREE_CLONE" };
    action::call("open_tree", || vec![action::quoted(shown), word.into()], || rustix::mount::open_tree(from, "", flags))
}

/// Hangs a detached tree on a target.
///
/// # Errors
/// ENOTDIR when one is a folder and the other is not; EINVAL for a tree that is attached elsewhere in another namespace.
#[track_caller]
pub fn move_mount(tree: BorrowedFd<'_>, shown: impl AsRef<std::ffi::OsStr>, target: Target<'_>) -> Result<(), CallFailed> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    action::call(
        "move_mount",
        || vec![action::quoted(shown), action::quoted(target.shown)],
        || rustix::mount::move_mount(tree, "", target.fd, "", flags),
    )
}

/// What [`mount_setattr`] changes on a mount.
#[derive(Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// MOUNT_ATTR_* bits to set, and to clear.
    pub set: u64,
    pub clear: u64,
    /// One of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, or 0.
    pub propagation: u64,
    /// The table of an id-mapped mount.
    pub user_namespace: Option<BorrowedFd<'a>>,
}

/// Changes the flags of a mount, or of a whole tree at once.
///
/// # Errors
/// EPERM for clearing a flag that is locked in this user namespace; EINVAL; EBUSY when files are open for writing below.
#[track_caller]
pub fn mount_setattr(
    mount: BorrowedFd<'_>,
    shown: impl AsRef<std::ffi::OsStr>,
    wanted: &Attributes<'_>,
    recursive: bool,
) -> Result<(), CallFailed> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let words = || {
        let mut text = format!("{{set={}", names(wanted.set, &ATTR_NAMES));
        if wanted.clear != 0 {
            text += &format!(", clear={}", names(wanted.clear, &ATTR_NAMES));
        }
        if wanted.propagation != 0 {
            text += &format!(", propagation={}", names(wanted.propagation, &MS_NAMES));
        }
        text += if wanted.user_namespace.is_some() { ", MOUNT_ATTR_IDMAP}" } else { "}" };
        vec![action::quoted(shown), if recursive { "AT_RECURSIVE".into() } else { "0".into() }, text]
    };
    action::call("mount_setattr", words, || {
        let attr = MountAttr {
            set: wanted.set | if wanted.user_namespace.is_some() { MOUNT_ATTR_IDMAP } else { 0 },
            clear: wanted.clear,
            propagation: wanted.propagation,
            user_namespace: wanted.user_namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
        };
        let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
        // SAFETY: the empty path and the attributes outlive the call, and the size given is theirs.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                mount.as_raw_fd(),
                c"".as_ptr(),
                flags,
                &raw const attr,
                std::mem::size_of::<MountAttr>(),
            )
        };
        match answer {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

/// MOUNT_ATTR_* bits by their names.
pub fn attribute_names(attributes: u64) -> String {
    names(attributes, &ATTR_NAMES)
}

/// The flags of the mount that this file lies on, in mount_setattr(2)'s bits; a file system that is read-only as a whole counts.
/// See: statfs(2), `f_flags`.
///
/// # Errors
/// None that a valid descriptor gives.
#[track_caller]
pub fn attributes_of(file: BorrowedFd<'_>) -> Result<u64, CallFailed> {
    const ST: [(u64, u64); 7] = [
        (0x1, MOUNT_ATTR_RDONLY),
        (0x2, MOUNT_ATTR_NOSUID),
        (0x4, MOUNT_ATTR_NODEV),
        (0x8, MOUNT_ATTR_NOEXEC),
        (0x400, MOUNT_ATTR_NOATIME),
        (0x800, MOUNT_ATTR_NODIRATIME),
        (0x2000, MOUNT_ATTR_NOSYMFOLLOW),
    ];
    const ST_NOATIME_OR_RELATIME: u64 = 0x1400;
    let facts = action::call("fstatfs", || vec!["the mount".into()], || rustix::fs::fstatfs(file))?;
    let flags = facts.f_flags as u64;
    let times = if flags & ST_NOATIME_OR_RELATIME == 0 { MOUNT_ATTR_STRICTATIME } else { 0 };
    Ok(ST.iter().filter(|(flag, _)| flags & flag != 0).fold(times, |bits, (_, bit)| bits | bit))
}

/// A file system in the making: fsopen, some fsconfig, fsmount.
pub struct FileSystem {
    context: OwnedFd,
    kind: String,
}

impl FileSystem {
    /// Begins one of this type.
    ///
    /// # Errors
    /// ENODEV for a type this kernel has not.
    #[track_caller]
    pub fn open(kind: &str) -> Result<FileSystem, CallFailed> {
        let open = || rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        let context = action::call("fsopen", || vec![action::quoted(kind), "FSOPEN_CLOEXEC".into()], open)?;
        Ok(FileSystem { context, kind: kind.to_string() })
    }

    /// One option: `key=value`, or `key` alone.
    ///
    /// # Errors
    /// EINVAL for an option this file system does not know.
    #[track_caller]
    pub fn set(&self, option: &str) -> Result<(), CallFailed> {
        match option.split_once('=') {
            Some((key, value)) => self.string(key, value),
            None => action::call(
                "fsconfig",
                || vec![self.kind.clone(), "FSCONFIG_SET_FLAG".into(), action::quoted(option)],
                || rustix::mount::fsconfig_set_flag(self.context.as_fd(), option),
            ),
        }
    }

    /// `key=value`, where the value may be anything up to 255 bytes.
    ///
    /// # Errors
    /// As [`FileSystem::set`].
    #[track_caller]
    pub fn string(&self, key: &str, value: &str) -> Result<(), CallFailed> {
        action::call(
            "fsconfig",
            || vec![self.kind.clone(), "FSCONFIG_SET_STRING".into(), action::quoted(key), action::quoted(value)],
            || rustix::mount::fsconfig_set_string(self.context.as_fd(), key, value),
        )
    }

    /// Makes it, and gives back its root as a detached mount with these MOUNT_ATTR_* flags.
    ///
    /// # Errors
    /// Whatever the file system says; [`FileSystem::complaint`] has its own words.
    #[track_caller]
    pub fn mount(&self, attributes: u64) -> Result<OwnedFd, CallFailed> {
        let create = || rustix::mount::fsconfig_create(self.context.as_fd());
        action::call("fsconfig", || vec![self.kind.clone(), "FSCONFIG_CMD_CREATE".into()], create)?;
        let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
        action::call(
            "fsmount",
            || vec![self.kind.clone(), names(attributes.bits() as u64, &ATTR_NAMES)],
            || rustix::mount::fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes),
        )
    }

    /// The kernel's own sentence about what went wrong, if it left one: `overlay: upperdir is in-use …`.
    pub fn complaint(&self) -> Option<String> {
        let mut text = [0u8; 512];
        let n = rustix::io::read(self.context.as_fd(), &mut text).ok()?;
        let line = String::from_utf8_lossy(&text[..n]);
        Some(line.trim_start_matches("e ").trim_end().to_string())
    }
}
