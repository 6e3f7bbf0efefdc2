//! # Garbage: what nobody points at
//!
//! Blobs and layers are shared, so removing an image cannot simply remove its parts. What stays is what can be reached:
//! from the list of names, through manifests and configurations, to blobs and layers. Everything else is garbage, except
//! what an unfinished load has pinned.
//!
//! * [`Store::collect`] removes the parts of images that have just gone, those that no other image has.
//! * [`Store::sweep`] looks at everything, once, when the store is opened: a daemon killed in the middle of a load leaves
//!   blobs that no list names.
//!
//! Laws: when any image in the list cannot be read, or a broken index was set aside, nothing is swept: what looks like
//! garbage may be all that is left of somebody's image. Next room: [`crate::config`]

use crate::{
    layers::chain_id,
    store::{Image, State, Store},
};
use minidock_base::Result;
use minidock_spec::{digest::Digest, image::Manifest};
use std::{collections::HashSet, path::PathBuf};

/// The blobs of one image.
fn blobs(manifest: &Digest, image: &Image) -> Vec<Digest> {
    let mut all = vec![manifest.clone(), image.id.clone()];
    all.extend(image.manifest.layers.iter().map(|layer| layer.digest.clone()));
    all
}

/// Everything one image consists of: its blobs, and the keys of its layers.
fn parts(manifest: &Digest, image: &Image) -> Vec<Digest> {
    let diff_ids = &image.config.rootfs.diff_ids;
    let mut all = blobs(manifest, image);
    all.extend(diff_ids.iter().cloned());
    all.extend((1..=diff_ids.len()).map(|n| chain_id(&diff_ids[..n])));
    all
}

/// The blobs that stay. A layer's directory bears the digest its plain blob would have: that it is needed does not mean that
/// the plain blob is.
fn reachable_blobs(state: &State) -> HashSet<Digest> {
    let mut all: HashSet<Digest> = state.images.iter().flat_map(|(manifest, image)| blobs(manifest, image)).collect();
    all.extend(state.tags.index.manifests.iter().map(|d| d.digest.clone()));
    all.extend(state.pins.keys().cloned());
    all
}

fn reachable(state: &State) -> HashSet<Digest> {
    let mut all: HashSet<Digest> = state.images.iter().flat_map(|(manifest, image)| parts(manifest, image)).collect();
    all.extend(state.tags.index.manifests.iter().map(|d| d.digest.clone()));
    all.extend(state.pins.keys().cloned());
    all
}

/// What a collection took away.
#[derive(Default)]
pub(crate) struct Collected {
    /// The layers, topmost first, by the name of the pile they were the top of.
    pub chains: Vec<Digest>,
    /// Bytes of their files.
    pub bytes: u64,
    /// Where they lie until they are deleted.
    pub aside: Vec<PathBuf>,
}

impl Collected {
    pub fn add(&mut self, more: Collected) {
        self.chains.extend(more.chains);
        self.bytes += more.bytes;
        self.aside.extend(more.aside);
    }
}

impl Store {
    /// Takes away the parts of one image that nothing else needs. The image must be out of the list already. Unpacked
    /// layers are only moved out of sight; [`crate::layers::Layers::delete`] does the rest, outside of the lock.
    pub(crate) fn collect(&self, state: &State, manifest: &Digest, image: &Image) -> Result<Collected> {
        let kept = reachable(state);
        let diff_ids = &image.config.rootfs.diff_ids;
        let (mut gone, mut first) = (Collected::default(), Ok(()));
        for nth in (0..diff_ids.len()).rev() {
            let Some((key, record)) = self.layers.key(&diff_ids[..=nth]).ok().flatten() else { continue };
            if !kept.contains(&key) {
                match self.layers.put_aside(&key) {
                    Ok(aside) => gone.aside.extend(aside),
                    Err(e) => first = first.and(Err(e)),
                }
                gone.chains.push(chain_id(&diff_ids[..=nth]));
                gone.bytes += record.size;
            }
        }
        let kept = reachable_blobs(state);
        for blob in blobs(manifest, image) {
            if !kept.contains(&blob) {
                first = first.and(self.content.remove(&blob));
            }
        }
        first.map(|()| gone)
    }

    /// Clears away what an unfinished image has brought and nobody else needs: layers go, blobs wait for the next try.
    pub(crate) fn give_up(&self, manifest: &Manifest, layers: &[Digest]) -> Result<()> {
        let mut aside = Vec::new();
        {
            let state = self.state();
            let kept = reachable_blobs(&state);
            for blob in manifest.layers.iter().map(|layer| &layer.digest).filter(|digest| !kept.contains(digest)) {
                self.content.put_back(blob)?;
            }
            let kept = reachable(&state);
            for layer in layers.iter().filter(|key| !kept.contains(key)) {
                aside.extend(self.layers.put_aside(layer)?);
            }
        }
        self.layers.delete(aside)
    }

    /// Removes every blob and layer that no image of the list needs.
    pub(crate) fn sweep(&self) -> Result<()> {
        let state = self.state();
        if !state.broken.is_empty() || state.foreign || state.tags.has_broken_sibling() {
            return Ok(());
        }
        let kept = reachable(&state);
        let blobs = reachable_blobs(&state);
        for blob in self.content.list()? {
            if !blobs.contains(&blob) {
                tracing::debug!(%blob, "removing a blob that no image has");
                self.content.remove(&blob)?;
            }
        }
        for layer in self.layers.list()? {
            if !kept.contains(&layer) {
                tracing::debug!(%layer, "removing a layer that no image has");
                let aside = self.layers.put_aside(&layer)?;
                self.layers.delete(aside)?;
            }
        }
        Ok(())
    }
}
