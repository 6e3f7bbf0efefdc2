//! # The executor: the agent's hands
//!
//! The agent knows rungs of a ladder; it knows no containers, images or networks. What it wants done it asks of an [`Executor`],
//! which is one machine, and of a [`Controller`], which is one task's container. `minidock_executor` makes them out of an engine;
//! the agent's tests (and one day a model cluster) have others.
//!
//! ```text
//!   agent ── ground(view) ──────────► Executor     every network of this node, whole
//!         ── controller(task) ──────►    │
//!                                        ▼
//!         ── prepare · start · wait ─► Controller   one container
//!            shutdown · terminate · remove
//! ```
//!
//! Laws: every verb may be called again after it has succeeded, or after the daemon died in the middle of it: a container that exists
//! is taken up, one that runs is not started again, one that is gone is removed already. A controller's verbs may be dropped
//! half-way (the task's wish has changed); what they began is then finished or undone by the next verb.
//!
//! *See:* swarmkit `agent/exec/executor.go`, `controller.go`. *Next room:* [`super::climb`]

use super::logs::{LogLine, LogsWish};
use crate::dispatcher::View;
use futures_util::future::BoxFuture;
use minidock_base::Result;
use minidock_spec::swarm::{
    node::NodeDescription,
    secret::{Config, Secret},
    task::{ContainerStatus, PortStatus, Task},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc;

/// One machine on which tasks run.
pub trait Executor: Send + Sync + 'static {
    /// What this machine is: name, platform, what it can give, labels and plug-ins of its engine.
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription>>;

    /// Makes true what the node's view says of networks and of the mesh. Whole and idempotent; called before tasks of a new view are
    /// prepared, and again whenever who stands behind a name or a port has changed. Calls never overlap.
    fn ground<'a>(&'a self, here: &'a Here, view: &'a View) -> BoxFuture<'a, Result<()>>;

    /// The controller of a task; does nothing yet.
    ///
    /// # Errors
    /// The task asks for something that this machine cannot do (a runtime that is no container, a broken template).
    fn controller(&self, task: Arc<Task>, here: Here, files: Files) -> Result<Arc<dyn Controller>>;

    /// IDs of tasks whose containers are here, from whatever life.
    fn known(&self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// Ends and removes the container of a task that nobody wants here any more; what is gone is fine.
    fn discard<'a>(&'a self, task_id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// What the containers of tasks on this machine say. The stream ends when all has been said, or never with `follow`; dropping the
    /// receiver ends it.
    ///
    /// # Errors
    /// 400 for a wish that cannot be read. Tasks that are not here are no error.
    fn logs<'a>(&'a self, here: &'a Here, wish: LogsWish) -> BoxFuture<'a, Result<mpsc::Receiver<Result<LogLine>>>>;
}

/// Drives the container of one task.
pub trait Controller: Send + Sync + 'static {
    /// PREPARING → READY: the image is here, the container is made.
    ///
    /// # Errors
    /// What stands in the way, in Docker's words (`No such image: x`); the task is REJECTED.
    fn prepare(&self) -> BoxFuture<'_, Result<()>>;

    /// STARTING → RUNNING: it runs and, if it has a health check, is healthy.
    ///
    /// # Errors
    /// `starting container failed: …`, an end before it was healthy, `unhealthy container`; the task has FAILED.
    fn start(&self) -> BoxFuture<'_, Result<()>>;

    /// RUNNING: until it has ended by itself. An unhealthy one is ended.
    ///
    /// # Errors
    /// It ended badly: `task: non-zero exit (1)`.
    fn wait(&self) -> BoxFuture<'_, Result<()>>;

    /// Its stop signal, its grace period, and then SIGKILL; returns when it has ended.
    ///
    /// # Errors
    /// It cannot be ended.
    fn shutdown(&self) -> BoxFuture<'_, Result<()>>;

    /// SIGKILL at once.
    ///
    /// # Errors
    /// It cannot be ended.
    fn terminate(&self) -> BoxFuture<'_, Result<()>>;

    /// Away with it, and with its anonymous volumes.
    ///
    /// # Errors
    /// What the engine says.
    fn remove(&self) -> BoxFuture<'_, Result<()>>;

    /// What there is to tell of the container; `None` before it is made.
    fn status(&self) -> Option<Seen>;
}

/// What a controller sees of its container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub container: ContainerStatus,
    /// Ports of the machine that lead to it (`mode=host`), with the number that was chosen.
    pub ports: PortStatus,
}

/// Where the agent lives; templates speak of it (`{{.Node.Hostname}}`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Here {
    pub node_id: String,
    pub description: Arc<NodeDescription>,
}

/// The secrets and configs that one task was granted, by ID, with their bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    pub secrets: BTreeMap<String, Secret>,
    pub configs: BTreeMap<String, Config>,
}
