//! # Network routes: made, joined, left, removed
//!
//! Each function reads its words out of the call and makes one call of the engine.
//!
//! * `GET /networks` shows who is on a network only to clients before 1.28; since then they ask for one network.
//! * `connect` and `disconnect` answer 200 with no body, `DELETE` 204.
//! * `POST /minidock/network/purge` is ours: the host's links, rules and settings become what they were before minidock came.
//!
//! See: moby `api/server/router/network`. Next room: [`crate::system`]

use crate::{
    answer::{Answer, done, empty, json, json_with},
    call::Call,
};
use http::StatusCode;
use minidock_base::Result;
use minidock_engine::networks::{connect, create, list, remove};
use serde_json::json;

/// `GET /networks?filters=`.
pub async fn list(call: Call) -> Result<Answer> {
    json(&list::list(&call.engine, &call.query.filters()?, call.minor < 28)?)
}

/// `GET /networks/{id or name}?scope=&verbose=`.
pub async fn inspect(call: Call, id: &str) -> Result<Answer> {
    json(&list::inspect(&call.engine, id, call.query.text("scope"))?)
}

/// `POST /networks/create`.
pub async fn create(mut call: Call) -> Result<Answer> {
    let wish = call.json().await?;
    json_with(StatusCode::CREATED, &create::create(&call.engine, wish).await?)
}

/// `DELETE /networks/{id or name}`.
pub async fn remove(call: Call, id: &str) -> Result<Answer> {
    remove::remove(&call.engine, id).await?;
    done()
}

/// `POST /networks/{id or name}/connect`.
pub async fn connect(mut call: Call, id: &str) -> Result<Answer> {
    let wish = call.json().await?;
    connect::connect(&call.engine, id, wish).await?;
    Ok(empty(StatusCode::OK))
}

/// `POST /networks/{id or name}/disconnect`.
pub async fn disconnect(mut call: Call, id: &str) -> Result<Answer> {
    let wish = call.json().await?;
    connect::disconnect(&call.engine, id, wish).await?;
    Ok(empty(StatusCode::OK))
}

/// `POST /networks/prune?filters=`.
pub async fn prune(call: Call) -> Result<Answer> {
    json(&remove::prune(&call.engine, &call.query.filters()?).await?)
}

/// `POST /minidock/network/purge`: what was taken away.
pub async fn purge(call: Call) -> Result<Answer> {
    json(&json!({ "Removed": remove::purge(&call.engine).await? }))
}
