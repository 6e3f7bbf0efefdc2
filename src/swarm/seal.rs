//! # The seal: a manager's log is of no use to a thief
//!
//! The log holds every secret of the swarm. On disk each record is sealed with a key that was drawn when this machine became a
//! manager ([`LogKey`]): encrypted, and bound so that a changed byte is noticed. The key lies beside the TLS key. With autolock both
//! lie there sealed themselves, with the *unlock key* that people keep elsewhere: a machine that is started again can do nothing
//! until somebody has typed it.
//!
//! ```text
//!   SWMKEY-1-… (people) ──seals──► LogKey, TLS key (swarm/certificates) ──seals──► log, snapshots (swarm/raft)
//! ```
//!
//! A sealed record is a nonce of 12 random bytes, the encrypted bytes, and a tag of 16 (AES-256 in Galois/counter mode).
//!
//! Laws: a nonce is never used twice with a key: random ones are not, for the few billions of records of a machine's life. *See:*
//! RFC 5116; NIST SP 800-38D §8.3; swarmkit `manager/encryption`. *Next room:* [`crate::node`]

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use minidock_base::{Error, Result};
use minidock_consensus::Seal;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const PREFIX: &str = "SWMKEY-1-";

/// A key of 256 bits.
#[derive(Clone)]
pub struct LogKey([u8; 32]);

impl LogKey {
    /// A new one.
    pub fn draw() -> LogKey {
        LogKey(rand::random())
    }

    /// As it was written down.
    pub fn from_bytes(bytes: &[u8]) -> Option<LogKey> {
        bytes.try_into().ok().map(LogKey)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn key(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("a key of 32 bytes is one of AES-256"))
    }
}

impl Seal for LogKey {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.to_vec();
        let done = self.key().seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed);
        done.expect("a record is shorter than 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::invalid("it was sealed with another key, or was changed since");
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut plain = rest.to_vec();
        let length = self.key().open_in_place(nonce, Aad::empty(), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// A new unlock key, as people are shown it.
pub fn new_unlock_key() -> String {
    format!("{PREFIX}{}", STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// The key behind what a person typed.
///
/// # Errors
/// 400: it is no unlock key.
pub fn unlock_key(text: &str) -> Result<LogKey> {
    let bytes = text.trim().strip_prefix(PREFIX).and_then(|digits| STANDARD_NO_PAD.decode(digits).ok());
    let key = bytes.and_then(|bytes| LogKey::from_bytes(&bytes));
    key.ok_or_else(|| {
        Error::invalid("invalid key could not be decoded").hint("minidock swarm unlock-key, on another manager, prints it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unlock_key_is_read_as_it_was_printed_and_nothing_else_is_one() {
        let text = new_unlock_key();
        assert_eq!(text.len(), PREFIX.len() + 43);
        let key = unlock_key(&format!(" {text}\n")).expect("what was printed");
        assert_eq!(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(key.bytes())), text);
        for wrong in ["", "SWMKEY-1-", "SWMKEY-1-AAAA", &text[1..], &text[..text.len() - 1]] {
            assert!(unlock_key(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened_by_its_key_alone_and_a_changed_byte_is_noticed(
            plain in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let key = LogKey::draw();
            let mut sealed = key.seal(&plain);
            prop_assert_eq!(key.open(&sealed).expect("our own"), plain);
            prop_assert!(LogKey::draw().open(&sealed).is_err());
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(key.open(&sealed).is_err());
            prop_assert!(key.open(&sealed[..at]).is_err());
        }
    }
}
