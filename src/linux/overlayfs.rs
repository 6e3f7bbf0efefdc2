//! # Overlayfs: many directories that look like one
//!
//! overlayfs stacks read-only directories below one writable directory. What is written goes to the upper one; what is
//! deleted leaves a mark there that hides what lies below.
//!
//! ```text
//!   upper   etc/hosts (changed)      tmp: a character device 0:0 = "deleted"     var [opaque] = "forget what is below"
//!   lower   etc/hosts   etc/group    tmp/x                                       var/log/…
//!   ──────────────────────────────────────────────────────────────────────────────────────────
//!   merged  etc/hosts'  etc/group                                                var (empty)
//! ```
//!
//! * [`Overlay`] is such a stack; [`Overlay::options`] writes it as the option string of mount(2), with the characters
//!   that overlayfs itself reads (`\`, `:`, `,`) escaped.
//! * [`Overlay::view`] mounts it *detached* (fsopen, fsconfig, fsmount): nobody sees it in any mount table, and it ends
//!   with the descriptor. One `lowerdir+` each where the kernel has it (6.8), so that no page-size limit applies.
//! * [`is_whiteout`] and [`OPAQUE`] are the two marks.
//!
//! See: Documentation/filesystems/overlayfs.rst, fsopen(2). Next room: [`crate::idmap`]

use crate::{
    action::{call, call_showing, quoted},
    errno::CallFailed,
};
use rustix::{
    fs::{FileType, Stat, major, minor},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
};
use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// The attribute of a directory that hides everything of its name below.
pub const OPAQUE: &str = "trusted.overlay.opaque";

/// As many lower directories as the kernel stacks (OVL_MAX_STACK).
pub const MOST_LAYERS: usize = 500;

/// A stack of directories, topmost lower first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    pub lower: Vec<PathBuf>,
    /// The writable directory and overlayfs' own work directory beside it; without them the stack is read-only.
    pub upper: Option<(PathBuf, PathBuf)>,
}

impl Overlay {
    /// `lowerdir=…`, `upperdir=…`, `workdir=…`: the options as mount(2) wants them, before they are joined by commas.
    pub fn options(&self) -> Vec<OsString> {
        let mut lower = OsString::from("lowerdir=");
        for (at, dir) in self.lower.iter().enumerate() {
            if at > 0 {
                lower.push(":");
            }
            lower.push(escaped(dir, b"\\:,"));
        }
        let mut options = vec![lower];
        if let Some((upper, work)) = &self.upper {
            for (key, dir) in [("upperdir=", upper), ("workdir=", work)] {
                let mut option = OsString::from(key);
                option.push(escaped(dir, b"\\,"));
                options.push(option);
            }
        }
        options
    }

    /// Mounts the stack without attaching it anywhere; the descriptor is its root directory.
    ///
    /// # Errors
    /// The call that failed; overlayfs' own sentence is appended to its arguments when the kernel gives one.
    #[track_caller]
    pub fn view(&self) -> Result<OwnedFd, CallFailed> {
        let context = fsopen_overlay()?;
        for (nth, dir) in self.lower.iter().enumerate() {
            match set(&context, "lowerdir+", dir.as_os_str()) {
                // before Linux 6.8 there is only the one long string
                Err(failed) if failed.is(libc::EINVAL) && nth == 0 => {
                    let whole = self.options().remove(0);
                    let value = OsStr::from_bytes(&whole.as_bytes()["lowerdir=".len()..]).to_os_string();
                    set(&context, "lowerdir", &value)?;
                    break;
                }
                answer => answer?,
            }
        }
        if let Some((upper, work)) = &self.upper {
            set(&context, "upperdir", upper.as_os_str())?;
            set(&context, "workdir", work.as_os_str())?;
        }
        set(&context, "source", OsStr::new("overlay"))?;
        call("fsconfig", || vec!["fs".into(), "FSCONFIG_CMD_CREATE".into()], || rustix::mount::fsconfig_create(&context))
            .map_err(|failed| with_kernel_words(&context, failed))?;
        let flags = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = call_showing(
            "fsmount",
            || vec!["fs".into(), "FSMOUNT_CLOEXEC".into(), "MOUNT_ATTR_NODEV|NOSUID|NOEXEC".into()],
            || rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags),
            |mount| mount.as_raw_fd() as i64,
        )?;
        // what fsmount gives is a name only (O_PATH): its directory must be opened to be listed
        crate::files::openat2(&mount, ".", crate::files::Open::Directory, crate::files::Resolve::Beneath)
    }
}

#[track_caller]
fn fsopen_overlay() -> Result<OwnedFd, CallFailed> {
    call_showing(
        "fsopen",
        || vec![quoted("overlay"), "FSOPEN_CLOEXEC".into()],
        || rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC),
        |context| context.as_raw_fd() as i64,
    )
}

#[track_caller]
fn set(context: &OwnedFd, key: &'static str, value: &OsStr) -> Result<(), CallFailed> {
    call(
        "fsconfig",
        || vec!["fs".into(), "FSCONFIG_SET_STRING".into(), quoted(key), quoted(value)],
        || rustix::mount::fsconfig_set_string(context, key, value),
    )
    .map_err(|failed| with_kernel_words(context, failed))
}

/// The sentences the kernel left in the context, added to the failed call's arguments.
fn with_kernel_words(context: &OwnedFd, mut failed: CallFailed) -> CallFailed {
    let mut buffer = [0u8; 1024];
    while let Ok(n) = rustix::io::read(context, &mut buffer) {
        if n == 0 {
            break;
        }
        failed.args.push(String::from_utf8_lossy(&buffer[..n]).trim().to_string());
    }
    failed
}

/// A path with a backslash before each character that overlayfs would read as its own.
fn escaped(path: &Path, special: &[u8]) -> OsString {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if special.contains(byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    OsStr::from_bytes(&text).to_os_string()
}

/// Whether this is overlayfs' mark for "deleted": a character device 0:0.
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && major(stat.st_rdev) == 0 && minor(stat.st_rdev) == 0
}

/// Makes the mark for "deleted" at `dir/name`.
#[track_caller]
pub fn make_whiteout(dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), CallFailed> {
    crate::files::mknodat(dir, name, FileType::CharacterDevice, 0, (0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_overlayfs_own_are_escaped() {
        let overlay = Overlay { lower: vec!["/a:b".into(), "/c,d".into()], upper: Some(("/u:1".into(), "/w".into())) };
        let options = overlay.options();
        assert_eq!(options[0].to_str(), Some("lowerdir=/a\\:b:/c\\,d"));
        assert_eq!(options[1].to_str(), Some("upperdir=/u:1"));
    }

    #[test]
    fn a_view_is_seen_by_nobody_and_hides_what_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["low", "up", "work"] {
            std::fs::create_dir(at(name)).expect("room");
        }
        std::fs::write(at("low/kept"), "k").expect("room");
        std::fs::write(at("low/gone"), "g").expect("room");
        let overlay = Overlay { lower: vec![at("low")], upper: Some((at("up"), at("work"))) };
        let up = crate::files::open_directory(&at("up")).expect("just made");
        if make_whiteout(std::os::fd::AsFd::as_fd(&up), OsStr::new("gone")).is_err() {
            return println!("SKIP: this user may make no device node");
        }
        let Ok(view) = overlay.view() else { return println!("SKIP: no overlayfs here") };
        assert_eq!(crate::files::getdents(&view).expect("a directory"), ["kept"]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("procfs");
        assert!(!mounts.contains(&folder.path().display().to_string()));
    }
}
