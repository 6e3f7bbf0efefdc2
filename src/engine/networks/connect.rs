//! # Connect and disconnect: one place more, one place less
//!
//! A container that does not run only has its wishes changed. For one that runs, a cable is plugged in or pulled out of the
//! living sandbox, and what depends on the set of cables is settled again: the way out, the doors, the names, the files in
//! `/etc`.
//!
//! ```text
//!   connect      may it? ─► lease, names ─► cable ─► settle ─► record ─► "connect"
//!   disconnect   is it there? ─► names off ─► cable out ─► settle ─► record, lease back ─► "disconnect"
//!   settle       default route over the network that leads out (the highest priority, the first by name); published ports lead in over the same
//! ```
//!
//! Laws: the container's `life` is held throughout. A connect that fails leaves the container as it was.
//! See: moby `daemon/container_operations.go` (ConnectToNetwork, DisconnectFromNetwork). Next room: [`crate::networks::names`]

use crate::{
    Engine,
    container::{
        record::{Phase, Record as Container},
        recording::recorded,
        store::Container as Kept,
        to_the_end,
    },
    networks::{
        create::publish,
        doors::{self, lead_to, open_doors, way_out},
        ground::Ground,
        join::{connect_cable, lead_out, plug},
        overlay::{self, attach, gateway, members},
        place::{Networking, Place, check},
        record::{Driver, Record},
        resolver,
        standing::Standing,
        store::Networks,
    },
};
use minidock_base::{Error, Result};
use minidock_network::{model::Endpoint, sandbox::Sandbox};
use minidock_spec::engine::network::{EndpointSettings, NetworkConnect, NetworkDisconnect};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::task::spawn_blocking;

/// `POST /networks/{id}/connect`.
///
/// # Errors
/// 404 for network or container; 403 when it is connected already; 400 for what cannot be joined, in Docker's words.
pub async fn connect(engine: &Arc<Engine>, network: &str, wish: NetworkConnect) -> Result<()> {
    let container = engine.containers.find(&wish.container)?;
    let (engine, text) = (engine.clone(), network.to_string());
    to_the_end(async move {
        let _life = container.life.lock().await;
        let record = container.record();
        may_change(&record)?;
        let mut place = Place::wished(wish.endpoint_config.unwrap_or_default());
        if record.state.has_process() && !is_on(&engine, &record, &text) {
            place.attached = attach::place_on(&engine, &record, &text, &place).await?;
        }
        let given = place.attached.clone();
        let connected = connect_to(&engine, &container, &record, &text, place).await;
        if let (Err(_), Some(given)) = (&connected, given) {
            engine.networks.overlays.holds.let_go(&container.id, Some(&given.network_id));
        }
        connected
    })
    .await
}

fn is_on(engine: &Engine, record: &Container, text: &str) -> bool {
    engine.networks.find(text).is_ok_and(|network| record.networking.places.contains_key(&network.name))
}

async fn connect_to(
    engine: &Arc<Engine>,
    container: &Arc<Kept>,
    record: &Arc<Container>,
    text: &str,
    place: Place,
) -> Result<()> {
    let network = engine.networks.find(text)?;
    may_join(&engine.networks, record, &network, &place.settings)?;
    if !record.state.has_process() {
        return container.change(|r| {
            r.networking.places.entry(network.name.clone()).or_insert(place);
            Ok(())
        });
    }
    let (e, c, n) = (engine.clone(), container.clone(), network.clone());
    let work = move || recorded(&e.paths, &c.id, || plug_in(&e, &c, &n, place));
    spawn_blocking(work).await.map_err(|_| Error::system("the thread that plugs cables in ended early"))??;
    resolver::settle(engine, record, container).await?;
    publish(engine, &network, "connect", &[("container", &container.id)]);
    Ok(())
}

fn may_change(record: &Container) -> Result<()> {
    match record.state.phase {
        Phase::Removing | Phase::Dead => Err(Error::conflict(format!(
            "Container {} is marked for removal and cannot be connected or disconnected to the network",
            record.id
        ))),
        _ => Ok(()),
    }
}

fn may_join(networks: &Networks, record: &Container, network: &Record, settings: &EndpointSettings) -> Result<()> {
    let mode = record.host_config.network_mode.as_str();
    const SHARED: &str =
        "container sharing network namespace with another container or host cannot be connected to any other network";
    if mode.starts_with("container:") {
        return Err(Error::invalid(SHARED));
    }
    check(Some(network), &network.name, settings)?;
    if mode != "host" && network.driver == Driver::Host {
        return Err(Error::invalid("container cannot be disconnected from host network or connected to host network"));
    }
    for name in record.networking.places.keys() {
        let Ok(other) = networks.find(name) else { continue };
        if other.id == network.id {
            return match record.state.has_process() {
                false => Ok(()), // its wishes stay as they are, and nobody is told, as with Docker
                true => {
                    let name = &record.name;
                    Err(Error::forbidden(format!("endpoint with name {name} already exists in network {}", network.name)))
                }
            };
        }
        if other.driver == Driver::Host {
            return Err(Error::invalid(SHARED));
        }
        if other.driver == Driver::Null || network.driver == Driver::Null {
            return Err(Error::invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        }
    }
    Ok(())
}

/// A running container gets one cable more.
fn plug_in(engine: &Engine, container: &Kept, network: &Record, mut place: Place) -> Result<()> {
    let ground = engine.networks.ground()?;
    let record = container.record();
    let standing = stands(engine, container);
    let mut standing = standing.lock().expect("no holder panics");
    let before = way_out(&standing.cables, true).map(|c| c.endpoint.id.clone());
    plug(&engine.networks, &record, network, &mut place, &mut standing)?;
    let mut networking = record.networking.clone();
    networking.places.insert(network.name.clone(), place.clone());
    let steps = |networking: &mut Networking, standing: &mut Standing| {
        let networks = &engine.networks;
        let sandbox = sandbox_of(standing, &record)?;
        let cable = standing.cables.last().expect("it was plugged a moment ago");
        connect_cable(networks, &sandbox, cable, &[])?;
        gateway::come(networks, &record, &sandbox, networking, standing)?;
        settle(engine, ground, &record, &sandbox, standing, before.as_deref())?;
        gateway::go(networks, &record, &sandbox, networking, standing)?;
        members::balance(networks, &sandbox, standing)
    };
    if let Err(error) = steps(&mut networking, &mut standing) {
        networking.places.remove(&network.name);
        unplug(engine, ground, &record, &network.id, &mut networking, &mut standing);
        container.change_in_memory(|r| r.networking.gateway = networking.gateway);
        return Err(error);
    }
    write_down(container, networking.gateway, &standing, |places| drop(places.insert(network.name.clone(), place)))
}

/// The places a running container has now.
fn write_down(
    container: &Kept,
    gateway: Option<Endpoint>,
    standing: &Standing,
    change: impl FnOnce(&mut BTreeMap<String, Place>),
) -> Result<()> {
    container.change(|r| {
        change(&mut r.networking.places);
        (r.networking.gateway, r.networking.published) = (gateway, standing.published.clone());
        Ok(())
    })
}

/// What a running container holds; one that has nothing (`none`, just left) gets a standing of its own.
fn stands(engine: &Engine, container: &Kept) -> Arc<Mutex<Standing>> {
    engine.networks.standing(&container.id).unwrap_or_else(|| {
        let fresh = Standing { container: container.id.clone(), ..Standing::default() };
        engine.networks.stand(&container.id, fresh)
    })
}

/// The sandbox of a running container: by its pin, or by its first process, for a daemon in a new mount namespace does not see
/// the pins of the one before.
pub(crate) fn sandbox_of(standing: &Standing, record: &Container) -> Result<Sandbox> {
    match &standing.pin {
        Some(pin) => Sandbox::open(pin).or_else(|_| Sandbox::of_pid(record.state.pid)),
        None => Sandbox::of_pid(record.state.pid),
    }
}

/// What depends on the set of cables: the way out, and the doors that lead in over it. `before`: the cable that led out.
fn settle(
    engine: &Engine,
    ground: &Ground,
    record: &Container,
    sandbox: &Sandbox,
    standing: &mut Standing,
    before: Option<&str>,
) -> Result<()> {
    let now = way_out(&standing.cables, true).cloned();
    if now.as_ref().map(|c| c.endpoint.id.as_str()) == before {
        return Ok(());
    }
    lead_out(sandbox, &standing.cables)?;
    match &now {
        // the ports stay ours, only the rules change
        Some(cable) if !standing.held.is_empty() => {
            let doors = lead_to(&standing.held, cable);
            let old = std::mem::replace(&mut standing.published, doors);
            standing.proxies.clear();
            ground.table.unpublish(&old)?;
            if standing.published.is_empty() {
                standing.held.clear(); // nothing leads in this way; another way takes them anew
            }
        }
        Some(_) => open_doors(&engine.networks, record, standing)?,
        None => {
            standing.unpublish(ground);
            return Ok(());
        }
    }
    doors::publish(ground, standing)
}

/// Takes one cable out of a living sandbox; whatever does not work is logged.
fn unplug(
    engine: &Engine,
    ground: &Ground,
    record: &Container,
    network: &str,
    networking: &mut Networking,
    standing: &mut Standing,
) {
    let Some(at) = standing.cables.iter().position(|c| c.endpoint.network_id == network) else { return };
    let before = way_out(&standing.cables, true).map(|c| c.endpoint.id.clone());
    let cable = standing.cables.remove(at);
    engine.networks.zones.remove(network, &record.id);
    let mut steps = || {
        let sandbox = sandbox_of(standing, record)?;
        if standing.published.iter().any(|door| door.endpoint_id == cable.endpoint.id) {
            ground.table.unpublish(&std::mem::take(&mut standing.published))?;
        }
        cable.unplug(&ground.home, &sandbox)?;
        gateway::come(&engine.networks, record, &sandbox, networking, standing)?;
        settle(engine, ground, record, &sandbox, standing, before.as_deref())?;
        gateway::go(&engine.networks, record, &sandbox, networking, standing)?;
        members::balance(&engine.networks, &sandbox, standing)
    };
    if let Err(error) = steps() {
        tracing::warn!(id = record.id, "pulling a cable out: {}", error.message());
    }
    engine.networks.leave(network, &record.id, cable.addresses());
}

/// `POST /networks/{id}/disconnect`.
///
/// # Errors
/// 404 for network or container; 500 `container … is not connected to network …`.
pub async fn disconnect(engine: &Arc<Engine>, network: &str, wish: NetworkDisconnect) -> Result<()> {
    let container = match engine.containers.find(&wish.container) {
        Err(_) if wish.force => return Err(Error::not_found(format!("endpoint {} not found", wish.container))),
        found => found?,
    };
    let found = engine.networks.find(network);
    let engine = engine.clone();
    let network = network.to_string();
    to_the_end(async move {
        let _life = container.life.lock().await;
        let record = container.record();
        may_change(&record)?;
        let running = record.state.has_process();
        let (name, known) = match found {
            Ok(known) => (known.name.clone(), Some(known)),
            // a network that is gone can only be forgotten
            Err(_) if wish.force || (!running && record.networking.places.contains_key(&network)) => (network, None),
            Err(error) => return Err(error),
        };
        if running && known.as_ref().is_some_and(|n| n.driver == Driver::Host) && record.host_config.network_mode == "host" {
            return Err(Error::invalid("container cannot be disconnected from host network or connected to host network"));
        }
        if !record.networking.places.contains_key(&name) {
            let the = if running { "" } else { "the " };
            return Err(Error::system(format!("container {} is not connected to {the}network {name}", record.id)));
        }
        if let (true, Some(network)) = (running, &known) {
            let (e, c, n) = (engine.clone(), container.clone(), network.clone());
            let work = move || recorded(&e.paths, &c.id, || pull_out(&e, &c, &n));
            spawn_blocking(work).await.map_err(|_| Error::system("the thread that pulls cables ended early"))??;
        } else {
            container.change(|r| {
                r.networking.places.remove(&name);
                Ok(())
            })?;
        }
        if running {
            resolver::settle(&engine, &record, &container).await?;
        }
        if let Some(network) = &known {
            publish(&engine, network, "disconnect", &[("container", &container.id)]);
            engine.networks.overlays.holds.let_go(&container.id, Some(&network.id));
            overlay::left(&engine, network).await;
        }
        Ok(())
    })
    .await
}

fn pull_out(engine: &Engine, container: &Kept, network: &Record) -> Result<()> {
    let record = container.record();
    let standing = stands(engine, container);
    let mut standing = standing.lock().expect("no holder panics");
    let mut networking = record.networking.clone();
    networking.places.remove(&network.name);
    if network.driver.has_cables() {
        unplug(engine, engine.networks.ground()?, &record, &network.id, &mut networking, &mut standing);
    } else {
        standing.plain.retain(|id| *id != network.id);
        engine.networks.leave(&network.id, &record.id, []);
    }
    write_down(container, networking.gateway, &standing, |places| drop(places.remove(&network.name)))
}

/// Forgets what a run has left in a container's record.
pub(crate) fn clean(networking: &mut Networking) {
    networking.published.clear();
    networking.gateway = None;
    networking.places.values_mut().for_each(Place::clean);
}
