//! # Reach: what a host without root gives its nodes
//!
//! A hosting daemon that is root of a user namespace only (`unshare -r -n -m minidock daemon`) owns its network and its mounts, so it can make machines:
//! namespaces, bridges, cables and firewalls are its own. What belongs to the real machine is out of its reach.
//!
//! | | with root | without |
//! |---|---|---|
//! | PID, mount, network, UTS namespaces | yes | yes: they belong to the same user namespace |
//! | a cgroup for each node | yes | only in trees that were handed down to it; mostly none |
//! | so `--cpus`, `--memory` | enforced, and told to the swarm | told to the swarm, which plans with them |
//! | so `cluster pause` | the freezer | refused |
//! | so `cluster kill` | SIGKILL to PID 1: the kernel takes all | the same |
//!
//! Laws: what cannot be given is said when the cluster comes up, not found out later. *See:* user_namespaces(7), cgroup_namespaces(7).
//! Next room: [`crate::machine`]

use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Hierarchy},
    namespaces::{Namespace, Set},
    userns,
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The namespaces of a node. Without root there is no group for it to be the top of.
pub fn namespaces() -> Set {
    let own = [Namespace::Pid, Namespace::Mount, Namespace::Network, Namespace::Uts].into_iter().collect::<Set>();
    if userns::lives_in_one() { own } else { own.with(Namespace::Cgroup) }
}

/// Whether machines can be made at all: by root, or by root of a user namespace.
///
/// # Errors
/// [`minidock_base::Kind::Forbidden`]: by neither.
pub fn check() -> Result<()> {
    match fs::metadata("/proc/self").map_or(0, |facts| facts.uid()) {
        0 => Ok(()),
        uid => Err(Error::forbidden(format!(
            "simulated nodes need a daemon that may make networks and mounts, and this one is user {uid}"
        ))
        .hint("unshare --user --map-root-user --net --mount minidock daemon … is root enough; or start it as root")),
    }
}

/// The group at `path`, in those trees where we may make one.
///
/// # Errors
/// This machine has no cgroups.
pub fn group(path: &Path) -> Result<Cgroup> {
    let group = Hierarchy::detect().doing(|| "look at the cgroups")?.cgroup(path);
    Ok(if userns::lives_in_one() { group.within_reach() } else { group })
}

/// Whether there is a tree with this controller among the group's.
pub fn has(group: &Cgroup, controller: &str) -> bool {
    !group.dirs().is_empty() && group.dir_of(controller).is_some()
}

/// What nodes of so many CPUs and so much memory will not really be given.
///
/// # Errors
/// As [`group`].
pub fn warnings(path: &Path, cpus: f64, memory: i64) -> Result<Vec<String>> {
    let group = group(path)?;
    let lacks = |wanted: bool, controller: &str, what: &str| {
        (wanted && !has(&group, controller)).then(|| {
            format!(
                "this daemon may make no cgroup for {controller}: --{what} is what nodes tell the swarm, and is not enforced"
            )
        })
    };
    Ok([lacks(cpus > 0.0, "cpu", "cpus"), lacks(memory > 0, "memory", "memory")].into_iter().flatten().collect())
}
