//! # The node: this machine's part in a swarm
//!
//! *Next room:* [`crate::manager`]

use crate::{agent::executor::Executor, manager::Manager};
use minidock_base::{Error, Result};
use minidock_spec::swarm::local::{InitRequest, JoinRequest, LocalNodeState, SwarmInfo};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// What a node is told once.
pub struct Setup {
    /// A folder of its own: `paths.swarm()`.
    pub folder: PathBuf,
    pub executor: Arc<dyn Executor>,
    pub hostname: String,
}

/// This machine's part in a swarm, or in none.
pub struct Swarm {
    setup: Setup,
    info: Mutex<SwarmInfo>,
    manager: Mutex<Option<Arc<Manager>>>,
}

impl Swarm {
    /// Takes up again what the folder says: manager, worker, locked, or nothing.
    ///
    /// # Errors
    /// The folder cannot be made. What cannot be taken up again is no error: [`Swarm::info`] says it.
    pub async fn open(setup: Setup) -> Result<Arc<Swarm>> {
        tracing::debug!(folder = %setup.folder.display(), host = setup.hostname, "this machine's part in a swarm");
        let _ = &setup.executor;
        Ok(Arc::new(Swarm { setup, info: Mutex::default(), manager: Mutex::default() }))
    }

    /// The `Swarm` object of `GET /info`.
    pub fn info(&self) -> SwarmInfo {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Founds a swarm of one; the node's ID.
    ///
    /// # Errors
    /// 503 in a swarm already; 400 for an address or a rule that cannot be.
    pub async fn init(&self, request: InitRequest) -> Result<String> {
        let _ = (request, &self.setup);
        Err(Error::unavailable("founding a swarm is not there yet"))
    }

    /// Joins one.
    ///
    /// # Errors
    /// 503 in a swarm already; 400 for a token that is none; what the managers say.
    pub async fn join(&self, request: JoinRequest) -> Result<()> {
        let _ = request;
        Err(Error::unavailable("joining a swarm is not there yet"))
    }

    /// Leaves it.
    ///
    /// # Errors
    /// 503 in none; on a manager without `force`, saying what would be lost.
    pub async fn leave(&self, force: bool) -> Result<()> {
        let _ = force;
        Err(Error::unavailable("This node is not part of a swarm"))
    }

    /// Opens a locked manager's log.
    ///
    /// # Errors
    /// 409: it is not locked; 400: the key is wrong.
    pub async fn unlock(&self, key: &str) -> Result<()> {
        let _ = key;
        Err(Error::conflict("swarm is not locked"))
    }

    /// This machine as manager.
    ///
    /// # Errors
    /// 503, in Docker's words: it is none.
    pub fn manager(&self) -> Result<Arc<Manager>> {
        let manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner).clone();
        manager.ok_or_else(|| match self.info().local_node_state {
            LocalNodeState::Inactive | LocalNodeState::Pending => Error::unavailable(
                "This node is not a swarm manager. Use \"minidock swarm init\" or \"minidock swarm join\" to connect this node to swarm and try again.",
            ),
            LocalNodeState::Locked => Error::unavailable(
                "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"minidock swarm unlock\" to unlock it.",
            ),
            LocalNodeState::Active | LocalNodeState::Error => Error::unavailable(
                "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.",
            ),
        })
    }

    /// The daemon ends; containers go on.
    pub async fn stop(&self) {}
}
