//! # Restore: the networks after our own death
//!
//! The daemon was killed; containers ran on, their cables plugged in, their addresses in use, the rules in the kernel. When it
//! comes back nothing of that may change, and nothing may be left of what ended meanwhile.
//!
//! ```text
//!   open      ground ─► records ─► the default networks ─► bridges, where they are missing
//!   restore   pins and cables that nobody uses go ─► who runs gets back what it holds ─► the table, replaced in one step
//!             ─► names and name servers
//! ```
//!
//! * What a container holds is in its record, written before its first process ran.
//! * The nft table is replaced as a whole, in one transaction: rules of those who are gone vanish, rules of those who run
//!   are there before and after, and established connections do not notice.
//! * A port of the host that somebody else took meanwhile is reported; the rule stays, for the container was promised it.
//!
//! Laws: nothing here stops the daemon from starting. It may be run again and again.
//! See: moby `libnetwork/controller.go` (sandboxRestore). Next room: [`crate::networks`]

use crate::{
    Engine,
    container::{record::Record as Container, store::Container as Kept},
    networks::{
        connect::{clean, sandbox_of},
        create::make_defaults,
        doors::{by_rule, carry, way_out},
        ground::{Ground, not_wanted},
        join::shown,
        macvlan, names, overlay,
        record::{Driver, Record as Network},
        resolver,
        standing::{Cable, Standing},
        store::Networks,
    },
};
use minidock_base::{Result, paths::Paths};
use minidock_network::{
    model::{Endpoint, Published},
    nft::ruleset::Ruleset,
    port_map::Wish,
    sandbox::Sandbox,
};
use minidock_spec::engine::network::EndpointResource;
use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// How many sandboxes are visited at a time.
const AT_A_TIME: usize = 8;

/// Opens the department: `wanted` is false with `--bridge none`. Blocks.
///
/// # Errors
/// The records cannot be read. Where no bridges can be made, that is said in the log, and there are `none` and `host`.
pub(crate) fn open(paths: &Paths, wanted: bool) -> Result<Networks> {
    let ground = if wanted { Ground::open(paths) } else { Err(not_wanted()) };
    if let Err(error) = &ground {
        tracing::warn!("{}", error.message());
    }
    let networks = Networks::read(paths, ground)?;
    make_defaults(&networks)?;
    overlay::restore::open(&networks, paths);
    if let Ok(ground) = networks.ground() {
        for record in networks.all() {
            let raised = match (record.driver, record.to_bridge()) {
                (Driver::Bridge, Some(bridge)) => ground.raise(&bridge),
                (Driver::Macvlan, _) => macvlan::raise_again(ground, &record),
                _ => Ok(()),
            };
            if let Err(error) = raised {
                tracing::error!(network = record.name, "its link could not be made: {}", error.message());
            }
        }
    }
    Ok(networks)
}

/// Gives those who run what they hold, and clears away the rest. Blocks; a runtime must be around.
pub(crate) fn restore(engine: &Arc<Engine>, running: &[Arc<Kept>]) {
    let runs: BTreeSet<&str> = running.iter().map(|c| c.id.as_str()).collect();
    for container in engine.containers.all().iter().filter(|c| !runs.contains(c.id.as_str())) {
        container.change_in_memory(|r| clean(&mut r.networking));
    }
    let mut pins = BTreeSet::new();
    let mut standing: Vec<(Arc<Kept>, Arc<Mutex<Standing>>)> = Vec::new();
    for container in running {
        let record = container.record();
        let held = regain(engine, &record);
        pins.extend(held.pin.clone());
        standing.push((container.clone(), engine.networks.stand(&container.id, held)));
    }
    drop_pins(&engine.paths, &pins);
    let Ok(ground) = engine.networks.ground() else { return };
    let of = |standing: &Arc<Mutex<Standing>>| by_rule(&standing.lock().expect("no holder panics").published);
    let published: Vec<Published> = standing.iter().flat_map(|(_, s)| of(s)).collect();
    let bridges = engine.networks.all().iter().filter_map(|n| n.to_bridge()).collect();
    if let Err(error) = ground.table.replace(&Ruleset { bridges, published }) {
        tracing::error!("the firewall's table could not be written: {}", error.message());
    }
    overlay::restore::restore(engine, ground);
    sweep(engine, ground, &standing);
    serve_names(engine, &standing);
}

/// Opens the name servers again, several at a time: each is a visit to a sandbox.
fn serve_names(engine: &Engine, standing: &[(Arc<Kept>, Arc<Mutex<Standing>>)]) {
    let serve = |(container, standing): &(Arc<Kept>, Arc<Mutex<Standing>>)| {
        names::announce(engine, container);
        let record = container.record();
        let mut standing = standing.lock().expect("no holder panics");
        if standing.cables.is_empty() {
            return;
        }
        let told = |done: Result<()>, what: &str| {
            if let Err(error) = done {
                tracing::warn!(id = container.id, "{what}: {}", error.message());
            }
        };
        told(carry(&mut standing), "its doors that are carried by hand could not be opened again");
        match sandbox_of(&standing, &record) {
            Ok(sandbox) => {
                let balanced = overlay::members::balance(&engine.networks, &sandbox, &mut standing);
                told(balanced, "it could not be told where services are");
                let served = resolver::serve(&engine.networks, &record, &sandbox, &mut standing);
                told(served, "its name server could not be opened again");
            }
            Err(error) => told(Err(error), "its sandbox cannot be visited"),
        }
    };
    let (runtime, share) = (tokio::runtime::Handle::current(), standing.len().div_ceil(AT_A_TIME).max(1));
    std::thread::scope(|scope| {
        for some in standing.chunks(share) {
            let runtime = &runtime;
            scope.spawn(move || {
                let _around = runtime.enter();
                some.iter().for_each(serve);
            });
        }
    });
}

/// What a container holds, by its record.
fn regain(engine: &Engine, record: &Container) -> Standing {
    let networks = &engine.networks;
    let mut standing = Standing { container: record.id.clone(), ..Standing::default() };
    for (name, place) in &record.networking.places {
        let Ok(network) = networks.find(name) else {
            tracing::warn!(id = record.id, network = name, "it is on a network whose record is gone");
            continue;
        };
        let Some(endpoint) = &place.plugged else {
            if networks.enter(&network.id, &record.id, [None, None]).is_ok() && !place.settings.endpoint_id.is_empty() {
                let endpoint_id = place.settings.endpoint_id.clone();
                networks.describe(&network.id, &record.id, EndpointResource { endpoint_id, ..EndpointResource::default() });
                standing.plain.push(network.id.clone());
            }
            continue;
        };
        regain_cable(networks, &network, endpoint, place.settings.gw_priority, &mut standing);
        if let Some(attached) = &place.attached {
            networks.overlays.holds.take(&record.id, attached);
        }
    }
    if let Some(endpoint) = &record.networking.gateway
        && let Ok(network) = networks.find(&endpoint.network_id)
    {
        regain_cable(networks, &network, endpoint, 0, &mut standing);
    }
    // in the order of their interfaces, as they were plugged in
    standing.cables.sort_by_key(|c| (c.endpoint.inside.len(), c.endpoint.inside.clone()));
    let pin = engine.paths.netns(record.networking.sandbox_id.get(..12).unwrap_or("-"));
    standing.pin = pin.exists().then_some(pin);
    standing.published = record.networking.published.clone();
    let Some(ground) = networks.ground().ok().filter(|_| way_out(&standing.cables, true).is_some()) else { return standing };
    for door in &standing.published {
        let wish = Wish {
            protocol: door.protocol,
            hosts: vec![door.host.0],
            ports: Some((door.host.1, door.host.1)),
            target: door.target,
        };
        match ground.ports.reserve(&[wish]) {
            Ok(held) => standing.held.extend(held),
            Err(error) => tracing::warn!(id = record.id, "a published port is another's now: {}", error.message()),
        }
    }
    standing
}

/// Its place on one bridge.
fn regain_cable(networks: &Networks, network: &Network, endpoint: &Endpoint, priority: i64, standing: &mut Standing) {
    let wishes = [endpoint.v4.map(|(a, _)| IpAddr::from(a)), endpoint.v6.map(|(a, _)| IpAddr::from(a))];
    if let Err(error) = networks.enter(&network.id, &standing.container, wishes) {
        tracing::warn!(id = standing.container, network = network.name, "its address is another's now: {}", error.message());
    }
    networks.describe(&network.id, &standing.container, shown(endpoint));
    if let Some(bridge) = network.to_segment() {
        let (network, upon) = (network.name.clone(), macvlan::mode(network));
        standing.cables.push(Cable { network, bridge, upon, priority, endpoint: endpoint.clone() });
    }
}

/// Lets go of namespaces that nobody uses.
fn drop_pins(paths: &Paths, used: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(paths.sandboxes()).into_iter().flatten().flatten() {
        let pin = entry.path();
        if !used.contains(&pin)
            && let Err(error) = Sandbox::remove(&pin)
        {
            tracing::warn!(pin = %pin.display(), "a namespace that nobody uses could not be let go: {}", error.message());
        }
    }
}

/// Deletes cables and bridges of ours that nobody knows any more, beside everything else: it takes the kernel long.
fn sweep(engine: &Arc<Engine>, ground: &Ground, standing: &[(Arc<Kept>, Arc<Mutex<Standing>>)]) {
    let cables = |s: &Arc<Mutex<Standing>>| {
        let standing = s.lock().expect("no holder panics");
        standing.cables.iter().map(|c| c.endpoint.host_link.clone()).collect::<Vec<_>>()
    };
    let bridges: BTreeSet<String> = engine.networks.all().iter().map(|n| n.link.clone()).filter(|l| !l.is_empty()).collect();
    // a parent to nowhere is a cable, too
    let mut known: BTreeSet<String> = engine.networks.all().iter().flat_map(|n| macvlan::cables_of(n)).collect();
    known.extend(standing.iter().flat_map(|(_, s)| cables(s)));
    let left = ground.home.leftovers(&known, &bridges).unwrap_or_default();
    let strays = ground.home.stray_bridges(&bridges).unwrap_or_default();
    if left.is_empty() && strays.is_empty() {
        return;
    }
    let engine = engine.clone();
    std::thread::spawn(move || {
        let Ok(ground) = engine.networks.ground() else { return };
        for link in left.iter().chain(&strays) {
            tracing::info!(link, "a link that nobody knows any more is deleted");
            if let Err(error) = ground.home.delete_link(link) {
                tracing::warn!(link, "{}", error.message());
            }
        }
    });
}
