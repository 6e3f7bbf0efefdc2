//! # Network routes: made, joined, left, removed
//!
//! Each function reads its words out of the call and makes one call of the engine; what is a swarm's goes to
//! [`crate::swarm::networks`].
//!
//! * `GET /networks` shows who is on a network only to clients before 1.28; since then they ask for one network.
//! * `connect` and `disconnect` answer 200 with no body, `DELETE` 204.
//! * `POST /minidock/network/purge` is ours: the host's links, rules and settings become what they were before minidock came.
//!
//! See: moby `api/server/router/network`. Next room: [`crate::system`]

use crate::{
    answer::{Answer, done, empty, json, json_with},
    call::Call,
    swarm::networks as swarm,
};
use http::StatusCode;
use minidock_base::Result;
use minidock_engine::networks::{connect, create, remove};
use minidock_spec::engine::network::NetworkCreate;
use serde_json::json;

/// `GET /networks?filters=`.
pub async fn list(call: Call) -> Result<Answer> {
    json(&swarm::list(&call, &call.query.filters()?, call.minor < 28)?)
}

/// `GET /networks/{id or name}?scope=&verbose=`.
pub async fn inspect(call: Call, id: &str) -> Result<Answer> {
    json(&swarm::inspect(&call, id, call.query.text("scope"), call.query.flag("verbose"))?)
}

/// `POST /networks/create`.
pub async fn create(mut call: Call) -> Result<Answer> {
    let wish: NetworkCreate = call.json().await?;
    if swarm::is_ours(&call, &wish) {
        return json_with(StatusCode::CREATED, &swarm::create(&call, wish).await?);
    }
    swarm::check_name(&call, &wish.name)?;
    json_with(StatusCode::CREATED, &create::create(&call.engine, wish).await?)
}

/// `DELETE /networks/{id or name}`.
pub async fn remove(call: Call, id: &str) -> Result<Answer> {
    if !swarm::remove(&call, id).await? {
        remove::remove(&call.engine, id).await?;
    }
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
    let filters = call.query.filters()?;
    let mut pruned = remove::prune(&call.engine, &filters).await?;
    let of_swarm = swarm::prune(&call, &filters).await?;
    if !of_swarm.is_empty() {
        pruned.networks_deleted.get_or_insert_default().extend(of_swarm);
    }
    json(&pruned)
}

/// `POST /minidock/network/purge`: what was taken away.
pub async fn purge(call: Call) -> Result<Answer> {
    json(&json!({ "Removed": remove::purge(&call.engine).await? }))
}
