//! # The replica: the tables of one manager
//!
//! The [`Tables`] behind a lock, kept up by [`minidock_consensus`]: every committed batch is applied here in the same order as on
//! every other manager. Whoever wants to change something calls [`Replica::update`] with a function from the tables to
//! actions; one at a time is decided, agreed on and applied, so that no decision on this manager is outdated by another.
//!
//! ```text
//!   update(|tables| actions)  ──►  propose ──► majority ──► apply ──► changes ──► watchers wake
//! ```
//!
//! *See:* swarmkit `manager/state/store/memory.go`, `raft.go`. *Next room:* [`crate::round`]

use super::{Action, Batch, Change, Refused, Tables};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_consensus::{Consensus, Machine, Refusal};
use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};
use tokio::sync::broadcast;

/// How long a change may wait for a majority.
const LIMIT: Duration = Duration::from_secs(10);
/// Changes a watcher may lag behind before it must read everything again.
const BACKLOG: usize = 1024;

/// The tables, as consensus applies to them.
pub struct Replicated {
    tables: RwLock<Tables>,
    changes: broadcast::Sender<Arc<Vec<Change>>>,
}

impl Replicated {
    pub fn new() -> Arc<Replicated> {
        Arc::new(Replicated { tables: RwLock::default(), changes: broadcast::channel(BACKLOG).0 })
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine for Replicated {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let outcome: Result<(), Refused> = match serde_json::from_slice::<Batch>(command) {
            Ok(batch) => {
                let applied = self.tables.write().unwrap_or_else(PoisonError::into_inner).apply(index, batch);
                applied.map(|changes| {
                    let _ = self.changes.send(Arc::new(changes)); // nobody may be watching
                })
            }
            Err(error) => Err(Refused::Unreadable(error.to_string())),
        };
        serde_json::to_vec(&outcome).unwrap_or_default() // a plain value: it can be written
    }

    fn snapshot(&self) -> Vec<u8> {
        self.read().to_bytes()
    }

    fn restore(&self, snapshot: &[u8]) -> Result<()> {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Tables::from_bytes(snapshot)?;
        let _ = self.changes.send(Arc::default()); // an empty list: read everything again
        Ok(())
    }
}

/// One manager's tables, and the way to change them.
pub struct Replica {
    replicated: Arc<Replicated>,
    consensus: OnceLock<Arc<Consensus>>,
    writer: tokio::sync::Mutex<()>,
}

impl Replica {
    pub fn new(replicated: Arc<Replicated>) -> Replica {
        Replica { replicated, consensus: OnceLock::new(), writer: tokio::sync::Mutex::new(()) }
    }

    /// Connects the tables to the group that agrees on them; once.
    pub fn join(&self, consensus: Arc<Consensus>) {
        let _ = self.consensus.set(consensus);
    }

    /// The group, once there is one.
    ///
    /// # Errors
    /// 503: this manager has not joined it yet.
    pub fn consensus(&self) -> Result<&Arc<Consensus>> {
        self.consensus.get().ok_or_else(|| Error::unavailable("this manager has not joined the other managers yet"))
    }

    /// Reads; short, and never across an `.await`.
    pub fn view<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        read(&self.replicated.read())
    }

    /// Every list of changes from now on; an empty list, or having lagged, means: read everything again.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.replicated.changes.subscribe()
    }

    /// Decides on the tables as they are, and has it agreed on. What `decide` returns besides the actions is returned once they
    /// are applied. No actions: nothing is proposed.
    ///
    /// # Errors
    /// What `decide` says; 503 without a leader or a majority; 409 when another manager was faster.
    pub async fn update<T>(&self, now: Timestamp, decide: impl FnOnce(&Tables) -> Result<(Vec<Action>, T)>) -> Result<T> {
        let _one_at_a_time = self.writer.lock().await;
        let (actions, value) = self.view(decide)?;
        if !actions.is_empty() {
            self.propose(now, actions).await?;
        }
        Ok(value)
    }

    /// Has actions agreed on that were decided on these tables; only for whoever writes alone: the leader's turns.
    ///
    /// # Errors
    /// 503 without a leader or a majority; 409 when another manager was faster.
    pub(crate) async fn propose(&self, at: Timestamp, actions: Vec<Action>) -> Result<()> {
        let command = serde_json::to_vec(&Batch { at, actions }).map_err(|e| Error::system(e.to_string()))?;
        let answer = self.consensus()?.propose(command, LIMIT).await.map_err(|refusal: Refusal| Error::from(refusal))?;
        let outcome: Result<(), Refused> = serde_json::from_slice(&answer).map_err(|e| Error::system(e.to_string()))?;
        outcome.map_err(|refused| refused.into_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_consensus::{Connector, Options, transport::Member};
    use minidock_spec::swarm::service::Service;

    struct Nobody;

    impl Connector for Nobody {
        fn call<'a>(&'a self, _: &'a Member, _: Vec<u8>) -> minidock_consensus::transport::Answered<'a> {
            Box::pin(async { Err(Error::unavailable("nobody is there")) })
        }
    }

    async fn replica(folder: &std::path::Path) -> Replica {
        let replicated = Replicated::new();
        let replica = Replica::new(replicated.clone());
        let consensus =
            Consensus::open(Options::new(1, folder.to_path_buf(), Arc::new(Nobody), replicated)).await.expect("a member");
        replica.join(Arc::new(consensus));
        replica
    }

    fn service(name: &str) -> Vec<Action> {
        let mut service = Service { id: name.into(), ..Service::default() };
        service.spec.name = name.into();
        vec![Action::Put(service.into())]
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_agreed_on_is_there_after_a_restart_and_watchers_hear_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = replica(folder.path()).await;
        first.consensus().expect("a group").found("one").await.expect("founded");
        let mut watch = first.watch();
        while first.update(Timestamp::UNIX_EPOCH, |_| Ok((service("web"), ()))).await.is_err() {}
        assert_eq!(watch.recv().await.expect("a change").len(), 1);
        let again = first.update(Timestamp::UNIX_EPOCH, |_| Ok((service("web"), ()))).await.expect_err("out of sequence");
        assert!(again.message().contains("update out of sequence"), "{}", again.message());
        first.consensus().expect("a group").stop().await;
        let second = replica(folder.path()).await;
        while second.view(|t| t.service("web").is_none()) {
            tokio::task::yield_now().await;
        }
    }
}
