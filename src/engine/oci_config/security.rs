//! # Security: what a container may not do
//!
//! Three fences around a process that is root inside: which *capabilities* it keeps, which *system calls* it may make,
//! which *files of the kernel* it may see or write. Each has Docker's default, and a wish may move it.
//!
//! ```text
//!   --cap-drop ALL --cap-add NET_ADMIN     from 14 to 1
//!   --security-opt seccomp=…               the client sends the profile's text; `unconfined` removes the filter
//!   --security-opt no-new-privileges       setuid programs gain nothing
//!   --privileged                           all capabilities that we have, no filter, nothing masked
//! ```
//!
//! * `apparmor=` and `label=` are accepted, for people type them out of habit, and answered with a warning: this engine
//!   has neither ([`warnings`]).
//!
//! Laws: an unknown capability or option is an error, never ignored. *See:* capabilities(7), seccomp(2) · moby
//! `daemon/pkg/oci/caps`, `daemon/seccomp_linux.go`. *Next room:* [`super::devices`]

use super::Host;
use minidock_base::{Doing, Error, Result};
use minidock_linux::caps;
use minidock_spec::{
    engine::container::HostConfig,
    seccomp_profile::{self, DEFAULT_CAPABILITIES},
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Mutex};

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is left after `--cap-add` and `--cap-drop`, or everything we have with `--privileged`.
///
/// # Errors
/// `invalid CapAdd: unknown capability: "CAP_X"`.
pub fn capabilities(wishes: &HostConfig, host: &Host) -> Result<BTreeSet<String>> {
    let add = names(wishes.cap_add.as_deref().unwrap_or_default(), "CapAdd")?;
    let drop = names(wishes.cap_drop.as_deref().unwrap_or_default(), "CapDrop")?;
    if wishes.privileged {
        return Ok(host.capabilities.clone());
    }
    let mut left: BTreeSet<String> = match (add.contains("ALL"), drop.contains("ALL")) {
        (_, true) => BTreeSet::new(),
        (true, false) => host.capabilities.clone(),
        (false, false) => DEFAULT_CAPABILITIES.iter().map(|c| c.to_string()).collect(),
    };
    left.retain(|c| !drop.contains(c));
    left.extend(add.into_iter().filter(|c| c != "ALL"));
    Ok(left)
}

/// `net_admin`, `CAP_NET_ADMIN` → `CAP_NET_ADMIN`; `ALL` stays.
fn names(wanted: &[String], field: &str) -> Result<BTreeSet<String>> {
    let full = |text: &String| {
        let upper = text.trim().to_ascii_uppercase();
        let name = if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        match name == "ALL" || name == "CAP_ALL" || caps::number(&name).is_some() {
            true if name == "CAP_ALL" => Ok("ALL".to_string()),
            true => Ok(name),
            false => Err(Error::invalid(format!("invalid {field}: unknown capability: {name:?}")).hint("man 7 capabilities")),
        }
    };
    wanted.iter().map(full).collect()
}

/// One `--security-opt`, understood.
enum Opt<'a> {
    Seccomp(&'a str),
    NoNewPrivileges(bool),
    /// Accepted, without effect here.
    AppArmor(&'a str),
    Label(&'a str),
    SystemPaths(bool),
}

fn options(wishes: &HostConfig) -> Result<Vec<Opt<'_>>> {
    fn one(text: &str) -> Result<Opt<'_>> {
        let bad = || Error::invalid(format!("invalid --security-opt 1: {text:?}"));
        if text == "no-new-privileges" {
            return Ok(Opt::NoNewPrivileges(true));
        }
        let (key, value) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
        match (key, value) {
            ("seccomp", profile) => Ok(Opt::Seccomp(profile)),
            ("apparmor", profile) => Ok(Opt::AppArmor(profile)),
            ("label", label) => Ok(Opt::Label(label)),
            ("systempaths", "unconfined") => Ok(Opt::SystemPaths(true)),
            ("no-new-privileges", "true" | "1") => Ok(Opt::NoNewPrivileges(true)),
            ("no-new-privileges", "false" | "0") => Ok(Opt::NoNewPrivileges(false)),
            ("no-new-privileges", _) => Err(Error::invalid(format!("invalid --security-opt value: {text:?}"))),
            _ => Err(Error::invalid(format!("invalid --security-opt 2: {text:?}"))
                .hint("seccomp=…, no-new-privileges, apparmor=…, label=…")),
        }
    }
    wishes.security_opt.iter().flatten().map(|text| one(text)).collect()
}

/// Checks the options and says which of them have no effect here.
pub fn warnings(wishes: &HostConfig) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for option in options(wishes)? {
        match option {
            Opt::AppArmor(profile) if profile != "unconfined" => {
                warnings.push(format!("AppArmor profile {profile:?} is not applied: minidock does not use AppArmor"))
            }
            Opt::Label(label) if label != "disable" => {
                warnings.push(format!("Label {label:?} is not applied: minidock does not use SELinux"));
            }
            Opt::Seccomp(profile) => drop(profile_of(profile, &BTreeSet::new())?),
            _ => {}
        }
    }
    Ok(warnings)
}

/// Whether setuid programs gain nothing.
pub fn no_new_privileges(wishes: &HostConfig) -> Result<bool> {
    Ok(options(wishes)?.iter().any(|o| matches!(o, Opt::NoNewPrivileges(true))))
}

/// The filter of system calls; none with `--privileged` (unless one is asked for) or `seccomp=unconfined`.
///
/// # Errors
/// A profile that cannot be read.
pub fn seccomp(wishes: &HostConfig, capabilities: &BTreeSet<String>) -> Result<Option<Value>> {
    let wanted = options(wishes)?.into_iter().rev().find_map(|o| match o {
        Opt::Seccomp(profile) => Some(profile.to_string()),
        _ => None,
    });
    match wanted.as_deref() {
        None if wishes.privileged => Ok(None),
        Some(profile) => profile_of(profile, capabilities),
        None => profile_of("builtin", capabilities),
    }
}

fn profile_of(profile: &str, capabilities: &BTreeSet<String>) -> Result<Option<Value>> {
    let filter = match profile {
        "unconfined" => return Ok(None),
        "builtin" => return builtin(capabilities).map(Some),
        text => seccomp_profile::parse(text, capabilities)
            .map_err(|e| Error::invalid(format!("Decoding seccomp profile failed: {}", e.message())))?,
    };
    serde_json::to_value(&filter).doing(|| "write the seccomp profile").map(Some)
}

/// Docker's own profile. It depends on the capabilities alone and is long, so what was made for one set is kept.
fn builtin(capabilities: &BTreeSet<String>) -> Result<Value> {
    static MADE: Mutex<Vec<(BTreeSet<String>, Value)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().expect("no holder panics");
    if let Some((_, filter)) = made.iter().find(|(set, _)| set == capabilities) {
        return Ok(filter.clone());
    }
    let filter = seccomp_profile::default_for(capabilities, std::env::consts::ARCH);
    let filter = serde_json::to_value(&filter).doing(|| "write the seccomp profile")?;
    if made.len() >= 16 {
        made.clear();
    }
    made.push((capabilities.clone(), filter.clone()));
    Ok(filter)
}

/// Files of the kernel that a container sees empty.
pub fn masked_paths(wishes: &HostConfig, host: &Host) -> Vec<String> {
    match (&wishes.masked_paths, wishes.privileged) {
        (_, true) => Vec::new(),
        (Some(paths), _) => paths.clone(),
        (None, _) => default_masked_paths(host),
    }
}

/// Files of the kernel that a container can only read.
pub fn readonly_paths(wishes: &HostConfig) -> Vec<String> {
    match (&wishes.readonly_paths, wishes.privileged) {
        (_, true) => Vec::new(),
        (Some(paths), _) => paths.clone(),
        (None, _) => default_readonly_paths(),
    }
}

/// Docker's list, with the thermal counters of this machine's processors.
pub fn default_masked_paths(host: &Host) -> Vec<String> {
    MASKED.iter().map(|p| p.to_string()).chain(host.thermal_throttle.iter().cloned()).collect()
}

pub fn default_readonly_paths() -> Vec<String> {
    READ_ONLY.iter().map(|p| p.to_string()).collect()
}

/// Fills in what `inspect` shows: the default paths, unless privileged or `systempaths=unconfined`.
pub fn fill_in_paths(wishes: &mut HostConfig, host: &Host) -> Result<()> {
    let open = options(wishes)?.iter().any(|o| matches!(o, Opt::SystemPaths(true)));
    if open {
        (wishes.masked_paths, wishes.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
    }
    if !wishes.privileged {
        wishes.masked_paths.get_or_insert_with(|| default_masked_paths(host));
        wishes.readonly_paths.get_or_insert_with(default_readonly_paths);
    }
    Ok(())
}
