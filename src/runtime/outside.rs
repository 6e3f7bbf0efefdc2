//! # Outside: what init needs of its parent while it builds
//!
//! Init stands inside and cannot reach what lies outside: a source that only the host's root may open, the control groups that are
//! being made, the hooks of the host's side. For each it says a word to its parent and waits ([`Outside`]); everything else it does
//! alone, at the same time as the parent does its own work.
//!
//! ```text
//!   parent   clone3 ─┬─ state ─ a dozen folders and knobs of cgroups ─ doors ─┐
//!   init             └─ network namespace ─ overlay ─ /proc, /dev … ──────────┴─ enters ─ the cgroups' mounts … Ready
//! ```
//!
//! Laws: what the parent sends comes in order, so the doors are taken before anything else is asked for; a cgroup namespace begins where
//! its maker stands, so it is made after entering. *See:* cgroups(7), cgroup_namespaces(7). Next room: [`crate::rootfs`]

use crate::{
    handshake::{self, Word},
    init,
};
use minidock_base::{Doing, Result};
use minidock_linux::{
    cgroup::Cgroup,
    namespaces::{self, Namespace, Set},
};
use std::{fs::File, os::fd::OwnedFd};

/// The way into the container's control groups.
pub enum Groups {
    /// Their doors (none if clone3 put us there).
    Open(Vec<OwnedFd>),
    /// The parent is making them, and sends the doors.
    ToCome,
}

/// The child's end of the conversation.
pub struct Outside<'a> {
    to: &'a mut File,
    has_entered: bool,
    owes_namespace: bool,
}

impl<'a> Outside<'a> {
    /// Enters the groups at once, if they are there.
    ///
    /// # Errors
    /// What the kernel says to who enters.
    pub fn new(to: &'a mut File, groups: Groups, new_cgroup_namespace: bool) -> Result<Outside<'a>> {
        let mut outside = Outside { to, has_entered: false, owes_namespace: new_cgroup_namespace };
        if let Groups::Open(doors) = groups {
            outside.enter(&doors)?;
        }
        Ok(outside)
    }

    fn enter(&mut self, doors: &[OwnedFd]) -> Result<()> {
        Cgroup::enter_through(doors).doing(|| "join the container's cgroup")?;
        self.has_entered = true;
        init::run_everywhere();
        Ok(())
    }

    /// Comes back when the container's control groups are made and we are in them; at once if that was so before.
    ///
    /// # Errors
    /// The parent is gone; what the kernel says to who enters.
    pub fn groups(&mut self) -> Result<()> {
        if !self.has_entered {
            let doors = handshake::wait_for_doors(self.to)?;
            self.enter(&doors)?;
        }
        self.make_cgroup_namespace()
    }

    /// A cgroup namespace of our own, if there shall be one, it is not made yet, and we stand where it is to begin.
    ///
    /// # Errors
    /// As unshare(2).
    pub fn make_cgroup_namespace(&mut self) -> Result<()> {
        match self.has_entered && std::mem::take(&mut self.owes_namespace) {
            true => namespaces::unshare(Set::EMPTY.with(Namespace::Cgroup)).doing(|| "make a cgroup namespace"),
            false => Ok(()),
        }
    }

    /// Has the parent open the source of the mount of this number in the list.
    ///
    /// # Errors
    /// The parent is gone, or could not.
    pub fn source(&mut self, entry: usize) -> Result<OwnedFd> {
        self.groups()?;
        handshake::say(self.to, Word::Source { entry }).doing(|| "talk to the runtime")?;
        handshake::wait_for_descriptor(self.to)
    }

    /// Waits until the parent has done what comes before everything: maps of IDs, network devices.
    ///
    /// # Errors
    /// The parent is gone.
    pub fn wait(&mut self) -> Result<()> {
        handshake::wait(self.to).doing(|| "wait for the runtime")
    }

    /// Says a word and waits until the parent has done its part.
    ///
    /// # Errors
    /// The parent is gone.
    pub fn ask(&mut self, word: Word) -> Result<()> {
        self.groups()?;
        handshake::say(self.to, word).and_then(|()| handshake::wait(self.to)).doing(|| "talk to the runtime")
    }
}
