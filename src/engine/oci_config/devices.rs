//! # Devices: which doors to the hardware
//!
//! A container's `/dev` has seven harmless nodes, which the runtime makes by itself. `--device` adds more, `--privileged`
//! all of the host's. Two things are needed for each: the *node* in `/dev`, and a *rule* in the device cgroup, for whoever has
//! CAP_MKNOD could make any node himself.
//!
//! ```text
//!   deny  a *:* rwm
//!   allow c 1:5 zero, 1:3 null, 1:9 urandom, 1:8 random, 5:0 tty, 5:1 console      Docker's rules; the runtime adds
//!   allow b *:* m, c *:* m, pts, ptmx, full, tun                                   those that runc always adds
//!   allow --device, --device-cgroup-rule
//! ```
//!
//! * [`gather`] looks at the host (the only function here that does); the rest is pure.
//!
//! *See:* config-linux.md#devices · moby `daemon/pkg/oci/devices_linux.go`. *Next room:* [`super::resources`]

use super::Facts;
use minidock_base::{Error, Result};
use minidock_spec::engine::container::{DeviceMapping, HostConfig};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// A device node as it will stand in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `c` or `b`.
    pub kind: char,
    pub major: u64,
    pub minor: u64,
    pub path: String,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// `rwm`, for the device cgroup.
    pub access: String,
}

/// The host's nodes that a container asked for.
///
/// # Errors
/// `error gathering device information while adding custom device "/dev/x": …`.
pub fn gather(wishes: &HostConfig) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    if wishes.privileged {
        walk(Path::new("/dev"), "/dev", &mut nodes);
    }
    for wish in wishes.resources.devices.as_deref().unwrap_or_default() {
        let found = mapped(wish)?;
        nodes.retain(|n: &Node| !found.iter().any(|f| f.path == n.path));
        nodes.extend(found);
    }
    Ok(nodes)
}

fn mapped(wish: &DeviceMapping) -> Result<Vec<Node>> {
    let failed = |why: &str| {
        let text = format!("error gathering device information while adding custom device {:?}: {why}", wish.path_on_host);
        Error::system(text).hint("a device of the host, such as /dev/fuse; ls -l /dev shows them")
    };
    let inside = if wish.path_in_container.is_empty() { &wish.path_on_host } else { &wish.path_in_container };
    let meta = fs::metadata(&wish.path_on_host).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => failed("no such file or directory"),
        _ => failed(&e.to_string()),
    })?;
    let mut nodes = Vec::new();
    match node(&meta, inside) {
        Some(one) => nodes.push(one),
        None if meta.is_dir() => walk(Path::new(&wish.path_on_host), inside, &mut nodes),
        None => {}
    }
    if nodes.is_empty() {
        return Err(failed("not a device node"));
    }
    if !wish.cgroup_permissions.is_empty() {
        nodes.iter_mut().for_each(|n| n.access.clone_from(&wish.cgroup_permissions));
    }
    Ok(nodes)
}

fn node(meta: &fs::Metadata, path: &str) -> Option<Node> {
    let kind = match meta.file_type() {
        t if t.is_char_device() => 'c',
        t if t.is_block_device() => 'b',
        _ => return None,
    };
    // glibc's packing of dev_t
    let dev = meta.rdev();
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & !0xff);
    Some(Node {
        kind,
        major,
        minor,
        path: path.to_string(),
        mode: meta.mode() & 0o777,
        uid: meta.uid(),
        gid: meta.gid(),
        access: "rwm".into(),
    })
}

/// All nodes below a folder, except what every container has of its own. A folder that vanishes meanwhile is no error.
fn walk(folder: &Path, inside: &str, nodes: &mut Vec<Node>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, inside) = (entry.path(), format!("{inside}/{name}"));
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => match name.as_str() {
                "pts" | "shm" | "fd" | "mqueue" | ".lxc" | ".lxd-mounts" | ".udev" => {}
                _ => walk(&path, &inside, nodes),
            },
            Ok(meta) if name != "console" && name != "ptmx" => nodes.extend(node(&meta, &inside)),
            _ => {}
        }
    }
}

/// The `linux.devices` of the config.
pub fn nodes(facts: &Facts<'_>) -> Vec<Value> {
    let node = |n: &Node| {
        json!({ "type": n.kind.to_string(), "path": n.path, "major": n.major, "minor": n.minor, "fileMode": n.mode,
            "uid": n.uid, "gid": n.gid })
    };
    facts.devices.iter().map(node).collect()
}

/// The `linux.resources.devices` of the config: what the device cgroup lets through.
///
/// # Errors
/// A `--device-cgroup-rule` of another form than `c 1:3 rwm`.
pub fn rules(facts: &Facts<'_>) -> Result<Vec<Value>> {
    let wishes = &facts.record.host_config;
    if wishes.privileged {
        return Ok(vec![json!({ "allow": true, "access": "rwm" })]);
    }
    let allow = |kind: char, major: u64, minor: u64, access: &str| json!({ "allow": true, "type": kind.to_string(), "major": major, "minor": minor, "access": access });
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    rules.extend([(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)].map(|(major, minor)| allow('c', major, minor, "rwm")));
    rules.push(json!({ "allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm" }));
    rules.extend(facts.devices.iter().map(|n| allow(n.kind, n.major, n.minor, &n.access)));
    for text in wishes.resources.device_cgroup_rules.as_deref().unwrap_or_default() {
        rules.push(rule(text)?);
    }
    Ok(rules)
}

/// `c 13:* rwm`
fn rule(text: &str) -> Result<Value> {
    let bad = || Error::invalid(format!("invalid device cgroup rule format: '{text}'")).hint("such as 'c 13:* rwm'");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(bad()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
    if access.is_empty() || access.len() > 3 || !access.chars().all(|c| "rwm".contains(c)) {
        return Err(bad());
    }
    let mut rule = json!({ "allow": true, "type": kind, "access": access });
    for (name, number) in [("major", major), ("minor", minor)] {
        if number != "*" {
            rule[name] = json!(number.parse::<u32>().map_err(|_| bad())?);
        }
    }
    Ok(rule)
}

/// Checks the rules before anything is made.
pub fn check(wishes: &HostConfig) -> Result<()> {
    wishes.resources.device_cgroup_rules.iter().flatten().try_for_each(|text| rule(text).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_with_its_numbers_and_a_file_is_refused() {
        let wish = |path: &str| DeviceMapping { path_on_host: path.into(), ..DeviceMapping::default() };
        let null = &mapped(&wish("/dev/null")).expect("every machine has it")[0];
        assert_eq!((null.kind, null.major, null.minor, null.path.as_str()), ('c', 1, 3, "/dev/null"));
        assert!(mapped(&wish("/etc/passwd")).unwrap_err().message().contains("not a device node"));
        assert!(mapped(&wish("/dev/nope")).unwrap_err().message().ends_with("no such file or directory"));
    }

    #[test]
    fn rules_are_read_as_docker_reads_them() {
        assert_eq!(rule("c 13:* rwm").expect("a rule"), json!({"allow": true, "type": "c", "access": "rwm", "major": 13}));
        for bad in ["x 1:3 r", "c 1 r", "c 1:3 q", "c 1:3", "c a:3 r"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }
}
