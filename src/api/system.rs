//! # System routes: ping, version, info, events, disk usage
//!
//! The first thing every client asks is `/_ping`, and it reads the answer's *headers*: which API version is spoken here,
//! which builder is to be used, whether this is a swarm. The rest of this room is what the whole engine is and what happens to
//! it.
//!
//! * `Builder-Version: 1` is the classic builder: clients then send `POST /build` and no BuildKit sessions.
//! * [`events`] is a stream without an end, unless `until` is given.
//!
//! See: moby `api/server/router/system`. Next room: [`crate::elsewhere`]

use crate::{
    answer::{Answer, bytes, empty, json, line, text},
    call::Call,
    registry, swarm,
};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_build::prune::{self, CacheUsage};
use minidock_engine::{disk_usage, events::FILTERS, system};

/// `GET` and `HEAD /_ping`.
pub fn ping(call: Call) -> Result<Answer> {
    let mut answer = match call.method == http::Method::HEAD {
        true => empty(StatusCode::OK),
        false => text("OK"),
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static(swarm::standing(&call.swarm.info())));
    Ok(answer)
}

/// `GET /version`.
pub async fn version(call: Call) -> Result<Answer> {
    json(&system::version(&call.engine).await?)
}

/// `GET /info`.
pub async fn info(call: Call) -> Result<Answer> {
    let mut info = system::info(&call.engine).await?;
    info.registry_config = registry::facts(&call.registry);
    info.swarm = serde_json::to_value(call.swarm.info()).map_err(|e| Error::system(e.to_string()))?;
    info.index_server_address = "https://index.docker.io/v1/".into();
    json(&info)
}

/// `GET /system/df?type=`.
pub async fn disk_usage(call: Call) -> Result<Answer> {
    let parts = disk_usage::Parts::read(call.query.all("type"))?;
    let mut usage = disk_usage::disk_usage(&call.engine, parts).await?;
    if parts.build_cache {
        let caches = prune::usage(&call.engine).await?;
        usage.builder_size = caches.iter().map(|cache| cache.bytes).sum();
        usage.build_cache = Some(caches.iter().map(CacheUsage::shown).collect());
    }
    json(&usage)
}

/// `GET /events?since=&until=&filters=`.
pub fn events(call: Call) -> Result<Answer> {
    let filters = call.query.filters()?;
    filters.accept(FILTERS)?;
    let (since, until) = (time(&call, "since")?, time(&call, "until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Error::invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let lines = call.engine.events.subscribe(since, until, filters).map(|event| event.and_then(|e| line(&e)));
    Ok(bytes("application/json", lines.boxed()))
}

/// Seconds since 1970 with an optional fraction, as `since` and `until` are sent; zero and nothing are none.
///
/// # Errors
/// 400 that names the parameter.
pub fn time(call: &Call, key: &str) -> Result<Option<Timestamp>> {
    let Some(text) = call.query.text(key) else { return Ok(None) };
    let bad = || Error::invalid(format!("invalid value for \"{key}\": {text:?} is no time in seconds"));
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| bad())?;
    let nanos: i32 = match fraction {
        "" => 0,
        digits if digits.len() <= 9 && digits.bytes().all(|c| c.is_ascii_digit()) => {
            format!("{digits:0<9}").parse().map_err(|_| bad())?
        }
        _ => return Err(bad()),
    };
    match (seconds, nanos) {
        (0, 0) => Ok(None),
        _ => Timestamp::new(seconds, nanos).map(Some).map_err(|_| bad()),
    }
}
