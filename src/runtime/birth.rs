//! # Birth: one clone3 in the common case, and what the uncommon ones need
//!
//! A container's namespaces are new, or joined by a path. New ones come with clone3, all at once. Three kinds cannot:
//!
//! ```text
//!   pid joined     setns changes our *children's* namespace only      parent: setns(pid), clone3, setns(back)
//!   any, and a user namespace: its root may not join the host's       parent: the same for each of them
//!   time offsets   must be written before anybody is in there         parent: unshare(time), write, clone3, setns(back)
//!   user joined    what is new must belong to it                      a middle child: setns(user), clone3(CLONE_PARENT|…),
//!                                                                     tells the pid and ends
//! ```
//!
//! * A cgroup namespace shows the tree from where its maker stands, so init makes it after it has entered its cgroup.
//! * On v1 the group is a dozen folders and knobs, as much work for the kernel as a network namespace. A container's child does not
//!   wait for it: it makes its network namespace itself and hangs its tree, while the parent makes the groups ([`can_overlap`]).
//! * All others that are joined by path (a mount namespace always), init joins itself (crate::init).
//!
//! See: clone(2), time_namespaces(7), setns(2). Next room: [`crate::handshake`]

use crate::{bundle, net_devices};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    clone::{Cloned, Request, clone3},
    fds,
    namespaces::{self, Namespace, Set, setns},
    proc::Proc,
    wait,
};
use oci_spec::runtime::{LinuxNamespaceType, LinuxTimeOffset, Spec};
use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The container's namespaces, sorted by what has to be done for them.
pub struct Walls {
    /// New, by clone3.
    pub new: Set,
    /// New, but made by init after it has entered its cgroup.
    pub new_cgroup: bool,
    /// New, but made by init while the parent makes its cgroups.
    pub new_network: bool,
    /// Joined by init.
    pub joins: Vec<(Namespace, OwnedFd)>,
    /// Joined before clone3, by whoever calls it.
    early: Vec<(Namespace, OwnedFd)>,
    user: Option<OwnedFd>,
    offsets: Option<String>,
}

/// The kernel's kind of the specification's.
pub fn kind(kind: LinuxNamespaceType) -> Namespace {
    match kind {
        LinuxNamespaceType::Mount => Namespace::Mount,
        LinuxNamespaceType::Cgroup => Namespace::Cgroup,
        LinuxNamespaceType::Uts => Namespace::Uts,
        LinuxNamespaceType::Ipc => Namespace::Ipc,
        LinuxNamespaceType::User => Namespace::User,
        LinuxNamespaceType::Pid => Namespace::Pid,
        LinuxNamespaceType::Network => Namespace::Network,
        LinuxNamespaceType::Time => Namespace::Time,
    }
}

/// Sorts the list of `linux.namespaces` and opens the paths in it.
///
/// # Errors
/// A path that is not there or no namespace of its kind.
pub fn walls(spec: &Spec) -> Result<Walls> {
    let mut walls = Walls {
        new: Set::EMPTY,
        new_cgroup: false,
        new_network: false,
        joins: Vec::new(),
        early: Vec::new(),
        user: None,
        offsets: None,
    };
    let in_user_namespace = bundle::has_namespace(spec, LinuxNamespaceType::User);
    for namespace in bundle::namespaces(spec) {
        let kind = kind(namespace.typ());
        let path = namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty());
        match (path, kind) {
            (None, Namespace::Cgroup) => walls.new_cgroup = true,
            (None, _) => walls.new = walls.new.with(kind),
            (Some(path), _) => {
                let doing = || format!("join the {} namespace {}", kind.file_name(), path.display());
                let fd = namespaces::open(path, kind).doing(doing)?;
                match kind {
                    Namespace::User => walls.user = Some(fd),
                    Namespace::Pid | Namespace::Time => walls.early.push((kind, fd)),
                    Namespace::Network | Namespace::Ipc | Namespace::Uts if in_user_namespace => walls.early.push((kind, fd)),
                    _ => walls.joins.push((kind, fd)),
                }
            }
        }
    }
    walls.joins.sort_by_key(|(kind, _)| *kind);
    let offsets = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref()).filter(|offsets| !offsets.is_empty());
    if let Some(offsets) = offsets.filter(|_| walls.new.has(Namespace::Time)) {
        walls.offsets = Some(offset_lines(offsets)?);
    }
    Ok(walls)
}

/// Whether parent and child can work side by side: the parent makes the groups, which on v1 takes long, the child its network
/// namespace and its tree. With a user namespace it cannot be: there each step needs one of the other's.
pub fn can_overlap(spec: &Spec, cgroup: &Cgroup) -> bool {
    cgroup.version() == Version::V1 && !bundle::has_namespace(spec, LinuxNamespaceType::User) && !net_devices::are_wanted(spec)
}

impl Walls {
    /// Leaves the network namespace to init, if there is to be a new one.
    pub fn leave_network_to_init(&mut self) {
        self.new_network = self.new.has(Namespace::Network);
        self.new = self.new.without(Namespace::Network);
    }

    /// Whether init will find itself in a user namespace that others made.
    pub fn joins_user(&self) -> bool {
        self.user.is_some()
    }
}

fn offset_lines(offsets: &HashMap<String, LinuxTimeOffset>) -> Result<String> {
    let mut lines = String::new();
    for (clock, offset) in offsets {
        if clock != "monotonic" && clock != "boottime" {
            return Err(Error::invalid(format!("invalid timeOffsets: there is no clock {clock:?}")));
        }
        lines += &format!("{clock} {} {}\n", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
    }
    Ok(lines)
}

/// What is left to enter for a child that was born in its cgroup's v2 folder: nothing on v2, all trees on v1.
///
/// # Errors
/// As open(2).
pub fn doors(cgroup: &Cgroup, born_inside: bool) -> Result<Vec<OwnedFd>> {
    match (cgroup.version(), born_inside) {
        (Version::V2, true) => Ok(Vec::new()),
        _ => cgroup.open_doors().doing(|| "open the container's cgroup"),
    }
}

/// Makes the child behind its walls. In the parent afterwards nothing has changed.
///
/// # Errors
/// EPERM, and the limits of clone3(2).
pub fn give_birth(walls: &Walls, into_cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    match &walls.user {
        None => {
            let ways_back = join_early(walls)?;
            let cloned = direct(walls, into_cgroup, false)?;
            if matches!(cloned, Cloned::Parent { .. }) {
                ways_back.into_iter().try_for_each(back)?;
            }
            Ok(cloned)
        }
        Some(user) => by_a_middle_child(walls, into_cgroup, user),
    }
}

fn direct(walls: &Walls, into_cgroup: Option<BorrowedFd<'_>>, sibling: bool) -> Result<Cloned> {
    let doing = || "make the container's namespaces";
    let mut new = walls.new;
    let mut ways_back = Vec::new();
    if let Some(lines) = &walls.offsets {
        let time = Set::EMPTY.with(Namespace::Time);
        ways_back.push(own(Namespace::Time)?);
        namespaces::unshare(time).doing(doing)?;
        let proc = Proc::open(Path::new("/proc")).doing(doing)?;
        proc.write("self/timens_offsets", lines).doing(|| "set the offsets of the clocks")?;
        new = new.without(Namespace::Time);
    }
    let cloned = clone3(Request { namespaces: new, into_cgroup, sibling }).doing(doing)?;
    if matches!(cloned, Cloned::Parent { .. }) && !sibling {
        ways_back.into_iter().try_for_each(back)?;
    }
    Ok(cloned)
}

/// Joins what our child is to be in and could not join itself; gives back the ways back.
fn join_early(walls: &Walls) -> Result<Vec<(Namespace, OwnedFd)>> {
    let mut ways_back = Vec::new();
    for (kind, fd) in &walls.early {
        let shown = format!("the given {} namespace", kind.file_name());
        ways_back.push(own(*kind)?);
        setns(fd.as_fd(), Set::EMPTY.with(*kind), &shown).doing(|| format!("join {shown}"))?;
    }
    Ok(ways_back)
}

fn own(kind: Namespace) -> Result<(Namespace, OwnedFd)> {
    let path = format!("/proc/self/ns/{}", kind.file_name());
    Ok((kind, namespaces::open(Path::new(&path), kind).doing(|| "find our own namespace")?))
}

/// Our own children (hooks) belong where we are.
fn back((kind, own): (Namespace, OwnedFd)) -> Result<()> {
    setns(own.as_fd(), Set::EMPTY.with(kind), "our own namespace").doing(|| "return to our own namespace")
}

fn by_a_middle_child(walls: &Walls, into_cgroup: Option<BorrowedFd<'_>>, user: &OwnedFd) -> Result<Cloned> {
    let (from, to) = fds::pipe().doing(|| "make a pipe")?;
    match clone3(Request::default()).doing(|| "make a middle child")? {
        Cloned::Child => {
            let born = join_early(walls)
                .and_then(|_| {
                    setns(user.as_fd(), Set::EMPTY.with(Namespace::User), "the given user namespace")
                        .doing(|| "join the user namespace")
                })
                .and_then(|()| direct(walls, into_cgroup, true));
            let told = match born {
                Ok(Cloned::Child) => return Ok(Cloned::Child),
                Ok(Cloned::Parent { pid, .. }) => pid.to_string(),
                Err(failed) => failed.message(),
            };
            // If the parent is gone there is nobody to tell.
            let _ = File::from(to).write_all(told.as_bytes());
            std::process::exit(0)
        }
        Cloned::Parent { pid: middle, .. } => {
            drop(to);
            let mut told = String::new();
            File::from(from).read_to_string(&mut told).doing(|| "hear from the middle child")?;
            wait::wait(middle).doing(|| "wait for the middle child")?;
            let pid: i32 = told.parse().map_err(|_| Error::system(told.clone()).during("make the container's namespaces"))?;
            let pidfd = wait::pidfd_open(pid).doing(|| "find the container's process")?;
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}
