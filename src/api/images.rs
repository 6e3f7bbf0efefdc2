//! # Image routes: list, inspect, tag, remove, and archives in and out
//!
//! An image's name has slashes and colons (`localhost:5000/team/app:1.0`), so it arrives as several words of the path and is
//! put together again by [`join`].
//!
//! * Archives stream: what comes in is unpacked while it comes, what goes out is made while it goes.
//! * **Progress** is one JSON value a line. What fails before the first line is an ordinary refusal; what fails later can only be
//!   said in a line of its own, `{"errorDetail": …}`, for the 200 has left already ([`progress`]).
//! * What needs a registry is in [`registry`].
//!
//! See: moby `api/server/router/image`. Next room: [`crate::volumes`]

use crate::{
    answer::{Answer, bytes_once_begun, empty, json, json_lines},
    call::Call,
    registry,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_engine::images::{self, facts, listing, transfer};
use minidock_spec::engine::image::{ErrorDetail, Progress};
use serde_json::{Value, json as value};

/// A name out of its words.
pub fn join(words: &[&str]) -> String {
    words.join("/")
}

/// `GET /images/json?all=&filters=&shared-size=`.
pub async fn list(call: Call) -> Result<Answer> {
    let query = &call.query;
    let mut filters = query.filters()?;
    // very old clients have a parameter of its own for the reference
    if let Some(reference) = query.text("filter") {
        filters.add("reference", reference);
    }
    let options = listing::ListOptions { all: query.flag("all"), filters, shared_size: query.flag("shared-size") };
    let images = listing::list(&call.engine, options).await?;
    match call.minor < 44 {
        false => json(&images),
        true => json(&images.iter().map(|image| with_virtual_size(value!(image))).collect::<Vec<_>>()),
    }
}

/// Before 1.44 the size had two names.
fn with_virtual_size(mut image: Value) -> Value {
    image["VirtualSize"] = image["Size"].clone();
    image
}

/// `GET /images/{name}/json`.
pub async fn inspect(call: Call, name: &[&str]) -> Result<Answer> {
    let mut image = value!(facts::inspect(&call.engine, &join(name)).await?);
    if let (false, Some(fields)) = (call.minor < 44, image.as_object_mut()) {
        fields.remove("VirtualSize");
    }
    json(&image)
}

/// `GET /images/{name}/history`.
pub async fn history(call: Call, name: &[&str]) -> Result<Answer> {
    json(&facts::history(&call.engine, &join(name)).await?)
}

/// `POST /images/{name}/tag?repo=&tag=`.
pub async fn tag(call: Call, name: &[&str]) -> Result<Answer> {
    let text = |key: &str| call.query.text(key).unwrap_or_default();
    images::tag(&call.engine, &join(name), text("repo"), text("tag")).await?;
    Ok(empty(StatusCode::CREATED))
}

/// `DELETE /images/{name}?force=&noprune=`.
pub async fn remove(call: Call, name: &[&str]) -> Result<Answer> {
    let how = images::removal(call.query.flag("force"), call.query.flag("noprune"));
    json(&images::remove(&call.engine, &join(name), how).await?)
}

/// `POST /images/prune?filters=`.
pub async fn prune(call: Call) -> Result<Answer> {
    json(&images::prune(&call.engine, &call.query.filters()?).await?)
}

/// `POST /images/load?quiet=`, with an archive in the body.
pub async fn load(call: Call) -> Result<Answer> {
    let (engine, quiet) = (call.engine.clone(), call.query.flag("quiet"));
    progress(transfer::load(&engine, call.stream(), quiet)).await
}

/// `GET /images/get?names=&names=` and `GET /images/{name}/get`.
pub async fn save(call: Call, name: Option<String>) -> Result<Answer> {
    let names = match name {
        Some(name) => vec![name],
        None => call.query.all("names").filter(|name| !name.is_empty()).map(str::to_string).collect(),
    };
    bytes_once_begun("application/x-tar", transfer::save(&call.engine, names).await?).await
}

/// `POST /images/create`: `fromSrc=-` takes a tree from the body, `fromImage` pulls.
pub async fn create(call: Call) -> Result<Answer> {
    let text = |key: &str| call.query.text(key).unwrap_or_default().to_string();
    match (call.query.text("fromImage"), call.query.text("fromSrc")) {
        (Some(name), _) => {
            let name = name.to_string();
            registry::pull(call, &name).await
        }
        (None, Some("-")) => {
            let options = transfer::ImportOptions {
                repository: text("repo"),
                tag: text("tag"),
                changes: call.query.all("changes").filter(|c| !c.is_empty()).map(str::to_string).collect(),
                message: text("message"),
            };
            let engine = call.engine.clone();
            progress(transfer::import(&engine, call.stream(), options)?).await
        }
        (None, Some(address)) => {
            Err(Error::not_implemented(format!("cannot import from {address}: the daemon fetches nothing"))
                .hint("fetch it and send it: curl ADDRESS | minidock import -"))
        }
        (None, None) => Err(Error::invalid("fromImage or fromSrc is needed")),
    }
}

/// A stream of progress: what fails before the first line is a refusal, what fails later is a line.
pub async fn progress(mut lines: BoxStream<'static, Result<Progress>>) -> Result<Answer> {
    let first = match lines.next().await {
        Some(first) => vec![first?],
        None => Vec::new(),
    };
    let rest = lines.map(|line| line.unwrap_or_else(|error| failed(&error)));
    Ok(json_lines(stream::iter(first).chain(rest).map(Ok).boxed()))
}

fn failed(error: &Error) -> Progress {
    let detail = ErrorDetail { code: None, message: error.message(), minidock: Some(error.to_wire()) };
    Progress { error: Some(error.message()), error_detail: Some(detail), ..Progress::default() }
}
