//! # Split: bytes into lines, and lines that are too long into pieces
//!
//! A pipe knows no lines: bytes come in any pieces, and a program may write a gigabyte without one `\n`. A log entry must
//! be a line, and must be bounded. So what has come without its newline is kept, up to 16 KiB; then it becomes an entry of
//! its own, without `\n`, and whoever reads the log joins the pieces again.
//!
//! Laws: no byte is lost or told twice, whatever the cutting; all pieces of a line carry the time of its first.
//! *See:* moby `daemon/logger/copier.go`, for the limit. *Next room:* [`crate::log_file::writer`]

use jiff::Timestamp;
use minidock_base::clock;

/// The longest entry, in bytes of the container's.
pub const LIMIT: usize = 16 * 1024;

/// What a stream has said without a newline yet.
#[derive(Default)]
pub struct Splitter {
    kept: Vec<u8>,
    /// The time of the line's first piece, once there was one.
    began: Option<Timestamp>,
}

impl Splitter {
    /// Takes bytes; `each` gets every entry that is complete: its text, whether a newline followed, its time.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8], bool, Timestamp)) {
        while !bytes.is_empty() {
            let room = LIMIT - self.kept.len();
            let seen = &bytes[..bytes.len().min(room)];
            let (text, newline) = match seen.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&seen[..end], true),
                None if seen.len() == room => (seen, false),
                None => return self.kept.extend_from_slice(seen),
            };
            self.emit(text, newline, &mut each);
            bytes = &bytes[text.len() + usize::from(newline)..];
        }
    }

    /// The stream has ended: what is kept are its last words.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8], bool, Timestamp)) {
        if !self.kept.is_empty() {
            self.emit(&[], false, &mut each);
        }
    }

    fn emit(&mut self, text: &[u8], newline: bool, each: &mut impl FnMut(&[u8], bool, Timestamp)) {
        let at = self.began.unwrap_or_else(clock::now);
        match self.kept.is_empty() {
            true => each(text, newline, at),
            false => {
                self.kept.extend_from_slice(text);
                each(&self.kept, newline, at);
                // an idle shim shall not keep the memory of one long line
                self.kept = Vec::new();
            }
        }
        self.began = (!newline).then_some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = Splitter::default();
        let mut entries = Vec::new();
        for piece in pieces {
            splitter.feed(piece, |text, newline, _| entries.push((text.to_vec(), newline)));
        }
        splitter.finish(|text, newline, _| entries.push((text.to_vec(), newline)));
        entries
    }

    #[test]
    fn a_line_of_exactly_the_limit_has_its_newline_in_the_next_entry() {
        let mut line = vec![b'x'; LIMIT];
        line.push(b'\n');
        assert_eq!(split(&[&line]), [(vec![b'x'; LIMIT], false), (vec![], true)]);
        let short = [&vec![b'y'; LIMIT - 1][..], b"\nend"].concat();
        assert_eq!(split(&[&short]), [(vec![b'y'; LIMIT - 1], true), (b"end".to_vec(), false)]);
    }

    #[test]
    fn pieces_of_one_line_share_the_time_of_the_first() {
        let (mut splitter, mut times) = (Splitter::default(), Vec::new());
        for _ in 0..3 {
            splitter.feed(&[b'z'; LIMIT], |_, _, at| times.push(at));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        splitter.feed(b"\nnext\n", |_, _, at| times.push(at));
        assert!(times.len() == 5 && times[..4].iter().all(|at| *at == times[0]) && times[4] > times[0], "{times:?}");
    }

    proptest! {
        #[test]
        fn entries_do_not_depend_on_the_cutting_and_lose_nothing(
            lines in prop::collection::vec((0usize..40_000, any::<bool>()), 0..6), cuts in prop::collection::vec(1usize..20_000, 1..8)
        ) {
            let mut whole = Vec::new();
            for (length, newline) in lines {
                whole.extend(std::iter::repeat_n(b'a', length));
                if newline { whole.push(b'\n'); }
            }
            let (mut pieces, mut rest, mut n) = (Vec::new(), &whole[..], 0);
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(cuts[n % cuts.len()].min(rest.len()));
                pieces.push(piece);
                (rest, n) = (more, n + 1);
            }
            let entries = split(&pieces);
            prop_assert_eq!(&entries, &split(&[&whole]));
            let mut joined = Vec::new();
            for (text, newline) in &entries {
                prop_assert!(text.len() <= LIMIT);
                joined.extend_from_slice(text);
                if *newline { joined.push(b'\n'); }
            }
            prop_assert_eq!(joined, whole);
        }
    }
}
