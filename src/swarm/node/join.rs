//! # To join a swarm: a newcomer's first calls
//!
//! A newcomer knows an address and a token. Whoever answers at the address could be anybody, so the first thing it is asked for is its
//! root certificate: the token says what that must be. From then on only managers of that swarm can answer; the second call shows
//! them the token, and brings papers.
//!
//! ```text
//!   Root ──► is its digest the token's? ──► Join { token, request } ──► papers ──► disk ──► a life begins
//! ```
//!
//! Laws: nothing is written before there are papers. *See:* swarmkit `ca/certificates.go`. *Next room:* [`super::addresses`]

use super::{
    Setup,
    addresses::{Asked, remote, settle},
    life::Life,
    record::{Folder, Keys, Record},
};
use crate::{
    ca::{
        self,
        identity::{self, Identity},
        token::Token,
    },
    seal::LogKey,
    wire::{Ask, Papers, phone::Phone},
};
use minidock_base::{Error, Result};
use minidock_spec::swarm::{
    local::{JoinRequest, RemoteManager},
    node::Role,
};
use std::{sync::Arc, time::Duration};

/// Until the swarm has taken a newcomer in; afterwards it goes on in the background.
const ARRIVAL: Duration = Duration::from_secs(20);

/// Joins.
///
/// # Errors
/// 400: the token is none, or an address makes no sense. What the managers say; what stands in the way of reaching them.
pub async fn join(setup: Arc<Setup>, request: &JoinRequest) -> Result<Arc<Life>> {
    let token = Token::parse(&request.join_token)?;
    let remotes: Vec<String> = request.remote_addrs.iter().map(|text| remote(text)).collect::<Result<_>>()?;
    let Some(first) = remotes.first() else {
        return Err(Error::invalid("at least 1 RemoteAddr is required to join"));
    };
    let asked = Asked {
        listen: &request.listen_addr,
        advertise: &request.advertise_addr,
        data_path: &request.data_path_addr,
        towards: Some(first),
    };
    let settled = settle(asked, &(setup.interfaces)())?;
    let (key, papers) = papers(&remotes, &token, request).await?;
    let managers = match papers.managers.is_empty() {
        true => remotes.into_iter().map(|addr| RemoteManager { node_id: String::new(), addr }).collect(),
        false => papers.managers,
    };
    let record = Record {
        node_id: papers.node_id,
        listen: settled.listen,
        advertise: settled.advertise,
        data_path: settled.data_path,
        raft_id: 0,
        managers,
    };
    let identity = Identity { certificate: papers.certificate, key, root: papers.root };
    let keys = Keys { identity, log: LogKey::draw() };
    let folder = Folder(setup.folder.clone());
    folder.forget()?;
    folder.write_keys(&keys, "")?;
    folder.write(&record)?;
    let life = Life::new(setup, record, keys, String::new())?;
    let started = match papers.role {
        Role::Manager => life.become_manager().await,
        Role::Worker => Ok(()),
    };
    if let Err(error) = started {
        life.end().await;
        folder.forget()?;
        return Err(error);
    }
    life.begin();
    Ok(life)
}

/// Waits until the swarm has taken the newcomer in.
///
/// # Errors
/// 503: it takes too long.
pub async fn arrive(life: &Life) -> Result<()> {
    let until = tokio::time::Instant::now() + ARRIVAL;
    life.arrived(ARRIVAL).await?;
    let Some(manager) = life.manager() else { return Ok(()) };
    while manager.view(|tables| tables.node(&life.record().node_id).is_none_or(|n| n.raft_id == 0)) {
        if tokio::time::Instant::now() > until {
            return life.arrived(Duration::ZERO).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Papers, from the first manager that gives any, and the key to them.
async fn papers(remotes: &[String], token: &Token, request: &JoinRequest) -> Result<(String, Papers)> {
    let mut last = None;
    for address in remotes {
        match papers_of(address, token, request).await {
            Ok(papers) => return Ok(papers),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::invalid("at least 1 RemoteAddr is required to join")))
}

async fn papers_of(address: &str, token: &Token, request: &JoinRequest) -> Result<(String, Papers)> {
    let unreachable =
        |e: Error| e.hint("is that a manager's address, is its port 2377 reachable from here, is its daemon running?");
    let root = Phone::new(identity::newcomer()?).ask(address, &Ask::Root).await.map_err(unreachable)?;
    let root = root.as_str().ok_or_else(|| Error::invalid("what answers there is no manager"))?.to_string();
    token.check_root(&root)?;
    let (key, certificate_request) = ca::request()?;
    let ask = Ask::Join { token: token.to_string(), request: certificate_request, availability: request.availability };
    let answer = Phone::new(identity::guest(&root)?).ask(address, &ask).await?;
    let papers = serde_json::from_value(answer).map_err(|e| Error::invalid(e.to_string()).during("read a manager's answer"))?;
    Ok((key, papers))
}
