//! # Values: what stands behind a flag, read once
//!
//! A wrong value must be refused before anybody is asked anything, in the words that Docker's users search the web for:
//! `invalid argument "x" for "--replicas" flag: strconv.ParseUint: parsing "x": invalid syntax`. So every flag of the swarm's
//! commands carries its reader, and what comes out of the command line is a value already.
//!
//! ```text
//!   number    "2", "0x10"           u64          duration  "1m30s", "-1s"        nanoseconds
//!   cpus      "0.5"                 billionths   bytes     "512m"                bytes
//!   ratio     "0.25"                f32          words     "sh -c 'a b'"         ["sh", "-c", "a b"]
//! ```
//!
//! * [`one`], [`many`]: a flag with a reader; [`of`], [`all`]: what was given.
//!
//! *See:* pflag; [`minidock_compose::words`]; docker/cli `opts/opts.go`. *Next room:* [`super::ports`]

use clap::{Arg, ArgAction, ArgMatches, builder::ValueParser};
use minidock_base::units;
use minidock_compose::words;

/// Reads one value of a flag, or says why not.
pub type Reader<T> = fn(&str) -> Result<T, String>;

/// A flag that takes one value; the last one counts.
pub fn one<T: Clone + Send + Sync + 'static>(
    long: &'static str,
    kind: &'static str,
    help: &'static str,
    reader: Reader<T>,
) -> Arg {
    Arg::new(long).long(long).help(help).value_name(kind).action(ArgAction::Set).value_parser(ValueParser::new(reader))
}

/// A flag that may be repeated.
pub fn many<T: Clone + Send + Sync + 'static>(
    long: &'static str,
    kind: &'static str,
    help: &'static str,
    reader: Reader<T>,
) -> Arg {
    one(long, kind, help, reader).action(ArgAction::Append)
}

/// What a flag of [`one`] was given; `None` too where a command does not have it.
pub fn of<T: Clone + Send + Sync + 'static>(m: &ArgMatches, id: &str) -> Option<T> {
    m.try_get_one::<T>(id).ok().flatten().cloned()
}

/// What a flag of [`many`] was given, in the order typed.
pub fn all<T: Clone + Send + Sync + 'static>(m: &ArgMatches, id: &str) -> Vec<T> {
    m.try_get_many::<T>(id).ok().flatten().map(|values| values.cloned().collect()).unwrap_or_default()
}

/// Go's `strconv.ParseUint(text, 0, 64)`.
///
/// # Errors
/// Its words.
pub fn number(text: &str) -> Result<u64, String> {
    let said = |why: &str| format!("strconv.ParseUint: parsing {text:?}: {why}");
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(said("invalid syntax"));
    }
    u64::from_str_radix(digits, radix).map_err(|_| said("value out of range"))
}

/// The same for 32 bits.
///
/// # Errors
/// As [`number`].
pub fn small_number(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

/// A length of time in nanoseconds; it may be negative, which the daemon refuses by name.
///
/// # Errors
/// `time: invalid duration "…"`, `time: missing unit in duration "…"`, `time: unknown unit …`.
pub fn duration(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let wrong = || match bad_unit(length) {
        Some("") => format!("time: missing unit in duration {text:?}"),
        Some(unit) => format!("time: unknown unit {unit:?} in duration {text:?}"),
        None => format!("time: invalid duration {text:?}"),
    };
    let read = units::parse_duration(length).map_err(|_| wrong())?;
    i64::try_from(read.as_nanos()).map(|nanos| sign * nanos).map_err(|_| wrong())
}

/// The first unit of a length of time that is none; nothing if something else is wrong with it.
fn bad_unit(length: &str) -> Option<&str> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = length;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        rest = rest.trim_start_matches(is_number);
        let (unit, after) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
        if !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return Some(unit);
        }
        rest = after;
    }
    None
}

/// A length of time of which no negative makes sense.
///
/// # Errors
/// As [`duration`], and `duration cannot be negative`.
pub fn positive_duration(text: &str) -> Result<i64, String> {
    match duration(text)? {
        nanos if nanos < 0 => Err("duration cannot be negative".into()),
        nanos => Ok(nanos),
    }
}

/// Billionths of a CPU.
///
/// # Errors
/// `failed to parse … as a rational number`, `value is too precise`.
pub fn cpus(text: &str) -> Result<i64, String> {
    units::parse_cpus(text).map_err(|e| e.message())
}

/// Bytes.
///
/// # Errors
/// `invalid size: '…'`.
pub fn bytes(text: &str) -> Result<i64, String> {
    units::parse_bytes(text).map_err(|e| e.message())
}

/// A part of one.
///
/// # Errors
/// Go's `strconv.ParseFloat: …`.
pub fn ratio(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
}

/// A command line, cut into words as a shell cuts it.
///
/// # Errors
/// A quote without its end.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    words::split(text).map_err(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_go_reads_them() {
        assert_eq!((number("12"), number("0x10"), number("010")), (Ok(12), Ok(16), Ok(8)));
        assert_eq!(number("-1").unwrap_err(), "strconv.ParseUint: parsing \"-1\": invalid syntax");
        assert!(number("99999999999999999999").unwrap_err().ends_with("value out of range"));
        assert!(small_number("4294967296").unwrap_err().ends_with("value out of range"));
        assert_eq!((duration("1m30s"), duration("-1s"), duration("0")), (Ok(90_000_000_000), Ok(-1_000_000_000), Ok(0)));
        assert_eq!(duration("x").unwrap_err(), "time: invalid duration \"x\"");
        assert_eq!(duration("1m5").unwrap_err(), "time: missing unit in duration \"1m5\"");
        assert_eq!(duration("-3 s").unwrap_err(), "time: unknown unit \" s\" in duration \"-3 s\"");
        assert_eq!(positive_duration("-1s").unwrap_err(), "duration cannot be negative");
        assert_eq!((cpus("0.5"), bytes("64m"), ratio("0.25")), (Ok(500_000_000), Ok(64 << 20), Ok(0.25)));
        assert_eq!(bytes("x").unwrap_err(), "invalid size: 'x'");
        assert_eq!(ratio("x").unwrap_err(), "strconv.ParseFloat: parsing \"x\": invalid syntax");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "(\\PC{0,16}|[0-9a-z.'\"\\\\ -]{0,16})") {
            let _ = (number(&text), small_number(&text), duration(&text), cpus(&text), bytes(&text), ratio(&text));
        }
    }
}
