//! # Owners: ids that mean others outside
//!
//! `minidock daemon --userns-remap` gives containers a user namespace: who is root inside is uid 231072, say, and so nobody, outside. The kernel
//! carries ids across for processes; a file on the disk has one owner. So the files of images must belong to 231072 on the disk, while
//! archives go on telling ids as a container sees them. This room is the border between the two.
//!
//! ```text
//!   layer.tar  0:0  1000:1000 ──unpack──► [`on_disk`]  231072:231072  232072:232072 ──pack──► [`inside`]  0:0  1000:1000
//! ```
//!
//! * A daemon has one table, settled once before the first file is touched ([`settle`]), and its data root carries the table's first ids in its
//!   name: so files of two tables never meet. Without a table every id is what it is.
//! * What belongs to nobody inside (a file of a bind mount) is told as 65534, as the kernel tells it.
//!
//! Law: what crosses the border crosses it once: copies on the disk (volumes, layers of build steps) keep the numbers they have.
//! See: user_namespaces(7), subuid(5) · moby `pkg/idtools`. Next room: [`super::pack`]

use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::CallFailed,
    files,
    userns::{Range, to_outside},
};
use std::{
    os::{fd::AsFd, unix::fs::chown},
    path::Path,
    sync::OnceLock,
};

static TABLE: OnceLock<Table> = OnceLock::new();

/// Whom the kernel shows where there is nobody.
const NOBODY: u32 = 65_534;

/// Which ids outside the ids inside are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub uids: Vec<Range>,
    pub gids: Vec<Range>,
}

impl Table {
    /// Owner and group on the disk.
    ///
    /// # Errors
    /// Docker's words: an id that no id outside was given for.
    pub fn on_disk(&self, (uid, gid): (u32, u32)) -> Result<(u32, u32)> {
        let across = |ranges: &[Range], id| {
            to_outside(ranges, id).ok_or_else(|| {
                Error::invalid(format!("Container ID {id} cannot be mapped to a host ID"))
                    .hint("a longer range in /etc/subuid and /etc/subgid for the user of --userns-remap")
            })
        };
        Ok((across(&self.uids, uid)?, across(&self.gids, gid)?))
    }

    /// Owner and group as a container sees them.
    pub fn inside(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        let back = |ranges: &[Range], id: u32| {
            let of = |range: &Range| Some(id.checked_sub(range.outside).filter(|nth| *nth < range.size)? + range.inside);
            ranges.iter().find_map(of).unwrap_or(NOBODY)
        };
        (back(&self.uids, uid), back(&self.gids, gid))
    }
}

/// From now on files belong to whom `table` says. The first one counts.
pub fn settle(table: Table) {
    let _ = TABLE.set(table);
}

/// The table, if ids mean others outside.
pub fn table() -> Option<&'static Table> {
    TABLE.get()
}

/// Owner and group on the disk of what belongs to `owner` inside.
///
/// # Errors
/// An id that no id outside was given for.
pub fn on_disk(owner: (u32, u32)) -> Result<(u32, u32)> {
    table().map_or(Ok(owner), |table| table.on_disk(owner))
}

/// The way back: whose a file is, as a container sees it.
pub fn inside(owner: (u32, u32)) -> (u32, u32) {
    table().map_or(owner, |table| table.inside(owner))
}

/// Who root of a container is on the disk.
pub fn root() -> (u32, u32) {
    on_disk((0, 0)).unwrap_or((0, 0))
}

/// Gives what we have just made to root of the containers.
///
/// # Errors
/// As fchown(2).
pub fn give_to_root(file: &impl AsFd) -> Result<(), CallFailed> {
    match root() {
        (0, 0) => Ok(()),
        (uid, gid) => files::fchown(file, uid, gid),
    }
}

/// The same by its path.
///
/// # Errors
/// The disk's.
pub fn give_path(path: &Path) -> Result<()> {
    match root() {
        (0, 0) => Ok(()),
        (uid, gid) => chown(path, Some(uid), Some(gid)).doing(|| format!("give {} to root of the containers", path.display())),
    }
}

/// Lets root of the containers pass through a folder of ours, and see nothing of it: it has the group's rights.
///
/// # Errors
/// The disk's.
pub fn let_pass(folder: &Path) -> Result<()> {
    match root() {
        (0, 0) => Ok(()),
        (_, gid) => chown(folder, None, Some(gid)).doing(|| format!("let containers pass through {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Table {
        let range = |inside, outside, size| Range { inside, outside, size };
        Table { uids: vec![range(0, 231_072, 1000), range(1000, 500_000, 10)], gids: vec![range(0, 300_000, 65_536)] }
    }

    #[test]
    fn root_of_a_container_is_nobody_outside_and_who_is_not_known_cannot_own_a_file() {
        let table = sample();
        assert_eq!(table.on_disk((0, 0)).expect("known"), (231_072, 300_000));
        assert_eq!(table.on_disk((1003, 5)).expect("known"), (500_003, 300_005));
        assert!(table.on_disk((2000, 0)).unwrap_err().message().contains("Container ID 2000 cannot be mapped"));
        assert_eq!(table.inside((0, 0)), (NOBODY, NOBODY), "root outside is nobody inside");
        assert_eq!(on_disk((7, 8)).expect("no table"), (7, 8));
    }

    proptest! {
        #[test]
        fn who_goes_out_comes_back_as_himself(uid in 0u32..1010, gid in 0u32..65_536) {
            let table = sample();
            prop_assert_eq!(table.inside(table.on_disk((uid, gid)).expect("known")), (uid, gid));
        }
    }
}
