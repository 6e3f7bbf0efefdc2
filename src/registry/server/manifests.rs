//! # Manifests: what a name means
//!
//! A manifest may be put only when its parts are here: so whoever can read it can read all of the image. It is kept as the bytes
//! that came, and its media type as the client said it. A manifest may name another as its *subject* (a signature, a list of
//! contents): the subject's referrers are found by asking.
//!
//! * [`get`], [`put`], [`delete`], [`referrers`]; [`inspected`] reads what is needed out of a stranger's document.
//!
//! Laws: an index may name manifests that are not here, for a mirror may have only some platforms; a subject may come later.
//! Deleting by tag takes the tag, deleting by digest the manifest and all its tags. See: distribution-spec "Pushing Manifests",
//! "Listing Referrers". Next room: [`super::listing`]

use super::{
    Server,
    answer::{Answer, Refusal, document, empty, read_all, set},
    digest::{Algorithm, Digest},
    route::{self, Query, Which},
    shelf::{Record, on_disk},
};
use crate::client::manifest::LARGEST;
use http::{header, request::Parts};
use hyper::body::Incoming;
use minidock_spec::image::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

const DIGEST: header::HeaderName = header::HeaderName::from_static("docker-content-digest");

fn unknown() -> Refusal {
    Refusal::new(404, "MANIFEST_UNKNOWN", "manifest unknown")
}

/// `GET` and `HEAD /v2/<name>/manifests/<reference>`.
///
/// # Errors
/// The repository does not have it.
pub async fn get(server: &Server, name: String, which: Which, head: bool) -> Result<Answer, Refusal> {
    let (shelf, layout) = (server.shelf.clone(), server.layout.clone());
    let found = on_disk(move || {
        let digest = match &which {
            Which::Digest(digest) => Some(digest.clone()),
            Which::Tag(tag) => shelf.tag(&name, tag)?,
        };
        if let Some(digest) = digest
            && let Some((bytes, record)) = shelf.manifest(&name, &digest)?
        {
            return Ok(Some((digest, bytes, record.media_type)));
        }
        let lent = layout.and_then(|layout| layout.manifest(&name, &which));
        Ok(lent.map(|(digest, bytes, media_type)| (digest.into(), bytes, media_type)))
    });
    let (digest, bytes, media_type) = found.await?.ok_or_else(unknown)?;
    let length = bytes.len();
    let mut answer = match head {
        true => {
            let mut answer = empty(200);
            set(&mut answer, header::CONTENT_TYPE, media_type);
            set(&mut answer, header::CONTENT_LENGTH, length.to_string());
            answer
        }
        false => document(200, &media_type, bytes),
    };
    set(&mut answer, header::ETAG, format!("\"{digest}\""));
    set(&mut answer, DIGEST, digest.as_str());
    Ok(answer)
}

/// What a document says of itself.
struct Inspected {
    record: Record,
    /// Blobs it needs.
    parts: Vec<Digest>,
}

/// Reads what is needed out of a document, whose digest this is.
fn inspected(bytes: &[u8], digest: &Digest, content_type: &str) -> Result<Inspected, Refusal> {
    let invalid = |why: String| Refusal::new(400, "MANIFEST_INVALID", why);
    let value: Value = serde_json::from_slice(bytes).map_err(|e| invalid(format!("manifest invalid: {e}")))?;
    if !value.is_object() {
        return Err(invalid("manifest invalid: it is no object".into()));
    }
    let own = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    if !own.is_empty() && !content_type.is_empty() && own != content_type {
        return Err(invalid(format!("manifest invalid: it is called {content_type} and calls itself {own}")));
    }
    let lists = value.get("manifests").is_some();
    if lists && value.get("layers").is_some() {
        return Err(invalid("manifest invalid: manifest and index at once".into()));
    }
    let media_type = match (own, content_type) {
        ("", "") if lists => OCI_INDEX,
        ("", "") => OCI_MANIFEST,
        ("", content_type) => content_type,
        (own, _) => own,
    };
    let digest_of = |descriptor: &Value| -> Result<Digest, Refusal> {
        let text = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
        Digest::parse(text).map_err(|_| invalid(format!("manifest invalid: {text:?} is no digest")))
    };
    let mut parts = Vec::new();
    if !lists {
        parts.extend(value.get("config").filter(|c| !c.is_null()).map(&digest_of).transpose()?);
        for layer in value.get("layers").and_then(Value::as_array).into_iter().flatten() {
            // layers that lie elsewhere by their own word are not expected here
            if layer.get("urls").and_then(Value::as_array).is_none_or(Vec::is_empty) {
                parts.push(digest_of(layer)?);
            }
        }
    }
    let subject = value.get("subject").filter(|s| !s.is_null()).map(&digest_of).transpose()?;
    let config_type = value.get("config").and_then(|c| c.get("mediaType")).cloned();
    let artifact = value.get("artifactType").filter(|t| t.as_str().is_some_and(|t| !t.is_empty())).cloned().or(config_type);
    let descriptor = subject.as_ref().map(|_| {
        let mut descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        for (key, found) in [("artifactType", artifact), ("annotations", value.get("annotations").cloned())] {
            if let Some(found) = found.filter(|found| !found.is_null()) {
                descriptor[key] = found;
            }
        }
        descriptor
    });
    Ok(Inspected { record: Record { media_type: media_type.to_string(), subject, descriptor }, parts })
}

/// `PUT /v2/<name>/manifests/<reference>`; by digest it may be given tags at once: `?tag=1.2&tag=latest`.
///
/// # Errors
/// No manifest, too large, not what the digest says, or parts of it are not here.
pub async fn put(
    server: &Server,
    head: &Parts,
    name: String,
    which: Which,
    query: &Query,
    body: Incoming,
) -> Result<Answer, Refusal> {
    server.writable()?;
    let more = query.all("tag").map(route::tag).collect::<Result<Vec<_>, _>>()?;
    let bytes = read_all(body, LARGEST).await?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let algorithm = match &which {
        Which::Digest(expected) => expected.algorithm(),
        Which::Tag(_) => Algorithm::Sha256,
    };
    let digest = Digest::of(algorithm, &bytes);
    let Inspected { record, parts } = inspected(&bytes, &digest, content_type)?;
    if let Which::Digest(expected) = &which
        && *expected != digest
    {
        return Err(Refusal::new(
            400,
            "DIGEST_INVALID",
            format!("provided digest did not match uploaded content: it is {digest}"),
        ));
    }
    let subject = record.subject.clone();
    let (shelf, into, stored, tags) = (server.shelf.clone(), name.clone(), digest.clone(), more.clone());
    let missing = on_disk(move || {
        if let Some(missing) = parts.into_iter().find(|part| !shelf.has_blob(&into, part)) {
            return Ok(Some(missing));
        }
        shelf.put_manifest(&into, &stored, &bytes, &record)?;
        let own = match &which {
            Which::Tag(tag) => Some(tag),
            Which::Digest(_) => None,
        };
        own.into_iter().chain(&tags).try_for_each(|tag| shelf.set_tag(&into, tag, &stored))?;
        Ok(None)
    })
    .await?;
    if let Some(missing) = missing {
        return Err(Refusal::new(400, "MANIFEST_BLOB_UNKNOWN", format!("blob unknown to registry: {missing}")));
    }
    let mut answer = empty(201);
    set(&mut answer, header::LOCATION, format!("/v2/{name}/manifests/{digest}"));
    set(&mut answer, DIGEST, digest.as_str());
    if !more.is_empty() {
        set(&mut answer, header::HeaderName::from_static("oci-tag"), more.join(", "));
    }
    if let Some(subject) = subject {
        set(&mut answer, header::HeaderName::from_static("oci-subject"), subject.as_str());
    }
    Ok(answer)
}

/// `DELETE /v2/<name>/manifests/<reference>`.
///
/// # Errors
/// The repository does not have it.
pub async fn delete(server: &Server, name: String, which: Which) -> Result<Answer, Refusal> {
    server.writable()?;
    let shelf = server.shelf.clone();
    let had = on_disk(move || match &which {
        Which::Tag(tag) => shelf.remove_tag(&name, tag),
        Which::Digest(digest) => shelf.remove_manifest(&name, digest),
    });
    if had.await? { Ok(empty(202)) } else { Err(unknown()) }
}

/// `GET /v2/<name>/referrers/<digest>?artifactType=`.
///
/// # Errors
/// The disk.
pub async fn referrers(server: &Server, name: String, subject: Digest, query: &Query) -> Result<Answer, Refusal> {
    let wanted = query.get("artifactType").filter(|t| !t.is_empty()).map(str::to_string);
    let (shelf, filter) = (server.shelf.clone(), wanted.clone());
    let manifests = on_disk(move || {
        let all = shelf.manifests(&name)?.into_iter().filter(|(_, record)| record.subject.as_ref() == Some(&subject));
        let mut found: Vec<Value> = all.filter_map(|(_, record)| record.descriptor).collect();
        found.retain(|d| filter.as_ref().is_none_or(|wanted| d.get("artifactType").and_then(Value::as_str) == Some(wanted)));
        Ok(found)
    })
    .await?;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    let mut answer = document(200, OCI_INDEX, index.to_string());
    if wanted.is_some() {
        set(&mut answer, header::HeaderName::from_static("oci-filters-applied"), "artifactType");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_manifest_tells_what_it_needs_and_whom_it_speaks_of() {
        let own = Digest::of(Algorithm::Sha256, b"");
        let (config, layer, subject) =
            (Digest::of(Algorithm::Sha256, b"c"), Digest::of(Algorithm::Sha512, b"l"), Digest::of(Algorithm::Sha256, b"s"));
        let text = json!({"config": {"digest": config, "mediaType": "x"}, "layers": [{"digest": layer}, {"digest": layer, "urls": ["http://x"]}],
            "subject": {"digest": subject}, "annotations": {"a": "b"}});
        let found = inspected(text.to_string().as_bytes(), &own, OCI_MANIFEST).expect("good");
        assert_eq!(found.parts, [config, layer]);
        assert_eq!(found.record.subject, Some(subject));
        assert_eq!(found.record.descriptor.expect("one")["artifactType"], "x");
        for bad in ["[]", "x", r#"{"config":{"digest":"../x"}}"#, r#"{"manifests":[],"layers":[]}"#, r#"{"mediaType":"other"}"#]
        {
            assert!(inspected(bad.as_bytes(), &own, OCI_MANIFEST).is_err(), "{bad}");
        }
        assert_eq!(inspected(br#"{"manifests":[]}"#, &own, "").expect("an index").record.media_type, OCI_INDEX);
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(text in "\\PC{0,60}", kind in "\\PC{0,20}") {
            let own = Digest::of(Algorithm::Sha256, b"");
            let _ = inspected(text.as_bytes(), &own, &kind);
            let _ = inspected(format!("{{\"layers\":[{{\"digest\":\"{text}\"}}]}}").as_bytes(), &own, &kind);
        }
    }
}
