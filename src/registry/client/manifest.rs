//! # Manifests: from a name to a document and its digest
//!
//! A tag is asked for, a document comes: a manifest, or an index of manifests for several platforms. Its digest is what the tag
//! means at this moment, and what `docker pull` prints. Everything else of an image is asked for by digest.
//!
//! * [`Repository::manifest`] fetches one by tag or digest and checks it; [`Repository::resolve`] asks only for the digest.
//! * [`Repository::put_manifest`] stores one; [`Document`] is what came.
//!
//! Laws: a document asked for by digest must be it; one asked for by tag must be what the registry's own header says; a document
//! is read with a limit. What it claims to be in its `mediaType` counts more than a header, and both at once must not
//! contradict. See: distribution-spec "Pulling manifests" · CVE-2021-41190. Next room: [`super::blob`]

use super::{
    refusal::Refusal,
    session::{Ask, Session},
};
use http::{Method, header};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_spec::{
    digest::Digest,
    image::{DOCKER_LIST, DOCKER_MANIFEST, Index, OCI_INDEX, OCI_MANIFEST},
};
use serde_json::Value;
use std::time::Duration;

/// The largest manifest a registry must accept; larger ones are refused.
pub const LARGEST: usize = 4 << 20;

/// One repository of an open registry.
pub struct Repository {
    pub session: Session,
    /// `library/alpine`.
    pub name: String,
}

/// A manifest or an index, as it came.
#[derive(Clone, Debug)]
pub struct Document {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Document {
    /// Takes a document for what it is.
    ///
    /// # Errors
    /// No JSON, an old format, or manifest and index at once.
    pub fn new(bytes: Vec<u8>, header: Option<&str>) -> Result<Document> {
        let value: Value = serde_json::from_slice(&bytes).doing(|| "read the manifest")?;
        let (lists, layers) =
            (value.get("manifests").is_some(), value.get("layers").is_some() || value.get("config").is_some());
        let own = value.get("mediaType").and_then(Value::as_str);
        let header = header.map(|h| h.split(';').next().unwrap_or_default().trim());
        let known = |t: &&str| [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(t);
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1)
            || header.is_some_and(|h| h.contains("docker.distribution.manifest.v1"))
        {
            return Err(Error::invalid("the image has a manifest of schema 1, which has been no format for years")
                .hint("pull it with a Docker of 1.10 to 27 and push it again"));
        }
        let media_type = match (lists, layers) {
            (true, true) => {
                return Err(Error::invalid("the manifest is manifest and index at once: nobody can tell which is meant"));
            }
            (true, false) => own.or(header.filter(known)).unwrap_or(OCI_INDEX),
            (false, true) => own.or(header.filter(known)).unwrap_or(OCI_MANIFEST),
            (false, false) => return Err(Error::invalid("the registry's answer is neither a manifest nor an index")),
        };
        if [OCI_INDEX, DOCKER_LIST].contains(&media_type) != lists {
            return Err(Error::invalid(format!("the document is called {media_type} and is something else")));
        }
        Ok(Document { digest: Digest::of(&bytes), media_type: media_type.to_string(), bytes })
    }

    /// The index, if it is one.
    ///
    /// # Errors
    /// An index that makes no sense.
    pub fn index(&self) -> Result<Option<Index>> {
        match self.media_type == OCI_INDEX || self.media_type == DOCKER_LIST {
            true => serde_json::from_slice(&self.bytes).doing(|| "read the index").map(Some),
            false => Ok(None),
        }
    }
}

impl Repository {
    fn ask(&self, method: Method, reference: &str) -> Ask {
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let target = self.session.target(&format!("/v2/{}/manifests/{reference}", self.name));
        Ask::new(method, target).header(header::ACCEPT, accept)
    }

    /// Fetches a manifest or index by tag or digest.
    ///
    /// # Errors
    /// It is not there, may not be had, or is not what it should be.
    pub async fn manifest(&self, reference: &str) -> Result<Document> {
        let mut last = Error::unavailable("the registry could not be asked");
        for _ in 0..3 {
            let reply = self.session.send(&self.ask(Method::GET, reference)).await?;
            if !reply.status.is_success() {
                let refusal = Refusal::read(reply).await;
                return Err(refusal.error());
            }
            let media_type = reply.header("content-type").map(str::to_string);
            let said = reply.header("docker-content-digest").and_then(|d| Digest::parse(d).ok());
            let bytes = match reply.bytes(LARGEST).await.map_err(super::wire::Failure::error) {
                Ok(bytes) => bytes,
                Err(broken) if broken.kind() == Kind::Unavailable => {
                    last = broken;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let found = Digest::of(&bytes);
            // by tag, the registry's word is all there is to compare with; by digest, ours counts
            if let Some(expected) = Digest::parse(reference).ok().or(said).filter(|expected| *expected != found) {
                return Err(Error::invalid(format!(
                    "manifest verification failed for digest {expected}: its content is {found}"
                ))
                .hint("the registry or something on the way changed it; try a mirror, or another network"));
            }
            return Document::new(bytes, media_type.as_deref());
        }
        Err(last)
    }

    /// The digest that a tag means now, its type and size, without the document.
    ///
    /// # Errors
    /// As [`Repository::manifest`].
    pub async fn resolve(&self, reference: &str) -> Result<(Digest, String, u64)> {
        let reply = self.session.send(&self.ask(Method::HEAD, reference)).await?;
        let digest = reply.header("docker-content-digest").and_then(|d| Digest::parse(d).ok());
        let size = reply.header("content-length").and_then(|n| n.parse().ok());
        let media_type = reply.header("content-type").unwrap_or_default().to_string();
        match (reply.status.is_success(), digest, size) {
            (true, Some(digest), Some(size)) => Ok((digest, media_type, size)),
            // an answer to HEAD has no body that could say why: ask again with one
            _ => self.manifest(reference).await.map(|d| (d.digest, d.media_type, d.bytes.len() as u64)),
        }
    }

    /// Stores a manifest under a tag or its digest.
    ///
    /// # Errors
    /// The registry's refusal; it says that it stored something else.
    pub async fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let target = self.session.target(&format!("/v2/{}/manifests/{reference}", self.name));
        let ask = Ask { body: bytes.to_vec().into(), ..Ask::new(Method::PUT, target) }.header(header::CONTENT_TYPE, media_type);
        let reply = self.session.send(&ask).await?;
        if !reply.status.is_success() {
            return Err(Refusal::read(reply).await.error());
        }
        let said = reply.header("docker-content-digest").map(str::to_string);
        reply.discard().await;
        match said.filter(|said| said.starts_with("sha256:") && said != digest.as_str()) {
            Some(other) => Err(Error::system(format!("the registry stored {other} where {digest} was sent"))),
            None => Ok(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_is_taken_for_what_it_is() {
        let kind = |text: &str, header: Option<&str>| Document::new(text.as_bytes().to_vec(), header).map(|d| d.media_type);
        assert_eq!(kind(r#"{"manifests":[]}"#, None).expect("an index"), OCI_INDEX);
        assert_eq!(
            kind(r#"{"config":{},"layers":[]}"#, Some("application/vnd.docker.distribution.manifest.v2+json; charset=x"))
                .expect("one"),
            DOCKER_MANIFEST
        );
        assert_eq!(kind(r#"{"config":{}}"#, Some("text/plain")).expect("a manifest"), OCI_MANIFEST);
        for (bad, header) in [
            (r#"{"manifests":[],"layers":[]}"#, None),
            ("{}", None),
            ("[]", None),
            ("x", None),
            (r#"{"schemaVersion":1,"config":{}}"#, None),
            (r#"{"manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#, None),
            (r#"{"layers":[]}"#, Some(OCI_INDEX)),
        ] {
            assert!(kind(bad, header).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(text in "\\PC{0,80}", header in "\\PC{0,20}") {
            if let Ok(document) = Document::new(text.into_bytes(), Some(&header)) {
                let _ = document.index();
            }
        }
    }
}
