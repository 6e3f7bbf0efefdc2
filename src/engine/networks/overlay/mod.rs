//! # Overlays: one network over many machines
//!
//! A container of one machine and a container of another are to be neighbours: same subnet, same names, no address translation
//! between them. The trick is a *tunnel*: each machine has a bridge of its own for that network, and behind it a vxlan
//! link that wraps the frames for far-away neighbours into UDP packets between the machines. Who is behind which machine is not
//! found out by asking around, it is *known*, because the swarm gave out the addresses.
//!
//! ```text
//!   node1                                                                                 node2
//!   ┌ sandbox of web.1 ───────────────┐                             ┌ sandbox of web.2 ───────────────┐
//!   │ lo   10.0.1.2/32 (the service)  │                             │ lo   10.0.1.2/32                │
//!   │      new connection? ─► .4 or .5│                             │                                 │
//!   │ eth0 10.0.1.4/24     eth1 ──────┼─ docker_gwbridge ─► world   │ eth0 10.0.1.5/24     eth1 ──────┼─ …
//!   └───┼─────────────────────────────┘                             └───┼─────────────────────────────┘
//!    ov-3f… bridge ── vx-1001 ═══ UDP 4789 between the machines ═══ vx-1001 ── ov-3f… bridge
//!                     02:42:0a:00:01:05 is behind node2                    02:42:0a:00:01:04 is behind node1
//! ```
//!
//! * [`wish`]: what the swarm wants of this machine; always the whole. [`realize`] makes it true, by difference.
//! * [`attach`]: places for containers that are no tasks of the swarm.
//! * A record of an overlay is here only while it is wanted, and lies below the exec root: after a reboot the swarm is asked.
//!
//! Laws: one [`realize`] at a time; it takes no locks of containers' lives, so that no start waits for it nor it for a start.
//! An overlay that is wanted no more goes when its last container has left. What cannot be made is reported and tried again at
//! the next call; the rest is made all the same.
//!
//! *In the real world* libnetwork keeps each overlay's bridge in a namespace of its own and the mesh in another; gossip
//! between the machines (serf) tells who is where. *See:* RFC 7348, moby `libnetwork/drivers/overlay`. Next room: [`wish`]

pub mod attach;
pub mod gateway;
pub mod inspect;
pub(crate) mod members;
pub(crate) mod raise;
pub(crate) mod realize;
pub(crate) mod records;
pub(crate) mod restore;
pub mod wish;

use crate::{
    Engine,
    networks::record::{Driver, Record},
};
use attach::{Attacher, Holds};
use minidock_base::Result;
use minidock_network::{mesh::Mesh, model::Protocol};
use raise::Raised;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, atomic::AtomicBool},
};
use tokio::{sync::Notify, task::spawn_blocking};
use wish::Wishes;

/// What this machine knows of the swarm's networks.
#[derive(Default)]
pub(crate) struct Overlays {
    /// Held through a whole [`realize`].
    changing: tokio::sync::Mutex<()>,
    wanted: RwLock<Arc<Wishes>>,
    /// Whether all that is wanted is made.
    is_true: AtomicBool,
    /// What stands in the kernel, by network.
    raised: Mutex<BTreeMap<String, Raised>>,
    mesh: Mutex<Option<Mesh>>,
    /// The ports of the mesh that another program had here when they were tried last.
    refused: Mutex<BTreeSet<(Protocol, u16)>>,
    /// Somebody is to try those again.
    trying: AtomicBool,
    /// Rung after each [`realize`].
    came: Notify,
    /// Who asks the swarm for places of containers that are no tasks, and what it gave.
    attacher: OnceLock<Arc<dyn Attacher>>,
    pub(crate) holds: Holds,
}

impl Overlays {
    pub(crate) fn wanted(&self) -> Arc<Wishes> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until it is dropped no overlay is raised or taken away.
    pub(crate) fn hold(&self) -> MutexGuard<'_, BTreeMap<String, Raised>> {
        self.raised.lock().expect("no holder panics")
    }

    fn exchange(&self, wishes: Arc<Wishes>) -> Arc<Wishes> {
        std::mem::replace(&mut self.wanted.write().unwrap_or_else(PoisonError::into_inner), wishes)
    }
}

/// Makes true what the swarm wants of this machine's networks: whole, idempotent, and quick where nothing is new. An empty wish is
/// a machine that has left (or has no tasks): every overlay goes as its last container leaves. The first call makes `docker_gwbridge`.
///
/// # Errors
/// 503 where there are no networks at all; else the first of what could not be made, after all the rest was.
pub async fn realize(engine: &Arc<Engine>, wishes: Wishes) -> Result<()> {
    realize::realize(engine, wishes).await
}

/// A container has left: an overlay that nobody wants any more goes with its last one.
pub(crate) async fn left(engine: &Arc<Engine>, network: &Record) {
    if network.driver != Driver::Overlay {
        return;
    }
    let (e, id) = (engine.clone(), network.id.clone());
    let gone = spawn_blocking(move || raise::depart(&e.networks, &id)).await;
    if let Ok(Err(error)) = gone {
        tracing::warn!(network = network.name, "an overlay could not be taken away: {}", error.message());
    }
}
