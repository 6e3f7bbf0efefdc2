//! # Id-mapped mounts: the same files, other owners
//!
//! A volume's files belong to uid 1000 on the disk, and the container calls that user 0. Instead of changing every file,
//! a *mount* can carry a table: whoever looks through it sees (and makes) files with other owners; the disk keeps its own.
//!
//! The kernel takes the table in the form of a user namespace. A user namespace needs a process, so [`pin`] starts a child
//! in a new one, writes its maps, opens `/proc/PID/ns/user` and lets the child go: the descriptor keeps the namespace.
//!
//! ```text
//!   clone3(CLONE_NEWUSER) ─► child waits ─► parent writes maps, opens ns/user ─► child ends
//!   mount_setattr(tree, {MOUNT_ATTR_IDMAP, userns_fd})        before the tree is attached anywhere
//! ```
//!
//! See: mount_setattr(2), "ID-mapped mounts". Next room: [`crate::mount`]

use crate::{
    clone::{Cloned, Request, clone3},
    errno::CallFailed,
    fds,
    namespaces::{self, Namespace, Set},
    userns::{Range, write_maps},
    wait,
};
use std::{io::Read, os::fd::OwnedFd, path::Path};

/// A user namespace with these maps, kept alive by nothing but the descriptor.
///
/// # Errors
/// As clone3(2) and the writes of the maps.
#[track_caller]
pub fn pin(uids: &[Range], gids: &[Range]) -> Result<OwnedFd, CallFailed> {
    let (until_closed, hold) = fds::pipe()?;
    match clone3(Request { namespaces: Set::EMPTY.with(Namespace::User), ..Default::default() })? {
        Cloned::Child => {
            drop(hold);
            // Ends when the parent closes its end, and no sooner.
            let _ = std::fs::File::from(until_closed).read(&mut [0]);
            std::process::exit(0)
        }
        Cloned::Parent { pid, .. } => {
            let pinned = write_maps(pid, uids, gids)
                .and_then(|()| namespaces::open(Path::new(&format!("/proc/{pid}/ns/user")), Namespace::User));
            drop(hold);
            wait::wait(pid)?;
            pinned
        }
    }
}
