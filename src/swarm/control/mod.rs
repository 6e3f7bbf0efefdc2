//! # Control: the only writer of specs
//!
//! What a person may ask of a swarm, as one list of [`Wish`]es. Each is checked against the tables and becomes actions, or a
//! refusal in Docker's words. Only specs are written here; what follows from them is the loops' business.
//!
//! ```text
//!   API on any manager ── Wish ──► leader: decide(tables, wish) ──► actions ──► agreed on ──► Answer
//! ```
//!
//! A wish is a plain value, so that a manager that does not lead can send it to the one that does.
//!
//! Laws: a function of tables, wish and what is handed in. Whatever is written was read with its version, so two people who
//! change one thing at once do not overwrite each other: the second is told `update out of sequence`.
//! *See:* swarmkit `manager/controlapi`. *Next room:* [`services`]

pub mod attachments;
pub mod cluster;
pub mod files;
pub mod networks;
pub mod nodes;
pub mod services;
pub mod size;

use crate::{
    orchestrator::Context,
    store::{Action, Table, Tables},
};
use minidock_base::{Error, Kind, Result};
use minidock_spec::swarm::{
    cluster::ClusterSpec, network::NetworkSpec, node::NodeSpec, secret::SecretSpec, service::ServiceSpec,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that may be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Wish {
    CreateService {
        spec: Box<ServiceSpec>,
    },
    /// `rollback`: the previous spec instead of `spec`.
    UpdateService {
        id: String,
        version: u64,
        spec: Box<ServiceSpec>,
        rollback: bool,
    },
    RemoveService {
        id: String,
    },
    CreateNetwork {
        spec: Box<NetworkSpec>,
    },
    RemoveNetwork {
        id: String,
    },
    UpdateNode {
        id: String,
        version: u64,
        spec: NodeSpec,
    },
    RemoveNode {
        id: String,
        force: bool,
    },
    /// A secret or a config.
    CreateFile {
        table: Table,
        spec: Box<SecretSpec>,
    },
    UpdateFile {
        table: Table,
        id: String,
        version: u64,
        spec: Box<SecretSpec>,
    },
    RemoveFile {
        table: Table,
        id: String,
    },
    UpdateCluster {
        version: u64,
        spec: Box<ClusterSpec>,
        rotate: cluster::Rotate,
    },
}

/// What is to be written, and what the asker is told.
pub type Decided = Result<(Vec<Action>, Value)>;

/// Checks a wish and says what follows.
///
/// # Errors
/// What is asked makes no sense (400), is not there (404), is in use or taken (409).
pub fn decide(tables: &Tables, wish: &Wish, context: &mut Context) -> Decided {
    match wish {
        Wish::CreateService { spec } => services::create(tables, spec, context),
        Wish::UpdateService { id, version, spec, rollback } => services::update(tables, id, *version, spec, *rollback, context),
        Wish::RemoveService { id } => services::remove(tables, id),
        Wish::CreateNetwork { spec } => networks::create(tables, spec, context),
        Wish::RemoveNetwork { id } => networks::remove(tables, id),
        Wish::UpdateNode { id, version, spec } => nodes::update(tables, id, *version, spec),
        Wish::RemoveNode { id, force } => nodes::remove(tables, id, *force),
        Wish::CreateFile { table, spec } => files::create(tables, *table, spec, context),
        Wish::UpdateFile { table, id, version, spec } => files::update(tables, *table, id, *version, spec),
        Wish::RemoveFile { table, id } => files::remove(tables, *table, id),
        Wish::UpdateCluster { version, spec, rotate } => cluster::update(tables, *version, spec, rotate),
    }
}

/// The row that is meant by an ID, a name or the beginning of an ID, in this order.
///
/// # Errors
/// 404 `service x not found`; 400 when several begin so.
pub fn find(tables: &Tables, table: Table, text: &str) -> Result<String> {
    if tables.row(table, text).is_some() {
        return Ok(text.to_string());
    }
    if let Some(id) = tables.named(table, text) {
        return Ok(id.to_string());
    }
    let begin: Vec<&str> = tables.rows(table).map(|r| r.id()).filter(|id| !text.is_empty() && id.starts_with(text)).collect();
    match begin[..] {
        [one] => Ok(one.to_string()),
        [] => Err(Error::not_found(format!("{table} {text} not found"))),
        _ => Err(Error::invalid(format!("{table} {text} is ambiguous ({} matches found)", begin.len()))),
    }
}

/// A refusal as SwarmKit's calls word it; what is forbidden *now* is a failed precondition, and 400 like any other wish that cannot be.
#[track_caller]
pub(crate) fn refusal(kind: Kind, text: impl std::fmt::Display) -> Error {
    let (code, kind) = match kind {
        Kind::NotFound => ("NotFound", kind),
        Kind::Conflict => ("AlreadyExists", kind),
        Kind::InvalidParameter => ("InvalidArgument", kind),
        Kind::NotImplemented => ("Unimplemented", kind),
        _ => ("FailedPrecondition", Kind::InvalidParameter),
    };
    Error::new(kind, format!("rpc error: code = {code} desc = {text}"))
}

pub(crate) fn out_of_sequence() -> Error {
    crate::store::Refused::OutOfSequence { table: Table::Service, id: String::new() }.into_error()
}

/// Names of services and networks: they are found by DNS.
pub(crate) fn check_dns_name(name: &str) -> Result<()> {
    let letter = |c: u8| c.is_ascii_alphanumeric();
    let ends = name.bytes().next().is_some_and(letter) && name.bytes().last().is_some_and(letter);
    let why = match name.len() {
        0 => "meta: name must be provided",
        1..=63 if ends && name.bytes().all(|c| letter(c) || b"-_".contains(&c)) => return Ok(()),
        1..=63 => "name must be valid as a DNS name component",
        _ => "name must be 63 characters or fewer",
    };
    Err(refusal(Kind::InvalidParameter, why))
}

/// Names of secrets and configs.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(refusal(Kind::InvalidParameter, "name must be provided"));
    }
    let letter = |c: u8| c.is_ascii_alphanumeric();
    let ends = name.bytes().next().is_some_and(letter) && name.bytes().last().is_some_and(letter);
    match ends && name.len() <= 64 && name.bytes().all(|c| letter(c) || b"-_.".contains(&c)) {
        true => Ok(()),
        false => Err(refusal(
            Kind::InvalidParameter,
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]",
        )),
    }
}

#[cfg(test)]
mod tests;
