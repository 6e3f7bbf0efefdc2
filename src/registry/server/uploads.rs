//! # Uploads: blobs on their way in
//!
//! A blob comes in one request or in several, and may break off in each. What has come is kept, and whoever asks is told how far it
//! goes; the last request names the digest that all of it must have.
//!
//! ```text
//!   POST uploads/ ─202 Location─► PATCH … ─202 Range: 0-N─► PATCH … ─► PUT ?digest= ─201─► a blob of this repository
//!   POST uploads/?digest= (all at once)       POST uploads/?mount=&from= ─201─► a blob of this repository already
//! ```
//!
//! * [`Open`] is one upload: its file, how far it goes, and its hash so far; after a restart of the registry the file is
//!   hashed again. It is SHA-256 that is reckoned on the way; for another the file is read once more at the end.
//!
//! Laws: a chunk that does not begin where the last one ended is refused with 416; bytes go to the disk as they come.
//! See: distribution-spec "Pushing Blobs". Next room: [`super::manifests`]

use super::{
    Server,
    answer::{Answer, Refusal, empty, set},
    digest::{Algorithm, Digest},
    internal,
    route::{self, Query},
    shelf::on_disk,
};
use crate::client::headers::upload_span;
use bytes::Bytes;
use http::{header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use minidock_base::{Doing, Error, Result};
use minidock_spec::digest::Hasher;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};
use tokio::sync::mpsc;

/// One upload.
struct Open {
    path: PathBuf,
    size: u64,
    hasher: Hasher,
}

type Shared = Arc<tokio::sync::Mutex<Open>>;

/// All uploads of this process, by file.
fn all() -> MutexGuard<'static, HashMap<PathBuf, Shared>> {
    static ALL: OnceLock<Mutex<HashMap<PathBuf, Shared>>> = OnceLock::new();
    ALL.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `POST /v2/<name>/blobs/uploads/`.
///
/// # Errors
/// A digest that is none, or is not that of the bytes.
pub async fn begin(server: &Server, head: &Parts, name: String, query: &Query, body: Incoming) -> Result<Answer, Refusal> {
    server.writable()?;
    if let Some(digest) = query.get("mount") {
        let digest = route::digest(digest)?;
        let from = query.get("from").filter(|from| !from.is_empty()).map(route::name).transpose()?;
        let (shelf, into, wanted) = (server.shelf.clone(), name.clone(), digest.clone());
        let mounted = on_disk(move || {
            let there = from.as_ref().map_or_else(|| shelf.anywhere(&wanted), |from| shelf.has_blob(from, &wanted));
            if there {
                shelf.mount(&into, &wanted)?;
            }
            Ok(there)
        })
        .await?;
        if mounted {
            return Ok(stored(&name, &digest));
        }
    }
    let id = minidock_base::id::random_id()[..32].to_string();
    let path = server.shelf.uploads().join(&id);
    {
        let path = path.clone();
        on_disk(move || File::create_new(&path).map(drop).doing(|| "begin an upload")).await?;
    }
    let open = Open { path: path.clone(), size: 0, hasher: Hasher::new() };
    all().insert(path, Arc::new(tokio::sync::Mutex::new(open)));
    match query.get("digest") {
        Some(_) => finish(server, head, name, id, query, body).await,
        None => Ok(taken(&name, &id, 0)),
    }
}

/// The upload with this id.
async fn find(server: &Server, id: &str) -> Result<Shared, Refusal> {
    let unknown = || Refusal::new(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    let path = server.shelf.uploads().join(id);
    if let Some(known) = all().get(&path) {
        return Ok(known.clone());
    }
    let again = path.clone();
    let open = on_disk(move || Open::again(&again)).await?.ok_or_else(unknown)?;
    Ok(all().entry(path).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(open))).clone())
}

impl Open {
    /// An upload of an earlier life of the registry.
    fn again(path: &Path) -> Result<Option<Open>> {
        let Ok(mut file) = File::open(path) else { return Ok(None) };
        let (mut hasher, mut size, mut chunk) = (Hasher::new(), 0, vec![0; 128 << 10]);
        loop {
            match file.read(&mut chunk).doing(|| "read what is there of an upload")? {
                0 => return Ok(Some(Open { path: path.to_path_buf(), size, hasher })),
                n => {
                    hasher.update(&chunk[..n]);
                    size += n as u64;
                }
            }
        }
    }
}

/// Adds a body to an upload; what came before a break is kept.
async fn append(upload: &Shared, mut body: Incoming) -> Result<u64, Refusal> {
    let mut guard = upload.clone().lock_owned().await;
    let (pieces, mut incoming) = mpsc::channel::<Bytes>(8);
    let writer = tokio::task::spawn_blocking(move || -> Result<u64> {
        let mut file = OpenOptions::new().append(true).open(&guard.path).doing(|| "go on with an upload")?;
        while let Some(piece) = incoming.blocking_recv() {
            file.write_all(&piece).doing(|| "write an upload")?;
            guard.hasher.update(&piece);
            guard.size += piece.len() as u64;
        }
        Ok(guard.size)
    });
    let mut broken = None;
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(piece)) => {
                if pieces.send(piece).await.is_err() {
                    break; // the writer tells why
                }
            }
            Ok(Err(_)) => {} // trailers
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(pieces);
    let size = match writer.await {
        Ok(written) => written.map_err(|e| internal(&e))?,
        Err(_) => return Err(internal(&Error::system("the writing thread ended early"))),
    };
    match broken {
        Some(error) => Err(Refusal::new(400, "BLOB_UPLOAD_INVALID", format!("the body broke off: {error}"))),
        None => Ok(size),
    }
}

/// Refuses a chunk that does not begin where the last one ended, or is not as long as it says.
async fn in_step(upload: &Shared, head: &Parts, name: &str, id: &str) -> Result<(), Refusal> {
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::CONTENT_RANGE) else { return Ok(()) };
    let size = upload.lock().await.size;
    let length = text(header::CONTENT_LENGTH).and_then(|n| n.parse::<u64>().ok());
    match upload_span(range) {
        Some((from, to)) if from == size && length.is_none_or(|n| n == to - from + 1) => Ok(()),
        Some(_) => Err(Refusal::new(416, "BLOB_UPLOAD_INVALID", format!("the upload goes on at byte {size}"))
            .with(header::RANGE, span(size))
            .with(header::LOCATION, location(name, id))),
        None => Err(Refusal::new(400, "BLOB_UPLOAD_INVALID", format!("{range:?} is no range"))),
    }
}

/// `PATCH /v2/<name>/blobs/uploads/<id>`.
///
/// # Errors
/// No such upload; a chunk out of order; it broke off.
pub async fn add(server: &Server, head: &Parts, name: String, id: String, body: Incoming) -> Result<Answer, Refusal> {
    server.writable()?;
    let upload = find(server, &id).await?;
    in_step(&upload, head, &name, &id).await?;
    let size = append(&upload, body).await?;
    Ok(taken(&name, &id, size))
}

/// `PUT /v2/<name>/blobs/uploads/<id>?digest=`, with the last bytes or without.
///
/// # Errors
/// No such upload; not what the digest says: then the upload is gone.
pub async fn finish(
    server: &Server,
    head: &Parts,
    name: String,
    id: String,
    query: &Query,
    body: Incoming,
) -> Result<Answer, Refusal> {
    server.writable()?;
    let digest = query.get("digest").ok_or_else(|| Refusal::new(400, "DIGEST_INVALID", "a digest is needed: ?digest="))?;
    let digest = route::digest(digest)?;
    let upload = find(server, &id).await?;
    in_step(&upload, head, &name, &id).await?;
    append(&upload, body).await?;
    let open = upload.lock().await;
    let (path, reckoned) = (open.path.clone(), Digest::from(open.hasher.clone().finish()));
    let (shelf, into, wanted, from) = (server.shelf.clone(), name.clone(), digest.clone(), path.clone());
    let found = on_disk(move || {
        let found = match wanted.algorithm() {
            Algorithm::Sha256 => reckoned,
            other => Digest::of_file(other, &from)?,
        };
        match found == wanted {
            true => shelf.take_blob(&into, &wanted, &from)?,
            false => fs::remove_file(&from).doing(|| "remove an upload that is not what it should be")?,
        }
        Ok(found)
    })
    .await;
    all().remove(&path);
    match found? {
        found if found == digest => Ok(stored(&name, &digest)),
        found => {
            Err(Refusal::new(400, "DIGEST_INVALID", format!("provided digest did not match uploaded content: it is {found}")))
        }
    }
}

/// `GET /v2/<name>/blobs/uploads/<id>`: how far it got.
///
/// # Errors
/// No such upload.
pub async fn how_far(server: &Server, name: String, id: String) -> Result<Answer, Refusal> {
    let size = find(server, &id).await?.lock().await.size;
    let mut answer = taken(&name, &id, size);
    *answer.status_mut() = http::StatusCode::NO_CONTENT;
    Ok(answer)
}

/// `DELETE /v2/<name>/blobs/uploads/<id>`.
///
/// # Errors
/// No such upload.
pub async fn cancel(server: &Server, _name: String, id: String) -> Result<Answer, Refusal> {
    server.writable()?;
    let upload = find(server, &id).await?;
    let path = upload.lock().await.path.clone();
    all().remove(&path);
    on_disk(move || fs::remove_file(&path).doing(|| "cancel an upload")).await?;
    Ok(empty(204))
}

fn location(name: &str, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// `0-99` for a hundred bytes; for none, what distribution says.
fn span(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn taken(name: &str, id: &str, size: u64) -> Answer {
    let mut answer = empty(202);
    set(&mut answer, header::LOCATION, location(name, id));
    set(&mut answer, header::RANGE, span(size));
    set(&mut answer, header::HeaderName::from_static("docker-upload-uuid"), id);
    answer
}

fn stored(name: &str, digest: &Digest) -> Answer {
    let mut answer = empty(201);
    set(&mut answer, header::LOCATION, format!("/v2/{name}/blobs/{digest}"));
    set(&mut answer, header::HeaderName::from_static("docker-content-digest"), digest.as_str());
    answer
}
