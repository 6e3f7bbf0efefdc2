//! # The agent: a node's end of the swarm
//!
//! It holds a session with the leader, hears which tasks this node shall have, and makes each climb its ladder by the hands of an
//! [`executor`]. What it was told stays true for it until it is told otherwise: a node that has lost its managers goes on, and a
//! daemon that comes back takes up again what runs.
//!
//! ```text
//!                  leader
//!         News │        ▲ Hello, Beat, Status
//!              ▼        │
//!            [`session`] ── one line at a time; breaks, calls again
//!              │        ▲
//!              ▼        │ newest wins
//!            [`worker`]  [`reporter`]
//!   view ─► │    │        ▲
//!           ▼    ▼        │
//!     [`ground`] [`climb`], one for each task: ACCEPTED PREPARING READY STARTING RUNNING …
//!           │    │
//!           ▼    ▼
//!          [`executor`]: networks, containers
//! ```
//!
//! * [`session`] finds the leader; [`worker`] knows the view and has a climber for each task; [`climb`] is the ladder.
//! * [`ground`] makes networks stand before tasks need them. [`logs`]: `service logs`, the node's part.
//! * [`expand`]: placeholders in what a service says, filled in on the node.
//!
//! Laws: the agent decides nothing about other nodes, restarts nothing (that is a new task, and the managers' business) and knows no
//! container by name. It may be ended at any line; the first news of the next session put everything right.
//!
//! *See:* swarmkit `agent/`. *Next room:* [`session`]

pub mod climb;
pub mod executor;
pub mod expand;
pub mod ground;
pub mod logs;
pub mod reporter;
pub mod session;
pub mod worker;

use crate::{dispatcher::View, wire::phone::Phone};
use executor::{Executor, Here};
use minidock_spec::swarm::{local::RemoteManager, node::NodeDescription};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use worker::Worker;

/// Where an agent stands, and whom it calls.
pub struct Post {
    pub phone: Arc<Phone>,
    /// Addresses of managers, best first; they may change.
    pub managers: watch::Receiver<Vec<String>>,
    /// Where the leader answers, if this node is a manager and so knows by itself; it may change.
    pub leads: watch::Receiver<Option<String>>,
    pub node_id: String,
    /// Where the others find this node; empty: where it calls from.
    pub address: String,
    /// Where the containers' traffic is to go; empty: as `address`.
    pub data_path_address: String,
    pub executor: Arc<dyn Executor>,
    pub heard: mpsc::Sender<Heard>,
    pub closing: CancellationToken,
}

/// What a session brings that is not the agent's business.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Where the managers are now.
    Managers(Vec<RemoteManager>),
    /// The node's role has changed: it should ask for a new certificate.
    Renew,
    /// This manager has no voice, and should ask for one.
    Enlist,
    /// The node is no longer of this swarm.
    Removed,
}

/// Serves until `closing`, or until the node is removed; tasks go on in any case.
pub async fn run(post: Post) {
    let serve = async {
        let here = Here { node_id: post.node_id.clone(), description: describe(&post).await };
        let worker = Arc::new(Worker::new(post.executor.clone(), here));
        tokio::select! {
            () = session::keep(&post, &worker) => {}
            () = worker.ground.keep(post.executor.as_ref(), &worker.here) => {}
        }
    };
    tokio::select! {
        () = serve => {}
        () = post.closing.cancelled() => {}
    }
}

/// What this machine is; it is asked until it answers.
async fn describe(post: &Post) -> Arc<NodeDescription> {
    loop {
        match post.executor.describe().await {
            Ok(description) => return Arc::new(description),
            Err(error) => tracing::warn!("this machine does not know itself: {}", error.message()),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// This node leaves: the containers of all tasks are ended and removed, then the networks.
pub async fn abandon(executor: &dyn Executor) {
    let known = executor.known().await.unwrap_or_default();
    futures_util::future::join_all(known.iter().map(|task| worker::discard(executor, task))).await;
    if let Err(error) = executor.ground(&Here::default(), &View::default()).await {
        tracing::warn!("some networks of the swarm are still here: {}", error.message());
    }
}

#[cfg(test)]
mod tests;
