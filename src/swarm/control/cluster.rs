//! # The cluster's own rules
//!
//! Its spec, and what is rotated on request: join tokens and the unlock key. New secrets are handed in with the wish, for a
//! decision draws no random numbers.
//!
//! *See:* swarmkit `manager/controlapi/cluster.go`. *Next room:* [`crate::ca`]

use super::{Decided, out_of_sequence};
use crate::{
    ca::token::Token,
    store::{Action, Tables},
};
use minidock_base::{Error, Result};
use minidock_spec::swarm::cluster::{Cluster, ClusterSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is to be new, and the random bytes it is made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rotate {
    pub worker_token: Option<[u8; 16]>,
    pub manager_token: Option<[u8; 16]>,
    /// A whole key, as `swarm unlock-key` prints it.
    pub unlock_key: Option<String>,
    /// Another root for the certificates.
    pub root: Option<NextRoot>,
}

/// A root to rotate to, and its key signed by the root that is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NextRoot {
    pub certificate: String,
    pub key: String,
    pub cross_certificate: String,
}

/// Other rules, other tokens.
///
/// # Errors
/// 400 `update out of sequence`, or values that cannot be; 503 before there is a cluster.
pub fn update(tables: &Tables, version: u64, spec: &ClusterSpec, rotate: &Rotate) -> Decided {
    let cluster = tables.cluster().ok_or_else(|| Error::unavailable("this swarm has no cluster object yet"))?;
    if cluster.version.index != version {
        return Err(out_of_sequence());
    }
    check(spec)?;
    let mut cluster = Cluster::clone(cluster);
    cluster.spec = spec.clone();
    let root = cluster.keys.ca_certificate.clone();
    if let Some(secret) = rotate.worker_token {
        cluster.join_tokens.worker = Token::new(&root, secret).to_string();
    }
    if let Some(secret) = rotate.manager_token {
        cluster.join_tokens.manager = Token::new(&root, secret).to_string();
    }
    cluster.spec.ca_config.signing_ca_key.clear(); // it is in the keys, and never shown again
    if let Some(next) = &rotate.root {
        let next = next.clone();
        (cluster.keys.next_certificate, cluster.keys.next_key) = (next.certificate, next.key);
        cluster.keys.cross_certificate = next.cross_certificate;
        cluster.root_rotation_in_progress = true;
    }
    match (spec.encryption_config.auto_lock_managers, &rotate.unlock_key) {
        (false, _) => cluster.keys.unlock_key.clear(),
        (true, Some(key)) => cluster.keys.unlock_key = key.clone(),
        (true, None) => {}
    }
    Ok((vec![Action::Put(cluster.into())], json!(null)))
}

/// Rules that make sense.
///
/// # Errors
/// 400, in SwarmKit's words.
pub fn check(spec: &ClusterSpec) -> Result<()> {
    let refuse = |text: &str| Err(super::refusal(minidock_base::Kind::InvalidParameter, text));
    match () {
        () if spec.name != "default" && !spec.name.is_empty() => Err(Error::invalid("swarm spec must be named \"default\"")),
        () if spec.ca_config.node_cert_expiry < 3600 * 1_000_000_000 => refuse("minimum certificate expiry time is: 1h0m0s"),
        () if !spec.ca_config.external_cas.is_empty() => {
            Err(Error::not_implemented("external certificate authorities are not there").hint("leave out --external-ca"))
        }
        () if spec.dispatcher.heartbeat_period <= 0 => refuse("heartbeat time period cannot be a negative duration"),
        () => Ok(()),
    }
}
