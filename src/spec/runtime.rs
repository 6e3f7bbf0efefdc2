//! # Runtime: `config.json` and `state.json`
//!
//! The OCI runtime specification knows two documents: the bundle's `config.json`, which says everything about the process
//! to be started (types by the `oci-spec` crate: [`oci_spec::runtime::Spec`]), and the state, which is all that others may
//! know of a running one.
//!
//! minidock writes two things into a bundle that are its own, both legal for any runtime to ignore or honour:
//! * a mount with destination `/` and type `overlay`: the root filesystem itself is mounted *inside* the container's mount
//!   namespace, so that the host never sees it and nothing has to be unmounted afterwards;
//! * annotations below `org.minidock.` for people who read the bundle.
//!
//! Laws: the capability lists of `oci-spec` are hash sets, so sort before comparing texts.
//! See: OCI runtime-spec config.md, runtime.md#state. Next room: [`crate::engine`]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the runtime specification that we write.
pub const OCI_VERSION: &str = "1.2.0";

/// The kernel parameters that belong to an IPC namespace, besides those below `fs.mqueue.`: ipc_namespaces(7).
pub const SYSCTLS_OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The four states of a container, as the specification has them (and Docker's `paused`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

/// What `state` prints and hooks read on their standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub oci_version: String,
    pub id: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid: i32,
    pub bundle: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn is_zero(pid: &i32) -> bool {
    *pid == 0
}
