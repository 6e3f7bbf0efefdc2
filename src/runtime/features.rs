//! # Features: what this runtime can do, for engines that ask
//!
//! `features` prints one JSON document: versions read, hooks, mount options, namespaces, capabilities, cgroups, seccomp.
//! Engines look here instead of guessing from a version number.
//!
//! See: runtime-spec features.md. Next room: [`crate::log`]

use crate::{bundle, memory_policy, mount_options};
use minidock_linux::{caps, namespaces::Namespace};
use serde_json::{Value, json};

/// The document.
pub fn document() -> Value {
    let names = |kind: &Namespace| match kind {
        Namespace::Mount => "mount",
        Namespace::Network => "network",
        other => other.file_name(),
    };
    let mut namespaces: Vec<&str> = Namespace::ALL.iter().map(names).collect();
    namespaces.sort_unstable();
    let capabilities: Vec<String> = (0..=caps::last_capability()).filter_map(caps::name).collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": bundle::NEWEST_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": mount_options::all(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": true},
            "seccomp": seccomp(),
            "apparmor": {"enabled": false},
            "selinux": {"enabled": false},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
            "memoryPolicy": {"modes": memory_policy::modes(), "flags": memory_policy::flags()}
        },
        "annotations": {"org.minidock.version": env!("CARGO_PKG_VERSION")},
        "potentiallyUnsafeConfigAnnotations": []
    })
}

fn seccomp() -> Value {
    json!({
        "enabled": true,
        "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
        "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
        "archs": ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
        "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    })
}
