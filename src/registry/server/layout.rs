//! # Layout: another store's images, handed out as well
//!
//! A teacher has the images already: in the daemon's own store, which is an OCI layout that anybody can read. With `--store` the
//! registry hands them out beside what was pushed to it: to a class it is a mirror of what the teacher has (`minidock daemon
//! --registry-mirror http://teacher:5000`), without a push and without a copy.
//!
//! ```text
//!   index.json: "io.containerd.image.name": "docker.io/library/alpine:latest"  ─►  library/alpine:latest, alpine:latest
//!                                           "localhost:5000/team/app:1"        ─►  team/app:1
//! ```
//!
//! Laws: it is only read, afresh for each request, so what the daemon loads is there at once; what a broken list cannot tell is
//! not there; a repository hands out only blobs that one of its images has. See: OCI image-layout.md. Next room: [`super::options`]

use super::route::Which;
use minidock_base::{Error, Result, state_file};
use minidock_image::tags;
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, Index, Manifest},
    reference::{HUB, Reference},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::PathBuf,
};

/// The largest manifest that is looked into.
const LARGEST: u64 = 8 << 20;

/// A folder with `index.json` and `blobs/`.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Looks whether it is one.
    ///
    /// # Errors
    /// It is none.
    pub fn open(root: PathBuf) -> Result<Layout> {
        match root.join("oci-layout").exists() {
            true => Ok(Layout { root }),
            false => {
                Err(Error::invalid(format!("{} is no OCI image layout", root.display())).hint("--store /var/lib/minidock"))
            }
        }
    }

    fn entries(&self) -> Vec<(Reference, Descriptor)> {
        let index: Option<Index> = state_file::load(&self.root.join("index.json")).ok().flatten();
        let entries = index.into_iter().flat_map(|index| index.manifests);
        entries.filter_map(|entry| tags::name_of(&entry).map(|name| (name, entry))).collect()
    }

    /// The entries that this repository has.
    fn of<'a>(&self, name: &'a str) -> impl Iterator<Item = (Reference, Descriptor)> + 'a {
        self.entries().into_iter().filter(move |(reference, _)| names(reference).any(|known| known == name))
    }

    pub fn repositories(&self) -> BTreeSet<String> {
        let named = self.entries().into_iter().filter(|(reference, _)| reference.tag.is_some());
        named.map(|(reference, _)| reference.path).collect()
    }

    pub fn tags(&self, name: &str) -> BTreeSet<String> {
        self.of(name).filter_map(|(reference, _)| reference.tag).collect()
    }

    /// A manifest of this repository: its digest, bytes and type.
    pub fn manifest(&self, name: &str, which: &Which) -> Option<(Digest, Vec<u8>, String)> {
        let (_, entry) = self.of(name).find(|(reference, entry)| match which {
            Which::Tag(tag) => reference.tag.as_ref() == Some(tag),
            Which::Digest(digest) => digest.known().as_ref() == Some(&entry.digest),
        })?;
        let bytes = fs::read(self.path(&entry.digest)).ok()?;
        (Digest::of(&bytes) == entry.digest).then_some((entry.digest, bytes, entry.media_type))
    }

    /// A blob that one of this repository's images has.
    pub fn open_blob(&self, name: &str, digest: &Digest) -> Option<File> {
        let has = |entry: &Descriptor| {
            let small = fs::metadata(self.path(&entry.digest)).is_ok_and(|facts| facts.len() <= LARGEST);
            let bytes = if small { fs::read(self.path(&entry.digest)).unwrap_or_default() } else { Vec::new() };
            let manifest: Option<Manifest> = serde_json::from_slice(&bytes).ok();
            manifest.is_some_and(|m| m.config.digest == *digest || m.layers.iter().any(|layer| layer.digest == *digest))
        };
        let found = self.of(name).any(|(_, entry)| entry.digest == *digest || has(&entry));
        if found { File::open(self.path(digest)).ok() } else { None }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }
}

/// Under which names a registry hands out an image with this name.
fn names(reference: &Reference) -> impl Iterator<Item = &str> {
    let short = reference.path.strip_prefix("library/").filter(|_| reference.domain == HUB);
    std::iter::once(reference.path.as_str()).chain(short)
}
