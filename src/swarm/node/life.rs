//! # A node's life: agent, papers, and sometimes a manager
//!
//! What runs while this machine is in a swarm. The agent always; a manager beside it as long as its certificate says so. What the
//! agent hears that is not about tasks is dealt with here.
//!
//! ```text
//!             ┌ agent ── session ──► leader
//!   Life ─────┤    └ Heard: managers are elsewhere · renew your papers · you are removed
//!             ├ papers: renewed when asked to, and by themselves long before they expire
//!             └ manager: opened when the papers say manager, ended when they say worker
//! ```
//!
//! Laws: papers are on disk before they are used; a manager asks for its voice until it has it. *Next room:* [`manager`]

mod manager;

use super::{
    Setup,
    record::{Folder, Keys, Record},
};
use crate::{
    agent::{self, Heard, Post},
    ca::{self, identity::Identity},
    manager::Manager,
    wire::{Ask, Papers, phone::Phone},
};
use minidock_base::{Error, Result, clock};
use minidock_spec::swarm::{local::RemoteManager, node::Role};
use rustls::ServerConfig;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between two attempts to be heard by the managers.
const AGAIN: Duration = Duration::from_millis(500);
/// And so many of them, before what is next gets its turn.
const ATTEMPTS: usize = 20;
/// Papers are looked at so often: whether they must be renewed.
const LOOK: Duration = Duration::from_secs(60);
/// Between two renewals: to a clock that is far ahead new papers are old at once.
const REST: Duration = Duration::from_secs(2);

/// One stay in a swarm.
pub struct Life {
    pub setup: Arc<Setup>,
    pub folder: Folder,
    record: Mutex<Record>,
    /// As the keys on disk are sealed; empty: they are not. Locked before `keys`, for as long as they are written.
    unlock: Mutex<String>,
    keys: Mutex<Keys>,
    pub phone: Arc<Phone>,
    papers: watch::Sender<Arc<ServerConfig>>,
    managers: watch::Sender<Vec<String>>,
    /// As its own manager knows.
    leads: watch::Sender<Option<String>>,
    manager: watch::Sender<Option<Arc<Manager>>>,
    /// Held while the manager is opened or ended: one of both at a time.
    turning: tokio::sync::Mutex<()>,
    /// Held while the manager asks for its voice.
    asking: tokio::sync::Mutex<()>,
    /// The agent has been heard by a leader.
    heard: watch::Sender<bool>,
    /// Why this node is of no use to its swarm any more.
    pub trouble: Mutex<Option<String>>,
    pub closing: CancellationToken,
    work: TaskTracker,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Life {
    /// Everything that a life needs; nothing runs yet. `unlock`: what the keys on disk are sealed with.
    ///
    /// # Errors
    /// The papers cannot be used.
    pub fn new(setup: Arc<Setup>, record: Record, keys: Keys, unlock: String) -> Result<Arc<Life>> {
        let folder = Folder(setup.folder.clone());
        let phone = Arc::new(Phone::new(keys.identity.caller()?));
        let papers = watch::Sender::new(keys.identity.listener()?);
        let managers = watch::Sender::new(addresses(&record));
        Ok(Arc::new(Life {
            setup,
            folder,
            record: Mutex::new(record),
            keys: Mutex::new(keys),
            unlock: Mutex::new(unlock),
            phone,
            papers,
            managers,
            leads: watch::Sender::default(),
            manager: watch::Sender::default(),
            turning: tokio::sync::Mutex::new(()),
            asking: tokio::sync::Mutex::new(()),
            heard: watch::Sender::new(false),
            trouble: Mutex::default(),
            closing: CancellationToken::new(),
            work: TaskTracker::new(),
        }))
    }

    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    pub fn manager(&self) -> Option<Arc<Manager>> {
        self.manager.borrow().clone()
    }

    /// Sees each promotion and each demotion from now on.
    pub fn turns(&self) -> watch::Receiver<Option<Arc<Manager>>> {
        self.manager.subscribe()
    }

    pub fn identity(&self) -> Identity {
        lock(&self.keys).identity.clone()
    }

    /// The keys, and what they are sealed with on disk.
    pub fn keys(&self) -> (Keys, String) {
        let unlock = lock(&self.unlock);
        (lock(&self.keys).clone(), unlock.clone())
    }

    /// Begins to live: the agent calls, papers are kept fresh. A manager asks for its voice until it has it.
    pub fn begin(self: &Arc<Self>) {
        let record = self.record();
        let (heard, hears) = mpsc::channel(16);
        let post = Post {
            phone: self.phone.clone(),
            managers: self.managers.subscribe(),
            leads: self.leads.subscribe(),
            node_id: record.node_id,
            address: record.advertise.ip().to_string(),
            data_path_address: record.data_path.map(|ip| ip.to_string()).unwrap_or_default(),
            executor: self.setup.executor.clone(),
            heard,
            closing: self.closing.clone(),
        };
        self.work.spawn(agent::run(post));
        self.work.spawn(self.clone().keep(hears));
        self.work.spawn(self.clone().follow_unlock_key());
        self.work.spawn(self.clone().mend_manager());
        self.work.spawn(self.clone().follow_leader());
    }

    /// Waits until a leader has heard this node, and, for a manager, until it has its voice.
    ///
    /// # Errors
    /// 503, in Docker's words: it takes too long; it goes on all the same.
    pub async fn arrived(&self, limit: Duration) -> Result<()> {
        let mut heard = self.heard.subscribe();
        let late = |_| {
            Error::unavailable(
                "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the \"minidock info\" command to see the current swarm status of your node.",
            )
        };
        tokio::time::timeout(limit, heard.wait_for(|heard| *heard)).await.map_err(late)?.map(drop).map_err(|_| late_end())
    }

    /// Deals with what the agent hears, and with papers that grow old.
    async fn keep(self: Arc<Self>, mut hears: mpsc::Receiver<Heard>) {
        let mut rested = tokio::time::Instant::now();
        loop {
            let look = tokio::time::sleep_until(rested.max(tokio::time::Instant::now() + LOOK.min(self.until_old())));
            tokio::select! {
                heard = hears.recv() => match heard {
                    Some(Heard::Managers(managers)) => {
                        self.heard.send_replace(true);
                        self.managers_are(managers);
                    }
                    Some(Heard::Renew) => self.renew_if_possible().await,
                    Some(Heard::Enlist) => self.ask_again(),
                    Some(Heard::Removed) => {
                        tracing::warn!("this node was removed from its swarm");
                        *lock(&self.trouble) = Some("this node was removed from its swarm".into());
                        self.stop_manager(true).await;
                        agent::abandon(self.setup.executor.as_ref()).await;
                    }
                    None => return self.closing.cancelled().await,
                },
                () = look => if self.until_old().is_zero() {
                    self.renew_if_possible().await;
                    rested = tokio::time::Instant::now() + REST;
                },
                () = self.closing.cancelled() => return,
            }
        }
    }

    fn managers_are(&self, managers: Vec<RemoteManager>) {
        let mut record = lock(&self.record);
        if managers.is_empty() || record.managers == managers {
            return;
        }
        record.managers = managers;
        if let Err(error) = self.folder.write(&record) {
            tracing::warn!("where the managers are could not be written down: {}", error.message());
        }
        self.managers.send_replace(addresses(&record));
    }

    /// How long the papers are good without being renewed: half of the time since they were signed.
    fn until_old(&self) -> Duration {
        let Ok((from, to)) = lock(&self.keys).identity.validity() else { return LOOK };
        let signed = from + ca::SLACK.as_secs() as i64;
        let half = signed + (to - signed) / 2;
        Duration::from_secs((half - clock::now().as_second()).max(0) as u64)
    }

    async fn renew_if_possible(self: &Arc<Self>) {
        for _ in 0..ATTEMPTS {
            match self.renew().await {
                Ok(()) => return,
                Err(error) => tracing::warn!("papers could not be renewed: {}", error.message()),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Asks for new papers, and becomes what they say.
    pub(super) async fn renew(self: &Arc<Self>) -> Result<()> {
        let (key, request) = ca::request()?;
        let papers = self.ask_managers(&Ask::Renew { request }).await?;
        let papers: Papers = serde_json::from_value(papers).map_err(|e| Error::system(e.to_string()))?;
        let identity = Identity { certificate: papers.certificate, key, root: papers.root };
        let (caller, listener) = (identity.caller()?, identity.listener()?);
        self.change_keys(|known, unlock| (Keys { identity, log: known.log.clone() }, unlock.to_string()))?;
        self.phone.renew(caller);
        self.papers.send_replace(listener);
        tracing::info!(role = papers.role.name(), "new papers");
        self.managers_are(papers.managers);
        match (papers.role, self.record().raft_id) {
            (Role::Manager, 0) => self.become_manager().await,
            (Role::Manager, _) | (Role::Worker, 0) => Ok(()), // a manager that is being mended is one still
            (Role::Worker, _) => {
                self.stop_manager(true).await;
                Ok(())
            }
        }
    }

    /// Asks one manager after another, this one last; not after this life has ended.
    pub async fn ask_managers(&self, ask: &Ask) -> Result<Value> {
        let mut last = Error::unavailable("no manager is known");
        let known = self.managers.borrow().clone();
        for address in known {
            let answer = tokio::select! {
                answer = self.phone.ask(&address, ask) => answer,
                () = self.closing.cancelled() => return Err(late_end()),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last.during(format!("ask the managers for {}", ask.name())))
    }

    /// A manager's keys are sealed as the swarm wants it: with another key, or not at all, as soon as that is agreed on.
    async fn follow_unlock_key(self: Arc<Self>) {
        loop {
            let Some(manager) = self.manager() else {
                tokio::select! {
                    () = tokio::time::sleep(LOOK / 30) => continue,
                    () = self.closing.cancelled() => return,
                }
            };
            let mut changes = manager.watch();
            if let Some(wanted) = manager.view(|tables| tables.cluster().map(|c| c.keys.unlock_key.clone())) {
                self.seal_keys(wanted);
            }
            drop(manager);
            let changed = async {
                while let Ok(list) = changes.recv().await {
                    let of_cluster = |c: &crate::store::Change| matches!(c.row(), Some(crate::store::Row::Cluster(_)));
                    if list.is_empty() || list.iter().any(of_cluster) {
                        return;
                    }
                }
            };
            tokio::select! {
                () = changed => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    fn seal_keys(&self, wanted: String) {
        if let Err(error) = self.change_keys(|keys, _| (keys.clone(), wanted)) {
            tracing::error!("this manager's keys are not sealed as they should be: {}", error.message());
        }
    }

    /// From keys, and what they are sealed with, to others: on disk, then here. A worker's are never sealed: nobody would unlock it,
    /// and what managers must keep to themselves it does not have.
    fn change_keys(&self, change: impl FnOnce(&Keys, &str) -> (Keys, String)) -> Result<()> {
        let mut unlock = lock(&self.unlock);
        let mut keys = lock(&self.keys);
        let (new, wanted) = change(&keys, &unlock);
        let wanted = if new.identity.subject()?.role == Role::Manager { wanted } else { String::new() };
        if *unlock != wanted || keys.identity.certificate != new.identity.certificate {
            self.folder.write_keys(&new, &wanted)?;
            (*keys, *unlock) = (new, wanted);
        }
        Ok(())
    }

    /// The daemon ends, or the node leaves: nothing of this life runs any more. The manager last: what runs beside it may just be
    /// opening it.
    pub async fn end(&self) {
        self.closing.cancel();
        self.work.close();
        if tokio::time::timeout(Duration::from_secs(3), self.work.wait()).await.is_err() {
            tracing::warn!("something of this node still runs");
        }
        self.stop_manager(false).await;
    }
}

fn late_end() -> Error {
    Error::unavailable("this node is leaving its swarm")
}

/// Where managers answer: the others first, for whoever asks oneself learns little.
fn addresses(record: &Record) -> Vec<String> {
    let own = record.advertise.to_string();
    let (own, mut others): (Vec<String>, Vec<String>) =
        record.managers.iter().map(|m| m.addr.clone()).partition(|address| *address == own);
    others.extend(own);
    others
}
