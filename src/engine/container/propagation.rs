//! # Propagation: a mount that should echo needs somebody to echo to
//!
//! `-v /srv:/srv:rshared` asks that mounts made below `/srv` on one side appear on the other. That works only if the
//! host's own mount *there* is shared (for `slave`: shared or a slave itself); on a private one the wish would be quietly
//! worth nothing. So it is refused, in Docker's words.
//!
//! ```text
//!   mountinfo   36 35 98:0 / /srv rw,noatime shared:1 - ext4 …
//!                            ^ the longest mount point above the source      ^ optional fields, up to " - "
//! ```
//!
//! *See:* mount_namespaces(7), proc_pid_mountinfo(5) · moby `ensureShared`. *Next room:* [`crate::container::bundle`]

use minidock_base::{Doing, Error, Result};
use std::{fs, path::Path};

/// Whether a bind of `source` may have this propagation on this machine.
///
/// # Errors
/// `path /srv is mounted on / but it is not a shared mount`.
pub fn check(source: &str, propagation: &str) -> Result<()> {
    if !propagation.ends_with("shared") && !propagation.ends_with("slave") {
        return Ok(());
    }
    let real = fs::canonicalize(source).doing(|| format!("find {source}"))?;
    let table = fs::read_to_string("/proc/self/mountinfo").doing(|| "read /proc/self/mountinfo")?;
    fits(&table, &real, propagation).map_or(Ok(()), |(place, what)| {
        Err(Error::invalid(format!("path {source} is mounted on {place} but it is not a {what} mount"))
            .hint(format!("mount --make-rshared {place}")))
    })
}

/// `None` when it fits; else the mount point and what it should be.
fn fits(table: &str, real: &Path, propagation: &str) -> Option<(String, &'static str)> {
    let mount = |line: &str| {
        let mut fields = line.split(' ');
        let place = fields.nth(4)?.replace("\\040", " ");
        let optional: Vec<String> = fields.skip(1).take_while(|f| *f != "-").map(str::to_string).collect();
        real.starts_with(&place).then_some((place, optional))
    };
    // of two mounts on one place the later one counts
    let (place, optional) = table.lines().filter_map(mount).max_by_key(|(place, _)| place.len())?;
    let has = |word: &str| optional.iter().any(|o| o.starts_with(word));
    match propagation.ends_with("shared") {
        true if has("shared:") => None,
        true => Some((place, "shared")),
        false if has("shared:") || has("master:") => None,
        false => Some((place, "shared or slave")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "1 0 8:1 / / rw,relatime - ext4 /dev/a rw\n2 1 8:2 / /srv rw shared:7 - ext4 /dev/b rw\n\
                         3 1 8:3 / /srv/low rw master:7 - ext4 /dev/c rw\n";

    #[test]
    fn the_mount_above_the_source_decides() {
        let fits = |path: &str, wish: &str| fits(TABLE, Path::new(path), wish).map(|(place, what)| format!("{place} {what}"));
        assert_eq!(fits("/srv/data", "rshared"), None);
        assert_eq!(fits("/srv/low/x", "rslave"), None);
        assert_eq!(fits("/srv/low/x", "shared"), Some("/srv/low shared".into()));
        assert_eq!(fits("/home", "rslave"), Some("/ shared or slave".into()));
    }
}
