//! # Repack: an image whose layers came uncompressed
//!
//! `import` and `docker save` bring plain tar layers, and they are kept as they came. Before such an image travels over a network
//! its layers are compressed, once: from then on the store has the compressed blobs and a manifest that names them, and the
//! plain ones go. The configuration, and with it the image's ID, does not change: it speaks of uncompressed layers only.
//!
//! * [`Store::repack`] does it, on all cores; an image whose layers are compressed already is given back as it is.
//!
//! Law: the names are moved from the old manifest to the new one in one change of the list. See: OCI image-spec layer.md.
//! Next room: [`crate::gc`]

use crate::{
    archive::{descriptor, manifest_for},
    compression::Compression,
    gzip::gzip,
    store::{Image, ImageRecord, Store},
};
use minidock_base::Result;
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, OCI_LAYER_GZIP},
};
use std::{collections::HashMap, io::Read, sync::Arc};

impl Store {
    /// The same image with every layer compressed; `told` hears which layer is at it, and how far.
    ///
    /// # Errors
    /// A blob that cannot be read; a full disk. The image stays as it was then.
    pub fn repack(&self, image: &ImageRecord, told: &mut (dyn FnMut(&Digest, u64, u64) + Send)) -> Result<ImageRecord> {
        let mut layers: Vec<Descriptor> = image.layers.iter().map(|layer| layer.blob.clone()).collect();
        let old = self.pin(layers.iter().map(|blob| blob.digest.clone()));
        let mut pinned = Vec::new();
        let mut done: HashMap<Digest, Descriptor> = HashMap::new();
        let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
        for (blob, layer) in layers.iter_mut().zip(&image.layers) {
            if let Some(packed) = done.get(&blob.digest) {
                *blob = packed.clone();
                continue;
            }
            if !self.is_plain(blob)? {
                continue;
            }
            let mut ingest = self.content.begin()?;
            let total = blob.size;
            let source = self.content.reader(&blob.digest)?;
            gzip(source, &mut ingest, cores, &mut |read| told(&layer.diff_id, read, total))
                .map_err(|e| crate::disk(&e, format!("compress the layer {}", layer.diff_id)))?;
            ingest.end();
            let packed = descriptor(OCI_LAYER_GZIP, ingest.digest(), ingest.size());
            pinned.push(self.pin([packed.digest.clone()]));
            ingest.commit(&packed.digest)?;
            done.insert(blob.digest.clone(), packed.clone());
            *blob = packed;
        }
        if done.is_empty() {
            return Ok(image.clone());
        }
        let config = self.content.document(&image.id)?;
        let (manifest, bytes) = manifest_for(image.id.clone(), config.len() as u64, layers)?;
        let _new = self.pin([manifest.digest.clone()]);
        self.content.put(&bytes)?;
        drop(old);
        self.exchange(image, &manifest)
    }

    fn is_plain(&self, blob: &Descriptor) -> Result<bool> {
        let mut first = Vec::new();
        let read = self.content.reader(&blob.digest)?.take(16).read_to_end(&mut first);
        read.map_err(|e| crate::disk(&e, format!("read the blob {}", blob.digest)))?;
        Ok(Compression::of(&first) == Compression::Plain)
    }

    /// Puts a new manifest of the same image where the old one was, under all its names.
    fn exchange(&self, image: &ImageRecord, manifest: &Descriptor) -> Result<ImageRecord> {
        let fresh: Image = crate::archive::oci::read_image(&self.content, manifest)?;
        let mut state = self.state();
        let Some(old) = state.images.get(&image.manifest).cloned() else {
            drop(state); // somebody was faster, or it has gone
            return self.by_id(&image.id);
        };
        state.tags.change(|list| {
            for entry in list.iter_mut().filter(|d| d.digest == image.manifest) {
                *entry = Descriptor { annotations: entry.annotations.clone(), ..manifest.clone() };
            }
        })?;
        state.images.remove(&image.manifest);
        state.images.insert(manifest.digest.clone(), Arc::new(fresh));
        let record = self.record(&state, &manifest.digest);
        // the old manifest and the plain blobs, unless another image has them
        self.collect(&state, &image.manifest, &old)?;
        Ok(record)
    }
}
