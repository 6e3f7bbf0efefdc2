//! # Image bodies: list, inspect, history, progress
//!
//! See: moby `api/swagger.yaml` tag Image. Next room: [`crate::engine::network`]

use super::{
    container::{ContainerConfig, GraphDriver},
    null_is_default,
};
use minidock_base::units;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One row of `GET /images/json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageSummary {
    /// `sha256:…` of the configuration.
    pub id: String,
    pub parent_id: String,
    #[serde(deserialize_with = "null_is_default")]
    pub repo_tags: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub repo_digests: Vec<String>,
    /// Unix seconds.
    pub created: i64,
    /// Bytes of all layers, unpacked.
    pub size: i64,
    /// -1: not computed.
    pub shared_size: i64,
    pub labels: Option<BTreeMap<String, String>>,
    /// -1: not computed.
    pub containers: i64,
}

/// `GET /images/{name}/json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageInspect {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    pub created: String,
    pub docker_version: String,
    pub author: String,
    pub config: ContainerConfig,
    pub architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    pub os: String,
    pub size: i64,
    pub virtual_size: i64,
    pub graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFsInspect,
    pub metadata: ImageMetadata,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RootFsInspect {
    #[serde(rename = "Type")]
    pub kind: String,
    pub layers: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageMetadata {
    pub last_tag_time: String,
}

/// One row of `GET /images/{name}/history`, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HistoryItem {
    pub id: String,
    pub created: i64,
    pub created_by: String,
    pub tags: Option<Vec<String>>,
    pub size: i64,
    pub comment: String,
}

/// One line of what `DELETE /images/{name}` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageDeleted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untagged: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImagesPruned {
    pub images_deleted: Option<Vec<ImageDeleted>>,
    pub space_reclaimed: i64,
}

/// One line of a progress stream (pull, load, import, build).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// Docker's ready-drawn bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl Progress {
    /// `{"status":"Pull complete","progressDetail":{},"id":"30eb…"}`: a word about one layer.
    pub fn of(id: &str, status: &str) -> Progress {
        let detail = Some(ProgressDetail::default());
        Progress { status: Some(status.into()), progress_detail: detail, id: Some(id.into()), ..Progress::default() }
    }

    /// The same with a bar.
    pub fn bar(id: &str, status: &str, current: u64, total: u64) -> Progress {
        let detail = Some(ProgressDetail { current: Some(current), total: Some(total) });
        Progress { progress: Some(bar(current, total)), progress_detail: detail, ..Progress::of(id, status) }
    }

    /// A line of its own.
    pub fn line(status: impl Into<String>) -> Progress {
        Progress { status: Some(status.into()), ..Progress::default() }
    }
}

/// `[=====>    ]  1.2MB/3MB`, fifty wide, as Docker draws it.
pub fn bar(current: u64, total: u64) -> String {
    let done = (current.saturating_mul(50) / total.max(1)).min(50) as usize;
    let head = if done < 50 { ">" } else { "" };
    let sizes = format!("{}/{}", units::human_size(current as f64), units::human_size(total as f64));
    format!("[{}{head}{}]  {sizes:>8}", "=".repeat(done), " ".repeat(50 - done - head.len()))
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minidock: Option<minidock_base::error::Wire>,
}
