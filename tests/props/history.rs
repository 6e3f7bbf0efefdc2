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

use crate::{nodes::Nodes, props::wait_for};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// The operations so far.
#[derive(Default)]
pub struct History {
    acknowledged: Mutex<BTreeSet<String>>,
    removed: Mutex<BTreeSet<String>>,
    asked: AtomicUsize,
    done: AtomicBool,
}

/// Ends the load.
pub struct Stop<'a>(&'a History);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::SeqCst);
    }
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
        Stop(self)
    }

    /// How many were acknowledged.
    pub fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len() + self.removed.lock().expect("no panic").len()
    }

    /// Every manager shows everything that was acknowledged, once, and nothing that was taken back or never asked for.
    #[track_caller]
    pub fn check(&self, nodes: &Nodes, managers: &[&str]) {
        let (kept, gone) =
            (self.acknowledged.lock().expect("no panic").clone(), self.removed.lock().expect("no panic").clone());
        let asked: BTreeSet<String> = (0..self.asked.load(Ordering::SeqCst)).map(|n| format!("s{n}")).collect();
        for manager in managers {
            let mut wrong = String::from("it did not answer");
            let verdict = || {
                let listed = nodes.on(manager, &["service", "ls", "--format", "{{.Name}}"]);
                if listed.status != 0 {
                    wrong = listed.err;
                    return false;
                }
                let names: Vec<String> = listed.out.lines().filter(|name| name.starts_with('s')).map(String::from).collect();
                let set: BTreeSet<String> = names.iter().cloned().collect();
                wrong = format!(
                    "lost {:?}, risen again {:?}, twice {}, never asked for {:?}",
                    kept.difference(&set).collect::<Vec<_>>(),
                    gone.intersection(&set).collect::<Vec<_>>(),
                    names.len() - set.len(),
                    set.difference(&asked).collect::<Vec<_>>(),
                );
                kept.is_subset(&set) && gone.is_disjoint(&set) && names.len() == set.len() && set.is_subset(&asked)
            };
            // a manager that was away catches up; what is lost stays lost
            let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for("the history to hold", verdict)));
            assert!(verdict.is_ok(), "{manager}, of {} acknowledged: {wrong}", self.count());
        }
    }
}
