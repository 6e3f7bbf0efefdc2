//! # Nodes: who is there, and what they may do
//!
//! *See:* moby `daemon/cluster/nodes.go`. *Next room:* [`super::tasks`]

use super::{narrow, shown, version};
use crate::{
    answer::{Answer, empty, json},
    call::Call,
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_spec::{engine::body, swarm::node::NodeSpec};
use minidock_swarm::control::{Wish, nodes};
use serde_json::Value;

/// `GET /nodes?filters=`.
pub async fn list(call: Call) -> Result<Answer> {
    let manager = call.manager()?;
    let filters = call.query.filters()?;
    narrow::check_nodes(&filters)?;
    let nodes: Vec<_> = manager.view(|tables| tables.nodes().filter(|n| narrow::node(&filters, n)).cloned().collect());
    json(&nodes.iter().map(|node| shown::node(&manager.shown(node))).collect::<Vec<Value>>())
}

/// `GET /nodes/{id or name}`.
pub async fn inspect(call: Call, text: &str) -> Result<Answer> {
    let manager = call.manager()?;
    let node = manager.view(|tables| nodes::find(tables, text).cloned())?;
    json(&shown::node(&manager.shown(&node)))
}

/// `POST /nodes/{id or name}/update?version=`: role and availability must be said, for what is left out would change.
pub async fn update(mut call: Call, text: &str) -> Result<Answer> {
    let spec: Value = call.json().await?;
    let manager = call.manager()?;
    let version = version(&call, "node")?;
    said(&spec, "Role", &["worker", "manager"])?;
    said(&spec, "Availability", &["active", "pause", "drain"])?;
    let spec: NodeSpec = body::decode(spec.to_string().as_bytes())?;
    manager.wish(Wish::UpdateNode { id: text.to_string(), version, spec }).await?;
    Ok(empty(StatusCode::OK))
}

fn said(spec: &Value, key: &str, words: &[&str]) -> Result<()> {
    let word = spec.get(key).and_then(Value::as_str).unwrap_or_default();
    match words.contains(&word) {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid {key}: {word:?}")).hint(format!("one of {}", words.join(", ")))),
    }
}

/// `DELETE /nodes/{id or name}?force=`.
pub async fn remove(call: Call, text: &str) -> Result<Answer> {
    let force = call.query.flag("force");
    call.manager()?.wish(Wish::RemoveNode { id: text.to_string(), force }).await?;
    Ok(empty(StatusCode::OK))
}
