//! # OCI: documents that point at each other
//!
//! A descriptor says type, digest and size. Following it one comes to an index (a list of manifests, one for each
//! platform), to a manifest, to a configuration. Each step is checked: the bytes against the digest, the size against the
//! descriptor, the document against what it claims to be; one that is manifest *and* index at once is refused, since two
//! readers would see two different images in it (CVE-2021-41190).
//!
//! * [`choose`] walks from any descriptor to the manifest for this machine; [`read_image`] reads one manifest with its
//!   configuration; both from a store. [`parse_manifest`] and [`parse_config`] check documents from anywhere.
//!
//! See: OCI image-spec manifest.md, image-index.md. Next room: [`super::docker`]

use crate::{content::Content, store::Image};
use minidock_base::{Doing, Error, Result};
use minidock_spec::{
    digest::Digest,
    image::{DOCKER_LIST, Descriptor, ImageConfig, Index, Manifest, OCI_INDEX, host_architecture},
};
use serde_json::Value;
use std::sync::Arc;

/// overlayfs stacks no more; Docker allows 127.
pub const MOST_LAYERS: usize = minidock_linux::overlayfs::MOST_LAYERS;

/// How many indexes may point at each other.
const DEEPEST: usize = 4;

/// Reads documents by digest, from a store or out of an archive.
pub trait Documents {
    /// The bytes of a document, checked against its digest.
    ///
    /// # Errors
    /// It is not there, or not what its digest says.
    fn document(&self, digest: &Digest) -> Result<Vec<u8>>;
}

impl Documents for Content {
    fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        Content::document(self, digest)
    }
}

/// Follows indexes to the manifest that suits this machine.
///
/// # Errors
/// No manifest for this platform: the error lists those there are.
pub fn choose(from: &impl Documents, descriptor: &Descriptor) -> Result<Descriptor> {
    let mut at = descriptor.clone();
    for _ in 0..DEEPEST {
        let bytes = sized(from, &at)?;
        let value: Value = serde_json::from_slice(&bytes).doing(|| format!("read {}", at.digest))?;
        if value.get("manifests").is_none() {
            if at.media_type == OCI_INDEX || at.media_type == DOCKER_LIST {
                return Err(Error::invalid(format!("{} is called an index but lists no manifests", at.digest)));
            }
            return Ok(at);
        }
        if value.get("layers").is_some() || value.get("config").is_some() {
            return Err(Error::invalid(format!("{} is manifest and index at once: nobody can tell which is meant", at.digest)));
        }
        let index: Index = serde_json::from_value(value).doing(|| format!("read the index {}", at.digest))?;
        at = pick(&index)?;
    }
    Err(Error::invalid(format!("{}: indexes within indexes, more than {DEEPEST} deep", descriptor.digest)))
}

/// The entry for this machine: same system and architecture, else the only one there is.
fn pick(index: &Index) -> Result<Descriptor> {
    let images: Vec<&Descriptor> = index.manifests.iter().filter(|d| !is_attestation(d)).collect();
    let suits = |d: &&&Descriptor| match &d.platform {
        Some(p) => p.os == "linux" && p.architecture == host_architecture(),
        None => images.len() == 1,
    };
    if let Some(found) = images.iter().find(suits) {
        return Ok((*found).clone());
    }
    if let [only] = images[..] {
        return Ok(only.clone()); // a foreign machine's image may still be looked at
    }
    let have: Vec<String> =
        images.iter().filter_map(|d| d.platform.as_ref()).map(|p| format!("{}/{}", p.os, p.architecture)).collect();
    Err(Error::not_found(format!("no image for linux/{}; there is {}", host_architecture(), have.join(", "))))
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
        || descriptor.platform.as_ref().is_some_and(|p| p.architecture == "unknown")
}

fn sized(from: &impl Documents, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let bytes = from.document(&descriptor.digest)?;
    match bytes.len() as u64 == descriptor.size {
        true => Ok(bytes),
        false => Err(Error::invalid(format!(
            "size mismatch: {} should have {} bytes, it has {}",
            descriptor.digest,
            descriptor.size,
            bytes.len()
        ))),
    }
}

/// Reads a manifest and its configuration.
///
/// # Errors
/// A document that is missing, damaged or contradicts the other one.
pub(crate) fn read_image(from: &impl Documents, descriptor: &Descriptor) -> Result<Image> {
    let manifest = parse_manifest(&sized(from, descriptor)?).doing(|| format!("read the manifest {}", descriptor.digest))?;
    let id = manifest.config.digest.clone();
    let config = parse_config(&sized(from, &manifest.config)?, manifest.layers.len())
        .doing(|| format!("read the image configuration {id}"))?;
    Ok(Image { id, manifest, config: Arc::new(config) })
}

/// Reads a manifest.
///
/// # Errors
/// JSON that is none, an index, too many layers.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest> {
    let value: Value = serde_json::from_slice(bytes).doing(|| "parse it")?;
    if value.get("manifests").is_some() {
        return Err(Error::invalid("it is an index where a manifest should be"));
    }
    let manifest: Manifest = serde_json::from_value(value).doing(|| "parse it")?;
    match manifest.layers.len() <= MOST_LAYERS {
        true => Ok(manifest),
        false => Err(Error::invalid(format!("{} layers; overlayfs stacks at most {MOST_LAYERS}", manifest.layers.len()))),
    }
}

/// Reads a configuration and checks that it belongs to `layers` layers on Linux.
///
/// # Errors
/// Docker's words: `invalid image, no RootFS key`, `layers length mismatch`, another operating system.
pub fn parse_config(bytes: &[u8], layers: usize) -> Result<ImageConfig> {
    let value: Value = serde_json::from_slice(bytes).doing(|| "parse it")?;
    if !value.get("rootfs").is_some_and(Value::is_object) {
        return Err(Error::invalid("invalid image JSON, no RootFS key"));
    }
    let config: ImageConfig = serde_json::from_value(value).doing(|| "parse it")?;
    if !matches!(config.os.as_str(), "linux" | "") {
        let text = format!("cannot load {} image on linux", config.os);
        return Err(Error::invalid(text).hint("an image for linux"));
    }
    let expected = config.rootfs.diff_ids.len();
    if expected != layers {
        return Err(Error::invalid(format!("invalid manifest, layers length mismatch: expected {expected}, got {layers}")));
    }
    let told = config.history.iter().filter(|h| !h.empty_layer).count();
    match told <= expected {
        true => Ok(config),
        false => Err(Error::invalid(format!("its history tells of {told} layers, it has {expected}"))),
    }
}
