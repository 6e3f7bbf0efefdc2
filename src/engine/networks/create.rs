//! # Create: a network from a wish
//!
//! ```text
//!   wish ─► draft ─► name free? ─► pools: asked for, or drawn from the defaults ─► bridge, rules ─► record ─► "create"
//!        [`wish`]       409            overlaps: 403                               [`Ground::raise`]
//! ```
//!
//! * A pool that was asked for may not overlap another network's or a route of the host's; one that is drawn avoids both.
//! * The record is written last, for it is the promise; whatever fails before takes the bridge away again.
//!
//! Laws: one network at a time ([`Networks::changing`]), so that no two get one pool or one name.
//! See: moby `libnetwork/controller.go` (NewNetwork). Next room: [`crate::networks::list`]

use crate::{
    Engine,
    container::to_the_end,
    networks::{
        ground::{DEFAULT_LINK, Ground},
        macvlan, on_paper,
        record::{Driver, Record, default_networks},
        store::Networks,
        wish::{self, Draft},
        wishes::BRIDGE,
    },
};
use minidock_base::{Error, Result, clock, id};
use minidock_network::{
    bridge, ipam,
    model::{Net, Subnet},
};
use minidock_spec::engine::network::{IpamConfig, NetworkCreate, NetworkCreated};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tokio::task::spawn_blocking;

/// `POST /networks/create`.
///
/// # Errors
/// As [`wish::read`]; 409 `network with name x already exists`; 403 for pools that overlap; 503 where no bridges can be made.
pub async fn create(engine: &Arc<Engine>, mut wish: NetworkCreate) -> Result<NetworkCreated> {
    let config_from = on_paper::fill_in(&mut wish, |name| engine.networks.find(name))?;
    let draft = wish::read(&wish)?;
    let engine = engine.clone();
    to_the_end(async move {
        let one_at_a_time = engine.networks.changing.lock().await;
        if engine.networks.all().iter().any(|n| n.name == wish.name) {
            return Err(Error::conflict(format!("network with name {} already exists", wish.name)));
        }
        let e = engine.clone();
        let made = spawn_blocking(move || make(&e.networks, wish, draft, config_from)).await;
        let record = made.map_err(|_| Error::system("the thread that makes networks ended early"))??;
        drop(one_at_a_time);
        publish(&engine, &record, "create", &[]);
        Ok(NetworkCreated { id: record.id.clone(), warning: String::new() })
    })
    .await
}

fn make(networks: &Networks, wish: NetworkCreate, draft: Draft, config_from: String) -> Result<Arc<Record>> {
    let ground = networks.ground()?;
    // it may have been removed while we waited for our turn
    if !config_from.is_empty() {
        networks.find(&config_from)?;
    }
    let id = id::random_id();
    let link = match draft.driver {
        Driver::Macvlan => macvlan::parent(networks, &wish.options, &id)?,
        Driver::Null => String::new(),
        _ => draft.options.link.clone().unwrap_or_else(|| format!("br-{}", id::short(&id))),
    };
    if draft.driver == Driver::Bridge {
        may_be_called(networks, ground, &draft, &link, &wish, &id)?;
    }
    let (chosen_v4, chosen_v6) = (draft.pools.iter().any(|p| p.subnet.is_v4()), draft.pools.iter().any(|p| !p.subnet.is_v4()));
    let mut ipam = draft.ipam;
    let subnets = match wish.config_only {
        true => Vec::new(), // on paper only
        false => pools(networks, ground, draft.pools, draft.driver, &wish, &id)?,
    };
    let shown = ipam.config.get_or_insert_default();
    for drawn in subnets.iter().filter(|p| if p.subnet.is_v4() { !chosen_v4 } else { !chosen_v6 }) {
        let gateway = drawn.gateway.map(|g| g.to_string()).unwrap_or_default();
        shown.push(IpamConfig { subnet: drawn.subnet.to_string(), gateway, ..IpamConfig::default() });
    }
    let mut record = Record {
        id,
        name: wish.name,
        created: clock::now(),
        driver: draft.driver,
        enable_ipv6: wish.enable_ipv6,
        internal: wish.internal,
        attachable: wish.attachable,
        ingress: false,
        ipam,
        options: wish.options,
        labels: wish.labels,
        subnets,
        chosen_v4,
        chosen_v6,
        mtu: 0,
        link,
        made_parent: false,
        config_only: wish.config_only,
        config_from,
    };
    record.made_parent = raise(ground, &record)?;
    networks.insert(record.clone()).inspect_err(|_| lower(ground, &record))
}

/// Whether a bridge may have this name.
fn may_be_called(
    networks: &Networks,
    ground: &Ground,
    draft: &Draft,
    link: &str,
    wish: &NetworkCreate,
    id: &str,
) -> Result<()> {
    if let Some(other) = networks.all().iter().find(|n| n.link == link) {
        let (name, other) = (&wish.name, other.clone());
        return Err(Error::forbidden(format!(
            "cannot create network {id} ({link}): conflicts with network {} ({}): networks have same bridge name",
            other.id, other.link
        ))
        .during(format!("create network {name}")));
    }
    if draft.options.link.is_some() && ground.has_link(link)? {
        return Err(Error::forbidden(format!("a link of the name {link} is there already and is not ours"))
            .hint("choose another com.docker.network.bridge.name"));
    }
    Ok(())
}

/// The pools a network gets: those asked for, if they are free, and one drawn from the defaults for each family that has none.
fn pools(
    networks: &Networks,
    ground: &Ground,
    asked: Vec<Subnet>,
    driver: Driver,
    wish: &NetworkCreate,
    id: &str,
) -> Result<Vec<Subnet>> {
    let (mut taken, routes) = (networks.pools(), ground.home.routes()?);
    // the members of a macvlan are where the host is already: its routes are no obstacle
    let in_the_way = if driver == Driver::Macvlan { &[][..] } else { &routes };
    for pool in &asked {
        ipam::refuse_overlap(&pool.subnet, &taken, in_the_way)?;
        taken.push(pool.subnet);
    }
    let mut all = asked;
    if !all.iter().any(|p| p.subnet.is_v4()) {
        all.insert(0, plain(ipam::choose_v4(&taken, &routes)?));
    }
    if wish.enable_ipv6 && all.iter().all(|p| p.subnet.is_v4()) {
        all.push(plain(ipam::choose_v6(&taken, &routes, id)?));
    }
    for pool in &mut all {
        if pool.gateway.is_none() {
            pool.gateway = Some(ipam::gateway_of(pool)?);
        }
        reserved(pool)?;
    }
    Ok(all)
}

/// What a pool keeps for somebody must be there to keep: the first and the last address of an IPv4 network name the network
/// and everybody on it, and one address is one machine's.
fn reserved(pool: &Subnet) -> Result<()> {
    let ends = (pool.subnet.is_v4() && pool.subnet.prefix() < 31).then(|| [pool.subnet.address(), pool.subnet.last()]);
    let is_end = |address: &IpAddr| ends.is_some_and(|ends| ends.contains(address));
    if let Some(gateway) = pool.gateway.filter(is_end) {
        return Err(Error::forbidden(format!("failed to allocate gateway ({gateway}): Address already in use")));
    }
    let mut kept: Vec<IpAddr> = pool.gateway.into_iter().collect();
    for (name, address) in &pool.aux {
        if is_end(address) || kept.contains(address) {
            return Err(Error::forbidden(format!(
                "failed to allocate secondary ip address ({name}:{address}): Address already in use"
            )));
        }
        kept.push(*address);
    }
    Ok(())
}

fn plain(subnet: Net) -> Subnet {
    Subnet { subnet, gateway: None, range: None, aux: BTreeMap::new() }
}

/// Bridge and rules of a network; half of it is none of it. Gives back whether a parent had to be made for it.
pub(crate) fn raise(ground: &Ground, record: &Record) -> Result<bool> {
    if record.driver == Driver::Macvlan {
        return macvlan::raise(ground, record);
    }
    let Some(bridge) = record.to_bridge() else { return Ok(false) };
    let steps = || {
        ground.raise(&bridge)?;
        ground.table.add_bridge(&bridge)
    };
    let doing = |e: Error| e.during(format!("make the bridge {} of network {}", bridge.link, record.name));
    steps().map(|()| false).map_err(doing).inspect_err(|_| lower(ground, record))
}

/// Takes bridge and rules away; what is gone is fine.
pub(crate) fn lower(ground: &Ground, record: &Record) {
    if record.driver == Driver::Macvlan {
        return macvlan::lower(ground, record);
    }
    let Some(bridge) = record.to_bridge() else { return };
    for done in [ground.table.remove_bridge(&bridge), bridge::remove(&ground.home, &bridge.link)] {
        if let Err(error) = done {
            tracing::warn!(network = record.name, "could not take away its bridge: {}", error.message());
        }
    }
}

/// Makes the networks that are always there, where they are missing.
///
/// # Errors
/// The disk's. A default bridge that cannot be made is no error: it is told in the log.
pub(crate) fn make_defaults(networks: &Networks) -> Result<()> {
    let there: Vec<String> = networks.all().iter().map(|n| n.name.clone()).collect();
    let bridge = match networks.ground() {
        Ok(ground) => Some(choose_pool(networks, ground)?),
        Err(_) => None,
    };
    for record in default_networks(bridge.map(|pool| (pool, DEFAULT_LINK))) {
        if !there.contains(&record.name) {
            networks.insert(record)?;
        }
    }
    match networks.ground() {
        Ok(ground) => move_default(networks, ground),
        Err(_) => Ok(()),
    }
}

/// The machine may have moved since: a default pool that now is somewhere else is given up for another, unless the bridge
/// stands, for then somebody may be using it.
fn move_default(networks: &Networks, ground: &Ground) -> Result<()> {
    let Ok(old) = networks.find(BRIDGE) else { return Ok(()) };
    let routes = ground.home.routes()?;
    let elsewhere = old.subnets.iter().any(|pool| routes.iter().any(|route| route.overlaps(&pool.subnet)));
    if !elsewhere || ground.has_link(&old.link)? {
        return Ok(());
    }
    let pool = choose_pool(networks, ground)?;
    tracing::warn!(was = %old.subnets[0].subnet, now = %pool.subnet, "the default network has moved: the host has a route there");
    let fresh = default_networks(Some((pool, DEFAULT_LINK))).into_iter().find(|r| r.name == BRIDGE);
    let fresh = fresh.map(|r| Record { id: old.id.clone(), created: old.created, ..r });
    fresh.map_or(Ok(()), |record| networks.insert(record).map(drop))
}

/// A pool that is nobody's, with its gateway.
///
/// # Errors
/// All are in use.
pub(crate) fn choose_pool(networks: &Networks, ground: &Ground) -> Result<Subnet> {
    let mut pool = plain(ipam::choose_v4(&networks.pools(), &ground.home.routes()?)?);
    pool.gateway = Some(ipam::gateway_of(&pool)?);
    Ok(pool)
}

/// Tells the world that something happened to a network.
pub(crate) fn publish(engine: &Engine, record: &Record, action: &str, more: &[(&str, &str)]) {
    let own = [("name", record.name.as_str()), ("type", record.driver.word())];
    let attributes = own.iter().chain(more).map(|(key, value)| (key.to_string(), value.to_string())).collect();
    engine.events.publish("network", action, &record.id, attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_only_addresses_that_machines_can_have_and_each_for_one() {
        let pool = |gateway: &str, aux: &[&str]| {
            let subnet = Net::around("10.2.0.0".parse().expect("an address"), 24);
            let aux = aux.iter().enumerate().map(|(n, a)| (n.to_string(), a.parse().expect("an address"))).collect();
            reserved(&Subnet { gateway: gateway.parse().ok(), aux, ..plain(subnet) }).map_err(|e| e.message())
        };
        assert_eq!(pool("10.2.0.1", &["10.2.0.2", "10.2.0.254"]), Ok(()));
        for end in ["10.2.0.0", "10.2.0.255"] {
            assert_eq!(pool(end, &[]), Err(format!("failed to allocate gateway ({end}): Address already in use")));
            assert!(pool("10.2.0.1", &[end]).is_err());
        }
        let twice = "failed to allocate secondary ip address (0:10.2.0.1): Address already in use";
        assert_eq!(pool("10.2.0.1", &["10.2.0.1"]), Err(twice.into()));
        assert!(pool("10.2.0.1", &["10.2.0.2", "10.2.0.2"]).is_err());
    }
}
