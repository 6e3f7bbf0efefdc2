//! # Arrival: an image that comes piece by piece
//!
//! An archive is one stream; a registry hands out an image in pieces, several at once, and may break off anywhere. So an
//! [`Arrival`] knows from the two documents what the image consists of, says what of it is here already, and takes in the rest:
//! each blob as it comes, each layer in order upon the one below.
//!
//! ```text
//!   manifest + configuration ──begin──► Arrival ──has(n)?── here already
//!       blob n ──resume──► partial/<hex> ──whole, hashed──► keep ──► blobs/<hex>
//!                 └ Tail ──► unpack (a thread) ──► Fresh ──settle (in order)──► layers/<diff id>
//!   all settled ──finish──► names given, the image is there
//! ```
//!
//! * Dropped unfinished, it leaves a clean store: layers are removed again, blobs go back to `partial/`, where the next try
//!   finds them whole.
//! * [`Store::note`] gives an image that is here already the names under which a registry knows it.
//!
//! Laws: everything the image needs is pinned before anything is looked at, so that no other thread collects it in
//! between; nothing is named before all of it is in place. See: moby `distribution/xfer`. Next room: [`crate::snapshot`]

use crate::{
    archive::{oci, read},
    content::{Ingest, Tail},
    layers::chain_id,
    store::{ImageRecord, Store, manifest_descriptor},
    tags,
};
use minidock_base::{Doing, Error, Result, clock};
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, ImageConfig, Manifest},
    reference::Reference,
};
use std::{
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// An image of which some pieces are still missing.
pub struct Arrival {
    store: Arc<Store>,
    descriptor: Descriptor,
    manifest: Manifest,
    config: ImageConfig,
    documents: [Vec<u8>; 2],
    pinned: Vec<Digest>,
    /// Directories of the layers settled so far, topmost first.
    lower: Vec<PathBuf>,
    /// Under which keys this arrival stored layers.
    brought: Vec<Digest>,
    finished: bool,
}

/// A layer that was unpacked and not settled yet.
pub struct Fresh(read::Layer);

impl Store {
    /// Begins to take in the image with these documents; `media_type` is what the registry called the manifest.
    ///
    /// # Errors
    /// Documents that contradict each other, are no image for Linux, or have too many layers.
    pub fn arrive(self: &Arc<Store>, media_type: Option<&str>, manifest: Vec<u8>, config: Vec<u8>) -> Result<Arrival> {
        let parsed = oci::parse_manifest(&manifest).doing(|| "read the manifest")?;
        let image = oci::parse_config(&config, parsed.layers.len()).doing(|| "read the image configuration")?;
        let descriptor = manifest_descriptor(Digest::of(&manifest), &manifest, media_type);
        let diff_ids = &image.rootfs.diff_ids;
        let mut pinned = vec![descriptor.digest.clone(), parsed.config.digest.clone()];
        pinned.extend(parsed.layers.iter().map(|layer| layer.digest.clone()));
        pinned.extend(diff_ids.iter().cloned());
        pinned.extend((1..=diff_ids.len()).map(|n| chain_id(&diff_ids[..n])));
        self.hold(&pinned);
        Ok(Arrival {
            store: self.clone(),
            descriptor,
            manifest: parsed,
            config: image,
            documents: [manifest, config],
            pinned,
            lower: Vec::new(),
            brought: Vec::new(),
            finished: false,
        })
    }

    /// The image with this configuration, if all of it is here.
    pub fn whole(&self, config: &Digest) -> Option<ImageRecord> {
        let image = self.by_id(config).ok()?;
        self.lower_dirs(&image).is_ok().then_some(image)
    }

    /// Which image bears exactly this name, a digest's too.
    pub fn named(&self, name: &Reference) -> Option<ImageRecord> {
        let state = self.state();
        let manifest = state.tags.find(name)?.clone();
        state.images.contains_key(&manifest).then(|| self.record(&state, &manifest))
    }

    /// Gives an image names, with digests too, as a registry knows it.
    ///
    /// # Errors
    /// A name that poses as a digest; an image that is not there.
    pub fn note(&self, id: &Digest, names: &[Reference]) -> Result<ImageRecord> {
        for name in names {
            tags::check_name(name)?;
        }
        let record = self.by_id(id)?;
        self.settle()?;
        let mut state = self.state();
        let descriptor = state.descriptor(&record.manifest)?;
        let now = clock::rfc3339(clock::now());
        state.tags.change(|list| {
            for name in names {
                tags::give(list, &descriptor, Some(name), &now);
            }
            list.iter_mut().filter(|d| d.digest == descriptor.digest).for_each(|d| drop(d.annotations.remove(tags::HIDDEN)));
        })?;
        Ok(self.record(&state, &descriptor.digest))
    }

    /// A blob half here, or new: see [`crate::content::Content::resume`].
    pub fn resume_blob(&self, descriptor: &Descriptor) -> Result<Ingest> {
        self.content.resume(&descriptor.digest, descriptor.size)
    }

    /// Whether this blob is here, whole.
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        self.content.size(&descriptor.digest) == Some(descriptor.size)
    }

    /// A blob for reading.
    ///
    /// # Errors
    /// It is not here.
    pub fn open_blob(&self, digest: &Digest) -> Result<std::fs::File> {
        self.content.reader(digest)
    }

    /// A manifest or configuration, checked against its digest.
    ///
    /// # Errors
    /// Missing or changed on the disk.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.content.document(digest)
    }

    /// The descriptor under which the list has this image's manifest.
    ///
    /// # Errors
    /// It is not there.
    pub fn manifest_of(&self, image: &ImageRecord) -> Result<Descriptor> {
        self.state().descriptor(&image.manifest)
    }
}

impl Arrival {
    /// The layers, lowest first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.manifest.layers
    }

    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    pub fn id(&self) -> &Digest {
        &self.manifest.config.digest
    }

    /// What one layer of it needs to be fetched by a task of its own.
    pub fn slot(&self, nth: usize) -> Slot {
        let diff_ids = self.config.rootfs.diff_ids[..=nth].to_vec();
        Slot { store: self.store.clone(), blob: self.manifest.layers[nth].clone(), diff_ids }
    }

    /// Settles layer `nth`, whose blob is in the store by now, upon those below; in order, lowest first.
    ///
    /// # Errors
    /// It is not what the configuration promised: both digests are named; the disk.
    pub fn settle(&mut self, nth: usize, fresh: Option<Fresh>) -> Result<()> {
        let (diff_ids, layers) = (&self.config.rootfs.diff_ids[..=nth], &self.store.layers);
        if let Some(Fresh(layer)) = fresh {
            if layer.diff_id != diff_ids[nth] {
                return Err(crate::content::mismatch("layer (uncompressed)", &diff_ids[nth], &layer.diff_id));
            }
            if let (None, Some(making)) = (layers.key(diff_ids)?, layer.making) {
                self.brought.push(self.store.keep_layer(making, diff_ids, &layer.unpacked, &layer.diff_id, &self.lower)?);
            }
        }
        let key = match layers.key(diff_ids)? {
            Some((key, _)) => key,
            None => {
                let key = self.store.unpack_again(diff_ids, &self.manifest.layers[nth], &self.lower)?;
                self.brought.push(key.clone());
                key
            }
        };
        self.lower.insert(0, layers.short(&key)?);
        Ok(())
    }

    /// Enters the image, all of whose layers are settled, under these names.
    ///
    /// # Errors
    /// A name that may not be; the disk.
    pub fn finish(mut self, names: &[Reference]) -> Result<ImageRecord> {
        if self.lower.len() != self.manifest.layers.len() {
            return Err(Error::system("an image was to be entered before its layers were there"));
        }
        names.iter().try_for_each(tags::check_name)?;
        for bytes in &self.documents {
            self.store.content.put(bytes)?;
        }
        let record = self.store.register(&self.descriptor, names, None)?;
        self.finished = true;
        Ok(record)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.store.let_go(&self.pinned);
        if self.finished {
            return;
        }
        if let Err(error) = self.store.give_up(&self.manifest, &self.brought) {
            // what is left now goes when the store is opened next
            tracing::warn!("an unfinished image could not be cleared away: {}", error.message());
        }
    }
}

/// One layer's place.
#[derive(Clone)]
pub struct Slot {
    store: Arc<Store>,
    pub blob: Descriptor,
    diff_ids: Vec<Digest>,
}

impl Slot {
    /// Whether the blob is here, whole.
    pub fn has_blob(&self) -> bool {
        self.store.has_blob(&self.blob)
    }

    /// Whether the layer is here, unpacked.
    pub fn has_directory(&self) -> bool {
        self.store.layers.key(&self.diff_ids).is_ok_and(|found| found.is_some())
    }

    /// The blob half here, or new.
    ///
    /// # Errors
    /// The disk.
    pub fn resume(&self) -> Result<Ingest> {
        self.store.resume_blob(&self.blob)
    }

    /// What will unpack the layer as it arrives through `ingest`: [`Unpacking::run`] blocks, on a thread of the caller's.
    ///
    /// # Errors
    /// The half blob cannot be read.
    pub fn unpacking(&self, ingest: &Ingest) -> Result<Unpacking> {
        let read = Arc::new(AtomicU64::new(0));
        Ok(Unpacking { store: self.store.clone(), tail: ingest.tail()?, known: self.has_directory(), read })
    }
}

/// The work of unpacking one layer.
pub struct Unpacking {
    store: Arc<Store>,
    tail: Tail,
    known: bool,
    read: Arc<AtomicU64>,
}

impl Unpacking {
    /// How many packed bytes have been unpacked so far, to be looked at from elsewhere.
    pub fn read(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// Unpacks to the end of the blob; blocks while it has not all come.
    ///
    /// # Errors
    /// It is no layer, or leaves its directory; the blob broke off; the disk.
    pub fn run(self) -> Result<Fresh> {
        let counted = Counted { tail: self.tail, read: self.read };
        read::unpack_stream(counted, self.known, &self.store.layers).map(Fresh)
    }
}

struct Counted {
    tail: Tail,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.tail.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
