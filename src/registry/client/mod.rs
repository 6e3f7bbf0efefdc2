//! # Client: asking registries
//!
//! A [`Client`] knows the daemon's settings and keeps the connections; [`Client::repository`] finds an endpoint that answers
//! and opens it for one purpose.
//!
//! ```text
//!   Client ──repository(reference, purpose)──► mirror? ─no─► https? ─no─► http, if that is allowed
//!                                                │             │           │
//!                                                └──────► Session (ping, who asks?, scope) ──► Repository
//!   Repository ── manifest, download, small_blob, upload, put_manifest, tags ──► Session::send ──► Wire
//! ```
//!
//! * [`wire`] one connection, [`tls`] whom to believe, [`session`] what every request needs, [`token`] and [`challenge`] who we
//!   are, [`tries`] when to ask again, [`headers`] and [`location`] small grammars.
//! * [`manifest`], [`blob`], [`upload`], [`listing`]: the four things a registry has. [`refusal`]: how it says no.
//!
//! Our own on hyper, and not the ORAS project's `oci-client`: resuming by Range, waiting as 429 says, mirrors with a fall-back,
//! certs.d, identity tokens and a hook for progress would each have meant to go round it, and its reqwest is a second
//! HTTP stack in the house. What it would have spared is the two hundred lines of [`session`].
//!
//! Laws: the Hub's credentials are not told to its mirrors; plain HTTP is tried only where nobody answered by TLS. See: distribution-spec. Next room: [`wire`]

pub mod blob;
pub mod challenge;
pub mod headers;
pub mod listing;
pub mod location;
pub mod manifest;
pub mod refusal;
pub mod session;
pub mod tls;
pub mod token;
pub mod tries;
pub mod upload;
pub mod wire;

use crate::{
    credentials::Credentials,
    flights::Flights,
    settings::{Endpoint, RegistryConfig},
};
use manifest::Repository;
use minidock_base::{Error, Kind, Result};
use minidock_spec::reference::Reference;
use session::Session;
use std::sync::Arc;
use wire::{Failure, Wire};

/// What a session is for: the scope of its token.
#[derive(Clone, Debug)]
pub enum Purpose {
    Pull,
    /// Push, with leave to read these other repositories of the same registry for mounting.
    Push {
        from: Vec<String>,
    },
    Catalogue,
    /// Nothing but to find out whether we may.
    LogIn,
}

/// The daemon's client of registries.
pub struct Client {
    config: Arc<RegistryConfig>,
    wire: Arc<Wire>,
    /// What is being pulled at this moment.
    pub(crate) flights: Flights,
}

impl Client {
    pub fn new(config: RegistryConfig) -> Arc<Client> {
        let wire = Arc::new(Wire::new(config.clone()));
        Arc::new(Client { config: Arc::new(config), wire, flights: Flights::default() })
    }

    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// Opens the repository of a reference at the first endpoint that answers.
    ///
    /// # Errors
    /// None answers: the error is that of the last one, the registry itself.
    pub async fn repository(
        self: &Arc<Client>,
        reference: &Reference,
        purpose: &Purpose,
        credentials: &Credentials,
    ) -> Result<Repository> {
        let mut all = self.repositories(reference, purpose, credentials)?;
        loop {
            match all.next().await {
                Some(Ok(repository)) => return Ok(repository),
                Some(Err(error)) if all.is_last() => return Err(error),
                Some(Err(error)) => tracing::debug!("the next endpoint is tried: {}", error.message()),
                None => return Err(Error::unavailable("no endpoint of the registry is left to be asked")),
            }
        }
    }

    /// All endpoints of a reference, opened one after the other: what a mirror does not have, the registry may.
    ///
    /// # Errors
    /// A domain that is none.
    pub fn repositories(
        self: &Arc<Client>,
        reference: &Reference,
        purpose: &Purpose,
        credentials: &Credentials,
    ) -> Result<Endpoints> {
        let pushing = matches!(purpose, Purpose::Push { .. });
        let name = &reference.path;
        let scopes = match purpose {
            Purpose::Pull => vec![format!("repository:{name}:pull")],
            Purpose::Push { from } => {
                let others = from.iter().map(|other| format!("repository:{other}:pull"));
                std::iter::once(format!("repository:{name}:pull,push")).chain(others).collect()
            }
            Purpose::Catalogue => vec!["registry:catalog:*".to_string()],
            Purpose::LogIn => Vec::new(),
        };
        Ok(Endpoints {
            client: self.clone(),
            left: self.config.endpoints(&reference.domain, pushing)?.into_iter().rev().collect(),
            name: name.clone(),
            scopes,
            credentials: credentials.clone(),
        })
    }
}

/// Endpoints that have not been asked yet.
pub struct Endpoints {
    client: Arc<Client>,
    left: Vec<Endpoint>,
    name: String,
    scopes: Vec<String>,
    credentials: Credentials,
}

impl Endpoints {
    pub fn is_last(&self) -> bool {
        self.left.is_empty()
    }

    /// Opens the next endpoint; `None` when there is none.
    pub async fn next(&mut self) -> Option<Result<Repository>> {
        let mut refused: Option<Error> = None;
        loop {
            let Some(endpoint) = self.left.pop() else { return refused.map(Err) };
            let mirror = endpoint.mirror_of.is_some();
            let credentials = if mirror { Credentials::default() } else { self.credentials.clone() };
            let Client { wire, config, .. } = &*self.client;
            let (secure, verified) = (endpoint.secure, endpoint.verify);
            match Session::open(wire.clone(), config.clone(), endpoint, credentials, self.scopes.clone()).await {
                Ok(session) => {
                    if !mirror {
                        self.left.clear(); // this is the registry: what it refuses is not asked for again in the clear
                    }
                    return Some(Ok(Repository { session, name: self.name.clone() }));
                }
                Err(Failure::Broken(error)) => return Some(Err(hinted(error, verified))),
                // TLS was only tried on the chance: what counts is what comes of the next one
                Err(Failure::Unreachable(error)) if secure && !mirror && !self.left.is_empty() => refused = Some(error),
                Err(Failure::Unreachable(error)) => return Some(Err(hinted(error, verified))),
            }
        }
    }
}

/// What to try when nobody answers as hoped.
fn hinted(error: Error, verified: bool) -> Error {
    let text = error.message();
    if error.hint_text().is_some() || error.kind() != Kind::Unavailable {
        return error;
    }
    match text.contains("tls: ") && verified {
        true if text.contains("UnknownIssuer") => error.hint(
            "its certificate is signed by nobody this machine knows: lay the CA down as /etc/minidock/certs.d/HOST:PORT/ca.crt",
        ),
        true if text.contains("corrupt message") || text.contains("InvalidContentType") => {
            error.hint("it seems to speak plain HTTP: minidock daemon --insecure-registry HOST:PORT, if that is what you want")
        }
        _ => error,
    }
}
