//! # A node as manager: opened, mended, ended
//!
//! The manager comes and goes within a node's life: with a promotion and a demotion, and with a disk that is full for a while. Several
//! tasks have a hand in that, and might do it at the same time: papers that are renewed, a log that fails, a daemon that ends.
//!
//! ```text
//!              become_manager: a new number, an empty log              reopen_manager, when the disk is well again
//!     worker ────────────────────────────────────────► manager ◄────────────────────────────────────► being mended
//!     raft_id 0 ◄──────────────────────────────────── raft_id n      the log failed        raft_id n, nothing is open
//!              stop_manager(for_good: true)               │                                                 │
//!                 ▲                                       └───────────────── demoted ───────────────────────┤
//!                 └─────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Laws: opening and ending exclude each other; whether this node is a manager is said by its record, not by what is open at the
//! moment; after the life has ended nothing is opened. *Next room:* [`crate::node::found`]

use super::{AGAIN, LOOK, Life, late_end, lock};
use crate::{
    manager::{Manager, Start},
    wire::Ask,
};
use minidock_base::{Error, Result};
use std::sync::Arc;
use tokio::net::TcpListener;

impl Life {
    /// Opens the desk and the log: this machine as manager. `alone`: without the others, for good.
    ///
    /// # Errors
    /// The port is taken, the log cannot be opened; this node is no manager any more, or its life has ended.
    pub async fn open_manager(&self, alone: bool) -> Result<Arc<Manager>> {
        let _one_at_a_time = self.turning.lock().await;
        let (record, keys) = (self.record(), lock(&self.keys).clone());
        if self.closing.is_cancelled() {
            return Err(late_end());
        }
        if record.raft_id == 0 {
            return Err(Error::conflict("this node is no manager any more"));
        }
        let listener = TcpListener::bind(record.listen).await.map_err(|e| {
            Error::unavailable(e.to_string())
                .during(format!("listen on {}, where the others call a manager", record.listen))
                .hint("another swarm node may run here: --listen-addr chooses another address or port")
        })?;
        let start = Start {
            node_id: record.node_id,
            raft_id: record.raft_id,
            address: record.advertise.to_string(),
            folder: self.folder.raft(),
            seal: Arc::new(keys.log),
            phone: self.phone.clone(),
            listener,
            papers: self.papers.subscribe(),
            alone,
        };
        let manager = Manager::open(start).await?;
        self.manager.send_replace(Some(manager.clone()));
        Ok(manager)
    }

    /// The papers say manager: an empty log, an open desk, and then a voice. Or nothing of all that: then it may be tried again.
    ///
    /// # Errors
    /// As for [`Life::open_manager`].
    pub async fn become_manager(self: &Arc<Self>) -> Result<()> {
        if let Err(error) = self.open_afresh().await {
            self.stop_manager(true).await;
            return Err(error.during("become a manager"));
        }
        self.ask_again();
        Ok(())
    }

    async fn open_afresh(&self) -> Result<Arc<Manager>> {
        self.folder.forget_log()?;
        let record = {
            let mut record = lock(&self.record);
            record.raft_id = rand::random::<u64>() >> 1 | 1;
            record.clone()
        };
        self.folder.write(&record)?;
        self.open_manager(false).await
    }

    /// A manager that has come back: the others may not know its voice yet, or its address. Or its voice was taken away by a demotion that
    /// was taken back before this node had heard of it: its log is as good as before, and so is its number.
    pub fn ask_again(self: &Arc<Self>) {
        self.work.spawn(self.clone().ask_for_voice());
    }

    async fn ask_for_voice(self: Arc<Self>) {
        let _one_at_a_time = self.asking.lock().await;
        let record = self.record();
        if record.raft_id == 0 {
            return; // no manager, whatever was said before
        }
        let ask = Ask::Enlist { raft_id: record.raft_id, address: record.advertise.to_string() };
        loop {
            match self.ask_managers(&ask).await {
                Ok(_) => return,
                Err(error) => tracing::debug!("no voice yet: {}", error.message()),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = self.closing.cancelled() => return,
            }
            if self.manager().is_none() || self.record().raft_id != record.raft_id {
                return;
            }
        }
    }

    /// A manager whose log could not be written (a full disk, say) is opened again when it can be.
    pub(super) async fn mend_manager(self: Arc<Self>) {
        while !self.closing.is_cancelled() {
            let manager = self.manager();
            let failed = async {
                match manager.as_ref().and_then(|m| m.consensus().ok()) {
                    Some(consensus) => Some(consensus.failed().await),
                    None => None,
                }
            };
            let why = tokio::select! {
                why = failed => why,
                () = self.closing.cancelled() => return,
            };
            let same = |now: &Option<Arc<Manager>>| match (now, &manager) {
                (Some(now), Some(then)) => Arc::ptr_eq(now, then),
                _ => false,
            };
            if let Some(why) = why.filter(|_| same(&self.manager())) {
                tracing::error!("this manager takes no part any more, and tries again: {why}");
                self.stop_manager(false).await;
                if self.reopen_manager().await {
                    self.ask_again();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Opens the manager as soon as that is possible; `false`: this node is none any more, or its life ends.
    async fn reopen_manager(&self) -> bool {
        let mut pause = AGAIN;
        while self.record().raft_id != 0 {
            match self.open_manager(false).await {
                Ok(_) => return true,
                Err(error) => tracing::error!("this manager cannot take part: {}", error.message()),
            }
            pause = (pause * 2).min(LOOK / 6);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closing.cancelled() => return false,
            }
        }
        false
    }

    /// Tells the agent where the leader is, as soon as this node's manager knows.
    pub(super) async fn follow_leader(self: Arc<Self>) {
        let mut turns = self.turns();
        loop {
            let manager = turns.borrow_and_update().clone();
            let follow = async {
                while let Some(manager) = &manager {
                    let leader = manager.leader_address();
                    self.leads.send_if_modified(|known| std::mem::replace(known, leader.clone()) != leader);
                    if manager.leader_is_not(&leader).await.is_err() {
                        break;
                    }
                }
                self.leads.send_replace(None);
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = follow => {}
                _ = turns.changed() => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Ends the manager; `for_good`: with its log.
    pub async fn stop_manager(&self, for_good: bool) {
        let _one_at_a_time = self.turning.lock().await;
        if let Some(manager) = self.manager.send_replace(None) {
            manager.stop().await;
        }
        if for_good {
            let record = {
                let mut record = lock(&self.record);
                record.raft_id = 0;
                record.clone()
            };
            let forgotten = self.folder.write(&record).and_then(|()| self.folder.forget_log());
            if let Err(error) = forgotten {
                tracing::warn!("a manager's log is still here: {}", error.message());
            }
        }
    }
}
