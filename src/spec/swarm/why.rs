//! # Why: what stands in the way, as a value
//!
//! The answers of `GET /minidock/why/task`, `…/service` and `…/leader`: not Docker's, so they have a shape of ours. Each has a verdict in one
//! sentence, the facts it was drawn from, and what to do.
//!
//! *See:* design.md section 6. *Next room:* [`super::task`]

use super::task::TaskState;
use serde::{Deserialize, Serialize};

/// Why a task is where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskWhy {
    #[serde(rename = "ID")]
    pub id: String,
    /// `web.1`, or `web.<node>`
    pub name: String,
    pub service: String,
    pub state: TaskState,
    pub desired_state: TaskState,
    /// Where it is, if anywhere.
    pub node: String,
    /// In one sentence.
    pub verdict: String,
    /// While it waits for a node: each one, filter by filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeWhy>,
    /// The smallest change that would make it fit somewhere.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub change: String,
    /// Commands that make that change, or that tell more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// What one node says to one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeWhy {
    #[serde(rename = "ID")]
    pub id: String,
    pub hostname: String,
    pub fits: bool,
    pub filters: Vec<FilterWhy>,
}

/// One filter's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FilterWhy {
    /// `ready`, `resources`, `constraints`, `platform`, `host ports`, `max replicas`
    pub filter: String,
    pub holds: bool,
    /// What does not hold; empty if it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a service still waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceWhy {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    /// `replicated`, `global`, `replicated job`, `global job`
    pub mode: String,
    pub running: u64,
    pub desired: u64,
    pub verdict: String,
    /// Nothing: it is as it was asked for.
    pub waits: Vec<Wait>,
}

/// One thing that is waited for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Wait {
    /// In one sentence.
    pub what: String,
    /// The tasks that wait for it, by ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// What tells more, or helps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// Who leads, or why nobody does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LeaderWhy {
    /// The leader's node ID; empty while there is none.
    pub leader: String,
    pub term: u64,
    pub verdict: String,
    /// Managers that must agree, and those that can be heard from here.
    pub needed: usize,
    pub heard: usize,
    pub managers: Vec<ManagerWhy>,
    /// What to do when nobody leads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<String>,
}

/// A manager, as the one that was asked sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerWhy {
    #[serde(rename = "ID")]
    pub id: String,
    pub hostname: String,
    pub addr: String,
    pub leads: bool,
    pub votes: bool,
    pub reachable: bool,
    /// The one that answers.
    pub itself: bool,
    /// Seconds since it was last heard of; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<f64>,
}
