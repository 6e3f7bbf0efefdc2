//! # Orders: what a machine is to be
//!
//! One file in the node's exec root, written by the hosting daemon before it executes the machine. PID 1 reads it before it loses sight of that
//! folder's path, and whoever enters the node later reads it for the node's name and cgroup.
//!
//! ```text
//!   <exec root>/cluster/node1/machine.json     Orders
//!                            /running.json     which process is PID 1 (state.rs)
//!                            /grace            seconds, for the next orderly stop
//!                            /clock            how far its clock is set off (`minidock_base::clock`)
//!                            /etc/{hosts,hostname,resolv.conf}   what the node sees in /etc
//! ```
//!
//! Paths are those of the hosting machine. Next room: [`crate::machine::world`]

use minidock_base::{Doing, Error, Result, clock, state_file};
use minidock_linux::userns;
use serde::{Deserialize, Serialize};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The file's name in a node's exec root.
pub const FILE: &str = "machine.json";
/// The node's own `/etc` files.
pub const ETC: [&str; 3] = ["hosts", "hostname", "resolv.conf"];
/// How long programs may take to end, for the next stop.
pub const GRACE: &str = "grace";
/// How far the node's clock is set off.
pub const CLOCK: &str = "clock";
/// The socket of the node's daemon, in its exec root.
pub const SOCKET: &str = "minidock.sock";

/// Where things are inside of every node.
pub const DATA_ROOT: &str = "/var/lib/minidock";
pub const EXEC_ROOT: &str = "/run/minidock";
/// The hosting daemon's images, read-only.
pub const LENT: &str = "/var/lib/minidock.host";
/// `minidock`, for who types it in the node.
pub const PROGRAMS: &str = "/run/minidock/bin";

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    pub name: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    /// The way out, if there is one.
    pub gateway: Option<Ipv4Addr>,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    /// The hosting daemon's data root.
    pub lent: PathBuf,
    /// From the top of each tree.
    pub cgroup: PathBuf,
    /// Cores; 0: all.
    pub cpus: f64,
    /// Bytes; 0: all.
    pub memory: i64,
    pub labels: Vec<String>,
    /// `gpu=2`: what it offers besides CPUs and memory.
    #[serde(default)]
    pub generic_resources: Vec<String>,
    /// The program's file, as a person would call it.
    pub program: PathBuf,
}

impl Orders {
    /// Reads them.
    ///
    /// # Errors
    /// No such file: the node does not run; a file that is none of ours.
    pub fn load(file: &Path) -> Result<Orders> {
        let found = state_file::load(file).doing(|| "read the orders of a machine")?;
        found.ok_or_else(|| Error::not_found(format!("there is no file {}", file.display())))
    }

    /// The words behind `minidock` that start the node's daemon.
    pub fn daemon_words(&self) -> Vec<String> {
        let mut words: Vec<String> = vec!["daemon".into()];
        words.extend([format!("--data-root={DATA_ROOT}"), format!("--exec-root={EXEC_ROOT}")]);
        words.push(format!("--host=unix://{EXEC_ROOT}/{SOCKET}"));
        words.push(format!("--images-from={LENT}"));
        if self.cpus > 0.0 {
            words.push(format!("--cpus={}", self.cpus));
        }
        if self.memory > 0 {
            words.push(format!("--memory={}", self.memory));
        }
        words.extend(self.labels.iter().map(|label| format!("--label={label}")));
        words.extend(self.generic_resources.iter().map(|resource| format!("--node-generic-resource={resource}")));
        words
    }

    /// What every program of the node finds in its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let socket = format!("unix://{EXEC_ROOT}/{SOCKET}");
        let fixed = [
            ("PATH", format!("{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            // root of a user namespace only cannot write into the real one's folder
            ("HOME", if userns::lives_in_one() { "/run" } else { "/root" }.to_string()),
            ("USER", "root".to_string()),
            ("HOSTNAME", self.name.clone()),
            ("MINIDOCK_HOST", socket.clone()),
            ("DOCKER_HOST", socket),
            ("MINIDOCK_NODE", self.name.clone()),
            (clock::VARIABLE, format!("{EXEC_ROOT}/{CLOCK}")),
        ];
        fixed.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}
