//! # Stacks: a file becomes services
//!
//! A stack is a file's services with a name in front. The client reads the file, makes the wishes and sends them one by one; the
//! managers know services, networks, secrets and configs, and a label that says they belong together.
//!
//! ```text
//!   docker-stack.yml ─files─► Project ─deploy─► networks ─► secrets ─► configs ─► services ─► (progress)
//!                               │
//!                               └──config──► what was understood, as YAML
//!   ls · ps · services                       by the label com.docker.stack.namespace
//!   rm                                       services ─► secrets ─► configs ─► networks
//! ```
//!
//! * [`files`] reads; `minidock_compose` understands; [`deploy`] does; [`remove`] undoes; [`list`] looks on.
//!
//! *See:* docker/cli `cli/command/stack`. *Next room:* [`files`]

pub mod deploy;
pub mod files;
pub mod list;
pub mod remove;

use crate::{command::Command, filter::Filters};
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_compose::stack::NAMESPACE;
use serde::de::DeserializeOwned;

/// `stack …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "stack config", also: &[], build: files::command, run: |m, s| Box::pin(files::run(m, s)) },
    Command { path: "stack convert", also: &[], build: files::convert, run: |m, s| Box::pin(files::run_convert(m, s)) },
    Command { path: "stack deploy", also: &["stack up"], build: deploy::command, run: |m, s| Box::pin(deploy::run(m, s)) },
    Command { path: "stack ls", also: &["stack list"], build: list::command, run: |m, s| Box::pin(list::run(m, s)) },
    Command { path: "stack ps", also: &[], build: list::ps, run: |m, s| Box::pin(list::run_ps(m, s)) },
    Command {
        path: "stack rm",
        also: &["stack remove", "stack down"],
        build: remove::command,
        run: |m, s| Box::pin(remove::run(m, s)),
    },
    Command { path: "stack services", also: &[], build: list::services, run: |m, s| Box::pin(list::run_services(m, s)) },
];

/// A stack's name, if it can be one.
///
/// # Errors
/// Docker's `invalid stack name`.
fn named(name: &str) -> Result<&str> {
    let is_word = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"' || c == '/');
    match is_word {
        true => Ok(name),
        false => Err(Error::invalid(format!("invalid stack name: {name:?}")).hint("letters, digits, - and _")),
    }
}

/// The filter for what belongs to a stack.
fn belongs(name: &str) -> Filters {
    let mut filters = Filters::default();
    filters.add("label", &format!("{NAMESPACE}={name}"));
    filters
}

/// Everything of a kind that belongs to a stack: `services`, `networks`, …
async fn members<T: DeserializeOwned>(docker: &Docker, kind: &str, name: &str) -> Result<Vec<T>> {
    docker.get(&Route::new(&format!("/{kind}"), []).maybe("filters", belongs(name).json())).await
}
