//! # Digests: a name that proves its content
//!
//! `sha256:` and 64 hexadecimal digits. Whoever knows a digest can check the bytes without trusting who brought them, so
//! everything in an image is named this way: layers, configuration, manifests.
//!
//! * [`Digest`] can only be made by [`Digest::parse`] (which checks the shape, so a digest is also a safe file name) or by
//!   hashing: [`Digest::of`], [`Hasher`].
//!
//! See: OCI image-spec, descriptor.md, Digests. Next room: [`crate::reference`]

use minidock_base::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Checks the shape.
    ///
    /// # Errors
    /// `invalid digest: …` for another algorithm, another length or other characters.
    pub fn parse(text: &str) -> Result<Digest> {
        let hex =
            text.strip_prefix("sha256:").filter(|h| h.len() == 64 && h.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
        match hex {
            Some(_) => Ok(Digest(text.to_string())),
            None => Err(Error::invalid(format!("invalid digest: {text:?} is not sha256: and 64 hexadecimal digits"))),
        }
    }

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hexadecimal digits: the file name below `blobs/sha256/`.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as tables show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Digest> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// Hashes what streams by.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn new() -> Hasher {
        Hasher::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(format!("sha256:{}", hex::encode(self.0.finalize())))
    }
}
