//! # History: what was promised, and whether it was kept
//!
//! A swarm may refuse, be slow, or not know whether it did something; it may never forget what it said it had done. [`History`] writes down every
//! operation and its answer while things break, and afterwards compares that with what every manager shows.
//!
//! ```text
//!   create s7 ── status 0 ──► acknowledged: must be there, once, on every manager
//!             ── refused  ──► may be there or not: the answer may have been lost, the deed done
//!   remove s7 ── status 0 ──► must be gone
//! ```
//!
//! *See:* Jepsen's checkers. Laws: an answer counts only if the command's status is 0; a service that nobody asked for is a fault, too.

#![allow(dead_code)] // each test binary takes what it needs of the props

use crate::{
    nodes::Nodes,
    props::{Stop, comes_true},
};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The operations so far.
#[derive(Default)]
pub struct History {
    acknowledged: Mutex<BTreeSet<String>>,
    removed: Mutex<BTreeSet<String>>,
    asked: AtomicUsize,
    done: AtomicBool,
}

impl History {
    /// Creates one more service by this manager; whether that was acknowledged.
    pub fn create(&self, nodes: &Nodes, via: &str) -> bool {
        let name = format!("s{}", self.asked.fetch_add(1, Ordering::SeqCst));
        let words = ["service", "create", "-d", "--no-resolve-image", "--replicas", "0", "--name", &name, "alpine", "true"];
        let done = nodes.on(via, &words).status == 0;
        if done {
            self.acknowledged.lock().expect("no panic").insert(name);
        }
        done
    }

    /// Removes one that was acknowledged; whether that was acknowledged.
    pub fn remove(&self, nodes: &Nodes, via: &str) -> bool {
        let Some(name) = self.acknowledged.lock().expect("no panic").pop_first() else { return false };
        let done = nodes.on(via, &["service", "rm", &name]).status == 0;
        if done {
            self.removed.lock().expect("no panic").insert(name);
        }
        done
    }

    /// Creates, and now and then removes, by each of these managers in turn until the [`Stop`] of [`History::until_dropped`] is dropped.
    pub fn load(&self, nodes: &Nodes, via: &[&str]) {
        for nth in 0.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let manager = via[nth % via.len()];
            match nth % 7 {
                6 => self.remove(nodes, manager),
                _ => self.create(nodes, manager),
            };
        }
    }

    /// The load ends when this is dropped: at the end of its scope, or when a claim fails in it.
    pub fn until_dropped(&self) -> Stop<'_> {
        Stop(&self.done)
    }

    /// How many were acknowledged.
    pub fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len() + self.removed.lock().expect("no panic").len()
    }

    /// Every manager shows everything that was acknowledged, once, and nothing that was taken back or never asked for.
    #[track_caller]
    pub fn check(&self, nodes: &Nodes, managers: &[&str]) {
        for manager in managers {
            let mut wrong = None;
            // a manager that was away catches up; what is lost stays lost
            let holds = comes_true(Duration::from_secs(20), || {
                wrong = self.wrong(nodes, manager);
                wrong.is_none()
            });
            assert!(holds, "{manager}, of {} acknowledged: {}", self.count(), wrong.unwrap_or_default());
        }
    }

    /// What a manager shows now that is not as was acknowledged; none: nothing.
    pub fn wrong(&self, nodes: &Nodes, manager: &str) -> Option<String> {
        let (kept, gone) =
            (self.acknowledged.lock().expect("no panic").clone(), self.removed.lock().expect("no panic").clone());
        let asked: BTreeSet<String> = (0..self.asked.load(Ordering::SeqCst)).map(|n| format!("s{n}")).collect();
        let listed = nodes.on(manager, &["service", "ls", "--format", "{{.Name}}"]);
        if listed.status != 0 {
            return Some(listed.err);
        }
        let names: Vec<String> = listed.out.lines().filter(|name| name.starts_with('s')).map(String::from).collect();
        let set: BTreeSet<String> = names.iter().cloned().collect();
        let holds = kept.is_subset(&set) && gone.is_disjoint(&set) && names.len() == set.len() && set.is_subset(&asked);
        (!holds).then(|| {
            format!(
                "lost {:?}, risen again {:?}, twice {}, never asked for {:?}",
                kept.difference(&set).collect::<Vec<_>>(),
                gone.intersection(&set).collect::<Vec<_>>(),
                names.len() - set.len(),
                set.difference(&asked).collect::<Vec<_>>(),
            )
        })
    }
}
