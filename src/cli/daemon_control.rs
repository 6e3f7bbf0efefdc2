//! # Starting and stopping the daemon from the command line
//!
//! The first `minidock run` on a fresh machine should just work, so a command that finds nobody at the default socket
//! starts a daemon, says so once, and waits until it answers.
//!
//! *Next room:* [`crate::command`]

use minidock_base::Result;
use minidock_client::{Address, Docker};

/// Starts a daemon for the default socket and waits until it answers.
pub async fn start(address: &Address) -> Result<()> {
    Docker::connect(address.clone(), None).await.map(drop)
}
