//! # Save: images into one archive
//!
//! What Docker writes since version 25: one tar archive that is an OCI image layout *and*, with a `manifest.json` beside,
//! the archive that every older Docker loads. The blobs are ours as they are, byte for byte, so a digest survives any
//! number of journeys.
//!
//! ```text
//!   blobs/sha256/<hex>   configurations, manifests, layers: each once, however many images share it
//!   index.json           oci-layout            for OCI tools
//!   manifest.json        repositories          for Docker
//! ```
//!
//! Law: the same images give the same bytes: everything is dated to the beginning of time. See: moby `image/tarexport/save.go`.
//! Next room: [`super::import`]

use super::docker::Item;
use crate::{
    layer::{
        tar::{Entry, Kind},
        write::{Writer, plain},
    },
    store::{ImageRecord, Store},
    tags,
};
use minidock_base::{Doing, Result};
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, Index, OCI_INDEX},
    reference::Reference,
};
use serde_json::{Map, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
};

/// One image to save, with the names it shall have in the archive.
struct Chosen {
    image: ImageRecord,
    names: Vec<Reference>,
}

impl Store {
    /// Writes these images (names, IDs) into one archive. A name without a tag means all tags of that repository.
    ///
    /// # Errors
    /// An image that is not there, before anything is written; a stream that takes no more.
    pub fn save(&self, references: &[String], out: impl Write) -> Result<()> {
        let chosen = self.choose(references)?;
        let mut writer = Writer::new(out);
        let (mut written, mut items) = (BTreeSet::new(), Vec::new());
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut manifests = Vec::new();
        folder(&mut writer, "blobs/")?;
        folder(&mut writer, "blobs/sha256/")?;
        for Chosen { image, names } in &chosen {
            let descriptor = self.state().descriptor(&image.manifest)?;
            let config = &image.id;
            for digest in image.layers.iter().map(|layer| &layer.blob.digest).chain([config, &image.manifest]) {
                if written.insert(digest.clone()) {
                    self.blob(&mut writer, digest)?;
                }
            }
            let top = image.layers.last().map(|layer| layer.blob.digest.hex().to_string()).unwrap_or_default();
            for name in names {
                let tag = name.tag.clone().unwrap_or_default();
                repositories.entry(name.familiar_name()).or_default().insert(tag, top.clone());
            }
            items.push(Item {
                config: path(config),
                repo_tags: (!names.is_empty()).then(|| names.iter().map(Reference::familiar).collect()),
                layers: Some(image.layers.iter().map(|layer| path(&layer.blob.digest)).collect()),
            });
            manifests.extend(named(&descriptor, names));
        }
        let index = Index {
            schema_version: 2,
            media_type: Some(OCI_INDEX.into()),
            manifests,
            annotations: BTreeMap::new(),
            extra: Map::new(),
        };
        let layout = json!({"imageLayoutVersion": "1.0.0"});
        document(&mut writer, "index.json", &index)?;
        document(&mut writer, "manifest.json", &items)?;
        document(&mut writer, "oci-layout", &layout)?;
        if !repositories.is_empty() {
            document(&mut writer, "repositories", &repositories)?;
        }
        writer.finish().map(|_| ())
    }

    fn choose(&self, references: &[String]) -> Result<Vec<Chosen>> {
        let mut all: Vec<Chosen> = Vec::new();
        let mut add = |image: ImageRecord, names: Vec<Reference>| match all.iter_mut().find(|c| c.image.id == image.id) {
            Some(known) => {
                let new: Vec<_> = names.into_iter().filter(|n| !known.names.contains(n)).collect();
                known.names.extend(new);
            }
            None => all.push(Chosen { image, names }),
        };
        for text in references {
            let bare = Reference::parse_untagged(text).ok().filter(|name| name.tag.is_none() && name.digest.is_none());
            if let Some(bare) = bare {
                let same = |n: &&Reference| n.canonical_name() == bare.canonical_name();
                let tagged: Vec<ImageRecord> = self.list().into_iter().filter(|i| i.tags.iter().any(|n| same(&n))).collect();
                if !tagged.is_empty() {
                    for image in tagged {
                        let names = image.tags.iter().filter(same).cloned().collect();
                        add(image, names);
                    }
                    continue;
                }
            }
            let image = self.resolve(text)?;
            let names = Reference::parse(text).ok().filter(|name| image.tags.contains(name)).into_iter().collect();
            add(image, names);
        }
        Ok(all)
    }

    fn blob(&self, writer: &mut Writer<impl Write>, digest: &Digest) -> Result<()> {
        let file: File = self.content.reader(digest)?;
        let size = file.metadata().doing(|| format!("read the blob {digest}"))?.len();
        writer.entry(&Entry { name: path(digest).into_bytes(), mode: 0o644, size, ..plain() })?;
        writer.content(file)
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// One descriptor for each name, or one without.
fn named(descriptor: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let one = |name: Option<&Reference>| {
        let mut entry = descriptor.clone();
        if let Some(name) = name {
            entry.annotations.insert(tags::FULL_NAME.into(), name.canonical());
            entry.annotations.insert(tags::REF_NAME.into(), name.tag.clone().unwrap_or_default());
        }
        entry
    };
    match names {
        [] => vec![one(None)],
        names => names.iter().map(|name| one(Some(name))).collect(),
    }
}

fn folder(writer: &mut Writer<impl Write>, name: &str) -> Result<()> {
    writer.entry(&Entry { name: name.into(), kind: Kind::Directory, mode: 0o755, ..plain() })
}

fn document(writer: &mut Writer<impl Write>, name: &str, value: &impl serde::Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).doing(|| format!("write {name}"))?;
    writer.entry(&Entry { name: name.into(), mode: 0o644, size: bytes.len() as u64, ..plain() })?;
    writer.content(&bytes[..])
}
