//! # Credentials: who is asking
//!
//! A client of the API sends what it knows about a registry in the header `X-Registry-Auth`: base64 of a small JSON object,
//! in the alphabet for URLs, with or without padding. It may hold a name and a password, an *identity token* (given at a
//! login, traded for access tokens ever after), or a ready registry token.
//!
//! * [`Credentials::from_header`] reads it; an empty one or `{}` means nobody in particular.
//!
//! Law: they never stand in a log or in a message. See: moby `registry/auth.go`, Engine API "Authentication".
//! Next room: [`crate::client`]

use base64::Engine as _;
use minidock_base::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// What to say when a registry asks who we are.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// `user:password` in base64, as old configuration files have it.
    pub auth: String,
    #[serde(rename = "identitytoken")]
    pub identity_token: String,
    #[serde(rename = "registrytoken")]
    pub registry_token: String,
    #[serde(rename = "serveraddress")]
    pub server_address: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", if self.is_empty() { "nobody" } else { "hidden" })
    }
}

impl Credentials {
    /// Reads the header `X-Registry-Auth`.
    ///
    /// # Errors
    /// It is not base64 of a JSON object.
    pub fn from_header(header: &str) -> Result<Credentials> {
        let text = header.trim().trim_end_matches('=');
        if text.is_empty() {
            return Ok(Credentials::default());
        }
        let bad = || Error::invalid("invalid X-Registry-Auth header: it is not base64 of a JSON object");
        let text = text.replace('+', "-").replace('/', "_");
        let plain = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        Credentials::from_json(&plain).map_err(|_| bad())
    }

    /// Reads the same object as JSON: the body of `POST /auth`.
    ///
    /// # Errors
    /// It is none.
    pub fn from_json(json: &[u8]) -> Result<Credentials> {
        let invalid = |why: String| Error::invalid(format!("invalid credentials: {why}"));
        let value: Value = serde_json::from_slice(json).map_err(|e| invalid(e.to_string()))?;
        if !value.is_object() && !value.is_null() {
            return Err(invalid("they are no JSON object".into()));
        }
        let read: Option<Credentials> = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
        let mut credentials = read.unwrap_or_default();
        if credentials.username.is_empty() && !credentials.auth.is_empty() {
            let plain = base64::engine::general_purpose::STANDARD.decode(credentials.auth.trim()).unwrap_or_default();
            if let Some((user, password)) = String::from_utf8_lossy(&plain).trim_end_matches('\0').split_once(':') {
                credentials.username = user.into();
                credentials.password = password.into();
            }
        }
        Ok(credentials)
    }

    /// A name and a password.
    pub fn basic(username: &str, password: &str) -> Credentials {
        Credentials { username: username.into(), password: password.into(), ..Credentials::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.username.is_empty() && self.identity_token.is_empty() && self.registry_token.is_empty()
    }

    /// The value of an `Authorization` header for basic authentication, if there is a name.
    pub fn basic_header(&self) -> Option<String> {
        (!self.username.is_empty()).then(|| {
            let pair = format!("{}:{}", self.username, self.password);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_header_is_read_in_every_spelling() {
        let json = r#"{"username":"ann","password":"s>?cret","serveraddress":"x:5000"}"#;
        let url = base64::engine::general_purpose::URL_SAFE.encode(json);
        for header in [url.as_str(), url.trim_end_matches('='), &base64::engine::general_purpose::STANDARD.encode(json)] {
            let read = Credentials::from_header(header).expect("good");
            assert_eq!((read.username.as_str(), read.password.as_str()), ("ann", "s>?cret"));
        }
        for nobody in ["", "e30=", "e30", "bnVsbA=="] {
            assert!(Credentials::from_header(nobody).expect("nobody").is_empty());
        }
        let old = Credentials::from_json(br#"{"auth":"YW5uOnNlY3JldA=="}"#).expect("good");
        assert_eq!(old.basic_header().as_deref(), Some("Basic YW5uOnNlY3JldA=="));
        assert!(!format!("{old:?}").contains("secret"));
        assert!(Credentials::from_header("!!").is_err() && Credentials::from_header("W10=").is_err());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC{0,60}") {
            let _ = Credentials::from_header(&text);
        }
    }
}
