//! # The name server of a container: when there is one, and whom it asks
//!
//! Every sandbox on a network of a user's own has a name server at 127.0.0.11 ([`minidock_network::dns`]), served by this
//! daemon. Here is decided who gets one, whom it asks about the rest of the world, and what `/etc/resolv.conf` says.
//!
//! ```text
//!   on a user network          127.0.0.11; it asks the host's resolvers, or --dns from inside the sandbox
//!   on the default one only    the host's resolvers as they are, less those on the host's loopback
//!   none, host                 the host's file
//! ```
//!
//! * A container whose networks are all internal gets names, and no answers about the world outside.
//! * [`settle`] follows a connect or disconnect of a running container.
//!
//! See: moby `libnetwork/sandbox_dns_unix.go`. Next room: [`crate::networks::restore`]

use crate::{
    Engine,
    container::{etc_files, record::Record as Container, store::Container as Kept},
    networks::{connect::sandbox_of, record::is_predefined, standing::Standing, store::Networks, wishes::BRIDGE},
};
use minidock_base::{Error, Result};
use minidock_network::{
    dns::server::Service,
    resolv_conf::{self, Place, ResolvConf, Wishes},
    sandbox::Sandbox,
};
use std::{fs, sync::Arc};
use tokio::task::spawn_blocking;

/// What `/etc/resolv.conf` of this container says now, and whom its name server asks.
pub(crate) fn resolv_conf(container: &Container) -> ResolvConf {
    let wishes = &container.host_config;
    let wished = Wishes { servers: &wishes.dns, search: &wishes.dns_search, options: &wishes.dns_options };
    let (model, text) = resolv_conf::host_file(|path| fs::read_to_string(path).ok());
    resolv_conf::make(model, &text, wished, place(container))
}

fn place(container: &Container) -> Place {
    let places = &container.networking.places;
    match places.get(BRIDGE) {
        _ if has_names(container) => Place::UserNetwork,
        Some(bridge) => Place::DefaultBridge { ipv6: !bridge.settings.global_ipv6_address.is_empty() },
        None => Place::Host,
    }
}

/// Whether it is on a network of a user's own.
fn has_names(container: &Container) -> bool {
    container.networking.places.keys().any(|name| !is_predefined(name))
}

/// Whether one of its networks leads out.
fn leads_out(networks: &Networks, container: &Container) -> bool {
    container.networking.places.keys().any(|name| networks.find(name).is_ok_and(|network| !network.internal))
}

/// Gives a sandbox its name server, if it is to have one. Blocks; a runtime must be around.
///
/// # Errors
/// The kernel's: no socket can be made inside.
pub(crate) fn serve(networks: &Networks, container: &Container, sandbox: &Sandbox, standing: &mut Standing) -> Result<()> {
    if !has_names(container) {
        standing.resolver = None;
        return Ok(());
    }
    let forwarding = leads_out(networks, container);
    if let Some(resolver) = &standing.resolver {
        resolver.set_forwarding(forwarding);
        return Ok(());
    }
    let ResolvConf { upstreams, dots_wanted, .. } = resolv_conf(container);
    let service = Service { asker: container.id.clone(), upstreams, dots_wanted, forwarding };
    standing.resolver = Some(networks.resolver.serve(sandbox, service)?);
    Ok(())
}

/// A running container has one place more or less: its name server and the files in its `/etc` follow.
///
/// # Errors
/// As [`serve`].
pub(crate) async fn settle(engine: &Arc<Engine>, before: &Arc<Container>, container: &Arc<Kept>) -> Result<()> {
    let (engine, before, container) = (engine.clone(), before.clone(), container.clone());
    let work = move || {
        let now = container.record();
        etc_files::follow(&engine.paths, &before, &now);
        let Some(standing) = engine.networks.standing(&container.id) else { return Ok(()) };
        let mut standing = standing.lock().expect("no holder panics");
        serve(&engine.networks, &now, &sandbox_of(&standing, &now)?, &mut standing)
    };
    spawn_blocking(work).await.map_err(|_| Error::system("the thread that visits the sandbox ended early"))?
}
