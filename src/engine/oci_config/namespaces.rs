//! # Namespaces: whose world it is
//!
//! Each of a container's namespaces is its own, the host's, or another container's. Docker's words for the choice differ
//! from one to the next; here they all become one [`Mode`].
//!
//! ```text
//!   wish                   pid      ipc                  uts      network
//!   "" / private           own      own (shm own)        own      own, or the pinned sandbox
//!   host                   host     host                 host     host
//!   container:X            X's      X's (and its shm)    –        X's
//!   shareable / none       –        own / own, no shm    –        own, only lo
//! ```
//!
//! A namespace that is the host's is simply left out of the list; another's is named by its path below `/proc`.
//! *See:* config-linux.md#namespaces · namespaces(7). *Next room:* [`super::mounts`]

use super::{Facts, Host};
use crate::container::record::Record;
use minidock_base::{Error, Result};
use minidock_linux::userns;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode<'a> {
    Own,
    Host,
    /// Another container, as the user named it.
    Container(&'a str),
}

impl<'a> Mode<'a> {
    /// Reads `host`, `container:X` or anything that means "own".
    pub fn of(text: &'a str) -> Mode<'a> {
        match (text, text.strip_prefix("container:")) {
            ("host", _) => Mode::Host,
            (_, Some(other)) => Mode::Container(other),
            _ => Mode::Own,
        }
    }
}

/// Whether each wish is one that exists.
///
/// # Errors
/// Docker's `invalid PID mode: x` and its siblings.
pub fn check(record: &minidock_spec::engine::container::HostConfig) -> Result<()> {
    let named = |text: &str| text.strip_prefix("container:").is_some_and(|other| !other.is_empty());
    let one_of = |text: &str, words: &[&str], by_name: bool| words.contains(&text) || (by_name && named(text));
    let checks = [
        ("IPC", &record.ipc_mode, one_of(&record.ipc_mode, &["", "none", "private", "shareable", "host"], true)),
        ("PID", &record.pid_mode, one_of(&record.pid_mode, &["", "private", "host"], true)),
        ("UTS", &record.uts_mode, one_of(&record.uts_mode, &["", "private", "host"], false)),
        ("USER", &record.userns_mode, one_of(&record.userns_mode, &["", "host"], false)),
        ("cgroup namespace", &record.cgroupns_mode, one_of(&record.cgroupns_mode, &["", "private", "host"], false)),
    ];
    match checks.into_iter().find(|(_, _, good)| !good) {
        Some((what, text, _)) => Err(Error::invalid(format!("invalid {what} mode: {text}"))),
        None => Ok(()),
    }
}

/// Whether it numbers its own processes.
pub fn has_own_pids(record: &Record) -> bool {
    Mode::of(&record.host_config.pid_mode) == Mode::Own
}

/// Whether its name is the machine's, and so must not be changed.
pub fn shares_host_name(record: &Record) -> bool {
    record.host_config.uts_mode == "host"
}

/// Whether root inside is somebody else outside: the daemon has a table, and the container did not ask to go without.
pub fn is_remapped(record: &Record, host: &Host) -> bool {
    host.remap.is_some() && record.host_config.userns_mode != "host"
}

/// What does not go together with a user namespace, in Docker's words.
///
/// # Errors
/// A privileged container, or one that shares the machine's network or processes.
pub fn check_remap(wishes: &minidock_spec::engine::container::HostConfig, host: &Host) -> Result<()> {
    let why = match (wishes.privileged, wishes.network_mode.as_str(), wishes.pid_mode.as_str()) {
        _ if host.remap.is_none() || wishes.userns_mode == "host" => return Ok(()),
        (true, ..) => {
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running \
             privileged mode"
        }
        (_, "host", _) => "cannot share the host's network namespace when user namespaces are enabled",
        (.., "host") => "cannot share the host PID namespace when user namespaces are enabled",
        _ => return Ok(()),
    };
    Err(Error::invalid(why).hint("--userns host runs this container without one"))
}

/// The `linux.namespaces` of the config.
pub fn list(facts: &Facts<'_>) -> Vec<Value> {
    let (wishes, joins) = (&facts.record.host_config, &facts.joins);
    let mut list = vec![json!({ "type": "mount" })];
    let of_process = |pid: Option<i32>, name: &str| pid.map(|pid| PathBuf::from(format!("/proc/{pid}/ns/{name}")));
    let mut add = |kind: &str, mode: &str, path: Option<PathBuf>| match (Mode::of(mode), path) {
        (Mode::Host, _) => {}
        (_, Some(path)) => list.push(json!({ "type": kind, "path": path })),
        (_, None) => list.push(json!({ "type": kind })),
    };
    add("network", &wishes.network_mode, joins.network.clone());
    add("uts", &wishes.uts_mode, None);
    add("pid", &wishes.pid_mode, of_process(joins.pid, "pid"));
    add("ipc", &wishes.ipc_mode, of_process(joins.ipc, "ipc"));
    if wishes.cgroupns_mode == "private" {
        list.push(json!({ "type": "cgroup" }));
    }
    if is_remapped(facts.record, facts.host) {
        // who shares another's processes must be somebody in his user namespace: /proc is mounted by its right
        match of_process(joins.pid.or(joins.ipc), "user") {
            Some(path) => list.push(json!({ "type": "user", "path": path })),
            None => list.push(json!({ "type": "user" })),
        }
    }
    list
}

/// The kernel parameters of its namespaces: two that Docker sets in every network namespace of a container's own, and
/// the user's over them.
pub fn sysctls(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let record = facts.record;
    let mut sysctls = BTreeMap::new();
    if Mode::of(&record.host_config.network_mode) == Mode::Own {
        // in a user namespace not all of these groups exist, and the kernel refuses the whole range
        if !userns::lives_in_one() {
            sysctls.insert("net.ipv4.ping_group_range".to_string(), "0 2147483647".to_string());
        }
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_string(), "0".to_string());
    }
    if !record.config.domainname.is_empty() && !shares_host_name(record) {
        sysctls.insert("kernel.domainname".to_string(), record.config.domainname.clone());
    }
    sysctls.extend(record.host_config.sysctls.clone());
    sysctls
}
