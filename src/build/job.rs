//! # Job: one build, and what all its stages share
//!
//! What the client asked ([`Options`]), the parsed Dockerfile, the received context, and for each stage a place where its result will
//! be: that is a [`Job`]. Stages are tasks; a stage that needs another one waits for its result.
//!
//! ```text
//!   Options, context ──► Job ──► one task for each needed stage ──► results: None → Some(image)
//!                                     ▲ COPY --from=build waits ────────┘
//! ```
//!
//! * [`Job::stage`] waits for a stage, [`Job::image`] finds an image by name, or pulls it.
//!
//! Law: the first failure cancels everybody; who waits for a stage that failed fails quietly, for the reason is told once.
//! Next room: [`crate::stage`]

use crate::{
    context::Context,
    instruction::Dockerfile,
    pull,
    scope::{Given, Scope},
    stages::Plan,
    voice::{Failure, Voice},
};
use minidock_base::{Error, Kind, Result};
use minidock_engine::{Engine, byte_stream::blocking, images::Hold};
use minidock_image::ImageRecord;
use minidock_registry::credentials::Credentials;
use minidock_spec::{
    engine::container::Resources,
    image::{ImageConfig, host_architecture},
    reference::Reference,
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a client may ask of a build.
#[derive(Clone, Default)]
pub struct Options {
    /// Names for the image.
    pub tags: Vec<Reference>,
    /// The address that the context is fetched from, instead of being sent.
    pub remote: String,
    /// Where the Dockerfile lies in the context.
    pub dockerfile: String,
    pub target: String,
    pub build_args: Given,
    pub labels: BTreeMap<String, String>,
    pub no_cache: bool,
    /// Ask the registry even for images that are here.
    pub pull: bool,
    /// Say nothing but the image's id, unless it fails.
    pub quiet: bool,
    /// Leave the containers of finished steps.
    pub keep: bool,
    /// Remove the container of a failed step, too.
    pub force_remove: bool,
    pub network: String,
    pub extra_hosts: Vec<String>,
    pub security_opt: Vec<String>,
    pub shm_size: i64,
    pub resources: Resources,
    pub cache_from: Vec<String>,
    pub platform: String,
    /// Nothing in the image is younger (Unix seconds): the same context gives the same digests.
    pub epoch: Option<i64>,
    /// By id, for `RUN --mount=type=secret`.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// By registry.
    pub credentials: BTreeMap<String, Credentials>,
}

/// What a stage came to: its image, if it is more than an empty `FROM scratch`.
pub type Outcome = Option<ImageRecord>;

/// One build.
pub struct Job {
    pub engine: Arc<Engine>,
    pub registry: Arc<minidock_registry::client::Client>,
    pub options: Options,
    pub file: Dockerfile,
    pub plan: Plan,
    pub context: Arc<Context>,
    pub scope: Scope,
    pub cancel: CancellationToken,
    /// By the stage's place in the file.
    pub results: Vec<watch::Sender<Option<Outcome>>>,
    /// The images whose history may serve as cache, if only these may.
    pub cache_from: Vec<ImageRecord>,
    /// Every image it stands on: `image prune` takes none of them before it is done.
    pub held: Mutex<Vec<Hold>>,
}

/// An image with its directories, topmost first; nothing at all for `scratch`.
#[derive(Clone)]
pub struct Layers {
    pub image: Outcome,
    pub lower: Vec<PathBuf>,
}

impl Job {
    /// Keeps an image until the build is over.
    pub fn hold(&self, image: &ImageRecord) {
        let hold = self.engine.images.hold(&image.id);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(hold);
    }

    /// Lets go of them all: the build is over.
    pub fn let_go(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits for an earlier stage.
    ///
    /// # Errors
    /// It failed; its own task says why.
    pub async fn stage(&self, index: usize) -> Result<Outcome, Failure> {
        let mut result = self.results[index].subscribe();
        let found = tokio::select! {
            found = result.wait_for(Option::is_some) => found.map(|found| found.clone()).ok().flatten(),
            () = self.cancel.cancelled() => None,
        };
        found.ok_or_else(|| Error::system("the build was cancelled").into())
    }

    /// The image of this name: the one that is here, or (if it is not, or the client wants it) the registry's.
    ///
    /// # Errors
    /// It is nowhere; it is for another platform.
    pub async fn image(&self, name: &str, platform: &str, voice: &Voice) -> Result<ImageRecord, Failure> {
        let (engine, text) = (self.engine.clone(), name.to_string());
        let here = blocking(move || engine.images.store.resolve(&text)).await;
        let image = match here {
            Ok(image) if !(self.options.pull && Reference::parse(name).is_ok()) && fits(&image.config, platform) => image,
            Err(error) if !matches!(error.kind(), Kind::NotFound) => return Err(error.into()),
            here => match (pull::pull(self, name, platform, voice).await, here) {
                (Ok(image), _) => image,
                (Err(_), Ok(image)) if !self.options.pull => image, // its platform is told below
                (Err(error), _) => return Err(error),
            },
        };
        match fits(&image.config, platform) {
            true => {
                self.hold(&image);
                Ok(image)
            }
            false => Err(Error::not_found(format!(
                "image with reference {name} was found but its platform (linux/{}) does not match the specified platform ({platform})",
                image.config.architecture
            ))
            .into()),
        }
    }

    /// The directories of an image, to look into.
    ///
    /// # Errors
    /// A layer that is missing or damaged.
    pub async fn layers(&self, image: Outcome) -> Result<Layers> {
        let Some(image) = image else { return Ok(Layers { image: None, lower: Vec::new() }) };
        let engine = self.engine.clone();
        blocking(move || {
            let lower = engine.images.store.lower_dirs(&image)?;
            Ok(Layers { image: Some(image), lower })
        })
        .await
    }
}

/// Whether an image is for the platform that was asked for; none means this machine's.
fn fits(config: &ImageConfig, platform: &str) -> bool {
    let mut parts = platform.split('/');
    let system = parts.next().unwrap_or_default();
    let architecture = match parts.next() {
        None | Some("") => return matches!(system, "" | "linux" | "local"),
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        Some(other) => other,
    };
    let is = if config.architecture.is_empty() { host_architecture() } else { &config.architecture };
    matches!(system, "linux") && is == architecture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_the_machines_own_unless_said() {
        let config = ImageConfig { architecture: "amd64".into(), ..ImageConfig::default() };
        assert!(fits(&config, "") && fits(&config, "linux/amd64") && fits(&config, "linux/x86_64") && fits(&config, "linux"));
        assert!(!fits(&config, "linux/arm64") && !fits(&config, "windows"));
    }
}
