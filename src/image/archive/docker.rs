//! # Docker: the archive that `docker save` has always written
//!
//! Older than OCI: a `manifest.json` that lists images, each with the file of its configuration, the files of its layers
//! and its names. Files are found by name, and a layer shared by two images may be a symlink in the archive
//! (`<id>/layer.tar -> ../<other>/layer.tar`): followed here inside the archive's own list of names, never on a disk.
//!
//! * [`Item`] is one image of `manifest.json`; [`parse`] reads them all.
//!
//! See: moby `image/tarexport`, Docker image spec v1.2 "Combined Image JSON". Next room: [`super::read`]

use minidock_base::{Doing, Error, Result};
use serde::{Deserialize, Serialize};

/// One image, as `manifest.json` tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    pub config: String,
    pub repo_tags: Option<Vec<String>>,
    pub layers: Option<Vec<String>>,
}

/// Reads `manifest.json`. `null` and `[]` list nothing.
///
/// # Errors
/// JSON that is none, or another document.
pub fn parse(bytes: &[u8]) -> Result<Vec<Item>> {
    let items: Option<Vec<Item>> = serde_json::from_slice(bytes).doing(|| "read manifest.json of the archive")?;
    items
        .unwrap_or_default()
        .into_iter()
        .map(|item| match item.config.is_empty() {
            true => Err(Error::invalid("an image without configuration in manifest.json of the archive")),
            false => Ok(item),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_and_nothing_is_nothing() {
        assert!(parse(b"null").expect("nothing").is_empty() && parse(b"[]").expect("nothing").is_empty());
        for bad in ["{{{", "{}", "[null]", "[{}]", &"[".repeat(200_000)] {
            assert!(parse(bad.as_bytes()).is_err(), "{:.20}", bad);
        }
    }
}
