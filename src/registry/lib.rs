//! # Registry: images over the network
//!
//! A registry is a shelf of blobs and manifests behind HTTP. Its protocol fits on a page: ask for a manifest by name, for blobs by
//! digest; to store, send blobs first and the manifest last. Everything hard about it is what surrounds these few requests: who
//! asks, what breaks off, what lies, and how several things are done at once without memory growing.
//!
//! ```text
//!   api, build ──pull(reference)──► pull ──► client ──HTTP──► registry            image::Store
//!                                    │        manifest ◄──────┤                     ▲
//!                                    └─► layers: three downloads at once ──────────►│ partial/ → blobs/, layers/
//!   api ──push(reference)──► push ──► client ──HTTP──► registry                     │
//!                             └───────────────────────◄─────────────────────────────┘
//!   minidock registry serve ──► server: the other end, for a classroom
//! ```
//!
//! * [`settings`]: which registries are where and trusted how; [`credentials`]: who we are; [`platform`]: which image is meant.
//! * [`client`]: the protocol, seen from this side. [`pull`], [`push`]: what `docker pull` and `docker push` do with it.
//! * [`flights`]: two pulls of one image share the work. [`server`]: a registry of our own.
//!
//! Laws: a stranger's bytes are checked against their digest before they have a name; what is told to one host is not told to
//! another; a break costs what was not yet here, and nothing else; memory is the same for a layer of a megabyte and of a gigabyte.
//!
//! In the real world: Docker and containerd have resolvers, lease managers and content trust around this. The protocol is the same.
//! See: OCI distribution-spec v1.1 · distribution `docs/spec`. Next room: [`settings`]

pub mod client;
pub mod credentials;
pub mod flights;
pub mod platform;
pub mod pull;
pub mod push;
pub mod server;
pub mod settings;
