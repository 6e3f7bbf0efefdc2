//! # Remap: who root of a container is outside
//!
//! `--userns-remap WHO` gives every container a user namespace in which the ids from 0 on are subordinate ids of WHO outside, as
//! `/etc/subuid` and `/etc/subgid` give them to him: root inside can do nothing to the machine that nobody could not do, too.
//!
//! ```text
//!   /etc/subuid   dockremap:231072:65536        ──►  inside 0…65535  =  outside 231072…296607
//!   data root     /var/lib/minidock             ──►  /var/lib/minidock/231072.231072
//! ```
//!
//! * WHO is `user`, `user:group`, ids of them, or `default`: dockremap, who is given a line in both files if he has none.
//! * Files on the disk belong to the ids outside ([`minidock_image::layer::owners`]), so images and containers of a daemon with a table are not
//!   those of one without: each has folders of its own, and changing over and back loses nothing.
//!
//! *In the real world* Docker makes a container's network inside its user namespace, so that `--cap-add NET_ADMIN` and raw sockets work there; ours
//! is made before the container and belongs to the machine (`network/sandbox.rs`), and root of a remapped container has no power over it.
//!
//! Laws: an id that the files do not give is never used. *See:* subuid(5), user_namespaces(7) · moby `pkg/idtools`,
//! `cmd/dockerd/daemon_unix.go`. Next room: [`crate::listen`]

use crate::settings::Settings;
use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_image::layer::owners::{self, Table};
use minidock_linux::userns::{self, Range};
use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
};

/// Who is meant by `default`.
const DEFAULT: &str = "dockremap";
const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";
/// How many ids he gets, and from where on if nobody has any.
const COUNT: u32 = 65_536;
const FIRST: u32 = 100_000;

/// Settles the table and gives the daemon folders of its own.
///
/// # Errors
/// Nobody is called so, or no ids are given to him; settings that do not go together with it.
pub fn apply(settings: &mut Settings) -> Result<()> {
    let Some(who) = settings.userns_remap.as_deref().filter(|who| !who.is_empty()) else { return Ok(()) };
    if userns::lives_in_one() {
        return Err(Error::invalid("--userns-remap: the daemon is itself in a user namespace")
            .hint("without it, containers are in that one, and their root is as little outside as the daemon"));
    }
    if settings.images_from.is_some() {
        return Err(Error::invalid("--userns-remap and --images-from do not go together: the lender's files belong to others"));
    }
    let table = table(who).doing(|| format!("map ids for --userns-remap {who}"))?;
    owners::settle(table);
    let (uid, gid) = owners::root();
    let below = format!("{uid}.{gid}");
    tracing::info!("root of containers is {uid}:{gid} outside");
    let (data, exec) = (settings.paths.data_root().join(&below), settings.paths.exec_root().join(&below));
    // the way to the place where a container hangs its root leads through here
    let above = settings.paths.exec_root();
    let made = fs::DirBuilder::new().recursive(true).mode(0o710).create(&exec);
    made.and_then(|()| fs::set_permissions(above, fs::Permissions::from_mode(0o711)))
        .doing(|| format!("make the folder {}", exec.display()))?;
    owners::let_pass(&exec)?;
    settings.paths = Paths::new(data, exec);
    Ok(())
}

fn table(who: &str) -> Result<Table> {
    let (user, group) = match who {
        "default" => {
            for file in [SUBUID, SUBGID] {
                provide(file)?;
            }
            (DEFAULT, DEFAULT)
        }
        who => who.split_once(':').unwrap_or((who, who)),
    };
    Ok(Table { uids: ranges(SUBUID, "/etc/passwd", user)?, gids: ranges(SUBGID, "/etc/group", group)? })
}

/// What a file gives to somebody, who may be named or numbered.
fn ranges(file: &str, accounts: &str, who: &str) -> Result<Vec<Range>> {
    let text = fs::read_to_string(file).doing(|| format!("read {file}"))?;
    let ranges = given(&text, &also(&fs::read_to_string(accounts).unwrap_or_default(), who));
    match ranges.is_empty() {
        false => Ok(ranges),
        true => Err(Error::not_found(format!("no subordinate ids are given to {who:?} in {file}"))
            .hint("a line such as `dockremap:231072:65536` in /etc/subuid and /etc/subgid, or --userns-remap default")),
    }
}

/// The names under which somebody may stand in the file: his name and his id.
fn also(accounts: &str, who: &str) -> Vec<String> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() > 2);
    let his = fields.filter(|fields| fields[0] == who || fields[2] == who);
    let mut names: Vec<String> = his.flat_map(|fields| [fields[0].to_string(), fields[2].to_string()]).collect();
    names.push(who.to_string());
    names
}

/// `who:first:count` lines, one after the other from 0 on.
fn given(text: &str, names: &[String]) -> Vec<Range> {
    let mut inside = 0;
    let mut ranges = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [name, first, count] = fields[..] else { continue };
        let (Ok(outside), Ok(size)) = (first.parse::<u32>(), count.parse::<u32>()) else { continue };
        let whole = outside.checked_add(size).is_some() && u32::checked_add(inside, size).is_some();
        if names.iter().any(|known| known == name) && whole && size > 0 {
            ranges.push(Range { inside, outside, size });
            inside += size;
        }
    }
    ranges
}

/// Gives [`DEFAULT`] ids behind everybody else's, if he has none.
fn provide(file: &str) -> Result<()> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let Some(line) = line_for_default(&text) else { return Ok(()) };
    let doing = || format!("give subordinate ids to {DEFAULT} in {file}");
    let mut open = fs::OpenOptions::new().create(true).append(true).open(file).doing(doing)?;
    open.write_all(line.as_bytes()).doing(doing)?;
    tracing::info!("{file}: {}", line.trim());
    Ok(())
}

fn line_for_default(text: &str) -> Option<String> {
    if !given(text, &[DEFAULT.to_string()]).is_empty() {
        return None;
    }
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        fields.next()?.parse::<u32>().ok()?.checked_add(fields.next()?.trim().parse().ok()?)
    });
    let first = ends.max().unwrap_or(0).max(FIRST);
    let break_first = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{break_first}{DEFAULT}:{first}:{COUNT}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_counted_from_zero_in_the_order_of_the_file() {
        let text = "ann:100000:65536\n1000:300000:10\nbob:400000:5\nbroken:x:1\nann:500000:4294967295\n";
        let names = also("ann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n", "1000");
        let range = |inside, outside, size| Range { inside, outside, size };
        assert_eq!(given(text, &names), [range(0, 100_000, 65_536), range(65_536, 300_000, 10)], "the last is too long");
        assert_eq!(given(text, &["bob".to_string()]), [range(0, 400_000, 5)]);
        assert_eq!(given(text, &also("", "nobody")), []);
    }

    #[test]
    fn the_default_user_gets_ids_that_nobody_has_and_only_once() {
        assert_eq!(line_for_default("").as_deref(), Some("dockremap:100000:65536\n"));
        assert_eq!(line_for_default("ann:100000:65536\nbob:165536:10").as_deref(), Some("\ndockremap:165546:65536\n"));
        assert_eq!(line_for_default("dockremap:231072:65536\n"), None);
    }
}
