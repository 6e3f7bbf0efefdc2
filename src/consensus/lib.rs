//! # Consensus: agreement, bought
//!
//! Managers must agree on one history of changes, whatever dies. The algorithm is Raft and the library is openraft; what
//! stands here is what a swarm needs of it and nothing more: *agreement on bytes*. What the bytes mean is the business of
//! the [`Machine`] that the caller hands down; how they travel is the business of its [`Connector`]; who may read them on
//! disk is the business of its [`Seal`].
//!
//! ```text
//!       propose(bytes)                                         apply(index, bytes) → answer
//!            │                                                        ▲   the same order on every member
//!            ▼                                                        │
//!   ┌──────────────────── leader ───────────────────┐        ┌────────┴────────┐
//!   │ append to its log ──► followers append, fsync │ ─────► │ committed: more │
//!   │ (log_store)           (transport)             │        │ than half have  │
//!   └───────────────────────────────────────────────┘        │ it on disk      │
//!            │ now and then                                   └─────────────────┘
//!            ▼
//!      a snapshot of the machine; the log before it is cut off
//! ```
//!
//! * [`Consensus::propose`] returns when the change is committed *and* applied here. Then it survives the death of any
//!   minority. When it fails it says which of two cases it is: refused (nothing happened) or unknown (the leader was lost
//!   on the way; the change may yet be committed).
//! * Without a majority writing fails *at once* ([`Refusal::NoQuorum`]) instead of hanging: the leader knows when a majority
//!   last answered it. Reading goes on.
//! * [`membership`]: a newcomer first learns the whole history, then votes; one member at a time.
//! * [`standing`]: who leads, who was heard of when, how many are needed: the raw material of `why leader`.
//!
//! Laws: no type of openraft or redb in a public signature; nothing is acknowledged that is not fsynced on a majority; a log
//! that cannot be read is an error with a name, never silently shortened. After 2.5 to 3 s of silence another is elected: with
//! less patience a busy laptop's leader changes by itself.
//!
//! *In the real world* SwarmKit embeds etcd's raft, encrypts its write-ahead log with a key kept beside the TLS key, and
//! puts several store changes in one entry for the same reason as we: one fsync for all of them.
//!
//! *See:* D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014 · swarmkit
//! `manager/state/raft`. *Next room:* [`log_store`]

mod kind;
pub mod log_store;
pub mod membership;
pub mod seal;
pub mod standing;
mod state_machine;
pub mod transport;

pub use kind::Member;
pub use seal::{Plain, Seal};
pub use standing::{Refusal, Standing};
pub use transport::Connector;

use crate::{kind::Kind, log_store::LogStore, state_machine::StateMachine, transport::Wires};
use minidock_base::{Error, Result};
use openraft::{Config, Raft, SnapshotPolicy};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// After so many heartbeats without an answer from a majority a leader takes no proposals.
const PATIENCE: u32 = 8;

/// What the committed history is applied to; one and the same on every member, without clock, chance or I/O.
pub trait Machine: Send + Sync + 'static {
    /// Applies one committed command; `index` grows with every command and is the same on all members. The answer goes to
    /// the proposer (and is the same everywhere).
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8>;
    /// The whole state, for a member that is too far behind and for the log to be cut.
    fn snapshot(&self) -> Vec<u8>;
    /// Replaces the whole state.
    ///
    /// # Errors
    /// The bytes are not what `snapshot` writes.
    fn restore(&self, snapshot: &[u8]) -> Result<()>;
}

/// What a member is told once.
pub struct Options {
    /// The member's number, never used twice in a cluster.
    pub id: u64,
    /// A folder of its own for log and snapshots.
    pub folder: PathBuf,
    pub seal: Arc<dyn Seal>,
    pub connector: Arc<dyn Connector>,
    pub machine: Arc<dyn Machine>,
    /// A leader shows that it lives at least each one and a half of this; an election begins after 10 to 12 times this of silence.
    pub heartbeat: Duration,
    /// Commands after which a snapshot is taken and the log before it is cut off.
    pub snapshot_every: u64,
}

impl Options {
    /// A heartbeat each 250 to 375 ms, elections after 2.5 to 3 s of silence, a snapshot each 2,000 commands.
    pub fn new(id: u64, folder: PathBuf, connector: Arc<dyn Connector>, machine: Arc<dyn Machine>) -> Options {
        let seal = Arc::new(Plain);
        Options { id, folder, seal, connector, machine, heartbeat: Duration::from_millis(250), snapshot_every: 2000 }
    }
}

/// One member of the group that agrees.
pub struct Consensus {
    id: u64,
    raft: Raft<Kind>,
    wires: Arc<Wires>,
    file: log_store::Lease,
    /// After this long without an answer from a majority a leader no longer takes proposals.
    patience: Duration,
}

impl Consensus {
    /// Opens (or makes) this member's log and takes part in the group it belongs to, if any. A new member belongs to none
    /// until it calls [`Consensus::found`] or another's [`Consensus::add`].
    ///
    /// # Errors
    /// The log cannot be opened or read: the file and the record are named.
    pub async fn open(options: Options) -> Result<Consensus> {
        let store = LogStore::open(&options.folder, options.seal.clone())?;
        Consensus::begin(options, store).await
    }

    /// As [`Consensus::open`], but first makes this member the only one of its group: the way out when a majority is lost
    /// for good. What this member had received is kept, committed or not.
    ///
    /// # Errors
    /// As for `open`; or the member has no history at all.
    pub async fn open_alone(options: Options, address: &str) -> Result<Consensus> {
        let store = LogStore::open(&options.folder, options.seal.clone())?;
        membership::stand_alone(&store, options.machine.as_ref(), &Member::new(options.id, address))?;
        Consensus::begin(options, store).await
    }

    async fn begin(options: Options, store: LogStore) -> Result<Consensus> {
        let config = Arc::new(config(&options)?);
        let wires = Arc::new(Wires::new(options.id, options.connector.clone()));
        let file = store.lease();
        let machine = StateMachine::open(store.clone(), options.machine.clone())?;
        let patience = options.heartbeat * PATIENCE;
        let raft = Raft::new(options.id, config, wires.clone(), store, machine)
            .await
            .map_err(|e| Error::system(e.to_string()).during("take part in consensus"))?;
        Ok(Consensus { id: options.id, raft, wires, file, patience })
    }

    /// Founds a group of one: this member.
    ///
    /// # Errors
    /// The member belongs to a group already.
    pub async fn found(&self, address: &str) -> Result<()> {
        let first = [(self.id, Member::new(self.id, address))];
        self.raft.initialize(std::collections::BTreeMap::from(first)).await.map_err(|e| {
            Error::conflict("this member belongs to a group already").during("found a cluster").hint(e.to_string())
        })
    }

    /// Has `command` committed and applied, and returns the machine's answer. Only the leader can: the others name it.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`] and [`Refusal::NoQuorum`]: nothing happened. [`Refusal::Unknown`]: the wait ended without
    /// an answer, the command may still be committed.
    pub async fn propose(&self, command: Vec<u8>, limit: Duration) -> Result<Vec<u8>, Refusal> {
        self.may_write()?;
        let written = tokio::time::timeout(limit, self.raft.client_write(kind::Command(command)));
        tokio::select! {
            written = written => match written {
                Ok(Ok(written)) => Ok(written.data.0),
                Ok(Err(error)) => Err(standing::refusal(error, self.standing())),
                Err(_) => Err(Refusal::Unknown(self.standing())),
            },
            () = self.majority_is_lost() => Err(Refusal::Unknown(self.standing())),
        }
    }

    /// Returns when, as leader, a majority has not answered for so long that waiting for it is of no use.
    async fn majority_is_lost(&self) {
        let mut metrics = self.raft.data_metrics();
        loop {
            let since = metrics.borrow_and_update().millis_since_quorum_ack.map(Duration::from_millis);
            if since.is_some_and(|since| since > self.patience) || metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until this member, as leader, has applied everything that was committed when the call was made: what is read
    /// from the machine afterwards is not stale.
    ///
    /// # Errors
    /// As for [`Consensus::propose`].
    pub async fn barrier(&self, limit: Duration) -> Result<(), Refusal> {
        self.may_write()?;
        match tokio::time::timeout(limit, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Refusal::NotLeader(self.standing())),
            Err(_) => Err(Refusal::NoQuorum(self.standing())),
        }
    }

    /// A message from another member: the other end of [`Connector::call`].
    ///
    /// # Errors
    /// The bytes are no message of ours, or this member has stopped.
    pub async fn receive(&self, message: &[u8]) -> Result<Vec<u8>> {
        transport::receive(&self.raft, &self.wires, message).await
    }

    /// Returns when [`Standing::leader`] is no longer what it was in `seen`.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn leader_changes(&self, seen: &Standing) -> Result<Standing> {
        let mut metrics = self.raft.metrics();
        loop {
            let now = self.standing();
            if (now.leader, now.term) != (seen.leader, seen.term) {
                return Ok(now);
            }
            metrics.changed().await.map_err(|_| Error::unavailable("this member of the cluster has stopped"))?;
        }
    }

    /// Returns when this member has applied everything up to entry `index`: what another member has just acknowledged can be
    /// read here then.
    ///
    /// # Errors
    /// It takes longer than `limit`, or the member has stopped.
    pub async fn reached(&self, index: u64, limit: Duration) -> Result<()> {
        let mut data = self.raft.data_metrics();
        let there = data.wait_for(|d| d.last_applied.is_some_and(|at| at.index >= index));
        match tokio::time::timeout(limit, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::unavailable("this member of the cluster has stopped")),
            Err(_) => Err(Error::unavailable("this member of the cluster lags behind the others")),
        }
    }

    /// Returns when this member takes no part any more, and why: its disk is full, say. What it has on disk is good, and it may be
    /// opened again.
    pub async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        let found = metrics.wait_for(|m| m.running_state.is_err()).await;
        let why = found.ok().and_then(|m| m.running_state.as_ref().err().map(ToString::to_string));
        why.unwrap_or_else(|| "it has stopped".into())
    }

    /// Takes a snapshot now.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn snapshot(&self) -> Result<()> {
        self.raft.trigger().snapshot().await.map_err(|e| Error::unavailable(e.to_string()))
    }

    /// Ends this member's part; its log stays. When it returns the file is closed and may be opened again.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!("while a member stopped: {error}");
        }
        self.file.returned().await;
    }

    fn may_write(&self) -> Result<(), Refusal> {
        let standing = self.standing();
        if standing.leader != Some(self.id) {
            return Err(Refusal::NotLeader(standing));
        }
        match standing.since_quorum {
            Some(since) if since > self.patience => Err(Refusal::NoQuorum(standing)),
            _ => Ok(()),
        }
    }
}

fn config(options: &Options) -> Result<Config> {
    let beat = options.heartbeat.as_millis() as u64;
    Config {
        cluster_name: "minidock".into(),
        heartbeat_interval: beat,
        // who has heard of a leader lately waits for the longest time-out (its lease), and then for its own
        election_timeout_min: 4 * beat,
        election_timeout_max: 6 * beat,
        install_snapshot_timeout: 10_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
        max_in_snapshot_log_to_keep: options.snapshot_every / 4,
        replication_lag_threshold: options.snapshot_every * 2,
        ..Config::default()
    }
    .validate()
    .map_err(|e| Error::invalid(e.to_string()).during("configure consensus"))
}

#[cfg(test)]
mod tests;
