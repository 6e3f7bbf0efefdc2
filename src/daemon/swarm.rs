//! # The daemon's part in a swarm
//!
//! The swarm knows no engine and the engine no swarm: here they meet. The engine becomes the agent's hands ([`Machine`]), with what a simulated
//! node says of itself; then the swarm is opened, which takes up again whatever this machine was before the daemon ended.
//!
//! *Next room:* [`crate::settings`]

use crate::settings::Settings;
use minidock_api::swarm::events;
use minidock_base::{Doing, Result};
use minidock_engine::{Engine, networks::overlay::attach};
use minidock_executor::{Facts, Machine, attach::BySwarm};
use minidock_linux::netlink::{
    address, link,
    socket::{Family, Socket},
};
use minidock_registry::client::Client;
use minidock_swarm::node::{Setup, Swarm, addresses::Interface};
use std::{fs, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Opens this machine's part, and tells what happens in it as events of the engine.
///
/// # Errors
/// Its folder cannot be used.
pub async fn open(
    settings: &Settings,
    engine: &Arc<Engine>,
    registry: &Arc<Client>,
    closing: &CancellationToken,
) -> Result<Arc<Swarm>> {
    // the engine knows how many CPUs and how much memory, but Docker's info counts whole CPUs, and placement need not
    let labels = settings.labels.iter().map(|label| label.split_once('=').unwrap_or((label, "")));
    let labels = labels.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let nano_cpus = (settings.cpus > 0.0).then_some((settings.cpus * 1e9) as i64);
    let facts = Facts { labels, nano_cpus, generic: settings.generic.clone(), ..Facts::default() };
    let executor = Arc::new(Machine::new(engine.clone(), registry.clone(), facts));
    let setup = Setup { folder: settings.paths.swarm(), executor, hostname: hostname(), interfaces: Box::new(interfaces) };
    let swarm = Swarm::open(setup).await.doing(|| "start the daemon")?;
    attach::ask_by(engine, Arc::new(BySwarm(Arc::downgrade(&swarm))));
    tokio::spawn(events::follow(swarm.clone(), engine.clone(), closing.clone()));
    Ok(swarm)
}

/// The links by which other machines may reach this one: not loopback, and no bridge of an engine, behind which are containers.
fn interfaces() -> Vec<Interface> {
    let found = || -> std::result::Result<Vec<Interface>, minidock_linux::errno::CallFailed> {
        let mut socket = Socket::open(Family::Route)?;
        let addresses = address::all(&mut socket)?;
        let links = link::all(&mut socket)?.into_iter().filter(|link| link.up && !is_of_an_engine(link));
        Ok(links
            .map(|link| Interface {
                addresses: addresses.iter().filter(|a| a.index == link.index).map(|a| a.address).collect(),
                name: link.name,
            })
            .filter(|interface| !interface.addresses.is_empty())
            .collect())
    };
    found().inspect_err(|error| tracing::warn!("this machine's links cannot be read: {error}")).unwrap_or_default()
}

fn is_of_an_engine(link: &link::Link) -> bool {
    let known = ["lo", "minidock0", "docker0", "docker_gwbridge"];
    known.contains(&link.name.as_str())
        || (link.kind == "bridge" && (link.name.starts_with("br-") || link.name.starts_with("ov-")))
}

/// This machine's name; a simulated node has one of its own.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
