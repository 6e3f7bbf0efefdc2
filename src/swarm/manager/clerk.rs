//! # The clerk: what a manager answers at the desk
//!
//! Everybody may ask any manager; only the leader can answer most questions. A manager that does not lead sends them on, saying who
//! asked and from where, for it has checked the certificate and the leader has not seen it. Sessions are not sent on: the agent
//! is told where to call.
//!
//! A certificate outlives what the swarm thinks of its bearer, so that is looked up in the tables besides. Not for messages of
//! consensus: a manager that lags behind would refuse the very leader from whom it could learn better.
//!
//! ```text
//!   node ── Renew ──► manager ── Relay { node, Renew } ──► leader ──► ledger
//! ```
//!
//! *Next room:* [`super::admission`]

use super::{
    Manager,
    admission::{self, Drawn},
    lead::{Ledger, new_id},
};
use crate::{
    agent::logs::{LogsWish, Portion},
    ca::Subject,
    control::attachments,
    dispatcher::sessions,
    orchestrator::Context,
    store::{Action, Tables},
    wire::{
        Ask, Outcome, Papers,
        desk::{Caller, Clerk},
        line::{AgentSays, Ear, ManagerSays, Mouth},
    },
};
use futures_util::future::BoxFuture;
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::node::{Availability, Node, Role};
use serde_json::{Value, json, to_value};
use std::sync::Arc;

/// A manager, as callers meet it.
pub struct AtDesk(pub Arc<Manager>);

impl Clerk for AtDesk {
    fn answer<'a>(&'a self, caller: &'a Caller, ask: Ask) -> BoxFuture<'a, Result<Value>> {
        Box::pin(self.0.answer(caller, ask))
    }

    fn raft<'a>(&'a self, _: &'a Caller, message: Vec<u8>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { self.0.replica.consensus()?.receive(&message).await })
    }

    fn session<'a>(
        &'a self,
        caller: &'a Caller,
        ear: Ear<AgentSays>,
        mut mouth: Mouth<ManagerSays>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.0.ledger() {
                Some(ledger) => sessions::hold(&self.0, ledger, caller, ear, mouth).await,
                None => {
                    mouth.say(&sessions::terms(&self.0)).await?;
                    let leader = self.0.leader_address();
                    mouth.say(&ManagerSays::Moved { leader }).await
                }
            }
        })
    }

    fn told_logs<'a>(&'a self, caller: &'a Caller, id: u64, ear: Ear<Portion>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.0.exchange.hear(caller, id, ear))
    }

    fn tell_logs<'a>(
        &'a self,
        caller: &'a Caller,
        wish: LogsWish,
        ear: Ear<()>,
        mouth: Mouth<Portion>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.0.still_is(caller.manager()?, Role::Manager)?;
            super::logs::tell(&self.0, wish, ear, mouth).await
        })
    }
}

impl Manager {
    async fn answer(&self, caller: &Caller, ask: Ask) -> Result<Value> {
        if let Some(subject) = &caller.subject {
            let for_managers = matches!(ask, Ask::Wish(_) | Ask::Relay { .. } | Ask::Resign | Ask::Enlist { .. });
            self.still_is(subject, if for_managers { Role::Manager } else { Role::Worker })?;
        }
        match ask {
            Ask::Root => self.root(),
            Ask::Relay { node, address, ask } if self.ledger().is_some() => {
                self.answer_as_leader(&Caller { subject: node, address }, *ask).await
            }
            Ask::Wish(_) if self.ledger().is_none() => written(&Outcome::NotLeader),
            Ask::Relay { .. } => Err(Error::unavailable("this manager is not the leader")),
            ask if self.ledger().is_some() => self.answer_as_leader(caller, ask).await,
            ask => self.relay(caller, ask).await,
        }
    }

    /// A certificate is good for months; what the swarm thinks of its bearer may have changed since: it must be a node still, and
    /// a manager still if `least` says so.
    fn still_is(&self, subject: &Subject, least: Role) -> Result<()> {
        let for_managers = least == Role::Manager;
        self.view(|tables| match tables.node(&subject.node_id) {
            _ if tables.cluster().is_none() => Ok(()), // this manager has just come and knows nobody
            None => Err(admission::removed(&subject.node_id)),
            Some(node) if for_managers && node.spec.role == Role::Worker && node.raft_id == 0 => {
                Err(Error::forbidden(format!("node {} is a worker now: only managers may ask this", node.id)))
            }
            Some(_) => Ok(()),
        })
    }

    fn root(&self) -> Result<Value> {
        let root = self.view(|tables| tables.cluster().map(|c| c.keys.ca_certificate.clone()));
        root.map(Value::String).ok_or_else(|| Error::unavailable("this manager does not know its swarm yet"))
    }

    async fn relay(&self, caller: &Caller, ask: Ask) -> Result<Value> {
        let leader = self.leader_address().ok_or_else(|| self.nobody_leads())?;
        let relay = Ask::Relay { node: caller.subject.clone(), address: caller.address, ask: Box::new(ask) };
        self.phone.ask(&leader, &relay).await
    }

    async fn answer_as_leader(&self, caller: &Caller, ask: Ask) -> Result<Value> {
        let ledger = self.ledger().ok_or_else(|| Error::unavailable("this manager is not the leader"))?;
        match ask {
            Ask::Join { token, request, availability } => {
                let papers = self.admit(&ledger, token, request, availability).await?;
                tracing::info!(node = papers.node_id, role = papers.role.name(), "a node joins");
                written(&papers)
            }
            Ask::Renew { request } => written(&self.renew(&ledger, caller.node()?, request).await?),
            Ask::Enlist { raft_id, address } => {
                let node = caller.manager()?.node_id.clone();
                self.enlist(&ledger, node, raft_id, address).await.map(|()| Value::Null)
            }
            Ask::Wish(wish) => {
                caller.manager()?;
                let value = self.wish_here(&ledger, *wish).await?;
                written(&Outcome::Granted { index: self.applied(), value })
            }
            Ask::Attach(wish) => {
                let node = caller.node()?.node_id.clone();
                let decide = move |tables: &Tables, context: &mut Context| attachments::attach(tables, &node, &wish, context);
                ledger.write(Box::new(decide)).await
            }
            Ask::Farewell => {
                ledger.bye(&caller.node()?.node_id);
                Ok(Value::Null)
            }
            Ask::Resign => {
                let node = caller.manager()?.node_id.clone();
                self.let_go(&ledger, node).await.map(|()| Value::Null)
            }
            Ask::Root | Ask::Relay { .. } => Err(Error::invalid("this is not sent on")),
        }
    }

    async fn admit(&self, ledger: &Ledger, token: String, request: String, availability: Availability) -> Result<Papers> {
        let drawn = Drawn { now: clock::now(), serial: rand::random(), node_id: new_id() };
        let decide = move |tables: &Tables, _: &mut Context| {
            let (actions, papers) = admission::join(tables, &token, &request, availability, &drawn)?;
            Ok((actions, written(&papers)?))
        };
        self.with_managers(ledger.write(Box::new(decide)).await?)
    }

    async fn renew(&self, ledger: &Ledger, node: &Subject, request: String) -> Result<Papers> {
        let drawn = Drawn { now: clock::now(), serial: rand::random(), node_id: String::new() };
        let node = node.node_id.clone();
        let decide = move |tables: &Tables, _: &mut Context| {
            let (actions, papers) = admission::renew(tables, &node, &request, &drawn)?;
            Ok((actions, written(&papers)?))
        };
        self.with_managers(ledger.write(Box::new(decide)).await?)
    }

    fn with_managers(&self, papers: Value) -> Result<Papers> {
        let mut papers: Papers = serde_json::from_value(papers).map_err(|e| Error::system(e.to_string()))?;
        papers.managers = self.managers();
        Ok(papers)
    }

    /// Makes a manager one of those who agree. Its number stands in the tables before it gets a voice: a voice without a row
    /// would be taken for a leftover.
    async fn enlist(&self, ledger: &Ledger, node: String, raft_id: u64, address: String) -> Result<()> {
        let id = node.clone();
        change_node(ledger, node, move |node| match node.spec.role {
            Role::Manager => {
                node.raft_id = raft_id;
                Ok(())
            }
            Role::Worker => Err(Error::forbidden(format!("node {} is to be a worker", node.id))),
        })
        .await?;
        self.count_in(raft_id, &address).await?;
        tracing::info!(node = id, address, "a manager has its voice");
        ledger.ring();
        Ok(())
    }

    /// This manager leaves. Alone, it has nobody to ask.
    ///
    /// # Errors
    /// 503: nobody leads.
    pub async fn resign(&self) -> Result<()> {
        if self.consensus()?.standing().voters() <= 1 {
            return Ok(());
        }
        if let Some(ledger) = self.ledger() {
            return self.let_go(&ledger, self.node_id.clone()).await;
        }
        let leader = self.leader_address().ok_or_else(|| self.nobody_leads())?;
        self.phone.ask(&leader, &Ask::Resign).await.map(drop)
    }

    /// A manager leaves: first it is no manager any more, then it need not be waited for.
    pub(super) async fn let_go(&self, ledger: &Ledger, node: String) -> Result<()> {
        let raft_id = self.view(|tables| tables.node(&node).map_or(0, |n| n.raft_id));
        change_node(ledger, node.clone(), |node| {
            node.spec.role = Role::Worker;
            Ok(())
        })
        .await?;
        ledger.bye(&node);
        self.count_out(raft_id).await
    }
}

/// Writes one node's row anew; nothing when nothing has changed.
pub(crate) async fn change_node(
    ledger: &Ledger,
    node: String,
    change: impl FnOnce(&mut Node) -> Result<()> + Send + 'static,
) -> Result<()> {
    let decide = move |tables: &Tables, _: &mut Context| {
        let known = tables.node(&node).ok_or_else(|| admission::removed(&node))?;
        let mut changed = Node::clone(known);
        change(&mut changed)?;
        let actions = if changed == **known { Vec::new() } else { vec![Action::Put(changed.into())] };
        Ok((actions, json!(null)))
    };
    ledger.write(Box::new(decide)).await.map(drop)
}

fn written<T: serde::Serialize>(value: &T) -> Result<Value> {
    to_value(value).map_err(|e| Error::system(e.to_string()))
}
