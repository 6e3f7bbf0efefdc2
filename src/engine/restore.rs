//! # Restore: the daemon was away
//!
//! *Next room:* [`crate::container`]

use crate::Engine;
use minidock_base::Result;
use std::sync::Arc;

/// Puts right whatever happened while no daemon was there.
pub async fn restore(_engine: &Arc<Engine>) -> Result<()> {
    Ok(())
}
