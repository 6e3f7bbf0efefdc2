//! # Sessions: a leader speaks with its agents
//!
//! Each node has one session. First the node says what it is; then it is told all that concerns it, and from then on what changes.
//! What it says of its tasks goes to the leader's ledger, where it is written down with everybody else's.
//!
//! ```text
//!   Hello ─► the node's row ─► Terms, News (everything) ─► tables change? does it concern this node? ─► News (difference)
//!   Status, Beat ─► ledger                                                  many changes at once: one difference
//! ```
//!
//! Not every change is looked at by every session: a task's new status concerns the node it is on, and those that share a network
//! with it; most changes concern few ([`concerns`]).
//!
//! Laws: a node's second session ends its first; a session ends with its leader's term, and the agent calls again.
//! *See:* swarmkit `manager/dispatcher/dispatcher.go`. *Next room:* [`super::heartbeat`]

use super::{View, concerns::concerns, view};
use crate::{
    agent::logs::LogsWish,
    manager::{Manager, admission, clerk::change_node, lead::Ledger},
    wire::{
        desk::Caller,
        line::{AgentSays, Ear, Hello, ManagerSays, Mouth},
    },
};
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::{
    local::RemoteManager,
    node::{NodeState, NodeStatus},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::sync::CancellationToken;

/// A node that calls says what it is within this time.
const HELLO: Duration = Duration::from_secs(10);
/// Changes that come so close together are told in one.
const GATHER: Duration = Duration::from_millis(10);
/// An agent that does not take what it is told for so long has gone.
const SPEAKING: Duration = Duration::from_secs(20);

/// What a session is to pass on besides changes.
pub enum Order {
    Logs { id: u64, wish: LogsWish },
}

/// Which nodes are on the line.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Line>>);

struct Line {
    orders: mpsc::UnboundedSender<Order>,
    ended: CancellationToken,
}

impl Sessions {
    /// A node's new session: the one before, if any, ends.
    fn begin(&self, node: &str) -> (mpsc::UnboundedReceiver<Order>, CancellationToken) {
        let (orders, taken) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let line = Line { orders, ended: ended.clone() };
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_string(), line);
        if let Some(before) = before {
            before.ended.cancel();
        }
        (taken, ended)
    }

    /// Has a node's agent do something; `false`: it is not on the line.
    pub fn order(&self, node: &str, order: Order) -> bool {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(node).is_some_and(|line| line.orders.send(order).is_ok())
    }

    /// All nodes that are on the line.
    pub fn nodes(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(_, line)| !line.orders.is_closed()).map(|(node, _)| node.clone()).collect()
    }
}

/// Holds a session until the node hangs up, another session of the same node begins, or the term is over.
///
/// # Errors
/// The connection broke, or the node says what makes no sense.
pub async fn hold(
    manager: &Manager,
    ledger: Arc<Ledger>,
    caller: &Caller,
    mut ear: Ear<AgentSays>,
    mut mouth: Mouth<ManagerSays>,
) -> Result<()> {
    let node = caller.node()?.node_id.clone();
    if manager.view(|tables| tables.node(&node).is_none()) {
        return mouth.say(&ManagerSays::Removed).await;
    }
    let hello = match tokio::time::timeout(HELLO, ear.hear()).await {
        Ok(Ok(Some(AgentSays::Hello(hello)))) => hello,
        Ok(Ok(_)) | Err(_) => return Err(Error::invalid(format!("node {node} did not say what it is"))),
        Ok(Err(error)) => return Err(error),
    };
    ledger.beat(&node);
    register(&ledger, &node, *hello, caller).await?;
    let (orders, ended) = manager.sessions.begin(&node);
    let (from_node, _listening) = ear.listen();
    let session = Session {
        manager,
        ledger: &ledger,
        node: &node,
        mouth,
        told: View::default(),
        managers: Vec::new(),
        asked_to_renew: None,
        asked_to_enlist: None,
    };
    tokio::select! {
        outcome = session.speak(from_node, orders) => outcome,
        () = ended.cancelled() => Ok(()),
    }
}

/// What the node is, and that it is there.
async fn register(ledger: &Ledger, node: &str, hello: Hello, caller: &Caller) -> Result<()> {
    let address = match hello.address.is_empty() {
        true => caller.address.ip().to_canonical().to_string(),
        false => hello.address,
    };
    let certified = caller.node()?.role;
    change_node(ledger, node.to_string(), move |node| {
        let tls_info = std::mem::take(&mut node.description.tls_info);
        node.description = hello.description;
        node.description.tls_info = tls_info; // we know better: we have signed it
        node.certified_role = certified;
        if node.status.state != NodeState::Ready || node.status.addr != address {
            let since = Some(clock::now());
            node.status = NodeStatus { state: NodeState::Ready, since, ..NodeStatus::default() };
            node.status.addr = address;
        }
        node.status.data_path_addr = hello.data_path_address;
        Ok(())
    })
    .await
}

struct Session<'a> {
    manager: &'a Manager,
    ledger: &'a Ledger,
    node: &'a str,
    mouth: Mouth<ManagerSays>,
    told: View,
    /// Where it was told that the managers are.
    managers: Vec<RemoteManager>,
    /// In which state of its row the node was asked to renew its papers: once is enough.
    asked_to_renew: Option<u64>,
    /// And to ask for its voice.
    asked_to_enlist: Option<u64>,
}

/// Where the managers are, and how often to say that one lives.
pub fn terms(manager: &Manager) -> ManagerSays {
    let period = manager.view(|tables| tables.cluster().map(|c| c.spec.dispatcher.heartbeat_period));
    ManagerSays::Terms { managers: manager.managers(), period: period.unwrap_or(5_000_000_000) }
}

impl Session<'_> {
    async fn speak(
        mut self,
        mut from_node: mpsc::Receiver<Result<AgentSays>>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) -> Result<()> {
        let mut changes = self.manager.watch();
        self.terms().await?;
        self.tell(true).await?;
        loop {
            tokio::select! {
                said = from_node.recv() => match said {
                    Some(said) => self.hear(said?).await?,
                    None => return Ok(()),
                },
                changed = changes.recv() => {
                    if !self.is_concerned(changed)? {
                        continue;
                    }
                    tokio::time::sleep(GATHER).await;
                    let resubscribed = changes.resubscribe(); // what has come meanwhile is in the tables already
                    changes = resubscribed;
                    if !self.tell(false).await? {
                        return Ok(());
                    }
                }
                order = orders.recv() => if let Some(Order::Logs { id, wish }) = order {
                    self.say(&ManagerSays::Logs { id, wish }).await?;
                },
                () = self.ledger.over.cancelled() => {
                    self.terms().await?; // the leader may be one of whom this node has not heard yet
                    let leader = self.manager.leader_address();
                    return self.say(&ManagerSays::Moved { leader }).await;
                }
            }
        }
    }

    async fn hear(&mut self, said: AgentSays) -> Result<()> {
        match said {
            AgentSays::Status(statuses) => {
                self.ledger.beat(self.node);
                self.ledger.report(self.node, statuses);
            }
            AgentSays::Beat => {
                self.ledger.beat(self.node);
                if self.manager.view(|tables| tables.node(self.node).is_some_and(|n| n.status.state != NodeState::Ready)) {
                    self.ledger.ring(); // it was given up, and is back
                }
                self.terms().await?;
            }
            AgentSays::Hello(_) => return Err(Error::invalid(format!("node {} has said already what it is", self.node))),
        }
        Ok(())
    }

    fn is_concerned(&self, changed: Result<Arc<Vec<crate::store::Change>>, RecvError>) -> Result<bool> {
        match changed {
            Ok(list) => Ok(list.is_empty() || list.iter().any(|change| concerns(change, self.node, &self.told))),
            Err(RecvError::Lagged(_)) => Ok(true),
            Err(RecvError::Closed) => Err(Error::unavailable("this manager has stopped")),
        }
    }

    async fn terms(&mut self) -> Result<()> {
        self.managers = self.manager.managers();
        self.say(&terms(self.manager)).await
    }

    /// Says what is new; `whole`: the first time, even if that is nothing. `false`: the node is removed.
    async fn tell(&mut self, whole: bool) -> Result<bool> {
        let known = self.manager.view(|tables| {
            let node = tables.node(self.node)?;
            let renew = admission::should_renew(tables, node).then_some(node.version.index);
            let enlist = admission::should_enlist(node).then_some(node.version.index);
            Some((view(tables, self.node), renew, enlist))
        });
        let Some((now, renew, enlist)) = known else {
            self.say(&ManagerSays::Removed).await?;
            return Ok(false);
        };
        if self.manager.managers() != self.managers {
            self.terms().await?;
        }
        let delta = now.since(&self.told);
        if whole || delta.is_some() {
            self.say(&ManagerSays::News(Box::new(delta.unwrap_or_default()))).await?;
            self.told = now;
        }
        if renew.is_some() && self.asked_to_renew != renew {
            self.asked_to_renew = renew;
            self.say(&ManagerSays::Renew).await?;
        }
        if enlist.is_some() && self.asked_to_enlist != enlist {
            self.asked_to_enlist = enlist;
            self.say(&ManagerSays::Enlist).await?;
        }
        Ok(true)
    }

    async fn say(&mut self, message: &ManagerSays) -> Result<()> {
        let late = |_| Error::unavailable("the node does not listen any more");
        tokio::time::timeout(SPEAKING, self.mouth.say(message)).await.map_err(late)?
    }
}
