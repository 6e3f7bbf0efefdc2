//! # Container routes: create, start, stop, and what is known
//!
//! Each function here reads its words out of the call, makes one call of the engine, and chooses the status that Docker's
//! clients expect. Streams (attach, logs, wait, stats) are in [`crate::streams`], files in [`crate::archive`].
//!
//! * A container that is already started or stopped is 304 without a body: the engine says [`minidock_base::Kind::NotModified`].
//! * 404 on `create` means *the image is missing* and nothing else: clients answer it with a pull.
//!
//! See: moby `api/server/router/container/container_routes.go`. Next room: [`crate::streams`]

use crate::{
    answer::{Answer, done, empty, json, json_with},
    call::Call,
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_engine::{
    container::{attach, changes, commit, create, inspect, list, pause, prune, remove, rename, start, stop, top, update},
    networks::wishes,
};
use minidock_spec::engine::container::CreateBody;

/// `GET /containers/json`.
pub async fn list(call: Call) -> Result<Answer> {
    let query = &call.query;
    let options = list::ListOptions {
        all: query.flag("all"),
        size: query.flag("size"),
        limit: query.number("limit")?.unwrap_or(0),
        filters: query.filters()?,
    };
    json(&list::list(&call.engine, options).await?)
}

/// `POST /containers/create?name=&platform=`.
pub async fn create(mut call: Call) -> Result<Answer> {
    let mut body: CreateBody = call.json().await?;
    let warnings = wishes::for_version(&mut body, call.minor)?;
    let (name, platform) = (call.query.text("name"), call.query.text("platform"));
    let mut created = create::create(&call.engine, name, body, platform).await?;
    created.warnings.extend(warnings);
    json_with(StatusCode::CREATED, &created)
}

/// `GET /containers/{id}/json`.
pub async fn inspect(call: Call, id: &str) -> Result<Answer> {
    json(&inspect::inspect(&call.engine, id, call.query.flag("size"), call.minor).await?)
}

/// `POST /containers/{id}/start`.
pub async fn start(call: Call, id: &str) -> Result<Answer> {
    start::start(&call.engine, id).await?;
    done()
}

/// `POST /containers/{id}/stop?t=&signal=`.
pub async fn stop(call: Call, id: &str) -> Result<Answer> {
    stop::stop(&call.engine, id, call.query.number("t")?, call.query.text("signal")).await?;
    done()
}

/// `POST /containers/{id}/restart?t=&signal=`.
pub async fn restart(call: Call, id: &str) -> Result<Answer> {
    stop::restart(&call.engine, id, call.query.number("t")?, call.query.text("signal")).await?;
    done()
}

/// `POST /containers/{id}/kill?signal=`.
pub async fn kill(call: Call, id: &str) -> Result<Answer> {
    stop::kill(&call.engine, id, call.query.text("signal")).await?;
    done()
}

/// `POST /containers/{id}/pause`.
pub async fn pause(call: Call, id: &str) -> Result<Answer> {
    pause::pause(&call.engine, id).await?;
    done()
}

/// `POST /containers/{id}/unpause`.
pub async fn unpause(call: Call, id: &str) -> Result<Answer> {
    pause::unpause(&call.engine, id).await?;
    done()
}

/// `DELETE /containers/{id}?v=&force=&link=`.
pub async fn remove(call: Call, id: &str) -> Result<Answer> {
    let query = &call.query;
    let how = remove::Removal { force: query.flag("force"), volumes: query.flag("v"), link: query.flag("link") };
    remove::remove(&call.engine, id, how).await?;
    done()
}

/// `DELETE /containers/{id}/{alias}?link=1`.
pub async fn remove_link(call: Call, path: &str) -> Result<Answer> {
    match call.query.flag("link") {
        true => remove(call, path).await,
        false => Err(Error::not_found("page not found")),
    }
}

/// `POST /containers/{id}/rename?name=`.
pub async fn rename(call: Call, id: &str) -> Result<Answer> {
    let new = call.query.text("name").unwrap_or_default();
    rename::rename(&call.engine, id, new).await?;
    done()
}

/// `POST /containers/{id}/update`.
pub async fn update(mut call: Call, id: &str) -> Result<Answer> {
    let body = call.json().await?;
    json(&update::update(&call.engine, id, body).await?)
}

/// `POST /containers/{id}/resize?h=&w=`.
pub async fn resize(call: Call, id: &str) -> Result<Answer> {
    let (rows, cols) = size(&call)?;
    attach::resize(&call.engine, id, rows, cols).await?;
    Ok(empty(StatusCode::OK))
}

/// The rows and columns of a resize.
///
/// # Errors
/// 400 when one is missing or is no number of that size.
pub fn size(call: &Call) -> Result<(u16, u16)> {
    let side = |key: &str| {
        let number = call.query.number(key)?.and_then(|n| u16::try_from(n).ok());
        number.ok_or_else(|| Error::invalid(format!("invalid value for {key}: a number of rows or columns is needed")))
    };
    Ok((side("h")?, side("w")?))
}

/// `GET /containers/{id}/top?ps_args=`.
pub async fn top(call: Call, id: &str) -> Result<Answer> {
    json(&top::top(&call.engine, id, call.query.text("ps_args").unwrap_or_default()).await?)
}

/// `GET /containers/{id}/changes`.
pub async fn changes(call: Call, id: &str) -> Result<Answer> {
    let changes = changes::changes(&call.engine, id).await?;
    // an untouched container is `null` for Docker's clients, not an empty list
    match changes.is_empty() {
        true => json(&()),
        false => json(&changes),
    }
}

/// `POST /containers/prune`.
pub async fn prune(call: Call) -> Result<Answer> {
    json(&prune::prune(&call.engine, &call.query.filters()?).await?)
}

/// `POST /commit?container=&repo=&tag=&comment=&author=&changes=&pause=`, with a configuration in the body.
pub async fn commit(mut call: Call) -> Result<Answer> {
    let config = call.json_or_default().await?;
    let query = &call.query;
    let text = |key: &str| query.text(key).unwrap_or_default().to_string();
    let options = commit::CommitOptions {
        container: text("container"),
        repository: text("repo"),
        tag: text("tag"),
        comment: text("comment"),
        author: text("author"),
        changes: query.all("changes").filter(|c| !c.is_empty()).map(str::to_string).collect(),
        pause: query.flag_or("pause", true),
        config,
    };
    json_with(StatusCode::CREATED, &commit::commit(&call.engine, options).await?)
}
