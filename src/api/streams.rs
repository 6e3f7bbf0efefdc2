//! # Streams: attach, logs, wait, stats
//!
//! The routes whose answer lasts as long as the container does.
//!
//! * **attach** becomes the bare connection, see [`crate::hijack`].
//! * **logs** are frames over an ordinary chunked body; with a terminal, raw bytes.
//! * **wait** sends the head of its answer at once: the client waits for exactly that before it starts the container, and
//!   so cannot miss a process that ends in a millisecond.
//! * **stats** is one JSON value a second, or one alone.
//!
//! Laws: all of these are dropped when the client goes; the container is not asked.
//! See: Engine API v1.45, ContainerAttach, ContainerLogs, ContainerWait, ContainerStats. Next room: [`crate::exec`]

use crate::{
    answer::{Answer, bytes, json_later, json_lines},
    call::Call,
    hijack::hijack,
    system::time,
};
use futures_util::StreamExt;
use minidock_base::{Error, Result};
use minidock_engine::container::{attach, logs, stats, wait};

/// `POST /containers/{id}/attach?stream=&stdin=&stdout=&stderr=&logs=&detachKeys=`.
pub async fn attach(mut call: Call, id: &str) -> Result<Answer> {
    let query = &call.query;
    let options = attach::AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
        detach_keys: query.text("detachKeys").map(str::to_string),
    };
    let attached = attach::attach(&call.engine, id, options).await?;
    hijack(&mut call, attached.tty, async move |io| {
        if let Err(error) = attached.join(io).await {
            tracing::debug!("an attached client went: {}", error.message());
        }
    })
}

/// `GET /containers/{id}/logs?follow=&stdout=&stderr=&since=&until=&timestamps=&tail=&details=`.
pub async fn logs(call: Call, id: &str) -> Result<Answer> {
    let query = &call.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    // who asks for no stream may still ask for no container
    call.engine.containers.find(id)?;
    if !stdout && !stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream").hint("stdout=1, stderr=1 or both"));
    }
    let options = logs::LogOptions {
        stdout,
        stderr,
        follow: query.flag("follow"),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        // anything that is no number means all of them, as with Docker
        tail: query.text("tail").and_then(|n| n.parse().ok()),
        since: time(&call, "since")?,
        until: time(&call, "until")?,
    };
    let stream = logs::logs(&call.engine, id, options).await?;
    let kind = match stream.tty || call.minor < 42 {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    Ok(bytes(kind, stream.stream))
}

/// `POST /containers/{id}/wait?condition=`.
pub async fn wait(call: Call, id: &str) -> Result<Answer> {
    let condition = call.query.text("condition").unwrap_or("not-running");
    Ok(json_later(wait::wait(&call.engine, id, condition).await?))
}

/// `GET /containers/{id}/stats?stream=&one-shot=`.
pub async fn stats(call: Call, id: &str) -> Result<Answer> {
    let stream = call.query.flag_or("stream", true);
    let one_shot = call.query.flag("one-shot");
    if stream && one_shot {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    Ok(json_lines(stats::stats(&call.engine, id, stream, one_shot).await?.map(Ok).boxed()))
}
