//! # Privileges: what is given up, and in which order
//!
//! Just before the user's program starts, `init` is still root with every capability. It has to become what `config.json`
//! says, and each step takes away the right to do one of the others, so there is only one order that works:
//!
//! ```text
//!   1 load seccomp          only if no_new_privs is NOT asked for: loading then needs CAP_SYS_ADMIN,
//!                           which step 5 takes away
//!   2 narrow_bounding_set   needs CAP_SETPCAP: while we are still root
//!   3 PR_SET_KEEPCAPS 1     else step 4 empties the permitted set and step 5 finds nothing to keep
//!   4 setgroups, setgid, setuid
//!   5 settle                capset to exactly what is asked, ambient, KEEPCAPS 0, then no_new_privs
//!   6 load seccomp          if no_new_privs IS asked for: as late as possible, so that the filter need not allow
//!                           what only our own set-up uses
//!   7 execve
//! ```
//!
//! Step 5 must be the last word on capabilities because setuid (4) clears the effective set. no_new_privs stands after it:
//! it cannot be taken back, and before (4) it would do nothing for us. Between 1 and 7 a filter judges our own calls, so a
//! profile without no_new_privs has to allow capset, setuid and prctl: Docker's does.
//!
//! * [`oddities`] tells beforehand what will be missing.
//! * [`seccomp_is_loaded_early`] tells which of 1 and 6 it is.
//! * [`narrow_bounding_set`] is 2 and 3, [`settle`] is 5.
//!
//! Laws: a capability that the caller lacks is an error, not a silent loss; the inheritable set is what the configuration
//! says (empty from our engine: CVE-2022-24769). See: capabilities(7), seccomp(2), runtime-spec config.md#process.
//! Next room: [`crate::seccomp`]

use minidock_base::{Error, Result, error::Doing};
use minidock_linux::caps::{self, Set, Sets};
use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};

/// The five sets that `process.capabilities` asks for; a missing list is an empty set, no lists at all leave us nothing.
///
/// # Errors
/// A name that is no capability.
pub fn wanted(process: &Process) -> Result<Sets> {
    match process.capabilities() {
        Some(lists) => from_lists(lists),
        None => Ok(Sets::default()),
    }
}

/// As [`wanted`], from the lists themselves.
///
/// # Errors
/// A name that is no capability.
pub fn from_lists(lists: &LinuxCapabilities) -> Result<Sets> {
    Ok(Sets {
        effective: set(lists.effective())?,
        permitted: set(lists.permitted())?,
        inheritable: set(lists.inheritable())?,
        bounding: set(lists.bounding())?,
        ambient: set(lists.ambient())?,
    })
}

fn set(list: &Option<Capabilities>) -> Result<Set> {
    let names: Vec<String> = list.iter().flatten().map(|capability| capability.to_string()).collect();
    Set::parse(names.iter().map(String::as_str)).map_err(|unknown| Error::invalid(format!("unknown capability \"{unknown}\"")))
}

/// Whether the filter has to be loaded before the privileges are given up.
pub fn seccomp_is_loaded_early(process: &Process) -> bool {
    !process.no_new_privileges().unwrap_or(false)
}

/// Drops from the bounding set what is not asked for, and asks to keep the permitted set over setuid. While still root.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP.
#[track_caller]
pub fn narrow_bounding_set(process: &Process) -> Result<()> {
    let sets = wanted(process)?;
    caps::narrow_bounding_set(sets.bounding).doing(|| "drop capabilities from the bounding set")?;
    caps::keep_capabilities(true).doing(|| "keep capabilities while changing user")
}

/// Sets exactly the capabilities asked for, and no_new_privs. After the user was changed.
///
/// # Errors
/// A capability that we do not have ourselves.
#[track_caller]
pub fn settle(process: &Process) -> Result<()> {
    let sets = wanted(process)?;
    reject_what_we_lack(&sets)?;
    caps::keep_capabilities(false).doing(|| "settle capabilities")?;
    caps::capset(sets.effective, sets.permitted, sets.inheritable).doing(|| "settle capabilities")?;
    caps::clear_ambient().doing(|| "settle capabilities")?;
    for number in raisable(&sets).numbers() {
        caps::raise_ambient(number).doing(|| "settle ambient capabilities")?;
    }
    if process.no_new_privileges().unwrap_or(false) {
        caps::no_new_privs().doing(|| "set no_new_privs")?;
    }
    Ok(())
}

/// The ambient capabilities that can be had: the kernel wants them permitted *and* inheritable.
fn raisable(sets: &Sets) -> Set {
    Set(sets.ambient.0 & sets.permitted.0 & sets.inheritable.0)
}

/// What of `process.capabilities.ambient` cannot be had, one sentence each. As in runc that is odd (most configurations that
/// runc itself writes ask for it), but no error: the process has less than it asked for, never more.
///
/// # Errors
/// A name that is no capability.
pub fn oddities(process: &Process) -> Result<Vec<String>> {
    let sets = wanted(process)?;
    let told =
        |name| format!("can't raise ambient capability {name}: operation not permitted: it is not inheritable and permitted");
    Ok(sets.ambient.without(raisable(&sets)).names().into_iter().map(told).collect())
}

/// capset would only say `EPERM`; the person wants to know which.
fn reject_what_we_lack(sets: &Sets) -> Result<()> {
    let (_, permitted, _) = caps::capget().doing(|| "read our own capabilities")?;
    let lacking = sets.permitted.without(permitted);
    match lacking.is_empty() {
        true => Ok(()),
        false => Err(Error::forbidden(format!("unable to apply caps: operation not permitted: {lacking} is not ours to give"))
            .hint("nobody can pass on a capability that he lacks: drop it from the list, or start the daemon with it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::ProcessBuilder;

    fn process(json: serde_json::Value) -> Process {
        serde_json::from_value(json).expect("a process of ours")
    }

    fn asking(capabilities: serde_json::Value, no_new_privs: bool) -> Process {
        process(serde_json::json!({
            "cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0},
            "capabilities": capabilities, "noNewPrivileges": no_new_privs,
        }))
    }

    #[test]
    fn lists_become_the_five_sets() {
        let chown = serde_json::json!(["CAP_CHOWN"]);
        let sets = wanted(&asking(serde_json::json!({"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": chown}), false));
        let sets = sets.expect("known names");
        assert_eq!((sets.bounding, sets.permitted, sets.ambient), (Set(1 | 1 << 5), Set(1), Set::EMPTY));
        assert!(seccomp_is_loaded_early(&asking(serde_json::json!({}), false)));
        assert!(!seccomp_is_loaded_early(&asking(serde_json::json!({}), true)));
    }

    #[test]
    fn no_lists_at_all_leave_nothing() {
        let bare = ProcessBuilder::default().capabilities(LinuxCapabilities::default()).build().expect("plain data");
        let none = process(serde_json::json!({"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}}));
        assert_eq!(wanted(&none).expect("nothing to parse"), Sets::default());
        assert!(wanted(&bare).is_ok());
    }

    #[test]
    fn what_is_settled_is_exactly_what_was_asked() {
        let settled = std::thread::spawn(|| {
            if !Sets::of_self().expect("/proc is mounted").effective.contains(8) {
                eprintln!("SKIP: needs CAP_SETPCAP");
                return None;
            }
            let two = serde_json::json!(["CAP_CHOWN", "CAP_NET_RAW"]);
            let lists = serde_json::json!({
                "bounding": two, "effective": two, "permitted": two, "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"],
            });
            let process = asking(lists, true);
            narrow_bounding_set(&process).expect("we have CAP_SETPCAP");
            settle(&process).expect("less than we have");
            let more = serde_json::json!(["CAP_SYS_ADMIN"]);
            let refused = settle(&asking(serde_json::json!({"permitted": more}), false)).expect_err("given up");
            assert!(refused.message().contains("CAP_SYS_ADMIN is not ours to give"), "{refused}");
            let not_inheritable = asking(serde_json::json!({"permitted": two, "ambient": ["CAP_NET_RAW"]}), false);
            let told = oddities(&not_inheritable).expect("known names");
            assert_eq!(told.len(), 1);
            assert!(told[0].starts_with("can't raise ambient capability CAP_NET_RAW: "), "{told:?}");
            settle(&not_inheritable).expect("odd, but no error");
            assert!(Sets::of_self().expect("/proc is mounted").ambient.is_empty());
            Some(())
        });
        settled.join().expect("the thread's own assertions");
    }
}
