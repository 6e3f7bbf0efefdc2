//! # Import: a bare root filesystem becomes an image
//!
//! `debootstrap`, `docker export` and many a distribution's website give a tar archive of a root filesystem and nothing
//! else. [`Store::import`] makes it the only layer of a new image: the bytes are stored as they come (gzip stays
//! gzip; what no layer may be packed with is inflated) and unpacked on the way, and `--change` says how to run it.
//!
//! See: moby `daemon/images/image_import.go`. Next room: [`super::save`]

use super::manifest_for;
use crate::{
    compression, config, disk,
    layer::unpack,
    store::{ImageRecord, Pinned, Store},
    tags,
};
use minidock_base::{Doing, Error, Result, clock};
use minidock_linux::files;
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, History, ImageConfig, RootFs, host_architecture},
    reference::Reference,
};
use std::io::{BufRead, BufReader, Read};

impl Store {
    /// Makes an image of the root filesystem in `archive` (a tar, packed or not), with `changes` applied.
    ///
    /// # Errors
    /// No tar archive, a change that is not allowed, a name that may not be, a full disk. Nothing is left behind.
    pub fn import(
        &self,
        archive: impl Read + Send,
        reference: Option<Reference>,
        changes: &[String],
        message: &str,
    ) -> Result<ImageRecord> {
        let now = clock::rfc3339(clock::now());
        let mut image = ImageConfig {
            created: Some(now.clone()),
            architecture: host_architecture().into(),
            os: "linux".into(),
            rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
            history: vec![History { created: Some(now), comment: Some(message.to_string()), ..History::default() }],
            ..ImageConfig::default()
        };
        for change in changes {
            config::apply(&mut image.config, change)?;
        }
        if let Some(name) = &reference {
            tags::check_name(name)?;
        }
        let mut archive = BufReader::with_capacity(128 << 10, archive);
        let first = archive.fill_buf().map_err(|e| disk(&e, "read the archive"))?;
        if first.is_empty() {
            return Err(Error::invalid("the archive is empty").during("import the root filesystem"));
        }
        let (archive, media_type) = compression::storable(archive)?;
        let (diff_id, blob, _pinned) = self.layer_of(archive, media_type).doing(|| "import the root filesystem")?;
        image.rootfs.diff_ids.push(diff_id);
        self.enter(&image, vec![blob], reference.as_slice(), None)
    }

    /// Stores one new layer while unpacking it: its blob, its directory.
    fn layer_of(&self, mut archive: impl BufRead + Send, media_type: &str) -> Result<(Digest, Descriptor, Pinned<'_>)> {
        let mut ingest = self.content.begin()?;
        let tail = BufReader::with_capacity(128 << 10, ingest.tail()?);
        let making = self.layers.begin()?;
        let root = files::open_directory(&making.diff()).doing(|| "open a layer")?;
        let (unpacked, diff_id) = std::thread::scope(|scope| {
            let unpacking = scope.spawn(move || -> Result<_> {
                let source = compression::inflate(tail)?;
                let (unpacked, diff_id, _) =
                    compression::ahead(source, true, |bytes| unpack::unpack(bytes, root).map(|(done, _)| done))?;
                Ok((unpacked, diff_id))
            });
            let mut read = Ok(());
            while read.is_ok() && !unpacking.is_finished() {
                match archive.fill_buf() {
                    Ok([]) => break,
                    Ok(slice) => {
                        let n = slice.len();
                        read = ingest.write(slice);
                        archive.consume(n);
                    }
                    Err(e) => read = Err(disk(&e, "read the archive")),
                }
            }
            ingest.end();
            let unpacked = unpacking.join().map_err(|_| Error::system("the unpacking thread panicked"))?;
            read.and(unpacked)
        })?;
        let digest = ingest.digest();
        let blob = super::descriptor(media_type, digest.clone(), ingest.size());
        let pinned = self.pin([digest.clone(), diff_id.clone()]);
        ingest.commit(&digest)?;
        self.keep_layer(making, std::slice::from_ref(&diff_id), &unpacked, &diff_id, &[])?;
        Ok((diff_id, blob, pinned))
    }

    /// Writes the documents of a new image and enters it.
    pub(crate) fn enter(
        &self,
        image: &ImageConfig,
        layers: Vec<Descriptor>,
        names: &[Reference],
        parent: Option<&Digest>,
    ) -> Result<ImageRecord> {
        let (descriptor, _pinned) = self.put_documents(image, layers)?;
        self.register(&descriptor, names, parent)
    }

    /// Stores the configuration and the manifest of an image; they are not collected while the guard lives.
    pub(crate) fn put_documents(&self, image: &ImageConfig, layers: Vec<Descriptor>) -> Result<(Descriptor, Pinned<'_>)> {
        let bytes = serde_json::to_vec(image).doing(|| "write the image configuration")?;
        let id = Digest::of(&bytes);
        let (descriptor, manifest) = manifest_for(id.clone(), bytes.len() as u64, layers)?;
        let pinned = self.pin([id, descriptor.digest.clone()]);
        self.content.put(&bytes)?;
        self.content.put(&manifest)?;
        Ok((descriptor, pinned))
    }
}
