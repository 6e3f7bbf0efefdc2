//! # Container: one task's hands on the engine
//!
//! Each verb of a [`Controller`] is a call or two of the engine, made so that it may be repeated: the container is looked for by its
//! name first, and what is there already is taken up as it is.
//!
//! ```text
//!   prepare ─► image ─► files ─► create          (found: nothing to do)
//!   start ───► start ─► healthy?                 (runs: only the second part)
//!   wait ────► its end, or "unhealthy" ─► stop
//!   shutdown ► stop signal, grace, SIGKILL       terminate ► SIGKILL          remove ► rm -f -v, files
//! ```
//!
//! A verb may be dropped half-way, but the engine finishes what it has begun: a container that is being started will run. So creating
//! and starting hold [`TaskContainer::busy`] to their end, and every verb that ends something waits for it first.
//!
//! Laws: the texts of errors are what `service ps` shows, in Docker's words. Births are bounded ([`crate::Machine`]): fifty tasks at
//! once would otherwise all be slow together. *See:* moby `daemon/cluster/executor/container/controller.go`. *Next room:* [`crate::image`]

use crate::{
    Machine,
    body::{self, TASK_ID},
    files, image,
};
use futures_util::future::BoxFuture;
use minidock_base::{Error, Kind, Result};
use minidock_engine::container::{create, record::Record, remove, start, stop, store::Container};
use minidock_spec::swarm::{
    service::EndpointPort,
    task::{ContainerStatus, PortStatus, Task},
};
use minidock_swarm::agent::{
    executor::{Controller, Files, Here, Seen},
    expand::Words,
};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// As people search for it.
const UNHEALTHY: &str = "dockerexec: unhealthy container";

/// The container of one task.
pub struct TaskContainer {
    pub machine: Machine,
    pub task: Arc<Task>,
    pub here: Here,
    pub files: Files,
    /// Held while something is being made that cannot be broken off.
    pub busy: Arc<Mutex<()>>,
}

impl TaskContainer {
    /// The container, if it is there.
    fn find(&self) -> Option<Arc<Container>> {
        let found = self.machine.engine.containers.find(&self.task.container_name()).ok()?;
        (found.record().config.labels.get(TASK_ID) == Some(&self.task.id)).then_some(found)
    }

    /// The container, which should be there.
    fn found(&self) -> Result<Arc<Container>> {
        self.find().ok_or_else(|| Error::not_found(format!("No such container: {}", self.task.container_name())))
    }

    async fn make(&self) -> Result<()> {
        if self.find().is_some() {
            return Ok(());
        }
        let spec = body::container_spec(&self.task)?;
        image::ensure(&self.machine, spec).await?;
        let permit = self.machine.births.clone().acquire_owned().await;
        let busy = self.busy.clone().lock_owned().await;
        let (machine, task, here, files) = (self.machine.clone(), self.task.clone(), self.here.clone(), self.files.clone());
        to_the_end(busy, async move {
            let name = task.container_name();
            let (paths, t) = (machine.engine.paths.clone(), task.clone());
            let body = tokio::task::spawn_blocking(move || {
                let words = Words { task: &t, here: &here, inside: None };
                let placed = files::place(&paths, &words, &files)?;
                body::of(&words, &placed)
            });
            let body = body.await.map_err(|_| Error::system("the thread that lays files ready ended early"))??;
            let created = create::create(&machine.engine, Some(&name), body, None).await;
            drop(permit);
            match created {
                Ok(_) => Ok(()),
                Err(error) => {
                    files::remove(&machine.engine.paths, &task.id);
                    Err(error)
                }
            }
        })
        .await
    }

    /// Started, or running from an earlier life of this daemon.
    async fn run(&self) -> Result<Arc<Container>> {
        let container = self.found()?;
        let record = container.record();
        if record.state.is_running() || record.state.started_at.is_some() {
            return Ok(container);
        }
        let permit = self.machine.births.clone().acquire_owned().await;
        let busy = self.busy.clone().lock_owned().await;
        let (engine, id) = (self.machine.engine.clone(), container.id.clone());
        let started = to_the_end(busy, async move {
            let started = start::start(&engine, &id).await;
            drop(permit);
            started
        });
        match started.await {
            Err(error) if error.kind() != Kind::NotModified => {
                let (name, text) = (&record.name, error.message());
                let why = text.strip_prefix(&format!("start container {name}: ")).unwrap_or(&text);
                Err(Error::system(format!("starting container failed: {why}")))
            }
            _ => Ok(container),
        }
    }

    /// Returns when it is healthy, or has no health check.
    async fn healthy(&self, container: &Arc<Container>) -> Result<()> {
        let (record, mut turns) = container.record_and_turns();
        if record.health.is_none() || !record.state.is_running() {
            return ended(&record, false);
        }
        let mut verdict = container.verdict();
        loop {
            match verdict.borrow_and_update().as_str() {
                "healthy" => return Ok(()),
                "unhealthy" => break,
                _ => {}
            }
            tokio::select! {
                _ = verdict.changed() => {}
                _ = turns.changed() => return ended(&container.record(), false),
            }
        }
        self.stop(container).await?;
        ended(&container.record(), true)
    }

    async fn watch(&self) -> Result<()> {
        let container = self.found()?;
        let (record, mut turns) = container.record_and_turns();
        if !record.state.is_running() {
            return ended(&record, false);
        }
        let mut verdict = container.verdict();
        let unhealthy = loop {
            if verdict.borrow_and_update().as_str() == "unhealthy" {
                break true;
            }
            tokio::select! {
                _ = turns.changed() => break false,
                _ = verdict.changed() => {}
            }
        };
        if unhealthy {
            self.stop(&container).await?;
        }
        ended(&container.record(), unhealthy)
    }

    async fn stop(&self, container: &Container) -> Result<()> {
        match stop::stop(&self.machine.engine, &container.id, None, None).await {
            Err(error) if !matches!(error.kind(), Kind::NotModified | Kind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for whatever is being made of it, then gives what there is.
    async fn at_rest(&self) -> Option<Arc<Container>> {
        let _busy = self.busy.lock().await;
        self.find()
    }
}

/// Does `work` to its end, with `busy` held, even if nobody waits for it any more.
async fn to_the_end(busy: OwnedMutexGuard<()>, work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let working = tokio::spawn(async move {
        let done = work.await;
        drop(busy);
        done
    });
    working.await.map_err(|_| Error::system("the task that was doing it ended early"))?
}

/// How it ended, in the words of `service ps`.
fn ended(record: &Record, unhealthy: bool) -> Result<()> {
    let state = &record.state;
    if state.is_running() && !unhealthy {
        return Ok(());
    }
    let code = state.exit_code;
    let why = match (unhealthy, state.oom_killed, state.error.as_str()) {
        (true, ..) if code == 0 => return Err(Error::system(UNHEALTHY)),
        (true, ..) => &format!(": {UNHEALTHY}"),
        (false, true, _) => ": it wanted more memory than its limit",
        _ if code == 0 => return Ok(()),
        (.., "") => "",
        (.., error) => &format!(": {error}"),
    };
    Err(Error::system(format!("task: non-zero exit ({code}){why}")))
}

impl Controller for TaskContainer {
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.make())
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let container = self.run().await?;
            self.healthy(&container).await
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.watch())
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match self.at_rest().await {
                Some(container) => self.stop(&container).await,
                None => Ok(()),
            }
        })
    }

    fn terminate(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(container) = self.at_rest().await.filter(|c| c.record().state.is_running()) else { return Ok(()) };
            match stop::kill(&self.machine.engine, &container.id, None).await {
                Err(error) if !matches!(error.kind(), Kind::Conflict | Kind::NotFound) => Err(error),
                _ => Ok(()),
            }
        })
    }

    fn remove(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if let Some(container) = self.at_rest().await {
                discard(&self.machine, &container.id).await?;
            }
            files::remove(&self.machine.engine.paths, &self.task.id);
            Ok(())
        })
    }

    fn status(&self) -> Option<Seen> {
        let record = self.find()?.record();
        let container = ContainerStatus {
            container_id: record.id.clone(),
            pid: record.state.pid.into(),
            exit_code: record.state.exit_code,
        };
        Some(Seen { container, ports: PortStatus { ports: held(&self.task, &record) } })
    }
}

/// The task's own ports on this machine, with the numbers that were chosen.
fn held(task: &Task, record: &Record) -> Vec<EndpointPort> {
    let of = |port: &EndpointPort| {
        let led = |p: &&minidock_network::model::Published| {
            u32::from(p.target.1) == port.target_port && p.protocol.to_string() == port.protocol
        };
        let number = record.networking.published.iter().find(led).map(|p| u32::from(p.host.1))?;
        Some(EndpointPort { published_port: number, ..port.clone() })
    };
    body::host_ports(task).into_iter().filter_map(of).collect()
}

/// Away with a container and its anonymous volumes; one that is gone already is fine.
pub async fn discard(machine: &Machine, id: &str) -> Result<()> {
    let how = remove::Removal { force: true, volumes: true, link: false };
    match remove::remove(&machine.engine, id, how).await {
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}
