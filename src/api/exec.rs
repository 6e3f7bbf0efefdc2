//! # Exec routes: a second process inside
//!
//! Three steps, so that a client can attach before anything runs: create, start (which becomes the bare connection), inspect for
//! the exit code.
//!
//! See: moby `api/server/router/container/exec.go`. Next room: [`crate::archive`]

use crate::{
    answer::{Answer, empty, json, json_with},
    call::Call,
    containers::size,
    framed::Framed,
    hijack::hijack,
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_engine::container::exec;
use minidock_spec::engine::exec::{ExecCreate, ExecStart};

/// `POST /containers/{id}/exec`.
pub async fn create(mut call: Call, id: &str) -> Result<Answer> {
    let wish: ExecCreate = call.json().await?;
    if wish.cmd.is_empty() {
        return Err(Error::invalid("No exec command specified"));
    }
    json_with(StatusCode::CREATED, &exec::create(&call.engine, id, wish).await?)
}

/// `POST /exec/{id}/start`.
pub async fn start(mut call: Call, id: &str) -> Result<Answer> {
    let wish: ExecStart = call.json_or_default().await?;
    let raw = wish.tty;
    let Some(attached) = exec::start(&call.engine, id, wish).await? else { return Ok(empty(StatusCode::OK)) };
    let frames_wanted = attached.tty && !raw;
    hijack(&mut call, attached.tty && raw, async move |io| {
        let ended = match frames_wanted {
            true => attached.join(Framed::new(io)).await,
            false => attached.join(io).await,
        };
        if let Err(error) = ended {
            tracing::debug!("an attached client went: {}", error.message());
        }
    })
}

/// `POST /exec/{id}/resize?h=&w=`.
pub async fn resize(call: Call, id: &str) -> Result<Answer> {
    let (rows, cols) = size(&call)?;
    exec::resize(&call.engine, id, rows, cols).await?;
    Ok(empty(StatusCode::OK))
}

/// `GET /exec/{id}/json`.
pub async fn inspect(call: Call, id: &str) -> Result<Answer> {
    json(&exec::inspect(&call.engine, id).await?)
}
