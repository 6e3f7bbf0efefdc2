//! # Commit: a container becomes an image
//!
//! What a container wrote lies in one directory; packed as a layer on top of the image it came from, it is a new image.
//! Nothing below is copied: the new manifest names the old layers again.
//!
//! ```text
//!   containers/<id>/diff ──pack──► tar ──┬─ hash: diff ID
//!                                        └─ gzip ─ hash: blob   ──► manifest: old layers + this one
//!   configuration: the base's, what the container was run with, --change; history: one more step
//! ```
//!
//! * [`Store::commit`] does it. A container that wrote nothing gives no layer, only a step of history, as in Docker.
//!
//! Law: the image's parent is remembered, so that `history` and `rmi` know the way. See: moby `daemon/commit.go`.
//! Next room: [`crate::remove`]

use crate::{
    archive, compression,
    layer::unpack,
    step,
    store::{ImageRecord, Store},
    tags,
};
use minidock_base::{Doing, Result, clock};
use minidock_linux::files;
use minidock_spec::{
    digest::Digest,
    engine::container::ContainerConfig,
    image::{Descriptor, History, ImageConfig, OCI_LAYER_GZIP},
    reference::Reference,
};
use std::{
    io::{self, BufReader, Write},
    path::Path,
};

/// A tar archive without an entry: two blocks that mark the end.
const NO_ENTRY: [u8; 1024] = [0; 1024];

/// What a commit is made of.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The image the container was made from.
    pub base: &'a ImageRecord,
    /// Its writable layer.
    pub upper: &'a Path,
    /// How the new image is to be run.
    pub config: ContainerConfig,
    pub author: &'a str,
    pub comment: &'a str,
    /// The command the container ran: what history shows.
    pub created_by: &'a str,
    pub name: Option<Reference>,
}

impl Store {
    /// Makes an image of a container's writable layer.
    ///
    /// # Errors
    /// A name that may not be; a layer that cannot be read; a full disk. Nothing is left behind.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<ImageRecord> {
        if let Some(name) = &commit.name {
            tags::check_name(name)?;
        }
        let base = commit.base;
        let (layer, _pinned) = self.pack(commit)?.map(|(diff_id, blob, pinned)| ((diff_id, blob), pinned)).unzip();
        let now = clock::rfc3339(clock::now());
        let mut config: ImageConfig = (*base.config).clone();
        config.created = Some(now.clone());
        config.author = (!commit.author.is_empty()).then(|| commit.author.to_string());
        config.config = commit.config.clone();
        config.rootfs.diff_ids.extend(layer.iter().map(|(diff_id, _)| diff_id.clone()));
        for old in ["container", "container_config", "docker_version"] {
            config.extra.remove(old); // they spoke of the base's making
        }
        if !commit.comment.is_empty() {
            config.extra.insert("comment".into(), commit.comment.into());
        } else {
            config.extra.remove("comment");
        }
        fill_history(&mut config, base.layers.len());
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        config.history.push(History {
            created: Some(now),
            created_by: text(commit.created_by),
            author: text(commit.author),
            comment: text(commit.comment),
            empty_layer: layer.is_none(),
        });
        let layers: Vec<Descriptor> =
            base.layers.iter().map(|layer| layer.blob.clone()).chain(layer.map(|(_, blob)| blob)).collect();
        self.enter(&config, layers, commit.name.as_slice(), Some(&base.id))
    }

    /// Packs, compresses and hashes the layer, and puts it in place unpacked as well; `None`: it would hold nothing.
    fn pack(&self, commit: &Commit<'_>) -> Result<Option<(Digest, Descriptor, crate::store::Pinned<'_>)>> {
        let (diff_id, ingest) = step::pack(commit.upper, self.content.begin()?).doing(|| "pack the container's changes")?;
        if diff_id == Digest::of(&NO_ENTRY) {
            return Ok(None);
        }
        let digest = ingest.digest();
        let blob = archive::descriptor(OCI_LAYER_GZIP, digest.clone(), ingest.size());
        let mut diff_ids = commit.base.diff_ids().to_vec();
        diff_ids.push(diff_id.clone());
        let pinned = self.pin([digest.clone(), diff_id.clone(), crate::layers::chain_id(&diff_ids)]);
        let tail = BufReader::with_capacity(128 << 10, ingest.tail()?);
        if self.layers.key(&diff_ids)?.is_none() {
            let making = self.layers.begin()?;
            let root = files::open_directory(&making.diff()).doing(|| "open a layer")?;
            let source = compression::inflate(tail)?;
            let (unpacked, found, _) =
                compression::ahead(source, true, |bytes| unpack::unpack(bytes, root).map(|(done, _)| done))?;
            let lower = self.lower_dirs(commit.base)?;
            self.keep_layer(making, &diff_ids, &unpacked, &found, &lower)?;
        }
        ingest.commit(&digest)?;
        Ok(Some((diff_id, blob, pinned)))
    }
}

/// Images that tell no history get a step for each layer, or ours would seem to belong to the first.
pub fn fill_history(config: &mut ImageConfig, layers: usize) {
    let told = config.history.iter().filter(|step| !step.empty_layer).count();
    for _ in told..layers {
        config.history.push(History { comment: Some("layer without history".into()), ..History::default() });
    }
}

impl Write for crate::content::Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        crate::content::Ingest::write(self, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
