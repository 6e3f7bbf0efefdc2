//! # Prune: volumes that nobody uses
//!
//! A volume outlives its containers on purpose, so sweeping is careful: only volumes that no container has, running or not;
//! by default only anonymous ones; never one that a container in the making holds.
//!
//! * [`volumes`] decides by plain conditions and removes through [`crate::volumes::remove`], which asks once more under its
//!   lock.
//!
//! Containers have a sweeper of their own, [`crate::container::prune`], and images one in the image store.
//! See: moby `volume/service/service.go` (Prune). Next room: [`crate::volumes`]

use crate::{Engine, container::size, volumes as store};
use minidock_base::{Kind, Result};
use minidock_spec::engine::{filters::Filters, volume::VolumesPruned};
use std::{collections::BTreeMap, sync::Arc};

/// `POST /volumes/prune?filters=`.
///
/// # Errors
/// 400 for filters that make no sense.
pub async fn volumes(engine: &Arc<Engine>, filters: &Filters) -> Result<VolumesPruned> {
    filters.accept(&["label", "label!", "all"])?;
    let all = filters.boolean("all", false)?;
    let none = BTreeMap::new();
    let mut pruned = VolumesPruned { volumes_deleted: Some(Vec::new()), space_reclaimed: 0 };
    for record in engine.volumes.all() {
        let labels = record.labels.as_ref().unwrap_or(&none);
        let wanted = (all || record.is_anonymous())
            && filters.labels("label", labels)
            && filters.without_labels("label!", labels)
            && store::users(engine, &record.name).is_empty();
        if !wanted {
            continue;
        }
        let bytes = size::of_folder(engine.paths.volume_data(&record.name)).await?;
        match store::remove(engine, &record.name, false).await {
            Ok(()) => {
                pruned.volumes_deleted.get_or_insert_default().push(record.name.clone());
                pruned.space_reclaimed += bytes;
            }
            // taken into use, or gone, since we looked
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
            Err(error) => tracing::warn!(volume = record.name, "not pruned: {}", error.message()),
        }
    }
    let reclaimed = BTreeMap::from([("reclaimed".to_string(), pruned.space_reclaimed.to_string())]);
    engine.events.publish("volume", "prune", "", reclaimed);
    Ok(pruned)
}
