//! # Another root: rotating what everybody trusts
//!
//! When the root's key may have been seen by others, all certificates must come from another one, and no connection may break
//! meanwhile. So both roots are trusted for a while.
//!
//! ```text
//!   begun      next root made; its key also signed by the old one     certificates: signed by next, with that signature along
//!   under way  each node is asked to renew: it trusts both now
//!   done       all have renewed ─► next becomes the root; new join tokens, for they name the root by its digest
//!   after      each node renews once more and trusts the old one no longer
//! ```
//!
//! A node that is down holds it up, as in Docker: it would not trust anybody when it comes back. Remove it, and all goes on.
//!
//! *See:* swarmkit `ca/reconciler.go`; `docker swarm ca --rotate`. *Next room:* [`super::admission`]

use super::{
    Manager,
    admission::{signer, trusted},
    lead::Ledger,
};
use crate::{
    ca::{Root, token::Token},
    control::cluster::NextRoot,
    orchestrator::Context,
    store::{Action, Tables},
};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::cluster::{CaConfig, Cluster};
use serde_json::json;

/// A next root: the one that was brought along, or a new one.
///
/// # Errors
/// 400: what was brought along is no root, or its key is missing.
pub fn next_root(cluster: &Cluster, wanted: &CaConfig, now: Timestamp) -> Result<NextRoot> {
    let next = match (wanted.signing_ca_cert.is_empty(), wanted.signing_ca_key.is_empty()) {
        (true, _) => Root::found(now)?,
        (false, false) => Root::brought(&wanted.signing_ca_cert, &wanted.signing_ca_key)?,
        (false, true) => {
            return Err(Error::invalid(
                "rpc error: code = InvalidArgument desc = if a signing CA certificate is provided, its key must be provided, too",
            ));
        }
    };
    let cross_certificate = signer(cluster).vouch_for(&next, now)?;
    Ok(NextRoot { certificate: next.certificate, key: next.key, cross_certificate })
}

/// Ends a rotation when everybody has a certificate of the next root.
pub(super) async fn finish(manager: &Manager, ledger: &Ledger) -> Result<()> {
    if !manager.view(is_done) {
        return Ok(());
    }
    let (worker, other): ([u8; 16], [u8; 16]) = (rand::random(), rand::random());
    let decide = move |tables: &Tables, _: &mut Context| {
        let Some(cluster) = tables.cluster().filter(|_| is_done(tables)) else { return Ok((Vec::new(), json!(null))) };
        let mut cluster = Cluster::clone(cluster);
        let keys = &mut cluster.keys;
        keys.ca_certificate = std::mem::take(&mut keys.next_certificate);
        keys.ca_key = std::mem::take(&mut keys.next_key);
        keys.cross_certificate.clear();
        cluster.root_rotation_in_progress = false;
        cluster.join_tokens.worker = Token::new(&cluster.keys.ca_certificate, worker).to_string();
        cluster.join_tokens.manager = Token::new(&cluster.keys.ca_certificate, other).to_string();
        cluster.tls_info = signer(&cluster).tls_info(&trusted(&cluster))?;
        tracing::info!("the root of all certificates was rotated");
        Ok((vec![Action::Put(cluster.into())], json!(null)))
    };
    ledger.write(Box::new(decide)).await.map(drop)
}

fn is_done(tables: &Tables) -> bool {
    let Some(cluster) = tables.cluster().filter(|c| !c.keys.next_certificate.is_empty()) else { return false };
    let Ok(wanted) = signer(cluster).tls_info("") else { return false };
    tables.nodes().all(|n| n.description.tls_info["CertIssuerPublicKey"] == wanted["CertIssuerPublicKey"])
}
