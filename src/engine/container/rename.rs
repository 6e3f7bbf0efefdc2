//! # Rename: another name for the same container
//!
//! *See:* moby `daemon/rename.go`. *Next room:* [`crate::container::update`]

use crate::{Engine, container::publish, networks::names};
use minidock_base::{Error, Result};
use std::sync::Arc;

/// Gives a container another name; id and hostname stay.
///
/// # Errors
/// 400 for a bad name or the same one; 409 for one in use.
pub async fn rename(engine: &Arc<Engine>, text: &str, new: &str) -> Result<()> {
    let container = engine.containers.find(text)?;
    let _life = container.life.lock().await;
    let old = container.record().name.clone();
    if new.trim_start_matches('/').is_empty() {
        return Err(Error::invalid("Neither old nor new names may be empty"));
    }
    if new.trim_start_matches('/') == old {
        return Err(Error::invalid("Renaming a container with the same name as its current name".to_string()));
    }
    engine.containers.rename(&container, new).map_err(|e| e.during(format!("rename container {text}")))?;
    names::announce(engine, &container);
    publish(engine, &container.record(), "rename", &[("oldName", format!("/{old}"))]);
    Ok(())
}
