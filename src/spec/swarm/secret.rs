//! # Secret and config: small files that tasks are given
//!
//! Both are bytes with a name. A *config* may be read back; a *secret* never: it leaves the managers only for a node that runs
//! a task to which it was granted, and lies there in memory alone. Neither can be changed, only its labels.
//!
//! *See:* moby `api/swagger.yaml` tags Secret, Config. *Next room:* [`super::task`]

use super::{Version, null_is_default, task::Driver};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    pub spec: SecretSpec,
}

/// A config is the same thing, less guarded.
pub type Config = Secret;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretSpec {
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// Base64; left out when a secret is shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templating: Option<Driver>,
}
