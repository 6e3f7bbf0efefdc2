//! # Images: the image calls of the API
//!
//! The image store blocks, knows no containers and tells nobody what it did. This department adds what is missing: it moves
//! the work to threads for blocking work, answers who uses an image, and publishes what happened.
//!
//! ```text
//!   api ── list, inspect, history, tag, remove, prune, load, save, import ──► Images ──spawn_blocking──► image::Store
//!                                                    containers ◄── who uses it? ┘        events ◄── what happened
//! ```
//!
//! * [`listing`]: what is there, and the filters of `image ls`; [`facts`]: inspect and history; [`transfer`]: archives in and out.
//! * [`remove`] and [`prune`] ask [`users`] before anything goes.
//!
//! Law: an image that a container needs, running or not, keeps its layers; [`release`] lets go of those kept only for a
//! container that has since been removed. See: moby `daemon/images`. Next room: [`crate::volumes`]

pub mod facts;
pub mod listing;
pub mod transfer;

use crate::{Engine, byte_stream::blocking};
use jiff::{Span, Timestamp};
use minidock_base::{Error, Result, clock, paths::Paths, units};
use minidock_image::{
    Store, lent,
    remove::{Pruning, Removal, Removed, User},
};
use minidock_spec::{
    digest::Digest,
    engine::{
        filters::Filters,
        image::{ImageDeleted, ImagesPruned},
    },
    reference::Reference,
};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

/// The image department.
pub struct Images {
    paths: Paths,
    /// What is on disk; its calls block.
    pub store: Arc<Store>,
    /// How many hold each image that no container has yet.
    held: Arc<Mutex<BTreeMap<Digest, usize>>>,
}

/// Somebody works with an image that has no container and may have no name: nobody removes it while this lives.
pub struct Hold {
    held: Arc<Mutex<BTreeMap<Digest, usize>>>,
    image: Digest,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.image) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.image);
            }
        }
    }
}

impl Images {
    /// Opens the store; what `lender`, another daemon's data root, has is shown, too.
    ///
    /// # Errors
    /// Its folders cannot be made or read.
    pub fn open(paths: &Paths, lender: Option<&std::path::Path>) -> Result<Images> {
        Ok(Images { paths: paths.clone(), store: Arc::new(Store::open_with(paths, lender)?), held: Arc::default() })
    }

    /// Keeps an image until the answer is dropped.
    pub fn hold(&self, image: &Digest) -> Hold {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(image.clone()).or_default() += 1;
        Hold { held: self.held.clone(), image: image.clone() }
    }

    /// Where it lies.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// The containers that were made from this image, builds that stand on it, and simulated nodes that it is lent to.
pub fn users(engine: &Engine, image: &Digest) -> Vec<User> {
    let all = engine.containers.all();
    let records = all.iter().map(|container| container.record()).filter(|record| record.image == *image);
    let containers = records.map(|record| User { container: record.id.clone(), running: record.state.is_running() });
    let held = engine.images.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(image);
    let nodes = fs::read_dir(engine.paths.cluster()).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let lent = nodes.flat_map(|node| {
        let (node, root) = (node.to_string_lossy().into_owned(), engine.paths.data_root());
        lent::users_at(root, &engine.paths.cluster_node(&node), &engine.paths.cluster_run(&node), image)
    });
    containers.chain(held.then(|| User { container: "of a build".into(), running: true })).chain(lent).collect()
}

/// Tells the world that something happened to an image.
pub(crate) fn publish(engine: &Engine, action: &str, id: &Digest, name: &str) {
    let mut attributes = match engine.images.store.by_id(id) {
        Ok(image) => image.config.config.labels.clone(),
        Err(_) => BTreeMap::new(),
    };
    attributes.insert("name".into(), name.to_string());
    engine.events.publish("image", action, id.as_str(), attributes);
}

/// `POST /images/{name}/tag`.
///
/// # Errors
/// No such image; a name that may not be.
pub async fn tag(engine: &Arc<Engine>, name: &str, repository: &str, tag: &str) -> Result<()> {
    let (engine, name) = (engine.clone(), name.to_string());
    let target = target(repository, tag)?;
    blocking(move || {
        let image = engine.images.store.resolve(&name)?;
        engine.images.store.tag(&image.id, &target)?;
        publish(&engine, "tag", &image.id, &target.familiar());
        Ok(())
    })
    .await
}

/// The name made of the query's `repo` and `tag`.
///
/// # Errors
/// `invalid reference format`.
pub fn target(repository: &str, tag: &str) -> Result<Reference> {
    match tag.is_empty() {
        true => Reference::parse(repository),
        false => {
            if Reference::parse_untagged(repository)?.tag.is_some() {
                return Err(Error::invalid(format!(
                    "invalid reference format: {repository:?} has a tag already, {tag:?} is another"
                )));
            }
            Reference::parse(&format!("{repository}:{tag}"))
        }
    }
}

/// How an image is to go, in the words of the query: `force`, `noprune`.
pub fn removal(force: bool, no_prune: bool) -> Removal {
    Removal { force, no_prune }
}

/// `DELETE /images/{name}`.
///
/// # Errors
/// No such image; Docker's conflicts when a container uses it.
pub async fn remove(engine: &Arc<Engine>, name: &str, how: Removal) -> Result<Vec<ImageDeleted>> {
    let (engine, name) = (engine.clone(), name.to_string());
    blocking(move || {
        let removed = engine.images.store.remove(&name, how, &|id| users(&engine, id))?;
        tell(&engine, &removed);
        Ok(removed.lines)
    })
    .await
}

fn tell(engine: &Engine, removed: &Removed) {
    for (id, _) in &removed.untagged {
        publish(engine, "untag", id, id.as_str());
    }
    for id in &removed.deleted {
        publish(engine, "delete", id, id.as_str());
    }
}

/// `POST /images/prune`.
///
/// # Errors
/// A filter that is unknown or makes no sense.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<ImagesPruned> {
    let pruned = take_away(engine, filters).await?;
    let reclaimed = BTreeMap::from([("reclaimed".to_string(), pruned.space_reclaimed.to_string())]);
    engine.events.publish("image", "prune", "", reclaimed);
    Ok(pruned)
}

/// The same without the event that says who wanted it.
///
/// # Errors
/// As [`prune`].
pub async fn take_away(engine: &Arc<Engine>, filters: &Filters) -> Result<ImagesPruned> {
    filters.accept(&["dangling", "label", "label!", "until"])?;
    let what = Pruning {
        all: !filters.boolean("dangling", true)?,
        until: filters.values("until").next().map(moment).transpose()?,
        labels: filters.values("label").map(str::to_string).collect(),
        labels_not: filters.values("label!").map(str::to_string).collect(),
    };
    let engine = engine.clone();
    blocking(move || {
        let removed = engine.images.store.prune(&what, &|id| users(&engine, id))?;
        tell(&engine, &removed);
        let lines = (!removed.lines.is_empty()).then_some(removed.lines);
        Ok(ImagesPruned { images_deleted: lines, space_reclaimed: removed.bytes as i64 })
    })
    .await
}

/// Lets go of images that were removed by force and kept only for a container that is gone now. Cheap when there are none.
pub async fn release(engine: &Arc<Engine>) -> Result<()> {
    let engine = engine.clone();
    blocking(move || engine.images.store.release(&|id| users(&engine, id))).await
}

/// A moment as filters say it: `24h` (that long ago), Unix seconds, or RFC 3339 with or without a zone.
///
/// # Errors
/// None of these.
pub fn moment(text: &str) -> Result<Timestamp> {
    let bad = || {
        Error::invalid(format!("invalid filter 'until={text}'"))
            .hint("a duration (24h), a time (2026-01-31T12:00:00) or Unix seconds")
    };
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_nanosecond((seconds * 1e9) as i128).map_err(|_| bad());
    }
    if let Ok(ago) = units::parse_duration(text) {
        return Span::try_from(ago).ok().and_then(|ago| clock::now().checked_sub(ago).ok()).ok_or_else(bad);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil = text.parse::<jiff::civil::DateTime>().or_else(|_| text.parse::<jiff::civil::Date>().map(|d| d.at(0, 0, 0, 0)));
    let zoned = civil.ok().and_then(|c| c.to_zoned(jiff::tz::TimeZone::system()).ok());
    zoned.map(|z| z.timestamp()).ok_or_else(bad)
}
