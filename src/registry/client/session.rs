//! # Session: one registry, opened, for one purpose
//!
//! The first question to a registry is `GET /v2/`: it tells whether anybody is there who speaks this protocol, and what it wants to
//! know of us. From then on every request goes through [`Session::send`], which does what all of them need.
//!
//! ```text
//!   send ──► token for our scope, if one is wanted ──► wire
//!     ▲                                                 │
//!     ├── 401: the token has expired: a new one, once ◄─┤
//!     ├── 307: somewhere else; there without our name ◄─┤
//!     ├── 429, 503, broken: wait, again ◄───────────────┤
//!     └── anything else is the answer ◄─────────────────┘
//! ```
//!
//! Laws: what we know about ourselves is told the registry and its token server, and never to whom it sends us on
//! ([`Endpoint::same_origin`]); from TLS nobody sends us into the clear; a redirect is followed for reading only.
//! See: distribution-spec · RFC 9110 §15.4. Next room: [`super::manifest`]

use super::{
    challenge::{self, Challenge},
    headers,
    location::resolve,
    refusal::Refusal,
    token::{self, Token},
    tries::{self, Tries},
    wire::{Body, Failure, Reply, Wire},
};
use crate::{
    credentials::Credentials,
    settings::{Endpoint, RegistryConfig},
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use minidock_base::{Error, Result, clock};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 6;
const USER_AGENT: &str = concat!("minidock/", env!("CARGO_PKG_VERSION"), " (linux)");

/// One request, which may have to be made more than once.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    /// Path and query below the endpoint's prefix: `/v2/team/app/manifests/latest`.
    pub target: String,
    pub headers: Vec<(header::HeaderName, String)>,
    pub body: Bytes,
    pub patience: Duration,
}

impl Ask {
    pub fn new(method: Method, target: impl Into<String>) -> Ask {
        Ask { method, target: target.into(), headers: Vec::new(), body: Bytes::new(), patience: PATIENCE }
    }

    pub fn get(target: impl Into<String>) -> Ask {
        Ask::new(Method::GET, target)
    }

    pub fn header(mut self, name: header::HeaderName, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }
}

/// A registry that answered, and what we may do there.
pub struct Session {
    wire: Arc<Wire>,
    config: Arc<RegistryConfig>,
    pub endpoint: Endpoint,
    credentials: Credentials,
    challenge: Mutex<Option<Challenge>>,
    scopes: Vec<String>,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl Session {
    /// Asks who is there.
    ///
    /// # Errors
    /// Nobody, or somebody who does not speak this protocol.
    pub async fn open(
        wire: Arc<Wire>,
        config: Arc<RegistryConfig>,
        endpoint: Endpoint,
        credentials: Credentials,
        scopes: Vec<String>,
    ) -> std::result::Result<Session, Failure> {
        let token = (!credentials.registry_token.is_empty()).then(|| Token::given(&credentials.registry_token));
        let session = Session {
            wire,
            config,
            endpoint,
            credentials,
            challenge: Mutex::default(),
            scopes,
            token: tokio::sync::Mutex::new(token),
        };
        let mut tries = Tries::default();
        loop {
            let reply = session.one_hop(&session.endpoint, &Ask::get(session.target("/v2/")), None, None).await?;
            match reply.status.as_u16() {
                401 => {
                    session.note_challenge(&reply);
                    reply.discard().await;
                    return Ok(session);
                }
                200..=299 => {
                    reply.discard().await;
                    return Ok(session);
                }
                _ if tries::is_passing(reply.status) => match tries.next(told(&reply)) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(Failure::Broken(Refusal::read(reply).await.error())),
                },
                status => {
                    let text = format!("{}: unexpected status {status}: no registry answers there", reply.what());
                    return Err(Failure::Unreachable(Error::unavailable(text)));
                }
            }
        }
    }

    /// A session without a ping, for what is no registry of this protocol.
    pub fn bare(wire: Arc<Wire>, config: Arc<RegistryConfig>, endpoint: Endpoint, credentials: Credentials) -> Session {
        Session {
            wire,
            config,
            endpoint,
            credentials,
            challenge: Mutex::default(),
            scopes: Vec::new(),
            token: tokio::sync::Mutex::default(),
        }
    }

    /// Where this session's requests go: below the endpoint's prefix, and a mirror is told whose content is meant.
    pub fn target(&self, path: &str) -> String {
        let ns = self.endpoint.mirror_of.as_ref().map(|ns| {
            let joint = if path.contains('?') { '&' } else { '?' };
            format!("{joint}ns={}", headers::encode(ns))
        });
        format!("{}{path}{}", self.endpoint.prefix, ns.unwrap_or_default())
    }

    /// Whether there is anything we could say when asked who we are.
    pub fn is_known(&self) -> bool {
        !self.credentials.is_empty()
    }

    /// Whether the registry wants to know who asks.
    pub fn is_guarded(&self) -> bool {
        held(&self.challenge).is_some()
    }

    /// The answer to `ask`, whatever its status, after all that can be done about it.
    ///
    /// # Errors
    /// The connection broke too often; a redirect that may not be followed; no token to be had.
    pub async fn send(&self, ask: &Ask) -> Result<Reply> {
        let (mut tries, mut renewed) = (Tries::default(), false);
        loop {
            let mut said = None;
            let outcome = match self.authorization().await {
                Ok(authorization) => {
                    said = authorization.clone();
                    self.follow(ask, authorization).await
                }
                Err(failure) => Err(failure),
            };
            let (wait, last) = match outcome {
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    self.note_challenge(&reply);
                    self.forget_token(said.as_deref()).await;
                    reply.discard().await;
                    continue;
                }
                Ok(reply) if tries::is_passing(reply.status) => match tries.next(told(&reply)) {
                    Some(wait) => (wait, reply.what().to_string()),
                    None => return Ok(reply),
                },
                Ok(reply) => return Ok(reply),
                Err(failure) => {
                    let error = failure.error();
                    match (error.kind(), tries.next(None)) {
                        (minidock_base::Kind::Unavailable, Some(wait)) => (wait, error.message()),
                        _ => return Err(error),
                    }
                }
            };
            tracing::debug!(?wait, "asking again: {last}");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a body that can be had only once; what it comes to is the caller's to judge.
    ///
    /// # Errors
    /// The connection broke; no token to be had.
    pub async fn send_once(&self, ask: &Ask, body: Body) -> std::result::Result<Reply, Failure> {
        let authorization = self.authorization().await?;
        let (endpoint, target) = self.place(&ask.target)?;
        let authorization = authorization.filter(|_| endpoint.same_origin(&self.endpoint));
        let ask = Ask { target, ..ask.clone() };
        self.one_hop(&endpoint, &ask, authorization.as_deref(), Some(body)).await
    }

    /// One try of a request, redirects followed.
    async fn follow(&self, ask: &Ask, authorization: Option<String>) -> std::result::Result<Reply, Failure> {
        let (mut endpoint, target) = self.place(&ask.target)?;
        let mut ask = Ask { target, ..ask.clone() };
        for _ in 0..MOST_REDIRECTS {
            let known = authorization.as_deref().filter(|_| endpoint.same_origin(&self.endpoint));
            let reply = self.one_hop(&endpoint, &ask, known, None).await?;
            let reading = ask.method == Method::GET || ask.method == Method::HEAD;
            if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) || !reading {
                return Ok(reply);
            }
            let refused = |why: &str| Failure::Unreachable(Error::invalid(format!("{}: a redirect {why}", reply.what())));
            let location = reply.header("location").ok_or_else(|| refused("to nowhere"))?.to_string();
            let (next, target) = resolve(&endpoint, &location, &self.config)
                .map_err(|e| refused(&format!("that makes no sense: {}", e.message())))?;
            if endpoint.secure && endpoint.verify && !next.secure {
                return Err(refused("from TLS into the clear"));
            }
            reply.discard().await;
            (endpoint, ask.target) = (next, target);
        }
        Err(Failure::Unreachable(Error::invalid(format!("{}: redirected more than {MOST_REDIRECTS} times", ask.target))))
    }

    /// Drops the token that was `said` and refused; one that another request has fetched meanwhile stays.
    async fn forget_token(&self, said: Option<&str>) {
        let refused = said.and_then(|said| said.strip_prefix("Bearer "));
        let mut token = self.token.lock().await;
        if token.as_ref().map(|token| token.value.as_str()) == refused {
            *token = None;
        }
    }

    /// The token was refused: takes note, so that the next request comes with a new one. Whether that may help.
    pub async fn renew(&self, reply: &Reply) -> bool {
        self.note_challenge(reply);
        let mut token = self.token.lock().await;
        let had = token.is_some();
        *token = None;
        had
    }

    /// A target of this registry, or a whole address that it gave us for an upload. Behind a proxy that speaks TLS for
    /// it, a registry may think it is spoken to in the clear: its address is then ours with TLS.
    fn place(&self, target: &str) -> std::result::Result<(Endpoint, String), Failure> {
        if target.starts_with('/') && !target.starts_with("//") {
            return Ok((self.endpoint.clone(), target.to_string()));
        }
        let (to, path) = resolve(&self.endpoint, target, &self.config).map_err(Failure::Unreachable)?;
        match to.host == self.endpoint.host && !to.secure && self.endpoint.secure {
            true => Ok((self.endpoint.clone(), path)),
            false => Ok((to, path)),
        }
    }

    async fn one_hop(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        authorization: Option<&str>,
        body: Option<Body>,
    ) -> std::result::Result<Reply, Failure> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(ask.target.as_str())
            .header(header::HOST, endpoint.authority())
            .header(header::USER_AGENT, USER_AGENT);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = body.unwrap_or_else(|| whole(ask.body.clone()));
        let request = request.body(body).map_err(|e| Failure::Unreachable(Error::invalid(format!("{:?}: {e}", ask.target))))?;
        self.wire.send(endpoint, request, ask.patience).await
    }

    fn note_challenge(&self, reply: &Reply) {
        let headers = reply.headers.get_all(header::WWW_AUTHENTICATE);
        if let Some(found) = challenge::choose(headers.iter().filter_map(|value| value.to_str().ok())) {
            *held(&self.challenge) = Some(found);
        }
    }

    /// What to say of ourselves.
    async fn authorization(&self) -> std::result::Result<Option<String>, Failure> {
        let challenge = held(&self.challenge).clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.credentials.basic_header()),
            Some(Challenge::Bearer { realm, service, scope }) => {
                let mut token = self.token.lock().await;
                if let Some(good) = token.as_ref().filter(|token| token.is_good()) {
                    return Ok(Some(format!("Bearer {}", good.value)));
                }
                let mut scopes = self.scopes.clone();
                scopes.extend(scope.filter(|s| scopes.is_empty() && !s.is_empty()));
                let fresh = self.fetch_token(&realm, service.as_deref(), &scopes, false).await?;
                let value = format!("Bearer {}", fresh.value);
                *token = Some(fresh);
                Ok(Some(value))
            }
        }
    }

    /// Asks the token server; `login` for an identity token, too.
    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
        login: bool,
    ) -> std::result::Result<Token, Failure> {
        let asked = Instant::now();
        let wanted =
            token::request(&self.endpoint, realm, service, scopes, &self.credentials, login).map_err(Failure::Unreachable)?;
        let mut ask = Ask::get(wanted.target);
        if let Some(form) = wanted.form {
            ask = Ask { method: Method::POST, body: form.into(), ..ask }
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let reply = self.one_hop(&wanted.endpoint, &ask, wanted.authorization.as_deref(), None).await?;
        if !reply.status.is_success() {
            let passing = tries::is_passing(reply.status);
            let error = Refusal::read(reply).await.error().during("get a token");
            return Err(if passing { Failure::Broken(error) } else { Failure::Unreachable(error) });
        }
        let body = reply.bytes(1 << 20).await?;
        token::read(&body, asked).map_err(Failure::Unreachable)
    }

    /// Tries the credentials: gives the identity token if the registry's token server hands one out.
    ///
    /// # Errors
    /// They are not accepted.
    pub async fn log_in(&self) -> Result<String> {
        let challenge = held(&self.challenge).clone();
        let mut identity = None;
        if let Some(Challenge::Bearer { realm, service, .. }) = challenge {
            let token = self.fetch_token(&realm, service.as_deref(), &[], true).await.map_err(Failure::error)?;
            identity = token.identity.clone();
            *self.token.lock().await = Some(token);
        }
        let reply = self.send(&Ask::get(self.target("/v2/"))).await?;
        match reply.status.is_success() {
            true => {
                reply.discard().await;
                Ok(identity.unwrap_or_default())
            }
            false => {
                let refusal = Refusal::read(reply).await;
                let (what, text) = (self.endpoint.address(), refusal.text());
                Err(Error::forbidden(format!("login attempt to {what}/v2/ failed with status {}: {text}", refusal.status)))
            }
        }
    }
}

/// No body.
pub fn nothing() -> Body {
    whole(Bytes::new())
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// What `Retry-After` says.
fn told(reply: &Reply) -> Option<Duration> {
    headers::retry_after(reply.header("retry-after")?, clock::now())
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
