//! # Docker: the connection to a daemon
//!
//! One value that knows where the daemon is and which version both sides speak. It is cheap to clone; clones share the
//! connections. A request takes an idle connection or dials a new one (a unix socket costs some tens of microseconds), so
//! `attach`, `wait` and `start` of one `run` can be open side by side.
//!
//! * [`Docker::connect`] asks `HEAD /_ping` which version the daemon speaks, unless the caller already knows.
//! * [`Docker::get`], [`Docker::post`], [`Docker::delete`]: JSON in, JSON out.
//! * [`Docker::send`]: any [`Wish`], giving an [`Answer`].
//! * [`Docker::hijack`]: a wish that turns the connection into a pipe.
//!
//! Laws: an answer of 400 or more becomes an `Error` here and nowhere else; 304 passes. *See:* Engine API, Versioning and
//! Errors. *Next room:* [`crate::answer`]

use crate::{
    Address, Answer, Hijacked, Route,
    wish::{Body, Wish},
};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use minidock_base::{Doing, Error, Kind, Result};
use minidock_spec::engine::{API_VERSION, ErrorBody};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a daemon; clones share it.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    version: String,
    idle: Mutex<Vec<SendRequest<Body>>>,
    tell: Option<fn(&str)>,
}

/// What a daemon says of itself when pinged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    pub api_version: String,
    /// `Docker/20.10.24 (linux)`, `minidock/…`.
    pub server: String,
}

impl Docker {
    /// A connection that speaks `version`, or the best that both sides know.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when nobody answers at `address`, [`Kind::Forbidden`] when the socket is not ours to use.
    pub async fn connect(address: Address, version: Option<&str>) -> Result<Docker> {
        let fixed = version.unwrap_or(API_VERSION).to_string();
        let docker = Docker { shared: Arc::new(Shared { address, version: fixed, idle: Mutex::new(Vec::new()), tell: None }) };
        if version.is_some() {
            let first = docker.dial().await?;
            docker.keep(first);
            return Ok(docker);
        }
        let theirs = docker.ping().await?.api_version;
        Ok(docker.with(lower(&theirs, API_VERSION), None))
    }

    /// The same connection, which gives `tell` a line about every request and its answer.
    pub fn telling(self, tell: fn(&str)) -> Docker {
        self.with(self.version(), Some(tell))
    }

    fn with(&self, version: &str, tell: Option<fn(&str)>) -> Docker {
        let idle = Mutex::new(std::mem::take(&mut *self.idle()));
        Docker { shared: Arc::new(Shared { address: self.address().clone(), version: version.to_string(), idle, tell }) }
    }

    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The API version both sides speak.
    pub fn version(&self) -> &str {
        &self.shared.version
    }

    /// Whether both sides speak at least API `version` (`"1.42"`).
    pub fn speaks(&self, version: &str) -> bool {
        lower(version, self.version()) == version
    }

    /// Asks who is there.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub async fn ping(&self) -> Result<Ping> {
        let answer = self.send(Wish::head(&Route::new("/_ping", []))).await?;
        let header = |name| answer.header(name).unwrap_or_default().to_string();
        let api_version = answer.header("api-version").unwrap_or("1.24").to_string();
        Ok(Ping { api_version, server: header("server") })
    }

    /// `GET`, giving JSON.
    ///
    /// # Errors
    /// The daemon's refusal, or a broken connection.
    pub async fn get<T: DeserializeOwned>(&self, route: &Route) -> Result<T> {
        self.send(Wish::get(route)).await?.json().await
    }

    /// `POST` with a JSON body (`&()` for none), giving JSON; use `post::<serde::de::IgnoredAny>` where nothing comes back.
    ///
    /// # Errors
    /// The daemon's refusal, or a broken connection.
    pub async fn post<T: DeserializeOwned>(&self, route: &Route, body: &impl Serialize) -> Result<T> {
        self.send(Wish::post(route).json(body)?).await?.json().await
    }

    /// `POST` without a body, where nothing comes back but the status.
    ///
    /// # Errors
    /// The daemon's refusal, or a broken connection.
    pub async fn poke(&self, route: &Route) -> Result<()> {
        self.send(Wish::post(route)).await?.bytes().await.map(drop)
    }

    /// `DELETE`, giving JSON (`()` where nothing comes back).
    ///
    /// # Errors
    /// The daemon's refusal, or a broken connection.
    pub async fn delete<T: DeserializeOwned>(&self, route: &Route) -> Result<T> {
        self.send(Wish::delete(route)).await?.json().await
    }

    /// Sends a wish and gives back the answer as soon as its head is there.
    ///
    /// # Errors
    /// The daemon's refusal (400 and more), or a broken connection.
    pub async fn send(&self, wish: Wish) -> Result<Answer> {
        let (sender, response) = self.ask(wish, false).await?;
        self.keep(sender);
        judge(response).await
    }

    /// Sends a wish that ends HTTP on its connection.
    ///
    /// # Errors
    /// The daemon's refusal; `unable to upgrade to tcp, received N` when it answers anything but 101.
    pub async fn hijack(&self, wish: Wish) -> Result<Hijacked> {
        let (_sender, response) = self.ask(wish, true).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            judge(response).await?;
            return Err(Error::system(format!("unable to upgrade to tcp, received {status}")));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| self.lost(&e))?;
        Ok(Hijacked::new(upgraded))
    }

    /// Sends a request and waits for the head of its answer.
    async fn ask(&self, wish: Wish, upgrade: bool) -> Result<(SendRequest<Body>, http::Response<Incoming>)> {
        let mut sender = self.sender().await?;
        let request = self.request(wish, upgrade)?;
        let line = self.shared.tell.map(|tell| (tell, format!("{} {}", request.method(), request.uri()), Instant::now()));
        let response = sender.send_request(request).await.map_err(|e| self.lost(&e))?;
        if let Some((tell, asked, began)) = line {
            tell(&format!("{asked} → {} in {:.1} ms", response.status().as_u16(), began.elapsed().as_secs_f64() * 1000.0));
        }
        Ok((sender, response))
    }

    fn request(&self, wish: Wish, upgrade: bool) -> Result<Request<Body>> {
        let host = match &self.shared.address {
            Address::Unix(_) => "api.minidock",
            Address::Tcp(host) => host,
        };
        let mut request = Request::builder()
            .method(wish.method)
            .uri(wish.route.target(self.version()))
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("minidock/", env!("CARGO_PKG_VERSION"), " (linux)"));
        if let Some(kind) = wish.content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if upgrade {
            request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "tcp");
        }
        for (name, value) in wish.headers {
            let value = HeaderValue::from_str(&value).map_err(|_| Error::invalid(format!("header {name} is not text")))?;
            request = request.header(name, value);
        }
        request.body(wish.body).map_err(|e| Error::invalid(format!("this cannot be asked by HTTP: {e}")))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Body>>> {
        self.shared.idle.lock().expect("no holder panics")
    }

    fn keep(&self, sender: SendRequest<Body>) {
        self.idle().push(sender);
    }

    /// An idle connection whose last answer has been read to its end, or a new one.
    async fn sender(&self) -> Result<SendRequest<Body>> {
        {
            let mut idle = self.idle();
            idle.retain(|sender| !sender.is_closed());
            if let Some(at) = idle.iter().position(|sender| sender.is_ready()) {
                return Ok(idle.swap_remove(at));
            }
        }
        self.dial().await
    }

    async fn dial(&self) -> Result<SendRequest<Body>> {
        let address = &self.shared.address;
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| unreachable_daemon(address, &e))?;
                self.shake_hands(stream).await
            }
            Address::Tcp(host) => {
                let stream = TcpStream::connect(host.as_str()).await.map_err(|e| unreachable_daemon(address, &e))?;
                stream.set_nodelay(true).doing(|| format!("connect to {address}"))?;
                self.shake_hands(stream).await
            }
        }
    }

    async fn shake_hands<S>(&self, stream: S) -> Result<SendRequest<Body>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.lost(&e))?;
        tokio::spawn(connection.with_upgrades());
        sender.ready().await.map_err(|e| self.lost(&e))?;
        Ok(sender)
    }

    fn lost(&self, error: &hyper::Error) -> Error {
        Error::unavailable(format!("lost the daemon at {}: {error}", self.address()))
            .hint("see its log; containers go on without it")
    }
}

/// A refusal becomes an error with the daemon's own words.
async fn judge(response: http::Response<Incoming>) -> Result<Answer> {
    let (parts, body) = response.into_parts();
    let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
    if answer.status < 400 {
        return Ok(answer);
    }
    let status = answer.status;
    let bytes = answer.bytes().await.unwrap_or_default();
    Err(refusal(status, &bytes))
}

fn refusal(status: u16, body: &[u8]) -> Error {
    let kind = match status {
        400 => Kind::InvalidParameter,
        401 | 403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::NotImplemented,
        503 => Kind::Unavailable,
        _ => Kind::System,
    };
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { minidock: Some(wire), .. }) => Error::from_wire(wire).from_daemon(),
        Ok(ErrorBody { message, .. }) => Error::new(kind, message.trim_end()).from_daemon(),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            let said = if text.is_empty() { format!("status {status} without a word") } else { text.to_string() };
            Error::new(kind, said).from_daemon()
        }
    }
}

fn unreachable_daemon(address: &Address, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Error::forbidden(format!("permission denied while trying to connect to the minidock daemon at {address}"))
                .hint("sudo, or ask to be let in: the socket belongs to root")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::unavailable(format!("Cannot connect to the minidock daemon at {address}. Is the minidock daemon running?"))
                .hint("start one: minidock daemon")
        }
        _ => Error::unavailable(format!("Cannot connect to the minidock daemon at {address}: {error}")),
    }
}

/// The lower of two API versions.
fn lower<'a>(a: &'a str, b: &'a str) -> &'a str {
    let number = |text: &str| -> (u32, u32) {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
    };
    if number(a) < number(b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_not_text() {
        assert_eq!(lower("1.9", "1.45"), "1.9");
        assert_eq!(lower("1.51", "1.45"), "1.45");
        assert_eq!(lower("1.45", "1.45"), "1.45");
    }

    #[test]
    fn a_refusal_keeps_the_daemons_words_and_our_four_answers() {
        let docker = refusal(404, br#"{"message":"No such container: x"}"#);
        assert_eq!((docker.kind(), docker.message().as_str()), (Kind::NotFound, "No such container: x"));
        assert_eq!(docker.to_string(), "Error response from daemon: No such container: x");
        let ours = refusal(500, br#"{"message":"m","minidock":{"kind":"system","doing":["start container web"],"because":"EINVAL","try":"ext4","read":"src/x.rs"}}"#);
        assert_eq!(
            ours.to_string(),
            "Error response from daemon: cannot start container web\n  because EINVAL\n  try     ext4\n  read    src/x.rs"
        );
        assert_eq!(refusal(500, b"").message(), "status 500 without a word");
    }
}
