//! # DNS: the name server that every sandbox carries
//!
//! Containers come and go, and with them their addresses; what stays is a name. Docker gives every container on a user
//! network a name server at 127.0.0.11, an address that is the same everywhere and that no packet from outside can have. It
//! knows the names of the networks that the asker shares, and passes everything else on.
//!
//! ```text
//!   ┌─ sandbox of dog ───────────────────────────┐            ┌─ the daemon ────────────────────────────────────────┐
//!   │  /etc/resolv.conf: nameserver 127.0.0.11   │            │                                                     │
//!   │                    options ndots:0         │   zone     │  engine ── set, remove ──► Zones   (who is called   │
//!   │  ping cat                                  │            │                              │      what, where)    │
//!   │    └► 127.0.0.11:53                        │            │                              ▼                      │
//!   │         └ redirect (nft) ► :40001 ═══ a socket made in here ═══► server ─► answer: ours? ─ yes ─► reply       │
//!   └────────────────────────────────────────────┘   visit    │             stream (TCP)     │ no                   │
//!                                                             │                              ▼                      │
//!                         the host's resolvers  ◄── from the daemon's namespace ────────── forward                  │
//!                         those of --dns        ◄── from the sandbox's ───────────────────  (upstream)              │
//!                                                             └─────────────────────────────────────────────────────┘
//! ```
//!
//! * [`zone`]: the tables, one zone a network; the only state, and it is shared. [`services`]: what a swarm adds to them.
//! * [`answer`]: a question and the tables → what to say; pure, and the room to read if you read one.
//! * [`message`]: the wire: what is a question, what fits into an answer, what may be believed.
//! * [`server`] and [`stream`]: packets and connections; [`redirect`]: why we do not listen at port 53.
//! * [`forward`] and [`upstream`]: whom we ask when we do not know, from which side, and how long we wait.
//!
//! Laws: nobody learns a name of a network it is not on; a name follows a restart at once, for nothing is cached here; a
//! flood costs its own container time and us no memory; bytes from anywhere make us neither stop nor talk nonsense.
//!
//! *In the real world* dnsmasq, CoreDNS and systemd-resolved also cache. Here the answers of ours are cheaper than a look into a
//! cache, and those of others are cached by who gave them. On the default bridge there is no such server, as in Docker: there
//! `/etc/hosts` and `--link` are all there is ([`crate::hosts`]).
//!
//! Exercises. *Answer*: why does `ping cat` still work for a moment after `network disconnect`? *Break*: flood the server
//! from one container (`while true; do nslookup x & done`) and measure the look-ups of another. *Build*: SRV records for
//! published ports.
//!
//! *See:* RFC 1034, 1035; moby `libnetwork/resolver.go`. *Next room:* [`zone`]

pub mod answer;
pub mod ask;
pub mod forward;
pub mod message;
pub mod redirect;
pub mod server;
pub mod services;
pub mod stream;
pub mod upstream;
pub mod zone;
