//! # Networks: who is where, and how that is made true
//!
//! The department that gives containers their place in the world. It keeps records, hands out addresses, decides, and has
//! the trades below ([`minidock_network`]) do what was decided: bridges and cables, rules, names.
//!
//! ```text
//!   create, list, inspect, remove, prune          connect, disconnect        start, exit of a container
//!            │                                             │                          │
//!            ▼                                             ▼                          ▼
//!   [`store`]: records, leases, members     ◄──────  [`join`]: plan ─► erect ─► [`standing`]: what it holds now
//!            │                                                          │            └ take_down, always the same way
//!            ▼                                                          ▼
//!   data root/networks/<id>.json                    [`ground`]: the daemon's own namespace, the nft table, ports
//! ```
//!
//! * [`record`], [`options`], [`wish`], [`place`], [`ports`]: values, and what is wrong with a wish. [`doors`]: ports, opened.
//! * [`on_paper`]: networks that are only a configuration. [`wishes`]: the networks a new container asks for. [`create`], [`list`], [`remove`], [`connect`]: the API's calls.
//! * [`names`]: who is called what, told to the name server; [`links`]: the older way. [`restore`]: after our own death.
//! * [`macvlan`]: members upon the machine's own cable. [`overlay`]: networks over many machines, as a swarm wants them.
//!
//! Laws: a container's `life` is held by whoever changes its places; locks are taken in the order life → standing → record → the
//! store's index, and that last one is short and never held over a call of the kernel; networks are made and removed one at a time ([`store::Networks::changing`]). Whoever fails takes back what he
//! made, by [`standing::Standing::take_down`], which finds nothing wrong with what is gone.
//!
//! *In the real world* libnetwork does this with a store of its own and pluggable drivers; here the records of containers
//! say where they are, and there is one driver, and two that do nothing.
//!
//! *See:* design.md section 5 · moby `daemon/network.go`, `libnetwork`. Next room: [`record`]

pub mod connect;
pub mod create;
pub(crate) mod doors;
pub(crate) mod ground;
pub(crate) mod join;
pub mod links;
pub mod list;
pub mod macvlan;
pub(crate) mod names;
pub mod on_paper;
pub mod options;
pub mod overlay;
pub mod place;
pub mod ports;
pub mod record;
pub mod remove;
pub(crate) mod resolver;
pub(crate) mod restore;
pub(crate) mod standing;
pub mod store;
pub mod wish;
pub mod wishes;

use crate::{Engine, container::store::Container};
use standing::Standing;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A container that starts has its places: the world is told, and whoever is linked to it.
pub(crate) fn joined(engine: &Engine, container: &Container) {
    let record = container.record();
    for name in record.networking.places.keys() {
        if let Ok(network) = engine.networks.find(name) {
            create::publish(engine, &network, "connect", &[("container", &container.id)]);
        }
    }
    links::follow(engine, &record);
}

/// Makes the namespaces that the next containers will take, now that nobody waits.
pub(crate) fn refill(engine: &Arc<Engine>) {
    let engine = engine.clone();
    spawn_blocking(move || {
        if let Ok(ground) = engine.networks.ground()
            && let Err(error) = ground.shelf.refill()
        {
            tracing::debug!("no namespace could be made beforehand: {}", error.message());
        }
    });
}

/// A container's process has ended, or its start has failed: whatever it holds of the network is given back.
pub(crate) async fn leave(engine: &Arc<Engine>, container: &Arc<Container>) {
    let holds = &engine.networks.overlays.holds;
    let Some(standing) = engine.networks.stands_no_more(&container.id) else { return holds.let_go(&container.id, None) };
    let record = container.record();
    let e = engine.clone();
    let take_down = move || Standing::take_down(&mut standing.lock().expect("no holder panics"), &e.networks);
    if record.networking.places.values().all(|place| place.plugged.is_none()) {
        take_down(); // nothing of the kernel's
    } else if spawn_blocking(take_down).await.is_err() {
        tracing::error!(id = container.id, "the thread that takes down its network ended early");
    }
    holds.let_go(&container.id, None);
    for name in record.networking.places.keys() {
        if let Ok(network) = engine.networks.find(name) {
            create::publish(engine, &network, "disconnect", &[("container", &container.id)]);
            overlay::left(engine, &network).await;
        }
    }
}
