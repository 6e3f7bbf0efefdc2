//! # Tasks: what became of what was asked
//!
//! *See:* moby `daemon/cluster/tasks.go`. *Next room:* [`super::logs`]

use super::{narrow, shown};
use crate::{
    answer::{Answer, json},
    call::Call,
};
use minidock_base::{Error, Result};
use minidock_swarm::{control::find, store::Table};
use serde_json::Value;

/// `GET /tasks?filters=`.
pub async fn list(call: Call) -> Result<Answer> {
    let manager = call.manager()?;
    let filters = call.query.filters()?;
    let tasks: Vec<Value> = manager.view(|tables| {
        let wanted = narrow::Tasks::read(filters, tables)?;
        Ok::<_, Error>(wanted.of(tables).into_iter().map(shown::task).collect())
    })?;
    json(&tasks)
}

/// `GET /tasks/{id}`.
pub async fn inspect(call: Call, text: &str) -> Result<Answer> {
    let task = call.manager()?.view(|tables| {
        let id = find(tables, Table::Task, text)?;
        tables.task(&id).map(|task| shown::task(task)).ok_or_else(|| Error::not_found(format!("task {text} not found")))
    })?;
    json(&task)
}
