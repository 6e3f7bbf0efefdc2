//! # Disk usage: `system df`
//!
//! What takes the disk, and what of it could be given back: images and how much of each is shared with others, containers
//! and their writable layers, volumes and who uses them. All of it is measured when asked, by walking the folders.
//!
//! * [`disk_usage`] measures only what is asked for: a client that wants volumes does not wait for images.
//! * There is no builder yet, so there is no build cache: an empty list, not an absent one.
//!
//! See: moby `daemon/disk_usage.go`, Engine API v1.45 SystemDataUsage. Next room: [`crate::prune`]

use crate::{
    Engine,
    container::{list, size},
    images::listing,
    volumes,
};
use minidock_base::{Error, Result};
use minidock_spec::engine::{
    filters::Filters,
    image::ImageSummary,
    system::DiskUsage,
    volume::{UsageData, Volume},
};
use std::{collections::BTreeMap, sync::Arc};

/// Which parts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub images: bool,
    pub containers: bool,
    pub volumes: bool,
    pub build_cache: bool,
}

impl Parts {
    /// The parameter `type`, given any number of times; not at all means everything.
    ///
    /// # Errors
    /// `unknown object type: x`.
    pub fn read<'a>(types: impl Iterator<Item = &'a str>) -> Result<Parts> {
        let (mut parts, mut any) = (Parts { images: false, containers: false, volumes: false, build_cache: false }, false);
        for kind in types {
            any = true;
            match kind {
                "image" => parts.images = true,
                "container" => parts.containers = true,
                "volume" => parts.volumes = true,
                "build-cache" => parts.build_cache = true,
                other => return Err(Error::invalid(format!("unknown object type: {other}"))),
            }
        }
        Ok(if any { parts } else { Parts { images: true, containers: true, volumes: true, build_cache: true } })
    }
}

/// `GET /system/df?type=`.
///
/// # Errors
/// A walk that was given up.
pub async fn disk_usage(engine: &Arc<Engine>, parts: Parts) -> Result<DiskUsage> {
    let mut usage = DiskUsage::default();
    if parts.images {
        usage.images = Some(images(engine).await?);
        usage.layers_size = layers_size(engine);
    }
    if parts.containers {
        let all = list::ListOptions { all: true, size: true, ..list::ListOptions::default() };
        usage.containers = Some(list::list(engine, all).await?);
    }
    if parts.volumes {
        usage.volumes = Some(measured_volumes(engine).await?);
    }
    if parts.build_cache {
        usage.build_cache = Some(Vec::new());
    }
    Ok(usage)
}

/// Every image, with what it shares and how many containers are made of it.
async fn images(engine: &Arc<Engine>) -> Result<Vec<ImageSummary>> {
    let options = listing::ListOptions { all: false, filters: Filters::default(), shared_size: true };
    let mut rows = listing::list(engine, options).await?;
    let mut containers: BTreeMap<String, i64> = BTreeMap::new();
    for container in engine.containers.all() {
        *containers.entry(container.record().image.to_string()).or_default() += 1;
    }
    for row in &mut rows {
        row.containers = containers.get(&row.id).copied().unwrap_or(0);
    }
    Ok(rows)
}

/// Each layer counts once, however many images stand on it.
fn layers_size(engine: &Engine) -> i64 {
    let mut layers = BTreeMap::new();
    for image in engine.images.store.list() {
        // a layer is unpacked once for each chain below it; its own files are the same
        layers.extend(image.layers.iter().map(|layer| (layer.diff_id.to_string(), layer.size as i64)));
    }
    layers.values().sum()
}

async fn measured_volumes(engine: &Arc<Engine>) -> Result<Vec<Volume>> {
    let mut rows = Vec::new();
    for record in engine.volumes.all() {
        let mut row = record.to_api(&engine.paths);
        let ref_count = volumes::users(engine, &record.name).len() as i64;
        row.usage_data = Some(UsageData { ref_count, size: size::of_folder(engine.paths.volume_data(&record.name)).await? });
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_measured() {
        let volumes = Parts::read(["volume"].into_iter()).expect("known");
        assert!(volumes.volumes && !volumes.images && !volumes.containers);
        assert!(Parts::read(std::iter::empty()).expect("all").build_cache);
        assert_eq!(Parts::read(["x"].into_iter()).unwrap_err().message(), "unknown object type: x");
    }
}
