//! # Ahead: what every container needs and none changes
//!
//! A shim is a fork of the nursery and its runtime a fork of the shim, so whatever the nursery has worked out lies in the memory
//! of all of them, for nothing. Two things are worth it: where this machine's cgroup trees are (a dozen questions), and the
//! program of the filter that nearly every container gets (a thousand look-ups).
//!
//! ```text
//!   nursery ── [`warm`], once ──► KNOWN ──fork──► shim ──fork──► runtime: is that what was asked for? ─ yes ─► taken
//!                                                                                                  └─ no ──► worked out
//! ```
//!
//! Laws: nothing depends on it: who was executed finds nothing here and works everything out; a filter is taken only for rules
//! that are equal to the last, a tree only for a path that does not depend on where we live.
//! *See:* [`crate::seccomp`], [`minidock_linux::cgroup::hierarchy`]. Next room: [`crate::create`]

use crate::seccomp;
use minidock_base::{Doing, Result};
use minidock_linux::{
    cgroup::{Cgroup, Hierarchy},
    seccomp::Filter,
    userns,
};
use minidock_spec::seccomp_profile;
use oci_spec::runtime::LinuxSeccomp;
use std::{path::Path, sync::OnceLock};

struct Known {
    trees: Option<Hierarchy>,
    /// Whether the processes that inherit this live in a user namespace that is not the machine's.
    in_user_namespace: bool,
    filter: Option<(LinuxSeccomp, Filter)>,
}

static KNOWN: OnceLock<Known> = OnceLock::new();

/// Works out what can be known before anybody asks; what fails now is tried again by who needs it.
pub fn warm() {
    KNOWN.get_or_init(|| Known {
        trees: Hierarchy::detect().ok(),
        in_user_namespace: userns::lives_in_one(),
        filter: usual_rules().and_then(|rules| seccomp::compile(&rules).ok().map(|filter| (rules, filter))),
    });
}

/// Docker's default profile for a container without further wishes, as it is read from a `config.json`.
fn usual_rules() -> Option<LinuxSeccomp> {
    let capabilities = seccomp_profile::DEFAULT_CAPABILITIES.map(String::from).into();
    let profile = seccomp_profile::default_for(&capabilities, std::env::consts::ARCH);
    serde_json::from_slice(&serde_json::to_vec(&profile).ok()?).ok()
}

/// The program for these rules, if it is known.
pub fn filter(rules: &LinuxSeccomp) -> Option<Filter> {
    let (known, filter) = KNOWN.get()?.filter.as_ref()?;
    (known == rules).then(|| filter.clone())
}

/// The group that a path means.
///
/// # Errors
/// No cgroup tree is mounted.
pub fn cgroup(path: &Path) -> Result<Cgroup> {
    let known = KNOWN.get().filter(|_| path.is_absolute()).and_then(|known| known.trees.as_ref());
    match known {
        Some(trees) => Ok(trees.cgroup(path)),
        None => Ok(Hierarchy::detect().doing(|| "find this machine's cgroups")?.cgroup(path)),
    }
}

/// Whether we, who made no namespace yet, live in a user namespace that is not the machine's own.
pub fn in_user_namespace() -> bool {
    KNOWN.get().map_or_else(userns::lives_in_one, |known| known.in_user_namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_was_worked_out_ahead_is_what_would_be_worked_out() {
        let rules = usual_rules().expect("our own profile");
        let fresh = seccomp::compile(&rules).expect("a good profile");
        let group = cgroup(Path::new("/a/b")).map(|group| group.paths());
        warm();
        assert_eq!(filter(&rules).map(|filter| (filter.program, filter.flags)), Some((fresh.program, fresh.flags)));
        assert_eq!(cgroup(Path::new("/a/b")).map(|group| group.paths()).ok(), group.ok());
        assert_eq!(in_user_namespace(), userns::lives_in_one());
        let others = seccomp_profile::default_for(&BTreeSet::from(["CAP_SYS_ADMIN".to_string()]), std::env::consts::ARCH);
        assert!(filter(&others).is_none(), "other rules are another program");
        let dockers = seccomp_profile::default_for(
            &seccomp_profile::DEFAULT_CAPABILITIES.map(String::from).into(),
            std::env::consts::ARCH,
        );
        let text = serde_json::to_vec(&dockers).expect("it is JSON");
        assert!(filter(&serde_json::from_slice(&text).expect("a profile")).is_some(), "what Docker gives by default is known");
    }
}
