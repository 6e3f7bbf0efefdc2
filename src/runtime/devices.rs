//! # Devices: the smallest /dev that programs can live with
//!
//! A container's `/dev` is an empty tmpfs, not the host's. Into it go seven nodes that every program expects, those that the
//! configuration asks for, and a handful of links:
//!
//! ```text
//!   /dev/null zero full random urandom tty      character devices, 0666 root:root
//!       /fd → /proc/self/fd   stdin stdout stderr → fd/0 1 2   core → /proc/kcore
//!       /ptmx → pts/ptmx      terminals come from the container's own devpts
//! ```
//!
//! * A node is only a name: whether opening it works is decided by the device rules of the cgroup.
//! * In a user namespace the kernel refuses mknod, so the host's own node is bind mounted over an empty file
//!   ([`host_nodes`] opens them in the parent, who can see the host).
//!
//! Laws: every name is made relative to the descriptor of `/dev` inside the root: a `/dev` that is a link to a folder of
//! the host changes nothing there (CVE-2026-41579). See: runtime-spec config-linux.md#devices, null(4). Next: [`crate::masks`]

use crate::targets;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    files::{self, FileType},
    mount::{self, Target},
};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
const EPERM: i32 = 1;

/// One node to be made.
#[derive(Clone, Debug)]
struct Node {
    path: PathBuf,
    kind: FileType,
    mode: u32,
    device: (u32, u32),
    owner: Option<(u32, u32)>,
}

const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 4] =
    [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")];

fn nodes(spec: &Spec) -> Result<Vec<Node>> {
    let asked = spec.linux().iter().flat_map(|linux| linux.devices().iter().flatten());
    let mut nodes = asked.map(node).collect::<Result<Vec<_>>>()?;
    for (path, major, minor) in DEFAULTS {
        if !nodes.iter().any(|node| node.path == Path::new(path)) {
            let path = path.into();
            nodes.push(Node { path, kind: FileType::CharacterDevice, mode: 0o666, device: (major, minor), owner: None });
        }
    }
    Ok(nodes)
}

fn node(asked: &LinuxDevice) -> Result<Node> {
    let kind = match asked.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => {
            return Err(Error::invalid(format!("device {}: \"a\" is no type of a node", asked.path().display())));
        }
    };
    let number = |n: i64, what: &str| {
        u32::try_from(n)
            .map_err(|_| Error::invalid(format!("device {}: {what} {n} is no device number", asked.path().display())))
    };
    let device = match kind {
        FileType::Fifo => (0, 0),
        _ => (number(asked.major(), "major")?, number(asked.minor(), "minor")?),
    };
    let owner = match (asked.uid(), asked.gid()) {
        (None, None) => None,
        (uid, gid) => Some((uid.unwrap_or(0), gid.unwrap_or(0))),
    };
    Ok(Node { path: asked.path().clone(), kind, mode: asked.file_mode().unwrap_or(0o666) & 0o7777, device, owner })
}

/// The host's nodes as detached mounts, for a container that may not make its own; opened by the parent.
///
/// # Errors
/// A device that the host does not have.
pub fn host_nodes(spec: &Spec) -> Result<Vec<(PathBuf, OwnedFd)>> {
    let mut trees = Vec::new();
    for node in nodes(spec)? {
        let doing = || format!("open the host's {}", node.path.display());
        let file = mount::open_path(&node.path).doing(doing)?;
        trees.push((node.path.clone(), mount::open_tree(file.as_fd(), &node.path, false).doing(doing)?));
    }
    Ok(trees)
}

/// Fills `/dev`: nodes and links. `hosts` are what [`host_nodes`] opened, empty when we may make nodes ourselves.
///
/// # Errors
/// A node that can be neither made nor bound.
pub fn fill(root: BorrowedFd<'_>, spec: &Spec, hosts: &[(PathBuf, OwnedFd)]) -> Result<()> {
    let dev = targets::find_or_make(root, Path::new("/dev"), targets::Kind::Folder).doing(|| "find /dev")?;
    for node in nodes(spec)? {
        let doing = || format!("error creating device nodes: {}", node.path.display());
        match hosts.iter().find(|(path, _)| *path == node.path) {
            Some((_, tree)) => bind(root, &node, tree.as_fd()).map_err(|e| e.during(doing()))?,
            None => make(root, dev.as_fd(), &node).map_err(|e| e.during(doing()))?,
        }
    }
    links(root, dev.as_fd())
}

fn make(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, node: &Node) -> Result<()> {
    let name = node.path.file_name().ok_or_else(|| Error::invalid("a device needs a name"))?;
    let parent;
    let folder = match node.path.parent() {
        Some(above) if above == Path::new("/dev") => dev,
        above => {
            let above = above.unwrap_or(Path::new("/"));
            parent = targets::find_or_make(root, above, targets::Kind::Folder).doing(|| "make its folder")?;
            parent.as_fd()
        }
    };
    match files::mknodat(folder, name, node.kind, node.mode, node.device) {
        Err(failed) if failed.is(EEXIST) => return Ok(()),
        Err(failed) if failed.is(EPERM) => {
            let file = mount::open_path(&node.path).doing(|| "open the host's node")?;
            let tree = mount::open_tree(file.as_fd(), &node.path, false).doing(|| "copy the host's mount")?;
            return bind(root, node, tree.as_fd());
        }
        made => made.doing(|| "mknod")?,
    }
    match node.owner {
        Some((uid, gid)) if (uid, gid) != (0, 0) => files::lchownat(folder, name, uid, gid).doing(|| "chown"),
        _ => Ok(()),
    }
}

fn bind(root: BorrowedFd<'_>, node: &Node, tree: BorrowedFd<'_>) -> Result<()> {
    let target = targets::find_or_make(root, &node.path, targets::Kind::File).doing(|| "make a place for it")?;
    mount::move_mount(tree, &node.path, Target { fd: target.as_fd(), shown: &node.path }).doing(|| "bind the host's node")
}

fn links(root: BorrowedFd<'_>, dev: BorrowedFd<'_>) -> Result<()> {
    for (name, target) in LINKS {
        link(dev, name, target)?;
    }
    if targets::find(root, Path::new("/proc/kcore")).is_ok() {
        link(dev, "core", "/proc/kcore")?;
    }
    // The host's ptmx would open the host's terminals.
    match files::unlinkat(dev, "ptmx") {
        Err(failed) if !failed.is(ENOENT) => return Err(failed).doing(|| "replace /dev/ptmx"),
        _ => {}
    }
    link(dev, "ptmx", "pts/ptmx")
}

fn link(dev: BorrowedFd<'_>, name: &str, target: &str) -> Result<()> {
    match files::symlinkat(target, dev, name) {
        Err(failed) if failed.is(EEXIST) => Ok(()),
        made => made.doing(|| format!("link /dev/{name}")),
    }
}

/// Whether the configuration brings a `/dev` of its own (a bind mount), which is then left as it is.
pub fn is_brought_along(spec: &Spec) -> bool {
    spec.mounts().iter().flatten().any(|mount| mount.destination() == Path::new("/dev") && crate::mounts::is_bind(mount))
}

/// The container's null device, proved to be one: 1:3, no link on the way.
///
/// # Errors
/// Forbidden when `/dev/null` is anything else (CVE-2025-31133).
pub fn null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    use minidock_linux::files::{Open, Resolve};
    let found = files::openat2(root, "dev/null", Open::PathNoFollow, Resolve::Beneath);
    let found = found.doing(|| "open the container's /dev/null")?;
    let facts = files::fstat(&found).doing(|| "look at the container's /dev/null")?;
    match FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && facts.st_rdev == NULL_DEVICE {
        true => Ok(found),
        false => Err(Error::forbidden("the container's /dev/null is not the null device")
            .hint("the bundle's /dev holds a file or link of that name; paths cannot be masked with it")),
    }
}

/// makedev(1, 3).
pub const NULL_DEVICE: u64 = 0x103;
