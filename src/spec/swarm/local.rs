//! # Local: what one machine says of its part in a swarm
//!
//! The bodies by which a machine founds, joins and unlocks a swarm, and what `GET /info` and `GET /swarm` tell of it. Unlike the
//! other rooms of this floor these are no rows: they cross one daemon's socket and are never replicated.
//!
//! *See:* moby `api/swagger.yaml`, tag Swarm; `api/types/swarm/swarm.go`. *Next room:* [`super::task`]

use super::{
    Version,
    cluster::{Cluster, ClusterSpec, JoinTokens},
    is_zero_u64,
    node::Availability,
    null_is_default,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /swarm/init`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InitRequest {
    /// `0.0.0.0:2377`, or the name of an interface.
    pub listen_addr: String,
    /// Where the others find this machine: address or interface, with or without a port.
    pub advertise_addr: String,
    /// Where the others send the containers' traffic; as `advertise_addr` if empty.
    pub data_path_addr: String,
    /// UDP port of vxlan; 0: 4789.
    pub data_path_port: u32,
    /// `10.0.0.0/8`
    #[serde(deserialize_with = "null_is_default")]
    pub default_addr_pool: Vec<String>,
    pub force_new_cluster: bool,
    pub spec: ClusterSpec,
    pub auto_lock_managers: bool,
    pub availability: Availability,
    /// Prefix length of subnets cut from the pool; 0: 24.
    pub subnet_size: u32,
}

/// `POST /swarm/join`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JoinRequest {
    pub listen_addr: String,
    pub advertise_addr: String,
    pub data_path_addr: String,
    /// Managers, `10.0.0.1:2377`.
    #[serde(deserialize_with = "null_is_default")]
    pub remote_addrs: Vec<String>,
    /// `SWMTKN-1-…`; as what it joins is in the token.
    pub join_token: String,
    pub availability: Availability,
}

/// `POST /swarm/unlock`, and the answer of `GET /swarm/unlockkey`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnlockRequest {
    pub unlock_key: String,
}

/// How far a machine is in its swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalNodeState {
    /// In none.
    #[default]
    Inactive,
    /// Joining still.
    Pending,
    Active,
    /// It was, and could not take it up again: see `error`.
    Error,
    /// Its log is sealed: `swarm unlock`.
    Locked,
}

impl LocalNodeState {
    pub fn name(self) -> &'static str {
        match self {
            LocalNodeState::Inactive => "inactive",
            LocalNodeState::Pending => "pending",
            LocalNodeState::Active => "active",
            LocalNodeState::Error => "error",
            LocalNodeState::Locked => "locked",
        }
    }
}

/// The `Swarm` object of `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwarmInfo {
    #[serde(rename = "NodeID")]
    pub node_id: String,
    #[serde(rename = "NodeAddr")]
    pub node_addr: String,
    #[serde(rename = "LocalNodeState")]
    pub local_node_state: LocalNodeState,
    /// This machine is a manager.
    #[serde(rename = "ControlAvailable")]
    pub control_available: bool,
    #[serde(rename = "Error")]
    pub error: String,
    /// `null` outside a swarm.
    #[serde(rename = "RemoteManagers")]
    pub remote_managers: Option<Vec<RemoteManager>>,
    #[serde(rename = "Nodes", skip_serializing_if = "is_zero_u64")]
    pub nodes: u64,
    #[serde(rename = "Managers", skip_serializing_if = "is_zero_u64")]
    pub managers: u64,
    /// Only managers know it.
    #[serde(rename = "Cluster", skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    #[serde(rename = "Warnings", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub warnings: Vec<String>,
}

/// A manager, and where it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteManager {
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// `10.0.0.1:2377`
    #[serde(rename = "Addr")]
    pub addr: String,
}

/// A [`Cluster`] without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClusterInfo {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    pub spec: ClusterSpec,
    #[serde(rename = "TLSInfo")]
    pub tls_info: Value,
    pub root_rotation_in_progress: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub default_addr_pool: Vec<String>,
    pub subnet_size: u32,
    pub data_path_port: u32,
}

impl From<&Cluster> for ClusterInfo {
    fn from(cluster: &Cluster) -> ClusterInfo {
        ClusterInfo {
            id: cluster.id.clone(),
            version: cluster.version,
            created_at: cluster.created_at,
            updated_at: cluster.updated_at,
            spec: cluster.spec.clone(),
            tls_info: cluster.tls_info.clone(),
            root_rotation_in_progress: cluster.root_rotation_in_progress,
            default_addr_pool: cluster.default_addr_pool.clone(),
            subnet_size: cluster.subnet_size,
            data_path_port: cluster.data_path_port,
        }
    }
}

/// The answer of `GET /swarm`: with the join tokens, for whoever may ask a manager may also let others in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmObject {
    #[serde(flatten)]
    pub info: ClusterInfo,
    pub join_tokens: JoinTokens,
}

impl From<&Cluster> for SwarmObject {
    fn from(cluster: &Cluster) -> SwarmObject {
        SwarmObject { info: cluster.into(), join_tokens: cluster.join_tokens.clone() }
    }
}
