//! # Commit: a container becomes an image
//!
//! Its writable layer becomes the top layer of a new image; how that image is run is what the container was run with, and
//! what the caller changes in it.
//!
//! ```text
//!   container's configuration ◄── body (what the caller fills in wins) ◄── changes (CMD …, ENV …)  ──► image::Store::commit
//! ```
//!
//! Law: a running container is paused while its layer is read, unless the caller says otherwise: half-written files make
//! images that fail later and elsewhere. See: moby `daemon/commit.go`. Next room: [`crate::container::export`]

use crate::{
    Engine,
    byte_stream::blocking,
    container::{pause, record::Record},
    images,
};
use minidock_base::{Error, Result};
use minidock_image::{commit::Commit, config};
use minidock_spec::{
    engine::container::{CommitAnswer, ContainerConfig},
    reference::Reference,
};
use std::{collections::BTreeMap, sync::Arc};

/// What `POST /commit` was asked.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    pub container: String,
    pub repository: String,
    pub tag: String,
    pub author: String,
    pub comment: String,
    /// In a Dockerfile's words.
    pub changes: Vec<String>,
    pub pause: bool,
    /// What the request's body says about the image's configuration.
    pub config: Option<ContainerConfig>,
}

/// `POST /commit`.
///
/// # Errors
/// No such container; a change or name that may not be; what the disk says.
pub async fn commit(engine: &Arc<Engine>, options: CommitOptions) -> Result<CommitAnswer> {
    let container = engine.containers.find(&options.container)?;
    let record = container.record();
    let name = match options.repository.is_empty() {
        true => None,
        false => Some(images::target(&options.repository, &options.tag)?),
    };
    let mut config = merged(options.config.clone().unwrap_or_default(), &record.config);
    options.changes.iter().try_for_each(|change| config::apply(&mut config, change))?;
    let comment = options.comment.clone();
    let paused = options.pause && record.state.has_process() && pause::pause(engine, &record.id).await.is_ok();
    let done = pack(engine, record.clone(), config, options, name.clone()).await;
    if let Ok(id) = &done {
        let mut attributes = BTreeMap::from([("comment".to_string(), comment), ("name".to_string(), record.name.clone())]);
        attributes.insert("image".into(), record.config.image.clone());
        attributes.insert("imageID".into(), id.clone());
        attributes.insert("imageRef".into(), name.map(|n| n.familiar()).unwrap_or_default());
        engine.events.publish("container", "commit", &record.id, attributes);
    }
    // its process may have ended just before it was frozen: then there is nothing left to go on
    if paused && let Err(error) = pause::unpause(engine, &record.id).await {
        tracing::debug!(container = record.id, "after the commit: {}", error.message());
    }
    Ok(CommitAnswer { id: done? })
}

async fn pack(
    engine: &Arc<Engine>,
    record: Arc<Record>,
    config: ContainerConfig,
    options: CommitOptions,
    name: Option<Reference>,
) -> Result<String> {
    let engine = engine.clone();
    blocking(move || {
        let store = &engine.images.store;
        let base = store.by_id(&record.image).map_err(|e| match e.kind() {
            minidock_base::Kind::NotFound => Error::conflict(format!("the image of container {} is gone", record.name)),
            _ => e,
        })?;
        let created_by = [std::slice::from_ref(&record.path), &record.args[..]].concat().join(" ");
        let image = store.commit(&Commit {
            base: &base,
            upper: &engine.paths.container_diff(&record.id),
            config,
            author: &options.author,
            comment: &options.comment,
            created_by: &created_by,
            name: name.clone(),
        })?;
        if let Some(name) = &name {
            images::publish(&engine, "tag", &image.id, &name.familiar());
        }
        Ok(image.id.to_string())
    })
    .await
}

/// What the caller says, and the container's own where the caller says nothing (moby's `merge`).
fn merged(mut asked: ContainerConfig, own: &ContainerConfig) -> ContainerConfig {
    if asked.user.is_empty() {
        asked.user = own.user.clone();
    }
    for (port, value) in own.exposed_ports.iter().flatten() {
        asked.exposed_ports.get_or_insert_default().entry(port.clone()).or_insert_with(|| value.clone());
    }
    for (volume, value) in own.volumes.iter().flatten() {
        asked.volumes.get_or_insert_default().entry(volume.clone()).or_insert_with(|| value.clone());
    }
    for entry in &own.env {
        let key = entry.split('=').next();
        if !asked.env.iter().any(|known| known.split('=').next() == key) {
            asked.env.push(entry.clone());
        }
    }
    for (key, value) in &own.labels {
        asked.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if asked.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if asked.cmd.as_ref().is_none_or(Vec::is_empty) {
            asked.cmd = own.cmd.clone();
            asked.args_escaped = own.args_escaped;
        }
        if asked.entrypoint.is_none() {
            asked.entrypoint = own.entrypoint.clone();
        }
    }
    if asked.working_dir.is_empty() {
        asked.working_dir = own.working_dir.clone();
    }
    asked.healthcheck = asked.healthcheck.or_else(|| own.healthcheck.clone());
    asked.stop_signal = asked.stop_signal.or_else(|| own.stop_signal.clone());
    asked.stop_timeout = asked.stop_timeout.or(own.stop_timeout);
    asked.shell = asked.shell.or_else(|| own.shell.clone());
    asked.on_build = asked.on_build.or_else(|| own.on_build.clone());
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_wins_and_the_container_fills_in() {
        let own = ContainerConfig {
            env: vec!["A=1".into(), "B=2".into()],
            cmd: Some(vec!["sh".into()]),
            working_dir: "/w".into(),
            ..Default::default()
        };
        let asked = ContainerConfig { env: vec!["A=9".into()], ..Default::default() };
        let both = merged(asked, &own);
        assert_eq!(both.env, ["A=9", "B=2"]);
        assert_eq!((both.cmd, both.working_dir.as_str()), (own.cmd.clone(), "/w"));
        let entry = ContainerConfig { entrypoint: Some(vec!["e".into()]), ..Default::default() };
        assert_eq!(merged(entry, &own).cmd, None);
    }
}
