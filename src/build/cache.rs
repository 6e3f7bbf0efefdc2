//! # Cache: what makes a step the same step
//!
//! A step is the same as an earlier one if it stands on the same image, says the same, and copies the same content. Then the
//! image that the earlier one made is taken, and `---> Using cache` says so.
//!
//! ```text
//!   key = hash( parent's id │ what history would say │ what it does not say )
//!                             │                        └ --network of RUN, --chmod of COPY, the epoch
//!                             └ /bin/sh -c apk add curl      |1 V=2 /bin/sh -c make      COPY file:<hash of content> in /app/
//! ```
//!
//! * [`Key`] is such a key; [`Cache::probe`] asks the store for it. After the first miss a stage does not ask again: what stands on a new
//!   image cannot be there already, and Docker says `Using cache` nowhere else either.
//! * With `--cache-from` only the named images and their parents count (none, if none of them is here); one that came from elsewhere has no parents here, so its *history*
//!   is read: the next line says the same, and its layer is the next layer.
//!
//! Law: times are in no key (but the epoch), content is in every one: a changed byte is never served stale. See: moby
//! `image/cache/cache.go`. Next room: [`crate::copying`]

use crate::job::Job;
use minidock_image::{ImageRecord, Store};
use minidock_spec::{
    digest::{Digest, Hasher},
    image::ImageConfig,
};

/// What identifies a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Digest);

impl Key {
    /// `more` is what history does not say.
    pub fn new(parent: Option<&Digest>, created_by: &str, more: &[String], epoch: Option<i64>) -> Key {
        let mut hasher = Hasher::new();
        let epoch = epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
        let parts = ["1", parent.map_or("", Digest::as_str), created_by, &epoch];
        for part in parts.into_iter().chain(more.iter().map(String::as_str)) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Key(hasher.finish())
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What a stage asks.
#[derive(Clone, Debug)]
pub struct Cache {
    /// A step was not found: nothing behind it will be.
    busted: bool,
}

/// What was found.
pub enum Hit {
    /// The image that the step made.
    Image(Box<ImageRecord>),
    /// An image of which this step is a part: the place of the step in its history.
    Part(Box<ImageRecord>, usize),
}

impl Cache {
    pub fn new(job: &Job) -> Cache {
        Cache { busted: job.options.no_cache }
    }

    /// Looks a step up. `parent` is the image so far.
    pub fn probe(&mut self, job: &Job, key: &Key, parent: Option<&ImageRecord>, created_by: &str) -> Option<Hit> {
        if self.busted {
            return None;
        }
        let found = found(job, key, parent, created_by);
        self.busted = found.is_none();
        found
    }
}

fn found(job: &Job, key: &Key, parent: Option<&ImageRecord>, created_by: &str) -> Option<Hit> {
    let store = &job.engine.images.store;
    let step = store.step(key.as_str());
    if job.options.cache_from.is_empty() {
        return step.map(|image| Hit::Image(Box::new(image)));
    }
    if let Some(step) = step.filter(|step| job.cache_from.iter().any(|source| stands_on(store, source, &step.id))) {
        return Some(Hit::Image(Box::new(step)));
    }
    let empty = ImageConfig::default();
    let so_far = parent.map_or(&empty, |image| &image.config);
    let next = |source: &&ImageRecord| next_in(so_far, &source.config, created_by);
    job.cache_from.iter().find(next).map(|source| Hit::Part(Box::new(source.clone()), so_far.history.len()))
}

/// Whether `image` is `ancestor` or was built upon it.
fn stands_on(store: &Store, image: &ImageRecord, ancestor: &Digest) -> bool {
    let (mut at, mut steps) = (Some(image.clone()), 0);
    while let Some(image) = at {
        if image.id == *ancestor {
            return true;
        }
        steps += 1;
        at = image.parent.filter(|_| steps < 512).and_then(|parent| store.by_id(&parent).ok());
    }
    false
}

/// Whether `source` begins as the image so far does, and goes on with this step.
fn next_in(so_far: &ImageConfig, source: &ImageConfig, created_by: &str) -> bool {
    let (steps, layers) = (so_far.history.len(), so_far.rootfs.diff_ids.len());
    let same = |(ours, theirs): (&minidock_spec::image::History, &minidock_spec::image::History)| {
        ours.created_by == theirs.created_by && ours.empty_layer == theirs.empty_layer
    };
    source.history.len() > steps
        && source.rootfs.diff_ids.starts_with(&so_far.rootfs.diff_ids)
        && so_far.history.iter().zip(&source.history).all(same)
        && source.history[steps].created_by.as_deref() == Some(created_by)
        && (source.history[steps].empty_layer || source.rootfs.diff_ids.len() > layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::image::History;

    #[test]
    fn a_key_changes_with_all_that_counts() {
        let parent = Digest::of(b"p");
        let key = |parent, text: &str, more: &[&str], epoch| {
            Key::new(parent, text, &more.iter().map(|m| m.to_string()).collect::<Vec<_>>(), epoch)
        };
        let one = key(Some(&parent), "a b", &[], None);
        assert_eq!(one, key(Some(&parent), "a b", &[], None));
        for other in [
            key(None, "a b", &[], None),
            key(Some(&parent), "a  b", &[], None),
            key(Some(&parent), "a b", &["x"], None),
            key(Some(&parent), "a b", &[], Some(0)),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(key(None, "a", &["bc"], None), key(None, "a", &["b", "c"], None));
    }

    #[test]
    fn a_history_is_a_cache_only_as_far_as_it_is_the_same() {
        let config = |steps: &[(&str, bool)], layers: &[&[u8]]| {
            let step = |(by, empty): &(&str, bool)| History {
                created_by: Some(by.to_string()),
                empty_layer: *empty,
                ..History::default()
            };
            let mut config = ImageConfig { history: steps.iter().map(step).collect(), ..ImageConfig::default() };
            config.rootfs.diff_ids = layers.iter().map(|layer| Digest::of(layer)).collect();
            config
        };
        let (base, source) =
            (config(&[("a", false)], &[b"1"]), config(&[("a", false), ("b", true), ("c", false)], &[b"1", b"2"]));
        assert!(next_in(&base, &source, "b") && !next_in(&base, &source, "c"));
        assert!(!next_in(&config(&[("a", false)], &[b"other"]), &source, "b"));
        assert!(!next_in(&source, &source, "b"));
    }
}
