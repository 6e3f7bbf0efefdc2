//! # Detach keys: the way out that is not the end
//!
//! Ctrl-P Ctrl-Q on a container's terminal leaves it running and gives the user his own back. The daemon, not the client,
//! watches for the sequence, because the client only carries bytes.
//!
//! * [`parse`] reads `ctrl-p,ctrl-q` or `a,b`; [`Watch`] looks for the sequence in bytes that arrive in any pieces, and holds
//!   back a beginning of it until it knows whether the rest follows.
//!
//! *See:* moby `term.ToBytes`, `term.EscapeProxy`. *Next room:* [`crate::container::attach`]

use minidock_base::{Error, Result};

/// Ctrl-P, Ctrl-Q.
const DEFAULT: [u8; 2] = [16, 17];

/// The bytes of a sequence such as `ctrl-p,ctrl-q`; nothing means the default.
///
/// # Errors
/// `Invalid detach keys (x) provided`.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    let key = |word: &str| match (word.as_bytes(), word.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([one], _) => Some(*one),
        (_, Some([letter @ b'a'..=b'z'])) => Some(letter - b'a' + 1),
        (_, Some([b'@'])) => Some(0),
        (_, Some([b'['])) => Some(27),
        (_, Some([b'\\'])) => Some(28),
        (_, Some([b']'])) => Some(29),
        (_, Some([b'^'])) => Some(30),
        (_, Some([b'_'])) => Some(31),
        _ => None,
    };
    text.split(',').map(key).collect::<Option<Vec<u8>>>().ok_or_else(|| {
        Error::invalid(format!("Invalid detach keys ({text}) provided"))
            .hint("letters, or ctrl- and one of a-z @ [ \\ ] ^ _, joined by commas: ctrl-p,ctrl-q")
    })
}

/// Looks for the sequence in what is typed.
pub struct Watch {
    keys: Vec<u8>,
    seen: usize,
}

impl Watch {
    pub fn for_keys(keys: Vec<u8>) -> Watch {
        Watch { keys, seen: 0 }
    }

    /// Appends to `pass` what goes on to the program; true when the sequence is complete.
    pub fn feed(&mut self, typed: &[u8], pass: &mut Vec<u8>) -> bool {
        for byte in typed {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return true;
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.seen]);
            self.seen = 0;
            match self.keys.first() == Some(byte) {
                true => self.seen = 1,
                false => pass.push(*byte),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_pieces_and_its_beginning_is_not_lost() {
        let mut watch = Watch::for_keys(parse("").expect("the default"));
        let mut pass = Vec::new();
        assert!(!watch.feed(b"ab\x10", &mut pass) && pass == b"ab");
        assert!(!watch.feed(b"c\x10", &mut pass) && pass == b"ab\x10c");
        assert!(watch.feed(b"\x11", &mut pass));
    }

    #[test]
    fn keys_are_letters_or_control_letters() {
        assert_eq!(parse("ctrl-a,x").expect("keys"), [1, b'x']);
        assert!(parse("ctrl-,x").is_err() && parse("ctrl-aa").is_err() && parse("shift-a").is_err());
    }
}
