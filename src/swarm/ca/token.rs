//! # Join tokens: what `SWMTKN-1-…` proves
//!
//! ```text
//!   SWMTKN-1-<digest of the root certificate, 50 letters>-<secret, 25 letters>
//! ```
//!
//! The token works both ways. The *digest* lets the newcomer check the cluster: it connects to an address that anybody could have
//! answered, and goes on only if the root certificate it is shown has this digest. The *secret* lets the cluster check the
//! newcomer, and says as what it may join: there is one for workers and one for managers. Whoever has one can join until it is
//! rotated. Digits are base 36, so that a token survives being read aloud.
//!
//! *See:* swarmkit `ca/config.go`, `GenerateJoinToken`. *Next room:* [`super::identity`]

use minidock_base::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt;

const PREFIX: &str = "SWMTKN";
const DIGEST_LETTERS: usize = 50;
const SECRET_LETTERS: usize = 25;

/// A token, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    digest: String,
    secret: String,
}

impl Token {
    /// A token for the cluster with this root certificate; `secret`: 16 random bytes.
    pub fn new(root_pem: &str, secret: [u8; 16]) -> Token {
        Token { digest: digest(root_pem), secret: base36(&secret, SECRET_LETTERS) }
    }

    /// Reads what a person pasted.
    ///
    /// # Errors
    /// 400, in Docker's words: `invalid join token`.
    pub fn parse(text: &str) -> Result<Token> {
        let wrong = || Error::invalid("invalid join token").hint("minidock swarm join-token worker, on a manager, prints one");
        let parts: Vec<&str> = text.trim().split('-').collect();
        let [PREFIX, "1", digest, secret] = parts[..] else { return Err(wrong()) };
        let fits = |s: &str, letters| s.len() == letters && s.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        match fits(digest, DIGEST_LETTERS) && fits(secret, SECRET_LETTERS) {
            true => Ok(Token { digest: digest.to_string(), secret: secret.to_string() }),
            false => Err(wrong()),
        }
    }

    /// Is this the cluster the token was made for?
    ///
    /// # Errors
    /// Another root certificate: somebody else answered at that address, or the cluster has a new root.
    pub fn check_root(&self, root_pem: &str) -> Result<()> {
        match digest(root_pem) == self.digest {
            true => Ok(()),
            false => Err(Error::forbidden("remote CA does not match fingerprint").hint(
                "whoever answers there is not the swarm this token is for; if its root was rotated, ask a manager for a new token",
            )),
        }
    }

    /// The same secret? Compared in constant time: a guess must not learn how far it was right.
    pub fn has_secret_of(&self, other: &Token) -> bool {
        let differ = self.secret.bytes().zip(other.secret.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        differ == 0 && self.secret.len() == other.secret.len()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}-1-{}-{}", self.digest, self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}-1-{}-…", self.digest)
    }
}

/// The digest of a root certificate, as tokens carry it.
fn digest(pem: &str) -> String {
    base36(&Sha256::digest(pem.trim().as_bytes()), DIGEST_LETTERS)
}

/// Bytes as a number in base 36, filled with zeros in front.
pub(crate) fn base36(bytes: &[u8], letters: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(letters);
    for _ in 0..letters {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((value / 36) as u8, value % 36);
        }
        digits.push(char::from_digit(rest, 36).unwrap_or('0'));
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_names_its_cluster_and_hides_its_secret() {
        let token = Token::new("root", [7; 16]);
        let text = token.to_string();
        assert_eq!((text.len(), &text[..9]), (9 + 50 + 1 + 25, "SWMTKN-1-"));
        let back = Token::parse(&format!(" {text}\n")).expect("what was printed");
        assert!(back == token && back.check_root("root").is_ok() && back.check_root("other").is_err());
        assert!(!format!("{token:?}").contains(&text[60..]));
        assert!(!back.has_secret_of(&Token::new("root", [8; 16])));
    }

    #[test]
    fn numbers_in_base_36() {
        assert_eq!(base36(&[0], 3), "000");
        assert_eq!(base36(&[35], 2), "0z");
        assert_eq!(base36(&[1, 0], 3), "074");
    }

    proptest! {
        #[test]
        fn whatever_is_pasted_is_read_or_refused(text in ".{0,120}") {
            let _ = Token::parse(&text);
        }
    }
}
