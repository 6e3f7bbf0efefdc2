//! # Pull: a base image that is not here
//!
//! `FROM alpine` means the alpine that is here, or else the registry's. The client sends what it knows about registries
//! (`X-Registry-Config`), for the builder must not ask for a password in the middle of a step.
//!
//! * [`pull`] fetches an image, its progress told by the stage's voice; [`credentials_for`] picks the right ones.
//!
//! See: moby `builder/dockerfile/imagecontext.go`. Next room: [`crate::cache`]

use crate::{
    job::Job,
    voice::{Failure, Voice},
};
use minidock_base::Result;
use minidock_image::ImageRecord;
use minidock_registry::{
    credentials::Credentials,
    platform,
    pull::{self, PullOptions, Teller},
};
use minidock_spec::reference::{HUB, Reference};
use std::{collections::BTreeMap, sync::Arc};

/// Fetches an image by name.
///
/// # Errors
/// A name that is none; what the registry says; the build was cancelled.
pub async fn pull(job: &Job, name: &str, platform: &str, voice: &Voice) -> Result<ImageRecord, Failure> {
    let reference = Reference::parse(name)?;
    let options = PullOptions {
        platform: (!platform.is_empty()).then(|| platform::parse(platform)).transpose()?,
        credentials: credentials_for(&job.options.credentials, &reference.domain),
    };
    let voice = voice.clone();
    let tell: Teller = Arc::new(move |line| voice.line_now(line));
    tokio::select! {
        pulled = pull::pull(&job.registry, &job.engine.images.store, &reference, &options, &tell) => Ok(pulled?.image),
        () = job.cancel.cancelled() => Err(minidock_base::Error::system("the build was cancelled").into()),
    }
}

/// What was sent for this registry, under its own name or one of the Hub's.
pub fn credentials_for(all: &BTreeMap<String, Credentials>, domain: &str) -> Credentials {
    let bare = |server: &str| {
        let server = server.trim_start_matches("https://").trim_start_matches("http://");
        server.split('/').next().unwrap_or_default().to_string()
    };
    let means = |server: &str| match bare(server).as_str() {
        "index.docker.io" | "registry-1.docker.io" => domain == HUB,
        server => server == domain,
    };
    all.iter().find(|(server, _)| means(server)).map(|(_, known)| known.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_has_several_names() {
        let all: BTreeMap<String, Credentials> =
            ["https://index.docker.io/v1/", "localhost:5000"].map(|s| (s.to_string(), Credentials::basic(s, "x"))).into();
        assert_eq!(credentials_for(&all, "docker.io").username, "https://index.docker.io/v1/");
        assert_eq!(credentials_for(&all, "localhost:5000").username, "localhost:5000");
        assert!(credentials_for(&all, "example.org").is_empty());
    }
}
