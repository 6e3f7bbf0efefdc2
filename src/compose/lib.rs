//! # Compose: a file that says what shall run
//!
//! `docker service create` with twenty flags is a sentence nobody can review. A Compose file says the same in a form that can be read,
//! kept beside the code and changed: services, and the networks, volumes, secrets and configs they use. This crate reads such files, in
//! version 3 as `docker stack` reads it, and turns them into the specs a swarm wants. It asks nobody anything: files, variables and
//! folders are handed in, and the same input gives the same answer.
//!
//! ```text
//!   docker-stack.yml ──►  yaml        text → tree, each value with its place        (the grammar is a library's)
//!                         interpolate ${TAG:-latest}
//!                         shape       tables say which keys there are; short forms become long
//!                         load        paths made whole, variables looked up
//!   production.yml   ──►  …           the same
//!                         merge       the later over the earlier
//!                           │
//!                           ├──► render       `stack config`: what was understood, as YAML
//!                           ├──► stack        `stack deploy`: NetworkCreate, SecretSpec, ServiceSpec, under a name
//!                           └──► kubernetes   `stack convert`: manifests for those who outgrow a swarm
//!
//!   compose.yaml ───►  local      the same path with tables of its own: containers of this machine, and in which order
//! ```
//!
//! * [`node`], [`yaml`], [`scalar`], [`emit`]: YAML, in and out. [`finding`]: what is wrong, all at once, with file, line and key.
//! * [`interpolate`], [`env_file`], [`values`], [`words`], [`ports`], [`volumes`], [`short`]: the small languages inside texts.
//! * [`project`], [`service`], [`deploy`]: the tables, and [`shape`], which applies them.
//! * [`load`](mod@load), [`merge`](mod@merge), [`render`](mod@render), [`stack`], [`kubernetes`]: the path above. [`local`]: `compose up`.
//!
//! Laws: no input makes it panic (property tests in every room that reads outside text); a key that is not known is told by name
//! and never silently dropped; nothing is created while anything is wrong with the files.
//!
//! *In the real world* Docker validates against JSON schemas, one per version; the Compose specification has moved on and has no versions
//! any more. What is new there is warned of, not refused, so that one file can serve both.
//! *See:* docs.docker.com/compose/compose-file · docker/cli `cli/compose`. *Next room:* [`node`]

pub mod deploy;
pub mod emit;
pub mod env_file;
pub mod finding;
pub mod interpolate;
pub mod kubernetes;
pub mod load;
pub mod local;
pub mod merge;
pub mod node;
pub mod ports;
pub mod project;
pub mod render;
pub mod scalar;
pub mod service;
pub mod shape;
pub mod short;
pub mod stack;
pub mod values;
pub mod volumes;
pub mod words;
pub mod yaml;

/// What is written into the label that says which `compose` has made something.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
