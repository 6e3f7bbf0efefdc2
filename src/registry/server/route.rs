//! # Routes: from a path to a handler
//!
//! `/v2/<name>/blobs/<digest>`: names have slashes, so a path is read from its end. Everything that is wrong about a name, a tag
//! or a digest is found here, once; behind this room they are what they should be, and safe as names of files.
//!
//! ```text
//!   /v2/                                         are you there?
//!   /v2/_catalog                                 /v2/<name>/tags/list
//!   /v2/<name>/blobs/<digest>                    /v2/<name>/blobs/uploads/[<upload>]
//!   /v2/<name>/manifests/<tag or digest>         /v2/<name>/referrers/<digest>
//! ```
//!
//! See: distribution-spec "Endpoints". Next room: [`super::digest`]

use super::{
    Server,
    answer::{Answer, Refusal, document},
    blobs,
    digest::Digest,
    listing, manifests, uploads,
};
use crate::client::headers::decode;
use http::Request;
use hyper::body::Incoming;
use minidock_spec::reference::Reference;

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Root,
    Catalogue,
    Tags(String),
    Blob(String, Digest),
    Uploads(String),
    Upload(String, String),
    Manifest(String, Which),
    Referrers(String, Digest),
}

/// Which manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Tag(String),
    Digest(Digest),
}

/// The pairs of a query.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(&value.replace('+', " ")))
        };
        Query(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Answers a request.
///
/// # Errors
/// Refusals, with the specification's codes.
pub async fn route(server: &Server, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let place = place(request.uri().path())?;
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let (head, body) = request.into_parts();
    match (head.method.as_str(), place) {
        ("GET" | "HEAD", Place::Root) => Ok(document(200, "application/json", "{}")),
        ("GET", Place::Catalogue) => listing::catalogue(server, &query).await,
        ("GET", Place::Tags(name)) => listing::tags(server, name, &query).await,
        ("GET" | "HEAD", Place::Blob(name, digest)) => blobs::get(server, &head, name, digest).await,
        ("DELETE", Place::Blob(name, digest)) => blobs::delete(server, name, digest).await,
        ("POST", Place::Uploads(name)) => uploads::begin(server, &head, name, &query, body).await,
        ("PATCH", Place::Upload(name, upload)) => uploads::add(server, &head, name, upload, body).await,
        ("PUT", Place::Upload(name, upload)) => uploads::finish(server, &head, name, upload, &query, body).await,
        ("GET", Place::Upload(name, upload)) => uploads::how_far(server, name, upload).await,
        ("DELETE", Place::Upload(name, upload)) => uploads::cancel(server, name, upload).await,
        ("GET" | "HEAD", Place::Manifest(name, which)) => {
            manifests::get(server, name, which, head.method == http::Method::HEAD).await
        }
        ("PUT", Place::Manifest(name, which)) => manifests::put(server, &head, name, which, &query, body).await,
        ("DELETE", Place::Manifest(name, which)) => manifests::delete(server, name, which).await,
        ("GET", Place::Referrers(name, digest)) => manifests::referrers(server, name, digest, &query).await,
        _ => Err(Refusal::new(405, "UNSUPPORTED", "the operation is unsupported")),
    }
}

/// Reads a path.
///
/// # Errors
/// `NAME_INVALID`, `DIGEST_INVALID`, `TAG_INVALID`; 404 for a path that is none of ours.
pub fn place(path: &str) -> Result<Place, Refusal> {
    let unknown = || Refusal::new(404, "UNSUPPORTED", "there is nothing under this path; the registry begins at /v2/");
    let path = decode(path);
    let rest = match path.as_str() {
        "/v2" | "/v2/" => return Ok(Place::Root),
        path => path.strip_prefix("/v2/").ok_or_else(unknown)?,
    };
    if rest == "_catalog" {
        return Ok(Place::Catalogue);
    }
    if let Some(before) = rest.strip_suffix("/blobs/uploads/").or(rest.strip_suffix("/blobs/uploads")) {
        return Ok(Place::Uploads(name(before)?));
    }
    if let Some(before) = rest.strip_suffix("/tags/list") {
        return Ok(Place::Tags(name(before)?));
    }
    let (before, last) = rest.rsplit_once('/').ok_or_else(unknown)?;
    if let Some(before) = before.strip_suffix("/blobs/uploads") {
        let upload = Some(last).filter(|id| !id.is_empty() && id.len() <= 64 && id.bytes().all(|c| c.is_ascii_hexdigit()));
        let upload = upload.ok_or_else(|| Refusal::new(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"))?;
        return Ok(Place::Upload(name(before)?, upload.to_string()));
    }
    if let Some(before) = before.strip_suffix("/blobs") {
        return Ok(Place::Blob(name(before)?, digest(last)?));
    }
    if let Some(before) = before.strip_suffix("/referrers") {
        return Ok(Place::Referrers(name(before)?, digest(last)?));
    }
    if let Some(before) = before.strip_suffix("/manifests") {
        let which = match last.contains(':') {
            true => Which::Digest(digest(last)?),
            false => Which::Tag(tag(last)?),
        };
        return Ok(Place::Manifest(name(before)?, which));
    }
    Err(unknown())
}

/// A repository's name.
///
/// # Errors
/// `NAME_INVALID`.
pub fn name(text: &str) -> Result<String, Refusal> {
    // the grammar of references, behind a domain that makes the rest a path
    match Reference::parse_untagged(&format!("registry.local/{text}")) {
        Ok(reference) if reference.path == text => Ok(text.to_string()),
        _ => Err(Refusal::new(400, "NAME_INVALID", format!("invalid repository name {text:?}"))),
    }
}

/// A tag.
///
/// # Errors
/// `TAG_INVALID`.
pub fn tag(text: &str) -> Result<String, Refusal> {
    match Reference::parse(&format!("registry.local/x:{text}")) {
        Ok(reference) if reference.tag.as_deref() == Some(text) => Ok(text.to_string()),
        _ => Err(Refusal::new(400, "TAG_INVALID", format!("invalid tag {text:?}"))),
    }
}

/// A digest.
///
/// # Errors
/// `DIGEST_INVALID`.
pub fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).map_err(|e| Refusal::new(400, "DIGEST_INVALID", e.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::digest::Algorithm;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let at = |path: String| place(&path).expect("a place");
        assert_eq!(at("/v2/".into()), Place::Root);
        assert_eq!(at(format!("/v2/a/blobs/b/blobs/{digest}")), Place::Blob("a/blobs/b".into(), digest.clone()));
        assert_eq!(at("/v2/a/b/blobs/uploads/".into()), Place::Uploads("a/b".into()));
        assert_eq!(at("/v2/a/blobs/uploads/0af".into()), Place::Upload("a".into(), "0af".into()));
        assert_eq!(at("/v2/a/manifests/v1.0".into()), Place::Manifest("a".into(), Which::Tag("v1.0".into())));
        assert_eq!(
            at(format!("/v2/a/manifests/sha256%3A{}", digest.hex())),
            Place::Manifest("a".into(), Which::Digest(digest))
        );
        for bad in [
            "/",
            "/v1/x",
            "/v2/A/tags/list",
            "/v2/a/../tags/list",
            "/v2/a/manifests/.x",
            "/v2/a/blobs/sha256:0",
            "/v2/_x/tags/list",
            "/v2/a%2F..%2Fb/tags/list",
            "/v2/a/blobs/uploads/..",
            "/v2/x/y",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_or_leaves_the_folder(path in "/v2/[a-z/.%0-9_:]{0,40}") {
            if let Ok(Place::Tags(name) | Place::Uploads(name)) = place(&path) {
                prop_assert!(name.split('/').all(|part| part != ".." && part != "." && !part.is_empty() && !part.starts_with('_')));
            }
        }
    }
}
