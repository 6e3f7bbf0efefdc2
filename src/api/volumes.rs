//! # Volume routes
//!
//! Six routes, each one call of [`minidock_engine::volumes`]. Before version 1.42 `prune` meant all unused volumes; since then
//! only anonymous ones, unless the filter `all` says otherwise.
//!
//! See: moby `api/server/router/volume`. Next room: [`crate::networks`]

use crate::{
    answer::{Answer, done, json, json_with},
    call::Call,
};
use http::StatusCode;
use minidock_base::Result;
use minidock_engine::{prune, volumes};

/// `GET /volumes`.
pub async fn list(call: Call) -> Result<Answer> {
    json(&volumes::list(&call.engine, &call.query.filters()?).await?)
}

/// `POST /volumes/create`.
pub async fn create(mut call: Call) -> Result<Answer> {
    let wish = call.json().await?;
    json_with(StatusCode::CREATED, &volumes::create(&call.engine, wish).await?)
}

/// `GET /volumes/{name}`.
pub async fn inspect(call: Call, name: &str) -> Result<Answer> {
    json(&volumes::inspect(&call.engine, name).await?)
}

/// `DELETE /volumes/{name}`.
pub async fn remove(call: Call, name: &str) -> Result<Answer> {
    volumes::remove(&call.engine, name, call.query.flag("force")).await?;
    done()
}

/// `POST /volumes/prune`.
pub async fn prune(call: Call) -> Result<Answer> {
    let mut filters = call.query.filters()?;
    if call.minor < 42 {
        filters.take("all");
        filters.add("all", "true");
    }
    json(&prune::volumes(&call.engine, &filters).await?)
}
