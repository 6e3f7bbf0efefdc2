//! # Process: what runs, as whom, with which words
//!
//! The first process of a container: program and arguments, environment, folder, user, limits. The same rules serve an
//! `exec`, which is a second process with a few things changed ([`environment`], [`rlimits`]).
//!
//! * The environment begins with what Docker promises (`PATH`, `HOSTNAME`, `TERM` with a terminal), then the image's and
//!   the user's own; the last of a name wins; a name without `=` takes the variable away. `HOME` comes from the passwd.
//! * With `--init` our reaper is the first process and the program its child, but only where the container has a process
//!   namespace of its own: elsewhere somebody is PID 1 already.
//!
//! *See:* config.md#process · moby `container.CreateDaemonEnvironment`. *Next room:* [`super::security`]

use super::{Facts, Groups, Host, namespaces};
use crate::{container::record::Record, users::User};
use minidock_base::{Error, Result};
use minidock_linux::reaper;
use minidock_spec::engine::container::{ULIMITS, Ulimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where programs are looked for when nobody says otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One limit, as the runtime-spec writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`
    pub kind: String,
    pub soft: u64,
    pub hard: u64,
}

/// The `process` of a container's config.
pub fn process(facts: &Facts<'_>, capabilities: &BTreeSet<String>) -> Result<Value> {
    let record = facts.record;
    let mut args = vec![record.path.clone()];
    args.extend(record.args.iter().cloned());
    if facts.init.is_some() && namespaces::has_own_pids(record) {
        args.splice(0..0, [reaper::TARGET.to_string(), "--".to_string()]);
    }
    let mut process = json!({
        "terminal": record.config.tty,
        "user": user(&facts.user, &facts.host.groups),
        "args": args,
        "env": environment(record, record.config.tty, &facts.linked, &[], &facts.user),
        "cwd": working_dir(&record.config.working_dir),
        "capabilities": sets(capabilities),
        "noNewPrivileges": super::security::no_new_privileges(&record.host_config)?,
        "oomScoreAdj": record.host_config.oom_score_adj,
        "rlimits": facts.rlimits.iter().map(limit).collect::<Vec<_>>(),
    });
    let [rows, cols] = record.host_config.console_size;
    if record.config.tty && (rows, cols) != (0, 0) {
        process["consoleSize"] = json!({ "height": rows, "width": cols });
    }
    Ok(process)
}

/// The runtime-spec's way to write a user. Supplementary groups that do not exist in our user namespace are left out: the kernel
/// would refuse them all, and the image's files belong to none of them here.
pub fn user(user: &User, known: &Groups) -> Value {
    let groups: Vec<u32> = user.groups.iter().copied().filter(|group| known.may_be_added(*group)).collect();
    json!({ "uid": user.uid, "gid": user.gid, "additionalGids": groups })
}

/// Bounding, effective and permitted are the same set; inheritable and ambient stay empty (CVE-2022-24769).
pub fn sets(capabilities: &BTreeSet<String>) -> Value {
    json!({ "bounding": capabilities, "effective": capabilities, "permitted": capabilities })
}

pub fn limit(limit: &Rlimit) -> Value {
    json!({ "type": limit.kind, "soft": limit.soft, "hard": limit.hard })
}

/// The folder a process begins in.
pub fn working_dir(wanted: &str) -> &str {
    if wanted.is_empty() { "/" } else { wanted }
}

/// What a process of this container finds in its environment; `linked` speaks of other containers and goes below the container's own
/// variables, `more` goes over them.
pub fn environment(record: &Record, terminal: bool, linked: &[String], more: &[String], user: &User) -> Vec<String> {
    let mut variables = vec![format!("PATH={PATH}"), format!("HOSTNAME={}", record.config.hostname)];
    if terminal {
        variables.push("TERM=xterm".into());
    }
    for wish in linked.iter().chain(&record.config.env).chain(more) {
        let name = wish.split('=').next().unwrap_or(wish);
        let at = variables.iter().position(|v| v.split('=').next() == Some(name));
        match (wish.contains('='), at) {
            (true, Some(at)) => variables[at] = wish.clone(),
            (true, None) => variables.push(wish.clone()),
            (false, Some(at)) => drop(variables.remove(at)),
            (false, None) => {}
        }
    }
    if !variables.iter().any(|v| v.strip_prefix("HOME=").is_some_and(|home| !home.is_empty())) {
        variables.retain(|v| v != "HOME=");
        variables.push(format!("HOME={}", user.home));
    }
    variables
}

/// The limits of a process: those asked for as they are, the engine's defaults clamped to what we may give.
///
/// # Errors
/// `invalid ulimit type: x`; a soft limit above the hard one.
pub fn rlimits(wanted: &[Ulimit], defaults: &[Ulimit], host: &Host) -> Result<Vec<Rlimit>> {
    let mut limits = wanted.iter().map(rlimit).collect::<Result<Vec<_>>>()?;
    for default in defaults.iter().filter(|d| !wanted.iter().any(|w| w.name == d.name)) {
        let mut limit = rlimit(default)?;
        if let Some((_, most)) = host.hard_limits.iter().find(|(kind, _)| *kind == limit.kind) {
            limit.hard = limit.hard.min(*most);
            limit.soft = limit.soft.min(limit.hard);
        }
        limits.push(limit);
    }
    Ok(limits)
}

/// One limit in the words of the runtime-spec.
fn rlimit(ulimit: &Ulimit) -> Result<Rlimit> {
    let name = ulimit.name.to_ascii_lowercase();
    if !ULIMITS.contains(&name.as_str()) {
        return Err(Error::invalid(format!("invalid ulimit type: {}", ulimit.name)).hint(ULIMITS.join(", ")));
    }
    // -1 is "unlimited" and so the highest number
    let (soft, hard) = (ulimit.soft as u64, ulimit.hard as u64);
    if soft > hard {
        return Err(Error::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            ulimit.soft, ulimit.hard
        )));
    }
    Ok(Rlimit { kind: format!("RLIMIT_{}", name.to_ascii_uppercase()), soft, hard })
}
