//! # Members: whose voice counts
//!
//! Two lists must agree: the nodes that shall be managers (a person's wish, in the tables) and the members of the consensus. A
//! node that is promoted gets a manager's certificate and then asks for a voice by itself; taking a voice away is the leader's
//! business, here: of a node that was demoted, or of one that is a node no more.
//!
//! ```text
//!   promote   spec: manager ─► certificate ─► it asks (Enlist) ─► learner ─► voter
//!   demote    spec: worker  ─► voice gone  ─► number gone      ─► certificate of a worker
//! ```
//!
//! Promoted again before its number was gone, a node has a number and no voice; its number is taken away, and it begins anew.
//! A leader that is demoted takes its own voice away last of all; the others elect one of themselves, who finishes the work.
//!
//! Laws: one change of members at a time; nothing is taken away that would leave no majority of those who answer.
//! *See:* swarmkit `manager/role_manager.go`. *Next room:* [`super::logs`]

use super::{Manager, clerk::change_node, lead::Ledger, rotation};
use minidock_base::{Error, Result};
use minidock_consensus::{Consensus, Member, Standing};
use minidock_spec::swarm::node::{Node, Role};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::broadcast::error::RecvError, time::Instant};

/// A newcomer is given so long to learn the history.
const LEARN: Duration = Duration::from_secs(20);
/// A change that did not come about is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// Who was silent for longer does not answer.
pub const SILENT: Duration = Duration::from_secs(4);

impl Manager {
    /// Gives a member its voice, or notes its new address.
    pub(super) async fn count_in(&self, raft_id: u64, address: &str) -> Result<()> {
        let _one_at_a_time = self.membership.lock().await;
        let consensus = self.replica.consensus()?;
        let member = Member::new(raft_id, address);
        let known = consensus.standing().members.into_iter().find(|m| m.member.id == raft_id);
        match known {
            Some(seen) if seen.votes && seen.member.address == address => Ok(()),
            Some(seen) if seen.votes => Ok(consensus.moved(&member, LEARN).await?),
            _ => Ok(consensus.add(&member, LEARN).await?),
        }
    }

    /// Takes a member's voice.
    pub(super) async fn count_out(&self, raft_id: u64) -> Result<()> {
        let _one_at_a_time = self.membership.lock().await;
        let consensus = self.replica.consensus()?;
        if consensus.standing().members.iter().all(|m| m.member.id != raft_id) {
            return Ok(());
        }
        Ok(consensus.remove(raft_id, LEARN).await?)
    }

    /// May this member be done without? Asked before a person's wish to demote it is granted.
    ///
    /// # Errors
    /// 403, in SwarmKit's words.
    pub(super) fn can_spare(&self, raft_id: u64) -> Result<()> {
        let standing = self.replica.consensus()?.standing();
        // that the last manager stays one is said by control, in other words
        match raft_id == 0 || standing.members.len() == 1 || leaves_majority(&standing, raft_id) {
            true => Ok(()),
            false => Err(Error::forbidden(
                "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would result in a loss of quorum",
            )
            .hint("start the managers that do not answer again first, or promote another node")),
        }
    }
}

/// Without this one, is there a majority of voters that answer?
fn leaves_majority(standing: &Standing, gone: u64) -> bool {
    let left = standing.members.iter().filter(|m| m.votes && m.member.id != gone);
    let (all, answering) =
        left.fold((0, 0), |(all, answering), m| (all + 1, answering + usize::from(m.silence.is_some_and(|s| s <= SILENT))));
    answering > all / 2
}

/// Keeps both lists in agreement, until the term is over.
pub(super) async fn keep(manager: Arc<Manager>, ledger: Arc<Ledger>) {
    let mut changes = manager.watch();
    let mut mute = Mute::default();
    loop {
        let amended = match rotation::finish(&manager, &ledger).await {
            Ok(()) => amend(&manager, &ledger, &mut mute).await,
            Err(error) => Err(error),
        };
        let again = match amended {
            Ok(()) => Duration::from_secs(60),
            Err(error) => {
                tracing::debug!("the managers' list could not be amended: {}", error.message());
                AGAIN
            }
        };
        let of_nodes = async {
            loop {
                match changes.recv().await {
                    Ok(list) if list.iter().any(is_of_a_node) || list.is_empty() => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return ledger.over.cancelled().await,
                }
            }
        };
        tokio::select! {
            () = of_nodes => {}
            () = tokio::time::sleep(again) => {}
            () = ledger.over.cancelled() => return,
        }
    }
}

fn is_of_a_node(change: &crate::store::Change) -> bool {
    matches!(change.row(), Some(crate::store::Row::Node(_)))
}

/// Nodes that shall be managers, have a number and no voice: they are about to get one, or it was taken away by a demotion that was taken
/// back before their number was gone. Who is found so for long is asked to begin anew.
#[derive(Default)]
struct Mute(BTreeMap<u64, Instant>);

impl Mute {
    /// Whose number must go, of those who are mute now.
    fn look(&mut self, mute: &[u64], now: Instant) -> Vec<u64> {
        self.0.retain(|id, _| mute.contains(id));
        let long = |id: &&u64| now.duration_since(*self.0.entry(**id).or_insert(now)) >= AGAIN;
        mute.iter().filter(long).copied().collect()
    }
}

async fn amend(manager: &Manager, ledger: &Ledger, mute: &mut Mute) -> Result<()> {
    let consensus: Arc<Consensus> = manager.replica.consensus()?.clone();
    let own = consensus.standing().id;
    let wanted = manager.view(|tables| {
        let nodes = tables.nodes().filter(|n| n.raft_id != 0);
        nodes.map(|n| (n.raft_id, n.id.clone(), n.spec.role)).collect::<Vec<_>>()
    });
    if !wanted.iter().any(|(id, ..)| *id == own) {
        return Ok(()); // the swarm is being founded: its first node is not written down yet
    }
    let members: Vec<u64> = consensus.standing().members.iter().map(|m| m.member.id).collect();
    for (id, node, _) in wanted.iter().filter(|(_, _, role)| *role == Role::Worker) {
        if *id != own && !members.contains(id) {
            change_node(ledger, node.clone(), |node| {
                node.raft_id = 0;
                Ok(())
            })
            .await?;
        }
    }
    let silent = wanted.iter().filter(|(id, _, role)| *role == Role::Manager && *id != own && !members.contains(id));
    let silent: BTreeMap<u64, String> = silent.map(|(id, node, _)| (*id, node.clone())).collect();
    for id in mute.look(&silent.keys().copied().collect::<Vec<_>>(), Instant::now()) {
        // while one is being given his voice the lock is held
        if let (Ok(_nobody_is), Some(node)) = (manager.membership.try_lock(), silent.get(&id)) {
            let forget = move |node: &mut Node| {
                if node.raft_id == id {
                    node.raft_id = 0;
                }
                Ok(())
            };
            change_node(ledger, node.clone(), forget).await?;
        }
    }
    let is_manager = |id: &u64| wanted.iter().any(|(known, _, role)| known == id && *role == Role::Manager);
    let mut surplus: Vec<u64> = members.into_iter().filter(|id| !is_manager(id)).collect();
    surplus.sort_by_key(|id| *id == own); // oneself last: afterwards another leads
    match surplus.first() {
        Some(id) => {
            manager.count_out(*id).await?;
            Err(Error::unavailable("one was taken out: look again"))
        }
        None if !silent.is_empty() => Err(Error::unavailable("one has no voice yet: look again")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_mute_for_long_begins_anew_and_who_has_just_asked_does_not() {
        let (mut mute, start) = (Mute::default(), Instant::now());
        assert!(mute.look(&[3], start).is_empty());
        assert!(mute.look(&[3, 4], start + AGAIN / 2).is_empty());
        assert_eq!(mute.look(&[3, 4], start + AGAIN), [3]);
        assert!(mute.look(&[4], start + AGAIN).is_empty(), "it has its voice");
        assert!(mute.look(&[3], start + AGAIN * 2).is_empty(), "another time is counted anew");
    }
}
