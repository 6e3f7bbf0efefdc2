//! # Call: one request, taken apart once
//!
//! A handler wants words, not HTTP: the parts of the path, the values of the query, the body as a value. [`Call`] is made
//! once per request and hands these out.
//!
//! * [`Query`] knows Docker's booleans (`1`, `true`, `True`, `yes`: anything but `""`, `0`, `no`, `false`, `none`) and says
//!   which parameter is bad.
//! * [`Call::json`] checks the content type first, as Docker does, and bounds the body ([`MOST`]): a request never decides
//!   how much memory the daemon takes.
//! * [`Call::upgrade`] is the promise of the bare connection, see [`crate::hijack`].
//!
//! See: moby `api/server/httputils/{form,httputils}.go` · WHATWG URL, application/x-www-form-urlencoded.
//! Next room: [`crate::answer`]

use crate::House;
use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, Method, Request, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Frame, Incoming},
    upgrade::OnUpgrade,
};
use minidock_base::{Error, Result, units::human_bytes};
use minidock_cluster::Cluster;
use minidock_engine::Engine;
use minidock_registry::client::Client;
use minidock_spec::engine::{body, filters::Filters};
use minidock_swarm::{manager::Manager, node::Swarm};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The largest JSON body that is read.
const MOST: usize = 8 << 20;
/// How much of a longer one is read before the connection is cut.
const PATIENCE: usize = 64 << 20;

/// One request to the engine.
pub struct Call {
    pub engine: Arc<Engine>,
    /// The way to registries.
    pub registry: Arc<Client>,
    /// The simulated nodes that this daemon hosts.
    pub cluster: Arc<Cluster>,
    /// This machine's part in a swarm, or in none.
    pub swarm: Arc<Swarm>,
    pub method: Method,
    /// The parts of the path behind the version, unescaped; empty ones left out.
    pub path: Vec<String>,
    /// The minor number of the API version that was asked for.
    pub minor: u16,
    pub query: Query,
    pub headers: HeaderMap,
    upgrade: Option<OnUpgrade>,
    body: Rest,
}

impl Call {
    /// Takes a request apart; `path` is its path without the version.
    pub fn new(house: House, mut request: Request<Incoming>, path: &str, minor: u16) -> Call {
        let House { engine, registry, cluster, swarm } = house;
        let upgrade = request.headers().contains_key(http::header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let (head, body) = request.into_parts();
        Call {
            engine,
            registry,
            cluster,
            swarm,
            method: head.method,
            path: path.split('/').filter(|part| !part.is_empty()).map(|part| unescape(part, false)).collect(),
            minor,
            query,
            headers: head.headers,
            upgrade,
            body: Rest(Some(body)),
        }
    }

    /// This machine as a manager.
    ///
    /// # Errors
    /// 503, in Docker's words: it is none.
    pub fn manager(&self) -> Result<Arc<Manager>> {
        self.swarm.manager()
    }

    /// The body as a value.
    ///
    /// # Errors
    /// 400 for another content type, an empty body, or one that is no such JSON.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        body::decode(&self.checked_bytes().await?)
    }

    /// The body as a value; nothing at all is the default.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub async fn json_or_default<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        body::decode_or_default(&self.checked_bytes().await?)
    }

    async fn checked_bytes(&mut self) -> Result<Bytes> {
        let text =
            self.headers.get(CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default();
        let bytes = self.bounded_bytes().await?;
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match (kind.as_str(), bytes.is_empty()) {
            ("application/json", _) | ("", true) => Ok(bytes),
            _ => Err(Error::invalid(format!("unsupported Content-Type header ({text}): must be 'application/json'"))),
        }
    }

    /// A body that is too long is read on for a while and thrown away: a client that still writes would not read the refusal.
    async fn bounded_bytes(&mut self) -> Result<Bytes> {
        let (mut bytes, mut read) = (BytesMut::new(), 0);
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|e| Error::invalid(format!("cannot read the request body: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            read += data.len();
            if read > PATIENCE {
                break;
            }
            match read <= MOST {
                true => bytes.extend_from_slice(&data),
                false => bytes.clear(),
            }
        }
        match read <= MOST {
            true => Ok(bytes.freeze()),
            false => Err(Error::invalid(format!("the request body is longer than {}", human_bytes(MOST as f64)))),
        }
    }

    /// The body as it comes in: archives.
    pub fn stream(self) -> BoxStream<'static, Result<Bytes>> {
        let pieces = stream::unfold(self.body, |mut body| async move {
            loop {
                match body.frame().await?.map(Frame::into_data) {
                    Ok(Ok(piece)) => return Some((Ok(piece), body)),
                    Ok(Err(_trailers)) => {}
                    Err(e) => return Some((Err(Error::invalid(format!("cannot read the request body: {e}"))), body)),
                }
            }
        });
        pieces.boxed()
    }

    /// The connection itself, once the answer's head is sent; none when the client did not ask for it.
    pub fn upgrade(&mut self) -> Option<OnUpgrade> {
        self.upgrade.take()
    }

    /// One header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// What of a body has not been read yet. A client that still writes would not read the answer, but stumble over a closed connection; so what
/// nobody wanted is read on for a while and thrown away, while the answer is on its way.
struct Rest(Option<Incoming>);

impl Rest {
    async fn frame(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        match self.0.as_mut() {
            Some(body) => body.frame().await,
            None => None,
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        tokio::spawn(async move {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > PATIENCE {
                    return;
                }
            }
        });
    }
}

/// The words behind the question mark.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Takes `a=b&c` apart.
    pub fn parse(text: &str) -> Query {
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) => (unescape(key, true), unescape(value, true)),
            None => (unescape(part, true), String::new()),
        };
        Query(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The first value of a key; `None` when it is absent or empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        let first = self.0.iter().find(|(k, _)| k == key);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of a key that is given more than once.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whether the key was given at all.
    pub fn has(&self, key: &str) -> bool {
        self.all(key).next().is_some()
    }

    /// A boolean as Docker reads it.
    pub fn flag(&self, key: &str) -> bool {
        !matches!(self.text(key).unwrap_or_default().trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The same, with another default than no.
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        match self.text(key) {
            Some(_) => self.flag(key),
            None => default,
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn number(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(format!("invalid value for {key}: {text:?} is not a whole number"))),
        }
    }

    /// The parameter `filters`.
    ///
    /// # Errors
    /// 400 `invalid filter`.
    pub fn filters(&self) -> Result<Filters> {
        Filters::parse(self.text("filters").unwrap_or_default())
    }
}

/// Undoes percent-escapes (and `+` in a query); a broken escape stays as it is.
fn unescape(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        match (bytes[at], digits.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) if plus => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_read_as_docker_reads_them() {
        let query = Query::parse("a=1&b=True&c=no&d=&names=x%2Fy&names=z+w&e");
        assert!(
            query.flag("a") && query.flag("b") && !query.flag("c") && !query.flag("d") && !query.flag("e") && !query.flag("f")
        );
        assert_eq!(query.all("names").collect::<Vec<_>>(), ["x/y", "z w"]);
        assert_eq!(query.number("a").expect("a number"), Some(1));
        assert!(query.number("b").unwrap_err().message().contains("invalid value for b"));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(text in "\\PC{0,60}") {
            let query = Query::parse(&text);
            let _ = (query.flag("a"), query.number("a"), query.filters());
            let _ = unescape(&text, false);
        }
    }
}
