//! # Line: one log entry as JSON, byte for byte as Docker writes it
//!
//! The log may hold anything, but JSON is text: bytes that are no UTF-8 become `\ufffd`, and Go's encoder also hides `<`,
//! `>`, `&` and the two line separators of Unicode, lest a log be mistaken for a web page. Whoever compares our files with
//! Docker's, or greps both, should find the same bytes, so [`append`] is written out by hand.
//!
//! [`parse`] is the way back. It is forgiving: keys in any order, unknown ones ignored; what is no entry is `None`.
//!
//! *See:* RFC 8259 §7 · moby `jsonlog`. *Next room:* [`crate::log_file::split`]

use jiff::Timestamp;
use minidock_base::clock::rfc3339;
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};

/// Which of the two streams said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    pub source: Source,
    /// What was said, its `\n` included; without one it is a piece of a longer line, or the last words.
    pub text: String,
    /// What `--log-opt labels=…` attached.
    pub attrs: BTreeMap<String, String>,
}

/// Appends one entry, its newline included. `attrs` is a JSON object, or empty.
pub fn append(out: &mut Vec<u8>, source: Source, text: &[u8], newline: bool, attrs: &str, at: Timestamp) {
    out.extend_from_slice(b"{");
    if newline || !text.is_empty() {
        out.extend_from_slice(b"\"log\":\"");
        escape(out, text);
        out.extend_from_slice(if newline { b"\\n\"," } else { b"\"," });
    }
    out.extend_from_slice(match source {
        Source::Stdout => b"\"stream\":\"stdout\",",
        Source::Stderr => b"\"stream\":\"stderr\",",
    });
    if !attrs.is_empty() {
        out.extend_from_slice(b"\"attrs\":");
        out.extend_from_slice(attrs.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"time\":\"");
    out.extend_from_slice(rfc3339(at).as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// A JSON string's inside, as Go's encoder makes it of any bytes.
fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        match std::str::from_utf8(text) {
            Ok(valid) => return escape_str(out, valid),
            Err(error) => {
                let (valid, rest) = text.split_at(error.valid_up_to());
                escape_str(out, std::str::from_utf8(valid).unwrap_or_default());
                // Go replaces byte by byte: a broken sequence of three bytes is three replacement characters
                out.extend_from_slice(b"\\ufffd");
                text = &rest[1..];
            }
        }
    }
}

fn escape_str(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9
        let separator = byte == 0xe2 && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
        if !(byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') || separator) {
            continue;
        }
        if at < plain {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0xe2 => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[at + 2] & 0xf)]);
                plain = at + 3;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// One line of a log file as an entry; `None` for what is none.
pub fn parse(line: &[u8]) -> Option<Entry> {
    let raw: Raw<'_> = serde_json::from_slice(line).ok()?;
    let source = match raw.stream.as_ref() {
        "stdout" => Source::Stdout,
        "stderr" => Source::Stderr,
        _ => return None,
    };
    Some(Entry { at: raw.time.parse().ok()?, source, text: raw.log.into_owned(), attrs: raw.attrs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn written(text: &[u8], newline: bool) -> String {
        let mut out = Vec::new();
        append(&mut out, Source::Stdout, text, newline, "", at("2026-11-21T09:36:42.0165Z"));
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn an_entry_is_what_docker_writes() {
        assert_eq!(
            written(b"a \"b\" <c>&\t\x1b\x7f\\", true),
            "{\"log\":\"a \\\"b\\\" \\u003cc\\u003e\\u0026\\u0009\\u001b\x7f\\\\\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T09:36:42.0165Z\"}\n"
        );
        assert!(written("x\u{2028}y\u{2029}é€\r".as_bytes(), false).starts_with("{\"log\":\"x\\u2028y\\u2029é€\\r\","));
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters_one_by_one() {
        assert!(written(b"\xff\xe2\x82!", true).starts_with("{\"log\":\"\\ufffd\\ufffd\\ufffd!\\n\","));
    }

    proptest! {
        #[test]
        fn whatever_is_said_can_be_read_back(text in prop::collection::vec(any::<u8>(), 0..200), newline: bool, nanos in 0i64..1_000_000_000) {
            let at = Timestamp::new(1_790_000_000, nanos as i32).expect("a time");
            let mut out = Vec::new();
            append(&mut out, Source::Stderr, &text, newline, "{\"a\":\"b\"}", at);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let entry = parse(&out).expect("our own entry");
            prop_assert_eq!((entry.at, entry.source), (at, Source::Stderr));
            prop_assert_eq!(entry.attrs.get("a").map(String::as_str), Some("b"));
            if let Ok(valid) = std::str::from_utf8(&text) {
                prop_assert_eq!(entry.text, format!("{valid}{}", if newline { "\n" } else { "" }));
            }
        }

        #[test]
        fn no_line_makes_the_reader_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&line);
        }
    }
}
