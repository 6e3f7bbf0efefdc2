//! # To lead: one turn after another
//!
//! What a manager does from its election until it is not the leader any more. Everything that is to be written comes to its
//! [`Ledger`]: entries (decisions that somebody waits for), reports of agents, heartbeats. The loop gathers what is there, has it
//! decided in one [`turn`], has that agreed on, answers, and sleeps until something comes or a time is reached.
//!
//! ```text
//!   wishes ─┐                       ┌─ take all that waits ◄─┐
//!   reports ┼─► ledger ── bell ──► ─┤  turn::take            │  while one batch is on its way, the next one gathers:
//!   beats  ─┘                       └─ propose ─► answer ────┘  the busier it is, the more goes into one
//! ```
//!
//! Laws: nobody else writes while somebody leads; a turn runs on a thread for long work, never between two messages of
//! consensus. A leader whose turn is broken off, or is not agreed on, keeps the reports and tries again; whoever waits for an answer
//! is told. *Next room:* [`super::clerk`]

use super::{
    Manager,
    turn::{self, Decide, Entry, Reports, Turn},
};
use crate::{
    ca::token::base36,
    dispatcher::heartbeat::Beats,
    orchestrator::Context,
    round::Dirty,
    store::{Change, Tables, pace::Pace},
};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::task::TaskStatus;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// So many entries may wait for their turn.
const WAITING: usize = 1024;
/// Reports alone may wait so long for others to go with.
const GATHER: Duration = Duration::from_millis(15);
/// After a turn that was not agreed on.
const AGAIN: Duration = Duration::from_millis(300);
/// No sleep is longer: the swarm's time may go a little faster than this machine's.
const NAP: Duration = Duration::from_secs(60);

/// What waits for the leader's next turn.
pub struct Ledger {
    pub term: u64,
    /// The manager that led before, by its number in the consensus.
    led_before: Option<u64>,
    entries: mpsc::Sender<Entry>,
    reports: Mutex<Reports>,
    beats: Mutex<Beats>,
    pace: Arc<Pace>,
    bell: Notify,
    /// Cancelled when this term of leadership is over.
    pub over: CancellationToken,
}

impl Ledger {
    /// A ledger, and the other end of its queue.
    pub(super) fn new(
        term: u64,
        led_before: Option<u64>,
        pace: Arc<Pace>,
        over: CancellationToken,
    ) -> (Arc<Ledger>, mpsc::Receiver<Entry>) {
        let (entries, waiting) = mpsc::channel(WAITING);
        let beats = Mutex::new(Beats::new(pace.now()));
        let ledger = Ledger { term, led_before, entries, reports: Mutex::default(), beats, pace, bell: Notify::new(), over };
        (Arc::new(ledger), waiting)
    }

    /// Has something decided in the next turn; returns when it is agreed on and applied here.
    ///
    /// # Errors
    /// What `decide` says; 503 without a majority, or when the term ends meanwhile.
    pub async fn write(&self, decide: Decide) -> Result<Value> {
        let (answer, told) = oneshot::channel();
        let lost = |_| Error::unavailable("this manager does not lead any more; the change may yet take effect");
        tokio::select! {
            queued = self.entries.send(Entry { decide, answer }) => drop(queued),
            () = self.over.cancelled() => return Err(lost(())),
        }
        told.await.map_err(|_| lost(()))?
    }

    /// An agent says how far its tasks are.
    pub fn report(&self, node: &str, statuses: Vec<(String, TaskStatus)>) {
        let mut reports = lock(&self.reports);
        for (task, status) in statuses {
            let by = (task, node.to_string());
            if reports.get(&by).is_none_or(|known| known.state <= status.state) {
                reports.insert(by, status);
            }
        }
        drop(reports);
        self.bell.notify_one();
    }

    /// A node lives. One that was not known to needs a turn: its tasks may be wanted again.
    pub fn beat(&self, node: &str) {
        lock(&self.beats).hear(node, self.pace.now());
    }

    /// A node has said good-bye, or must be judged at once for another reason.
    pub fn bye(&self, node: &str) {
        lock(&self.beats).forget(node);
        self.bell.notify_one();
    }

    /// Another look at the tables, though nothing has come in.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    fn take_reports(&self) -> Reports {
        std::mem::take(&mut *lock(&self.reports))
    }

    /// What could not be agreed on is tried again, unless something newer has come.
    fn give_back(&self, old: Reports) {
        let mut reports = lock(&self.reports);
        for (by, status) in old {
            reports.entry(by).or_insert(status);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new ID: 25 digits and letters.
pub fn new_id() -> String {
    base36(&rand::random::<[u8; 16]>(), 25)
}

/// Leads, until the term is over.
pub(super) async fn lead(manager: Arc<Manager>, ledger: Arc<Ledger>, mut waiting: mpsc::Receiver<Entry>) {
    let mut changes = manager.watch();
    let mut dirty = manager.view(Dirty::all);
    let mut next = Vec::new();
    while !ledger.over.is_cancelled() {
        while let Ok(entry) = waiting.try_recv() {
            next.push(entry);
        }
        note_foreign(&manager, &mut changes, &mut dirty);
        let reports = Arc::new(ledger.take_reports());
        let decided = decide(manager.clone(), ledger.clone(), std::mem::take(&mut next), reports.clone(), dirty).await;
        let agreed = match decided {
            Ok((turn, kept)) => {
                let wake = turn.wake;
                agree(&manager, turn).await.map(|()| (wake, kept))
            }
            Err(error) => Err(error),
        };
        forget_own(&mut changes);
        let pause;
        (pause, dirty) = match agreed {
            Ok((wake, kept)) => (until(wake, manager.now()), kept),
            Err(error) => {
                tracing::warn!("a turn has come to nothing: {}", error.message());
                ledger.give_back(Arc::unwrap_or_clone(reports));
                (AGAIN, manager.view(Dirty::all))
            }
        };
        tokio::select! {
            entry = waiting.recv() => next.extend(entry),
            () = reported(&ledger) => {}
            () = tokio::time::sleep(pause) => {}
            changed = changes.recv() => note(&manager, &mut dirty, changed),
            () = ledger.over.cancelled() => {}
        }
    }
}

async fn reported(ledger: &Ledger) {
    ledger.bell.notified().await;
    tokio::time::sleep(GATHER).await;
}

fn until(wake: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = wake.map(|at| at.duration_since(now));
    left.map_or(NAP, |left| Duration::try_from(left).unwrap_or_default().min(NAP))
}

/// The turn, on a thread where it may take its time. One that panics is over, and leadership is not: its entries are gone, the rest
/// is decided again from the tables.
async fn decide(
    manager: Arc<Manager>,
    ledger: Arc<Ledger>,
    entries: Vec<Entry>,
    reports: Arc<Reports>,
    mut dirty: Dirty,
) -> Result<(Turn, Dirty)> {
    let work = move || {
        let mut id = new_id;
        let mut context = Context { now: manager.now(), new_id: &mut id };
        if let Some((node, silence)) = ledger.led_before.and_then(|id| manager.silence(id)) {
            lock(&ledger.beats).led_before(&node, context.now - silence);
        }
        let turn = manager.view(|tables| {
            let beats = lock(&ledger.beats);
            turn::take(tables, entries, &reports, &beats, &mut dirty, &mut context)
        });
        (turn, dirty)
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::system(e.to_string()).during("decide what is to be written"))
}

/// Has a turn agreed on, and tells whoever waits.
async fn agree(manager: &Manager, turn: Turn) -> Result<()> {
    for (answer, error) in turn.refused {
        let _ = answer.send(Err(error)); // whoever asked may have gone
    }
    for actions in turn.batches {
        if let Err(error) = manager.replica.propose(manager.now(), actions).await {
            for (answer, _) in turn.granted {
                let _ = answer.send(Err(copy(&error)));
            }
            return Err(error);
        }
    }
    for (answer, value) in turn.granted {
        let _ = answer.send(Ok(value));
    }
    Ok(())
}

/// One failure, told to several.
fn copy(error: &Error) -> Error {
    Error::from_wire(error.to_wire())
}

/// What this manager has applied before it began to lead, or from a snapshot.
fn note_foreign(manager: &Manager, changes: &mut broadcast::Receiver<Arc<Vec<Change>>>, dirty: &mut Dirty) {
    loop {
        match changes.try_recv() {
            Ok(list) if list.is_empty() => *dirty = manager.view(Dirty::all),
            Ok(list) => manager.view(|tables| list.iter().for_each(|change| dirty.note(tables, change))),
            Err(broadcast::error::TryRecvError::Lagged(_)) => *dirty = manager.view(Dirty::all),
            Err(_) => return,
        }
    }
}

/// A turn has looked at its own changes already.
fn forget_own(changes: &mut broadcast::Receiver<Arc<Vec<Change>>>) {
    while !matches!(changes.try_recv(), Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)) {}
}

fn note(manager: &Manager, dirty: &mut Dirty, changed: Result<Arc<Vec<Change>>, broadcast::error::RecvError>) {
    match changed {
        Ok(list) if !list.is_empty() => {
            manager.view(|tables: &Tables| list.iter().for_each(|change| dirty.note(tables, change)));
        }
        _ => *dirty = manager.view(Dirty::all),
    }
}
