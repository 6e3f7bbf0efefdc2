//! # Upload: bytes that may break off on their way out
//!
//! The cheapest upload is none: the registry has the blob already, or has it in another repository and may *mount* it. Else
//! an upload is opened, the bytes go out in one stream, and a last request says which digest they must have. When the stream
//! breaks, the registry is asked how far it got, and the rest is sent.
//!
//! ```text
//!   HEAD blob ─200─► there                    POST uploads/?mount=…&from=… ─201─► mounted
//!                                                  └─202 Location─► PATCH bytes ─202─► PUT ?digest=… ─201─► stored
//!                                                        ▲   └── broken ──► GET Location: Range 0-N ──┐
//!                                                        └───────────── PATCH from N+1 ◄─────────────┘
//! ```
//!
//! * [`Repository::upload`] gets one blob there; the [`Source`] opens its bytes from any place on.
//!
//! Laws: what the registry says it stored must be what was sent; a registry that forgot the upload gets a new one.
//! See: distribution-spec "Pushing Blobs". Next room: [`super::listing`]

use super::{
    headers,
    manifest::Repository,
    refusal::Refusal,
    session::Ask,
    tries::{self, Tries},
    wire::{Body, Failure, Reply},
};
use http::{Method, header};
use minidock_base::{Error, Kind, Result};
use minidock_spec::{digest::Digest, image::Descriptor};
use std::time::Duration;

/// How long a registry may take to put a blob in its place.
const PATIENCE: Duration = Duration::from_secs(600);

/// What became of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploaded {
    Existed,
    /// From this repository of the same registry.
    Mounted(String),
    Sent,
}

/// The bytes of a blob from a place on.
pub type Source<'a> = &'a (dyn Fn(u64) -> Result<Body> + Send + Sync);

/// An upload that the registry knows by this address.
struct Open {
    location: String,
    have: u64,
}

enum Step {
    Done(Uploaded),
    /// Worth another try.
    Again(Error, Option<Duration>),
}

impl Repository {
    /// Gets a blob into this repository: by luck, by mounting it from one of `from`, or byte by byte.
    ///
    /// # Errors
    /// The registry's refusal; it broke off too often; bytes that cannot be read.
    pub async fn upload(&self, blob: &Descriptor, from: &[String], source: Source<'_>) -> Result<Uploaded> {
        if self.has_blob(&blob.digest).await? {
            return Ok(Uploaded::Existed);
        }
        let (mut tries, mut open) = (Tries::default(), None);
        for repository in from.iter().filter(|other| **other != self.name) {
            match self.mount(&blob.digest, repository).await? {
                (true, _) => return Ok(Uploaded::Mounted(repository.clone())),
                (false, begun) => open = begun.or(open),
            }
            if open.is_some() {
                break; // the registry would rather have the bytes
            }
        }
        loop {
            let had = open.as_ref().map_or(0, |open: &Open| open.have);
            let (error, told) = match self.step(blob, &mut open, source).await? {
                Step::Done(uploaded) => return Ok(uploaded),
                Step::Again(error, told) => (error, told),
            };
            if open.as_ref().is_some_and(|open| open.have > had) {
                tries.progress();
            }
            let Some(wait) = tries.next(told) else { return Err(error.during(format!("upload the blob {}", blob.digest))) };
            tracing::debug!(blob = %blob.digest, ?wait, "an upload is tried again: {}", error.message());
            tokio::time::sleep(wait).await;
            if let Some(begun) = open.take() {
                open = self.how_far(begun).await;
            }
        }
    }

    /// Asks the registry to take the blob over from another of its repositories.
    async fn mount(&self, digest: &Digest, from: &str) -> Result<(bool, Option<Open>)> {
        let query = format!("mount={digest}&from={}", headers::encode(from));
        let target = self.session.target(&format!("/v2/{}/blobs/uploads/?{query}", self.name));
        let reply = self.session.send(&Ask::new(Method::POST, target)).await?;
        let status = reply.status.as_u16();
        let open = location(&reply).map(|location| Open { location, have: 0 });
        reply.discard().await;
        Ok(match status {
            201 => (true, None),
            202 => (false, open),
            _ => (false, None), // not allowed, not known: then without
        })
    }

    /// Opens an upload if none is, sends what is missing, closes it.
    async fn step(&self, blob: &Descriptor, open: &mut Option<Open>, source: Source<'_>) -> Result<Step> {
        if open.is_none() {
            let target = self.session.target(&format!("/v2/{}/blobs/uploads/", self.name));
            let reply = self.session.send(&Ask::new(Method::POST, target)).await?;
            if reply.status.as_u16() != 202 {
                return Err(Refusal::read(reply).await.error());
            }
            let location =
                location(&reply).ok_or_else(|| Error::system("the registry opened an upload and does not say where"))?;
            reply.discard().await;
            *open = Some(Open { location, have: 0 });
        }
        let Some(begun) = open.as_mut() else { return Err(Error::system("no upload is open")) };
        if begun.have < blob.size {
            let body = source(begun.have)?;
            let mut ask = Ask { patience: PATIENCE, ..Ask::new(Method::PATCH, begun.location.clone()) }
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, (blob.size - begun.have).to_string());
            if begun.have > 0 {
                ask = ask.header(header::CONTENT_RANGE, format!("{}-{}", begun.have, blob.size - 1));
            }
            let reply = match self.session.send_once(&ask, body).await {
                Ok(reply) => reply,
                Err(Failure::Broken(error) | Failure::Unreachable(error)) if error.kind() == Kind::Unavailable => {
                    return Ok(Step::Again(error, None));
                }
                Err(failure) => return Err(failure.error()),
            };
            if let Some(step) = self.unwell(&reply).await {
                let refusal = Refusal::read(reply).await;
                return if step { Ok(Step::Again(refusal.error(), None)) } else { Err(refusal.error()) };
            }
            if let Some(next) = location(&reply) {
                begun.location = next;
            }
            begun.have = blob.size;
            reply.discard().await;
        }
        let joint = if begun.location.contains('?') { '&' } else { '?' };
        let target = format!("{}{joint}digest={}", begun.location, headers::encode(blob.digest.as_str()));
        let ask = Ask { patience: PATIENCE, ..Ask::new(Method::PUT, target) }.header(header::CONTENT_LENGTH, "0");
        let reply = match self.session.send_once(&ask, super::session::nothing()).await {
            Ok(reply) => reply,
            Err(failure) => return Ok(Step::Again(failure.error(), None)),
        };
        if let Some(again) = self.unwell(&reply).await {
            let refusal = Refusal::read(reply).await;
            return if again { Ok(Step::Again(refusal.error(), None)) } else { Err(refusal.error()) };
        }
        let said = reply.header("docker-content-digest").map(str::to_string);
        reply.discard().await;
        match said.filter(|said| said.starts_with("sha256:") && said != blob.digest.as_str()) {
            Some(other) => Err(Error::system(format!("the registry stored {other} where {} was sent", blob.digest))),
            None => Ok(Step::Done(Uploaded::Sent)),
        }
    }

    /// `None`: all is well. Else whether it is worth another try; an expired token is renewed for it.
    async fn unwell(&self, reply: &Reply) -> Option<bool> {
        match reply.status.as_u16() {
            200..=299 => None,
            401 => Some(self.session.renew(reply).await),
            // out of step: ask how far it got
            416 => Some(true),
            _ => Some(tries::is_passing(reply.status)),
        }
    }

    /// How far an upload got before it broke; `None`: the registry knows it no more.
    async fn how_far(&self, open: Open) -> Option<Open> {
        let reply = self.session.send(&Ask::get(open.location.clone())).await.ok()?;
        if !reply.status.is_success() {
            reply.discard().await;
            return None;
        }
        let have = reply.header("range").and_then(headers::upload_range).unwrap_or(0);
        let location = location(&reply).unwrap_or(open.location);
        reply.discard().await;
        Some(Open { location, have })
    }
}

fn location(reply: &Reply) -> Option<String> {
    reply.header("location").map(str::to_string)
}
