//! # The executor: tasks become containers
//!
//! The swarm's agent knows rungs, the engine knows containers; this floor stands between them and translates. A task says what it
//! wants in SwarmKit's words; what comes out is a body for `POST /containers/create`, and calls of the engine that anybody could make.
//!
//! ```text
//!   swarm::agent ──► Machine ── ground(view) ─────► [`ground`]     networks, names, the mesh
//!                      │     ── describe ─────────► [`describe`]   what this node offers
//!                      │     ── logs(wish) ───────► [`logs`]       what its tasks say
//!                      └─ controller(task) ─► [`container`]
//!                                                │ prepare · start · wait · shutdown · remove
//!                             [`image`] ◄────────┤ is it here? else pull
//!                             [`files`] ◄────────┤ secrets and configs, in memory
//!                             [`body`]  ◄────────┘ Task → create body
//! ```
//!
//! * [`body`] is a function from values to values; everything else calls the engine.
//!
//! Laws: the engine does not know the swarm, and the agent does not know the engine; what a container is of the swarm stands in its
//! labels (`com.docker.swarm.task.id`), so that a daemon that comes back finds its tasks by looking at what is there.
//!
//! *In the real world* this is dockerd's `daemon/cluster/executor/container`. *Next room:* [`container`]

pub mod attach;
pub mod body;
pub mod container;
pub mod describe;
pub mod files;
pub mod ground;
pub mod image;
pub mod logs;

use attach::AttachedContainer;
use body::TASK_ID;
use container::TaskContainer;
use futures_util::future::BoxFuture;
use minidock_base::Result;
use minidock_engine::Engine;
use minidock_registry::client::Client;
use minidock_spec::swarm::{generic::GenericResource, node::NodeDescription, task::Task};
use minidock_swarm::{
    agent::{
        executor::{Controller, Executor, Files, Here},
        logs::{LogLine, LogsWish},
    },
    dispatcher::View,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::{Semaphore, mpsc};

/// What a node says of itself, where its machine would say otherwise: a simulated node has a name and a share of its own.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `node1`; else the machine's name.
    pub hostname: Option<String>,
    /// Billionths of a CPU; else all there are.
    pub nano_cpus: Option<i64>,
    pub memory_bytes: Option<i64>,
    /// `daemon --label`: the engine's labels.
    pub labels: BTreeMap<String, String>,
    /// `daemon --node-generic-resource`.
    pub generic: Vec<GenericResource>,
}

/// One machine's engine, as the swarm uses it.
#[derive(Clone)]
pub struct Machine {
    pub engine: Arc<Engine>,
    /// Images come from registries by this.
    pub registry: Arc<Client>,
    pub facts: Arc<Facts>,
    /// Containers that may be made or started at once.
    pub births: Arc<Semaphore>,
}

impl Machine {
    /// An engine for the swarm's use.
    pub fn new(engine: Arc<Engine>, registry: Arc<Client>, facts: Facts) -> Machine {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Machine { engine, registry, facts: Arc::new(facts), births: Arc::new(Semaphore::new(processors * 4)) }
    }
}

impl Executor for Machine {
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription>> {
        Box::pin(describe::describe(&self.engine, &self.facts))
    }

    fn ground<'a>(&'a self, here: &'a Here, view: &'a View) -> BoxFuture<'a, Result<()>> {
        Box::pin(ground::ground(self, here, view))
    }

    fn controller(&self, task: Arc<Task>, here: Here, files: Files) -> Result<Arc<dyn Controller>> {
        if task.spec.network_attachment_spec.is_some() {
            return Ok(Arc::new(AttachedContainer { engine: self.engine.clone(), task }));
        }
        body::container_spec(&task)?;
        Ok(Arc::new(TaskContainer { machine: self.clone(), task, here, files, busy: Arc::default() }))
    }

    fn known(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        let task = |labels: &BTreeMap<String, String>| labels.get(TASK_ID).cloned();
        let all = self.engine.containers.all();
        let mut known: BTreeSet<String> = all.iter().filter_map(|c| task(&c.record().config.labels)).collect();
        known.extend(files::known(&self.engine.paths)); // a container may have been removed by hand, its secrets not
        Box::pin(async move { Ok(known.into_iter().collect()) })
    }

    fn discard<'a>(&'a self, task_id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for container in self.engine.containers.all() {
                if container.record().config.labels.get(TASK_ID).is_some_and(|id| id == task_id) {
                    container::discard(self, &container.id).await?;
                }
            }
            files::remove(&self.engine.paths, task_id);
            Ok(())
        })
    }

    fn logs<'a>(&'a self, here: &'a Here, wish: LogsWish) -> BoxFuture<'a, Result<mpsc::Receiver<Result<LogLine>>>> {
        Box::pin(async move { logs::tell(self, here, wish) })
    }
}
