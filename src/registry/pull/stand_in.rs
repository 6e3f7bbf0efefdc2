//! # Stand-in: pulling in a room without network
//!
//! In the labs one types `image pull alpine`. Where there is no network, and `alpine` is a *stand-in* that was built on this
//! machine and is labelled so, the honest answer is neither a failure (the lab goes on, with this very image) nor a plain "up to
//! date" (nobody asked the registry). So: the layers are shown as what they are, here already; a line says that it is a stand-in
//! and why the registry could not be asked; the status is Docker's, and the exit status 0.
//!
//! ```text
//!   latest: Pulling from library/alpine
//!   8a2f…: Already exists
//!   alpine:latest is a stand-in built on this machine; docker.io could not be asked: … lookup registry-1.docker.io: …
//!   Digest: sha256:…
//!   Status: Image is up to date for alpine:latest
//! ```
//!
//! Laws: only with the label, only under the very name that was asked for, and only when nobody answered; an image of the real
//! registry, or a registry that says no, is answered as Docker does. A room's silence must not cost minutes: with a
//! stand-in here, a first answer is waited for [`PATIENCE`]. Next room: [`super::layers`]

use super::{PullOptions, Pulled, Teller};
use crate::platform;
use minidock_base::{Error, Kind, Result};
use minidock_image::{ImageRecord, Store};
use minidock_spec::{
    engine::image::Progress,
    image::Platform,
    reference::{HUB, Reference},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// The label that the recipes under `images/` set.
pub const LABEL: &str = "org.minidock.stand-in";

/// How long a registry may be silent while a stand-in is here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The stand-in under this name, if there is one.
fn here(store: &Store, reference: &Reference) -> Option<ImageRecord> {
    store.named(reference).filter(|image| image.config.config.labels.contains_key(LABEL))
}

/// Does `work`; where a stand-in is here, only its first seconds may be spent in silence. As soon as the registry `answered` it
/// may take its time.
pub async fn within_patience<T>(
    store: &Store,
    reference: &Reference,
    answered: &AtomicBool,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if here(store, reference).is_none() {
        return work.await;
    }
    tokio::pin!(work);
    match timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) if answered.load(Ordering::Relaxed) => work.await,
        Err(_) => Err(Error::unavailable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// The stand-in instead of the image that could not be asked for, and the lines that say so.
pub fn instead(store: &Store, reference: &Reference, options: &PullOptions, error: &Error, tell: &Teller) -> Option<Pulled> {
    let image = here(store, reference).filter(|_| error.kind() == Kind::Unavailable)?;
    let config = &image.config;
    let have = Platform {
        os: "linux".into(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        ..Platform::default()
    };
    if options.platform.as_ref().is_some_and(|wanted| !platform::matches(&have, wanted)) {
        return None;
    }
    let tag = reference.tag.clone().unwrap_or_else(|| "latest".into());
    tell(Progress { id: Some(tag), ..Progress::line(format!("Pulling from {}", reference.path)) });
    for layer in &image.layers {
        tell(Progress::of(layer.blob.digest.short(), "Already exists"));
    }
    let domain = if reference.domain == HUB { "the Hub" } else { &reference.domain };
    tell(Progress::line(format!(
        "{} is a stand-in built on this machine; {domain} could not be asked: {}",
        reference.familiar(),
        error.message()
    )));
    let digest = image.manifest.clone();
    tell(Progress::line(format!("Digest: {digest}")));
    super::status(reference.familiar(), false, tell);
    Some(Pulled { image, digest, newer: false })
}
