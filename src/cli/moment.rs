//! # Moments: `--since 42m`, `--until 2026-11-27T10:00`
//!
//! Logs and events are asked for by time, and people say it in three ways: how long ago, on which day, or as a number of
//! seconds. The API wants seconds since 1970, with a fraction.
//!
//! ```text
//!   42m, 1h30m             so long before now
//!   2026-11-27T10:00:00Z   that moment      2026-11-27T10:00, 2026-11-27    there, in our time zone
//!   1795773600.5           already seconds
//! ```
//!
//! *See:* moby `api/types/time/timestamp.go`. *Next room:* [`crate::container::logs`]

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use minidock_base::{Error, Result, clock, units};

/// What `text` means, as the API wants it: `seconds.nanoseconds`.
///
/// # Errors
/// A text that is none of the three.
pub fn parse(text: &str, now: Timestamp, here: &TimeZone) -> Result<String> {
    if is_seconds(text) {
        return Ok(text.to_string());
    }
    if let Ok(ago) = units::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).ok().and_then(|ago| now.checked_sub(ago).ok());
        return ago.map(seconds).ok_or_else(|| unknown(text));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(seconds(moment));
    }
    let local = text.parse::<civil::DateTime>().ok().or_else(|| text.parse::<civil::Date>().ok().map(|day| day.at(0, 0, 0, 0)));
    let zoned = local.and_then(|local| here.to_ambiguous_zoned(local).compatible().ok());
    zoned.map(|zoned| seconds(zoned.timestamp())).ok_or_else(|| unknown(text))
}

/// The same against the clock and time zone of this machine.
///
/// # Errors
/// As [`parse`].
pub fn from_now(text: &str) -> Result<String> {
    parse(text, clock::now(), &TimeZone::system())
}

fn unknown(text: &str) -> Error {
    Error::invalid(format!("failed to parse value as time or duration: {text:?}"))
        .hint("42m for 42 minutes ago, 2026-11-27T10:00:00Z, or seconds since 1970")
}

fn is_seconds(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn seconds(moment: Timestamp) -> String {
    let nanos = moment.as_nanosecond();
    format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String> {
        let now = Timestamp::from_second(1_000_000_000).expect("a moment");
        parse(text, now, &TimeZone::fixed(jiff::tz::offset(1)))
    }

    #[test]
    fn a_moment_is_a_length_a_date_or_seconds() {
        assert_eq!(read("42m").expect("a length"), "999997480.000000000");
        assert_eq!(read("1970-01-02T00:00:00.5Z").expect("a date"), "86400.500000000");
        assert_eq!(read("1970-01-02T00:00").expect("a local date"), "82800.000000000");
        assert_eq!(read("1970-01-02").expect("a day"), "82800.000000000");
        assert_eq!((read("12").expect("seconds").as_str(), read("12.5").expect("seconds").as_str()), ("12", "12.5"));
        assert!(read("").is_err() && read("tomorrow").is_err() && read("1.").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC{0,16}|[0-9TZ:.hms-]{0,24})") {
            let _ = read(&text);
        }
    }
}
