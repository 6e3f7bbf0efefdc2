//! # Leadership: who leads, who is there
//!
//! Two things stand here: what follows from an election ([`follow`]: while this manager leads, its ledger is open, its loops run), and what
//! people are told of it ([`Leadership`], for `node ls` and `why leader`).
//!
//! ```text
//!   elected ──► has applied all that was agreed on before ──► ledger, turns, members' list
//!   not the leader any more ──► they end; agents are told to call the other one
//! ```
//!
//! *See:* the Raft paper, section 8: a leader reads only what it knows to be committed. *Next room:* [`super::wishes`]

use super::{Manager, lead, lead::Ledger, members};
use minidock_base::{Error, Result};
use minidock_consensus::{Refusal, Standing};
use minidock_spec::swarm::node::{ManagerStatus, Node};
use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// A leader that has just been elected catches up within this time, or tries again.
const CATCH_UP: Duration = Duration::from_secs(5);

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
    pub since_quorum: Option<Duration>,
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
    /// How long ago it was last heard of; zero for oneself, absent: never since this manager started. Managers that do not lead
    /// hear of the leader only.
    pub silence: Option<Duration>,
    /// It answers, as far as this manager can know.
    pub reachable: bool,
}

/// Waits for elections, and does what follows from them.
pub(super) async fn follow(manager: Arc<Manager>) {
    let Ok(consensus) = manager.consensus().cloned() else { return };
    let mut before: Option<u64> = None;
    let mut led: Option<u64> = None; // the last one that was known to lead, if it was another
    loop {
        let standing = consensus.standing();
        if before.is_some() || standing.leader.is_some() {
            *manager.led.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        before = standing.leader;
        led = standing.leader.filter(|leader| *leader != manager.raft_id).or(led);
        let changed = async {
            if standing.leader == Some(manager.raft_id) && consensus.barrier(CATCH_UP).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await; // perhaps it leads nobody
                return led;
            }
            let leading = (standing.leader == Some(manager.raft_id)).then(|| begin(&manager, &standing, led));
            if consensus.leader_changes(&standing).await.is_err() {
                manager.closing.cancelled().await;
            }
            if leading.is_some() { None } else { led }
        };
        tokio::select! {
            known = changed => led = known,
            () = manager.closing.cancelled() => return,
        }
    }
}

/// While it is there, this manager leads.
struct Leading(Arc<Manager>, Arc<Ledger>);

impl Drop for Leading {
    fn drop(&mut self) {
        tracing::info!(term = self.1.term, "this manager does not lead any more");
        self.1.over.cancel();
        self.0.replica.follow();
        *self.0.ledger.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn begin(manager: &Arc<Manager>, standing: &Standing, led_before: Option<u64>) -> Leading {
    tracing::info!(term = standing.term, "this manager leads");
    manager.replica.lead();
    let (ledger, waiting) =
        Ledger::new(standing.term, led_before, manager.replica.pace().clone(), manager.closing.child_token());
    *manager.ledger.write().unwrap_or_else(PoisonError::into_inner) = Some(ledger.clone());
    manager.work.spawn(lead::lead(manager.clone(), ledger.clone(), waiting));
    manager.work.spawn(members::keep(manager.clone(), ledger.clone()));
    Leading(manager.clone(), ledger)
}

impl Manager {
    /// Who leads, and who is there.
    pub fn leadership(&self) -> Leadership {
        let mut known = Leadership { node_id: self.node_id.clone(), ..Leadership::default() };
        let Ok(consensus) = self.consensus() else { return known };
        let standing = consensus.standing();
        (known.term, known.applied, known.needed) = (standing.term, standing.applied, standing.needed());
        known.since_quorum = standing.since_quorum;
        let leads = standing.leader == Some(self.raft_id);
        self.view(|tables| {
            let of = |raft_id: u64| tables.nodes().find(|n| n.raft_id == raft_id);
            known.leader = standing.leader.and_then(of).map(|n| n.id.clone());
            for seen in &standing.members {
                let node = of(seen.member.id);
                let heard = seen.silence.is_some_and(|s| s <= members::SILENT);
                // who does not lead hears nothing from others that do not, and takes the leader's word: the node's own state
                let by_tables = node.is_some_and(|n| n.status.state == minidock_spec::swarm::node::NodeState::Ready);
                let reachable =
                    heard || (!leads && standing.leader.is_some() && standing.leader != Some(seen.member.id) && by_tables);
                known.managers.push(Peer {
                    node_id: node.map(|n| n.id.clone()).unwrap_or_default(),
                    hostname: node.map(|n| n.description.hostname.clone()).unwrap_or_default(),
                    addr: seen.member.address.clone(),
                    votes: seen.votes,
                    silence: seen.silence,
                    reachable,
                });
            }
        });
        known
    }

    /// A node with its `manager_status`, as `node ls` and `node inspect` show it.
    pub fn shown(&self, node: &Node) -> Node {
        self.shown_by(node, &self.leadership())
    }

    /// The same for many nodes: [`Manager::leadership`] is asked once.
    pub fn shown_by(&self, node: &Node, leadership: &Leadership) -> Node {
        // one that has just been promoted learns first, and shows that it is there when it has learnt
        let peer = leadership.managers.iter().find(|p| p.node_id == node.id && (p.votes || p.reachable));
        let status = peer.map(|peer| ManagerStatus {
            leader: leadership.leader.as_deref() == Some(&node.id),
            reachability: if peer.reachable { "reachable" } else { "unreachable" }.into(),
            addr: peer.addr.clone(),
        });
        Node { manager_status: status, ..node.clone() }
    }

    /// A member of the consensus, as a node, and how long it has been silent; none if it was never heard of or is none.
    pub(super) fn silence(&self, raft_id: u64) -> Option<(String, Duration)> {
        let standing = self.consensus().ok()?.standing();
        let silence = standing.members.iter().find(|seen| seen.member.id == raft_id)?.silence?;
        self.view(|tables| tables.nodes().find(|node| node.raft_id == raft_id).map(|node| (node.id.clone(), silence)))
    }

    /// Where the leader answers; none while nobody leads.
    pub fn leader_address(&self) -> Option<String> {
        self.consensus().ok()?.standing().leader().map(|m| m.address.clone())
    }

    /// Returns when the leader does not answer at this address any more, or there is one where there was none.
    ///
    /// # Errors
    /// This manager has stopped.
    pub(crate) async fn leader_is_not(&self, known: &Option<String>) -> Result<()> {
        let consensus = self.consensus()?;
        loop {
            let standing = consensus.standing();
            if standing.leader().map(|leader| &leader.address) != known.as_ref() {
                return Ok(());
            }
            consensus.leader_changes(&standing).await?;
        }
    }

    /// Why nothing can be changed now, and the ways out.
    pub(crate) fn nobody_leads(&self) -> Error {
        match self.consensus() {
            Ok(consensus) => Refusal::NotLeader(Standing { leader: None, ..consensus.standing() }).into(),
            Err(error) => error,
        }
    }
}
