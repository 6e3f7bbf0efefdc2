//! # Find: what a user typed
//!
//! ```text
//!   alpine, alpine:3.20, alpine@sha256:…    a name, among the names of the list
//!   c0ffee, sha256:c0ffee…                  an ID (or a manifest's digest), whole or the beginning of one
//! ```
//!
//! * [`State::manifest_of`] answers with the manifest that is meant; a name wins over the beginning of an ID.
//!
//! Laws: a hidden image is found by nobody; two images that begin alike are told apart by typing more. The words of each refusal are Docker's
//! ([`no_such_image`]). See: moby `daemon/images/image.go` GetImage. Next room: [`crate::lent`]

use crate::{
    store::{Image, State},
    tags,
};
use minidock_base::{Error, Kind, Result};
use minidock_spec::{digest::Digest, image::Descriptor, reference::Reference};
use std::sync::Arc;

impl State {
    fn visible(&self) -> impl Iterator<Item = (&Digest, &Arc<Image>)> {
        let hidden = |manifest: &Digest| {
            let mut entries = self.tags.index.manifests.iter().filter(|d| d.digest == *manifest).peekable();
            entries.peek().is_some() && entries.all(|d| d.annotations.contains_key(tags::HIDDEN))
        };
        self.images.iter().filter(move |(manifest, _)| !hidden(manifest))
    }

    /// Which manifest is meant by what a user typed.
    pub fn manifest_of(&self, text: &str) -> Result<Digest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && hex.len() == 64 {
            let by_digest = self.visible().find(|(manifest, image)| image.id.hex() == hex || manifest.hex() == hex);
            return by_digest.map(|(m, _)| m.clone()).ok_or_else(|| no_such_image(text));
        }
        let name = match Reference::parse(text) {
            Ok(name) => Some(name),
            Err(_) if is_hex => None,
            Err(error) => return Err(error),
        };
        if let Some(found) = name.as_ref().and_then(|name| self.by_name(name)) {
            return Ok(found);
        }
        if is_hex {
            let mut begun = self.visible().filter(|(_, image)| image.id.hex().starts_with(hex));
            match (begun.next(), begun.next()) {
                (Some((manifest, _)), None) => return Ok(manifest.clone()),
                (Some(_), Some(_)) => {
                    let text = format!("multiple IDs found with provided prefix: {text}");
                    return Err(Error::new(Kind::InvalidParameter, text).hint("type more of the ID"));
                }
                _ => {}
            }
        }
        Err(no_such_image(&name.map_or_else(|| text.to_string(), |name| name.familiar())))
    }

    fn by_name(&self, name: &Reference) -> Option<Digest> {
        if let Some(found) = self.tags.find(name) {
            return Some(found.clone());
        }
        let digest = name.digest.as_ref()?;
        // name@digest: the manifest, if an image of that name is it
        let same = |d: &&Descriptor| {
            d.digest == *digest && tags::name_of(d).is_some_and(|n| n.canonical_name() == name.canonical_name())
        };
        self.tags.index.manifests.iter().find(same).map(|d| d.digest.clone())
    }
}

/// Docker's words, which clients match on.
pub fn no_such_image(name: &str) -> Error {
    Error::not_found(format!("No such image: {name}")).hint("minidock image ls shows the images that are here")
}
