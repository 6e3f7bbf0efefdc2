//! # Push: an image from the store to a registry
//!
//! Layers first, several at once, then the configuration, the manifest last: a registry never has a manifest whose parts it
//! lacks. What the registry has already is not sent; what it has in another repository it may mount.
//!
//! ```text
//!   image ──repack──► every layer compressed ──► HEAD, mount or upload (five at once) ──► configuration ──► manifest: tag
//!         (all cores, once)                      Layer already exists · Mounted from … · Pushed
//! ```
//!
//! * [`push`] sends one reference, [`push_all`] every tag of a repository that is here.
//!
//! Layers that came to us uncompressed (`import`, `docker save`) are compressed before they travel, and stay so in the store: the
//! manifest that the registry has is then the one that is here, and a second push finds everything there. The image's ID is
//! that of its configuration and stays what it was.
//!
//! Laws: the manifest goes as it lies in the store, byte for byte, so its digest survives; afterwards the image is known by it.
//! See: moby `distribution/push_v2.go`. Next room: [`crate::server`]

use crate::{
    client::{Client, Purpose, manifest::Repository, upload::Uploaded, wire::Body},
    credentials::Credentials,
    pull::{Teller, layers::blocking},
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use minidock_base::{Error, Kind, Result};
use minidock_image::{ImageRecord, Store};
use minidock_spec::{
    digest::Digest,
    engine::image::Progress,
    image::{Descriptor, Manifest},
    reference::{HUB, Reference},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Docker's number.
const UPLOADS: usize = 5;
/// Bytes of one piece of an upload.
const PIECE: usize = 256 << 10;
/// A bar is drawn at most so often.
const BEAT: Duration = Duration::from_millis(100);
/// From so many other repositories a layer may be mounted.
const SOURCES: usize = 8;

/// What the registry has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub image: Digest,
    pub tag: String,
    pub digest: Digest,
    pub size: u64,
}

/// Pushes every tag of this repository that is here.
///
/// # Errors
/// None is; as [`push`].
pub async fn push_all(
    client: &Arc<Client>,
    store: &Arc<Store>,
    name: &Reference,
    credentials: &Credentials,
    tell: &Teller,
) -> Result<Vec<Pushed>> {
    let mut tags: Vec<Reference> = store.list().into_iter().flat_map(|image| image.tags).collect();
    tags.retain(|tag| tag.canonical_name() == name.canonical_name());
    tags.sort();
    if tags.is_empty() {
        return Err(missing(name));
    }
    let mut all = Vec::new();
    for tag in tags {
        all.push(push(client, store, &tag, credentials, tell).await?);
    }
    Ok(all)
}

fn missing(name: &Reference) -> Error {
    Error::not_found(format!("An image does not exist locally with the tag: {}", name.familiar_name()))
        .hint(format!("minidock tag IMAGE {}", name.familiar()))
}

/// Pushes one reference and tells of it.
///
/// # Errors
/// It is not here; nobody answers; the registry says no.
pub async fn push(
    client: &Arc<Client>,
    store: &Arc<Store>,
    reference: &Reference,
    credentials: &Credentials,
    tell: &Teller,
) -> Result<Pushed> {
    let Some(tag) = reference.tag.clone() else {
        return Err(Error::invalid("cannot push a digest reference").hint("minidock tag IMAGE NAME:TAG, then push that"));
    };
    let image = store.named(reference).ok_or_else(|| missing(reference))?;
    let from = sources(store, &image, reference);
    let opened = client.repository(reference, &Purpose::Push { from: from.clone() }, credentials).await;
    let repository = opened.map_err(|error| nobody_there(error, reference))?;
    tell(Progress::line(format!("The push refers to repository [{}]", reference.canonical_name())));
    for diff_id in image.diff_ids().iter().rev() {
        tell(Progress::of(diff_id.short(), "Preparing"));
    }
    let packed = {
        let (store, image, tell) = (store.clone(), image.clone(), tell.clone());
        blocking(move || {
            store.repack(&image, &mut |diff_id: &Digest, done, total| {
                tell(Progress::bar(diff_id.short(), "Compressing", done, total))
            })
        })
        .await?
    };
    let descriptor = store.manifest_of(&packed)?;
    let bytes = store.document(&descriptor.digest)?;
    let manifest: Manifest = minidock_image::archive::oci::parse_manifest(&bytes)?;
    let sending = Sending { repository: &repository, store, from: &from, tell };
    let mut seen = BTreeSet::new();
    let layers: Vec<(Digest, Descriptor)> =
        packed.diff_ids().iter().cloned().zip(manifest.layers.iter().cloned()).rev().collect();
    let (once, again): (Vec<_>, Vec<_>) = layers.into_iter().partition(|(_, blob)| seen.insert(blob.digest.clone()));
    let mut uploads: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
    for (diff_id, blob) in &once {
        uploads.push(sending.layer(diff_id, blob).boxed());
    }
    stream::iter(uploads).buffer_unordered(UPLOADS).try_collect::<Vec<()>>().await.map_err(|e| denied(e, reference))?;
    for (diff_id, _) in &again {
        tell(Progress::of(diff_id.short(), "Layer already exists"));
    }
    let config = sending.store.clone();
    repository
        .upload(&manifest.config, &[], &|from| body(&config, &manifest.config, from, |_| ()))
        .await
        .map_err(|e| denied(e, reference))?;
    let digest = repository.put_manifest(&tag, &descriptor.media_type, &bytes).await.map_err(|e| denied(e, reference))?;
    let (size, known) = (bytes.len() as u64, Reference { tag: None, digest: Some(digest.clone()), ..reference.clone() });
    {
        let (store, id) = (store.clone(), packed.id.clone());
        blocking(move || store.note(&id, &[known])).await?;
    }
    tell(Progress::line(format!("{tag}: digest: {digest} size: {size}")));
    let aux = json!({"Tag": tag, "Digest": digest, "Size": size});
    tell(Progress { aux: Some(aux), progress_detail: Some(Default::default()), ..Progress::default() });
    Ok(Pushed { image: packed.id, tag, digest, size })
}

/// Other repositories of the same registry that are known to have layers of this image.
fn sources(store: &Store, image: &ImageRecord, target: &Reference) -> Vec<String> {
    let layers: BTreeSet<&Digest> = image.diff_ids().iter().collect();
    let mut found = BTreeSet::new();
    for other in store.list() {
        if other.diff_ids().iter().any(|layer| layers.contains(layer)) {
            found.extend(
                other.digests.iter().filter(|d| d.domain == target.domain && d.path != target.path).map(|d| d.path.clone()),
            );
        }
    }
    found.into_iter().take(SOURCES).collect()
}

struct Sending<'a> {
    repository: &'a Repository,
    store: &'a Arc<Store>,
    from: &'a [String],
    tell: &'a Teller,
}

impl Sending<'_> {
    async fn layer(&self, diff_id: &Digest, blob: &Descriptor) -> Result<()> {
        let (id, total) = (diff_id.short().to_string(), blob.size);
        let drawn: Arc<Mutex<Option<Instant>>> = Arc::default();
        let source = |from: u64| {
            let (tell, id, drawn) = (self.tell.clone(), id.clone(), drawn.clone());
            body(self.store, blob, from, move |sent| {
                let mut drawn = drawn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if sent == total || drawn.is_none_or(|at| at.elapsed() >= BEAT) {
                    *drawn = Some(Instant::now());
                    tell(Progress::bar(&id, "Pushing", sent, total));
                }
            })
        };
        let words = match self.repository.upload(blob, self.from, &source).await? {
            Uploaded::Existed => "Layer already exists".to_string(),
            Uploaded::Mounted(from) => format!("Mounted from {from}"),
            Uploaded::Sent => "Pushed".to_string(),
        };
        (self.tell)(Progress::of(&id, &words));
        Ok(())
    }
}

/// The bytes of a blob from `from` on, read by a thread a few pieces ahead; `sent` hears how far they are out.
fn body(store: &Arc<Store>, blob: &Descriptor, from: u64, sent: impl Fn(u64) + Send + 'static) -> Result<Body> {
    let mut file = store.open_blob(&blob.digest)?;
    let (pieces, incoming) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut read = || -> io::Result<()> {
            file.seek(SeekFrom::Start(from))?;
            let mut at = from;
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
                if piece.is_empty() {
                    return Ok(());
                }
                at += piece.len() as u64;
                if pieces.blocking_send(Ok(piece.into())).is_err() {
                    return Ok(()); // the connection has gone
                }
                sent(at);
            }
        };
        if let Err(error) = read() {
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let pieces = stream::unfold(incoming, |mut incoming| async move { incoming.recv().await.map(|piece| (piece, incoming)) });
    Ok(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}

/// Docker's words when a push is not allowed.
fn denied(error: Error, reference: &Reference) -> Error {
    let text = error.message();
    if error.kind() != Kind::Forbidden || text.starts_with("denied") {
        return error;
    }
    Error::forbidden(format!("denied: requested access to the resource is denied ({}: {text})", reference.familiar_name()))
        .hint(format!("minidock login {}", if reference.domain == HUB { "" } else { &reference.domain }).trim_end().to_string())
}

/// A name without a registry in it means the Hub: who meant another one is told how to say so.
fn nobody_there(error: Error, reference: &Reference) -> Error {
    if error.kind() != Kind::Unavailable || error.hint_text().is_some() || reference.domain != HUB {
        return error;
    }
    let familiar = reference.familiar();
    error.hint(format!(
        "a name without a registry goes to the Hub; for another one: minidock tag {familiar} localhost:5000/{familiar}, and push that"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_meant_another_registry_is_told_how_to_say_so() {
        let hint = |name: &str, error: Error| {
            let told = nobody_there(error, &Reference::parse(name).expect("a name"));
            told.hint_text().map(str::to_string)
        };
        let nobody = || Error::unavailable("nobody answers");
        assert!(hint("team/app:1", nobody()).is_some_and(|hint| hint.contains("tag team/app:1 localhost:5000/team/app:1")));
        assert_eq!(hint("localhost:5000/app", nobody()), None);
        assert_eq!(hint("app", Error::forbidden("no")), None);
    }
}
