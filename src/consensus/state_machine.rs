//! # The state machine: commands applied in order; snapshots
//!
//! Between the library and the caller's [`Machine`]. The machine lives in memory; what survives a restart is the last
//! snapshot and the log after it, which is applied again. The machine's own state, the last applied entry and the members
//! of that moment are always taken together: a snapshot that says more or less than it holds would lose commands.
//!
//! *See:* the Raft paper, section 7. *Next room:* [`crate::membership`]

use crate::{
    Machine,
    kind::{Answer, Kind, Member},
    log_store::{LogStore, on_disk},
};
use minidock_base::{Error, Result};
use openraft::{
    Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError, StorageIOError,
    StoredMembership, storage::RaftStateMachine,
};
use std::{io, sync::Arc};

pub(crate) struct StateMachine {
    store: LogStore,
    machine: Arc<dyn Machine>,
    applied: Option<LogId<u64>>,
    members: StoredMembership<u64, Member>,
}

impl StateMachine {
    /// The machine as the last snapshot left it.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn open(store: LogStore, machine: Arc<dyn Machine>) -> Result<StateMachine> {
        let snapshot = store.snapshot().map_err(|e| Error::system(e.to_string()).during("read the last snapshot"))?;
        let mut this = StateMachine { store, machine, applied: None, members: StoredMembership::default() };
        if let Some((meta, state)) = snapshot {
            this.machine.restore(&state)?;
            (this.applied, this.members) = (meta.last_log_id, meta.last_membership);
        }
        Ok(this)
    }
}

/// A snapshot in the making: all of it taken at one moment, written by and by.
pub(crate) struct Picture {
    store: LogStore,
    meta: SnapshotMeta<u64, Member>,
    state: Vec<u8>,
}

fn of_snapshot(error: io::Error) -> StorageError<u64> {
    StorageIOError::write_snapshot(None, &error).into()
}

impl RaftSnapshotBuilder<Kind> for Picture {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Kind>, StorageError<u64>> {
        let (store, kept) = (self.store.clone(), (self.meta.clone(), self.state.clone()));
        on_disk(move || store.save_snapshot(&kept)).await.map_err(of_snapshot)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(std::mem::take(&mut self.state)) })
    }
}

impl RaftStateMachine<Kind> for StateMachine {
    type SnapshotBuilder = Picture;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, StoredMembership<u64, Member>), StorageError<u64>> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Kind>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            answers.push(Answer(match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(command) => self.machine.apply(entry.log_id.index, &command.0),
                EntryPayload::Membership(members) => {
                    self.members = StoredMembership::new(Some(entry.log_id), members);
                    Vec::new()
                }
            }));
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Picture {
        let at = self.applied.map_or(0, |id| id.index);
        let term = self.applied.map_or(0, |id| id.leader_id.term);
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.members.clone(),
            snapshot_id: format!("{term}-{at}"),
        };
        Picture { store: self.store.clone(), meta, state: self.machine.snapshot() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, Member>,
        snapshot: Box<Vec<u8>>,
    ) -> Result<(), StorageError<u64>> {
        self.machine.restore(&snapshot).map_err(|e| of_snapshot(io::Error::other(e.message())))?;
        (self.applied, self.members) = (meta.last_log_id, meta.last_membership.clone());
        let (store, kept) = (self.store.clone(), (meta.clone(), *snapshot));
        on_disk(move || store.save_snapshot(&kept)).await.map_err(of_snapshot)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Kind>>, StorageError<u64>> {
        let store = self.store.clone();
        let found = on_disk(move || store.snapshot()).await.map_err(of_snapshot)?;
        Ok(found.map(|(meta, state)| Snapshot { meta, snapshot: Box::new(state) }))
    }
}
