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
//!   with the descriptor. Each layer is an option of its own, `lowerdir+`, so that no page-size limit applies.
//! * [`by_mount`] is the way before Linux 6.8 ([`takes_single_layers`]), where all layers must fit one option and fsconfig takes 255 bytes: mount(2)
//!   takes a page. A thread in a mount namespace of its own mounts it where nobody looks, and brings back a copy of the mount.
//! * [`is_whiteout`] and [`OPAQUE`] are the two marks.
//!
//! See: Documentation/filesystems/overlayfs.rst, fsopen(2). Next room: [`crate::idmap`]

use crate::{
    action::{self, call, call_showing, quoted},
    errno::CallFailed,
    mount,
    namespaces::{self, Namespace, Set},
};
use rustix::{
    fs::{FileType, Stat, major, minor},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags},
};
use std::{
    ffi::{CString, OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::OnceLock,
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
        if !takes_single_layers() {
            let mount = by_mount(&self.options(), libc::MS_NODEV | libc::MS_NOSUID | libc::MS_NOEXEC)?;
            return crate::files::openat2(&mount, ".", crate::files::Open::Directory, crate::files::Resolve::Beneath);
        }
        let context = fsopen_overlay()?;
        for dir in &self.lower {
            set(&context, "lowerdir+", dir.as_os_str())?;
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

/// Whether this kernel takes the layers one by one (`lowerdir+`): Linux 6.8.
pub fn takes_single_layers() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| at_least(&rustix::system::uname().release().to_string_lossy(), (6, 8)))
}

/// Whether `6.1.0-56-amd64` is a version or a later one.
fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

/// Mounts a stack by mount(2), with [`Overlay::options`] or the like and MS_* flags; the descriptor is a detached mount.
///
/// # Errors
/// E2BIG when the names of the layers do not fit a page; what mount(2) says of an overlay.
#[track_caller]
pub fn by_mount(options: &[OsString], flags: u64) -> Result<OwnedFd, CallFailed> {
    let recorder = action::recording();
    let steps = || {
        if let Some(actor) = recorder {
            action::start(actor);
        }
        (mount_apart(options, flags), action::stop())
    };
    let done = std::thread::scope(|scope| scope.spawn(steps).join());
    let (mount, actions) = done.map_err(|_| CallFailed::new("mount", vec![quoted("overlay")], libc::EINTR))?;
    action::adopt(actions);
    mount
}

/// Where the thread mounts it, in its own namespace.
const PLACE: &str = "/proc";

fn mount_apart(options: &[OsString], flags: u64) -> Result<OwnedFd, CallFailed> {
    namespaces::unshare(Set::EMPTY.with(Namespace::Mount))?;
    mount::set_propagation("/", mount::MS_PRIVATE | mount::MS_REC)?;
    let (folder, data) = packed(options);
    if let Some(folder) = folder {
        crate::pivot_root::chdir(&folder)?;
    }
    let shown = || vec![quoted("overlay"), quoted(PLACE), quoted("overlay"), quoted(&data)];
    call("mount", shown, || {
        let nul = |_| std::io::Error::from_raw_os_error(libc::EINVAL);
        if data.len() >= PAGE {
            return Err(std::io::Error::from_raw_os_error(libc::E2BIG));
        }
        let data = CString::new(data.as_bytes()).map_err(nul)?;
        Ok(rustix::mount::mount("overlay", PLACE, "overlay", MountFlags::from_bits_retain(flags as u32), &*data)?)
    })?;
    let place = mount::open_path(Path::new(PLACE))?;
    mount::open_tree(place.as_fd(), "the overlay", false)
}

/// What mount(2) reads of its options.
const PAGE: usize = 4096;

/// The options in one, with the layers named from a folder that they share, so that many fit; and that folder.
fn packed(options: &[OsString]) -> (Option<String>, OsString) {
    let mut words: Vec<OsString> = options.to_vec();
    let at = words.iter().position(|word| word.as_bytes().starts_with(LOWER));
    let shared = at.and_then(|at| shared_folder(&words[at].as_bytes()[LOWER.len()..]).map(|folder| (at, folder)));
    if let Some((at, folder)) = &shared {
        let layers = String::from_utf8_lossy(&words[*at].as_bytes()[LOWER.len()..]).replace(folder.as_str(), "");
        words[*at] = OsString::from(format!("lowerdir={layers}"));
    }
    (shared.map(|(_, folder)| folder), words.join(OsStr::new(",")))
}

const LOWER: &[u8] = b"lowerdir=";

/// `/data/` of `/data/init:/data/layers/l/x`; none when a name has characters that need care.
fn shared_folder(layers: &[u8]) -> Option<String> {
    let layers = std::str::from_utf8(layers).ok().filter(|text| !text.contains('\\'))?;
    let mut names = layers.split(':');
    let first = names.next()?;
    let mut end = first.rfind('/')?;
    for name in names {
        while end > 0 && !(name.starts_with(&first[..=end]) && name.len() > end + 1) {
            end = first[..end].rfind('/')?;
        }
    }
    // where it stands in a name for a second time, leaving it out would bend the name
    let folder = &first[..=end];
    (end > 0 && layers.split(':').all(|name| name.matches(folder).count() == 1)).then(|| folder.to_string())
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
    fn old_kernels_are_known_by_their_version() {
        for (release, new) in
            [("6.8.0-31-generic", true), ("6.18.1", true), ("7.0", true), ("6.1.0-56-amd64", false), ("5.15.0", false)]
        {
            assert_eq!(at_least(release, (6, 8)), new, "{release}");
        }
    }

    #[test]
    fn layers_are_named_from_the_folder_that_they_share() {
        let packed = |options: &[&str]| {
            let (folder, data) = packed(&options.iter().map(OsString::from).collect::<Vec<_>>());
            (folder.unwrap_or_default(), data.into_string().expect("text"))
        };
        let usual = packed(&["lowerdir=/d/init:/d/layers/l/a:/d/layers/l/b", "upperdir=/d/c/upper", "volatile"]);
        assert_eq!(usual, ("/d/".into(), "lowerdir=init:layers/l/a:layers/l/b,upperdir=/d/c/upper,volatile".into()));
        assert_eq!(packed(&["lowerdir=/d/a"]), ("/d/".into(), "lowerdir=a".into()));
        for alone in ["lowerdir=/a:/b", "lowerdir=/d/a\\:b:/d/c", "lowerdir=/d/x/d/y:/d/z"] {
            assert_eq!(packed(&[alone]), (String::new(), alone.into()), "left as they are");
        }
    }

    #[test]
    fn what_is_mounted_by_mount_is_the_same_and_hangs_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(at(name)).expect("room");
            std::fs::write(at(name).join(name), "x").expect("room");
        }
        let overlay = Overlay { lower: vec![at("one"), at("two")], upper: None };
        let mount = match by_mount(&overlay.options(), 0) {
            Ok(mount) => mount,
            Err(failed) => return println!("SKIP: no overlayfs here: {failed}"),
        };
        let root = crate::files::openat2(&mount, ".", crate::files::Open::Directory, crate::files::Resolve::Beneath);
        let mut names = crate::files::getdents(root.expect("a directory")).expect("a directory");
        names.sort();
        assert_eq!(names, ["one", "two"]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("procfs");
        assert!(!mounts.contains(&folder.path().display().to_string()));
        let many = Overlay { lower: vec![at("one"); 400], upper: None };
        assert!(by_mount(&many.options(), 0).is_err());
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
