//! # The life of a container, one file for each verb
//!
//! ```text
//!  create ─► record on disk, writable layer, volumes
//!    │
//!  attach ─► waits for the shim's socket ─┐
//!    ▼                                    ▼
//!  start ──► bundle, shim, runtime ──► running ──► exec, attach, logs, top, stats, copy, health, pause, update
//!    ▲                                    │
//!    │ restart policy                     │ exit (by itself, by stop or kill)
//!    └──────────── exits ◄────────────────┘
//!                    │
//!  remove ◄──────────┘ --rm, or a person
//! ```
//!
//! Who writes what: [`create`] the record, [`start`] and [`crate::exits`] its state, [`remove`] its end. Each file's public
//! functions take the engine and the id *as the user typed it*; [`store`] knows what that means.
//!
//! * [`record`], [`store`]: what is known of a container, and where it is found.
//! * [`create`], with [`image_defaults`], [`checks`], [`mount_spec`], [`mounts`], [`snapshot`], [`copy_up`].
//! * [`start`], with [`bundle`], [`etc_files`], [`log_options`], [`log_relay`], [`propagation`]; [`stop`], [`pause`], [`restart`], [`wait`], [`remove`].
//! * [`attach`], [`logs`], [`exec`]: its streams, and second processes.
//! * [`rename`], [`update`], [`inspect`], [`health`], [`stats`], [`top`], [`changes`], [`copy`], [`commit`], [`export`],
//!   [`prune`], [`explain`]; [`recording`] keeps the daemon's own kernel calls.
//!
//! Next room: [`record`]

pub mod attach;
pub mod bundle;
pub mod changes;
pub mod checks;
pub mod commit;
pub mod copy;
pub mod copy_up;
pub mod create;
pub mod detach_keys;
pub mod etc_files;
pub mod exec;
pub mod explain;
pub mod export;
pub mod health;
pub mod image_defaults;
pub(crate) mod init_layer;
pub mod inspect;
pub mod list;
pub mod log_options;
pub mod log_relay;
pub mod logs;
pub mod mount_spec;
pub mod mounts;
pub mod pause;
pub mod propagation;
pub mod prune;
pub mod record;
pub mod recording;
pub mod remove;
pub mod rename;
pub mod restart;
pub mod root;
pub mod size;
pub mod snapshot;
pub mod start;
pub mod stats;
pub mod stop;
pub mod store;
pub mod top;
pub mod update;
pub mod wait;

use crate::Engine;
use minidock_base::{Error, Result};
use record::Record;
use std::collections::BTreeMap;

/// Does `work` to its end, even if whoever asked for it goes away in the middle: a client that hangs up drops the call,
/// and a container that was half started by a dropped call would have nobody who listens to it.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::system("the task that was doing it ended early").hint("the daemon's log says why")),
    }
}

/// Tells the world that `action` happened to this container, with Docker's attributes: image, name, labels and `more`.
pub fn publish(engine: &Engine, record: &Record, action: &str, more: &[(&str, String)]) {
    let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
    attributes.insert("image".into(), record.config.image.clone());
    attributes.insert("name".into(), record.name.clone());
    attributes.extend(more.iter().map(|(key, value)| (key.to_string(), value.clone())));
    engine.events.publish("container", action, &record.id, attributes);
}
