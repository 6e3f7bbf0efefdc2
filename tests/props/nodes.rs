//! # Nodes: a cluster for a test
//!
//! A hosting [`Daemon`] with the base images, and simulated nodes on it. [`Nodes::on`] types a command line at one node, [`Nodes::inside`] runs a program in it.
//! They go with their daemon; when a claim has failed, their last words are shown before.
//!
//! Laws: as for all props: no default roots, no network but the test's own, waiting for facts only.

#![allow(dead_code)] // each test binary takes what it needs of the props

use crate::props::{Daemon, Printed, wait_for};
use serde_json::Value;

/// A hosting daemon and its nodes.
pub struct Nodes {
    pub host: Daemon,
}

impl Nodes {
    /// `cluster up` with these words.
    #[track_caller]
    pub fn up(words: &[&str]) -> Nodes {
        let nodes = Nodes { host: Daemon::start() };
        nodes.host.ok(&[&["cluster", "up"], words].concat());
        nodes
    }

    /// A command line for one node's daemon.
    pub fn on(&self, node: &str, words: &[&str]) -> Printed {
        self.host.run(&[&["--node", node], words].concat())
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub fn ok(&self, node: &str, words: &[&str]) -> String {
        self.on(node, words).ok().trim_end().to_string()
    }

    /// A shell script inside of a node.
    pub fn sh(&self, node: &str, script: &str) -> Printed {
        self.host.run(&["cluster", "exec", node, "--", "sh", "-c", script])
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub fn inside(&self, node: &str, script: &str) -> String {
        self.sh(node, script).ok().trim_end().to_string()
    }

    /// `cluster VERB …`, and it must succeed.
    #[track_caller]
    pub fn cluster(&self, words: &[&str]) -> String {
        self.host.ok(&[&["cluster"], words].concat())
    }

    /// What `cluster inspect NODE` says.
    #[track_caller]
    pub fn look(&self, node: &str) -> Value {
        let text = self.cluster(&["inspect", node]);
        serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
    }

    /// What a node is doing.
    #[track_caller]
    pub fn status(&self, node: &str) -> String {
        self.look(node)["Status"].as_str().unwrap_or_default().to_string()
    }

    /// Whether something listens there, asked from inside a node by bash's own TCP.
    pub fn reaches(&self, from: &str, address: &str, port: u16) -> bool {
        let script = format!("timeout 1 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null");
        self.sh(from, &script).status == 0
    }

    /// A command line with a terminal's worth of patience: for what may fail while a leader is chosen. Tries again until it succeeds.
    #[track_caller]
    pub fn eventually(&self, node: &str, words: &[&str]) -> String {
        let mut last = self.on(node, words);
        wait_for(&format!("{words:?} on {node}"), || {
            if last.status != 0 {
                last = self.on(node, words);
            }
            last.status == 0
        });
        last.ok()
    }

    /// The address of a node.
    #[track_caller]
    pub fn address(&self, node: &str) -> String {
        self.look(node)["Address"].as_str().expect("an address").to_string()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the cluster ---\n{}", self.host.run(&["cluster", "ls"]).out);
            for node in ["node1", "node2", "node3"] {
                let log = std::fs::read_to_string(self.host.data_root().join("cluster").join(node).join("daemon.log"));
                let log = log.unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- {node}'s log, last lines ---\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
            }
        }
    }
}
