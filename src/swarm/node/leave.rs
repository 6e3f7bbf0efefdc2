//! # To leave a swarm
//!
//! A worker says good-bye and goes; its tasks are replaced at once. A manager's voice counts, so it is let go only by force, and is
//! told before what that means; one that has just been demoted is waited for, and goes as the worker that it will be. Leaving with force, it asks the others to do without its voice first: they would have to reckon
//! with a manager that never answers.
//!
//! Laws: containers of tasks go with the node; whatever fails, the node is out in the end. *See:* moby `daemon/cluster/swarm.go`,
//! `Leave`. *Next room:* [`super::record`]

use super::{Setup, life::Life, record::Folder};
use crate::{agent, manager::Manager, wire::Ask};
use minidock_base::{Error, Result};
use minidock_spec::swarm::node::Role;
use std::time::Duration;

/// The others are asked for so long, and then left alone.
const FAREWELL: Duration = Duration::from_secs(5);

/// A manager that was demoted is a worker within this time, unless there is no majority.
const DEMOTION: Duration = Duration::from_secs(5);

/// Leaves.
///
/// # Errors
/// 503: a manager, without force.
pub async fn leave(life: &Life, force: bool) -> Result<()> {
    if life.manager().is_some_and(|manager| is_demoted(&manager)) {
        let mut turns = life.turns(); // what was asked for takes a moment
        let _ = tokio::time::timeout(DEMOTION, turns.wait_for(Option::is_none)).await;
    }
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

/// Somebody wants it to be a worker, as far as its own tables say.
fn is_demoted(manager: &Manager) -> bool {
    manager.view(|tables| tables.node(&manager.node_id).is_some_and(|node| node.spec.role == Role::Worker))
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
