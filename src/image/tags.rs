//! # Tags: names that people give to digests
//!
//! A digest never changes what it means; a tag is a note that somebody may move. The notes of an OCI image layout are the
//! annotations of `index.json`: one descriptor for each name of an image, or one without a name for an image that has none.
//!
//! ```text
//!   index.json ─ manifests ┬ {digest: sha256:ab…, "org.opencontainers.image.ref.name": "alpine:latest",
//!                          │                      "io.containerd.image.name": "docker.io/library/alpine:latest"}
//!                          ├ {digest: sha256:ab…, … "alpine:3.20"}
//!                          └ {digest: sha256:cd…}                                   <none> <none>
//! ```
//!
//! * [`Tags`] is that list in memory; every change is written durably before it is believed.
//! * Our own notes are annotations too: when it was tagged, which image it was committed from, that it was removed while a
//!   stopped container still needs it ([`HIDDEN`]).
//!
//! Laws: index.json is replaced, never edited in place; one that cannot be read is set aside under a name that says so,
//! and then nothing is collected as garbage. See: OCI image-layout.md, annotations.md. Next room: [`crate::layers`]

use minidock_base::{Error, Result, state_file};
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, Index, OCI_INDEX},
    reference::Reference,
};
use serde_json::Map;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
pub const FULL_NAME: &str = "io.containerd.image.name";
pub const TAGGED_AT: &str = "dev.minidock.tagged-at";
pub const PARENT: &str = "dev.minidock.parent";
pub const HIDDEN: &str = "dev.minidock.hidden";
pub const LENT: &str = "dev.minidock.lent";

/// The list of names, as it lies in index.json.
#[derive(Clone, Debug)]
pub struct Tags {
    file: PathBuf,
    pub index: Index,
}

impl Tags {
    /// Reads `index.json` below `root`; a new store has an empty one.
    ///
    /// # Errors
    /// A file that cannot be read at all. One that can be read but makes no sense is set aside, and its new place is
    /// returned beside the empty list.
    pub fn open(root: &Path) -> Result<(Tags, Option<Error>)> {
        let file = root.join("index.json");
        let empty = Index {
            schema_version: 2,
            media_type: Some(OCI_INDEX.into()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            extra: Map::new(),
        };
        match state_file::load::<Index>(&file) {
            Ok(Some(index)) => Ok((Tags { file, index }, None)),
            Ok(None) => {
                let tags = Tags { file, index: empty };
                tags.save()?;
                Ok((tags, None))
            }
            Err(broken) => {
                let aside = state_file::set_aside(&file)?;
                let tags = Tags { file, index: empty };
                tags.save()?;
                let hint = format!("{} holds what could not be read; no blob is removed while it is there", aside.display());
                Ok((tags, Some(broken.hint(hint))))
            }
        }
    }

    /// Whether an index that could not be read lies beside this one: then blobs that look unused may be its own.
    pub fn has_broken_sibling(&self) -> bool {
        let Some(folder) = self.file.parent() else { return false };
        let Ok(entries) = std::fs::read_dir(folder) else { return true };
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("index.json.broken"))
    }

    /// Changes the list, and writes it before the change counts.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Descriptor>) -> T) -> Result<T> {
        let mut next = self.clone();
        let made = change(&mut next.index.manifests);
        next.save()?;
        *self = next;
        Ok(made)
    }

    /// Changes the list in memory only: it is written with the next [`Tags::change`].
    pub fn note<T>(&mut self, change: impl FnOnce(&mut Vec<Descriptor>) -> T) -> T {
        change(&mut self.index.manifests)
    }

    fn save(&self) -> Result<()> {
        state_file::save_durably(&self.file, &self.index)
    }

    /// Which manifest bears exactly this name.
    pub fn find(&self, name: &Reference) -> Option<&Digest> {
        let wanted = name.canonical();
        self.index.manifests.iter().find(|d| name_of(d).is_some_and(|n| n.canonical() == wanted)).map(|d| &d.digest)
    }
}

/// The name on a descriptor: the full one, or a foreign tool's short one.
pub fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let text = descriptor.annotations.get(FULL_NAME).or_else(|| descriptor.annotations.get(REF_NAME))?;
    Reference::parse(text).ok()
}

/// Gives `name` to a manifest, taking it from whichever had it; one that loses its last name stays, nameless.
pub fn give(list: &mut Vec<Descriptor>, descriptor: &Descriptor, name: Option<&Reference>, now: &str) {
    if let Some(name) = name {
        take(list, name);
    }
    let nameless = |d: &Descriptor| d.digest == descriptor.digest && name_of(d).is_none();
    let mut notes: BTreeMap<String, String> = list
        .iter()
        .filter(|d| d.digest == descriptor.digest)
        .flat_map(|d| d.annotations.clone())
        .chain(descriptor.annotations.clone())
        .collect();
    notes.remove(HIDDEN);
    notes.remove(LENT); // a name given here is ours
    let mut entry = Descriptor { annotations: notes, ..descriptor.clone() };
    for key in [REF_NAME, FULL_NAME] {
        entry.annotations.remove(key);
    }
    match name {
        Some(name) => {
            entry.annotations.insert(REF_NAME.into(), name.familiar());
            entry.annotations.insert(FULL_NAME.into(), name.canonical());
            entry.annotations.insert(TAGGED_AT.into(), now.into());
            list.retain(|d| !nameless(d));
            list.push(entry);
        }
        None if list.iter().any(|d| d.digest == descriptor.digest && !d.annotations.contains_key(HIDDEN)) => {}
        None => {
            list.retain(|d| !nameless(d));
            list.push(entry);
        }
    }
}

/// Takes a name away; a manifest whose last it was stays in the list without one. Gives back whose it was.
pub fn take(list: &mut Vec<Descriptor>, name: &Reference) -> Option<Digest> {
    let wanted = name.canonical();
    let at = list.iter().position(|d| name_of(d).is_some_and(|n| n.canonical() == wanted))?;
    let mut entry = list.remove(at);
    let digest = entry.digest.clone();
    if !list.iter().any(|d| d.digest == digest) {
        for key in [REF_NAME, FULL_NAME, TAGGED_AT] {
            entry.annotations.remove(key);
        }
        list.push(entry);
    }
    Some(digest)
}

/// Refuses a name that would pose as a digest.
///
/// # Errors
/// `refusing to create an ambiguous tag using digest algorithm as name`.
pub fn check_name(name: &Reference) -> Result<()> {
    match name.familiar_name().as_str() {
        "sha256" | "sha512" | "sha384" => {
            Err(Error::invalid("refusing to create an ambiguous tag using digest algorithm as name"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(of: &[u8]) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(of),
            size: 1,
            annotations: BTreeMap::new(),
            platform: None,
            extra: Map::new(),
        }
    }

    #[test]
    fn a_name_belongs_to_one_image_and_the_last_one_lost_leaves_it_nameless() {
        let (a, b, name) = (descriptor(b"a"), descriptor(b"b"), Reference::parse("x").expect("a name"));
        let mut list = Vec::new();
        give(&mut list, &a, None, "");
        give(&mut list, &a, Some(&name), "");
        assert_eq!(list.len(), 1);
        give(&mut list, &b, Some(&name), "");
        assert_eq!(list.iter().map(|d| name_of(d).is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(take(&mut list, &name), Some(b.digest));
        assert!(take(&mut list, &name).is_none() && list.len() == 2);
    }

    #[test]
    fn an_index_that_cannot_be_read_is_set_aside_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("index.json"), "{\"schemaVersion\": 2, \"manif").expect("room");
        let (tags, broken) = Tags::open(folder.path()).expect("opens all the same");
        assert!(broken.is_some_and(|e| e.message().contains("index.json:1:")));
        assert!(tags.index.manifests.is_empty() && tags.has_broken_sibling());
    }

    #[test]
    fn no_name_poses_as_a_digest() {
        let posing = Reference::parse("sha256:aaaa").expect("parses as a name");
        assert!(check_name(&posing).is_err());
        assert!(check_name(&Reference::parse("alpine").expect("a name")).is_ok());
    }
}
