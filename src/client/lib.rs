//! # The other end of the socket: a small client of the Docker Engine API
//!
//! Everything the command line does, it does by asking a daemon over HTTP. There is no private door: the same calls work
//! against a real Docker Engine, and a real `docker` works against our daemon. This crate knows how to ask and how to read
//! answers; it knows no command, no table, no terminal.
//!
//! ```text
//!   cli room                      client                                 daemon
//!   ────────                      ──────                                 ──────
//!   Address::parse ─────────────► where: unix:///run/minidock.sock
//!   Docker::connect ────────────► HEAD /_ping  ─────────────────────────► Api-Version: 1.41
//!                                 speak the lower of both versions
//!   Route::new("/containers/{}/json", [id])
//!       docker.get(route) ──────► GET /v1.41/containers/web/json ───────► {"Id": …}
//!   a T by serde ◄──────────────┘
//!       docker.hijack(route) ───► POST …/attach  Upgrade: tcp ──────────► 101
//!   raw bytes, both ways  ◄─────────────────────────────────────────────►
//! ```
//!
//! * [`address`]: `unix://` and `tcp://`, parsed once.
//! * [`route`]: a path with its names percent-encoded, and a query: the only place where a URL is put together.
//! * [`wish`]: [`wish::Wish`], one request before it is sent.
//! * [`docker`]: [`docker::Docker`], the connection: `get`, `post`, `delete`, `send`, `upload`, `hijack`; cheap to clone.
//! * [`answer`]: [`answer::Answer`], one response: whole, as JSON, piece by piece, or as a stream of JSON objects.
//! * [`hijack`]: a connection that stopped being HTTP (attach, exec).
//!
//! How to use it:
//!
//! ```text
//!   let docker = Docker::connect(address, None).await?;                     // negotiates the version
//!   let one: Inspect = docker.get(&Route::new("/containers/{}/json", [name])).await?;
//!   docker.post(&Route::new("/containers/{}/stop", [name]).pair("t", 5), &()).await?;
//!   let mut lines = docker.send(Wish::get(&route)).await?.objects();
//!   while let Some(event) = lines.next::<Event>().await? { … }
//! ```
//!
//! Laws: an answer of 400 and more is an [`minidock_base::Error`], marked as the daemon's own words, with our four answers
//! if a minidock sent them (`ErrorBody.minidock`); 304 is not an error. One connection carries one request at a time; a
//! finished one is used again. Nothing here prints.
//!
//! *See:* Docker Engine API 1.45; RFC 9112 (HTTP/1.1) §9.3 persistence, RFC 9110 §7.8 Upgrade.
//! In the real world: the `docker` command also speaks TLS and ssh; we leave both out until the cluster brings certificates.
//! *Next room:* [`address`]

pub mod address;
pub mod answer;
pub mod docker;
pub mod hijack;
pub mod route;
pub mod wish;

pub use address::Address;
pub use answer::Answer;
pub use docker::Docker;
pub use hijack::Hijacked;
pub use route::Route;
pub use wish::Wish;
