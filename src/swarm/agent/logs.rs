//! # Logs of tasks: asked of every node, told line by line
//!
//! `service logs` is asked of any manager; the lines lie on the nodes where the tasks run or ran. So a manager asks the agents, and
//! each tells what the containers of the tasks in question have said, with follow also those of tasks that come later.
//!
//! ```text
//!   manager ── session: Logs { id, wish } ──► agent ──► executor
//!           ◄── a line of its own: portions ───┘          until one says that it is the last, or nobody listens any more
//! ```
//!
//! A line of its own, because whoever reads slowly must hold up nothing but the telling.
//!
//! *See:* swarmkit `api/logbroker.proto`. *Next room:* [`super::executor`]

use super::executor::{Executor, Here};
use crate::wire::phone::Phone;
use jiff::Timestamp;
use minidock_base::{Error, Result, error::Wire};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// So many lines, at most, go in one portion.
const PORTION: usize = 256;

/// Whose logs, and which part of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogsWish {
    /// These tasks, and all tasks of these services; with `follow` also those that come later.
    pub task_ids: Vec<String>,
    pub service_ids: Vec<String>,
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The last so many lines of each task; absent: all.
    pub tail: Option<u64>,
    pub follow: bool,
    /// Lines with `key=value` details before them, as `logs --details` shows.
    pub details: bool,
}

/// One line of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    pub task_id: String,
    pub node_id: String,
    pub service_id: String,
    pub stream: LogStream,
    pub time: Timestamp,
    /// With its newline; bytes that are no UTF-8 were replaced when the line was written down.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub bytes: Vec<u8>,
    /// `key=value,key=value`; empty unless details were asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// A portion of what an agent tells.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Portion {
    pub lines: Vec<LogLine>,
    /// Something could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Wire>,
    /// Nothing follows.
    pub last: bool,
}

/// Tells the manager at `address` what was asked for under this number.
///
/// # Errors
/// The manager cannot be reached.
pub async fn tell(
    phone: &Phone,
    address: &str,
    id: u64,
    executor: Arc<dyn Executor>,
    here: &Here,
    wish: LogsWish,
) -> Result<()> {
    let (mut ear, mut mouth) = phone.tell_logs(address, id).await?;
    let last = |error: Option<Error>| Portion { error: error.map(|e| e.to_wire()), last: true, ..Portion::default() };
    let mut lines = match executor.logs(here, wish).await {
        Ok(lines) => lines,
        Err(error) => return mouth.say(&last(Some(error))).await,
    };
    let listener = AbortOnDropHandle::new(tokio::spawn(async move { while let Ok(Some(())) = ear.hear().await {} }));
    tokio::pin!(listener);
    let mut said = Vec::new();
    loop {
        tokio::select! {
            count = lines.recv_many(&mut said, PORTION) => {
                if count == 0 {
                    return mouth.say(&last(None)).await;
                }
            }
            _ = &mut listener => return Ok(()),
        }
        let mut portion = Portion::default();
        for line in said.drain(..) {
            match line {
                Ok(line) => portion.lines.push(line),
                Err(error) => portion.error = Some(error.to_wire()),
            }
        }
        mouth.say(&portion).await?;
    }
}

fn as_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}
