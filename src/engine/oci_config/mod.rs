//! # OCI config: from wishes to `config.json`
//!
//! What a user asked of Docker and what the image says becomes the one document that any OCI runtime understands. This
//! folder is that translation and nothing else: values in, one JSON value out. Whatever must be looked up in the world
//! (who is `www-data`, which devices the host has, which process another container is) is looked up before, in
//! [`crate::container::start`], and handed in as [`Facts`].
//!
//! ```text
//!  Record (config, host_config, mounts) ─┐
//!  User, rootfs options, files           ├─► config() ─► { process, root, hostname, mounts, linux }
//!  Host (cgroup version, capabilities)   ┘        │          │               │        │
//!                                         [`process`]  [`security`]   [`mounts`]  [`namespaces`], [`resources`],
//!                                                                                 [`devices`], [`security`]
//! ```
//!
//! * Docker's defaults exactly: 14 capabilities, seccomp profile, masked and read-only paths, device rules, the seven
//!   mounts. The facts were read out of a running Docker (conformance.md 2.1).
//! * One thing is ours: the root filesystem is a mount with destination `/` and type `overlay`, made inside the
//!   container's own mount namespace, so that nothing is ever mounted on the host.
//!
//! Laws: pure. A wish that cannot be honoured is an error here, never dropped silently.
//! *See:* OCI runtime-spec config.md, config-linux.md · moby `daemon/oci_linux.go`. *Next room:* [`process`]

pub mod devices;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod resources;
pub mod security;

use crate::{container::record::Record, users::User, volumes::Source};
use minidock_base::Result;
use minidock_image::layer::owners::Table;
use minidock_linux::userns::Range;
use minidock_spec::runtime::OCI_VERSION;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What this machine is, found out once when the engine opens.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The unified hierarchy carries the controllers.
    pub cgroup_v2: bool,
    /// Every capability that we ourselves may hand on, by name (`CAP_CHOWN`).
    pub capabilities: BTreeSet<String>,
    /// `/sys/devices/system/cpu/cpuN/thermal_throttle`, where they exist.
    pub thermal_throttle: Vec<String>,
    /// Our own hard limits: (`RLIMIT_NOFILE`, hard); defaults are clamped to them.
    pub hard_limits: Vec<(String, u64)>,
    /// Which groups are known in our user namespace, if it is not the machine's own.
    pub groups: Groups,
    /// Who the users of containers are outside (`--userns-remap`), if not the same.
    pub remap: Option<Table>,
}

/// The groups of a user namespace; by default, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// (first, how many); `None`: all.
    pub mapped: Option<Vec<(u32, u32)>>,
    /// `setgroups` is denied: no process can have supplementary groups.
    pub denied: bool,
}

impl Groups {
    /// Whether a file may belong to this group.
    pub fn has(&self, group: u32) -> bool {
        let within = |(first, count): &(u32, u32)| group >= *first && group - first < *count;
        self.mapped.as_ref().is_none_or(|ranges| ranges.iter().any(within))
    }

    /// Whether a process may have it as one more.
    pub fn may_be_added(&self, group: u32) -> bool {
        !self.denied && self.has(group)
    }
}

/// Which namespaces are there already: those of other containers, by process id, looked up when starting, and the network
/// namespace that was made and plugged in before the container.
#[derive(Clone, Debug, Default)]
pub struct Joins {
    pub pid: Option<i32>,
    pub ipc: Option<i32>,
    /// The pin, or another container's below `/proc`.
    pub network: Option<PathBuf>,
    /// The other container's `/dev/shm`, with `--ipc container:X`, or ours when it is shareable.
    pub shm: Option<PathBuf>,
}

/// Everything that a container's `config.json` depends on.
pub struct Facts<'a> {
    pub record: &'a Record,
    pub host: &'a Host,
    pub user: User,
    /// The program of `--init`, when asked for.
    pub init: Option<PathBuf>,
    pub joins: Joins,
    /// overlayfs' options, as mount(2) takes them: `lowerdir=…`.
    pub overlay: Vec<String>,
    /// An empty folder that the overlay may be mounted on.
    pub root: PathBuf,
    /// Our `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`: (file, destination).
    pub files: Vec<(PathBuf, &'static str)>,
    /// How each of its volumes is mounted, by name.
    pub volumes: BTreeMap<String, Source>,
    /// The host's device nodes that were asked for.
    pub devices: Vec<devices::Node>,
    pub cgroups_path: String,
    pub rlimits: Vec<process::Rlimit>,
    /// Variables that speak of the containers it is linked to.
    pub linked: Vec<String>,
}

/// The whole document.
///
/// # Errors
/// A wish that makes no sense on this machine, in Docker's words where Docker has some.
pub fn config(facts: &Facts<'_>) -> Result<Value> {
    let (record, host_config) = (facts.record, &facts.record.host_config);
    let capabilities = security::capabilities(host_config, facts.host)?;
    let mut linux = json!({
        "namespaces": namespaces::list(facts),
        "cgroupsPath": facts.cgroups_path,
        "resources": resources::limits(&host_config.resources, devices::rules(facts)?)?,
        "devices": devices::nodes(facts),
        "sysctl": namespaces::sysctls(facts),
        "maskedPaths": security::masked_paths(host_config, facts.host),
        "readonlyPaths": security::readonly_paths(host_config),
    });
    if let Some(table) = &facts.host.remap
        && namespaces::is_remapped(record, facts.host)
    {
        linux["uidMappings"] = mappings(&table.uids);
        linux["gidMappings"] = mappings(&table.gids);
    }
    if let Some(seccomp) = security::seccomp(host_config, &capabilities)? {
        linux["seccomp"] = seccomp;
    }
    if let Some(propagation) = mounts::root_propagation(record) {
        linux["rootfsPropagation"] = json!(propagation);
    }
    let mut config = json!({
        "ociVersion": OCI_VERSION,
        "process": process::process(facts, &capabilities)?,
        "root": { "path": facts.root, "readonly": host_config.readonly_rootfs },
        "mounts": mounts::all(facts)?,
        "annotations": annotations(record),
        "linux": linux,
    });
    if !namespaces::shares_host_name(record) {
        config["hostname"] = json!(record.config.hostname);
    }
    Ok(config)
}

fn mappings(ranges: &[Range]) -> Value {
    let one = |r: &Range| json!({ "containerID": r.inside, "hostID": r.outside, "size": r.size });
    ranges.iter().map(one).collect()
}

fn annotations(record: &Record) -> Value {
    let mut all = record.host_config.annotations.clone();
    all.insert("org.minidock.id".into(), record.id.clone());
    all.insert("org.minidock.name".into(), record.name.clone());
    json!(all)
}
