//! # Digest: by which hash a thing is known
//!
//! Everything is stored and asked for by its hash, and the client says by which. Nearly all say SHA-256; the specification's other one is
//! SHA-512. A registry does not care what it keeps, so ours keeps both; the daemon, which must unpack what it gets, knows the first only
//! ([`minidock_spec::digest`]).
//!
//! ```text
//!   sha256:<64 digits>  ──► blobs/sha256/<64 digits>       one file may be known by both: it is kept once for each
//!   sha512:<128 digits> ──► blobs/sha512/<128 digits>
//! ```
//!
//! * [`Digest::parse`] checks the shape, so that a digest is a safe name of a file; [`Digest::of`] and [`Digest::of_file`] hash.
//!
//! Law: the two are of different length, so that the digits alone are never mistaken. See: OCI image-spec, descriptor.md, "Registered
//! algorithms". Next room: [`super::blobs`]

use minidock_base::{Doing, Error, Result};
use minidock_spec::digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use std::{fmt, fs::File, io::Read, path::Path};

/// The hashes that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// Before the colon, and the name of the folder.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

/// `<algorithm>:<lower-case hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    text: String,
}

impl Digest {
    /// Checks the shape.
    ///
    /// # Errors
    /// Another algorithm, another length or other characters.
    pub fn parse(text: &str) -> Result<Digest> {
        let (name, hex) = text.split_once(':').unwrap_or_default();
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        let good = |a: &Algorithm| hex.len() == a.digits() && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        match algorithm.filter(good) {
            Some(algorithm) => Ok(Digest { algorithm, text: text.to_string() }),
            None => {
                Err(Error::invalid(format!("invalid digest: {text:?} is not sha256: or sha512: and its hexadecimal digits")))
            }
        }
    }

    /// The digest whose digits these are.
    pub fn of_digits(hex: &str) -> Option<Digest> {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.digits() == hex.len())?;
        Digest::parse(&format!("{}:{hex}", algorithm.name())).ok()
    }

    /// The digest of these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let hex = match algorithm {
            Algorithm::Sha256 => return digest::Digest::of(bytes).into(),
            Algorithm::Sha512 => hex::encode(Sha512::digest(bytes)),
        };
        Digest { algorithm, text: format!("{}:{hex}", algorithm.name()) }
    }

    /// The digest of a whole file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(algorithm: Algorithm, path: &Path) -> Result<Digest> {
        let mut file = File::open(path).doing(|| format!("hash {}", path.display()))?;
        let hex = match algorithm {
            Algorithm::Sha256 => hashed(Sha256::new(), &mut file, path)?,
            Algorithm::Sha512 => hashed(Sha512::new(), &mut file, path)?,
        };
        Ok(Digest { algorithm, text: format!("{}:{hex}", algorithm.name()) })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digits: the name of the file below `blobs/<algorithm>/`.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As the rest of the house knows it, if it does.
    pub fn known(&self) -> Option<digest::Digest> {
        digest::Digest::parse(&self.text).ok()
    }
}

fn hashed<H: sha2::Digest>(mut hasher: H, file: &mut File, path: &Path) -> Result<String> {
    let mut chunk = vec![0; 128 << 10];
    loop {
        match file.read(&mut chunk).doing(|| format!("hash {}", path.display()))? {
            0 => return Ok(hex::encode(hasher.finalize())),
            n => hasher.update(&chunk[..n]),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<digest::Digest> for Digest {
    fn from(known: digest::Digest) -> Digest {
        Digest { algorithm: Algorithm::Sha256, text: known.into() }
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
        digest.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_are_told_by_their_digits_and_nothing_else_is_one() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(Digest::parse(digest.as_str()).expect("our own"), digest);
            assert_eq!(Digest::of_digits(digest.hex()).expect("our own"), digest);
            assert_eq!(digest.known().is_some(), algorithm == Algorithm::Sha256);
            let folder = tempfile::tempdir().expect("room");
            let file = folder.path().join("f");
            std::fs::write(&file, b"x").expect("room");
            assert_eq!(Digest::of_file(algorithm, &file).expect("readable"), digest);
            for bad in [digest.as_str().to_uppercase(), digest.hex().to_string(), format!("{digest}0"), "md5:00".into()] {
                assert!(Digest::parse(&bad).is_err(), "{bad}");
            }
        }
        let mixed = format!("sha512:{}", Digest::of(Algorithm::Sha256, b"x").hex());
        assert!(Digest::parse(&mixed).is_err() && Digest::of_digits("../x").is_none());
    }
}
