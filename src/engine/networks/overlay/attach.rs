//! # Attach: a container of a person on a network of the swarm
//!
//! A task brings its addresses with it. Who types `minidock run --network over` brings none, and the network may not even be here:
//! so before such a container starts, the swarm is asked for a place. It answers with an address, and tells this machine of
//! the network in the ordinary way ([`super::realize`]); then the start goes on as any other.
//!
//! ```text
//!   start ─► on an overlay, and no task? ── [`Attacher::attach`] ──► swarm
//!             ◄── address, and the name of the hold ──────────────── ┘ └── realize: the network is here
//!   leave ─► the hold is let go ─► the swarm's end of it (a task without work) sees that and ends
//! ```
//!
//! * A *hold* is what this machine holds of the swarm for one place. It is let go when the container ends, leaves the network, or
//!   could not start; whoever keeps it alive at the other end waits for that ([`Holds::until_let_go`]).
//! * After our own death the holds of those who run are found in their records.
//!
//! Laws: a hold is let go only when nothing answers for its address any more. *See:* moby `daemon/container_operations.go`
//! (findAndAttachNetwork), `daemon/cluster/networks.go` (AttachNetwork). Next room: [`super::inspect`]

use crate::{
    Engine,
    container::record::Record as Container,
    networks::{
        place::Place,
        record::{Driver, Record, is_predefined},
        store::Networks,
    },
};
use futures_util::future::BoxFuture;
use minidock_base::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The label by which a task's container is known: its places are the swarm's own affair.
pub const TASK_ID: &str = "com.docker.swarm.task.id";

/// So long the swarm may take to tell this machine of a network it has just given a place on.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked of the swarm.
#[derive(Clone, Debug)]
pub struct AttachWish {
    /// ID or name.
    pub network: String,
    pub container_id: String,
    pub name: String,
    pub address: Option<Ipv4Addr>,
}

/// What it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its name for the place.
    pub task: String,
    pub network_id: String,
    pub address: Ipv4Addr,
}

/// Whoever can ask the swarm.
pub trait Attacher: Send + Sync + 'static {
    /// A place for a container; `None`: this machine is in no swarm.
    ///
    /// # Errors
    /// 404 for the network; 403 when it takes no containers of people; no address is left.
    fn attach(&self, wish: AttachWish) -> BoxFuture<'_, Result<Option<Attached>>>;
}

/// What this machine holds of the swarm, by container.
#[derive(Default)]
pub struct Holds {
    held: Mutex<BTreeMap<String, Held>>,
    changed: Notify,
}

#[derive(Default)]
struct Held {
    /// Questions under way: the answer will be a hold.
    asking: usize,
    /// Network and task.
    places: BTreeSet<(String, String)>,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the container has let go of what the swarm knows as `task`.
    pub async fn until_let_go(&self, container: &str, task: &str) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let is_held = |held: &Held| held.asking > 0 || held.places.iter().any(|(_, t)| t == task);
            if !self.lock().get(container).is_some_and(is_held) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn take(&self, container: &str, attached: &Attached) {
        let place = (attached.network_id.clone(), attached.task.clone());
        self.lock().entry(container.to_string()).or_default().places.insert(place);
    }

    /// Lets go of one network's place, or of all.
    pub(crate) fn let_go(&self, container: &str, network: Option<&str>) {
        let mut all = self.lock();
        let Some(held) = all.get_mut(container) else { return };
        held.places.retain(|(n, _)| network.is_some_and(|network| n != network));
        if held.places.is_empty() && held.asking == 0 {
            all.remove(container);
        }
        drop(all);
        self.changed.notify_waiters();
    }

    fn ask(&self, container: &str) {
        self.lock().entry(container.to_string()).or_default().asking += 1;
    }

    fn answered(&self, container: &str, attached: Option<&Attached>) {
        if let Some(attached) = attached {
            self.take(container, attached);
        }
        if let Some(held) = self.lock().get_mut(container) {
            held.asking -= 1;
        }
        self.let_go(container, Some("")); // whoever waits looks again
    }
}

/// Who is asked from now on.
pub fn ask_by(engine: &Engine, attacher: Arc<dyn Attacher>) {
    let _ = engine.networks.overlays.attacher.set(attacher); // once in a daemon's life
}

/// What this machine holds.
pub fn holds(engine: &Engine) -> &Holds {
    &engine.networks.overlays.holds
}

/// Places on overlays for a container that is about to start, by their key in its record.
pub(crate) async fn for_start(engine: &Arc<Engine>, container: &Container) -> Result<BTreeMap<String, Attached>> {
    let mut given = BTreeMap::new();
    if container.config.labels.contains_key(TASK_ID) {
        return Ok(given);
    }
    for (key, place) in &container.networking.places {
        let text = if place.settings.network_id.is_empty() { key } else { &place.settings.network_id };
        match place_on(engine, container, text, place).await {
            Ok(Some(attached)) => drop(given.insert(key.clone(), attached)),
            Ok(None) => {}
            Err(error) => {
                holds(engine).let_go(&container.id, None);
                return Err(error);
            }
        }
    }
    Ok(given)
}

/// One place; `None` for a network that is this machine's own, or that nobody knows.
///
/// # Errors
/// As [`Attacher::attach`]; the network does not come.
pub(crate) async fn place_on(
    engine: &Arc<Engine>,
    container: &Container,
    text: &str,
    place: &Place,
) -> Result<Option<Attached>> {
    let networks = &engine.networks;
    let known = networks.find(text);
    if is_predefined(text) || known.as_ref().is_ok_and(|n| n.driver != Driver::Overlay) {
        return Ok(None);
    }
    let Some(attacher) = networks.overlays.attacher.get() else { return Ok(None) };
    let wish = AttachWish {
        network: known.as_ref().map_or_else(|_| text.to_string(), |n| n.id.clone()),
        container_id: container.id.clone(),
        name: container.name.clone(),
        address: place.wanted().0,
    };
    networks.overlays.holds.ask(&container.id);
    let answer = attacher.attach(wish).await;
    networks.overlays.holds.answered(&container.id, answer.as_ref().ok().and_then(Option::as_ref));
    match answer {
        Ok(Some(attached)) => match comes(networks, &attached.network_id).await {
            Some(_) => Ok(Some(attached)),
            None => {
                networks.overlays.holds.let_go(&container.id, Some(&attached.network_id));
                Err(Error::unavailable(format!("the swarm has not told this machine of network {text} in time"))
                    .hint("minidock node ls, on a manager, shows whether this node is ready"))
            }
        },
        Ok(None) => Ok(None),
        // nobody knows it: said by whoever looks for it next, in the usual words
        Err(error) if known.is_err() && error.kind() == minidock_base::Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the network is here.
async fn comes(networks: &Networks, id: &str) -> Option<Arc<Record>> {
    let waiting = async {
        loop {
            let mut came = std::pin::pin!(networks.overlays.came.notified());
            came.as_mut().enable();
            let stands = networks.overlays.raised.lock().expect("no holder panics").contains_key(id);
            if let (true, Ok(network)) = (stands, networks.find(id)) {
                return network;
            }
            came.await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(task: &str, network: &str) -> Attached {
        Attached { task: task.into(), network_id: network.into(), address: Ipv4Addr::new(10, 0, 1, 2) }
    }

    async fn is_over(holds: &Holds, task: &str) -> bool {
        tokio::time::timeout(Duration::from_millis(20), holds.until_let_go("c", task)).await.is_ok()
    }

    #[tokio::test]
    async fn a_hold_lasts_from_the_question_until_it_is_let_go() {
        let holds = Holds::default();
        assert!(is_over(&holds, "t1").await, "nobody holds it");
        holds.ask("c");
        assert!(!is_over(&holds, "t1").await, "the answer may be on its way");
        holds.answered("c", Some(&attached("t1", "over")));
        holds.take("c", &attached("t2", "other"));
        assert!(!is_over(&holds, "t1").await);
        holds.let_go("c", Some("over"));
        assert!(is_over(&holds, "t1").await && !is_over(&holds, "t2").await);
        // the next start of the same container has another
        holds.ask("c");
        holds.answered("c", None);
        holds.let_go("c", None);
        assert!(is_over(&holds, "t2").await);
        assert!(holds.lock().is_empty(), "nothing is kept of who holds nothing");
    }
}
