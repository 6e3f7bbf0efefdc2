//! # Join: a container that starts gets its places
//!
//! In two halves, because they cost differently. [`plan`] decides everything in microseconds: which networks, which
//! addresses, which ports of the host, which cable leads out. [`erect`] has the kernel do it, on a thread that may block,
//! while another writes the bundle and the shim gets ready: all three need only the plan.
//!
//! ```text
//!   plan    networks found ─► addresses leased ─► gateway chosen ─► ports held ─► names
//!   erect   namespace pinned ─► a cable for each network ─► default route ─► one nft transaction
//! ```
//!
//! * The default network is plugged first, then the one of `NetworkMode`, then the others by name: `eth0`, `eth1`, …; who has only overlays
//!   gets one cable more, which leads out ([`gateway`]).
//! * The way out leads over the network with the highest `--gw-priority`, among equals the first by name, that is not internal; published ports lead in over the same.
//!
//! Laws: whatever fails gives back what was taken, by [`Standing::take_down`]. See: moby `daemon/container_operations.go`
//! (allocateNetwork), `libnetwork/sandbox.go` (Less). Next room: [`crate::networks::connect`]

use crate::{
    Engine,
    container::record::Record as Container,
    networks::{
        doors::{open_doors, publish, way_out},
        ground::Ground,
        macvlan, names,
        overlay::{self, attach::Attached, gateway, members},
        place::{self, Networking, Place, dns_names},
        record::{Driver, Record},
        resolver,
        standing::{Cable, Standing},
        store::Networks,
        wishes::{BRIDGE, is_user_defined},
    },
    oci_config::namespaces::Mode,
};
use minidock_base::{Error, Result, id};
use minidock_network::{
    model::{Endpoint, Mac},
    sandbox::Sandbox,
};
use minidock_spec::engine::network::EndpointResource;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

/// Decides where a container will be; `given` are places that the swarm gave it. What it takes is in the standing; what is to be shown in the networking.
///
/// # Errors
/// A network that is gone, an address or port that is taken, in Docker's words. Nothing is kept then.
pub(crate) fn plan(
    engine: &Engine,
    container: &Container,
    given: &BTreeMap<String, Attached>,
) -> Result<(Networking, Standing)> {
    let mut standing = Standing { container: container.id.clone(), ..Standing::default() };
    let mut networking = Networking::default();
    match steps(engine, container, given, &mut networking, &mut standing) {
        Ok(()) => Ok((networking, standing)),
        Err(error) => {
            standing.take_down(&engine.networks);
            Err(error)
        }
    }
}

fn steps(
    engine: &Engine,
    container: &Container,
    given: &BTreeMap<String, Attached>,
    networking: &mut Networking,
    standing: &mut Standing,
) -> Result<()> {
    let networks = &engine.networks;
    let mode = container.host_config.network_mode.as_str();
    if matches!(Mode::of(mode), Mode::Container(_)) || container.config.network_disabled == Some(true) {
        return Ok(());
    }
    networking.sandbox_id = id::random_id();
    let mut places = container.networking.places.clone();
    for (key, place) in &mut places {
        place.clean();
        place.attached = given.get(key).cloned();
    }
    for (name, network, mut place) in in_order(networks, mode, places)? {
        place::check(Some(&network), &network.name, &place.settings)?;
        match network.driver {
            Driver::Bridge | Driver::Macvlan | Driver::Overlay => plug(networks, container, &network, &mut place, standing)?,
            Driver::Host | Driver::Null => sit(networks, container, &network, &mut place, standing)?,
        }
        networking.places.insert(name, place);
    }
    gateway::plan(networks, container, networking, standing)?;
    if !networking.places.keys().any(|name| matches!(name.as_str(), "host" | "none")) {
        networks.ground()?;
        standing.pin = Some(engine.paths.netns(&networking.sandbox_id[..12]));
    }
    open_doors(networks, container, standing)?;
    networking.published = standing.published.clone();
    Ok(())
}

/// The places with their networks: the default one first, then the mode's, the ingress network, then by name.
fn in_order(networks: &Networks, mode: &str, places: BTreeMap<String, Place>) -> Result<Vec<(String, Arc<Record>, Place)>> {
    let mut all = Vec::new();
    for (key, place) in places {
        // a network that was removed and made again under its old name is another network
        let by_id = is_user_defined(&key) && !place.settings.network_id.is_empty();
        let network = networks.find(if by_id { &place.settings.network_id } else { &key });
        // where there are no bridges, that is the better answer
        let network = network.or_else(|missing| networks.ground().and(Err(missing)))?;
        all.push((network.name.clone(), network, place));
    }
    all.sort_by_key(|(name, network, _)| (name != BRIDGE, name != mode && network.id != mode, !network.ingress, name.clone()));
    Ok(all)
}

/// A seat on the machine's own stack, or on none.
fn sit(networks: &Networks, container: &Container, network: &Record, place: &mut Place, standing: &mut Standing) -> Result<()> {
    networks.enter(&network.id, &container.id, [None, None])?;
    standing.plain.push(network.id.clone());
    (place.settings.network_id, place.settings.endpoint_id) = (network.id.clone(), id::random_id());
    let shown = EndpointResource { endpoint_id: place.settings.endpoint_id.clone(), ..EndpointResource::default() };
    networks.describe(&network.id, &container.id, shown);
    Ok(())
}

/// One cable more: addresses are taken and written into the place, the standing remembers them.
pub(crate) fn plug(
    networks: &Networks,
    container: &Container,
    network: &Record,
    place: &mut Place,
    standing: &mut Standing,
) -> Result<()> {
    networks.ground()?;
    let bridge = network.to_segment().ok_or_else(|| Error::system(format!("network {} has no bridge", network.name)))?;
    let (wanted, v6) = place.wanted();
    let v4 = place.attached.as_ref().map(|attached| attached.address).or(wanted);
    if network.driver == Driver::Overlay && v4.is_none() {
        let name = &network.name;
        return Err(Error::unavailable(format!("Could not attach to network {name}: the swarm has given no address on it")));
    }
    let stays = network.ingress.then(|| networks.overlays.hold());
    let taken = networks.enter(&network.id, &container.id, [v4.map(IpAddr::from), v6.map(IpAddr::from)])?;
    drop(stays);
    let (v4, v6) = split(taken);
    let prefix = |v4: bool, of: IpAddr| {
        network.subnets.iter().find(|p| p.subnet.is_v4() == v4 && p.subnet.contains(of)).map_or(0, |p| p.subnet.prefix())
    };
    let leads_out = match network.driver {
        Driver::Macvlan => macvlan::leads_out(network),
        driver => driver == Driver::Bridge && !network.internal,
    };
    let pool_of = |address: IpAddr| network.subnets.iter().find(|pool| pool.subnet.contains(address));
    let gateway = |address: Option<IpAddr>| address.and_then(pool_of).and_then(|pool| pool.gateway).filter(|_| leads_out);
    let (gateway_v4, gateway_v6) = split([gateway(v4.map(IpAddr::from)), gateway(v6.map(IpAddr::from))]);
    let id = id::random_id();
    let upon = macvlan::mode(network);
    let desired = place.desired_mac.parse::<Mac>().ok();
    let endpoint = Endpoint {
        host_link: if upon.is_some() { String::new() } else { format!("veth{}", &id[..7]) },
        inside: free_interface(&network.interface_prefix(), standing),
        mac: desired.unwrap_or_else(|| v4.map_or_else(|| Mac::of(Ipv4Addr::from_bits(rand::random())), Mac::of)),
        network_id: network.id.clone(),
        v4: v4.map(|address| (address, prefix(true, address.into()))),
        v6: v6.map(|address| (address, prefix(false, address.into()))),
        gateway_v4,
        gateway_v6,
        id,
    };
    place.fill(network, &endpoint);
    if network.has_names() {
        place.settings.dns_names = Some(dns_names(container, &place.settings));
        networks.zones.set(names::member(container, network, place));
    }
    networks.describe(&network.id, &container.id, shown(&endpoint));
    standing.cables.push(Cable { network: network.name.clone(), bridge, upon, priority: place.settings.gw_priority, endpoint });
    Ok(())
}

/// The addresses of each family.
fn split(addresses: [Option<IpAddr>; 2]) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let v4 = addresses.iter().flatten().find_map(|a| if let IpAddr::V4(a) = a { Some(*a) } else { None });
    let v6 = addresses.iter().flatten().find_map(|a| if let IpAddr::V6(a) = a { Some(*a) } else { None });
    (v4, v6)
}

/// `eth0`, or the first that is not there.
fn free_interface(prefix: &str, standing: &Standing) -> String {
    let taken = |name: &String| standing.cables.iter().any(|c| c.endpoint.inside == *name);
    (0..).map(|n: u32| format!("{prefix}{n}")).find(|name| !taken(name)).expect("numbers do not end")
}

/// An endpoint as its network lists it.
pub(crate) fn shown(endpoint: &Endpoint) -> EndpointResource {
    EndpointResource {
        name: String::new(), // the container's, which may change
        endpoint_id: endpoint.id.clone(),
        mac_address: endpoint.mac.to_string(),
        ipv4_address: endpoint.v4.map(|(a, prefix)| format!("{a}/{prefix}")).unwrap_or_default(),
        ipv6_address: endpoint.v6.map(|(a, prefix)| format!("{a}/{prefix}")).unwrap_or_default(),
    }
}

/// Has the kernel do what was planned. Blocks.
///
/// # Errors
/// The kernel's; what was made until then is taken down by the caller.
pub(crate) fn erect(networks: &Networks, container: &Container, standing: &mut Standing, pin: &Path) -> Result<()> {
    let ground = networks.ground()?;
    let sandbox = ground.shelf.take(pin)?;
    let way = [way_out(&standing.cables, true), way_out(&standing.cables, false)].map(|c| c.map(|c| c.endpoint.id.as_str()));
    for cable in &standing.cables {
        let Endpoint { id, gateway_v4, gateway_v6, .. } = &cable.endpoint;
        let over_it = |n: usize| way[n] == Some(id.as_str());
        let v4 = gateway_v4.filter(|_| over_it(0)).map(IpAddr::from);
        let v6 = gateway_v6.filter(|_| over_it(1)).map(IpAddr::from);
        connect_cable(networks, &sandbox, cable, &[v4, v6].into_iter().flatten().collect::<Vec<_>>())?;
    }
    members::balance(networks, &sandbox, standing)?;
    publish(ground, standing)?;
    resolver::serve(networks, container, &sandbox, standing)
}

/// Plugs one cable in, and leads everything else over these gateways on it; a bridge that somebody deleted is made again.
pub(crate) fn connect_cable(networks: &Networks, sandbox: &Sandbox, cable: &Cable, gateways: &[IpAddr]) -> Result<()> {
    let ground = networks.ground()?;
    let Cable { bridge, endpoint, .. } = cable;
    if let Some(mode) = cable.upon {
        return sandbox.plug_upon(&ground.home, &bridge.link, mode, bridge.mtu, endpoint, gateways);
    }
    match sandbox.plug_and_lead_out(&ground.home, bridge, endpoint, gateways) {
        Err(_) if !ground.has_link(&cable.bridge.link)? => {
            tracing::warn!(bridge = cable.bridge.link, "the bridge is gone and is made again");
            raise_again(networks, ground, cable)?;
            sandbox.plug_and_lead_out(&ground.home, bridge, endpoint, gateways)
        }
        plugged => plugged,
    }
}

fn raise_again(networks: &Networks, ground: &Ground, cable: &Cable) -> Result<()> {
    if networks.find(&cable.endpoint.network_id)?.driver == Driver::Overlay {
        return overlay::raise::again(networks, ground, &cable.endpoint.network_id);
    }
    ground.raise(&cable.bridge)?;
    ground.table.add_bridge(&cable.bridge)
}

/// Sets the default routes to the cables that lead out.
pub(crate) fn lead_out(sandbox: &Sandbox, cables: &[Cable]) -> Result<()> {
    let v4 = way_out(cables, true).and_then(|c| c.endpoint.gateway_v4);
    let v6 = way_out(cables, false).and_then(|c| c.endpoint.gateway_v6);
    sandbox.set_default_routes(v4, v6)
}
