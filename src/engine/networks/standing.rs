//! # Standing: what a running container holds of the network, and how it lets go
//!
//! A container that starts takes addresses, ports of the host, a namespace, cables, rules and names. One value remembers all
//! of it, so that there is one way to give it back, whether the container ended, its start failed half-way, or somebody
//! disconnected it.
//!
//! ```text
//!   take_down:  names ─► rules ─► bridge ports closed ─► pin gone ─► addresses and ports given back
//! ```
//!
//! The order is the law: a rule must not outlive the address it points to, and an address must not be given to another while
//! the old cable still answers for it. Cables themselves are not deleted: that costs the kernel tens of milliseconds each.
//! They go with their namespace, and until then a closed bridge port keeps them silent.
//!
//! See: bridge(8) (state disabled), moby `libnetwork/sandbox.go` (Delete). Next room: [`crate::networks::join`]

use crate::networks::{ground::Ground, store::Networks};
use minidock_base::{Error, Result};
use minidock_linux::netlink::upon::Mode;
use minidock_network::{
    balance::Balance,
    dns::server::Handle,
    home::Home,
    model::{Bridge, Endpoint, Published},
    port_map::Held,
    proxy::Proxy,
    sandbox::{self, Sandbox},
};
use std::{net::IpAddr, path::PathBuf};

/// One cable: a container's place on one bridge.
#[derive(Clone, Debug)]
pub(crate) struct Cable {
    pub network: String,
    /// What it is plugged into: a bridge, or the link it lies upon.
    pub bridge: Bridge,
    /// It lies upon a link of the machine's, in this mode; its near end is that link.
    pub upon: Option<Mode>,
    /// The way out leads over the one with the highest (`--gw-priority`).
    pub priority: i64,
    pub endpoint: Endpoint,
}

impl Cable {
    /// Takes it out of a sandbox that lives on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unplug(&self, home: &Home, sandbox: &Sandbox) -> Result<()> {
        match self.upon {
            Some(_) => sandbox.unplug_inside(&self.endpoint),
            None => sandbox.unplug(home, &self.endpoint),
        }
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        let v4 = self.endpoint.v4.map(|(address, _)| address.into());
        v4.into_iter().chain(self.endpoint.v6.map(|(address, _)| address.into())).collect()
    }
}

/// What one container holds now.
#[derive(Default)]
pub(crate) struct Standing {
    pub container: String,
    /// The networks without cables it counts as a member of: host or none.
    pub plain: Vec<String>,
    pub cables: Vec<Cable>,
    pub published: Vec<Published>,
    pub held: Vec<Held>,
    /// Those of its doors that the daemon itself stands at.
    pub proxies: Vec<Proxy>,
    /// Where its namespace is pinned.
    pub pin: Option<PathBuf>,
    /// Its name server, while there is one.
    pub resolver: Option<Handle>,
    /// Where services are, if it is on an overlay.
    pub balance: Option<Balance>,
}

impl Standing {
    /// Gives everything back, in the reverse order; whatever does not work is logged and the rest goes on.
    pub fn take_down(&mut self, networks: &Networks) {
        (self.resolver, self.balance) = (None, None);
        networks.zones.remove_container(&self.container);
        if let Ok(ground) = networks.ground() {
            self.unpublish(ground);
            self.silence_upon();
            let endpoints: Vec<Endpoint> =
                self.cables.iter().filter(|c| c.upon.is_none()).map(|c| c.endpoint.clone()).collect();
            if !endpoints.is_empty() {
                report(&self.container, "close its bridge ports", sandbox::leave(&ground.home, &endpoints));
            }
        }
        if let Some(pin) = self.pin.take() {
            report(&self.container, "let go of its namespace", Sandbox::remove(&pin));
        }
        for cable in self.cables.drain(..) {
            networks.leave(&cable.endpoint.network_id, &self.container, cable.addresses());
        }
        for network in self.plain.drain(..) {
            networks.leave(&network, &self.container, []);
        }
    }

    /// What lies upon a link of the machine's has no near end to close: it is switched off inside.
    fn silence_upon(&self) {
        let mut upon = self.cables.iter().filter(|c| c.upon.is_some()).peekable();
        let (Some(_), Some(pin)) = (upon.peek(), &self.pin) else { return };
        match Sandbox::open(pin) {
            Ok(sandbox) => upon.for_each(|c| report(&self.container, "switch its link off", sandbox.silence(&c.endpoint))),
            // its pin was not hung up yet, or the sandbox is gone: nobody is in there
            Err(error) => tracing::debug!(id = self.container, "{}", error.message()),
        }
    }

    /// Closes its doors: rules first, then the ports are free.
    pub fn unpublish(&mut self, ground: &Ground) {
        self.proxies.clear();
        let doors = std::mem::take(&mut self.published);
        if !doors.is_empty() {
            report(&self.container, "close its published ports", ground.table.unpublish(&doors));
        }
        self.held.clear();
    }
}

fn report(container: &str, what: &str, done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!(id = container, "could not {what}: {}", error.message());
    }
}
