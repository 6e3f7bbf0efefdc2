//! # Refusal: what a registry says when it says no
//!
//! A refusal has a status and a small JSON document with codes (`MANIFEST_UNKNOWN`, `DENIED`, `TOOMANYREQUESTS`). People
//! search the web for the words that Docker makes of them, so these are made here, once.
//!
//! * [`Refusal::read`] takes an answer apart; [`Refusal::error`] says it as Docker does: `denied: requested access …`.
//!
//! See: distribution-spec "Error Codes" · distribution `registry/api/errcode`. Next room: [`super::manifest`]

use super::wire::Reply;
use minidock_base::{Error, Kind};
use serde::Deserialize;
use serde_json::Value;

/// The longest refusal that is read.
const MOST: usize = 64 << 10;

/// A status and the first error of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    what: String,
}

#[derive(Deserialize)]
struct Document {
    errors: Option<Vec<One>>,
    /// Token servers and some registries.
    details: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct One {
    code: Option<Value>,
    message: Option<String>,
}

impl Refusal {
    /// Reads the body of an answer that is none.
    pub async fn read(reply: Reply) -> Refusal {
        let (status, what) = (reply.status.as_u16(), reply.what().to_string());
        let body = reply.bytes(MOST).await.unwrap_or_default();
        Refusal::parse(status, what, &body)
    }

    fn parse(status: u16, what: String, body: &[u8]) -> Refusal {
        let document: Option<Document> = serde_json::from_slice(body).ok();
        let details = document.as_ref().and_then(|d| d.details.clone().or(d.error_description.clone()));
        let first = document.and_then(|d| d.errors).and_then(|errors| errors.into_iter().next());
        let (code, message) = match first {
            Some(one) => (one.code.map(|c| c.as_str().map_or(c.to_string(), str::to_string)), one.message),
            None => (None, None),
        };
        let message = message.or(details).unwrap_or_default();
        Refusal { status, code: code.unwrap_or_default(), message: message.chars().take(1000).collect(), what }
    }

    /// Whether the registry wants to know who asks, or says that we may not.
    pub fn is_denied(&self) -> bool {
        matches!(self.status, 401 | 403) || matches!(self.code.as_str(), "UNAUTHORIZED" | "DENIED")
    }

    pub fn is_unknown(&self) -> bool {
        self.status == 404
    }

    /// `denied: requested access to the resource is denied`; without a document, the request and its status.
    pub fn text(&self) -> String {
        let code = self.code.to_ascii_lowercase().replace('_', " ");
        match (code.as_str(), self.message.as_str()) {
            ("", "") => format!("{}: unexpected status from the registry: {}", self.what, self.status),
            ("", message) => message.to_string(),
            (code, "") => code.to_string(),
            (code, message) => format!("{code}: {message}"),
        }
    }

    pub fn error(&self) -> Error {
        let kind = match self.status {
            _ if self.is_denied() => Kind::Forbidden,
            404 => Kind::NotFound,
            400 | 405 | 413 | 416 => Kind::InvalidParameter,
            408 | 429 | 500..=599 => Kind::Unavailable,
            _ => Kind::System,
        };
        let error = Error::new(kind, self.text());
        match self.status {
            429 => error.hint("the registry limits how often it may be asked; wait, log in, or use a mirror"),
            _ if kind == Kind::Forbidden => error.hint("minidock login REGISTRY, and look at the spelling of the name"),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(status: u16, body: &str) -> String {
        Refusal::parse(status, "GET \"x\"".into(), body.as_bytes()).text()
    }

    #[test]
    fn refusals_are_said_in_dockers_words() {
        let denied = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
        assert_eq!(text(401, denied), "denied: requested access to the resource is denied");
        assert_eq!(
            text(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
            "manifest unknown: manifest unknown"
        );
        assert_eq!(text(401, r#"{"details":"incorrect username or password"}"#), "incorrect username or password");
        assert_eq!(text(502, "<html>"), "GET \"x\": unexpected status from the registry: 502");
        assert_eq!(text(400, r#"{"errors":[{"code":7,"message":null}]}"#), "7");
        assert_eq!(text(400, r#"{"errors":null}"#), "GET \"x\": unexpected status from the registry: 400");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,80}", status in any::<u16>()) {
            let _ = Refusal::parse(status, String::new(), body.as_bytes()).error();
        }
    }
}
