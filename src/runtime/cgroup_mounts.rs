//! # Cgroup mounts: what a container sees of its own limits
//!
//! `{"type": "cgroup"}` means: show the container its groups at `/sys/fs/cgroup`. What that takes depends on the machine.
//!
//! ```text
//!   v1, host's cgroup namespace   tmpfs; in it a bind mount of the container's folder of each tree
//!   v1, its own namespace         tmpfs; in it a new mount of each tree, which begins at the container's folder
//!   v2                            one mount of type cgroup2 (which begins there too, in a namespace of its own)
//! ```
//!
//! Laws: flags of the entry hold for every one of them: a writable `release_agent` below a read-only tmpfs would be a way
//! out (CVE-2022-0492); the folders are opened by the parent, who sees the host. See: cgroup_namespaces(7).
//! Next room: [`crate::copy_up`]

use crate::{
    mount_options::MS_RDONLY,
    mounts::{self, Prepared},
    targets::{self, Kind},
};
use minidock_base::{Doing, Result};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    errno::EPERM,
    files,
    mount::{self, Attributes, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC, Target},
    userns,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The container's folder in one v1 tree.
pub struct Shown {
    /// The name of the mount below `/sys/fs/cgroup`: `cpu,cpuacct`.
    name: String,
    controllers: Vec<String>,
    path: PathBuf,
    view: View,
}

/// How it comes into the container.
enum View {
    /// As a new mount of the tree, which begins there in a cgroup namespace of one's own.
    New,
    /// As a bind mount of the folder: a copy made by the parent, or by init itself.
    Copied(OwnedFd),
    ToCopy,
}

/// Whether an entry asks for cgroups.
pub fn is_cgroup(prepared: &Prepared<'_>) -> bool {
    !mounts::is_bind(prepared.entry) && matches!(prepared.entry.typ().as_deref(), Some("cgroup" | "cgroup2"))
}

/// What there is to show: opened by the parent, after the group was made.
///
/// # Errors
/// As open_tree(2).
pub fn prepare(cgroup: Option<&Cgroup>, own_namespace: bool, by_parent: bool) -> Result<Vec<Shown>> {
    let Some(cgroup) = cgroup.filter(|cgroup| cgroup.version() == Version::V1) else { return Ok(Vec::new()) };
    let mut shown = Vec::new();
    for dir in cgroup.dirs() {
        let name = dir.top.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let view = match (own_namespace, by_parent) {
            (true, _) => View::New,
            (false, true) => View::Copied(copy(&dir.path)?),
            (false, false) => View::ToCopy,
        };
        shown.push(Shown { name, controllers: dir.controllers.clone(), path: dir.path.clone(), view });
    }
    Ok(shown)
}

fn copy(path: &Path) -> Result<OwnedFd> {
    let doing = || format!("copy the mount of {}", path.display());
    let folder = mount::open_path(path).doing(doing)?;
    let tree = mount::open_tree(folder.as_fd(), path, false).doing(doing)?;
    let private = Attributes { propagation: MS_PRIVATE & !MS_REC, ..Default::default() };
    mount::mount_setattr(tree.as_fd(), path, &private, true).doing(doing)?;
    Ok(tree)
}

/// Mounts what was prepared.
///
/// # Errors
/// `error mounting "cgroup" to rootfs at "/sys/fs/cgroup": …`
pub fn mount(root: BorrowedFd<'_>, prepared: &Prepared<'_>, shown: &[Shown], read_only: bool) -> Result<()> {
    let path = prepared.entry.destination();
    let mounted = match prepared.entry.typ().as_deref() {
        Some("cgroup") if !shown.is_empty() => v1(root, prepared, shown),
        _ => v2(root, prepared, read_only),
    };
    mounted.map_err(|e| e.during(format!("error mounting \"cgroup\" to rootfs at {path:?}")))
}

fn v2(root: BorrowedFd<'_>, prepared: &Prepared<'_>, read_only: bool) -> Result<()> {
    let path = prepared.entry.destination();
    let target = targets::find_or_make(root, path, Kind::Folder).doing(|| "find the target")?;
    let flags = prepared.options.set | if read_only { MS_RDONLY } else { 0 };
    let on_it = Target { fd: target.as_fd(), shown: path };
    match mount::mount("cgroup", on_it, "cgroup2", flags, &prepared.options.data.join(",")) {
        // root of a user namespace, for whom no group could be made, has none to show: an empty folder
        Err(failed) if failed.is(EPERM) && userns::lives_in_one() => v1(root, prepared, &[]),
        mounted => mounted.doing(|| "mount it"),
    }
}

fn v1(root: BorrowedFd<'_>, prepared: &Prepared<'_>, shown: &[Shown]) -> Result<()> {
    let (path, options) = (prepared.entry.destination(), &prepared.options);
    let target = targets::find_or_make(root, path, Kind::Folder).doing(|| "find the target")?;
    // The tmpfs becomes read-only when the mount points in it are made.
    let on_it = Target { fd: target.as_fd(), shown: path };
    mount::mount("tmpfs", on_it, "tmpfs", options.set & !MS_RDONLY, "mode=755").doing(|| "mount a tmpfs for the trees")?;
    let tmpfs = targets::find(root, path).doing(|| "find the tmpfs for the trees")?;
    for one in shown {
        tree(tmpfs.as_fd(), prepared, one)?;
    }
    if options.set & MS_RDONLY != 0 {
        let read_only = Attributes { set: MOUNT_ATTR_RDONLY, ..Default::default() };
        mount::mount_setattr(tmpfs.as_fd(), path, &read_only, false).doing(|| "make the tmpfs read-only")?;
    }
    Ok(())
}

fn tree(tmpfs: BorrowedFd<'_>, prepared: &Prepared<'_>, one: &Shown) -> Result<()> {
    let shown = prepared.entry.destination().join(&one.name);
    let doing = || format!("mount {}", shown.display());
    files::mkdirat(tmpfs, &one.name, 0o755).doing(doing)?;
    let target = targets::find(tmpfs, Path::new(&one.name)).doing(doing)?;
    let on_it = Target { fd: target.as_fd(), shown: &shown };
    let attach = |tree: &OwnedFd| {
        let (set, clear) = prepared.options.attributes();
        let flags = Attributes { set, clear, ..Default::default() };
        mount::mount_setattr(tree.as_fd(), &one.path, &flags, false)?;
        mount::move_mount(tree.as_fd(), &one.path, on_it)
    };
    match &one.view {
        View::Copied(tree) => attach(tree).doing(doing)?,
        View::ToCopy => attach(&copy(&one.path)?).doing(doing)?,
        View::New => mount::mount("cgroup", on_it, "cgroup", prepared.options.set, &one.controllers.join(",")).doing(doing)?,
    }
    // Programs look for `cpu` even where the tree is called `cpu,cpuacct`.
    for controller in one.controllers.iter().filter(|name| **name != one.name && !name.starts_with("name=")) {
        files::symlinkat(&one.name, tmpfs, controller).doing(doing)?;
    }
    Ok(())
}
