//! # Raise and lower: an overlay's part of the kernel
//!
//! On each machine an overlay is a bridge, a tunnel plugged into it, and what the tunnel knows: who is behind which machine. It is
//! raised when the swarm wants it here, and lowered when it is wanted no more and the last container has left; whichever of
//! the two comes last does it.
//!
//! ```text
//!   wanted ─► record ─► bridge, tunnel ─► firewall ─► peers            raise
//!   not wanted, and nobody on it ─► record gone ─► firewall ─► links   depart
//! ```
//!
//! * The ingress network is wanted everywhere and always, but raised only while a port is published or a task is on it.
//!
//! Laws: [`super::Overlays::raised`] is held from the question to the deed, so that an overlay that is wanted again while its last
//! container leaves is not taken away; whoever comes to the ingress network holds it, too, for that one goes while it is wanted. Next room: [`super::members`]

use super::{
    records,
    wish::{OverlayWish, Underlay, Wishes},
};
use crate::networks::{ground::Ground, options::BridgeOptions, record::Record, store::Networks};
use minidock_base::{Error, Result};
use minidock_network::overlay::{self, Overlay, Peer};
use std::{collections::BTreeMap, net::IpAddr};

/// The usual port of vxlan.
const PORT: u16 = 4789;

/// Makes one overlay as it is wanted; the record first, so that it is shown even where its tunnel cannot be dug.
///
/// # Errors
/// What the swarm has not given it; this machine has no address among the others; the kernel's.
pub(crate) fn raise(networks: &Networks, ground: &Ground, wishes: &Wishes, wish: &OverlayWish) -> Result<()> {
    let doing = |e: Error| e.during(format!("make the overlay network {}", wish.network.spec.name));
    let mut raised = networks.overlays.raised.lock().expect("no holder panics");
    let overlay = overlay_of(ground, wishes.underlay.as_ref(), wish).map_err(doing)?;
    let record = records::record(wish, overlay.bridge().link, overlay.mtu).map_err(doing)?;
    let id = record.id.clone();
    networks.renew(record);
    if wish.network.spec.ingress && wishes.mesh.is_empty() && networks.members(&id).is_empty() {
        return take_away(ground, &mut raised, &id);
    }
    let steps = |raised: &mut BTreeMap<String, Raised>| {
        let known = raised.get(&id);
        if known.is_none_or(|known| known.overlay != overlay) {
            overlay.erect(&ground.home)?;
            ground.table.add_bridge(&overlay.bridge())?;
            raised.insert(id.clone(), Raised { overlay: overlay.clone(), peers: None });
        }
        let peers = peers(wishes.underlay.as_ref(), wish);
        let known = raised.get_mut(&id).expect("raised a moment ago");
        if known.peers.as_ref() != Some(&peers) {
            known.peers = None; // half of it is none of it
            overlay.peers(&ground.home, &peers)?;
            known.peers = Some(peers);
        }
        Ok(())
    };
    steps(&mut raised).map_err(doing)
}

/// What stands of an overlay.
#[derive(Debug)]
pub(crate) struct Raised {
    overlay: Overlay,
    /// What its tunnel was told last.
    peers: Option<Vec<Peer>>,
}

/// An overlay as the trades below know it.
///
/// # Errors
/// As [`raise`].
pub(crate) fn overlay_of(ground: &Ground, underlay: Option<&Underlay>, wish: &OverlayWish) -> Result<Overlay> {
    let underlay = underlay.ok_or_else(|| Error::unavailable("this machine has no address among the swarm's nodes yet"))?;
    let Record { id: network_id, subnets, options, .. } = records::record(wish, String::new(), 0)?;
    let mtu = match BridgeOptions::read(&options).unwrap_or_default().mtu {
        0 => overlay::mtu_over(&ground.home, underlay.address)?,
        wished => wished,
    };
    Ok(Overlay {
        network_id,
        vni: records::number(wish)?,
        subnet: subnets[0].subnet,
        mtu,
        local: underlay.address,
        port: if underlay.port == 0 { PORT } else { underlay.port },
        own: wish.own_address.map(|(own, _)| own),
    })
}

/// Who is on other machines, and on which.
fn peers(underlay: Option<&Underlay>, wish: &OverlayWish) -> Vec<Peer> {
    let here: Option<IpAddr> = underlay.map(|u| u.address);
    let others = wish.neighbours.iter().filter(|n| Some(n.machine_address) != here);
    others.map(|n| Peer { address: n.address, vtep: n.machine_address }).collect()
}

/// The bridge of a wanted overlay is gone, or was not needed until now: it is raised once more.
///
/// # Errors
/// As [`raise`]; 404 when nobody wants it.
pub(crate) fn again(networks: &Networks, ground: &Ground, id: &str) -> Result<()> {
    let wanted = networks.overlays.wanted();
    let wish = wanted.networks.iter().find(|w| w.network.id == id);
    let wish = wish.ok_or_else(|| Error::not_found(format!("network {id} not found")))?;
    networks.overlays.raised.lock().expect("no holder panics").remove(id);
    raise(networks, ground, &wanted, wish)
}

/// An overlay goes if it is wanted no more and nobody is on it; whoever sees that last does it.
///
/// # Errors
/// The kernel's.
pub(crate) fn depart(networks: &Networks, id: &str) -> Result<()> {
    let mut raised = networks.overlays.raised.lock().expect("no holder panics");
    let is_wanted = networks.overlays.wanted().networks.iter().any(|w| w.network.id == id);
    if is_wanted || !networks.forget_if_empty(id)? {
        return Ok(());
    }
    take_away(networks.ground()?, &mut raised, id)
}

fn take_away(ground: &Ground, raised: &mut BTreeMap<String, Raised>, id: &str) -> Result<()> {
    let Some(Raised { overlay, .. }) = raised.remove(id) else { return Ok(()) };
    let closed = ground.table.remove_bridge(&overlay.bridge());
    overlay.take_down(&ground.home).and(closed)
}
