//! # Overlays after our own death
//!
//! Bridges and tunnels, the tables of neighbours and the maps in every sandbox stand in the kernel and went on without us. What a new
//! daemon lacks is the knowledge of them; the managers may not be reachable for a while. So what was wanted last is read again and made
//! true again, by the function of every day: it finds nearly all of it done.
//!
//! ```text
//!   open      overlays.json ─► wanted ─► a record for each             containers find the networks they are on
//!   restore   … who runs has its cables … ─► [`super::realize::apply`]  ─► bridges and tunnels of nobody go
//! ```
//!
//! Laws: a file that cannot be read is set aside and reported; the swarm will say it all again. Next room: [`crate::networks`]

use super::{realize, records, wish::Wishes};
use crate::{
    Engine,
    networks::{ground::Ground, store::Networks},
};
use minidock_base::{paths::Paths, state_file};
use minidock_network::overlay;
use std::{collections::BTreeSet, sync::Arc};

/// Reads what was wanted and shows its networks.
pub(crate) fn open(networks: &Networks, paths: &Paths) {
    let file = paths.overlays();
    let wishes = match state_file::load::<Wishes>(&file) {
        Ok(Some(wishes)) => wishes,
        Ok(None) => return,
        Err(error) => {
            tracing::error!("what the swarm wanted cannot be read: {}", error.message());
            if let Err(error) = state_file::set_aside(&file) {
                tracing::error!("{}", error.message());
            }
            return;
        }
    };
    let Ok(ground) = networks.ground() else { return };
    for wish in &wishes.networks {
        let record = super::raise::overlay_of(ground, wishes.underlay.as_ref(), wish)
            .and_then(|overlay| records::record(wish, overlay.bridge_link(), overlay.mtu));
        match record {
            Ok(record) => networks.renew(record),
            Err(error) => tracing::error!(network = wish.network.spec.name, "an overlay is left out: {}", error.message()),
        }
    }
    networks.overlays.exchange(Arc::new(wishes));
}

/// Makes it true again, and clears away what nobody wants. Blocks; who runs has what he holds.
pub(crate) fn restore(engine: &Arc<Engine>, ground: &Ground) {
    let wishes = Wishes::clone(&engine.networks.overlays.wanted());
    let links = overlay::standing(&ground.home).unwrap_or_default();
    if wishes == Wishes::default() && links.is_empty() {
        return;
    }
    if let Err(error) = realize::apply(engine, wishes) {
        tracing::error!("overlay networks: {}", error.message());
    }
    realize::try_again(engine);
    let known: BTreeSet<String> = engine.networks.all().iter().map(|n| n.link.clone()).collect();
    for link in links.iter().filter(|link| !known.contains(*link)) {
        tracing::info!(link, "an overlay that nobody knows any more is deleted");
        if let Err(error) = overlay::remove(&ground.home, link) {
            tracing::warn!(link, "{}", error.message());
        }
    }
}
