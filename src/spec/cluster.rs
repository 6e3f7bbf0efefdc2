//! # Cluster: what is said about simulated nodes
//!
//! `minidock cluster up --nodes 3` asks the daemon it talks to for machines; `cluster ls` shows what became of them. Docker has no such
//! thing, so these bodies are ours, in Docker's spelling, below `/minidock/cluster`.
//!
//! * [`UpRequest`] and [`AddRequest`] wish for nodes; [`Cluster`] and [`Node`] describe them; [`Status`] is what a node is doing now.
//! * [`Cut`] is one direction of a cut cable, [`CutRequest`] and [`PartitionRequest`] wish for some; [`SkewRequest`] for a clock that is wrong.
//!
//! Sizes are bytes, CPUs are cores (`1.5`). Next room: [`crate::swarm`]

use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST /minidock/cluster`: the cluster and its first nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpRequest {
    /// A way to the outside, by the machine that hosts the nodes.
    pub uplink: bool,
    /// The block of the underlay, `192.168.66.0/24`; empty: a free one.
    pub subnet: String,
    /// Only machines, no swarm.
    pub no_swarm: bool,
    #[serde(flatten)]
    pub nodes: AddRequest,
}

/// `POST /minidock/cluster/nodes`: more nodes, all alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddRequest {
    pub nodes: u32,
    /// How many of them are managers.
    pub managers: u32,
    /// Cores each node may use and says it has; 0: all of the machine's.
    pub cpus: f64,
    /// Bytes each node may use and says it has; 0: all of the machine's.
    pub memory: i64,
    /// `key=value` for each, `node2:key=value` for one.
    pub labels: Vec<String>,
    /// What they offer besides CPUs and memory, in the same form: `gpu=2`, `node2:gpu=a`.
    pub generic_resources: Vec<String>,
}

/// `GET /minidock/cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cluster {
    #[serde(rename = "ID")]
    pub id: String,
    pub created_at: String,
    pub subnet: String,
    pub gateway: String,
    /// The underlay's link on the machine that hosts the nodes.
    pub bridge: String,
    pub uplink: bool,
    pub swarm: bool,
    pub nodes: Vec<Node>,
    pub cuts: Vec<Cut>,
    /// What the hosting machine cannot give its nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One simulated node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    pub name: String,
    pub address: String,
    pub status: Status,
    /// The node's daemon listens here; a client of this machine can use it.
    pub socket: String,
    pub data_root: String,
    /// PID 1 of the node, as the hosting machine counts; 0 when it does not run.
    pub pid: i32,
    pub cpus: f64,
    pub memory: i64,
    pub labels: Vec<String>,
    /// How far its clock is set off, in nanoseconds; 0: it is right.
    pub skew: i64,
    pub started_at: String,
    /// The far end of its cable, on the underlay's bridge.
    pub link: String,
    /// What the node's own daemon says, if it answers: its part in a swarm (`inactive`, `active`, `locked`, …), whether it is a manager, its node ID.
    pub swarm: String,
    pub manager: bool,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Its containers that run; -1 when its daemon does not answer.
    pub containers: i64,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Running,
    /// Frozen: its processes are where they were.
    Paused,
    /// The machine runs, its daemon does not.
    #[serde(rename = "no daemon")]
    NoDaemon,
    /// Shut down in order.
    #[default]
    Stopped,
    /// Its power was cut.
    Killed,
    /// It should run and does not: nobody asked for that.
    Dead,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Running => "running",
            Status::Paused => "paused",
            Status::NoDaemon => "no daemon",
            Status::Stopped => "stopped",
            Status::Killed => "killed",
            Status::Dead => "dead",
        })
    }
}

/// What one node sends does not reach the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Cut {
    pub from: String,
    pub to: String,
}

/// `POST /minidock/cluster/cut`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CutRequest {
    pub from: String,
    pub to: String,
    /// Only what `from` sends is lost.
    pub one_way: bool,
}

/// `POST /minidock/cluster/partition`: nodes of one group reach each other, those of different groups do not. Nodes that are not named are a
/// group of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PartitionRequest {
    pub groups: Vec<Vec<String>>,
}

/// `POST /minidock/cluster/nodes/{name}/skew`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SkewRequest {
    /// How far the node's clock shall be off, in nanoseconds; 0: it shall be right.
    pub skew: i64,
}

/// `POST /minidock/cluster/nodes/{name}/{verb}`: what a verb may be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeRequest {
    /// `kill`: only the daemon; containers go on.
    pub daemon: bool,
    /// `stop`: how long programs may take to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u64>,
}
