//! # Swarm routes: many machines behind one socket
//!
//! What a swarm is asked for comes in here: the swarm itself, its nodes, services, tasks, secrets, configs and networks. A manager
//! answers from its own replica of the tables; what is to be changed becomes a [`Wish`](minidock_swarm::control::Wish), which
//! finds the leader by itself. On a machine that is no manager every one of these doors says so, with 503.
//!
//! ```text
//!   GET  /services ──► tables ──► narrow (filters) ──► shown (Docker's shape, nothing of ours) ──► JSON
//!   POST /services/create ──► wish (what is meant) ──► Manager::wish ──► leader ──► agreed on ──► {"ID": …}
//!                                                                                    │
//!   GET  /events  ◄── events: each change of a row, in Docker's words ◄──────────────┘
//! ```
//!
//! * This room: found, join, leave, lock, and the rules of the swarm.
//! * [`nodes`], [`services`], [`tasks`], [`files`] (secrets and configs), [`networks`]: one table each.
//! * [`wish`]: what a service spec means before it is written. [`shown`]: what of a row is Docker's business.
//! * [`narrow`]: filters. [`logs`]: what tasks say, from all nodes. [`events`]: what happens. [`why`]: why it does not.
//!
//! Laws: the body is read before anything is refused, or the client would write into a closed connection; a version is asked for wherever something is changed, so nobody overwrites what he has not seen; what is refused has
//! changed nothing; no secret leaves by any of these doors.
//!
//! *See:* moby `api/server/router/swarm`, `daemon/cluster`. *Next room:* [`services`]

pub mod events;
pub mod files;
pub mod logs;
pub mod narrow;
pub mod networks;
pub mod nodes;
pub mod services;
pub mod shown;
pub mod tasks;
pub mod why;
pub mod wish;

use crate::{
    answer::{Answer, empty, json},
    call::Call,
};
use http::StatusCode;
use minidock_base::{Error, Result, id};
use minidock_spec::swarm::{
    cluster::ClusterSpec,
    local::{InitRequest, JoinRequest, LocalNodeState, SwarmInfo, SwarmObject, UnlockRequest},
    node::NodeState,
};
use minidock_swarm::{
    control::{Wish, cluster::Rotate},
    seal,
};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long the founder of a swarm may take to become its first node.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /swarm`.
pub async fn inspect(call: Call) -> Result<Answer> {
    let object = call.manager()?.view(|tables| tables.cluster().map(|cluster| SwarmObject::from(&**cluster)));
    let mut object = object.ok_or_else(|| Error::unavailable("this swarm has no cluster object yet"))?;
    hide_keys(&mut object.info.spec);
    json(&object)
}

/// A certificate authority's key comes in and never goes out.
fn hide_keys(spec: &mut ClusterSpec) {
    spec.ca_config.signing_ca_cert.clear();
    spec.ca_config.signing_ca_key.clear();
}

/// `POST /swarm/init`: the new node's ID, as a JSON string.
pub async fn init(mut call: Call) -> Result<Answer> {
    let mut request: InitRequest = call.json().await?;
    sane(&mut request.spec);
    let id = call.swarm.init(request).await?;
    ready(&call, &id).await;
    json(&id)
}

/// Waits until the new swarm's only node can take tasks: whoever reads its version next can also use it.
async fn ready(call: &Call, id: &str) {
    let Ok(manager) = call.manager() else { return };
    let mut changes = manager.watch();
    let is_ready = || manager.view(|tables| tables.node(id).is_some_and(|n| n.status.state == NodeState::Ready));
    let until = async { while !is_ready() && !matches!(changes.recv().await, Err(RecvError::Closed)) {} };
    if tokio::time::timeout(PATIENCE, until).await.is_err() {
        tracing::warn!("the swarm is founded, but its first node is not ready yet");
    }
}

/// Docker's own client founds a swarm with zeros: they mean "as usual".
fn sane(spec: &mut ClusterSpec) {
    let usual = ClusterSpec::default();
    let unsigned = |number: &mut u64, usual| *number = if *number == 0 { usual } else { *number };
    unsigned(&mut spec.raft.snapshot_interval, usual.raft.snapshot_interval);
    unsigned(&mut spec.raft.log_entries_for_slow_followers, usual.raft.log_entries_for_slow_followers);
    unsigned(&mut spec.raft.election_tick, usual.raft.election_tick);
    unsigned(&mut spec.raft.heartbeat_tick, usual.raft.heartbeat_tick);
    let signed = |number: &mut i64, usual| *number = if *number == 0 { usual } else { *number };
    signed(&mut spec.dispatcher.heartbeat_period, usual.dispatcher.heartbeat_period);
    signed(&mut spec.ca_config.node_cert_expiry, usual.ca_config.node_cert_expiry);
}

/// `POST /swarm/join`.
pub async fn join(mut call: Call) -> Result<Answer> {
    let request: JoinRequest = call.json().await?;
    call.swarm.join(request).await?;
    Ok(empty(StatusCode::OK))
}

/// `POST /swarm/leave?force=`.
pub async fn leave(call: Call) -> Result<Answer> {
    call.swarm.leave(call.query.flag("force")).await?;
    Ok(empty(StatusCode::OK))
}

/// `POST /swarm/unlock`.
pub async fn unlock(mut call: Call) -> Result<Answer> {
    let request: UnlockRequest = call.json().await?;
    call.swarm.unlock(&request.unlock_key).await?;
    Ok(empty(StatusCode::OK))
}

/// `GET /swarm/unlockkey`.
pub async fn unlock_key(call: Call) -> Result<Answer> {
    json(&UnlockRequest { unlock_key: call.manager()?.unlock_key() })
}

/// `POST /swarm/update?version=&rotateWorkerToken=&rotateManagerToken=&rotateManagerUnlockKey=`.
pub async fn update(mut call: Call) -> Result<Answer> {
    let spec: ClusterSpec = call.json().await?;
    let manager = call.manager()?;
    let version = version(&call, "swarm")?;
    let worker = strict_flag(&call, "rotateWorkerToken")?;
    let for_managers = strict_flag(&call, "rotateManagerToken")?;
    let key = strict_flag(&call, "rotateManagerUnlockKey")?;
    let rotate = Rotate {
        worker_token: worker.then(random_bytes),
        manager_token: for_managers.then(random_bytes),
        unlock_key: key.then(seal::new_unlock_key),
        ..Rotate::default()
    };
    manager.wish(Wish::UpdateCluster { version, spec: Box::new(spec), rotate }).await?;
    Ok(empty(StatusCode::OK))
}

/// At most 32 random bytes.
fn random_bytes<const N: usize>() -> [u8; N] {
    let digits = id::random_id();
    std::array::from_fn(|at| {
        digits.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or_default()
    })
}

/// The header `Swarm` of a ping: `inactive`, `active/manager`, …
pub fn standing(info: &SwarmInfo) -> &'static str {
    match (info.local_node_state, info.control_available) {
        (LocalNodeState::Active, true) => "active/manager",
        (LocalNodeState::Active, false) => "active/worker",
        (state, _) => state.name(),
    }
}

/// `?version=`: which state of a thing the asker has seen.
///
/// # Errors
/// 400 in Docker's words: it is missing or no number.
pub fn version(call: &Call, of: &str) -> Result<u64> {
    let text = call.query.text("version").unwrap_or_default();
    text.parse().map_err(|_| match of {
        "secret" | "config" => Error::invalid(format!("invalid {of} version")),
        _ => Error::invalid(format!("invalid {of} version '{text}': strconv.ParseUint: parsing {text:?}: invalid syntax")),
    })
}

/// A boolean that must be one: here a misspelt word would change something.
///
/// # Errors
/// 400 that names the parameter.
pub fn strict_flag(call: &Call, key: &str) -> Result<bool> {
    match call.query.text(key) {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some(other) => Err(Error::invalid(format!("invalid value for {key}: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_random() {
        assert_ne!(random_bytes::<16>(), random_bytes::<16>());
        assert!(random_bytes::<32>()[31] != 0 || random_bytes::<32>()[31] != 0 || random_bytes::<32>()[31] != 0);
    }

    #[test]
    fn a_ping_says_what_this_machine_is() {
        let info = |state, control| SwarmInfo { local_node_state: state, control_available: control, ..SwarmInfo::default() };
        assert_eq!(standing(&info(LocalNodeState::Inactive, false)), "inactive");
        assert_eq!(standing(&info(LocalNodeState::Active, true)), "active/manager");
        assert_eq!(standing(&info(LocalNodeState::Active, false)), "active/worker");
        assert_eq!(standing(&info(LocalNodeState::Locked, false)), "locked");
    }
}
