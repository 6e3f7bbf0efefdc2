//! # Realize: from what is wanted to what is, by difference
//!
//! ```text
//!   the same as before? ─► nothing to do
//!   docker_gwbridge ─► written down ─► exchanged ─► overlays raised ─► names ─► sandboxes visited ─► mesh ─► what is unwanted departs
//! ```
//!
//! * What is wanted is written below the exec root before anything is done: a daemon that is killed half-way begins there.
//! * A failure does not stop the rest, is returned when all is done, and makes the next call do everything once more. A port of the mesh
//!   that another program has is no failure, for nobody's task must wait for it; it is tried again every few seconds ([`try_again`]).
//! * Sandboxes are visited only for networks on which something has changed; a task more costs each neighbour one nft transaction.
//!
//! Laws: one call at a time ([`super::Overlays::changing`]); what is wanted is exchanged before anybody is visited.
//! Next room: [`super::raise`]

use super::{
    gateway, members,
    raise::{depart, raise},
    wish::{OverlayWish, Wishes},
};
use crate::{
    Engine,
    container::to_the_end,
    networks::{create::publish, ground::Ground, standing::Standing},
};
use minidock_base::{Doing, Error, Result, state_file};
use minidock_network::{
    mesh::{Door, Mesh},
    model::Protocol,
};
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    net::Ipv4Addr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// How long a port that another program has is left to it before it is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn realize(engine: &Arc<Engine>, wishes: Wishes) -> Result<()> {
    let engine = engine.clone();
    to_the_end(async move {
        let _one_at_a_time = engine.networks.overlays.changing.lock().await;
        let overlays = &engine.networks.overlays;
        if *overlays.wanted() == wishes && overlays.is_true.load(Ordering::Acquire) {
            return Ok(());
        }
        engine.networks.ground()?;
        way_out(&engine).await?;
        let e = engine.clone();
        let work = spawn_blocking(move || apply(&e, wishes));
        let made = work.await.map_err(|_| Error::system("the thread that makes overlays ended early"))?;
        try_again(&engine);
        made
    })
    .await
}

/// Ports of the mesh that another program has are tried again until they are ours, or nobody wants them.
pub(crate) fn try_again(engine: &Arc<Engine>) {
    let overlays = &engine.networks.overlays;
    let is_refused = || !overlays.refused.lock().expect("no holder panics").is_empty();
    if !is_refused() || overlays.trying.swap(true, Ordering::AcqRel) {
        return;
    }
    let engine = Arc::downgrade(engine); // it does not keep an engine that ends
    tokio::spawn(async move {
        loop {
            sleep(AGAIN).await;
            let Some(engine) = engine.upgrade() else { return };
            let _one_at_a_time = engine.networks.overlays.changing.lock().await;
            let e = engine.clone();
            let opened = spawn_blocking(move || mesh(&e, e.networks.ground()?, &e.networks.overlays.wanted(), false)).await;
            match opened {
                Ok(Ok(false)) => continue,
                Ok(Ok(true)) => tracing::info!("all ports of the mesh are ours on this machine now"),
                Ok(Err(error)) => tracing::warn!("the ports of the mesh: {}", error.message()), // the next realize tells it, too
                Err(_) => tracing::error!("the thread that opens ports of the mesh ended early"),
            }
            engine.networks.overlays.trying.store(false, Ordering::Release);
            return;
        }
    });
}

/// The bridge that leads out, made the first time.
async fn way_out(engine: &Arc<Engine>) -> Result<()> {
    let _no_other = engine.networks.changing.lock().await;
    let e = engine.clone();
    let made = spawn_blocking(move || gateway::ensure(&e.networks)).await;
    if let Some(record) = made.map_err(|_| Error::system("the thread that makes networks ended early"))?? {
        publish(engine, &record, "create", &[]);
    }
    Ok(())
}

/// Makes it true; also what was wanted when the daemon was killed. Blocks.
pub(crate) fn apply(engine: &Arc<Engine>, wishes: Wishes) -> Result<()> {
    let networks = &engine.networks;
    let (overlays, ground) = (&networks.overlays, networks.ground()?);
    write_down(engine, &wishes)?;
    let everything = !overlays.is_true.swap(false, Ordering::AcqRel);
    let before = overlays.exchange(Arc::new(wishes));
    let now = overlays.wanted();
    let mut failures = Failures::default();
    for wish in &now.networks {
        failures.note(raise(networks, ground, &now, wish));
    }
    let changed: BTreeSet<&str> = now
        .networks
        .iter()
        .filter(|wish| everything || find(&before, &wish.network.id).is_none_or(|old| old != *wish))
        .inspect(|wish| members::tell_names(networks, wish))
        .map(|wish| wish.network.id.as_str())
        .collect();
    failures.note(visit(engine, &changed));
    let is_open = mesh(engine, ground, &now, everything);
    let all_open = *is_open.as_ref().unwrap_or(&false);
    failures.note(is_open.map(drop));
    for gone in before.networks.iter().filter(|old| find(&now, &old.network.id).is_none()) {
        members::forget_names(networks, &gone.network.id);
        failures.note(depart(networks, &gone.network.id));
    }
    overlays.is_true.store(failures.first.is_none() && all_open, Ordering::Release);
    overlays.came.notify_waiters();
    failures.first.map_or(Ok(()), Err)
}

fn find<'a>(wishes: &'a Wishes, id: &str) -> Option<&'a OverlayWish> {
    wishes.networks.iter().find(|wish| wish.network.id == id)
}

/// The first is returned, the others are logged.
#[derive(Default)]
struct Failures {
    first: Option<Error>,
}

impl Failures {
    fn note(&mut self, done: Result<()>) {
        match (done, &self.first) {
            (Ok(()), _) => {}
            (Err(error), None) => self.first = Some(error),
            (Err(error), Some(_)) => tracing::warn!("overlay networks: {}", error.message()),
        }
    }
}

fn write_down(engine: &Engine, wishes: &Wishes) -> Result<()> {
    let file = engine.paths.overlays();
    if *wishes != Wishes::default() {
        return state_file::save(&file, wishes);
    }
    match fs::remove_file(&file) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", file.display())),
        _ => Ok(()),
    }
}

/// Brings the tables of every sandbox on these networks up to date.
fn visit(engine: &Engine, networks: &BTreeSet<&str>) -> Result<()> {
    let mut failures = Failures::default();
    if networks.is_empty() {
        return Ok(());
    }
    for (id, standing) in engine.networks.all_standing() {
        // one that is being made has no balance yet, and will take what is wanted then
        let standing = standing.lock().expect("no holder panics");
        if is_on(&standing, networks)
            && let Err(error) = members::follow(&engine.networks, &standing)
        {
            failures.note(Err(error.during(format!("tell container {id} where services are"))));
        }
    }
    failures.first.map_or(Ok(()), Err)
}

fn is_on(standing: &Standing, networks: &BTreeSet<&str>) -> bool {
    standing.cables.iter().any(|cable| networks.contains(cable.endpoint.network_id.as_str()))
}

/// The ports that every machine answers on. One that another program has here is told in the log, once; the other machines answer.
/// Gives back whether all are open here.
fn mesh(engine: &Engine, ground: &Ground, now: &Wishes, everything: bool) -> Result<bool> {
    let ingress = now.networks.iter().find(|wish| wish.network.spec.ingress);
    let link = ingress.and_then(|wish| Some(engine.networks.find(&wish.network.id).ok()?.link.clone()));
    let there: BTreeSet<Ipv4Addr> = ingress.iter().flat_map(|wish| members::everybody(wish)).collect();
    let doors: Vec<Door> = now
        .mesh
        .iter()
        .map(|port| Door {
            protocol: port.protocol,
            published: port.published,
            target: port.target,
            backends: port.backends.clone(),
        })
        .collect();
    let mut mesh = engine.networks.overlays.mesh.lock().expect("no holder panics");
    if mesh.is_none() && doors.is_empty() && !everything {
        return Ok(true);
    }
    if mesh.is_none() {
        *mesh = Some(Mesh::open(ground.ports.clone())?);
    }
    let Some(mesh) = mesh.as_mut() else { return Ok(true) };
    let refused = mesh.set(link.as_deref(), &doors, &there)?;
    let ports: BTreeSet<(Protocol, u16)> = refused.iter().map(|(door, _)| (door.protocol, door.published)).collect();
    let mut known = engine.networks.overlays.refused.lock().expect("no holder panics");
    if *known != ports {
        for (door, error) in &refused {
            tracing::warn!(port = door.published, "a port of the mesh is not ours on this machine: {}", error.message());
        }
        *known = ports;
    }
    Ok(known.is_empty())
}

/// Takes the mesh's table away, also one that an earlier daemon left.
pub(crate) fn purge_mesh(engine: &Engine, ground: &Ground) -> Result<()> {
    let mesh = engine.networks.overlays.mesh.lock().expect("no holder panics").take();
    mesh.map_or_else(|| Mesh::open(ground.ports.clone()), Ok)?.purge()
}
