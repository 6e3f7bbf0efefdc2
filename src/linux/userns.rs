//! # User namespaces: root inside, nobody outside
//!
//! In a user namespace ids are numbers of its own, and a table says which number outside each one is. Root in there has
//! every capability over what the namespace owns, and outside it is uid 100000, say: nobody.
//!
//! ```text
//!   /proc/PID/uid_map      0 100000 65536        inside 0…65535  =  outside 100000…165535
//!   /proc/PID/setgroups    deny | allow          may it drop groups? (a group may be there to *forbid* something)
//!   /proc/PID/gid_map
//! ```
//!
//! * The tables are written once, by the parent, while the child waits: the child itself may map only its own id.
//! * The parent needs CAP_SETUID and CAP_SETGID outside; without them [`write_maps`] falls back to `newuidmap` and
//!   `newgidmap`, the setuid programs that look into `/etc/subuid`.
//!
//! Laws: `setgroups` must be `deny` before an unprivileged parent writes `gid_map`.
//! See: user_namespaces(7), newuidmap(1). Next room: [`crate::idmap`]

use crate::{action, errno::CallFailed, proc};
use rustix::process::{Gid, Uid};
use std::{fmt::Write, process::Command};

/// `size` ids, from `inside` on in the namespace, from `outside` on in the parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

/// The lines of a map file.
pub fn lines(ranges: &[Range]) -> String {
    let mut text = String::new();
    for range in ranges {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.size);
    }
    text
}

/// Whether this process lives in a user namespace other than the machine's first one: ids are numbers of its own, and what
/// belongs to the machine (devices, most cgroups) is out of reach even for its root.
pub fn lives_in_one() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// Which number outside is `inside`, if it is mapped.
pub fn to_outside(ranges: &[Range], inside: u32) -> Option<u32> {
    ranges
        .iter()
        .find(|range| inside >= range.inside && inside - range.inside < range.size)
        .and_then(|range| range.outside.checked_add(inside - range.inside))
}

/// Writes both tables of the child `pid`, which waits in its new user namespace.
///
/// # Errors
/// EPERM when the caller may not map these ids (and `newuidmap` is absent or refuses too); EINVAL for overlapping ranges.
#[track_caller]
pub fn write_maps(pid: i32, uids: &[Range], gids: &[Range]) -> Result<(), CallFailed> {
    map("uid_map", "newuidmap", pid, uids)?;
    match map("gid_map", "newgidmap", pid, gids) {
        Err(refused) if refused.is(libc::EPERM) => {
            // Unprivileged: the kernel wants the right to drop groups given up first.
            proc::write_of(pid, "setgroups", "deny")?;
            map("gid_map", "newgidmap", pid, gids)
        }
        answer => answer,
    }
}

#[track_caller]
fn map(file: &str, program: &'static str, pid: i32, ranges: &[Range]) -> Result<(), CallFailed> {
    match proc::write_of(pid, file, &lines(ranges)) {
        Err(refused) if refused.is(libc::EPERM) => run(program, pid, ranges).map_err(|_| refused),
        answer => answer,
    }
}

fn run(program: &'static str, pid: i32, ranges: &[Range]) -> Result<(), CallFailed> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for range in ranges {
        command.args([range.inside, range.outside, range.size].map(|n| n.to_string()));
    }
    action::call(
        program,
        || vec![pid.to_string(), lines(ranges)],
        || match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(std::io::Error::from_raw_os_error(libc::EPERM)),
            Err(e) => Err(e),
        },
    )
}

/// Sets the supplementary groups of the calling thread to exactly these.
///
/// # Errors
/// EPERM without CAP_SETGID, or where `setgroups` was denied; EINVAL for a group that is not mapped.
#[track_caller]
pub fn setgroups(groups: &[u32]) -> Result<(), CallFailed> {
    let wanted: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    action::call("setgroups", || vec![format!("{groups:?}")], || rustix::thread::set_thread_groups(&wanted))
}

/// Sets real, effective and saved group of the calling thread.
///
/// # Errors
/// EPERM without CAP_SETGID; EINVAL for a group that is not mapped.
#[track_caller]
pub fn setresgid(gid: u32) -> Result<(), CallFailed> {
    let id = Gid::from_raw(gid);
    action::call("setresgid", || vec![gid.to_string(); 3], || rustix::thread::set_thread_res_gid(id, id, id))
}

/// Sets real, effective and saved user of the calling thread: from now on this is who we are.
///
/// # Errors
/// EPERM without CAP_SETUID; EINVAL for a user that is not mapped; EAGAIN at that user's limit of processes.
#[track_caller]
pub fn setresuid(uid: u32) -> Result<(), CallFailed> {
    let id = Uid::from_raw(uid);
    action::call("setresuid", || vec![uid.to_string(); 3], || rustix::thread::set_thread_res_uid(id, id, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_carried_across_by_the_table() {
        let table = [Range { inside: 0, outside: 100_000, size: 10 }, Range { inside: 1000, outside: 1000, size: 1 }];
        assert_eq!(lines(&table), "0 100000 10\n1000 1000 1\n");
        assert_eq!(to_outside(&table, 9), Some(100_009));
        assert_eq!(to_outside(&table, 10), None);
        assert_eq!(to_outside(&table, 1000), Some(1000));
    }
}
