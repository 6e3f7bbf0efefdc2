//! # Changes: what the container did to its image
//!
//! `diff` lists added, changed and deleted paths. All of them lie in the container's writable layer, so the layer is read,
//! and the image is only asked what was there before.
//!
//! Law: a container that runs may change more while the list is made; what vanishes in between is not in it.
//! See: [`minidock_image::layer::diff`] · moby `daemon/changes.go`. Next room: [`crate::container::commit`]

use crate::{Engine, byte_stream::blocking, container::root};
use minidock_base::Result;
use minidock_image::layer::diff;
use minidock_spec::engine::container::Change;
use std::sync::Arc;

/// `GET /containers/{id}/changes`, in the order of the paths.
///
/// # Errors
/// No such container; its layers cannot be read.
pub async fn changes(engine: &Arc<Engine>, id: &str) -> Result<Vec<Change>> {
    let (engine, record) = (engine.clone(), engine.containers.find(id)?.record());
    blocking(move || {
        let image = root::image_of(&engine, &record)?;
        let all = diff::changes(&image.lower, &engine.paths.container_diff(&record.id))?;
        Ok(all.into_iter().map(|change| Change { path: change.path, kind: change.kind as u8 }).collect())
    })
    .await
}
