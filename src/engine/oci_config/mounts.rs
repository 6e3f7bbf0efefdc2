//! # Mounts: what stands where in the container's tree
//!
//! The whole tree in the order in which it is mounted: first the root itself, then the kernel's own filesystems, then
//! what the user asked for, shallow before deep, so that `/data/cache` is not hidden by `/data`.
//!
//! ```text
//!   /                overlay   the image's layers and the container's own       inside its mount namespace
//!   /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm                Docker's seven
//!   /etc/resolv.conf /etc/hostname /etc/hosts                                   binds of our three files
//!   -v, --mount, --tmpfs, VOLUME                                                binds and tmpfs; each hides a default of its name
//!   /sbin/docker-init                                                           with --init
//! ```
//!
//! * A read-only bind is read-only all the way down (`rro`) unless the user says otherwise.
//! * `--read-only` makes everything read-only that is not the user's own, except `/proc` and what lies in `/dev`.
//!
//! *See:* config.md#mounts · mount(8) · moby `withMounts`. *Next room:* [`super::devices`]

use super::{
    Facts,
    namespaces::{self, Mode},
};
use crate::{
    container::record::{Mount, Record},
    volumes::Source,
};
use minidock_base::{Error, Result};
use minidock_linux::reaper;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All mounts of a container, in order.
///
/// # Errors
/// A tmpfs option that the kernel does not know.
pub fn all(facts: &Facts<'_>) -> Result<Vec<Value>> {
    let record = facts.record;
    let wishes = &record.host_config;
    let mut own = users(facts)?;
    let destinations: BTreeSet<String> = own.iter().filter_map(|m| m["destination"].as_str().map(str::to_string)).collect();
    let whole_dev = destinations.contains("/dev");
    let mut mounts = vec![json!({ "destination": "/", "type": "overlay", "source": "overlay", "options": facts.overlay })];
    for mut mount in kernels(facts) {
        let destination = mount["destination"].as_str().unwrap_or_default().to_string();
        if destinations.contains(&destination) || (whole_dev && destination.starts_with("/dev/")) {
            continue;
        }
        if wishes.privileged && matches!(destination.as_str(), "/sys" | "/sys/fs/cgroup") {
            without(&mut mount, "ro");
        }
        let stays = matches!(destination.as_str(), "/proc" | "/dev" | "/dev/pts" | "/dev/shm" | "/dev/mqueue");
        if wishes.readonly_rootfs && !stays {
            with(&mut mount, "ro");
        }
        mounts.push(mount);
    }
    own.sort_by_key(|m| depth(m["destination"].as_str().unwrap_or_default()));
    mounts.extend(own);
    Ok(mounts)
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

fn with(mount: &mut Value, option: &str) {
    if let Some(options) = mount["options"].as_array_mut()
        && !options.iter().any(|o| o == option)
    {
        options.push(json!(option));
    }
}

fn without(mount: &mut Value, option: &str) {
    if let Some(options) = mount["options"].as_array_mut() {
        options.retain(|o| o != option);
    }
}

/// The kernel's own filesystems, as Docker mounts them.
fn kernels(facts: &Facts<'_>) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": source, "options": options });
    let wishes = &facts.record.host_config;
    let mut terminals = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if facts.host.groups.has(5) {
        terminals.push("gid=5");
    }
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &terminals),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    match (Mode::of(&wishes.ipc_mode), &facts.joins.shm, wishes.ipc_mode.as_str()) {
        (_, _, "none") => {}
        (_, Some(shm), _) => mounts.push(mount("/dev/shm", "bind", &shm.to_string_lossy(), &["rbind", "rprivate"])),
        (Mode::Host, None, _) => mounts.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"])),
        _ => {
            let size = format!("size={}", wishes.shm_size);
            mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
        }
    }
    mounts
}

/// Our three files, the user's mounts and tmpfs, and the reaper.
fn users(facts: &Facts<'_>) -> Result<Vec<Value>> {
    let record = facts.record;
    let mut mounts = Vec::new();
    for (file, destination) in &facts.files {
        let read_only = record.host_config.readonly_rootfs;
        let options = ["rbind", "rprivate", if read_only { "ro" } else { "rw" }];
        mounts.push(json!({ "destination": destination, "type": "bind", "source": file, "options": options }));
    }
    for mount in &record.mounts {
        mounts.push(match mount.point.kind.as_str() {
            "tmpfs" => tmpfs(&mount.point.destination, &mount.tmpfs, !mount.point.rw)?,
            _ => match facts.volumes.get(&mount.point.name) {
                Some(volume) if volume.kind != "bind" => foreign(mount, volume),
                Some(volume) => bind(mount, &volume.source.to_string_lossy()),
                None => bind(mount, &mount.point.source),
            },
        });
    }
    for (destination, options) in &record.host_config.tmpfs {
        let options: Vec<String> = options.split(',').filter(|o| !o.is_empty()).map(str::to_string).collect();
        mounts.push(tmpfs(destination, &options, false)?);
    }
    if let Some(init) = &facts.init
        && namespaces::has_own_pids(record)
    {
        let options = ["bind", "ro"];
        mounts.push(json!({ "destination": reaper::TARGET, "type": "bind", "source": init, "options": options }));
    }
    Ok(mounts)
}

fn bind(mount: &Mount, source: &str) -> Value {
    let propagation = if mount.point.propagation.is_empty() { "rprivate" } else { &mount.point.propagation };
    let mut options = vec![if mount.non_recursive { "bind" } else { "rbind" }];
    match (mount.point.rw, mount.read_only_non_recursive || mount.non_recursive) {
        (true, _) => {}
        (false, true) => options.push("ro"),
        (false, false) => options.push("rro"),
    }
    options.push(propagation);
    let source = match mount.subpath.as_str() {
        "" => source.to_string(),
        below => format!("{source}/./{below}"), // the runtime does not leave the volume behind the dot
    };
    json!({ "destination": mount.point.destination, "type": "bind", "source": source, "options": options })
}

/// A volume whose options name a file system of its own (`type=tmpfs`): mounted here, in the container, and nowhere else.
fn foreign(mount: &Mount, volume: &Source) -> Value {
    let mut options = volume.options.clone();
    if !mount.point.rw {
        options.push("ro".into());
    }
    json!({ "destination": mount.point.destination, "type": volume.kind, "source": volume.source, "options": options })
}

/// Flags of a tmpfs, in pairs of which the later one wins, and the keys that take a value.
const PAIRS: [(&str, &str); 8] = [
    ("exec", "noexec"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("rw", "ro"),
    ("sync", "async"),
    ("dirsync", "nodirsync"),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
];
const ALONE: [&str; 12] = [
    "bind",
    "rbind",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "unbindable",
    "runbindable",
    "relatime",
    "strictatime",
];
const WITH_VALUE: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// A tmpfs: Docker's `noexec,nosuid,nodev` underneath, the user's options over them.
fn tmpfs(destination: &str, wanted: &[String], read_only: bool) -> Result<Value> {
    let options = tmpfs_options(wanted, read_only)?;
    Ok(json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options }))
}

/// # Errors
/// `invalid tmpfs option ["x"]`.
pub fn tmpfs_options(wanted: &[String], read_only: bool) -> Result<Vec<String>> {
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev", "rprivate"].map(String::from).to_vec();
    for option in wanted.iter().map(String::as_str).chain(read_only.then_some("ro")) {
        let key = option.split('=').next().unwrap_or(option);
        let pair = PAIRS.iter().find(|(a, b)| option == *a || option == *b);
        match (pair, option.contains('=')) {
            (Some((a, b)), _) => options.retain(|o| o != a && o != b),
            (None, true) if WITH_VALUE.contains(&key) => options.retain(|o| o.split('=').next() != Some(key)),
            (None, false) if ALONE.contains(&option) => options.retain(|o| o != option),
            _ => {
                return Err(Error::invalid(format!("invalid tmpfs option [{option:?}]"))
                    .hint("size=64m, mode=1777, uid=, gid=, exec, suid, dev, ro"));
            }
        }
        options.push(option.to_string());
    }
    Ok(options)
}

/// A shared or slave bind needs a root that lets events through.
pub fn root_propagation(record: &Record) -> Option<&'static str> {
    let has = |word: &str| record.mounts.iter().any(|m| m.point.propagation.ends_with(word));
    match (has("shared"), has("slave")) {
        (true, _) => Some("shared"),
        (_, true) => Some("slave"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_tmpfs_flags_wins_and_an_unknown_one_is_refused() {
        let options = |wanted: &[&str]| tmpfs_options(&wanted.iter().map(|s| s.to_string()).collect::<Vec<_>>(), false);
        let exec = options(&["exec", "size=1m", "size=2m"]).expect("known");
        assert_eq!(exec, ["nosuid", "nodev", "rprivate", "exec", "size=2m"]);
        assert!(options(&["sise=1m"]).unwrap_err().message().contains("invalid tmpfs option"));
    }

    #[test]
    fn deep_mounts_come_after_shallow_ones() {
        assert!(depth("/data/cache") > depth("/data") && depth("/") == 0);
    }
}
