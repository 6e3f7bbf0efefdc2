//! # Node: a machine that offers itself
//!
//! Its spec (role, availability, labels) is what people decide; its description (name, platform, what it has) is what it
//! told when it joined; its status is what the managers see of it.
//!
//! *See:* moby `api/swagger.yaml` tag Node. *Next room:* [`super::cluster`]

use super::{
    Version, not, null_is_default,
    task::{Amounts, Platform},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    pub spec: NodeSpec,
    pub description: NodeDescription,
    pub status: NodeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager_status: Option<ManagerStatus>,
    /// The role its certificate carries: follows `spec.role` once the node has a new one. Not in Docker's body.
    pub certified_role: Role,
    /// Its number in the managers' consensus. Not in Docker's body.
    #[serde(skip_serializing_if = "super::is_zero_u64")]
    pub raft_id: u64,
    /// Who has read a later version than this knows its spec as it is now. Not in Docker's body.
    #[serde(skip_serializing_if = "super::is_zero_u64")]
    pub spec_after: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Worker,
    Manager,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Manager => "manager",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Takes new tasks; so does a node of which nothing is said.
    #[default]
    #[serde(alias = "")]
    Active,
    /// Keeps what it has.
    Pause,
    /// Gives up what it has.
    Drain,
}

impl Availability {
    pub fn name(self) -> &'static str {
        match self {
            Availability::Active => "active",
            Availability::Pause => "pause",
            Availability::Drain => "drain",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    pub role: Role,
    pub availability: Availability,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDescription {
    pub hostname: String,
    pub platform: Platform,
    pub resources: Amounts,
    pub engine: EngineDescription,
    #[serde(rename = "TLSInfo")]
    pub tls_info: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineDescription {
    pub engine_version: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub plugins: Vec<Plugin>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Plugin {
    #[serde(rename = "Type")]
    pub kind: String,
    pub name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    #[default]
    Unknown,
    Down,
    Ready,
    Disconnected,
}

impl NodeState {
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Unknown => "unknown",
            NodeState::Down => "down",
            NodeState::Ready => "ready",
            NodeState::Disconnected => "disconnected",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStatus {
    pub state: NodeState,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub addr: String,
    /// Where the containers' traffic goes to, when that is not `addr`. Not in Docker's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_path_addr: String,
    /// Since when it is in this state. Not in Docker's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl NodeStatus {
    /// Where the other nodes send what is for containers of this one.
    pub fn data_path(&self) -> &str {
        if self.data_path_addr.is_empty() { &self.addr } else { &self.data_path_addr }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    #[serde(skip_serializing_if = "not")]
    pub leader: bool,
    /// `reachable`, `unreachable`, `unknown`
    pub reachability: String,
    /// `10.0.0.1:2377`
    pub addr: String,
}
