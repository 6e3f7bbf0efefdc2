//! # Routes: a path and a query, safely put together
//!
//! Names that users type go into URLs: an image is `team/app:1.0`, a container may be anything at all. A [`Route`] puts
//! them in percent-encoded, so that a name can never become another path, another query or another request.
//!
//! ```text
//!   Route::new("/containers/{}/kill", ["web"]).pair("signal", "HUP")     /containers/web/kill?signal=HUP
//!   Route::new("/images/{}/json", ["team/app:1"])                        /images/team/app:1/json
//! ```
//!
//! Laws: `/`, `:` and `@` stay as they are inside an image's name (Docker's routes expect them so) but `..` and `.` as
//! whole parts, spaces, `?`, `#`, `%` and control characters are encoded. *See:* RFC 3986 §2. *Next room:* [`crate::wish`]

use std::fmt::Display;

/// A path below the API version, with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    path: String,
    query: String,
}

impl Route {
    /// `pattern` with each `{}` replaced by the next of `names`, encoded.
    pub fn new<const N: usize>(pattern: &str, names: [&str; N]) -> Route {
        let mut pieces = pattern.split("{}");
        let mut path = pieces.next().unwrap_or_default().to_string();
        for (piece, name) in pieces.zip(names) {
            encode_path(name, &mut path);
            path.push_str(piece);
        }
        Route { path, query: String::new() }
    }

    /// Adds `key=value`.
    pub fn pair(mut self, key: &str, value: impl Display) -> Route {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        encode(key, b"-._~", &mut self.query);
        self.query.push('=');
        encode(&value.to_string(), b"-._~/:,", &mut self.query);
        self
    }

    /// Adds `key=value` if there is a value.
    pub fn maybe(self, key: &str, value: Option<impl Display>) -> Route {
        match value {
            Some(value) => self.pair(key, value),
            None => self,
        }
    }

    /// Adds `key=1` if `on`.
    pub fn flag(self, key: &str, on: bool) -> Route {
        if on { self.pair(key, 1) } else { self }
    }

    /// The request target, below `/v{version}`; the ping and our own extensions have no version.
    pub(crate) fn target(&self, version: &str) -> String {
        match self.path.starts_with("/_ping") || self.path.starts_with("/minidock/") {
            true => format!("{}{}", self.path, self.query),
            false => format!("/v{version}{}{}", self.path, self.query),
        }
    }
}

fn encode_path(name: &str, into: &mut String) {
    for (n, part) in name.split('/').enumerate() {
        if n > 0 {
            into.push('/');
        }
        match part {
            "." => into.push_str("%2E"),
            ".." => into.push_str("%2E%2E"),
            _ => encode(part, b"-._~:@", into),
        }
    }
}

fn encode(text: &str, plain: &[u8], into: &mut String) {
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => into.push(byte as char),
            false => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let route = Route::new("/containers/{}/kill", ["a b?x=1#y"]).pair("signal", "A&B").flag("f", false).flag("v", true);
        assert_eq!(route.target("1.45"), "/v1.45/containers/a%20b%3Fx%3D1%23y/kill?signal=A%26B&v=1");
        assert_eq!(Route::new("/images/{}/json", ["a/b:1@sha256:0"]).target("1.24"), "/v1.24/images/a/b:1@sha256:0/json");
        assert_eq!(Route::new("/containers/{}", [".."]).target("1.24"), "/v1.24/containers/%2E%2E");
        assert_eq!(Route::new("/_ping", []).target("1.45"), "/_ping");
    }

    proptest! {
        #[test]
        fn every_name_makes_a_target_that_http_accepts(name in "\\PC{0,30}", value in "\\PC{0,30}") {
            let target = Route::new("/containers/{}/x", [name.as_str()]).pair("k", value).target("1.45");
            prop_assert!(target.parse::<http::Uri>().is_ok(), "{}", target);
        }
    }
}
