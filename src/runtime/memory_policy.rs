//! # Memory policy: from which nodes of the machine the pages come
//!
//! A big machine has its memory in several places, each near to some of the processors. A policy says from which of them a
//! process is given its pages: from these only, in turns, from this one if it has any. The process and all it starts inherit it,
//! so that it is set once, just before the program.
//!
//! ```text
//!   linux.memoryPolicy { mode: MPOL_BIND, nodes: "0-1,4", flags: [MPOL_F_STATIC_NODES] }
//!                            2      |          0b10011            0x8000      ──► set_mempolicy(0x8002, mask, …)
//! ```
//!
//! Laws: `cpuset.mems` of the cgroup is the wall, this is a wish within it. *See:* set_mempolicy(2), runtime-spec
//! config-linux.md#memory-policy. *Next room:* [`crate::privileges`]

use minidock_base::{Doing, Error, Result};
use minidock_linux::limits;
use oci_spec::runtime::LinuxMemoryPolicy;
use serde_json::Value;

/// The kernel's numbers of the modes.
const MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];
/// The flags, which share the mode's word.
const FLAGS: [(&str, u32); 3] =
    [("MPOL_F_STATIC_NODES", 1 << 15), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_NUMA_BALANCING", 1 << 13)];
/// No kernel has more nodes.
const MOST: u64 = 1024;

/// Whether the words of a policy are words at all.
///
/// # Errors
/// `invalid memory policy mode …`, `invalid memory policy flag …`.
pub fn check_words(policy: &Value) -> Result<()> {
    let mode = policy.get("mode").and_then(Value::as_str).unwrap_or_default();
    number(&MODES, mode).ok_or_else(|| Error::invalid(format!("invalid memory policy mode {mode:?}")))?;
    for flag in policy.get("flags").and_then(Value::as_array).into_iter().flatten() {
        let known = flag.as_str().and_then(|flag| number(&FLAGS, flag));
        known.ok_or_else(|| Error::invalid(format!("invalid memory policy flag {flag}")))?;
    }
    Ok(())
}

/// The modes that are known, for those who ask before they wish.
pub fn modes() -> Vec<&'static str> {
    MODES.iter().map(|(name, _)| *name).collect()
}

/// The flags that are known.
pub fn flags() -> Vec<&'static str> {
    FLAGS.iter().map(|(name, _)| *name).collect()
}

fn number(table: &[(&str, u32)], word: &str) -> Option<u32> {
    table.iter().find(|(known, _)| *known == word).map(|(_, number)| *number)
}

/// Whether a policy makes sense; asked before anything is made.
///
/// # Errors
/// Nodes that are no list, or more or fewer than the mode takes.
pub fn check(policy: &LinuxMemoryPolicy) -> Result<()> {
    let nodes: u32 = mask(policy)?.iter().map(|word| word.count_ones()).sum();
    match policy.mode().to_string().as_str() {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if nodes > 0 => {
            Err(Error::invalid(format!("memory policy mode requires 0 nodes but got {nodes}")))
        }
        "MPOL_DEFAULT" | "MPOL_LOCAL" | "MPOL_PREFERRED" => Ok(()),
        _ if nodes == 0 => Err(Error::invalid("memory policy mode requires at least one node but got 0")),
        _ => Ok(()),
    }
}

/// Gives the calling process its policy.
///
/// # Errors
/// EINVAL for a node that this machine has not.
pub fn set(policy: &LinuxMemoryPolicy) -> Result<()> {
    let mode = number(&MODES, &policy.mode().to_string()).unwrap_or(0);
    let flags = policy.flags().iter().flatten().filter_map(|flag| number(&FLAGS, &flag.to_string()));
    let mode = flags.fold(mode, |all, flag| all | flag);
    limits::set_mempolicy(mode, &mask(policy)?).doing(|| "error setting memory policy")
}

/// The nodes as words of bits, none if none is named.
fn mask(policy: &LinuxMemoryPolicy) -> Result<Vec<u64>> {
    let bad = |part: &str| Error::invalid(format!("invalid memory policy node {part:?}")).hint("such as 0-1,4");
    let mut words: Vec<u64> = Vec::new();
    let parts = policy.nodes().as_deref().unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    for part in parts {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().map_err(|_| bad(part))?, last.parse().map_err(|_| bad(part))?);
        if first > last || last >= MOST {
            return Err(bad(part));
        }
        for node in first..=last {
            let at = (node / 64) as usize;
            if words.len() <= at {
                words.resize(at + 1, 0);
            }
            words[at] |= 1 << (node % 64);
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(document: Value) -> LinuxMemoryPolicy {
        serde_json::from_value(document).expect("a policy")
    }

    #[test]
    fn nodes_are_bits() {
        let wide = policy(serde_json::json!({"mode": "MPOL_BIND", "nodes": "0-1, 4,64"}));
        assert_eq!(mask(&wide).expect("nodes"), [0b10011, 1]);
        for bad in ["x", "3-1", "0-9876543210", "1024", "-"] {
            assert!(mask(&policy(serde_json::json!({"mode": "MPOL_BIND", "nodes": bad}))).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mode_takes_the_nodes_that_it_needs() {
        let refused = |document: Value| check(&policy(document)).err().map(|e| e.message().to_string()).unwrap_or_default();
        assert!(refused(serde_json::json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"})).contains("requires 0 nodes but got 8"));
        assert!(refused(serde_json::json!({"mode": "MPOL_BIND"})).contains("at least one node"));
        assert_eq!(refused(serde_json::json!({"mode": "MPOL_PREFERRED"})), "");
        assert_eq!(refused(serde_json::json!({"mode": "MPOL_DEFAULT"})), "");
    }

    #[test]
    fn the_kernel_takes_what_we_say() {
        let here = std::thread::spawn(|| set(&policy(serde_json::json!({"mode": "MPOL_PREFERRED", "nodes": "0"}))));
        if let Err(error) = here.join().expect("no panic") {
            assert!(error.to_string().contains("ENOSYS"), "{error}");
        }
    }
}
