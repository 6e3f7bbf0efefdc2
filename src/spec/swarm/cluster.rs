//! # Cluster: the swarm itself
//!
//! One object of this kind exists: the rules by which this swarm works, its join tokens, its certificate authority and the
//! pool its networks come from. What must stay secret (keys) stands in fields of its own that no API shows.
//!
//! *See:* moby `api/swagger.yaml` tag Swarm; `Swarm`, `SwarmSpec`. *Next room:* [`super::secret`]

use super::{Version, null_is_default};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cluster {
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
    pub data_path_port: u32,
    pub default_addr_pool: Vec<String>,
    pub subnet_size: u32,
    pub join_tokens: JoinTokens,
    /// What no API shows: see the essay.
    #[serde(rename = "MinidockKeys")]
    pub keys: Keys,
}

/// What the managers share and nobody else may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Keys {
    pub ca_certificate: String,
    pub ca_key: String,
    /// While the root is being rotated: the next one, its key, and the next one's key signed by the old root, so that both
    /// those who have renewed and those who have not trust a new certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_certificate: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cross_certificate: String,
    /// Unlocks managers when autolock is on.
    pub unlock_key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JoinTokens {
    pub worker: String,
    pub manager: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClusterSpec {
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    pub orchestration: Orchestration,
    pub raft: Raft,
    pub dispatcher: Dispatcher,
    #[serde(rename = "CAConfig")]
    pub ca_config: CaConfig,
    pub task_defaults: Value,
    pub encryption_config: EncryptionConfig,
}

impl Default for ClusterSpec {
    fn default() -> ClusterSpec {
        ClusterSpec {
            name: "default".into(),
            labels: BTreeMap::new(),
            orchestration: Orchestration::default(),
            raft: Raft::default(),
            dispatcher: Dispatcher::default(),
            ca_config: CaConfig::default(),
            task_defaults: Value::Object(serde_json::Map::new()),
            encryption_config: EncryptionConfig::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Orchestration {
    /// How many ended tasks a slot keeps.
    pub task_history_retention_limit: i64,
}

impl Default for Orchestration {
    fn default() -> Orchestration {
        Orchestration { task_history_retention_limit: 5 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Raft {
    pub snapshot_interval: u64,
    pub keep_old_snapshots: u64,
    pub log_entries_for_slow_followers: u64,
    pub election_tick: u64,
    pub heartbeat_tick: u64,
}

impl Default for Raft {
    fn default() -> Raft {
        Raft {
            snapshot_interval: 10_000,
            keep_old_snapshots: 0,
            log_entries_for_slow_followers: 500,
            election_tick: 10,
            heartbeat_tick: 1,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dispatcher {
    /// Nanoseconds; a node that is silent for three of them is down.
    pub heartbeat_period: i64,
}

impl Default for Dispatcher {
    fn default() -> Dispatcher {
        Dispatcher { heartbeat_period: 5_000_000_000 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CaConfig {
    /// Nanoseconds a node's certificate is good for.
    pub node_cert_expiry: i64,
    #[serde(skip_serializing_if = "super::is_zero_u64")]
    pub force_rotate: u64,
    /// A root to rotate to, as PEM text; empty: one is made. The key is never shown again.
    #[serde(rename = "SigningCACert", skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub signing_ca_cert: String,
    #[serde(rename = "SigningCAKey", skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub signing_ca_key: String,
    #[serde(rename = "ExternalCAs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub external_cas: Vec<Value>,
}

impl Default for CaConfig {
    fn default() -> CaConfig {
        CaConfig {
            node_cert_expiry: 90 * 24 * 3600 * 1_000_000_000,
            force_rotate: 0,
            signing_ca_cert: String::new(),
            signing_ca_key: String::new(),
            external_cas: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EncryptionConfig {
    pub auto_lock_managers: bool,
}
