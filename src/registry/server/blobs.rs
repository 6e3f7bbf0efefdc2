//! # Blobs: bytes by digest, whole or in part
//!
//! What a repository has, it hands out, from any byte to any other: a client whose download broke off goes on behind what it has.
//! Bytes never change under a digest, so whoever keeps copies may keep them for ever.
//!
//! See: distribution-spec "Pulling blobs" · RFC 9110 §14. Next room: [`super::uploads`]

use super::{
    Server,
    answer::{Answer, Refusal, empty, file, set},
    digest::Digest,
    shelf::on_disk,
};
use crate::client::headers::{Part, byte_range};
use http::{Method, header, request::Parts};
use minidock_base::Doing;

fn unknown() -> Refusal {
    Refusal::new(404, "BLOB_UNKNOWN", "blob unknown to registry")
}

/// `GET` and `HEAD /v2/<name>/blobs/<digest>`.
///
/// # Errors
/// The repository does not have it; a range behind its end.
pub async fn get(server: &Server, head: &Parts, name: String, digest: Digest) -> Result<Answer, Refusal> {
    let (shelf, layout, wanted) = (server.shelf.clone(), server.layout.clone(), digest.clone());
    let found = on_disk(move || {
        let found =
            shelf.open_blob(&name, &wanted).or_else(|| layout.and_then(|layout| layout.open_blob(&name, &wanted.known()?)));
        found.map(|file| file.metadata().map(|facts| (file, facts.len())).doing(|| "look at a blob")).transpose()
    });
    let (bytes, size) = found.await?.ok_or_else(unknown)?;
    let range = head.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, from, length) = match range.map_or(Part::Whole, |range| byte_range(range, size)) {
        Part::Span(from, to) => (206, from, to - from + 1),
        Part::Whole => (200, 0, size),
        Part::Beyond => {
            let beyond = Refusal::new(416, "SIZE_INVALID", "the range lies behind the blob's end");
            return Err(beyond.with(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let mut answer = match head.method == Method::HEAD {
        true => {
            let mut answer = empty(status);
            set(&mut answer, header::CONTENT_LENGTH, length.to_string());
            answer
        }
        false => file(status, bytes, from, length),
    };
    if status == 206 {
        set(&mut answer, header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", from + length - 1));
    }
    set(&mut answer, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    set(&mut answer, header::CACHE_CONTROL, "max-age=31536000");
    set(&mut answer, header::ETAG, format!("\"{digest}\""));
    set(&mut answer, header::HeaderName::from_static("docker-content-digest"), digest.as_str());
    Ok(answer)
}

/// `DELETE /v2/<name>/blobs/<digest>`.
///
/// # Errors
/// The repository does not have it.
pub async fn delete(server: &Server, name: String, digest: Digest) -> Result<Answer, Refusal> {
    server.writable()?;
    let shelf = server.shelf.clone();
    match on_disk(move || shelf.remove_blob(&name, &digest)).await? {
        true => Ok(empty(202)),
        false => Err(unknown()),
    }
}
