//! # Blobs: downloads that may break off
//!
//! A blob is bytes with a known digest and length, so a download that broke off need not begin again: what is here stays, and the
//! rest is asked for by `Range`. A registry that does not know ranges sends all of it, and what is known already is passed over.
//!
//! ```text
//!   have 0 ──GET──► 200 ─bytes─► cut at 40 MB ──wait──► GET Range: bytes=41943040- ──► 206 ─bytes─► whole
//!                                                                                 └──► 200: skip 40 MB
//! ```
//!
//! * [`Repository::download`] hands every piece to `take`, in order, exactly once, until all are there; hashing and keeping them is
//!   the taker's. [`Repository::small_blob`] reads a configuration into memory.
//!
//! Laws: never more bytes than promised; a registry whose length contradicts the manifest is refused before the first byte; a break
//! counts as failure only when nothing came since the last one. See: RFC 9110 §14. Next room: [`super::upload`]

use super::{
    headers,
    manifest::Repository,
    refusal::Refusal,
    session::Ask,
    tries::Tries,
    wire::{Failure, Reply},
};
use bytes::Bytes;
use http::header;
use minidock_base::{Error, Kind, Result};
use minidock_spec::{digest::Digest, image::Descriptor};

/// The largest configuration that is read into memory.
const LARGEST_CONFIG: u64 = 8 << 20;

impl Repository {
    /// Downloads the bytes of a blob from `have` on.
    ///
    /// # Errors
    /// It is not there; the registry lies about its length; it broke off too often; whatever `take` says.
    pub async fn download<F>(&self, blob: &Descriptor, mut have: u64, mut take: impl FnMut(Bytes) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let mut tries = Tries::default();
        let target = self.session.target(&format!("/v2/{}/blobs/{}", self.name, blob.digest));
        while have < blob.size || blob.size == 0 {
            let mut ask = Ask::get(target.clone());
            if have > 0 {
                ask = ask.header(header::RANGE, format!("bytes={have}-"));
            }
            let mut reply = self.session.send(&ask).await?;
            if !reply.status.is_success() {
                return Err(Refusal::read(reply).await.error().during(format!("download the blob {}", blob.digest)));
            }
            let mut skip = have - begins_at(&reply, blob, have)?;
            let broken = loop {
                let mut chunk = match reply.chunk().await {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => break None,
                    Err(failure) => break Some(failure),
                };
                if skip > 0 {
                    let n = skip.min(chunk.len() as u64);
                    skip -= n;
                    chunk = chunk.slice(n as usize..);
                }
                if chunk.is_empty() {
                    continue;
                }
                have += chunk.len() as u64;
                if have > blob.size {
                    return Err(lie(blob, format!("more than {} bytes come", blob.size)));
                }
                tries.progress();
                take(chunk).await?;
            };
            if have == blob.size {
                return Ok(());
            }
            let error = match broken {
                Some(Failure::Broken(error) | Failure::Unreachable(error)) => error,
                None => Error::unavailable(format!("unexpected EOF: {have} of {} bytes came", blob.size)),
            };
            let Some(wait) = tries.next(None).filter(|_| error.kind() == Kind::Unavailable) else {
                return Err(error.during(format!("download the blob {}", blob.digest)));
            };
            tracing::debug!(blob = %blob.digest, have, ?wait, "a download broke off: {}", error.message());
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// A blob that is small enough for memory, checked.
    ///
    /// # Errors
    /// As [`Repository::download`]; too large; not what its digest says.
    pub async fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        if blob.size > LARGEST_CONFIG {
            return Err(Error::invalid(format!("{} of {} bytes is too large for a configuration", blob.digest, blob.size)));
        }
        let mut all = Vec::new();
        self.download(blob, 0, |chunk| {
            all.extend_from_slice(&chunk);
            std::future::ready(Ok(()))
        })
        .await?;
        match Digest::of(&all) {
            found if found == blob.digest => Ok(all),
            found => Err(unverified(&blob.digest, &found)),
        }
    }

    /// Whether the registry has this blob in this repository; its length.
    ///
    /// # Errors
    /// The registry's refusal, other than that it has none.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let target = self.session.target(&format!("/v2/{}/blobs/{digest}", self.name));
        let reply = self.session.send(&Ask::new(http::Method::HEAD, target)).await?;
        match reply.status.as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(Refusal::read(reply).await.error()),
        }
    }
}

/// Where the bytes of this answer begin.
fn begins_at(reply: &Reply, blob: &Descriptor, asked: u64) -> Result<u64> {
    let length = reply.header("content-length").and_then(|n| n.parse::<u64>().ok());
    if reply.status.as_u16() != 206 {
        return match length {
            Some(length) if length != blob.size => {
                Err(lie(blob, format!("the registry has {length} bytes, the manifest says {}", blob.size)))
            }
            _ => Ok(0),
        };
    }
    let Some((from, whole)) = reply.header("content-range").and_then(headers::content_range) else {
        return Err(lie(blob, "a part comes without its Content-Range".into()));
    };
    match whole {
        Some(whole) if whole != blob.size => {
            Err(lie(blob, format!("the registry has {whole} bytes, the manifest says {}", blob.size)))
        }
        _ if from > asked => Err(lie(blob, format!("bytes from {from} come where {asked} was asked for"))),
        _ => Ok(from),
    }
}

fn lie(blob: &Descriptor, why: String) -> Error {
    Error::invalid(format!("size mismatch for the blob {}: {why}", blob.digest))
        .hint("the registry is damaged; push the image again, or try a mirror")
}

/// Docker's words for bytes that are not what their digest says.
pub fn unverified(expected: &Digest, found: &Digest) -> Error {
    Error::invalid(format!(
        "filesystem layer verification failed for digest {expected}: digest mismatch, its content is {found}"
    ))
    .hint("the registry is damaged, or something on the way changed it; try again, a mirror, or another network")
}
