//! # Admission: who may come in, and with which papers
//!
//! A newcomer shows a join token; the token says as what it may come. It gets an ID and a certificate, and stands in the tables
//! from then on. A node of the swarm gets a new certificate when it asks, in the role that the managers want it in: so a
//! promotion is nothing but a new certificate, and a node that was removed gets none.
//!
//! ```text
//!   token ──► role ──► new ID ──► certificate (signed here) ──► a row of the nodes' table
//! ```
//!
//! While the root is being rotated certificates are signed by the next one and carry along the next one's certificate as signed by
//! the old root: those who trust the one and those who trust the other can all check them.
//!
//! Laws: name, role and swarm in a certificate are ours to write; serial, ID and time are handed in.
//! *See:* swarmkit `ca/server.go`. *Next room:* [`super::members`]

use crate::{
    ca::{Root, Subject, token::Token},
    store::{Action, Tables},
    wire::Papers,
};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::{
    cluster::Cluster,
    local::RemoteManager,
    node::{Availability, Node, Role},
};
use std::{sync::Arc, time::Duration};

/// The world's part in a certificate.
pub struct Drawn {
    pub now: Timestamp,
    pub serial: [u8; 16],
    pub node_id: String,
}

fn cluster(tables: &Tables) -> Result<&Arc<Cluster>> {
    tables.cluster().ok_or_else(|| Error::unavailable("this swarm has no cluster object yet"))
}

/// The roots that a node shall trust: while they are rotated both.
pub fn trusted(cluster: &Cluster) -> String {
    format!("{}{}", cluster.keys.ca_certificate, cluster.keys.next_certificate)
}

/// The root that signs now.
pub fn signer(cluster: &Cluster) -> Root {
    let keys = &cluster.keys;
    match keys.next_certificate.is_empty() {
        true => Root { certificate: keys.ca_certificate.clone(), key: keys.ca_key.clone() },
        false => Root { certificate: keys.next_certificate.clone(), key: keys.next_key.clone() },
    }
}

fn papers(tables: &Tables, request: &str, subject: &Subject, drawn: &Drawn) -> Result<Papers> {
    let cluster = cluster(tables)?;
    let expiry = Duration::from_nanos(cluster.spec.ca_config.node_cert_expiry.max(0) as u64);
    let certificate = signer(cluster).issue(request, subject, drawn.now, expiry, drawn.serial)?;
    Ok(Papers {
        node_id: subject.node_id.clone(),
        cluster_id: cluster.id.clone(),
        certificate: certificate + &cluster.keys.cross_certificate,
        root: trusted(cluster),
        role: subject.role,
        managers: Vec::new(),
    })
}

/// As what the token lets its bearer join.
///
/// # Errors
/// 400: `A valid join token is necessary to join this cluster`.
fn role_of(cluster: &Cluster, token: &str) -> Result<Role> {
    let shown = Token::parse(token)?;
    let is = |known: &str| Token::parse(known).is_ok_and(|known| known.has_secret_of(&shown));
    if is(&cluster.join_tokens.manager) {
        return Ok(Role::Manager);
    }
    if is(&cluster.join_tokens.worker) {
        return Ok(Role::Worker);
    }
    Err(Error::invalid("rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster")
        .hint("the token may have been rotated: minidock swarm join-token worker, on a manager, prints the one that is valid"))
}

/// Lets a newcomer in.
///
/// # Errors
/// The token is not ours, the request cannot be read.
pub fn join(
    tables: &Tables,
    token: &str,
    request: &str,
    availability: Availability,
    drawn: &Drawn,
) -> Result<(Vec<Action>, Papers)> {
    let cluster = cluster(tables)?;
    let role = role_of(cluster, token)?;
    let subject = Subject { node_id: drawn.node_id.clone(), role, cluster_id: cluster.id.clone() };
    let papers = papers(tables, request, &subject, drawn)?;
    let mut node = Node { id: drawn.node_id.clone(), certified_role: role, ..Node::default() };
    (node.spec.role, node.spec.availability) = (role, availability);
    node.description.tls_info = signer(cluster).tls_info(&trusted(cluster))?;
    Ok((vec![Action::Put(node.into())], papers))
}

/// A new certificate for a node, in the role it shall have. One that still has a voice among the managers stays a manager
/// until the others have agreed to do without it.
///
/// # Errors
/// 403: the node was removed; the request cannot be read.
pub fn renew(tables: &Tables, node: &str, request: &str, drawn: &Drawn) -> Result<(Vec<Action>, Papers)> {
    let cluster = cluster(tables)?;
    let known = tables.node(node).ok_or_else(|| removed(node))?;
    let role = if known.raft_id != 0 { Role::Manager } else { known.spec.role };
    let subject = Subject { node_id: node.to_string(), role, cluster_id: cluster.id.clone() };
    let papers = papers(tables, request, &subject, drawn)?;
    let mut changed = Node::clone(known);
    changed.certified_role = role;
    changed.description.tls_info = signer(cluster).tls_info(&trusted(cluster))?;
    let actions = if changed == **known { Vec::new() } else { vec![Action::Put(changed.into())] };
    Ok((actions, papers))
}

/// The node was removed: it is of no swarm any more.
pub fn removed(node: &str) -> Error {
    Error::forbidden(format!("node {node} is not a node of this swarm any more"))
        .hint("minidock swarm leave, there, and join again")
}

/// A node should ask for new papers: its role is to change, or the root that signed its own is going.
pub fn should_renew(tables: &Tables, node: &Node) -> bool {
    let role = match node.spec.role {
        Role::Manager => node.certified_role == Role::Worker,
        Role::Worker => node.certified_role == Role::Manager && node.raft_id == 0,
    };
    role || tables.cluster().is_some_and(|cluster| signed_by_another(cluster, node))
}

/// It is a manager by its papers, shall be one, and has no voice: it has just become one and is about to ask, or it was demoted and
/// promoted again before it had heard of either.
pub fn should_enlist(node: &Node) -> bool {
    (node.spec.role, node.certified_role, node.raft_id) == (Role::Manager, Role::Manager, 0)
}

/// The root was rotated: this node's certificate was signed by the old one, or the node still trusts the old one.
pub fn signed_by_another(cluster: &Cluster, node: &Node) -> bool {
    signer(cluster).tls_info(&trusted(cluster)).is_ok_and(|info| info != node.description.tls_info)
}

/// Where the managers are, as the consensus knows them.
pub fn managers(tables: &Tables, members: &[(u64, String)]) -> Vec<RemoteManager> {
    let node = |id: u64| tables.nodes().find(|n| n.raft_id == id).map(|n| n.id.clone());
    let known = members.iter().filter_map(|(id, addr)| Some(RemoteManager { node_id: node(*id)?, addr: addr.clone() }));
    known.collect()
}
