//! # The nouns: OCI, Docker and SwarmKit
//!
//! Formats on disk and on the wire are the world's, not ours. This crate holds them as types and nothing else: no input or
//! output, no decisions. Each file names the standard it follows.
//!
//! * [`digest`], [`reference`], [`image`]: the OCI image specification, and what `alpine` means.
//! * [`runtime`]: the OCI runtime specification's `config.json` (by `oci-spec`) and `state.json`.
//! * [`engine`]: the bodies of the Docker Engine API 1.45. Written by hand rather than taken from a generated crate: the
//!   generated types make every field optional and drop `None`, but clients tell `null`, `[]` and absence apart, and a
//!   reader can see here which of the three each field is.
//! * [`swarm`]: services, tasks, nodes: the rows of a swarm's tables and the bodies of its API.
//! * [`cluster`]: simulated nodes; ours, for Docker has none.
//!
//! Next room: [`engine`]

pub mod cluster;
pub mod digest;
pub mod engine;
pub mod image;
pub mod reference;
pub mod runtime;
pub mod seccomp_profile;
pub mod swarm;
