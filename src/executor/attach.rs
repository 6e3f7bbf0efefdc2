//! # Attach: the swarm's end of a person's container on an overlay
//!
//! Two halves of one thing. [`BySwarm`] asks the managers for a place when a container that is no task wants one; [`AttachedContainer`]
//! is what the agent is given for the task that comes of it: there is nothing to prepare and nothing to start, and it is over when the
//! container has left the network.
//!
//! *See:* moby `daemon/cluster/executor/container/attachment.go`. *Next room:* [`crate::container`]

use futures_util::future::BoxFuture;
use minidock_base::Result;
use minidock_engine::{
    Engine,
    networks::overlay::attach::{self, AttachWish, Attached, Attacher},
};
use minidock_spec::swarm::task::Task;
use minidock_swarm::{
    agent::executor::{Controller, Seen},
    control::attachments::Attach,
    node::Swarm,
};
use std::sync::{Arc, Weak};

/// Asks this machine's swarm.
pub struct BySwarm(pub Weak<Swarm>);

impl Attacher for BySwarm {
    fn attach(&self, wish: AttachWish) -> BoxFuture<'_, Result<Option<Attached>>> {
        Box::pin(async move {
            let Some(swarm) = self.0.upgrade() else { return Ok(None) };
            let AttachWish { network, container_id, name, address } = wish;
            let attached = swarm.attach(Attach { network, container_id, name, address }).await?;
            Ok(attached.map(|a| Attached { task: a.task, network_id: a.network_id, address: a.address }))
        })
    }
}

/// A container that is no task, on a network of the swarm.
pub struct AttachedContainer {
    pub engine: Arc<Engine>,
    pub task: Arc<Task>,
}

impl AttachedContainer {
    async fn left(&self) {
        let container = self.task.spec.network_attachment_spec.clone().unwrap_or_default().container_id;
        attach::holds(&self.engine).until_let_go(&container, &self.task.id).await;
    }
}

impl Controller for AttachedContainer {
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn wait(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.left().await;
            Ok(())
        })
    }

    /// A person's container is not the swarm's to end; its place on the network ends with it.
    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn terminate(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn remove(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> Option<Seen> {
        None
    }
}
