//! # Borrowed network: a namespace that belongs to the host, in a container that does not
//!
//! An engine makes a container's network before the container, and so it belongs to the machine's user namespace. A container with a user
//! namespace of its own may be in it, but has no rights over it: it may neither mount a sysfs that shows it nor turn its knobs. Both are done
//! by the parent, who is still root of the machine, while it stands in that network for a moment:
//!
//! ```text
//!   parent:  setns(network) · fsopen(sysfs), fsmount: a detached mount · write /proc/sys/net/… · setns(back)
//!   child:   move_mount(the sysfs → /sys)
//! ```
//!
//! Laws: the caller has one thread and is back in its own network afterwards, whatever happened in between.
//! See: network_namespaces(7), user_namespaces(7), "Interaction of user namespaces and other types of namespaces". Next room: [`crate::mounts`]

use crate::{bundle, init};
use minidock_base::{Doing, Result};
use minidock_linux::{
    mount::FileSystem,
    namespaces::{self, Namespace, Set, setns},
    proc::Proc,
};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// The network that the container is lent: joined by its path, by a container with its own user namespace.
pub fn of(spec: &Spec) -> Option<&Path> {
    let own_users = bundle::has_namespace(spec, LinuxNamespaceType::User);
    let network = bundle::namespaces(spec).iter().find(|one| one.typ() == LinuxNamespaceType::Network).filter(|_| own_users)?;
    network.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// A sysfs that shows the network, with these MOUNT_ATTR_* flags, hanging nowhere yet.
///
/// # Errors
/// EPERM when we have no rights over it either.
pub fn sysfs(network: &Path, attributes: u64) -> Result<OwnedFd> {
    visit(network, || {
        FileSystem::open("sysfs").and_then(|sysfs| sysfs.mount(attributes)).doing(|| "make a sysfs of the network")
    })
}

/// Turns the knobs of the network that the configuration names, if it is lent.
///
/// # Errors
/// The knob that the kernel refused.
pub fn turn_knobs(spec: &Spec) -> Result<()> {
    let Some((network, linux)) = of(spec).zip(spec.linux().as_ref()) else { return Ok(()) };
    let mut knobs = linux.sysctl().iter().flatten().filter(|(name, _)| is_its(name)).peekable();
    if knobs.peek().is_none() {
        return Ok(());
    }
    visit(network, || {
        let proc = Proc::open(Path::new("/proc")).doing(|| "find the host's /proc")?;
        knobs.try_for_each(|(name, value)| init::set_sysctl(&proc, name, value))
    })
}

/// Whether a sysctl belongs to the network.
pub fn is_its(name: &str) -> bool {
    name.starts_with("net.") || name.starts_with("net/")
}

/// Does something in another network, and comes back: hooks and everything else of ours belong where we came from.
///
/// # Errors
/// What `act` says; EPERM when we may not go there.
pub fn visit<T>(network: &Path, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let doing = || format!("visit the network namespace {}", network.display());
    let alone = Set::EMPTY.with(Namespace::Network);
    let own = namespaces::open(Path::new("/proc/self/ns/net"), Namespace::Network).doing(doing)?;
    let theirs = namespaces::open(network, Namespace::Network).doing(doing)?;
    setns(theirs.as_fd(), alone, &network.display().to_string()).doing(doing)?;
    let done = act();
    setns(own.as_fd(), alone, "our own namespace").doing(|| "return to our own network")?;
    done
}
