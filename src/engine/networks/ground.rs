//! # The ground: what this daemon may do with the kernel's network
//!
//! Networks need a place to stand on: a network namespace in which we may make links and rules. Usually there is one, and then
//! [`Ground`] keeps the sockets to the kernel open. Sometimes there is none: no CAP_NET_ADMIN, another daemon in the
//! same namespace, or somebody said `--bridge none`. The daemon starts all the same, says why, and
//! has `none` and `host`.
//!
//! ```text
//!   home      netlink: bridges, cables, routes         table    nftables: one table of our own
//!   ports     the host's ports that are spoken for     settings sysctls we had to change, and what they were
//!   claim     an abstract socket: one owner of the table and of `minidock0` per network namespace
//! ```
//!
//! Laws: nothing here assumes the initial namespaces: "the host" is wherever the daemon was started. Every call blocks.
//! See: network_namespaces(7), unix(7) (abstract sockets are per network namespace). Next room: [`crate::networks::standing`]

use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_network::{
    bridge,
    home::Home,
    model::Bridge,
    nft::{foreign::Watch, table::Table},
    port_map::Ports,
    settings::Settings,
    shelf::Shelf,
};
use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
};

/// The link of the default network.
pub const DEFAULT_LINK: &str = "minidock0";

/// How many namespaces are kept ready: making one is half of what a container's network costs.
const READY: usize = 2;

/// The kernel's part of the networks.
pub(crate) struct Ground {
    pub home: Home,
    pub table: Arc<Table>,
    pub ports: Ports,
    /// Namespaces made beforehand.
    pub shelf: Shelf,
    pub settings: Settings,
    /// Mends our table when another firewall has thrown it away.
    _watch: Option<Watch>,
    /// Whoever has it owns our table in this namespace; the kernel takes it back when we die.
    _claim: UnixDatagram,
}

impl Ground {
    /// Takes the namespace of the calling thread.
    ///
    /// # Errors
    /// 503, with the reason, when bridges and rules cannot be made here.
    pub fn open(paths: &Paths) -> Result<Ground> {
        let steps = || -> Result<Ground> {
            let claim = claim()?;
            let home = Home::open()?;
            // removing what is not there changes nothing, and tells whether we may
            home.delete_link("minidock-may-i").map_err(|e| e.during("make links here"))?;
            let table = Arc::new(Table::open()?);
            let watch = Watch::start(table.clone());
            if let Err(error) = &watch {
                tracing::warn!("{}", error.message());
            }
            let settings = Settings::load(&paths.host_settings())?;
            Ok(Ground {
                home,
                table,
                ports: Ports::default(),
                shelf: Shelf::new(READY),
                settings,
                _watch: watch.ok(),
                _claim: claim,
            })
        };
        steps().map_err(without)
    }

    /// Makes a network's bridge and its rules, and whatever of the host's settings they need.
    ///
    /// # Errors
    /// The kernel's.
    pub fn raise(&self, network: &Bridge) -> Result<()> {
        bridge::ensure(&self.home, network)?;
        if !network.internal {
            self.settings.forward(network.has_v6())?;
        }
        Ok(())
    }

    /// Whether a link of this name is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn has_link(&self, name: &str) -> Result<bool> {
        Ok(self.home.links()?.iter().any(|link| link.name == name))
    }
}

fn claim() -> Result<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(b"minidock/networks").doing(|| "name the claim on this network namespace")?;
    match UnixDatagram::bind_addr(&name) {
        Ok(claim) => Ok(claim),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(Error::unavailable("another minidock daemon has the networks of this network namespace")
                .hint("stop that one, or start this one in a namespace of its own: unshare -n minidock daemon …"))
        }
        Err(error) => Err(error).doing(|| "claim this network namespace"),
    }
}

/// The refusal that everybody gets who asks for a network here.
fn without(error: Error) -> Error {
    let hint = error.hint_text().map_or_else(
        || "the daemon needs CAP_NET_ADMIN over its network namespace: start it as root, or in unshare -Urn".to_string(),
        str::to_string,
    );
    Error::unavailable(format!("this daemon has no networks but none and host: {}", error.message())).hint(hint)
}

/// `--bridge none`.
pub(crate) fn not_wanted() -> Error {
    Error::unavailable("this daemon has no networks but none and host: it was started with --bridge none")
}
