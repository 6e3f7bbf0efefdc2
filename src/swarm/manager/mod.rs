//! # The manager: one of those who agree
//!
//! *Next room:* [`logs`]

pub mod logs;

use crate::{
    control::Wish,
    store::{Change, Tables, replica::Replica},
};
use minidock_base::{Error, Result};
use minidock_consensus::Standing;
use minidock_spec::swarm::node::{ManagerStatus, Node};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::broadcast;

/// A manager's part: its replica of the tables, and the way to change them.
pub struct Manager {
    node_id: String,
    replica: Replica,
}

/// Who leads, and who is there, as one manager knows it.
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    /// This manager's node.
    pub node_id: String,
    pub term: u64,
    /// The leader's node ID; absent while nobody leads.
    pub leader: Option<String>,
    pub managers: Vec<Peer>,
    /// How many must agree.
    pub needed: usize,
    /// As leader: how long ago a majority last answered.
    pub since_quorum: Option<std::time::Duration>,
    /// The newest entry applied here.
    pub applied: u64,
}

/// A manager as another knows it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub node_id: String,
    pub hostname: String,
    /// `10.0.0.1:2377`
    pub addr: String,
    pub votes: bool,
    /// How long ago it was last heard of; zero for oneself, absent: never since this manager started.
    pub silence: Option<std::time::Duration>,
    pub reachable: bool,
}

impl Manager {
    /// Reads this manager's own replica; short, and never across an `.await`.
    pub fn view<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        self.replica.view(read)
    }

    /// Has something changed: here if this manager leads, else there; returns what the asker is told, after this replica has it.
    ///
    /// # Errors
    /// What [`crate::control::decide`] says; 503 without a leader or a majority.
    pub async fn wish(&self, wish: Wish) -> Result<Value> {
        let _ = wish;
        Err(Error::unavailable("the leader's rounds are not there yet"))
    }

    /// Every list of changes from now on; an empty list, or having lagged, means: read everything again.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.replica.watch()
    }

    /// What unlocks the managers; empty unless autolock is on.
    pub fn unlock_key(&self) -> String {
        self.view(|tables| tables.cluster().map(|c| c.keys.unlock_key.clone()).unwrap_or_default())
    }

    /// Who leads, and who is there.
    pub fn leadership(&self) -> Leadership {
        let standing: Option<Standing> = self.replica.consensus().ok().map(|c| c.standing());
        Leadership { node_id: self.node_id.clone(), term: standing.map_or(0, |s| s.term), ..Leadership::default() }
    }

    /// A node with its `manager_status`, as `node ls` and `node inspect` show it.
    pub fn shown(&self, node: &Node) -> Node {
        let leadership = self.leadership();
        let peer = leadership.managers.iter().find(|p| p.node_id == node.id);
        let status = peer.map(|peer| ManagerStatus {
            leader: leadership.leader.as_deref() == Some(&node.id),
            reachability: if peer.reachable { "reachable" } else { "unreachable" }.into(),
            addr: peer.addr.clone(),
        });
        Node { manager_status: status, ..node.clone() }
    }
}
