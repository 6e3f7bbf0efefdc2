//! # Store: from a name to an image
//!
//! The store is an OCI image layout with a memory. What lies on the disk is the truth; what [`Store`] holds is the list of
//! names, and each image's manifest and configuration, parsed once.
//!
//! ```text
//!   "alpine" ──tags──► manifest digest ──content──► manifest ──► configuration (its digest is the image's ID)
//!                                                        └──► layers ──layers──► directories for overlayfs
//! ```
//!
//! * [`Store::open`] makes or reads the layout; images that cannot be read are reported by [`Store::broken`], kept, and left out.
//! * [`Store::resolve`] is what every command does first with what the user typed.
//! * [`Store::lower_dirs`] gives the directories of an image, unpacking again what has got lost.
//!
//! Laws: one lock, never held while reading an archive; what an unfinished load has brought is pinned ([`Pins`]) so that no
//! other thread collects it. See: OCI image-spec image-layout.md · moby `image/store.go`. Next room: [`crate::remove`]

use crate::{
    archive::oci,
    compression,
    content::Content,
    disk,
    layer::{below, unpack},
    layers::{LayerRecord, Layers, chain_id},
    lent::Lender,
    tags::{self, Tags},
};
use jiff::Timestamp;
use minidock_base::{Doing, Error, Result, clock, paths::Paths};
use minidock_linux::files;
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, ImageConfig, Manifest, OCI_MANIFEST},
    reference::Reference,
};
use std::{
    collections::{BTreeMap, HashMap},
    io::BufReader,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    pub diff_id: Digest,
    pub blob: Descriptor,
    /// Bytes of its files; 0 while it is not unpacked.
    pub size: u64,
}

/// All that is known about one image.
#[derive(Clone, Debug)]
pub struct ImageRecord {
    /// The digest of the configuration: what Docker calls the image's ID.
    pub id: Digest,
    pub manifest: Digest,
    pub tags: Vec<Reference>,
    /// Names with digests, of images that came from a registry.
    pub digests: Vec<Reference>,
    pub config: Arc<ImageConfig>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// Bytes of all layers, unpacked.
    pub size: u64,
    /// The image this one was committed from.
    pub parent: Option<Digest>,
    pub created: Option<Timestamp>,
    pub last_tagged: Option<Timestamp>,
    /// Removed by its user, kept for a stopped container.
    pub hidden: bool,
}

impl ImageRecord {
    pub fn diff_ids(&self) -> &[Digest] {
        &self.config.rootfs.diff_ids
    }
}

/// The documents of one image, which never change.
#[derive(Debug)]
pub(crate) struct Image {
    pub id: Digest,
    pub manifest: Manifest,
    pub config: Arc<ImageConfig>,
}

/// Digests that an unfinished load or commit needs.
pub(crate) type Pins = HashMap<Digest, usize>;

pub(crate) struct State {
    pub tags: Tags,
    pub images: HashMap<Digest, Arc<Image>>,
    pub broken: Vec<(Descriptor, Error)>,
    pub pins: Pins,
    /// Another tool has put an index of several platforms here: its other manifests are not ours to remove.
    pub foreign: bool,
    /// Another store, whose images are shown here, too.
    pub lender: Option<Lender>,
}

/// The images of one data root.
pub struct Store {
    pub(crate) content: Content,
    pub(crate) layers: Layers,
    state: Mutex<State>,
}

impl Store {
    /// Opens the layout at the data root, making it if there is none; half-made things of an earlier life are removed.
    ///
    /// # Errors
    /// Folders that cannot be made or read. Broken images and a broken index are no error here: see [`Store::broken`].
    pub fn open(paths: &Paths) -> Result<Store> {
        Store::open_with(paths, None)
    }

    /// The same, with the images of `lender`, another data root ([`crate::lent`]).
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(paths: &Paths, lender: Option<&Path>) -> Result<Store> {
        let root = paths.image_store();
        let why = || format!("open the image store {}", root.display());
        crate::layers::remove_folder(&paths.scratch()).doing(why)?;
        let mut layers = Layers::open(paths).doing(why)?;
        let mut content = Content::open(&root, &paths.scratch()).doing(why)?;
        if let Some(lender) = lender {
            (layers, content) = (layers.lent_by(lender), content.lent_by(lender));
        }
        let layout = root.join("oci-layout");
        if !layout.exists() {
            std::fs::write(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}").map_err(|e| disk(&e, why()))?;
        }
        let (mut tags, set_aside) = Tags::open(&root).doing(why)?;
        tags.note(|list| list.retain(|d| !d.annotations.contains_key(tags::LENT))); // shown anew, if they are still there
        let mut state =
            State { tags, images: HashMap::new(), broken: Vec::new(), pins: HashMap::new(), foreign: false, lender: None };
        for descriptor in state.tags.index.manifests.clone() {
            if let Err(error) = state.image(&content, &descriptor) {
                tracing::warn!(image = %descriptor.digest, "image cannot be read: {}", error.message());
                state.broken.push((descriptor, error));
            }
        }
        if let Some(error) = set_aside {
            tracing::warn!("the list of images was broken: {}", error.message());
        }
        state.lender = lender.map(|lender| Lender::open(lender, &root)).transpose().doing(why)?;
        let store = Store { content, layers, state: Mutex::new(state) };
        store.sweep()?;
        Ok(store)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(mut lender) = state.lender.take_if(|lender| lender.has_changed()) {
            lender.show(&self.content, &mut state);
            state.lender = Some(lender);
        }
        state
    }

    /// Images in the list that cannot be read, each with the reason.
    pub fn broken(&self) -> Vec<(Digest, Error)> {
        self.state().broken.iter().map(|(d, e)| (d.digest.clone(), e.clone())).collect()
    }

    /// All images, newest first.
    pub fn list(&self) -> Vec<ImageRecord> {
        let state = self.state();
        let mut all: Vec<ImageRecord> =
            state.images.keys().map(|m| self.record(&state, m)).filter(|record| !record.hidden).collect();
        all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Finds what a user typed: a name, a name with a tag or digest, an ID or an unambiguous beginning of one.
    ///
    /// # Errors
    /// [`Kind::NotFound`] `No such image: x:latest`.
    pub fn resolve(&self, text: &str) -> Result<ImageRecord> {
        let state = self.state();
        let record = state.manifest_of(text).map(|manifest| self.record(&state, &manifest))?;
        Ok(record)
    }

    /// The image with this ID, hidden ones too: what a container's record names.
    pub fn by_id(&self, id: &Digest) -> Result<ImageRecord> {
        let state = self.state();
        let found = state.images.iter().find(|(_, image)| image.id == *id).map(|(manifest, _)| manifest.clone());
        match found {
            Some(manifest) => Ok(self.record(&state, &manifest)),
            None => Err(Error::not_found(format!("No such image: {id}"))),
        }
    }

    pub(crate) fn record(&self, state: &State, manifest: &Digest) -> ImageRecord {
        let image = &state.images[manifest];
        let entries: Vec<&Descriptor> = state.tags.index.manifests.iter().filter(|d| d.digest == *manifest).collect();
        let note = |key: &str| entries.iter().filter_map(|d| d.annotations.get(key)).max().cloned();
        let (digests, tags): (Vec<_>, Vec<_>) =
            entries.iter().filter_map(|d| tags::name_of(d)).partition(|name| name.digest.is_some());
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers: Vec<Layer> = diff_ids
            .iter()
            .zip(&image.manifest.layers)
            .enumerate()
            .map(|(nth, (diff_id, blob))| Layer {
                diff_id: diff_id.clone(),
                blob: blob.clone(),
                size: self.layers.key(&diff_ids[..=nth]).ok().flatten().map_or(0, |(_, record)| record.size),
            })
            .collect();
        ImageRecord {
            id: image.id.clone(),
            manifest: manifest.clone(),
            tags,
            digests,
            size: layers.iter().map(|layer| layer.size).sum(),
            layers,
            parent: note(tags::PARENT).and_then(|id| Digest::parse(&id).ok()),
            created: image.config.created.as_deref().and_then(|at| at.parse().ok()),
            last_tagged: note(tags::TAGGED_AT).and_then(|at| at.parse().ok()),
            hidden: !entries.is_empty() && entries.iter().all(|d| d.annotations.contains_key(tags::HIDDEN)),
            config: image.config.clone(),
        }
    }

    /// Gives an image another name, taking it from whichever had it.
    ///
    /// # Errors
    /// A name that poses as a digest, or holds one; an image that is not there.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        tags::check_name(name)?;
        if name.digest.is_some() {
            return Err(Error::invalid("refusing to create a tag with a digest reference"));
        }
        let record = self.by_id(id)?;
        let mut state = self.state();
        let descriptor = state.descriptor(&record.manifest)?;
        let now = clock::rfc3339(clock::now());
        state.tags.change(|list| tags::give(list, &descriptor, Some(name), &now))
    }

    /// The directories of an image, topmost first, by their short names. Layers that are not there are unpacked again.
    ///
    /// # Errors
    /// A layer whose blob is missing or damaged.
    pub fn lower_dirs(&self, image: &ImageRecord) -> Result<Vec<PathBuf>> {
        let mut dirs = Vec::with_capacity(image.layers.len());
        for nth in 0..image.layers.len() {
            let diff_ids = &image.diff_ids()[..=nth];
            let key = match self.layers.key(diff_ids)? {
                Some((key, _)) => key,
                None => self
                    .unpack_again(diff_ids, &image.layers[nth].blob, &dirs)
                    .doing(|| format!("unpack layer {} of image {}", nth + 1, image.id.short()))?,
            };
            dirs.insert(0, self.layers.short(&key)?);
        }
        Ok(dirs)
    }

    pub(crate) fn unpack_again(&self, diff_ids: &[Digest], blob: &Descriptor, lower: &[PathBuf]) -> Result<Digest> {
        let making = self.layers.begin()?;
        let root = files::open_directory(&making.diff()).doing(|| "open a layer")?;
        let packed = BufReader::with_capacity(128 << 10, self.content.reader(&blob.digest)?);
        let source = compression::inflate(packed)?;
        let (unpacked, found, _) = compression::ahead(source, true, |bytes| unpack::unpack(bytes, root).map(|(done, _)| done))?;
        self.keep_layer(making, diff_ids, &unpacked, &found, lower)
    }

    /// Checks a freshly unpacked layer against its diff ID, settles it upon the layers below, and gives it its name.
    pub(crate) fn keep_layer(
        &self,
        making: crate::layers::Making,
        diff_ids: &[Digest],
        unpacked: &unpack::Unpacked,
        found: &Digest,
        lower: &[PathBuf],
    ) -> Result<Digest> {
        let Some(diff_id) = diff_ids.last() else { return Err(Error::system("a layer without a diff ID")) };
        if diff_id != found {
            return Err(crate::content::mismatch("layer (uncompressed)", diff_id, found));
        }
        below::lean(&making.diff(), unpacked, lower)?;
        let leans = below::leans(unpacked, lower)?;
        let key = if leans { chain_id(diff_ids) } else { diff_id.clone() };
        let record = LayerRecord { diff_id: diff_id.clone(), size: unpacked.size, leans };
        self.layers.adopt(making, &key, &record)?;
        Ok(key)
    }

    /// Enters an image whose blobs and layers are in place, under these names.
    pub(crate) fn register(&self, manifest: &Descriptor, names: &[Reference], parent: Option<&Digest>) -> Result<ImageRecord> {
        self.settle()?;
        let mut state = self.state();
        let (descriptor, image) = self.described(&state, manifest, parent)?;
        state.tags.change(|list| enlist(list, &descriptor, names))?;
        Ok(self.admit(&mut state, descriptor, image))
    }

    /// Waits until the disk has all blobs and layers: a list that survives a power cut must not name what did not. One syncfs for
    /// all of an image's files; an fsync for each of them would take as long as unpacking.
    pub(crate) fn settle(&self) -> Result<()> {
        self.layers.settle()
    }

    /// Reads the image of a descriptor, and notes its parent.
    pub(crate) fn described(&self, state: &State, of: &Descriptor, parent: Option<&Digest>) -> Result<(Descriptor, Image)> {
        let mut descriptor = of.clone();
        if let Some(parent) = parent {
            descriptor.annotations.insert(tags::PARENT.into(), parent.to_string());
        }
        let image = oci::read_image(&self.content, &descriptor)?;
        // the same configuration is the same image, whatever its layers were packed with
        if let Some(known) = state.images.iter().find(|(_, known)| known.id == image.id).map(|(m, _)| m.clone()) {
            descriptor = Descriptor { annotations: descriptor.annotations, ..state.descriptor(&known)? };
        }
        Ok((descriptor, image))
    }

    pub(crate) fn admit(&self, state: &mut State, descriptor: Descriptor, image: Image) -> ImageRecord {
        state.images.entry(descriptor.digest.clone()).or_insert_with(|| Arc::new(image));
        state.broken.retain(|(d, _)| d.digest != descriptor.digest);
        self.record(state, &descriptor.digest)
    }

    /// Keeps digests from being collected until the guard is dropped.
    pub(crate) fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pinned<'_> {
        let digests: Vec<Digest> = digests.into_iter().collect();
        self.hold(&digests);
        Pinned { store: self, digests }
    }

    /// Counts digests as needed, until [`Store::let_go`].
    pub(crate) fn hold(&self, digests: &[Digest]) {
        let mut state = self.state();
        for digest in digests {
            *state.pins.entry(digest.clone()).or_default() += 1;
        }
    }

    pub(crate) fn let_go(&self, digests: &[Digest]) {
        let mut state = self.state();
        for digest in digests {
            if let Some(count) = state.pins.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(digest);
                }
            }
        }
    }
}

/// Puts a manifest on the list, under these names or none; it is hidden no longer.
pub(crate) fn enlist(list: &mut Vec<Descriptor>, descriptor: &Descriptor, names: &[Reference]) {
    let now = clock::rfc3339(clock::now());
    tags::give(list, descriptor, None, &now);
    for name in names {
        tags::give(list, descriptor, Some(name), &now);
    }
    list.iter_mut().filter(|d| d.digest == descriptor.digest).for_each(|d| drop(d.annotations.remove(tags::HIDDEN)));
}

/// Digests that stay while this lives.
pub(crate) struct Pinned<'a> {
    store: &'a Store,
    digests: Vec<Digest>,
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.store.let_go(&self.digests);
    }
}

impl State {
    /// Reads an image of the list into memory.
    fn image(&mut self, content: &Content, descriptor: &Descriptor) -> Result<()> {
        let chosen = oci::choose(content, descriptor)?;
        if !self.images.contains_key(&chosen.digest) {
            let image = oci::read_image(content, &chosen)?;
            self.images.insert(chosen.digest.clone(), Arc::new(image));
        }
        if chosen.digest != descriptor.digest {
            // an index of several platforms: from now on its entry means the manifest for this machine
            self.foreign = true;
            for entry in self.tags.index.manifests.iter_mut().filter(|d| d.digest == descriptor.digest) {
                *entry = Descriptor { annotations: entry.annotations.clone(), ..chosen.clone() };
            }
        }
        Ok(())
    }

    /// The bare descriptor of a manifest in the list.
    pub fn descriptor(&self, manifest: &Digest) -> Result<Descriptor> {
        let entry = self.tags.index.manifests.iter().find(|d| d.digest == *manifest);
        let entry = entry.ok_or_else(|| Error::not_found(format!("No such image: {manifest}")))?;
        Ok(Descriptor { annotations: BTreeMap::new(), ..entry.clone() })
    }

    /// A name of a lent image (or all of it) was taken away here: it is not to be shown again.
    pub fn dismiss(&mut self, name: Option<&Reference>, manifest: &Digest) -> Result<()> {
        match &mut self.lender {
            Some(lender) => lender.dismiss(name, manifest),
            None => Ok(()),
        }
    }
}

/// The descriptor of a manifest just stored.
pub(crate) fn manifest_descriptor(digest: Digest, bytes: &[u8], media_type: Option<&str>) -> Descriptor {
    Descriptor {
        media_type: media_type.unwrap_or(OCI_MANIFEST).to_string(),
        digest,
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
        platform: None,
        extra: serde_json::Map::new(),
    }
}
