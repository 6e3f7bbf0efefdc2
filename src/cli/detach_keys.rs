//! # Detach keys: leaving a program without ending it
//!
//! With a raw terminal every key goes to the program, Ctrl-C included. One sequence is kept back: Ctrl-P Ctrl-Q, unless
//! `--detach-keys` says otherwise. The daemon watches for it too (other clients do not), but the client must know that it
//! was typed, to say goodbye instead of waiting for the program's end.
//!
//! ```text
//!   "ctrl-p,ctrl-q"  ──parse──► [16, 17]
//!   typed   a ^P b ^P ^Q        passed on   a ^P b      then: detached
//! ```
//!
//! * A key that begins the sequence is held back until the next one decides.
//!
//! *See:* moby/term `ascii.go`, `proxy.go`; docker attach, "Override the detach sequence". *Next room:*
//! `src/cli/container/streams.rs`

use minidock_base::{Error, Result};

/// Ctrl-P Ctrl-Q.
pub const DEFAULT: [u8; 2] = [16, 17];

/// Bytes from `ctrl-p,ctrl-q`, `ctrl-@`, `a,b`.
///
/// # Errors
/// `Unknown character: '…'`, as Docker says.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let key = |word: &str| -> Result<u8> {
        let unknown = || {
            Error::invalid(format!("invalid detach keys ({text}): Unknown character: '{word}'"))
                .hint("letters and ctrl-<letter>, separated by commas, such as ctrl-x,x")
        };
        if word == "DEL" {
            return Ok(127);
        }
        if let [single] = word.as_bytes() {
            return single.is_ascii().then_some(*single).ok_or_else(unknown);
        }
        match word.to_ascii_lowercase().strip_prefix("ctrl-").map(str::as_bytes) {
            Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
            Some(b"@") => Ok(0),
            Some(b"[") => Ok(27),
            Some(b"\\") => Ok(28),
            Some(b"]") => Ok(29),
            Some(b"^") => Ok(30),
            Some(b"_") => Ok(31),
            _ => Err(unknown()),
        }
    };
    text.split(',').map(key).collect()
}

/// Watches what is typed.
pub struct Watch {
    keys: Vec<u8>,
    seen: usize,
}

impl Watch {
    /// Watches for `keys`; an empty sequence never comes.
    pub fn new(keys: Vec<u8>) -> Watch {
        Watch { keys, seen: 0 }
    }

    /// Takes what was typed; gives back what may go on to the program, and whether the sequence was completed.
    pub fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut on = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return (on, true);
                }
                continue;
            }
            on.extend_from_slice(&self.keys[..self.seen]);
            self.seen = 0;
            match self.keys.first() == Some(byte) && self.keys.len() > 1 {
                true => self.seen = 1,
                false => on.push(*byte),
            }
        }
        (on, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_are_written_as_docker_writes_them() {
        assert_eq!(parse("ctrl-p,ctrl-q").expect("keys"), DEFAULT);
        assert_eq!(parse("a,ctrl-[,DEL").expect("keys"), [b'a', 27, 127]);
        assert_eq!(parse("a,ctrl-@,ctrl-_").expect("keys"), [b'a', 0, 31]);
        assert!(parse("").is_err() && parse("ctrl-").is_err() && parse("ctrl-1").is_err() && parse("ab").is_err());
    }

    #[test]
    fn only_the_whole_sequence_detaches() {
        let mut watch = Watch::new(DEFAULT.to_vec());
        assert_eq!(watch.pass(b"a\x10b"), (b"a\x10b".to_vec(), false));
        assert_eq!(watch.pass(b"\x10"), (b"".to_vec(), false));
        assert_eq!(watch.pass(b"\x10\x11rest"), (b"\x10".to_vec(), true));
        let mut single = Watch::new(vec![b'q']);
        assert_eq!(single.pass(b"ab"), (b"ab".to_vec(), false));
        assert_eq!(single.pass(b"cq"), (b"c".to_vec(), true));
        assert_eq!(Watch::new(Vec::new()).pass(b"abc"), (b"abc".to_vec(), false));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_is_held_back(typed in prop::collection::vec(14u8..19, 0..30), cut in 1usize..5) {
            let mut watch = Watch::new(DEFAULT.to_vec());
            let (mut on, mut detached) = (Vec::new(), false);
            for piece in typed.chunks(cut) {
                let (passed, done) = watch.pass(piece);
                on.extend(passed);
                detached |= done;
                if done { break }
            }
            prop_assert_eq!(detached, typed.windows(2).any(|pair| pair == DEFAULT));
            prop_assert!(typed.starts_with(&on));
            if !detached {
                prop_assert!(typed.len() - on.len() <= 1);
            }
        }
    }
}
