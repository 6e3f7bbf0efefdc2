//! # The session: one line to the leader
//!
//! The agent calls a manager; if that one does not lead it says who does. Then both sides speak when they like: the agent says what
//! this node is, that it lives, and how far its tasks are; the leader says what is new. When the line breaks, or nothing is heard on
//! it for too long (the leader answers every beat), the agent calls again, the next manager first, waiting a little longer each time.
//! The agent of a manager need not wait for that: it hears of an election as soon as its manager does, also while it calls somebody
//! who is dead, or rests between two calls.
//!
//! ```text
//!   agent ── Hello ──────────────► manager        not the leader: Moved { leader }
//!         ◄── Terms, News (whole) ──
//!         ── Status, Beat ────────►               ◄── Terms, News (what changed), Logs, Renew, Removed
//! ```
//!
//! Laws: no session ends a task; without a leader everything on this node stays as it was last told.
//! *See:* swarmkit `agent/session.go`. *Next room:* [`super::worker`]

use super::{Heard, Post, logs, worker::Worker};
use crate::wire::line::{AgentSays, Hello, ManagerSays, Mouth};
use minidock_base::{Error, Result};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

/// The first pause between two calls, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Until the leader says otherwise.
const PERIOD: Duration = Duration::from_secs(5);
/// A manager that does not take what is said for so long has gone.
const SPEAKING: Duration = Duration::from_secs(10);

/// Why a session ended.
enum Ending {
    /// Somebody else leads.
    Moved(Option<String>),
    /// This node is of no swarm any more.
    Removed,
}

/// Holds sessions, one after another, until the node is removed.
pub async fn keep(post: &Post, worker: &Arc<Worker>) {
    let (mut managers, mut leads) = (post.managers.clone(), post.leads.clone());
    let (mut leader, mut pause): (Option<String>, Duration) = (None, FIRST_PAUSE);
    let mut named: Option<String> = None; // who was last said to lead
    loop {
        let known = managers.borrow_and_update().clone();
        leads.borrow_and_update();
        let addresses: Vec<String> = leader.take().into_iter().chain(known).collect();
        for address in addresses {
            let began = Instant::now();
            let ended = hold(post, worker, &address).await;
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            match ended {
                Ok(Ending::Removed) => {
                    let _ = post.heard.send(Heard::Removed).await;
                    return;
                }
                Ok(Ending::Moved(Some(address))) => {
                    if named.replace(address.clone()).as_ref() != Some(&address) {
                        pause = FIRST_PAUSE; // that is news
                    }
                    leader = Some(address);
                    break;
                }
                Ok(Ending::Moved(None)) => tracing::debug!(address, "this manager knows no leader"),
                Err(error) => tracing::debug!(address, "no session: {}", error.message()),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            Ok(()) = managers.changed() => {}
            Ok(()) = leads.changed() => {}
        }
    }
}

/// One session, until it ends.
async fn hold(post: &Post, worker: &Arc<Worker>, address: &str) -> Result<Ending> {
    let (ear, mut mouth) = tokio::select! {
        called = post.phone.session(address) => called?,
        leader = leads_elsewhere(post.leads.clone(), address) => return Ok(Ending::Moved(Some(leader))),
    };
    let (heard, _listening) = ear.listen();
    let description = worker.executor.describe().await?;
    let hello = Hello { description, address: post.address.clone(), data_path_address: post.data_path_address.clone() };
    say(&mut mouth, &AgentSays::Hello(Box::new(hello))).await?;
    worker.reporter.again();
    let mut session = Session { post, worker, address, mouth, period: PERIOD, whole: true, telling: JoinSet::new() };
    session.speak(heard).await
}

async fn say(mouth: &mut Mouth<AgentSays>, message: &AgentSays) -> Result<()> {
    timeout(SPEAKING, mouth.say(message)).await.map_err(|_| Error::unavailable("the manager does not listen any more"))?
}

/// Returns when somebody else leads than who answers at this address, and where.
async fn leads_elsewhere(mut leads: watch::Receiver<Option<String>>, address: &str) -> String {
    let elsewhere = |leader: &Option<String>| leader.as_ref().is_some_and(|leader| leader != address);
    let leader = leads.wait_for(elsewhere).await.ok().and_then(|leader| leader.clone());
    match leader {
        Some(leader) => leader,
        None => std::future::pending().await, // this node's life ends, and with it the agent
    }
}

/// What a session knows.
struct Session<'a> {
    post: &'a Post,
    worker: &'a Arc<Worker>,
    address: &'a str,
    mouth: Mouth<AgentSays>,
    period: Duration,
    /// The next news hold everything.
    whole: bool,
    telling: JoinSet<()>,
}

impl Session<'_> {
    async fn speak(&mut self, mut heard: mpsc::Receiver<Result<ManagerSays>>) -> Result<Ending> {
        let (mut beat, mut last) = (tokio::time::Instant::now() + self.period, tokio::time::Instant::now());
        loop {
            let worker = self.worker.clone();
            tokio::select! {
                message = heard.recv() => {
                    let message = message.unwrap_or_else(|| Err(Error::unavailable("the manager has hung up")))?;
                    last = tokio::time::Instant::now();
                    if let Some(ending) = self.hear(message).await {
                        return Ok(ending);
                    }
                    beat = beat.min(last + self.period);
                }
                leader = leads_elsewhere(self.post.leads.clone(), self.address) => return Ok(Ending::Moved(Some(leader))),
                statuses = worker.reporter.next(), if !self.whole => {
                    say(&mut self.mouth, &AgentSays::Status(statuses)).await?;
                }
                () = tokio::time::sleep_until(beat) => {
                    say(&mut self.mouth, &AgentSays::Beat).await?;
                    beat = tokio::time::Instant::now() + self.period;
                }
                () = tokio::time::sleep_until(last + self.period * 2 + SPEAKING / 10) => {
                    return Err(Error::unavailable("nothing is heard from the leader any more"));
                }
                Some(_) = self.telling.join_next() => {}
            }
        }
    }

    async fn hear(&mut self, message: ManagerSays) -> Option<Ending> {
        match message {
            ManagerSays::News(news) => {
                self.worker.hear(*news, self.whole);
                self.whole = false;
            }
            ManagerSays::Terms { managers, period } => {
                self.period = u64::try_from(period).ok().filter(|p| *p > 0).map_or(PERIOD, Duration::from_nanos);
                let _ = self.post.heard.send(Heard::Managers(managers)).await;
            }
            ManagerSays::Moved { leader } => return Some(Ending::Moved(leader)),
            ManagerSays::Renew => drop(self.post.heard.send(Heard::Renew).await),
            ManagerSays::Enlist => drop(self.post.heard.send(Heard::Enlist).await),
            ManagerSays::Removed => return Some(Ending::Removed),
            ManagerSays::Logs { id, wish } => {
                let (phone, address) = (self.post.phone.clone(), self.address.to_string());
                let (executor, here) = (self.worker.executor.clone(), self.worker.here.clone());
                self.telling.spawn(async move {
                    if let Err(error) = logs::tell(&phone, &address, id, executor, &here, wish).await {
                        tracing::debug!(id, "nobody listens to logs any more: {}", error.message());
                    }
                });
            }
        }
        None
    }
}
