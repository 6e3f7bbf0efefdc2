//! # Logs: what tasks say, gathered from every node
//!
//! *Next room:* [`crate::agent::logs`]

use super::Manager;
use crate::agent::logs::{LogLine, LogsWish};
use minidock_base::{Error, Result};
use tokio::sync::mpsc;

impl Manager {
    /// Lines of tasks of a service wherever they run, as they come: in order within a task. Dropping the receiver ends it.
    ///
    /// # Errors
    /// 503: no leader.
    pub async fn logs(&self, wish: LogsWish) -> Result<mpsc::Receiver<Result<LogLine>>> {
        let _ = wish;
        Err(Error::unavailable("logs across nodes are not there yet"))
    }
}
