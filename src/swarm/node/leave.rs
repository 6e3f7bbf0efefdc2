//! # To leave a swarm
//!
//! A worker says good-bye and goes; its tasks are replaced at once. A manager's voice counts, so it is let go only by force, and is
//! told before what that means. Leaving with force, it asks the others to do without its voice first: they would have to reckon
//! with a manager that never answers.
//!
//! Laws: containers of tasks go with the node; whatever fails, the node is out in the end. *See:* moby `daemon/cluster/swarm.go`,
//! `Leave`. *Next room:* [`super::record`]

use super::{Setup, life::Life, record::Folder};
use crate::{agent, manager::Manager, wire::Ask};
use minidock_base::{Error, Result};
use std::time::Duration;

/// The others are asked for so long, and then left alone.
const FAREWELL: Duration = Duration::from_secs(5);

/// Leaves.
///
/// # Errors
/// 503: a manager, without force.
pub async fn leave(life: &Life, force: bool) -> Result<()> {
    let manager = life.manager();
    if let (Some(manager), false) = (&manager, force) {
        return Err(Error::unavailable(what_is_lost(manager)));
    }
    let farewell = async {
        match &manager {
            Some(manager) => manager.resign().await,
            None => life.ask_managers(&Ask::Farewell).await.map(drop),
        }
    };
    match tokio::time::timeout(FAREWELL, farewell).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("left without a good-bye: {}", error.message()),
        Err(_) => tracing::warn!("left without a good-bye: no answer within {} s", FAREWELL.as_secs()),
    }
    drop(manager);
    life.end().await;
    give_up(&life.setup).await
}

/// Whatever this machine has of a swarm, gone.
///
/// # Errors
/// Files cannot be removed.
pub async fn give_up(setup: &Setup) -> Result<()> {
    agent::abandon(setup.executor.as_ref()).await;
    Folder(setup.folder.clone()).forget()
}

/// Docker's words, with what is known of the others.
fn what_is_lost(manager: &Manager) -> String {
    let mut text = String::from("You are attempting to leave the swarm on a node that is participating as a manager. ");
    let known = manager.leadership();
    let all = known.managers.iter().filter(|m| m.votes).count();
    let reachable = known.managers.iter().filter(|m| m.votes && m.reachable).count();
    if all <= 1 {
        text += "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ";
        return text.trim_end().to_string();
    }
    if reachable.saturating_sub(1) <= all / 2 {
        text += &format!(
            "Removing this node leaves {} managers out of {all}. Without a Raft quorum your swarm will be inaccessible. ",
            reachable.saturating_sub(1)
        );
    }
    text + "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message."
}
