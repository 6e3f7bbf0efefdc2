//! # The node: this machine's part in a swarm
//!
//! A machine is in no swarm, or lives in one ([`life`]), or could not take its life up again. The verbs of `minidock swarm` lead from
//! one to the other; they are carried out one at a time.
//!
//! ```text
//!              init ([`found`]), join ([`join`])              the folder says so, at the daemon's start
//!     out ───────────────────────────────────────► in ◄──────────────────────────────┐
//!      ▲                     leave                  │                                │
//!      └────────────────────────────────────────────┤         locked ── unlock ──────┘
//!                                                   └ error: why, and leave --force
//! ```
//!
//! * [`record`]: what lies on disk between two lives of the daemon.
//! * [`addresses`]: where it listens, and where the others find it.
//!
//! Laws: what cannot be taken up again is said by [`Swarm::info`] and never stops the daemon; leaving with force always works.
//! *See:* moby `daemon/cluster`. *Next room:* [`found`]

pub mod addresses;
pub mod found;
pub mod join;
pub mod leave;
pub mod life;
pub mod record;

use crate::{
    agent::executor::Executor,
    control::attachments::{Attach, Attached},
    manager::Manager,
    wire::Ask,
};
use addresses::Interface;
use life::{Life, lock};
use minidock_base::{Error, Result};
use minidock_spec::swarm::{
    local::{ClusterInfo, InitRequest, JoinRequest, LocalNodeState, SwarmInfo},
    node::Role,
};
use record::{Folder, Found, Keys, Record};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// What a node is told once.
pub struct Setup {
    /// A folder of its own: `paths.swarm()`.
    pub folder: PathBuf,
    pub executor: Arc<dyn Executor>,
    pub hostname: String,
    /// The links of this machine that the others may reach, at this moment.
    pub interfaces: Box<dyn Fn() -> Vec<Interface> + Send + Sync>,
}

/// Where this machine stands.
#[derive(Clone)]
enum State {
    Out,
    In(Arc<Life>),
    Locked(Box<Record>),
    Broken(String),
}

/// This machine's part in a swarm, or in none.
pub struct Swarm {
    setup: Arc<Setup>,
    state: Mutex<State>,
    /// One verb at a time.
    verb: tokio::sync::Mutex<()>,
    /// Wakes who waits for [`Swarm::turned`].
    turned: Notify,
}

impl Swarm {
    /// Takes up again what the folder says: manager, worker, locked, or nothing.
    ///
    /// # Errors
    /// None for now: what cannot be taken up again is no error, [`Swarm::info`] says it.
    pub async fn open(setup: Setup) -> Result<Arc<Swarm>> {
        let setup = Arc::new(setup);
        let state = match resume(&setup).await {
            Ok(state) => state,
            Err(error) => {
                tracing::error!("this machine's part in its swarm cannot be taken up: {error}");
                State::Broken(error.message())
            }
        };
        Ok(Arc::new(Swarm { setup, state: Mutex::new(state), verb: tokio::sync::Mutex::new(()), turned: Notify::new() }))
    }

    fn state(&self) -> State {
        lock(&self.state).clone()
    }

    fn set(&self, state: State) {
        *lock(&self.state) = state;
        self.turned.notify_waiters();
    }

    /// Done when this machine's part has begun or ended, or it was promoted or demoted, since this was called.
    pub fn turned(&self) -> impl Future<Output = ()> {
        let turned = self.turned.notified();
        let turns = match self.state() {
            State::In(life) => Some(life.turns()),
            _ => None,
        };
        async move {
            let promoted = async {
                match turns {
                    Some(mut turns) => drop(turns.changed().await), // a life that is gone has turned, too
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = turned => {}
                () = promoted => {}
            }
        }
    }

    /// The `Swarm` object of `GET /info`.
    pub fn info(&self) -> SwarmInfo {
        match self.state() {
            State::Out => SwarmInfo::default(),
            State::Broken(error) => SwarmInfo { local_node_state: LocalNodeState::Error, error, ..SwarmInfo::default() },
            State::Locked(record) => SwarmInfo {
                node_id: record.node_id,
                node_addr: record.advertise.ip().to_string(),
                local_node_state: LocalNodeState::Locked,
                error: locked().message(),
                ..SwarmInfo::default()
            },
            State::In(life) => of_life(&life),
        }
    }

    /// Founds a swarm of one; the node's ID.
    ///
    /// # Errors
    /// 503 in a swarm already; 400 for an address or a rule that cannot be.
    pub async fn init(&self, request: InitRequest) -> Result<String> {
        let _one = self.verb.lock().await;
        let life = match (self.state(), request.force_new_cluster) {
            (State::Out, false) => found::found(self.setup.clone(), &request).await?,
            (State::Out, true) => return Err(nothing_to_force()),
            (State::Locked(_), _) => return Err(locked()),
            (_, true) => self.alone(&request).await?,
            (State::In(_) | State::Broken(_), false) => return Err(already()),
        };
        let id = life.record().node_id;
        tracing::info!(node = id, "a swarm is founded");
        self.set(State::In(life));
        Ok(id)
    }

    /// `--force-new-cluster`: the life ends, and begins again without the others. What it knows it takes along: on disk its keys may
    /// be sealed.
    async fn alone(&self, request: &InitRequest) -> Result<Arc<Life>> {
        let (record, keys, unlock) = match self.state() {
            State::In(life) if life.record().raft_id != 0 => {
                life.end().await;
                let (keys, unlock) = life.keys();
                (life.record(), keys, unlock)
            }
            State::In(_) => return Err(nothing_to_force()),
            _ => match Folder(self.setup.folder.clone()).read()? {
                Found::Here(found) if found.0.raft_id != 0 => (found.0, found.1, String::new()),
                Found::Nothing | Found::Here(_) => return Err(nothing_to_force()),
                Found::Locked(_) => return Err(locked()),
            },
        };
        let alone = found::alone(self.setup.clone(), record.clone(), keys.clone(), unlock.clone(), request).await;
        if let Err(error) = &alone {
            let as_before = live(&self.setup, record, keys, unlock).await;
            self.set(as_before.map_or_else(|_| State::Broken(error.message()), State::In));
        }
        alone
    }

    /// Joins one.
    ///
    /// # Errors
    /// 503 in a swarm already; 400 for a token that is none; what the managers say.
    pub async fn join(&self, request: JoinRequest) -> Result<()> {
        let _one = self.verb.lock().await;
        match self.state() {
            State::Out => {}
            State::Locked(_) => return Err(locked()),
            State::In(_) | State::Broken(_) => return Err(already()),
        }
        let life = join::join(self.setup.clone(), &request).await?;
        self.set(State::In(life.clone()));
        join::arrive(&life).await
    }

    /// Leaves it; the containers of its tasks are removed.
    ///
    /// # Errors
    /// 503 in none; on a manager without `force`, saying what would be lost.
    pub async fn leave(&self, force: bool) -> Result<()> {
        let _one = self.verb.lock().await;
        match self.state() {
            State::Out => {
                return Err(
                    Error::unavailable("This node is not part of a swarm").hint("minidock info shows what it is part of")
                );
            }
            State::In(life) => leave::leave(&life, force).await?,
            State::Locked(_) if !force => return Err(locked()),
            State::Locked(_) | State::Broken(_) => leave::give_up(&self.setup).await?,
        }
        self.set(State::Out);
        Ok(())
    }

    /// A place on a network of the swarm for a container of this machine that is no task; it ends when the container leaves.
    /// `None`: this machine is in no swarm.
    ///
    /// # Errors
    /// As [`crate::control::attachments::attach`]; no manager answers.
    pub async fn attach(&self, wish: Attach) -> Result<Option<Attached>> {
        let State::In(life) = self.state() else { return Ok(None) };
        let answer = life.ask_managers(&Ask::Attach(wish)).await?;
        serde_json::from_value(answer).map(Some).map_err(|e| Error::system(e.to_string()))
    }

    /// Opens a locked manager's log.
    ///
    /// # Errors
    /// 409: it is not locked; 400: the key is wrong.
    pub async fn unlock(&self, key: &str) -> Result<()> {
        let _one = self.verb.lock().await;
        let State::Locked(record) = self.state() else {
            let text = "swarm is not locked";
            return Err(match self.state() {
                State::Out => Error::unavailable("This node is not part of a swarm"),
                _ => Error::conflict(text),
            });
        };
        let keys = Folder(self.setup.folder.clone()).unlock(key)?;
        let life = live(&self.setup, *record, keys, key.trim().to_string()).await?;
        self.set(State::In(life));
        Ok(())
    }

    /// This machine as manager.
    ///
    /// # Errors
    /// 503, in Docker's words: it is none.
    pub fn manager(&self) -> Result<Arc<Manager>> {
        match self.state() {
            State::In(life) => life.manager().ok_or_else(|| {
                Error::unavailable(
                    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.",
                )
            }),
            State::Locked(_) => Err(locked()),
            State::Broken(error) => Err(Error::unavailable(format!("this node cannot take part in its swarm: {error}"))
                .hint("minidock swarm leave --force, and join again from a manager that works")),
            State::Out => Err(Error::unavailable(
                "This node is not a swarm manager. Use \"minidock swarm init\" or \"minidock swarm join\" to connect this node to swarm and try again.",
            )),
        }
    }

    /// The daemon ends; containers go on.
    pub async fn stop(&self) {
        let _one = self.verb.lock().await;
        if let State::In(life) = self.state() {
            life.end().await;
        }
    }
}

fn already() -> Error {
    Error::unavailable(
        "This node is already part of a swarm. Use \"minidock swarm leave\" to leave this swarm and join another one.",
    )
}

fn locked() -> Error {
    Error::unavailable(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"minidock swarm unlock\" to unlock it.",
    )
}

fn nothing_to_force() -> Error {
    Error::unavailable("This node is not a swarm manager, so there is no history that a new cluster could be made of")
        .hint("minidock swarm init, without --force-new-cluster, founds a new swarm")
}

/// What the folder says, brought to life.
async fn resume(setup: &Arc<Setup>) -> Result<State> {
    match (Folder(setup.folder.clone()).read())? {
        Found::Nothing => Ok(State::Out),
        Found::Locked(record) => Ok(State::Locked(record)),
        Found::Here(found) => live(setup, found.0, found.1, String::new()).await.map(State::In),
    }
}

/// A life as it was: as manager, if it was one; as worker in any case.
async fn live(setup: &Arc<Setup>, record: Record, keys: Keys, unlock: String) -> Result<Arc<Life>> {
    let life = Life::new(setup.clone(), record, keys, unlock)?;
    let is_manager = life.identity().subject()?.role == Role::Manager;
    match (is_manager, life.record().raft_id) {
        (true, 0) => life.become_manager().await?,
        (true, _) => {
            if let Err(error) = life.open_manager(false).await {
                life.end().await;
                return Err(error);
            }
            life.ask_again();
        }
        (false, _) => {}
    }
    life.begin();
    Ok(life)
}

fn of_life(life: &Life) -> SwarmInfo {
    let record = life.record();
    let trouble = lock(&life.trouble).clone();
    let manager = life.manager();
    let mut info = SwarmInfo {
        node_id: record.node_id,
        node_addr: record.advertise.ip().to_string(),
        local_node_state: if trouble.is_some() { LocalNodeState::Error } else { LocalNodeState::Active },
        control_available: manager.is_some(),
        error: trouble.unwrap_or_default(),
        remote_managers: Some(record.managers),
        ..SwarmInfo::default()
    };
    if let Some(manager) = manager {
        let known = manager.managers();
        if !known.is_empty() {
            info.remote_managers = Some(known);
        }
        manager.view(|tables| {
            info.nodes = tables.nodes().count() as u64;
            info.managers = tables.nodes().filter(|n| n.raft_id != 0).count() as u64;
            info.cluster = tables.cluster().map(|cluster| ClusterInfo::from(cluster.as_ref()));
        });
    }
    info
}

#[cfg(test)]
mod tests;
