//! # Headers: small texts of the protocol, read with care
//!
//! `Link` says where a list goes on, `Content-Range` and `Range` which bytes come or have come, `Retry-After` how long to
//! wait. Each has its own little grammar and each is a stranger's word.
//!
//! * [`next_page`], [`content_range`], [`upload_range`], [`retry_after`] for the client, [`byte_range`] and
//!   [`upload_span`] for the server, [`decode`] and [`encode`] for what stands in a URL.
//!
//! See: RFC 8288, RFC 9110 §10.2.3, §14 · distribution-spec "Listing Tags", "Pushing a blob in chunks". Next room: [`super::wire`]

use jiff::Timestamp;
use std::time::Duration;

/// `</v2/_catalog?last=x&n=100>; rel="next"`: the target of the link that is called next.
pub fn next_page(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (target, behind) = rest.split_once('<')?.1.split_once('>')?;
        let end = behind.find('<').unwrap_or(behind.len());
        let parameters = &behind[..end];
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.to_string());
        }
        rest = &behind[end..];
    }
}

/// `bytes 10-99/100`: where the bytes of a 206 begin, and how long the whole is if it says.
pub fn content_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (span, whole) = header.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (from, to) = span.split_once('-')?;
    let (from, to): (u64, u64) = (digits(from)?, digits(to)?);
    let whole = if whole.trim() == "*" { None } else { Some(digits(whole)?) };
    (from <= to && whole.is_none_or(|whole| to < whole)).then_some((from, whole))
}

/// `0-99` of an upload: how many bytes the registry has. `0-0` is none at all or one byte, nobody knows: then it is none.
pub fn upload_range(header: &str) -> Option<u64> {
    let text = header.trim();
    let (from, to) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    match (digits(from)?, digits(to)?) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

/// Seconds, or a date: how long to wait from `now`.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    if let Some(seconds) = digits(header) {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(header.trim()).ok()?.timestamp();
    Some(Duration::from_secs(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0)))
}

/// What a `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No range that we serve: all of it.
    Whole,
    /// From one byte to another, both inside.
    Span(u64, u64),
    /// Nothing of it is there (416).
    Beyond,
}

/// The `Range` of a request upon a blob of `size` bytes.
pub fn byte_range(header: &str, size: u64) -> Part {
    let span = header.trim().strip_prefix("bytes=").filter(|span| !span.contains(','));
    let Some((from, to)) = span.and_then(|span| span.split_once('-')) else { return Part::Whole };
    match (digits(from), digits(to)) {
        (Some(from), Some(to)) if from > to => Part::Whole,
        (Some(from), _) if from >= size && (to.is_empty() || digits(to).is_some()) => Part::Beyond,
        (Some(from), Some(to)) => Part::Span(from, to.min(size - 1)),
        (Some(from), None) if to.is_empty() => Part::Span(from, size - 1),
        (None, Some(0)) if from.is_empty() => Part::Beyond,
        (None, Some(last)) if from.is_empty() && size > 0 => Part::Span(size.saturating_sub(last), size - 1),
        _ => Part::Whole,
    }
}

/// `0-99`, the `Content-Range` of a chunk of an upload: first and last byte.
pub fn upload_span(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes=").or(text.strip_prefix("bytes ")).unwrap_or(text);
    let (from, to) = text.split('/').next()?.split_once('-')?;
    let (from, to) = (digits(from)?, digits(to)?);
    (from <= to && to < u64::MAX).then_some((from, to))
}

fn digits(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A text as part of a query.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(byte as char),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Undoes percent-escapes; a broken one stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let two = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (bytes[at], two.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_link_called_next_is_found_among_others() {
        assert_eq!(next_page("</v2/_catalog?last=b&n=2>; rel=\"next\"").as_deref(), Some("/v2/_catalog?last=b&n=2"));
        assert_eq!(next_page("<a>; rel=prev, <b>; title=\"x\"; rel=next").as_deref(), Some("b"));
        assert_eq!(next_page("<a>; rel=prev"), None);
        assert_eq!(next_page("nonsense <"), None);
    }

    #[test]
    fn ranges_are_read_to_the_last_byte() {
        assert_eq!(content_range("bytes 10-99/100"), Some((10, Some(100))));
        assert_eq!(content_range("bytes 10-99/*"), Some((10, None)));
        for bad in ["bytes 10-100/100", "bytes 9-1/10", "10-99/100", "bytes */100", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        assert_eq!((upload_range("0-99"), upload_range("0-0"), upload_range("bytes=0-9")), (Some(100), Some(0), Some(10)));
        for (range, part) in [
            ("bytes=0-0", Part::Span(0, 0)),
            ("bytes=3-", Part::Span(3, 4)),
            ("bytes=-2", Part::Span(3, 4)),
            ("bytes=-9", Part::Span(0, 4)),
            ("bytes=5-", Part::Beyond),
            ("bytes=5-9", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=2-1", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("pages=1-2", Part::Whole),
        ] {
            assert_eq!(byte_range(range, 5), part, "{range}");
        }
        assert_eq!((upload_span("0-99"), upload_span("bytes 5-9/10"), upload_span("9-5")), (Some((0, 99)), Some((5, 9)), None));
    }

    #[test]
    fn waiting_is_said_in_seconds_or_as_a_date() {
        let now: Timestamp = "2015-10-21T07:28:00Z".parse().expect("a time");
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_a_reader_panic(text in "\\PC{0,40}", size in any::<u64>()) {
            let _ = (next_page(&text), content_range(&text), upload_range(&text), upload_span(&text), decode(&text));
            let _ = retry_after(&text, Timestamp::UNIX_EPOCH);
            if let Part::Span(from, to) = byte_range(&text, size) {
                prop_assert!(from <= to && to < size);
            }
        }

        #[test]
        fn a_range_is_always_inside(from in 0u64..20, to in 0u64..20, size in 0u64..20) {
            for text in [format!("bytes={from}-{to}"), format!("bytes={from}-"), format!("bytes=-{to}")] {
                if let Part::Span(from, to) = byte_range(&text, size) {
                    prop_assert!(from <= to && to < size);
                }
            }
        }

        #[test]
        fn what_is_escaped_comes_back(text in "\\PC{0,30}") {
            prop_assert_eq!(decode(&encode(&text)), text);
        }
    }
}
