//! # References: what `alpine` means
//!
//! `alpine` is short for `docker.io/library/alpine:latest`: a registry, a repository, a tag. The first part is a registry
//! only if it has a dot or a colon or is `localhost`; otherwise it is part of the repository and the Hub is meant. A
//! digest may stand behind or instead of the tag.
//!
//! ```text
//!   localhost:5000/team/app:1.0@sha256:…
//!   └── domain ──┘ └ path ┘ └tag┘ └ digest ┘
//! ```
//!
//! * [`Reference::parse`] is strict (Docker's grammar, with its messages); [`Reference::familiar`] is the short form that
//!   people see, [`Reference::canonical`] the long one that is stored.
//!
//! See: distribution/reference `reference.go`, `normalize.go`. Next room: [`crate::image`]

use crate::digest::Digest;
use minidock_base::{Error, Result};
use std::fmt;

/// The Hub, as it is written in canonical references.
pub const HUB: &str = "docker.io";

/// A parsed and normalised image reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `docker.io`, `localhost:5000`.
    pub domain: String,
    /// `library/alpine`.
    pub path: String,
    /// `latest` unless only a digest was given.
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user typed; without tag and digest, the tag is `latest`.
    ///
    /// # Errors
    /// `invalid reference format`, with Docker's additions (`repository name (X) must be lowercase`).
    pub fn parse(text: &str) -> Result<Reference> {
        let mut reference = Reference::parse_untagged(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some("latest".into());
        }
        Ok(reference)
    }

    /// The same, leaving the tag out when none was given (`pull -a`, filters).
    pub fn parse_untagged(text: &str) -> Result<Reference> {
        let bad = || {
            Error::invalid(format!("invalid reference format: {text:?}"))
                .hint("a name such as alpine, alpine:3.20 or localhost:5000/team/app:1.0")
        };
        if text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(Error::invalid(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(|_| bad())?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|t| !is_tag(t)) {
            return Err(bad());
        }
        let (domain, path) = split_domain(name);
        if path.bytes().any(|c| c.is_ascii_uppercase()) {
            return Err(Error::invalid(format!("invalid reference format: repository name ({path}) must be lowercase")));
        }
        if path.is_empty() || name.len() > 255 || !path.split('/').all(is_component) || !is_domain(&domain) {
            return Err(bad());
        }
        let path = if domain == HUB && !path.contains('/') { format!("library/{path}") } else { path };
        Ok(Reference { domain, path, tag: tag.map(str::to_string), digest })
    }

    /// `alpine`, `localhost:5000/team/app`: the repository as people see it.
    pub fn familiar_name(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix("library/")) {
            (HUB, Some(short)) if !short.contains('/') => short.to_string(),
            (HUB, _) => self.path.clone(),
            _ => format!("{}/{}", self.domain, self.path),
        }
    }

    /// `alpine:latest`, `app@sha256:…`: the whole reference as people see it.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    /// `docker.io/library/alpine`.
    pub fn canonical_name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `docker.io/library/alpine:latest`.
    pub fn canonical(&self) -> String {
        self.suffixed(self.canonical_name())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        match &self.digest {
            Some(digest) => format!("{name}@{digest}"),
            None => name,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

fn split_domain(name: &str) -> (String, String) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':', '[']) || first == "localhost" || first.bytes().any(|c| c.is_ascii_uppercase()) =>
        {
            let domain = if first == "index.docker.io" { HUB } else { first };
            (domain.to_string(), rest.to_string())
        }
        _ => (HUB.to_string(), name.to_string()),
    }
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !edge(text.bytes().next()) || !edge(text.bytes().last()) {
        return false;
    }
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|s| !s.is_empty());
    separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|c| c == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_')
        && bytes.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|p| p.is_empty() || !p.bytes().all(|c| c.is_ascii_digit())) {
        return false;
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inside.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alpine_means_the_hubs_library_and_latest() {
        let alpine = Reference::parse("alpine").expect("a name");
        assert_eq!(alpine.canonical(), "docker.io/library/alpine:latest");
        assert_eq!(alpine.familiar(), "alpine:latest");
        let local = Reference::parse("localhost:5000/hello").expect("a name");
        assert_eq!((local.domain.as_str(), local.path.as_str()), ("localhost:5000", "hello"));
        assert_eq!(Reference::parse("[::1]:5000/x").expect("a name").domain, "[::1]:5000");
    }

    #[test]
    fn odd_names_are_refused_with_dockers_words() {
        let upper = Reference::parse("REPLACE_ME_WITH_DOCKER_IMAGE_TAG").unwrap_err();
        assert!(upper.message().contains("must be lowercase"), "{upper}");
        for bad in ["", ":x", "a/", "/a", "a//b", "a:b:c", "a@sha256:12", "../x", "-a", "a:", "a b", "a___b"] {
            assert!(Reference::parse(bad).is_err(), "{bad:?} should be refused");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_a_familiar_name_parses_to_itself(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.familiar()).expect("familiar"), reference);
            }
        }
    }
}
