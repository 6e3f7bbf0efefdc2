//! # The replica: the tables of one manager
//!
//! The [`Tables`] behind a lock, kept up by [`minidock_consensus`]: every committed batch is applied here in the same order as on
//! every other manager. Whoever leads decides on them and has the outcome agreed on by [`Replica::propose`]; whoever wants to know
//! what has changed calls [`Replica::watch`].
//!
//! Laws: one writer, the leader; what would not fit into one message between managers is refused before it is proposed, for
//! what is in the log must reach everybody.
//!
//!
//! *See:* swarmkit `manager/state/store/memory.go`, `raft.go`. *Next room:* [`crate::round`]

use super::{Action, Batch, Change, Refused, Tables, pace::Pace};
use jiff::Timestamp;
use minidock_base::{Error, Result, units::human_bytes};
use minidock_consensus::{Consensus, Machine, Refusal};
use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};
use tokio::sync::broadcast;

/// How long a change may wait for a majority.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest change: a quarter of what fits into a frame.
const LARGEST: usize = 16 << 20;
/// Changes a watcher may lag behind before it must read everything again.
const BACKLOG: usize = 1024;

/// The tables, as consensus applies to them.
pub struct Replicated {
    tables: RwLock<Tables>,
    changes: broadcast::Sender<Arc<Vec<Change>>>,
    pace: Arc<Pace>,
}

impl Replicated {
    pub fn new() -> Arc<Replicated> {
        Arc::new(Replicated { tables: RwLock::default(), changes: broadcast::channel(BACKLOG).0, pace: Arc::default() })
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine for Replicated {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let outcome: Result<(), Refused> = match serde_json::from_slice::<Batch>(command) {
            Ok(batch) => {
                self.pace.heard(batch.at);
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
}

impl Replica {
    pub fn new(replicated: Arc<Replicated>) -> Replica {
        Replica { replicated, consensus: OnceLock::new() }
    }

    /// Connects the tables to the group that agrees on them; once, when what its log holds is applied.
    pub fn join(&self, consensus: Arc<Consensus>) {
        self.replicated.pace.forget();
        let _ = self.consensus.set(consensus);
    }

    /// The group, once there is one.
    ///
    /// # Errors
    /// 503: this manager has not joined it yet.
    pub fn consensus(&self) -> Result<&Arc<Consensus>> {
        self.consensus.get().ok_or_else(|| Error::unavailable("this manager has not joined the other managers yet"))
    }

    /// The time of the swarm.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.replicated.pace
    }

    /// This manager leads from now on, and says what time it is.
    pub(crate) fn lead(&self) {
        let newest = self.view(Tables::newest);
        self.replicated.pace.lead(newest);
    }

    /// It does not lead any more.
    pub(crate) fn follow(&self) {
        self.replicated.pace.follow();
    }

    /// Reads; short, and never across an `.await`.
    pub fn view<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        read(&self.replicated.read())
    }

    /// Every list of changes from now on; an empty list, or having lagged, means: read everything again.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.replicated.changes.subscribe()
    }

    /// Has actions agreed on that were decided on these tables; only for whoever writes alone: the leader's turns.
    ///
    /// # Errors
    /// 400: they are too large. 503 without a leader or a majority; 409 when another manager was faster.
    pub(crate) async fn propose(&self, at: Timestamp, actions: Vec<Action>) -> Result<()> {
        let command = serde_json::to_vec(&Batch { at, actions }).map_err(|e| Error::system(e.to_string()))?;
        if command.len() > LARGEST {
            let (size, most) = (human_bytes(command.len() as f64), human_bytes(LARGEST as f64));
            return Err(Error::invalid(format!("a change of {size} is more than the {most} that managers agree on at once")));
        }
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
        while first.propose(Timestamp::UNIX_EPOCH, service("web")).await.is_err() {}
        assert_eq!(watch.recv().await.expect("a change").len(), 1);
        let again = first.propose(Timestamp::UNIX_EPOCH, service("web")).await.expect_err("out of sequence");
        assert!(again.message().contains("update out of sequence"), "{}", again.message());
        first.consensus().expect("a group").stop().await;
        let second = replica(folder.path()).await;
        while second.view(|t| t.service("web").is_none()) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_no_message_could_carry_is_refused_before_it_is_in_the_log() {
        let replica = Replica::new(Replicated::new()); // of no group: what gets as far as being proposed is refused with 503
        let large = replica.propose(Timestamp::UNIX_EPOCH, service(&"x".repeat(LARGEST / 2))).await.expect_err("too large");
        assert!(large.message().contains("is more than the 16MiB"), "{}", large.message());
        let small = replica.propose(Timestamp::UNIX_EPOCH, service("web")).await.expect_err("no group");
        assert!(small.message().contains("has not joined"), "{}", small.message());
    }
}
