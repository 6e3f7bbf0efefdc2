//! # Pause: frozen, not stopped
//!
//! The freezer stops all processes of a cgroup where they stand, without their noticing: no signal, no exit. The OCI
//! runtime turns the knob; we write down the phase.
//!
//! *See:* cgroups(7), freezer · moby `daemon/pause.go`. *Next room:* [`crate::container::restart`]

use crate::{
    Engine,
    container::{publish, record::Phase, store::Container, to_the_end},
    runtime_client,
};
use minidock_base::{Error, Result};
use std::sync::Arc;

/// Freezes all processes of a container.
///
/// # Errors
/// 409 when it does not run or is frozen already.
pub async fn pause(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let (engine, text) = (engine.clone(), text.to_string());
    to_the_end(async move { freeze(&engine, &text).await }).await
}

async fn freeze(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let container = engine.containers.find(text)?;
    let _life = container.life.lock().await;
    let id = &container.id;
    match container.record().state.phase {
        Phase::Running => {}
        Phase::Paused => return Err(Error::conflict(format!("container {id} is already paused"))),
        Phase::Restarting => {
            return Err(Error::conflict(format!("Container {id} is restarting, wait until the container is running")));
        }
        _ => return Err(Error::conflict(format!("container {id} is not running"))),
    }
    runtime_client::call(engine, &["pause", id], &[]).await.map_err(|e| e.during(format!("pause container {text}")))?;
    container.change(|r| r.state.become_phase(Phase::Paused))?;
    publish(engine, &container.record(), "pause", &[]);
    Ok(())
}

/// Lets them go on.
///
/// # Errors
/// 409 when it is not frozen.
pub async fn unpause(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let container = engine.containers.find(text)?;
    if container.record().state.phase != Phase::Paused {
        return Err(Error::conflict(format!("container {} is not paused", container.id)));
    }
    let engine = engine.clone();
    let thawing = to_the_end(async move { thaw(&engine, &container).await });
    thawing.await.map_err(|e| e.during(format!("unpause container {text}")))
}

/// The same for a container that is known to be frozen, or was a moment ago.
pub(crate) async fn thaw(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let _life = container.life.lock().await;
    if container.record().state.phase != Phase::Paused {
        return Ok(());
    }
    runtime_client::call(engine, &["resume", &container.id], &[]).await?;
    container.change(|r| r.state.become_phase(Phase::Running))?;
    publish(engine, &container.record(), "unpause", &[]);
    Ok(())
}
