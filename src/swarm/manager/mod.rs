//! # The manager: one of those who agree
//!
//! A manager has a replica of the tables and a voice in what becomes of them; one of the managers leads. Whoever asks a manager
//! for a change need not know which one that is: [`Manager::wish`] has it done here or there, and returns when it can be read here.
//!
//! ```text
//!    API ── wish ──► manager ──(not the leader)── Wish ──► leader
//!                      │                                      │ ledger: one turn after another      [`lead`], [`turn`], [`draft`]
//!                      │                                      ▼
//!                      └── until the replica has it ◄── consensus
//!
//!    nodes ── 2377 ──► [`clerk`]: papers ([`admission`]), voices ([`members`]), sessions, [`logs`]
//! ```
//!
//! * [`leadership`]: elected, not elected any more; who is there.
//! * [`wishes`]: what is added to a wish before it is decided: whatever must be drawn by lot.
//!
//! Laws: only the leader decides; a manager that does not know a leader says at once what is missing, and waits only while a new
//! one is being elected. Reading never asks anybody.
//!
//! *See:* swarmkit `manager/manager.go`. *Next room:* [`leadership`]

pub mod admission;
pub mod clerk;
pub mod draft;
pub mod lead;
pub mod leadership;
pub mod logs;
pub mod members;
pub mod rotation;
pub mod turn;
pub mod wishes;

use crate::{
    dispatcher::sessions::Sessions,
    store::{
        Change, Tables,
        replica::{Replica, Replicated},
    },
    wire::{desk, phone::Phone},
};
use clerk::AtDesk;
use jiff::Timestamp;
use lead::Ledger;
pub use leadership::{Leadership, Peer};
use logs::Exchange;
use minidock_base::Result;
use minidock_consensus::{Connector, Consensus, Member, Options, Seal, transport::Answered};
use minidock_spec::swarm::local::RemoteManager;
use rustls::ServerConfig;
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a manager is told once.
pub struct Start {
    pub node_id: String,
    pub raft_id: u64,
    /// Where the others find it: `10.0.0.1:2377`.
    pub address: String,
    /// Its log's folder.
    pub folder: PathBuf,
    pub seal: Arc<dyn Seal>,
    pub phone: Arc<Phone>,
    pub listener: TcpListener,
    pub papers: watch::Receiver<Arc<ServerConfig>>,
    /// Its own history is the history, whoever else there was: `--force-new-cluster`.
    pub alone: bool,
}

/// A manager's part: its replica of the tables, and the way to change them.
pub struct Manager {
    pub(crate) node_id: String,
    raft_id: u64,
    address: String,
    replica: Replica,
    phone: Arc<Phone>,
    /// While this manager leads.
    ledger: RwLock<Option<Arc<Ledger>>>,
    /// When a leader was last known.
    led: RwLock<Instant>,
    pub(crate) sessions: Sessions,
    exchange: Exchange,
    membership: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    work: TaskTracker,
}

struct ByPhone(Arc<Phone>);

impl Connector for ByPhone {
    fn call<'a>(&'a self, to: &'a Member, message: Vec<u8>) -> Answered<'a> {
        Box::pin(async move { self.0.raft(&to.address, &message).await })
    }
}

impl Manager {
    /// Takes its place among the managers, as its log says, and begins to answer at its desk. One whose log is empty belongs to no
    /// group until it founds one or is counted in.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub async fn open(start: Start) -> Result<Arc<Manager>> {
        let replicated = Replicated::new();
        let replica = Replica::new(replicated.clone());
        let connector = Arc::new(ByPhone(start.phone.clone()));
        let options = Options { seal: start.seal, ..Options::new(start.raft_id, start.folder, connector, replicated) };
        let consensus = match start.alone {
            true => Consensus::open_alone(options, &start.address).await?,
            false => Consensus::open(options).await?,
        };
        replica.join(Arc::new(consensus));
        let manager = Arc::new(Manager {
            node_id: start.node_id,
            raft_id: start.raft_id,
            address: start.address,
            replica,
            phone: start.phone,
            ledger: RwLock::default(),
            led: RwLock::new(Instant::now()),
            sessions: Sessions::default(),
            exchange: Exchange::default(),
            membership: tokio::sync::Mutex::new(()),
            closing: CancellationToken::new(),
            work: TaskTracker::new(),
        });
        let clerk = Arc::new(AtDesk(manager.clone()));
        let closed = manager.closing.clone();
        let (close, closing) = watch::channel(false);
        manager.work.spawn(async move {
            closed.cancelled().await;
            let _ = close.send(true);
        });
        manager.work.spawn(desk::serve(start.listener, start.papers, clerk, closing));
        manager.work.spawn(leadership::follow(manager.clone()));
        Ok(manager)
    }

    /// Reads this manager's own replica; short, and never across an `.await`.
    pub fn view<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        self.replica.view(read)
    }

    /// The time of the swarm, in which delays are counted: the leader's, as far as this manager knows it.
    pub fn now(&self) -> Timestamp {
        self.replica.pace().now()
    }

    /// Every list of changes from now on; an empty list, or having lagged, means: read everything again.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.replica.watch()
    }

    /// What unlocks the managers; empty unless autolock is on.
    pub fn unlock_key(&self) -> String {
        self.view(|tables| tables.cluster().map(|c| c.keys.unlock_key.clone()).unwrap_or_default())
    }

    /// Where the managers are.
    pub fn managers(&self) -> Vec<RemoteManager> {
        let Ok(consensus) = self.replica.consensus() else { return Vec::new() };
        let members = consensus.standing().members;
        let members: Vec<(u64, String)> = members.into_iter().map(|m| (m.member.id, m.member.address)).collect();
        self.view(|tables| admission::managers(tables, &members))
    }

    /// The newest entry that this manager has applied.
    pub(crate) fn applied(&self) -> u64 {
        self.replica.consensus().map_or(0, |c| c.standing().applied)
    }

    /// While this manager leads: what is to be written goes there.
    pub(crate) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn consensus(&self) -> Result<&Arc<Consensus>> {
        self.replica.consensus()
    }

    /// Ends this manager's part; its log stays and may be opened again when this returns.
    pub async fn stop(&self) {
        self.closing.cancel();
        self.work.close();
        if let Ok(consensus) = self.replica.consensus() {
            consensus.stop().await;
        }
        if tokio::time::timeout(Duration::from_secs(3), self.work.wait()).await.is_err() {
            tracing::warn!("a stopped manager is still busy");
        }
    }
}
