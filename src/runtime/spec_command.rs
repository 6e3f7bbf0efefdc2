//! # Spec: a configuration to begin with
//!
//! `spec` writes a `config.json` that runs a shell in a container with sensible walls: the same as runc's, so that scripts
//! which edit it find what they expect. `--rootless` is the variant for somebody who is not root: a user namespace that maps
//! him to root, and nothing that only root may have.
//!
//! See: runc-spec(8), runtime-spec config.md. Next room: [`crate::features`]

use minidock_base::{Doing, Error, Result};
use minidock_linux::cgroup::{Hierarchy, Version};
use serde_json::{Value, json};
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Writes `config.json` into `bundle`.
///
/// # Errors
/// There is one already.
pub fn write(bundle: &Path, rootless: Option<(u32, u32)>) -> Result<()> {
    let file = bundle.join("config.json");
    let mut text = serde_json::to_string_pretty(&document(rootless)).doing(|| "write a configuration")?;
    text.push('\n');
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&file);
    match opened {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::conflict("File config.json exists. Remove it first"))
        }
        opened => opened.and_then(|mut file| file.write_all(text.as_bytes())).doing(|| format!("write {}", file.display())),
    }
}

fn document(rootless: Option<(u32, u32)>) -> Value {
    // No inheritable ones (CVE-2022-24769), and without those no ambient ones either.
    let three = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut document = json!({
        "ociVersion": "1.0.2-dev",
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": three, "effective": three, "permitted": three},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "runc",
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY
        }
    });
    // On v1 a container sees its own folders of the trees anyway.
    let version = Hierarchy::detect().map(|hierarchy| hierarchy.version());
    if let (Ok(Version::V2), Some(list)) = (version, document["linux"]["namespaces"].as_array_mut()) {
        list.push(json!({"type": "cgroup"}));
    }
    if let Some(ids) = rootless {
        make_rootless(&mut document, ids);
    }
    document
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ])
}

fn make_rootless(document: &mut Value, (uid, gid): (u32, u32)) {
    let linux = &mut document["linux"];
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
    linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    if let Some(list) = linux["namespaces"].as_array_mut() {
        list.retain(|one| one["type"] != "network");
        list.push(json!({"type": "user"}));
    }
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(list) = document["mounts"].as_array_mut() {
        list.retain(|one| one["destination"] != "/sys/fs/cgroup");
        for one in list.iter_mut() {
            if one["destination"] == "/sys" {
                *one = json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
            }
            if let Some(words) = one["options"].as_array_mut() {
                words.retain(|word| word != "gid=5");
            }
        }
        list.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_it_can_read_and_never_overwrites() {
        let bundle = tempfile::tempdir().expect("a folder");
        write(bundle.path(), None).expect("room");
        let text = std::fs::read(bundle.path().join("config.json")).expect("just written");
        let spec = crate::bundle::parse(&text).expect("our own");
        assert_eq!(spec.process().as_ref().and_then(|process| process.terminal()), Some(true));
        assert!(write(bundle.path(), None).is_err_and(|e| e.message().contains("exists")));
        let rootless = document(Some((1000, 1000)));
        assert!(crate::bundle::parse(rootless.to_string().as_bytes()).is_ok());
    }
}
