//! # Prune: what builds leave behind, and how it goes
//!
//! Three things: the images of steps that led to no named image any more, the folders of `RUN --mount=type=cache`, and (after a daemon that was killed
//! in the middle of a build) the container of a step. The first are ordinary images without a name, so `image prune` takes the same.
//!
//! * [`prune`] is `builder prune`; [`sweep`] is done once, when the daemon starts; [`usage`] is what `system df` shows.
//!
//! See: moby `builder-next` (Prune). Next room: [`crate::lexer`]

use crate::run::STEP_LABEL;
use jiff::Timestamp;
use minidock_base::{Doing, Result};
use minidock_engine::{
    Engine,
    byte_stream::blocking,
    container::{
        record::Phase,
        remove::{self, Removal},
        size,
    },
    images,
};
use minidock_image::layers::remove_folder;
use minidock_spec::engine::filters::Filters;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, io::ErrorKind, sync::Arc};

/// The answer of `POST /build/prune`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pruned {
    pub caches_deleted: Option<Vec<String>>,
    pub space_reclaimed: i64,
}

/// One folder of a cache mount.
#[derive(Clone, Debug)]
pub struct CacheUsage {
    pub id: String,
    pub bytes: i64,
    /// When something was last put into its topmost folder or taken out of it.
    pub changed: Option<Timestamp>,
}

impl CacheUsage {
    /// As one of `BuildCache` in the answer of `GET /system/df`.
    pub fn shown(&self) -> Value {
        json!({
            "ID": self.id,
            "Type": "exec.cachemount",
            "Description": "kept between builds by RUN --mount=type=cache",
            "Size": self.bytes,
            "CreatedAt": self.changed.map(|at| at.to_string()),
            "LastUsedAt": self.changed.map(|at| at.to_string()),
        })
    }
}

/// The cache mounts there are.
///
/// # Errors
/// The folder cannot be read.
pub async fn usage(engine: &Arc<Engine>) -> Result<Vec<CacheUsage>> {
    let folder = engine.paths.build_caches();
    let names = blocking(move || match fs::read_dir(&folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            Ok(entries.doing(|| "list the build caches")?.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        }
    })
    .await?;
    let mut all = Vec::new();
    for id in names {
        let home = engine.paths.build_cache(&id);
        let bytes = size::of_folder(home.clone()).await?;
        let changed = fs::metadata(home).and_then(|facts| facts.modified()).ok();
        all.push(CacheUsage { id, bytes, changed: changed.and_then(|at| Timestamp::try_from(at).ok()) });
    }
    Ok(all)
}

/// Removes cache mounts and the images of steps that no named image stands on.
///
/// # Errors
/// A folder that cannot be removed.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for cache in usage(engine).await? {
        let home = engine.paths.build_cache(&cache.id);
        blocking(move || remove_folder(&home)).await?;
        pruned.caches_deleted.get_or_insert_default().push(cache.id);
        pruned.space_reclaimed += cache.bytes;
    }
    let mut wanted = Filters::default();
    for until in filters.values("until") {
        wanted.add("until", until);
    }
    let images = images::take_away(engine, &wanted).await?;
    let deleted = images.images_deleted.unwrap_or_default().into_iter().filter_map(|line| line.deleted);
    let deleted: Vec<String> = deleted.collect();
    if !deleted.is_empty() {
        pruned.caches_deleted.get_or_insert_default().extend(deleted);
    }
    pruned.space_reclaimed += images.space_reclaimed;
    let reclaimed = BTreeMap::from([("reclaimed".to_string(), pruned.space_reclaimed.to_string())]);
    engine.events.publish("builder", "prune", "", reclaimed);
    Ok(pruned)
}

/// Removes the containers of steps that no build waits for any more: the daemon was killed while they ran.
pub async fn sweep(engine: &Arc<Engine>) {
    for container in engine.containers.all() {
        let record = container.record();
        let unfinished = matches!(record.state.phase, Phase::Created | Phase::Running | Phase::Paused);
        if unfinished && record.config.labels.contains_key(STEP_LABEL) {
            let how = Removal { force: true, volumes: true, link: false };
            if let Err(error) = remove::remove(engine, &record.id, how).await {
                tracing::warn!(id = record.id, "a step of an old build could not be removed: {}", error.message());
            }
        }
    }
}
