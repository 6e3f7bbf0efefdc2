//! # Network: a container's place in the world
//!
//! A process in a network namespace of its own sees one interface, `lo`, and it is down. Everything that makes it a citizen
//! of a network, an address, a way out, a name, a port that others can knock at, is put there from outside, and all of it
//! is plain Linux: a cable, a switch, a few routes, a firewall. This crate is those pieces and how they are laid out.
//!
//! Three words, as libnetwork has them:
//!
//! * a *sandbox* is a container's network stack: a network namespace, pinned to a path so that it outlives the threads that
//!   made it;
//! * a *network* is a segment that its members share: here a bridge in the daemon's own namespace;
//! * an *endpoint* is a sandbox's place on a network: one cable (a veth pair), one MAC, its addresses.
//!
//! ```text
//!   the daemon's own network namespace ("home")
//!   ┌──────────────────────────────────────────────────────────────────────┐
//!   │  eth0 ── nft: dnat, masquerade ── minidock0 172.17.0.1   br-5f2c…    │
//!   │                                     │        │             │         │
//!   └─────────────────────────────────────┼────────┼─────────────┼─────────┘
//!                        endpoint: veth   │        │             │ endpoint
//!   ┌─ sandbox of web ────────────────────┼─────┐ ┌┼─ sandbox ───┼─────────┐
//!   │  lo  127.0.0.11:53 embedded DNS   eth0    │ │eth0        eth1        │
//!   │                            172.17.0.2/16  │ │172.17.0.3  172.18.0.2  │
//!   └───────────────────────────────────────────┘ └────────────────────────┘
//! ```
//!
//! * Values, pure: [`model`] (what the engine writes down), [`ipam`] (who gets which address), [`hosts`], [`resolv_conf`].
//! * The kernel's links: [`home`] (the daemon's own namespace), [`bridge`] in it, [`sandbox`] and its cables, [`upon`] (links upon the host's cards), [`shelf`] (namespaces
//!   made beforehand), [`settings`] (the host's knobs, turned only when needed and turned back).
//! * The firewall: [`nft`], one table of our own, and [`port_map`], the ports that are spoken for. The names: [`dns`], one server in
//!   every sandbox. When something does not arrive: [`reach`].
//! * Many machines: [`overlay`] (one segment across them), [`balance`] (one address for the tasks of a service), [`mesh`] (one port on
//!   all machines); the last two deal connections out alike.
//!
//! Laws: nothing assumes that the daemon lives in the initial namespaces; everything that is made here can be found again
//! by its name, so that a daemon that was killed finds or removes it; removing what is gone succeeds; a namespace is let go,
//! never taken apart cable by cable, for deleting a link costs the kernel tens of milliseconds.
//!
//! See: network_namespaces(7), veth(4), bridge(8), RFC 1918, moby `libnetwork/docs/design.md`. Next room: [`model`]

pub mod balance;
pub mod bridge;
mod deal;
pub mod dns;
mod findable;
pub mod home;
pub mod hosts;
pub mod ipam;
pub mod listening;
pub mod mesh;
pub mod model;
pub mod nft;
pub mod overlay;
pub mod port_map;
pub mod proxy;
pub mod reach;
pub mod resolv_conf;
pub mod sandbox;
pub mod settings;
pub mod shelf;
pub mod upon;
