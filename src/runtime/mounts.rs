//! # Mounts: one entry of the list, made real
//!
//! Each entry of `mounts` in `config.json` is one of three kinds of work, done in the order of the list because later ones
//! may lie on earlier ones:
//!
//! ```text
//!   bind        open_tree(source), flags, move_mount(tree → target)                   a piece of a tree        crate::sources
//!   cgroup      the container's own groups                                                                     crate::cgroup_mounts
//!   the rest    child: mount(2) at the target                                         proc, sysfs, tmpfs, devpts, mqueue …
//! ```
//!
//! * A bind mount is a detached copy first, with all its flags set, and only then hung on its place: no moment in which it
//!   is writable, no source swapped between check and use.
//! * Mounts are made (and listed) in the order of the configuration, whoever opens their sources.
//! * The target is found by descriptor inside the root ([`crate::targets`]).
//! * Nothing is mounted into `/proc`, but for a short list of files that engines fake (lxcfs): a mount there could make our
//!   own later writes mean something else (CVE-2019-16884).
//!
//! See: runtime-spec config.md#mounts. Next room: [`crate::cgroup_mounts`]

use crate::{
    mount_options::{MS_RDONLY, Options},
    sources::{self, Ground, Source, Tree},
    targets::{self, Kind},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::mount::{self, Attributes, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, Target};
use oci_spec::runtime::Mount;
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Files below `/proc` that may be covered.
const ALLOWED_IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// One entry, ready for the child.
pub struct Prepared<'a> {
    pub entry: &'a Mount,
    pub options: Options,
    pub source: Source,
    pub bundle: &'a Path,
    /// How a copy echoes the host: a MS_* bit, or 0 to leave it.
    pub echo: u64,
    /// There is a user namespace: what a source forbids stays forbidden.
    pub walled: bool,
}

/// Whether an entry is a bind mount: by its options, or by its type.
pub fn is_bind(entry: &Mount) -> bool {
    let words = entry.options().iter().flatten();
    entry.typ().as_deref() == Some("bind") || words.into_iter().any(|word| word == "bind" || word == "rbind")
}

/// Sorts the options of an entry and, if it must be done by the parent, opens the source of a bind mount.
///
/// # Errors
/// A source that is not there, a table that the kernel refuses, an entry below `/proc`.
pub fn prepare<'a>(entry: &'a Mount, ground: &Ground<'a>, echo: u64) -> Result<Prepared<'a>> {
    check_destination(entry)?;
    let options = Options::parse(entry.options().as_deref().unwrap_or_default());
    let mut prepared = Prepared { entry, options, source: Source::None, bundle: ground.bundle, echo, walled: ground.by_parent };
    sources::prepare(&mut prepared, ground).map_err(|e| e.during(mounting(entry)))?;
    Ok(prepared)
}

/// What is being done, in the words that programs look for.
pub fn mounting(entry: &Mount) -> String {
    let source = entry.source().as_deref().unwrap_or(Path::new("")).display().to_string();
    format!("error mounting {source:?} to rootfs at {:?}", entry.destination())
}

fn check_destination(entry: &Mount) -> Result<()> {
    let path = entry.destination();
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("a mount has no destination"));
    }
    let clean = Path::new("/").join(targets::relative(path));
    let below = clean.strip_prefix("/proc").ok().filter(|below| !below.as_os_str().is_empty());
    let allowed = ALLOWED_IN_PROC.iter().any(|file| clean == Path::new(file));
    match below {
        Some(_) if !allowed => {
            let refused = format!("{:?} cannot be mounted because it is inside /proc", path);
            Err(Error::forbidden(refused).during(mounting(entry)))
        }
        _ => Ok(()),
    }
}

/// The child's half: makes one entry real. `ask` brings the source that only the parent may open.
///
/// # Errors
/// `error mounting "source" to rootfs at "/target": …`
pub fn mount(root: BorrowedFd<'_>, prepared: &Prepared<'_>, ask: &mut dyn FnMut() -> Result<OwnedFd>) -> Result<()> {
    let made = match (&prepared.source, prepared.entry.typ().as_deref().unwrap_or("")) {
        (Source::Opened { tree, .. }, _) => attach(root, prepared, tree),
        (Source::InTurn(table), _) => {
            sources::open(prepared, table.as_ref().map(|table| table.as_fd())).and_then(|tree| attach(root, prepared, &tree))
        }
        (Source::Asked(_), _) => ask().and_then(Tree::of).and_then(|tree| attach(root, prepared, &tree)),
        (Source::None, "proc" | "sysfs") => {
            let target = targets::ordinary_folder(root, prepared.entry.destination())?;
            new_file_system(root, prepared, &target)
        }
        (Source::None, "tmpfs") => tmpfs(root, prepared),
        (Source::None, _) => {
            let target = targets::find_or_make(root, prepared.entry.destination(), Kind::Folder);
            new_file_system(root, prepared, &target.doing(|| "find the target")?)
        }
    };
    made.map_err(|e| e.during(mounting(prepared.entry)))
}

/// Hangs the copy of a bind mount's source on its target, flags first.
fn attach(root: BorrowedFd<'_>, prepared: &Prepared<'_>, tree: &Tree) -> Result<()> {
    let path = prepared.entry.destination();
    let source = prepared.entry.source().as_deref().unwrap_or(Path::new(""));
    let target = targets::find_or_make(root, path, tree.kind).doing(|| "find the target")?;
    let has = mount::attributes_of(tree.fd.as_fd()).doing(|| "look at the source's flags")?;
    let (set, clear) = prepared.options.bind_attributes(has, prepared.walled)?;
    if (set, clear) != (0, 0) {
        let flags = Attributes { set, clear, ..Default::default() };
        mount::mount_setattr(tree.fd.as_fd(), source, &flags, false).doing(|| "set its flags")?;
    }
    set_later(tree.fd.as_fd(), source, &prepared.options)?;
    mount::move_mount(tree.fd.as_fd(), source, Target { fd: target.as_fd(), shown: path }).doing(|| "bind it")
}

/// Flags of the whole tree, and its propagation.
pub fn set_later(mount: BorrowedFd<'_>, shown: &Path, options: &Options) -> Result<()> {
    if options.recursive != (0, 0) {
        let (set, clear) = options.recursive;
        let flags = Attributes { set, clear, ..Default::default() };
        mount::mount_setattr(mount, shown, &flags, true).doing(|| "set the flags of its whole tree")?;
    }
    for bits in &options.propagation {
        let propagation = bits & (MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE);
        let wanted = Attributes { propagation, ..Default::default() };
        mount::mount_setattr(mount, shown, &wanted, bits & MS_REC != 0).doing(|| "set its propagation")?;
    }
    Ok(())
}

fn new_file_system(root: BorrowedFd<'_>, prepared: &Prepared<'_>, target: &OwnedFd) -> Result<()> {
    let (entry, options) = (prepared.entry, &prepared.options);
    let path = entry.destination();
    let kind = entry.typ().as_deref().unwrap_or("");
    let source = entry.source().as_deref().unwrap_or(Path::new(kind)).display().to_string();
    let on_it = Target { fd: target.as_fd(), shown: path };
    // A read-only /dev must first be filled: crate::rootfs makes it read-only at the end.
    let flags = if path == Path::new("/dev") { options.set & !MS_RDONLY } else { options.set };
    mount::mount(&source, on_it, kind, flags, &options.data.join(",")).doing(|| "mount it")?;
    match options.recursive != (0, 0) || !options.propagation.is_empty() {
        true => {
            let new = targets::find(root, path).doing(|| "find the new mount")?;
            set_later(new.as_fd(), path, options)
        }
        false => Ok(()),
    }
}

/// A tmpfs takes over mode and owner of the folder it covers, and with `tmpcopyup` its files.
fn tmpfs(root: BorrowedFd<'_>, prepared: &Prepared<'_>) -> Result<()> {
    let path = prepared.entry.destination();
    let covered = targets::find(root, path);
    let target = targets::find_or_make(root, path, Kind::Folder).doing(|| "find the target")?;
    if prepared.options.copy_up {
        return crate::copy_up::mount(prepared, &target);
    }
    let mut options = prepared.options.clone();
    if let (Ok(covered), false) = (&covered, options.has_data("mode")) {
        let facts = minidock_linux::files::fstat(covered).doing(|| "look at the folder below")?;
        options.data.push(format!("mode={:04o}", facts.st_mode & 0o7777));
    }
    new_file_system(root, &Prepared { options, source: Source::None, ..*prepared }, &target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_mounted_into_proc_but_what_engines_fake() {
        let at = |path: &str| -> Mount { serde_json::from_value(serde_json::json!({"destination": path})).expect("a mount") };
        assert!(check_destination(&at("/proc")).is_ok());
        assert!(check_destination(&at("/proc/uptime")).is_ok());
        assert!(check_destination(&at("/proc/sys/kernel/core_pattern")).is_err());
        assert!(check_destination(&at("//proc/self/attr/exec")).is_err());
        assert!(check_destination(&at("/process")).is_ok());
    }
}
