//! # Remove and prune: a network goes when nobody is on it
//!
//! The networks that are always there stay, and so does one with a member. Everything else goes: its record first, under the
//! store's lock, so that nobody can get a place on it any more; then bridge and rules.
//!
//! * A container that does not run may still name a network that has gone; its next start says so, as Docker's does.
//! * [`purge`] is the broom for the whole house: every bridge, every rule, every changed setting of the host, so that nothing of
//!   us is left when minidock goes.
//!
//! See: moby `daemon/network.go` (deleteNetwork), `daemon/prune.go`. Next room: [`crate::networks::connect`]

use crate::{
    Engine,
    container::{prune::until, to_the_end},
    networks::{
        create::{lower, publish},
        overlay::{gateway::GATEWAY, realize::purge_mesh},
        record::{Driver, Record, is_predefined},
    },
};
use minidock_base::{Error, Result};
use minidock_spec::engine::{filters::Filters, network::NetworksPruned};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::spawn_blocking;

/// `DELETE /networks/{id}`.
///
/// # Errors
/// 404; 403 for a predefined network and for one with active endpoints.
pub async fn remove(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let network = engine.networks.find(text)?;
    let engine = engine.clone();
    to_the_end(async move { whole(&engine, &network).await }).await
}

async fn whole(engine: &Arc<Engine>, network: &Arc<Record>) -> Result<()> {
    if is_predefined(&network.name) {
        return Err(Error::forbidden(format!("{} is a pre-defined network and cannot be removed", network.name)));
    }
    if network.driver == Driver::Overlay {
        return Err(Error::unavailable(
            "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this \
             command on a manager node or promote the current node to a manager.",
        ));
    }
    if engine.networks.all().iter().any(|n| n.config_from == network.name) {
        return Err(Error::forbidden(format!("configuration network {:?} is in use", network.name)));
    }
    if leads_out_of_the_swarm(engine, network) {
        let (name, id) = (&network.name, &network.id);
        return Err(Error::forbidden(format!("error while removing network: network {name} id {id} has active endpoints"))
            .hint("the swarm's containers go out by it; minidock swarm leave, then it can be removed"));
    }
    let _one_at_a_time = engine.networks.changing.lock().await;
    let (e, n) = (engine.clone(), network.clone());
    let work = move || {
        e.networks.forget(&n.id)?;
        if let Ok(ground) = e.networks.ground() {
            lower(ground, &n);
        }
        Ok(())
    };
    let gone: Result<()> = spawn_blocking(work).await.map_err(|_| Error::system("the thread that removes ended early"))?;
    gone.map_err(|e| Error::new(e.kind(), format!("error while removing network: {}", e.message())))?;
    publish(engine, network, "destroy", &[]);
    Ok(())
}

/// The bridge by which containers on overlays reach the world, while there is a swarm.
fn leads_out_of_the_swarm(engine: &Engine, network: &Record) -> bool {
    network.name == GATEWAY && engine.networks.overlays.wanted().underlay.is_some()
}

/// `POST /networks/prune?filters=`.
///
/// # Errors
/// 400 for filters that make no sense.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<NetworksPruned> {
    filters.accept(&["label", "label!", "until"])?;
    let until = until(filters)?;
    let mut pruned = NetworksPruned::default();
    for network in engine.networks.all() {
        let goes = !is_predefined(&network.name)
            && network.driver != Driver::Overlay
            && !network.config_only
            && !leads_out_of_the_swarm(engine, &network)
            && until.is_none_or(|until| network.created < until)
            && filters.labels("label", &network.labels)
            && filters.without_labels("label!", &network.labels)
            && engine.networks.members(&network.id).is_empty();
        if !goes {
            continue;
        }
        match whole(engine, &network).await {
            Ok(()) => pruned.networks_deleted.get_or_insert_default().push(network.name.clone()),
            Err(error) => tracing::warn!(network = network.name, "not pruned: {}", error.message()),
        }
    }
    let reclaimed = BTreeMap::from([("reclaimed".to_string(), "0".to_string())]);
    engine.events.publish("network", "prune", "", reclaimed);
    Ok(pruned)
}

/// `POST /minidock/network/purge`: the host's links, rules and settings become what they were before minidock came. Records
/// stay: the next start of the daemon makes the bridges again.
///
/// # Errors
/// 409 while a container is on a network of ours; the kernel's.
pub async fn purge(engine: &Arc<Engine>) -> Result<Vec<String>> {
    let engine = engine.clone();
    to_the_end(async move {
        let _one_at_a_time = engine.networks.changing.lock().await;
        let networks: Vec<_> = engine.networks.all().into_iter().filter(|n| !n.link.is_empty()).collect();
        if let Some(overlay) = networks.iter().find(|n| n.driver == Driver::Overlay) {
            return Err(Error::conflict(format!("this machine has a part in the overlay network {}", overlay.name))
                .hint("minidock swarm leave"));
        }
        if let Some(busy) = networks.iter().find(|n| !engine.networks.members(&n.id).is_empty()) {
            return Err(Error::conflict(format!("network {} id {} has active endpoints", busy.name, busy.id))
                .hint("stop the containers first: minidock stop $(minidock ps -q)"));
        }
        let e = engine.clone();
        let work = move || {
            // a daemon that could not have networks has left nothing behind
            let Ok(ground) = e.networks.ground() else { return Ok(Vec::new()) };
            networks.iter().for_each(|network| lower(ground, network));
            ground.table.purge()?;
            purge_mesh(&e, ground)?;
            // what Docker needs as much as we did stays, and stays written down
            let changed = match ground.table.is_beside_docker()? {
                true => Vec::new(),
                false => ground.settings.changed(),
            };
            if !changed.is_empty() {
                ground.settings.restore()?;
            }
            // a parent that a person made is not ours
            let made = |n: &&Arc<Record>| n.driver != Driver::Macvlan || n.made_parent;
            let links = networks.iter().filter(made).map(|n| format!("link {}", n.link));
            let settings = changed.iter().map(|(name, turned)| format!("setting {name} back to {}", turned.was));
            Ok(links.chain(["nft table minidock".to_string()]).chain(settings).collect())
        };
        spawn_blocking(work).await.map_err(|_| Error::system("the thread that purges ended early"))?
    })
    .await
}
