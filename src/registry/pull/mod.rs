//! # Pull: from a name to an image in the store
//!
//! A name is asked for at its registry: the answer is a manifest, or an index of manifests from which the one for this machine is
//! chosen. The manifest names a configuration and layers; what is not here yet is fetched. Then the image is entered under its
//! tag, and under its digest, by which the registry knows it.
//!
//! ```text
//!   alpine ──► endpoint (mirror, registry) ──GET manifests/latest──► index ──choose──► manifest ──► configuration
//!                                                                       │                 └──► layers: [`layers`]
//!   Digest: sha256:… ◄──────────────────────────────────────────────────┘
//!   Status: Downloaded newer image for alpine:latest      or      Image is up to date for alpine:latest
//! ```
//!
//! * [`pull`] fetches one reference, [`pull_all`] every tag of a repository; [`Teller`] hears each line, in Docker's words.
//! * [`stand_in`]: what is said where there is no network and the image was built on this machine.
//!
//! Laws: nothing is named before all of it is here; a pull that is broken off leaves a clean store and half a blob for the next
//! try; two pulls of one image share the work ([`crate::flights`]). See: moby `distribution/pull_v2.go`. Next room: [`layers`]

pub mod layers;
pub mod stand_in;

use crate::{
    client::{Client, Purpose, manifest::Document, manifest::Repository},
    credentials::Credentials,
    platform,
};
use layers::blocking;
use minidock_base::{Error, Kind, Result};
use minidock_image::{ImageRecord, Store};
use minidock_spec::{
    digest::Digest,
    engine::image::Progress,
    image::{Descriptor, Manifest, Platform},
    reference::Reference,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Hears what happens, line by line.
pub type Teller = Arc<dyn Fn(Progress) + Send + Sync>;

/// How many indexes may point at each other.
const DEEPEST: usize = 4;

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Another than this machine's.
    pub platform: Option<Platform>,
    pub credentials: Credentials,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub image: ImageRecord,
    /// What the tag means at the registry: the digest of the index, if there is one.
    pub digest: Digest,
    /// Whether anything changed here.
    pub newer: bool,
}

/// Pulls one reference and tells of it, `Digest:` and `Status:` included.
///
/// # Errors
/// Nobody answers; there is no such image, or not for this platform; it may not be had; what comes is not what was promised.
pub async fn pull(
    client: &Arc<Client>,
    store: &Arc<Store>,
    reference: &Reference,
    options: &PullOptions,
    tell: &Teller,
) -> Result<Pulled> {
    let answered = Arc::new(AtomicBool::new(false));
    let telling: Teller = {
        let (tell, answered) = (tell.clone(), answered.clone());
        Arc::new(move |line| {
            answered.store(true, Ordering::Relaxed);
            tell(line);
        })
    };
    let work = one(client, store, reference, options, &telling);
    let pulled = match stand_in::within_patience(store, reference, &answered, work).await {
        Err(error) if !answered.load(Ordering::Relaxed) => match stand_in::instead(store, reference, options, &error, tell) {
            Some(stand_in) => return Ok(stand_in),
            None => return Err(offline(error)),
        },
        pulled => pulled?,
    };
    tell(Progress::line(format!("Digest: {}", pulled.digest)));
    status(reference.familiar(), pulled.newer, tell);
    Ok(pulled)
}

/// Nobody answered: what one can do without a network.
fn offline(error: Error) -> Error {
    match error.kind() == Kind::Unavailable && error.hint_text().is_none() {
        true => error
            .hint("without network: make images builds stand-ins for the base images; minidock load -i FILE takes an archive"),
        false => error,
    }
}

/// Pulls every tag of a repository.
///
/// # Errors
/// As [`pull`]; the tags fetched before the failure stay.
pub async fn pull_all(
    client: &Arc<Client>,
    store: &Arc<Store>,
    reference: &Reference,
    options: &PullOptions,
    tell: &Teller,
) -> Result<Vec<Pulled>> {
    let repository = client.repository(reference, &Purpose::Pull, &options.credentials).await?;
    let tags = repository.tags().await.map_err(|error| refused(error, reference, &repository))?;
    let mut all = Vec::new();
    for tag in tags {
        let tagged = Reference { tag: Some(tag), ..reference.clone() };
        let pulled = one(client, store, &tagged, options, tell).await?;
        tell(Progress::line(format!("Digest: {}", pulled.digest)));
        all.push(pulled);
    }
    if all.is_empty() {
        return Err(Error::not_found(format!("the repository {} has no tags", reference.familiar_name())));
    }
    status(reference.familiar_name(), all.iter().any(|pulled| pulled.newer), tell);
    Ok(all)
}

fn status(name: String, newer: bool, tell: &Teller) {
    let words = if newer { "Downloaded newer image" } else { "Image is up to date" };
    tell(Progress::line(format!("Status: {words} for {name}")));
}

/// Tries one endpoint after the other: what a mirror does not have, the registry may.
async fn one(
    client: &Arc<Client>,
    store: &Arc<Store>,
    reference: &Reference,
    options: &PullOptions,
    tell: &Teller,
) -> Result<Pulled> {
    let mut endpoints = client.repositories(reference, &Purpose::Pull, &options.credentials)?;
    let mut told = false;
    loop {
        let is_mirror = !endpoints.is_last();
        let Some(opened) = endpoints.next().await else {
            return Err(Error::unavailable("no endpoint of the registry is left to be asked"));
        };
        let tried = match opened {
            Ok(repository) => from(client, store, reference, options, Arc::new(repository), &mut told, tell).await,
            Err(error) => Err(error),
        };
        match tried {
            Err(error) if is_mirror && !endpoints.is_last() => tracing::info!("a mirror did not help: {}", error.message()),
            tried => return tried,
        }
    }
}

async fn from(
    client: &Arc<Client>,
    store: &Arc<Store>,
    reference: &Reference,
    options: &PullOptions,
    repository: Arc<Repository>,
    told: &mut bool,
    tell: &Teller,
) -> Result<Pulled> {
    let wanted = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
    };
    let top = repository.manifest(&wanted).await.map_err(|error| refused(error, reference, &repository))?;
    if !*told {
        *told = true;
        tell(Progress { id: Some(wanted.clone()), ..Progress::line(format!("Pulling from {}", reference.path)) });
    }
    let platform = options.platform.clone().unwrap_or_else(platform::host);
    let document = for_platform(&repository, top.clone(), &platform).await?;
    let digest = top.digest;
    let seat = client.flights.join(&format!("image {}", document.digest));
    let (_turn, _) = seat.turn(&|line| tell(line)).await;
    let seat = Arc::new(seat);
    let tell: Teller = {
        let (tell, seat) = (tell.clone(), seat.clone());
        Arc::new(move |line| {
            seat.say(&line);
            tell(line);
        })
    };
    let mut names = vec![Reference { tag: None, digest: Some(digest.clone()), ..reference.clone() }];
    names.extend(reference.digest.is_none().then(|| reference.clone()));
    let manifest: Manifest =
        minidock_image::archive::oci::parse_manifest(&document.bytes).map_err(|e| e.during("read the manifest"))?;
    let (known, before) = lookup(store, &manifest, reference).await?;
    if let Some(image) = known {
        let newer = before.as_ref().is_none_or(|before| before.id != image.id);
        suits(options, image.config.os.as_str(), &image.config.architecture, image.config.variant.as_deref(), reference)?;
        for layer in manifest.layers.iter().filter(|_| newer) {
            tell(Progress::of(layer.digest.short(), "Already exists"));
        }
        let (store, id) = (store.clone(), image.id.clone());
        let image = blocking(move || store.note(&id, &names)).await?;
        return Ok(Pulled { image, digest, newer });
    }
    let config = repository.small_blob(&manifest.config).await.map_err(|e| e.during("fetch the image configuration"))?;
    let arrival = {
        let (store, media_type) = (store.clone(), document.media_type.clone());
        blocking(move || store.arrive(Some(&media_type), document.bytes, config)).await?
    };
    let config = arrival.config();
    suits(options, &config.os, &config.architecture, config.variant.as_deref(), reference)?;
    let image = layers::bring(arrival, repository, client.flights.clone(), names, &tell).await?;
    Ok(Pulled { image, digest, newer: true })
}

/// The image with this configuration, if all of it is here, and whichever bears the name now.
async fn lookup(
    store: &Arc<Store>,
    manifest: &Manifest,
    reference: &Reference,
) -> Result<(Option<ImageRecord>, Option<ImageRecord>)> {
    let (store, config, reference) = (store.clone(), manifest.config.digest.clone(), reference.clone());
    blocking(move || Ok((store.whole(&config), store.named(&reference)))).await
}

/// Follows indexes to the manifest for one platform.
async fn for_platform(repository: &Repository, mut document: Document, platform: &Platform) -> Result<Document> {
    for _ in 0..DEEPEST {
        let Some(index) = document.index()? else { return Ok(document) };
        let entry: Descriptor = platform::choose(&index, platform)?;
        document =
            repository.manifest(entry.digest.as_str()).await.map_err(|e| e.during("fetch the manifest for this platform"))?;
        if document.bytes.len() as u64 != entry.size {
            let (has, says) = (document.bytes.len(), entry.size);
            return Err(Error::invalid(format!(
                "size mismatch: the manifest {} has {has} bytes, the index says {says}",
                entry.digest
            )));
        }
    }
    Err(Error::invalid(format!("indexes within indexes, more than {DEEPEST} deep")))
}

/// An image that is not one of several may still be for another machine than was asked for.
fn suits(options: &PullOptions, os: &str, architecture: &str, variant: Option<&str>, reference: &Reference) -> Result<()> {
    let Some(wanted) = &options.platform else { return Ok(()) };
    let os = if os.is_empty() { "linux" } else { os };
    let have = Platform {
        os: os.into(),
        architecture: architecture.into(),
        variant: variant.map(str::to_string),
        ..Platform::default()
    };
    match platform::matches(&have, wanted) {
        true => Ok(()),
        false => Err(Error::not_found(format!(
            "image with reference {} was found but does not match the specified platform: wanted {}, actual: {}",
            reference.familiar(),
            platform::shown(wanted),
            platform::shown(&have)
        ))),
    }
}

/// Docker's words for what a registry refuses.
fn refused(error: Error, reference: &Reference, repository: &Repository) -> Error {
    let text = error.message();
    let hint = |e: Error| match error.hint_text() {
        Some(hint) => e.hint(hint),
        None => e,
    };
    match error.kind() {
        Kind::Forbidden
            if repository.session.is_guarded() && !repository.session.is_known() && text.starts_with("unauthorized") =>
        {
            let address = repository.session.endpoint.address();
            let which = reference.digest.as_ref().map(ToString::to_string).or(reference.tag.clone()).unwrap_or_default();
            let asked = format!("{address}/v2/{}/manifests/{which}", repository.name);
            hint(Error::forbidden(format!("Head \"{asked}\": no basic auth credentials")))
        }
        Kind::Forbidden => hint(Error::not_found(format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': {text}",
            reference.familiar_name()
        ))),
        Kind::NotFound if text.starts_with("name unknown") => hint(Error::not_found(format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': {text}",
            reference.familiar_name()
        ))),
        Kind::NotFound => hint(Error::not_found(format!("manifest for {} not found: {text}", reference.familiar()))),
        _ => error,
    }
}
