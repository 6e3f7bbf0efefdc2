//! # Wire: one request over one connection
//!
//! The lowest of the client's rooms: a connection is opened (TCP, TLS where the endpoint is secure), one request goes out, one
//! answer's head comes back, and its body is read piece by piece. A body read to its end gives the connection back for the
//! next request; one that is dropped half-way closes it.
//!
//! ```text
//!   send(endpoint, request) ──► idle connection, else connect ──► head ──► Reply ──chunk()──► … end ──► idle again
//!                                10 s                             patience      60 s between pieces
//! ```
//!
//! * [`Failure`] tells two things apart: nobody was there ([`Failure::Unreachable`]), or somebody was and it broke
//!   ([`Failure::Broken`]); only the second is worth a quick second try.
//!
//! Laws: every wait has a limit; a piece of a body is never held twice. See: RFC 9112. Next room: [`super::session`]

use super::tls;
use crate::settings::{Endpoint, RegistryConfig};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use minidock_base::{Error, Result};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a body may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How many idle connections to one host are kept.
const IDLE: usize = 8;

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection came about: nobody there, no such host, no agreement on TLS.
    Unreachable(Error),
    /// The connection broke under the request or its answer.
    Broken(Error),
}

impl Failure {
    pub fn error(self) -> Error {
        match self {
            Failure::Unreachable(error) | Failure::Broken(error) => error,
        }
    }
}

type Idle = Arc<Mutex<HashMap<Endpoint, Vec<SendRequest<Body>>>>>;

/// All connections of a client.
pub struct Wire {
    idle: Idle,
    tls: Mutex<HashMap<(String, bool), Arc<ClientConfig>>>,
    config: RegistryConfig,
}

impl Wire {
    pub fn new(config: RegistryConfig) -> Wire {
        Wire { idle: Arc::default(), tls: Mutex::default(), config }
    }

    /// Sends a request and waits at most `patience` for the head of its answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send(&self, to: &Endpoint, request: Request<Body>, patience: Duration) -> std::result::Result<Reply, Failure> {
        let what = format!("{} \"{}{}\"", request.method(), to.address().trim_end_matches(&to.prefix), request.uri());
        let told = |why: String| Error::unavailable(format!("{what}: {why}"));
        let mut sender = match self.take_idle(to) {
            Some(sender) => sender,
            None => self.connect(to).await.map_err(|why| Failure::Unreachable(told(why)))?,
        };
        let sent = timeout(patience, sender.send_request(request)).await;
        let answer = match sent {
            Err(_) => return Err(Failure::Broken(told(format!("no answer within {} s", patience.as_secs())))),
            Ok(Err(error)) => return Err(Failure::Broken(told(reason(&error)))),
            Ok(Ok(answer)) => answer,
        };
        let (head, body) = answer.into_parts();
        let back = Some((sender, to.clone(), self.idle.clone()));
        Ok(Reply { status: head.status, headers: head.headers, body, back, what })
    }

    /// An idle connection that has not been closed by the other side meanwhile.
    fn take_idle(&self, to: &Endpoint) -> Option<SendRequest<Body>> {
        let mut idle = held(&self.idle);
        let kept = idle.get_mut(to)?;
        loop {
            let sender = kept.pop()?;
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    async fn connect(&self, to: &Endpoint) -> std::result::Result<SendRequest<Body>, String> {
        let host = to.host.trim_start_matches('[').trim_end_matches(']').to_string();
        let dial = async {
            let stream = TcpStream::connect((host.as_str(), to.port)).await.map_err(|e| dialling(to, &e))?;
            let _ = stream.set_nodelay(true); // slower without, but as right
            match to.secure {
                false => handshake(TokioIo::new(stream)).await,
                true => {
                    let config = self.tls(to).map_err(|e| e.message())?;
                    let name =
                        ServerName::try_from(host.clone()).map_err(|_| format!("{host:?} is no name for a certificate"))?;
                    let secure = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
                    handshake(TokioIo::new(secure.map_err(|e| format!("tls: {e}"))?)).await
                }
            }
        };
        match timeout(CONNECT, dial).await {
            Ok(dialled) => dialled,
            Err(_) => Err(format!("dial tcp {}: no answer within {} s", to.authority(), CONNECT.as_secs())),
        }
    }

    fn tls(&self, to: &Endpoint) -> Result<Arc<ClientConfig>> {
        let key = (to.authority(), to.verify);
        if let Some(known) = held(&self.tls).get(&key) {
            return Ok(known.clone());
        }
        // the folder may be named with the port or, for the usual one, without
        let mut folders = self.config.folders(&key.0);
        if to.mirror_of.is_none() && to.host.ends_with(".docker.io") {
            folders.extend(self.config.folders("docker.io"));
        }
        let config = tls::config(to.verify, &folders)?;
        held(&self.tls).insert(key, config.clone());
        Ok(config)
    }
}

/// `lookup` failures and refusals, in words that people search for.
fn dialling(to: &Endpoint, error: &io::Error) -> String {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("dial tcp {}:{}: connect: connection refused", to.host, to.port),
        _ if text.contains("lookup") || text.contains("name resolution") || text.contains("not known") => {
            format!("dial tcp: lookup {}: {}", to.host, text.trim_start_matches("failed to lookup address information: "))
        }
        _ => format!("dial tcp {}:{}: {text}", to.host, to.port),
    }
}

async fn handshake<S>(io: TokioIo<S>) -> std::result::Result<SendRequest<Body>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(|e| reason(&e))?;
    tokio::spawn(async move {
        // a connection that fails tells its request, which waits for it
        let _ = connection.await;
    });
    Ok(sender)
}

/// An error of hyper's with what lies below it.
fn reason(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An answer whose body has yet to be read.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    back: Option<(SendRequest<Body>, Endpoint, Idle)>,
    what: String,
}

impl Reply {
    /// `GET "https://…"`: the request that it answers.
    pub fn what(&self) -> &str {
        &self.what
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or said nothing for a minute.
    pub async fn chunk(&mut self) -> std::result::Result<Option<Bytes>, Failure> {
        loop {
            let told = |why: String| Failure::Broken(Error::unavailable(format!("{}: {why}", self.what)));
            match timeout(SILENCE, self.body.frame()).await {
                Err(_) => return Err(told(format!("nothing came for {} s", SILENCE.as_secs()))),
                Ok(None) => {
                    self.give_back();
                    return Ok(None);
                }
                Ok(Some(Err(error))) => return Err(told(reason(&error))),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }

    /// The whole body, which must not be longer than `most` bytes.
    ///
    /// # Errors
    /// As [`Reply::chunk`]; a body that is longer.
    pub async fn bytes(mut self, most: usize) -> std::result::Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                return Err(Failure::Broken(Error::invalid(format!("{}: the answer is longer than {most} bytes", self.what))));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Reads away a short body nobody wants, so that the connection can be used again.
    pub async fn discard(self) {
        let _ = self.bytes(64 << 10).await; // else the connection closes
    }

    fn give_back(&mut self) {
        let Some((mut sender, to, idle)) = self.back.take() else { return };
        tokio::spawn(async move {
            if timeout(Duration::from_secs(1), sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                let mut idle = held(&idle);
                let kept = idle.entry(to).or_default();
                if kept.len() < IDLE {
                    kept.push(sender);
                }
            }
        });
    }
}
