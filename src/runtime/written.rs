//! # Written: configurations as other programs write them
//!
//! `config.json` is read into types, and types are strict: a word that is none of theirs is an error. Some of these errors would
//! be wrong. A Go program leaves out what is zero, a newer engine names a capability that this build has never heard of, and
//! two spellings of one flag are in the world. This room reads such a text once more, as it was meant.
//!
//! ```text
//!   text ──► types                                   nearly always
//!     └─ no ─► a document ──[`mend`]──► types        a user that is root and therefore missing
//!                    │                               capabilities that nobody knows: left out, with a warning
//!                    │                               SCHED_FLAG_RESET_ON_FORK, the kernel's header says SCHED_RESET_…
//!                    └──► an error in the spec's words   a memory policy that is none
//! ```
//!
//! Laws: nothing is granted that was not asked for; what is left out is told. *See:* runtime-spec config.md (an unknown capability
//! "MUST be logged as a warning"), config-linux.md#memory-policy. *Next room:* [`crate::memory_policy`]

use crate::{log, memory_policy};
use minidock_base::Result;
use minidock_linux::caps;
use serde_json::Value;

/// The five lists of capabilities.
const LISTS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

/// A configuration that was not understood, put into words that are.
///
/// # Errors
/// A memory policy with a mode or flag that does not exist.
pub fn mend(document: &mut Value) -> Result<()> {
    if let Some(policy) = document.pointer("/linux/memoryPolicy") {
        memory_policy::check_words(policy)?;
    }
    if let Some(process) = document.get_mut("process") {
        mend_process(process);
    }
    Ok(())
}

/// As [`mend`], for the text of a `process` alone.
pub fn mend_process(process: &mut Value) {
    let Some(process) = process.as_object_mut() else { return };
    process.entry("user").or_insert_with(|| serde_json::json!({}));
    if let Some(lists) = process.get_mut("capabilities").and_then(Value::as_object_mut) {
        let mut strangers: Vec<String> = Vec::new();
        for list in LISTS {
            let Some(names) = lists.get_mut(list).and_then(Value::as_array_mut) else { continue };
            names.retain(|name| {
                let known = name.as_str().is_none_or(|name| caps::number(name).is_some());
                strangers.extend(name.as_str().filter(|_| !known).map(str::to_string));
                known
            });
        }
        strangers.sort();
        strangers.dedup();
        if !strangers.is_empty() {
            log::warn(&format!("ignoring unknown or unavailable capabilities: [{}]", strangers.join(" ")));
        }
    }
    let flags = process.get_mut("scheduler").and_then(|scheduler| scheduler.get_mut("flags")).and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        if flag == "SCHED_FLAG_RESET_ON_FORK" {
            *flag = "SCHED_RESET_ON_FORK".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_left_out_and_the_rest_is_kept() {
        let mut process = serde_json::json!({
            "cwd": "/",
            "capabilities": {"bounding": ["CAP_CHOWN", "CAP_FUTURE"], "effective": ["CAP_FUTURE"]},
            "scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        });
        mend_process(&mut process);
        assert_eq!(process["capabilities"]["bounding"], serde_json::json!(["CAP_CHOWN"]));
        assert_eq!(process["capabilities"]["effective"], serde_json::json!([]));
        assert_eq!(process["scheduler"]["flags"][0], "SCHED_RESET_ON_FORK");
        assert!(serde_json::from_value::<oci_spec::runtime::Process>(process).is_ok(), "and now it is read");
    }

    #[test]
    fn a_memory_policy_that_is_none_is_told_in_the_words_of_the_field() {
        for (policy, why) in [
            (serde_json::json!({}), "invalid memory policy mode"),
            (serde_json::json!({"mode": "INTERLEAVE"}), "invalid memory policy mode"),
            (serde_json::json!({"mode": "MPOL_BIND", "flags": ["x"]}), "invalid memory policy flag"),
        ] {
            let mut document = serde_json::json!({"linux": {"memoryPolicy": policy}});
            assert!(mend(&mut document).expect_err("refused").message().contains(why));
        }
    }
}
