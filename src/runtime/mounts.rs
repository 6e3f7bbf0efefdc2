//! # Mounts: one entry of the list, made real
//!
//! Each entry of `mounts` in `config.json` is one of three kinds of work, done in the order of the list because later ones
//! may lie on earlier ones:
//!
//! ```text
//!   bind        open_tree(source), flags, move_mount(tree → target)                   a piece of the host's tree
//!   cgroup      the container's own groups                                            crate::cgroup_mounts
//!   the rest    child: mount(2) at the target                                         proc, sysfs, tmpfs, devpts, mqueue …
//! ```
//!
//! * A bind mount is a detached copy first, with all its flags set, and only then hung on its place: no moment in which it
//!   is writable, no source swapped between check and use.
//! * With a user namespace or an id table the *parent* opens the sources ([`prepare`]): only it is sure to see and to be
//!   allowed to read them. Else the child does, so that mounts are made (and listed) in the order of the configuration.
//! * In a source written `/volume/./below/it`, what stands behind `/./` may be written to by others while we look, so it is opened
//!   in one step that follows no link and cannot leave `/volume`. To any other runtime it is a path like another.
//! * The target is found by descriptor inside the root ([`crate::targets`]).
//! * Nothing is mounted into `/proc`, but for a short list of files that engines fake (lxcfs): a mount there could make our
//!   own later writes mean something else (CVE-2019-16884).
//!
//! See: runtime-spec config.md#mounts. Next room: [`crate::cgroup_mounts`]

use crate::{
    mount_options::{MS_RDONLY, Options},
    targets::{self, Kind},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::CallFailed,
    files::{self, FileType},
    idmap,
    mount::{self, Attributes, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, Target},
    userns::Range,
};
use oci_spec::runtime::{LinuxIdMapping, Mount};
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
    /// The detached copy of the source of a bind mount, when the parent had to make it.
    tree: Option<Tree>,
    bundle: &'a Path,
    /// How a copy echoes the host: a MS_* bit, or 0 to leave it.
    echo: u64,
}

/// A detached copy of a piece of the host's tree.
pub struct Tree {
    pub fd: OwnedFd,
    kind: Kind,
    /// It waits for the container's user namespace to be mapped by it (`idmap` without a table of its own).
    by_container: bool,
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
pub fn prepare<'a>(entry: &'a Mount, bundle: &'a Path, echo: u64, by_parent: bool) -> Result<Prepared<'a>> {
    check_destination(entry)?;
    let options = Options::parse(entry.options().as_deref().unwrap_or_default());
    let has_table = entry.uid_mappings().as_ref().is_some_and(|table| !table.is_empty());
    let mut prepared = Prepared { entry, options, tree: None, bundle, echo };
    if is_bind(entry) && (by_parent || has_table || prepared.options.idmap) {
        prepared.tree = Some(open_source(&prepared).map_err(|e| e.during(mounting(entry)))?);
    }
    Ok(prepared)
}

fn mounting(entry: &Mount) -> String {
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

fn open_source(prepared: &Prepared<'_>) -> Result<Tree> {
    let (entry, options) = (prepared.entry, &prepared.options);
    let named = entry.source().as_deref().unwrap_or(Path::new(""));
    let path = prepared.bundle.join(named);
    // a bundle may say `./data`: only a whole path can be divided
    let opened = if named.is_absolute() { open_named(&path) } else { mount::open_path(&path) };
    let source = opened.doing(|| format!("open the source {}", path.display()))?;
    let kind = match targets::file_type(&source).doing(|| "look at the source")? {
        FileType::Directory => Kind::Folder,
        _ => Kind::File,
    };
    let fd = mount::open_tree(source.as_fd(), &path, options.bind_recursive).doing(|| "copy the source's mount")?;
    if prepared.echo != 0 {
        let quiet = Attributes { propagation: prepared.echo & !MS_REC, ..Default::default() };
        mount::mount_setattr(fd.as_fd(), &path, &quiet, true).doing(|| "part the copy from the host")?;
    }
    let own_table = ranges(entry.uid_mappings()).zip(ranges(entry.gid_mappings()));
    if let Some((uids, gids)) = &own_table {
        let table = idmap::pin(uids, gids).doing(|| "make the id table of a mount")?;
        map(&fd, &path, table.as_fd(), options)?;
    }
    Ok(Tree { fd, kind, by_container: own_table.is_none() && options.idmap })
}

/// Opens a source; what stands behind `/./` without leaving what stands before.
fn open_named(path: &Path) -> Result<OwnedFd, CallFailed> {
    match path.to_str().and_then(|text| text.split_once("/./")) {
        Some((ours, theirs)) if !theirs.is_empty() => {
            let root = files::open_directory(Path::new(if ours.is_empty() { "/" } else { ours }))?;
            files::openat2(&root, theirs, files::Open::Path, files::Resolve::Beneath)
        }
        _ => mount::open_path(path),
    }
}

fn ranges(mappings: &Option<Vec<LinuxIdMapping>>) -> Option<Vec<Range>> {
    mappings.as_deref().filter(|list| !list.is_empty()).map(to_ranges)
}

/// The specification's mappings as the kernel's.
pub fn to_ranges(mappings: &[LinuxIdMapping]) -> Vec<Range> {
    let range = |m: &LinuxIdMapping| Range { inside: m.container_id(), outside: m.host_id(), size: m.size() };
    mappings.iter().map(range).collect()
}

fn map(tree: &OwnedFd, path: &Path, table: BorrowedFd<'_>, options: &Options) -> Result<()> {
    let mapped = Attributes { user_namespace: Some(table), ..Default::default() };
    mount::mount_setattr(tree.as_fd(), path, &mapped, options.idmap_recursive)
        .doing(|| format!("map the ids of {}", path.display()))
        .map_err(|e| e.hint("its file system must support id-mapped mounts (ext4, xfs, btrfs, tmpfs from Linux 6.3 …)"))
}

/// The parent's second half, once the child's user namespace has its maps: trees that are mapped by it.
///
/// # Errors
/// As mount_setattr(2).
pub fn map_by_container(mounts: &[Prepared<'_>], user_namespace: BorrowedFd<'_>) -> Result<()> {
    for prepared in mounts {
        if let Some(tree) = prepared.tree.as_ref().filter(|tree| tree.by_container) {
            let path = prepared.entry.source().as_deref().unwrap_or(Path::new(""));
            map(&tree.fd, path, user_namespace, &prepared.options).map_err(|e| e.during(mounting(prepared.entry)))?;
        }
    }
    Ok(())
}

/// Whether any tree waits for that.
pub fn wants_container_map(mounts: &[Prepared<'_>]) -> bool {
    mounts.iter().any(|prepared| prepared.tree.as_ref().is_some_and(|tree| tree.by_container))
}

/// The child's half: makes one entry real.
///
/// # Errors
/// `error mounting "source" to rootfs at "/target": …`
pub fn mount(root: BorrowedFd<'_>, prepared: &Prepared<'_>) -> Result<()> {
    let made = match (&prepared.tree, prepared.entry.typ().as_deref().unwrap_or("")) {
        (Some(tree), _) => attach(root, prepared, tree),
        (None, _) if is_bind(prepared.entry) => open_source(prepared).and_then(|tree| attach(root, prepared, &tree)),
        (None, "proc" | "sysfs") => {
            let target = targets::ordinary_folder(root, prepared.entry.destination())?;
            new_file_system(root, prepared, &target)
        }
        (None, "tmpfs") => tmpfs(root, prepared),
        (None, _) => {
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
    let (set, clear) = prepared.options.bind_attributes();
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
    new_file_system(root, &Prepared { options, tree: None, ..*prepared }, &target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_change_cannot_lead_out_of_what_is_ours() {
        use std::{fs, os::unix::fs::symlink};
        let home = tempfile::tempdir().expect("a folder");
        let volume = home.path().join("volume");
        fs::create_dir_all(volume.join("a/b")).expect("room");
        fs::create_dir(home.path().join("secret")).expect("room");
        symlink("a", volume.join("inward")).expect("room");
        symlink("/", volume.join("root")).expect("room");
        symlink("../../secret", volume.join("a/up")).expect("room");
        let open = |below: &str| open_named(Path::new(&format!("{}/./{below}", volume.display())));
        assert!(open("a/b").is_ok() && open("a/../a").is_ok());
        for escape in ["root", "root/etc", "a/up", "../secret", "inward/../../secret", "inward/b"] {
            assert!(open(escape).is_err(), "{escape}");
        }
        assert!(open_named(&volume.join("root")).is_ok(), "a plain path is followed, as ever");
    }

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
