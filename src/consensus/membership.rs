//! # Membership: learner → voter → gone
//!
//! A newcomer must not vote before it knows the history: a majority that counts it could lose what it has not got. So
//! [`Consensus::add`] first sends it everything as a *learner*, then lets it vote. Changes go through the log like any
//! command, by joint consensus: old and new majority both agree, so there is no moment with two leaders.
//!
//! When a majority is lost for good, nothing can be agreed on any more, not even who belongs. [`stand_alone`] is the way out
//! that Docker calls `--force-new-cluster`: an operator's decision, on a stopped member, that its own history is the
//! history. It rewrites the store to "a snapshot of all I have, and I am the only member".
//!
//! *See:* the Raft paper, section 6; Docker's "Force the swarm to rebalance / recover". *Next room:* [`crate::state_machine`]

use crate::{
    Consensus, Machine, Refusal,
    kind::Member,
    log_store::{LogStore, Snapshot},
    standing,
};
use minidock_base::{Error, Result};
use openraft::{ChangeMembers, EntryPayload, LogId, Membership, SnapshotMeta, StoredMembership};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

impl Consensus {
    /// Makes `member` a voter: sends it the history, then counts it.
    ///
    /// # Errors
    /// As for [`Consensus::propose`]; the newcomer does not answer.
    pub async fn add(&self, member: &Member, limit: Duration) -> Result<(), Refusal> {
        self.may_write()?;
        let learn = self.raft.add_learner(member.id, member.clone(), true);
        self.within(limit, learn).await?;
        let vote = ChangeMembers::AddVoterIds(BTreeSet::from([member.id]));
        self.within(limit, self.raft.change_membership(vote, false)).await
    }

    /// Takes a member's vote and forgets it.
    ///
    /// # Errors
    /// As for [`Consensus::propose`].
    pub async fn remove(&self, id: u64, limit: Duration) -> Result<(), Refusal> {
        self.may_write()?;
        let gone = ChangeMembers::RemoveVoters(BTreeSet::from([id]));
        self.within(limit, self.raft.change_membership(gone, false)).await
    }

    /// Notes a member's new address.
    ///
    /// # Errors
    /// As for [`Consensus::propose`].
    pub async fn moved(&self, member: &Member, limit: Duration) -> Result<(), Refusal> {
        self.may_write()?;
        let there = ChangeMembers::SetNodes(BTreeMap::from([(member.id, member.clone())]));
        self.within(limit, self.raft.change_membership(there, true)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        change: impl Future<Output = Result<T, openraft::error::RaftError<u64, openraft::error::ClientWriteError<u64, Member>>>>,
    ) -> Result<(), Refusal> {
        match tokio::time::timeout(limit, change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(standing::refusal(error, self.standing())),
            Err(_) => Err(Refusal::Unknown(self.standing())),
        }
    }
}

/// Rewrites `store`: everything in it, applied to `machine`, becomes a snapshot of a group with one member. `machine` holds
/// that state afterwards.
///
/// # Errors
/// The store holds no history, or cannot be read or written.
pub(crate) fn stand_alone(store: &LogStore, machine: &dyn Machine, only: &Member) -> Result<()> {
    rewrite(store, machine, only)
        .map_err(|e| Error::system(e.to_string()).during("make this manager the only one of its cluster"))?
        .ok_or_else(|| Error::conflict("this machine has no history of a cluster").hint("swarm init founds a new one"))
}

fn rewrite(store: &LogStore, machine: &dyn Machine, only: &Member) -> io::Result<Option<()>> {
    let mut last = None;
    if let Some((meta, state)) = store.snapshot()? {
        machine.restore(&state).map_err(|e| io::Error::other(e.message()))?;
        last = meta.last_log_id;
    }
    let after = last.map_or(0, |id: LogId<u64>| id.index + 1);
    for entry in store.entries(after.., usize::MAX)? {
        if let EntryPayload::Normal(command) = &entry.payload {
            machine.apply(entry.log_id.index, &command.0);
        }
        last = Some(entry.log_id);
    }
    let Some(end) = last else { return Ok(None) };
    let members = Membership::new(vec![BTreeSet::from([only.id])], BTreeMap::from([(only.id, only.clone())]));
    let meta = SnapshotMeta {
        last_log_id: Some(end),
        last_membership: StoredMembership::new(Some(end), members),
        snapshot_id: format!("alone-{}", end.index),
    };
    let snapshot: Snapshot = (meta, machine.snapshot());
    store.save_snapshot(&snapshot)?;
    store.cut(.., Some(end))?;
    Ok(Some(()))
}
