//! # Facts: inspect and history of an image
//!
//! Everything shown here is in the image's configuration and in the record of its layers; the two calls only arrange it.
//!
//! * [`inspect`]: one JSON object. [`history`]: one row for each instruction that made it, newest first; rows of layers have
//!   a size, and only images that are here by themselves have an ID, the rest are `<missing>`.
//!
//! See: moby `daemon/images/{image_inspect,image_history}.go`. Next room: [`crate::images::transfer`]

use crate::{Engine, byte_stream::blocking};
use minidock_base::{Result, clock};
use minidock_image::ImageRecord;
use minidock_spec::{
    engine::{
        container::GraphDriver,
        image::{HistoryItem, ImageInspect, ImageMetadata, RootFsInspect},
    },
    reference::Reference,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// `GET /images/{name}/json`.
///
/// # Errors
/// No such image.
pub async fn inspect(engine: &Arc<Engine>, name: &str) -> Result<ImageInspect> {
    let (engine, name) = (engine.clone(), name.to_string());
    blocking(move || {
        let image = engine.images.store.resolve(&name)?;
        let lower = engine.images.store.lower_dirs(&image)?;
        let dirs: Vec<String> = lower.iter().map(|dir| dir.display().to_string()).collect();
        let config = &image.config;
        let text = |key: &str| config.extra.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let comment = match text("comment") {
            comment if !comment.is_empty() => comment,
            _ => config.history.last().and_then(|h| h.comment.clone()).unwrap_or_default(),
        };
        let mut data = BTreeMap::new();
        if let Some((top, rest)) = dirs.split_first() {
            data.insert("UpperDir".to_string(), top.clone());
            // where overlayfs would work and be seen if it were mounted, as Docker names them
            let home = top.strip_suffix("/diff").unwrap_or(top);
            data.insert("MergedDir".to_string(), format!("{home}/merged"));
            data.insert("WorkDir".to_string(), format!("{home}/work"));
            if !rest.is_empty() {
                data.insert("LowerDir".to_string(), rest.join(":"));
            }
        }
        Ok(ImageInspect {
            id: image.id.to_string(),
            repo_tags: image.tags.iter().map(Reference::familiar).collect(),
            repo_digests: image.digests.iter().map(Reference::familiar).collect(),
            parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            comment,
            created: config.created.clone().unwrap_or_else(|| clock::ZERO.into()),
            docker_version: text("docker_version"),
            author: config.author.clone().unwrap_or_default(),
            config: config.config.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            os: if config.os.is_empty() { "linux".into() } else { config.os.clone() },
            size: image.size as i64,
            virtual_size: image.size as i64,
            graph_driver: GraphDriver { data, name: "overlay2".into() },
            root_fs: RootFsInspect {
                kind: "layers".into(),
                layers: image.diff_ids().iter().map(ToString::to_string).collect(),
            },
            metadata: ImageMetadata { last_tag_time: image.last_tagged.map_or(clock::ZERO.into(), clock::rfc3339) },
        })
    })
    .await
}

/// `GET /images/{name}/history`.
///
/// # Errors
/// No such image.
pub async fn history(engine: &Arc<Engine>, name: &str) -> Result<Vec<HistoryItem>> {
    let (engine, name) = (engine.clone(), name.to_string());
    blocking(move || {
        let image = engine.images.store.resolve(&name)?;
        let mut rows = rows(&image);
        // walk up: the row where an ancestor's own history ends is that ancestor
        let (mut at, mut known) = (Some(image), 0);
        while let Some(image) = at {
            let own = rows.len().checked_sub(image.config.history.len().max(1));
            if let Some(row) = own.and_then(|from| rows.get_mut(from)) {
                row.id = image.id.to_string();
                row.tags = (!image.tags.is_empty()).then(|| image.tags.iter().map(Reference::familiar).collect());
            }
            known += 1;
            at = image.parent.filter(|_| known < 512).and_then(|parent| engine.images.store.by_id(&parent).ok());
        }
        Ok(rows)
    })
    .await
}

fn rows(image: &ImageRecord) -> Vec<HistoryItem> {
    let mut sizes = image.layers.iter().map(|layer| layer.size as i64);
    let mut rows: Vec<HistoryItem> = image
        .config
        .history
        .iter()
        .map(|step| HistoryItem {
            id: "<missing>".into(),
            created: step.created.as_deref().and_then(|at| at.parse().ok()).map_or(0, |at: jiff::Timestamp| at.as_second()),
            created_by: step.created_by.clone().unwrap_or_default(),
            tags: None,
            size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
            comment: step.comment.clone().unwrap_or_default(),
        })
        .collect();
    if rows.is_empty() {
        let created = image.created.map_or(0, |at| at.as_second());
        rows.push(HistoryItem { id: "<missing>".into(), created, size: sizes.sum(), ..HistoryItem::default() });
    }
    rows.reverse();
    rows
}
