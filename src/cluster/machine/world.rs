//! # World: what a node sees of the disk
//!
//! A node is not a container: it shows the hosting machine's own file systems, so that the tools that are installed here are installed there.
//! Only what tells two machines apart is its own.
//!
//! ```text
//!   /run                    an empty tmpfs; /run/minidock is the node's exec root, /run/docker.sock its socket
//!   /var/lib                the hosting machine's, below a tmpfs (overlayfs): what is written there is the node's
//!   /var/lib/minidock       the node's data root; /var/lib/docker is the same place, for fingers that know it
//!   /var/lib/minidock.host  the hosting daemon's data root, read-only: its images are lent to the node
//!   /proc, /sys             of the node's own namespaces; /sys/fs/cgroup begins at the node's cgroup
//!   /etc/hosts, /etc/hostname, /etc/resolv.conf     files of the node
//! ```
//!
//! * Everything that has to survive the covering of `/run` is opened as a detached tree first ([`lift`]) and hung up afterwards.
//!
//! * Where the host is root of a user namespace only, `/sys/fs/cgroup` is the hosting machine's as it is: the node has no group to begin at.
//!
//! Laws: all mounts are private: none is seen outside, all end with PID 1. A place that this machine has not is left out.
//! *See:* mount_namespaces(7), overlayfs, cgroup_namespaces(7). Next room: [`crate::machine::init`]

use super::orders::{DATA_ROOT, ETC, EXEC_ROOT, LENT, Orders, PROGRAMS, SOCKET};
use minidock_base::{Doing, Result};
use minidock_linux::{
    cgroup::{Hierarchy, Version},
    mount::{self, Attributes, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC, Target},
    userns,
};
use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
};

const MS_NOSUID: u64 = 2;
const MS_NODEV: u64 = 4;
const MS_NOEXEC: u64 = 8;

/// Furnishes the mount namespace that the caller has just been born in.
///
/// # Errors
/// The mount that failed.
pub fn furnish(orders: &Orders) -> Result<()> {
    mount::set_propagation("/", MS_REC | MS_PRIVATE).doing(|| "make the node's mounts its own")?;
    let groups = groups()?;
    let data = lift(&orders.data_root, true)?;
    let exec = lift(&orders.exec_root, false)?;
    let lent = lift(&orders.lent, false)?;
    let read_only = Attributes { set: MOUNT_ATTR_RDONLY, ..Attributes::default() };
    mount::mount_setattr(lent.as_fd(), &orders.lent, &read_only, false).doing(|| "make the lent images read-only")?;
    let etc = etc_files(orders)?;

    cover("/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")?;
    make(EXEC_ROOT)?;
    hang(&exec, EXEC_ROOT)?;
    fs::create_dir_all("/run/lock").doing(|| "make /run/lock")?;
    for name in ["docker.sock", "minidock.sock"] {
        symlink(format!("minidock/{SOCKET}"), Path::new("/run").join(name)).doing(|| format!("make /run/{name}"))?;
    }
    make(PROGRAMS)?;
    let minidock = Path::new(PROGRAMS).join("minidock");
    let _ = fs::remove_file(&minidock); // of an earlier start
    symlink(&orders.program, &minidock).doing(|| "make the program's name")?;

    own_state(&data, &lent)?;
    for (file, tree) in &etc {
        hang_file(tree, file)?;
    }
    let hint =
        "is something mounted over a part of this machine's /proc or /sys? Root of a user namespace cannot show the whole then";
    let whole = |made: Result<()>| made.map_err(|e| if userns::lives_in_one() { e.hint(hint) } else { e });
    whole(cover("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""))?;
    whole(cover("/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""))?;
    match groups {
        Groups::Own(trees) => cgroups(&trees),
        Groups::Hosts(tree) => hang(&tree, "/sys/fs/cgroup"),
    }
}

/// `/var/lib`: the machine's below a tmpfs, and in it what is the node's.
fn own_state(data: &OwnedFd, lent: &OwnedFd) -> Result<()> {
    let (upper, work) = ("/run/minidock.var/upper", "/run/minidock.var/work");
    make(upper)?;
    make(work)?;
    // what tells a whiteout from a file is an attribute that only the real root may write, or any user
    let marks = if userns::lives_in_one() { ",userxattr" } else { "" };
    let options = format!("lowerdir=/var/lib,upperdir={upper},workdir={work}{marks}");
    cover("/var/lib", "overlay", 0, &options)?;
    for place in [DATA_ROOT, LENT] {
        make(place)?;
    }
    hang(data, DATA_ROOT)?;
    hang(lent, LENT)?;
    match fs::symlink_metadata("/var/lib/docker") {
        Err(_) => symlink("minidock", "/var/lib/docker").doing(|| "make /var/lib/docker"),
        Ok(_) => hang(&lift(Path::new(DATA_ROOT), true)?, "/var/lib/docker"),
    }
}

/// The node's files for `/etc`, each with where it belongs. A link (`resolv.conf` into `/run`) is followed now, while it leads somewhere.
fn etc_files(orders: &Orders) -> Result<Vec<(PathBuf, OwnedFd)>> {
    let mut files = Vec::new();
    for name in ETC {
        let (place, own) = (Path::new("/etc").join(name), orders.exec_root.join("etc").join(name));
        let Ok(real) = fs::canonicalize(&place) else { continue };
        files.push((real, lift(&own, false)?));
    }
    Ok(files)
}

/// Hangs a file on a file; one below the covered `/run` is made anew.
fn hang_file(tree: &OwnedFd, place: &Path) -> Result<()> {
    if !place.exists() {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
        }
        fs::write(place, "").doing(|| format!("make {}", place.display()))?;
    }
    hang(tree, &place.to_string_lossy())
}

/// What will be at `/sys/fs/cgroup`.
enum Groups {
    /// Trees that begin at the node's group.
    Own(Option<BTreeMap<String, String>>),
    /// What is there now.
    Hosts(OwnedFd),
}

fn groups() -> Result<Groups> {
    match userns::lives_in_one() {
        true => lift(Path::new("/sys/fs/cgroup"), true).map(Groups::Hosts),
        false => Ok(Groups::Own(v1_trees())),
    }
}

/// Which v1 trees there are: the folder's name below `/sys/fs/cgroup`, and the option that names the tree; none where cgroups are v2.
fn v1_trees() -> Option<BTreeMap<String, String>> {
    let hierarchy = Hierarchy::detect().ok()?;
    if hierarchy.version() == Version::V2 {
        return None;
    }
    let group = hierarchy.cgroup(Path::new("/"));
    let mut trees = BTreeMap::new();
    for dir in group.dirs() {
        let Some(name) = dir.top.file_name() else { continue };
        let option = match dir.controllers.first() {
            Some(first) if first.starts_with("name=") => format!("none,{first}"),
            _ => dir.controllers.join(","),
        };
        trees.insert(name.to_string_lossy().into_owned(), option);
    }
    if let Some(unified) = group.paths().get("") {
        let name = unified.file_name().map(|n| n.to_string_lossy().into_owned());
        trees.insert(name.unwrap_or_else(|| "unified".into()), String::new());
    }
    Some(trees)
}

/// Mounts the cgroup trees anew: in a cgroup namespace they begin at the node's own group.
fn cgroups(trees: &Option<BTreeMap<String, String>>) -> Result<()> {
    let Some(trees) = trees else {
        return cover("/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    };
    cover("/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755")?;
    for (name, option) in trees {
        let place = format!("/sys/fs/cgroup/{name}");
        make(&place)?;
        let kind = if option.is_empty() { "cgroup2" } else { "cgroup" };
        cover(&place, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, option)?;
        // `cpu` for `cpu,cpuacct`, as every distribution has it
        for single in name.split(',').filter(|single| *single != name) {
            let _ = symlink(name, format!("/sys/fs/cgroup/{single}")); // a name that is taken already leads there, too
        }
    }
    Ok(())
}

/// A detached copy of the tree at `path`.
fn lift(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let doing = || format!("take {} along into the node", path.display());
    let from = mount::open_path(path).doing(doing)?;
    mount::open_tree(from.as_fd(), path, recursive).doing(doing)
}

fn hang(tree: &OwnedFd, place: &str) -> Result<()> {
    let doing = || format!("mount {place} of the node");
    let target = mount::open_path(Path::new(place)).doing(doing)?;
    mount::move_mount(tree.as_fd(), place, Target { fd: target.as_fd(), shown: Path::new(place) }).doing(doing)
}

fn cover(place: &str, kind: &str, flags: u64, data: &str) -> Result<()> {
    let doing = || format!("mount {kind} on {place} of the node");
    let target = mount::open_path(Path::new(place)).doing(doing)?;
    mount::mount(kind, Target { fd: target.as_fd(), shown: Path::new(place) }, kind, flags, data).doing(doing)
}

fn make(place: &str) -> Result<()> {
    fs::create_dir_all(place).doing(|| format!("make {place} of the node"))
}
