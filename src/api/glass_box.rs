//! # Glass box routes: what Docker does not have
//!
//! Everything of ours that is not Docker's lives below `/minidock/`, so that no client can mistake one for the other: the story of
//! a container's kernel calls, the calls themselves as they happen, and the end of the daemon.
//!
//! See: design.md section 6 · [`minidock_engine::container::explain`]. Next room: [`crate::system`]

use crate::{
    answer::{Answer, bytes, empty, json},
    call::Call,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_engine::{container::explain, networks::remove, reach};
use tokio_util::sync::CancellationToken;

/// `GET /minidock/containers/{id}/explain?format=prose|json|sh`.
pub async fn explain(call: Call, id: &str) -> Result<Answer> {
    let format = call.query.text("format").unwrap_or("prose");
    let story = explain::explain(&call.engine, id, format).await?;
    let kind = if format == "json" { "application/json" } else { "text/plain; charset=utf-8" };
    Ok(bytes(kind, stream::once(std::future::ready(Ok(Bytes::from(story)))).boxed()))
}

/// `GET /minidock/containers/{id}/actions`: one JSON object a line, as they are recorded, until the container has ended.
pub async fn actions(call: Call, id: &str) -> Result<Answer> {
    Ok(bytes("application/json", explain::follow(&call.engine, id).await?))
}

/// `GET /minidock/why/reach?from=A&to=B[:port]`: the chain from one to the other, to the first link that does not hold.
pub async fn reach(call: Call) -> Result<Answer> {
    let end = |which: &str| match call.query.text(which).unwrap_or_default() {
        "" => Err(Error::invalid(format!("{which}= is missing")).hint("from=A&to=B, or to=B:PORT")),
        text => Ok(text.to_string()),
    };
    json(&reach::reach(&call.engine, &end("from")?, &end("to")?).await?)
}

/// `POST /minidock/stop?purge-network=`: the daemon ends, containers go on. With the flag the host's network becomes what it was
/// before minidock came, unless a container is still on a network of ours.
pub async fn stop(call: Call, stop: CancellationToken) -> Result<Answer> {
    if call.query.flag("purge-network") {
        remove::purge(&call.engine).await?;
    }
    stop.cancel();
    Ok(empty(StatusCode::NO_CONTENT))
}
