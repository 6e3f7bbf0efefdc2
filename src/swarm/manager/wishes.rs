//! # Wishes: asked of any manager
//!
//! A wish goes to the leader, wherever that is, and the asker gets the answer once this manager's own replica has it: who creates
//! a service here and lists the services here sees it. While a leader is being elected a wish waits a moment; when there is none to be
//! expected it is refused at once, with the reason.
//!
//! What must be drawn by lot (tokens, keys, another root) is drawn before anything is decided, and becomes part of the wish.
//!
//! Laws: a wish is never put to two leaders, unless the first was not reached at all: who may have understood it has perhaps
//! granted it, and the asker is told so. *Next room:* [`super::rotation`]

use super::{Manager, lead::Ledger, members::SILENT, rotation};
use crate::{
    control::{self, Wish, cluster::Rotate},
    seal,
    wire::{Ask, Outcome},
};
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::{
    cluster::{Cluster, ClusterSpec},
    node::Role,
};
use serde_json::Value;
use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

/// An election takes no longer, if there is a majority.
const ELECTION: Duration = Duration::from_secs(4);
/// And so much longer on machines that are very busy, as long as managers enough are heard asking each other for their voices.
const SLOW_ELECTION: Duration = Duration::from_secs(8);
/// Before a leader that was not reached is called again.
const PAUSE: Duration = Duration::from_millis(50);
/// Who does not lead any more may still answer for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// This replica may lag behind the leader for so long.
const LAG: Duration = Duration::from_secs(5);

impl Manager {
    /// Has something changed: here if this manager leads, else there; returns what the asker is told, after this replica has it.
    ///
    /// # Errors
    /// What [`control::decide`] says; 503 without a leader or a majority.
    pub async fn wish(&self, wish: Wish) -> Result<Value> {
        let wish = self.complete(wish)?;
        let until = Instant::now() + ELECTION;
        loop {
            if let Some(ledger) = self.ledger() {
                return self.wish_here(&ledger, wish).await;
            }
            match self.leader_address().filter(|address| *address != self.address) {
                Some(leader) => {
                    if let Some(value) = self.wish_there(&leader, &wish).await? {
                        return Ok(value);
                    }
                }
                None if self.leaderless() > ELECTION && !self.majority_is_heard() => return Err(self.nobody_leads()),
                None => {}
            }
            if Instant::now() > until + if self.majority_is_heard() { SLOW_ELECTION } else { Duration::ZERO } {
                return Err(self.nobody_leads());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// By way of the leader; `None`: it was not reached, or does not lead, and nothing has happened. Who is not leader any more before he
    /// has been reached, or before he has answered, is not waited for.
    async fn wish_there(&self, leader: &str, wish: &Wish) -> Result<Option<Value>> {
        let reached = tokio::select! {
            reached = self.phone.reach(leader) => reached.ok(),
            () = self.another_leads(leader) => None,
        };
        let Some(reached) = reached else { return Ok(None) };
        let ask = Ask::Wish(Box::new(wish.clone()));
        let overtaken = async {
            self.another_leads(leader).await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let answer = tokio::select! {
            answer = reached.ask(&ask) => answer?,
            () = overtaken => return Err(Error::unavailable("the leader was lost before it has answered; the change may yet take effect")),
        };
        match serde_json::from_value(answer).map_err(|e| Error::system(e.to_string()).during("read the leader's answer"))? {
            Outcome::Granted { index, value } => {
                self.consensus()?.reached(index, LAG).await?;
                Ok(Some(value))
            }
            Outcome::NotLeader => Ok(None),
        }
    }

    /// Returns when somebody else leads than who answers at this address.
    async fn another_leads(&self, address: &str) {
        loop {
            let leader = self.leader_address();
            if leader.as_ref().is_some_and(|leader| leader != address) || self.leader_is_not(&leader).await.is_err() {
                return;
            }
        }
    }

    /// As leader.
    pub(super) async fn wish_here(&self, ledger: &Ledger, wish: Wish) -> Result<Value> {
        if let Wish::UpdateNode { id, spec, .. } = &wish
            && spec.role == Role::Worker
        {
            let raft_id = self.view(|tables| control::nodes::find(tables, id).map_or(0, |n| n.raft_id));
            self.can_spare(raft_id)?;
        }
        ledger.write(Box::new(move |tables, context| control::decide(tables, &wish, context))).await
    }

    /// Managers enough for a majority said something lately: an election is under way, and will come to an end.
    fn majority_is_heard(&self) -> bool {
        let standing = self.consensus().map(|c| c.standing());
        standing.is_ok_and(|s| s.alive(SILENT).len() >= s.needed())
    }

    /// How long nobody has led.
    fn leaderless(&self) -> Duration {
        self.led.read().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Draws what is new, for [`Wish::UpdateCluster`].
    pub fn rotate(worker_token: bool, manager_token: bool, unlock_key: bool) -> Rotate {
        Rotate {
            worker_token: worker_token.then(rand::random),
            manager_token: manager_token.then(rand::random),
            unlock_key: unlock_key.then(seal::new_unlock_key),
            root: None,
        }
    }

    /// The wish, with what it needs of chance.
    fn complete(&self, wish: Wish) -> Result<Wish> {
        let Wish::UpdateCluster { version, spec, mut rotate } = wish else { return Ok(wish) };
        self.view(|tables| match tables.cluster() {
            Some(cluster) => {
                if spec.encryption_config.auto_lock_managers && cluster.keys.unlock_key.is_empty() {
                    rotate.unlock_key.get_or_insert_with(seal::new_unlock_key);
                }
                if wants_another_root(cluster, &spec) {
                    rotate.root = Some(rotation::next_root(cluster, &spec.ca_config, clock::now())?);
                }
                Ok(Wish::UpdateCluster { version, spec, rotate })
            }
            None => Err(Error::unavailable("this swarm has no cluster object yet")),
        })
    }
}

fn wants_another_root(cluster: &Cluster, spec: &ClusterSpec) -> bool {
    let (now, wanted) = (&cluster.spec.ca_config, &spec.ca_config);
    let brought = !wanted.signing_ca_cert.is_empty() && wanted.signing_ca_cert.trim() != cluster.keys.ca_certificate.trim();
    wanted.force_rotate != now.force_rotate || (brought && wanted.signing_ca_cert != now.signing_ca_cert)
}
