//! # Archive: images in one file
//!
//! Three tools, one idea: a tar archive with documents and layers in it. `docker save` has always written `manifest.json`
//! and a file for each layer; OCI tools write an image layout with `index.json`; since version 25 Docker writes both into
//! one archive, and so do we. What a name in the list means is a matter of [`docker`] and [`oci`]; how the stream becomes
//! parts is a matter of [`read`]; here the parts become images of the store.
//!
//! ```text
//!   stream ──read──► documents + layers ──┬─ index.json?    ──oci────► found: manifest, configuration, layers, names
//!                                         └─ manifest.json? ──docker─► found …
//!   found ──► every digest checked ──► blobs renamed ──► layers settled and renamed ──► names given
//! ```
//!
//! * [`Store::load`] takes images in; [`save`] writes them; [`import`] makes an image of a bare root filesystem.
//!
//! Laws: nothing is named before all of it is in place and checked; what fails leaves only scratch, which is removed.
//! See: moby `image/tarexport`, OCI image-layout.md. Next room: [`read`]

pub mod docker;
pub mod import;
pub mod oci;
pub mod read;
pub mod save;

use crate::{
    content::mismatch,
    store::{ImageRecord, Store, manifest_descriptor},
    tags,
};
use minidock_base::{Doing, Error, Result};
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, ImageConfig, Index, Manifest, OCI_CONFIG, OCI_MANIFEST},
    reference::Reference,
};
use read::{Part, Parts};
use serde_json::Map;
use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
};

/// What is told while an archive is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of one layer that have come in.
    Reading { id: String, current: u64, total: u64 },
    /// A layer is a directory now; so many are still being unpacked.
    Unpacked { id: String, left: usize },
}

/// One image that was taken in.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub image: ImageRecord,
    /// Its names in the archive; none: `Loaded image ID: sha256:…`.
    pub names: Vec<Reference>,
}

/// One image of an archive, its documents checked, its layers by name.
struct Found {
    config: ImageConfig,
    config_bytes: Vec<u8>,
    /// The archive's own manifest, when it has one.
    manifest: Option<(Descriptor, Vec<u8>)>,
    layers: Vec<String>,
    names: Vec<Reference>,
}

impl Store {
    /// Takes in all images of an archive.
    ///
    /// # Errors
    /// No image archive, a damaged one (both digests named), names that may not be; a full disk. Nothing is left behind.
    pub fn load(&self, archive: impl Read + Send, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Loaded>> {
        let known = |digest: &Digest| self.layers.record(digest).ok().flatten().is_some_and(|record| !record.leans);
        let mut parts =
            read::read(archive, &self.content, &self.layers, &known, progress).doing(|| "load the image archive")?;
        let found = found(&parts).doing(|| "load the image archive")?;
        if found.is_empty() {
            return Err(Error::invalid("the archive lists no image").during("load the image archive"));
        }
        let mut loaded = Vec::new();
        let mut stored = HashMap::new();
        for image in found {
            match self.take_in(&mut parts, image, &mut stored) {
                Ok(image) => loaded.push(image),
                Err(error) => {
                    self.sweep()?; // what this image's first layers have left in the store
                    return Err(error.during("load the image archive"));
                }
            }
        }
        Ok(loaded)
    }

    /// Moves one image's parts to their places and enters it.
    fn take_in(&self, parts: &mut Parts, image: Found, stored: &mut HashMap<String, Descriptor>) -> Result<Loaded> {
        let diff_ids = image.config.rootfs.diff_ids.clone();
        let mut wanted = vec![Digest::of(&image.config_bytes)];
        wanted.extend(image.layers.iter().filter_map(|name| parts.layers.get(name)).map(|part| part.digest.clone()));
        wanted.extend((1..=diff_ids.len()).map(|n| crate::layers::chain_id(&diff_ids[..n])));
        wanted.extend(diff_ids.iter().cloned());
        wanted.extend(image.manifest.iter().map(|(descriptor, _)| descriptor.digest.clone()));
        let _pinned = self.pin(wanted);
        if let Some(known) = self.known(&image, parts)? {
            let record = self.register(&known, &image.names, None)?;
            return Ok(Loaded { image: record, names: image.names });
        }
        let (mut blobs, mut lower) = (Vec::new(), Vec::new());
        for (nth, name) in image.layers.iter().enumerate() {
            let blob = self.layer(parts, name, &diff_ids[..=nth], &mut lower, stored);
            blobs.push(blob.doing(|| format!("take in layer {} ({name})", nth + 1))?);
        }
        let config = self.content.put(&image.config_bytes)?;
        let (descriptor, bytes) = match image.manifest {
            Some(manifest) => manifest,
            None => manifest_for(config, image.config_bytes.len() as u64, blobs)?,
        };
        self.content.put(&bytes)?;
        let _manifest = self.pin([descriptor.digest.clone()]);
        let record = self.register(&descriptor, &image.names, None)?;
        Ok(Loaded { image: record, names: image.names })
    }

    /// The same configuration is the same image: its layers were only read to be checked.
    fn known(&self, image: &Found, parts: &Parts) -> Result<Option<Descriptor>> {
        let Ok(known) = self.by_id(&Digest::of(&image.config_bytes)) else { return Ok(None) };
        for (nth, (name, diff_id)) in image.layers.iter().zip(known.diff_ids()).enumerate() {
            if let Some(Part { layer: Ok(layer), .. }) = parts.layers.get(name)
                && layer.diff_id != *diff_id
            {
                return Err(mismatch("layer (uncompressed)", diff_id, &layer.diff_id));
            }
            if self.layers.key(&known.diff_ids()[..=nth])?.is_none() {
                return Ok(None);
            }
        }
        self.state().descriptor(&known.manifest).map(Some)
    }

    /// One layer: its blob to the blobs, its directory to the layers, unless they are there already.
    fn layer(
        &self,
        parts: &mut Parts,
        name: &str,
        diff_ids: &[Digest],
        lower: &mut Vec<std::path::PathBuf>,
        stored: &mut HashMap<String, Descriptor>,
    ) -> Result<Descriptor> {
        let blob = match (stored.get(name), parts.layers.remove(name)) {
            (Some(blob), _) => blob.clone(),
            (None, None) => return Err(Error::invalid("it is not in the archive")),
            (None, Some(Part { ingest, digest, media_type, layer })) => {
                let blob = descriptor(media_type, digest.clone(), ingest.size());
                let layer = layer?;
                if diff_ids.last() != Some(&layer.diff_id) {
                    return Err(mismatch("layer (uncompressed)", &diff_ids[diff_ids.len() - 1], &layer.diff_id));
                }
                ingest.commit(&digest)?;
                if let (None, Some(making)) = (self.layers.key(diff_ids)?, layer.making) {
                    self.keep_layer(making, diff_ids, &layer.unpacked, &layer.diff_id, lower)?;
                }
                stored.insert(name.to_string(), blob.clone());
                blob
            }
        };
        let key = match self.layers.key(diff_ids)? {
            Some((key, _)) => key,
            None => self.unpack_again(diff_ids, &blob, lower)?,
        };
        lower.insert(0, self.layers.short(&key)?);
        Ok(blob)
    }
}

pub(crate) fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.into(), digest, size, annotations: BTreeMap::new(), platform: None, extra: Map::new() }
}

/// The manifest of an image whose archive had none.
pub(crate) fn manifest_for(config: Digest, config_size: u64, layers: Vec<Descriptor>) -> Result<(Descriptor, Vec<u8>)> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.into()),
        config: descriptor(OCI_CONFIG, config, config_size),
        layers,
        annotations: BTreeMap::new(),
        extra: Map::new(),
    };
    let bytes = serde_json::to_vec(&manifest).doing(|| "write the manifest")?;
    Ok((manifest_descriptor(Digest::of(&bytes), &bytes, None), bytes))
}

/// The images an archive lists: by its OCI index if it has one, with the names of `manifest.json` beside.
fn found(parts: &Parts) -> Result<Vec<Found>> {
    let items = match parts.documents.get(&parts.real_name("manifest.json")?) {
        Some(bytes) => Some(docker::parse(bytes)?),
        None => None,
    };
    if let (Some(bytes), true) = (parts.documents.get("index.json"), parts.documents.contains_key("oci-layout")) {
        return found_oci(parts, bytes, items.unwrap_or_default());
    }
    match items {
        Some(items) => items.iter().map(|item| found_docker(parts, item)).collect(),
        None if parts.documents.contains_key("repositories") => {
            Err(Error::invalid("an archive of Docker before 1.10: such images have no digests")
                .hint("load and save it once with a Docker of 1.10 to 27"))
        }
        None => Err(Error::invalid("not an image archive: it has neither manifest.json nor index.json")
            .hint("minidock image import takes a bare root filesystem")),
    }
}

fn found_docker(parts: &Parts, item: &docker::Item) -> Result<Found> {
    let config_bytes = parts.documents.get(&parts.real_name(&item.config)?).cloned();
    let config_bytes = config_bytes.ok_or_else(|| Error::invalid(format!("the archive has no {:?}", item.config)))?;
    let layers = item.layers.clone().unwrap_or_default();
    let layers = layers.iter().map(|name| parts.real_name(name)).collect::<Result<Vec<_>>>()?;
    let config = oci::parse_config(&config_bytes, layers.len()).doing(|| format!("read {}", item.config))?;
    if layers.len() > oci::MOST_LAYERS {
        return Err(Error::invalid(format!("{} layers; overlayfs stacks at most {}", layers.len(), oci::MOST_LAYERS)));
    }
    let names = item.repo_tags.iter().flatten().map(|name| checked_name(name)).collect::<Result<_>>()?;
    Ok(Found { config, config_bytes, manifest: None, layers, names })
}

fn checked_name(text: &str) -> Result<Reference> {
    let name = Reference::parse(text).doing(|| format!("read the name {text:?}"))?;
    tags::check_name(&name).map(|()| name)
}

impl oci::Documents for Parts {
    fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let name = self.real_name(&format!("blobs/sha256/{}", digest.hex()))?;
        let bytes = self.documents.get(&name).ok_or_else(|| Error::invalid(format!("the archive lacks the blob {digest}")))?;
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(mismatch("blob", digest, &found));
        }
        Ok(bytes.clone())
    }
}

fn found_oci(parts: &Parts, index: &[u8], items: Vec<docker::Item>) -> Result<Vec<Found>> {
    let index: Index = serde_json::from_slice(index).doing(|| "read index.json of the archive")?;
    let mut all: Vec<Found> = Vec::new();
    for entry in &index.manifests {
        if entry.annotations.contains_key("vnd.docker.reference.type") {
            continue;
        }
        let manifest = oci::choose(parts, entry)?;
        let names: Vec<Reference> = match entry.annotations.get(tags::FULL_NAME) {
            Some(name) => vec![checked_name(name)?],
            // a bare ref.name is often only a tag (`latest`): of what, nobody knows
            None => entry.annotations.get(tags::REF_NAME).and_then(|name| oci_name(name)).into_iter().collect(),
        };
        if let Some(known) = all.iter_mut().find(|f| f.manifest.as_ref().is_some_and(|(d, _)| d.digest == manifest.digest)) {
            known.names.extend(names);
            continue;
        }
        all.push(found_manifest(parts, &manifest, names)?);
    }
    // names that only manifest.json knows
    for item in items {
        let config = parts.documents.get(&parts.real_name(&item.config)?).map(|bytes| Digest::of(bytes));
        if let Some(known) = all.iter_mut().find(|f| config.as_ref() == Some(&Digest::of(&f.config_bytes))) {
            for name in item.repo_tags.iter().flatten() {
                let name = checked_name(name)?;
                if !known.names.contains(&name) {
                    known.names.push(name);
                }
            }
        }
    }
    Ok(all)
}

fn found_manifest(parts: &Parts, descriptor: &Descriptor, names: Vec<Reference>) -> Result<Found> {
    let bytes = oci::Documents::document(parts, &descriptor.digest)?;
    let image = oci::read_image(parts, descriptor)?;
    let mut layers = Vec::new();
    for layer in &image.manifest.layers {
        let name = parts.real_name(&format!("blobs/sha256/{}", layer.digest.hex()))?;
        if let Some(part) = parts.layers.get(&name) {
            if part.digest != layer.digest {
                return Err(mismatch("layer", &layer.digest, &part.digest));
            }
            if part.ingest.size() != layer.size {
                let (has, says) = (part.ingest.size(), layer.size);
                return Err(Error::invalid(format!("size mismatch: {} should have {says} bytes, it has {has}", layer.digest)));
            }
        }
        layers.push(name);
    }
    let config_bytes = oci::Documents::document(parts, &image.id)?;
    let bare = Descriptor { annotations: BTreeMap::new(), ..descriptor.clone() };
    Ok(Found { config: (*image.config).clone(), config_bytes, manifest: Some((bare, bytes)), layers, names })
}

/// A `ref.name` that names something; `latest`, `1.2` and `v3` are tags of nobody knows what.
fn oci_name(text: &str) -> Option<Reference> {
    let name = Reference::parse(text).ok()?;
    let version = text.strip_prefix('v').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    let bare_tag = !text.contains(['/', ':']) && (text == "latest" || version);
    (!bare_tag && tags::check_name(&name).is_ok()).then_some(name)
}
