//! # Nft: the chains that a packet meets
//!
//! A container's address means nothing outside its bridge. For the world to reach it, and for it to reach the world, the
//! host must rewrite addresses on the way, and must also decide what may pass between segments that were made to be apart.
//! All of that is one table of nftables, `inet minidock`, for IPv4 and IPv6, beside whatever other tables the host has.
//!
//! ```text
//!   from a link ──► guard ────────► prerouting ──► routing ──► forward ─────────────► postrouting ──► to a link
//!                   127/8 that did  to one of our  │           1 answers pass          between bridges, DNATed: masquerade
//!                   not come by lo  addresses?     │           2 same bridge: icc      127/8 into a bridge:     masquerade
//!                   is dropped      → translate    │           3 from --internal: no   out of a bridge, with    masquerade
//!                                                  ▼           4 into Docker's, or       its own addresses:
//!                                                this host     5 into a bridge:               ▲
//!   a program of this host ──► output ──► routing ─┐             published_only               │
//!                              → translate         └──────────────────────────────────────────┘
//!
//!   translate       bound4[address . proto . port], published4[proto . port] → address . port: dnat
//!   published_only  what was translated (`ct status dnat`) passes, all else is dropped
//! ```
//!
//! * **Published ports** are keys of maps; a rule asks a map once, whether it has one member or a thousand. Only the first packet of a
//!   connection meets the nat chains at all.
//! * **From the host itself**, `127.0.0.1:8080` is translated in *output*; the packet then leaves by the bridge with a source
//!   of 127.0.0.1, which needs `route_localnet` on that bridge and a masquerade, or the container would answer itself.
//!   For `[::1]:8080` there is no such knob: it is left alone, and refused by the socket that holds the port, so that a client goes on to
//!   127.0.0.1. Who publishes on `::1` itself is served by hand ([`crate::proxy`]).
//! * **The guard.** `route_localnet` lets packets *from* such a link reach 127/8 of the host, and prerouting would translate
//!   a neighbour's packet to 127.0.0.1:8080 before routing could call it a Martian. So what is sent to 127/8 and did not come by
//!   `lo` is dropped first of all: an answer to our own masqueraded packet is not hit, its destination there is still the bridge.
//! * **Hairpin.** A container that calls the host's published port is led back into its own bridge, perhaps to itself. Were it
//!   not masqueraded, the answer would go straight to it, from an address it never called. Where br_netfilter is on (Docker switches it on)
//!   such a packet is translated while it is *switched*, and postrouting is not told by which link it came: so one rule asks for the link, one for
//!   the source (`own4`).
//! * **Isolation.** Into a bridge from anywhere else (another bridge, a neighbour who routes to 172.17.0.2 through this host)
//!   passes only what a published port translated, and answers. `--internal` lets nothing pass. What is *switched* inside a bridge does
//!   not meet these hooks (but with br_netfilter); `icc=false` is a matter of isolated bridge ports, and rule 2 closes the way round through
//!   the router.
//! * **Ours is one voice of several.** `accept` here does not overrule another table's `drop`: [`foreign`] sees to that.
//!
//! Rooms: [`ruleset`] (values → commands), [`listing`] (commands → text as nft prints it), [`table`] (the kernel's copy),
//! [`foreign`] (other people's tables).
//!
//! Laws: every change is one transaction; established connections live in conntrack and survive any of them.
//!
//! *In the real world* Docker writes some twenty iptables rules and three more for each published port, and starts a proxy process
//! for each; podman's netavark has chains per network. *See:* nft(8), `Documentation/networking/ip-sysctl.rst` (route_localnet),
//! CVE-2020-8558, moby issue 45610. Next room: [`ruleset`]

pub mod foreign;
pub mod listing;
pub mod ruleset;
pub mod table;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
