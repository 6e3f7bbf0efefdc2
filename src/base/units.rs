//! # Units: `512m`, `0.5`, `1m30s`
//!
//! People write sizes in powers of 1024 (`64m` is 67,108,864 bytes: Docker's `RAMInBytes`), but read the sizes of images
//! in powers of 1000 (`7.8MB`: `HumanSize`), and memory again in powers of 1024 (`64MiB`). CPUs are a decimal number,
//! durations Go's. All of these conversions live here, so that every flag and every table means the same.
//!
//! See: docker/go-units · Go `time.ParseDuration`. Next room: [`crate::paths`]

use crate::{Error, Result};
use std::time::Duration;

/// Bytes from `512`, `64k`, `1.5g`, `2GiB`, `10MB`: all powers of 1024.
///
/// # Errors
/// `invalid size: '…'` for anything else, negative sizes and sizes beyond an `i64` included.
pub fn parse_bytes(text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("invalid size: '{text}'")).hint("a number and b, k, m, g, t or p, such as 512m");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let number: f64 = trimmed[..digits].parse().map_err(|_| bad())?;
    let unit = trimmed[digits..].trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    let bytes = number * 1024f64.powi(power);
    if bytes.is_finite() && bytes < i64::MAX as f64 { Ok(bytes as i64) } else { Err(bad()) }
}

/// `7.8MB`: four significant digits, powers of 1000 (sizes of images, layers and traffic).
pub fn human_size(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], 4)
}

/// `7.797MB` cut to three significant digits: what `images` and `history` print.
pub fn human_size_3(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], 3)
}

/// `64MiB`: four significant digits, powers of 1024 (memory).
pub fn human_bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

fn scaled(mut value: f64, base: f64, names: &[&str], digits: usize) -> String {
    value += 0.0; // an empty sum of floats is -0.0, which nobody wants to read
    let mut unit = 0;
    while value >= base && unit + 1 < names.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), names[unit])
}

/// Go's `%.{digits}g` for numbers below 10^digits.
fn significant(value: f64, digits: usize) -> String {
    let whole = if value >= 1.0 { value.log10().floor() as usize + 1 } else { 1 };
    let text = format!("{:.*}", digits.saturating_sub(whole), value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// Nano-CPUs from `0.5` (500,000,000).
///
/// # Errors
/// `invalid value for cpus: …` when it is no number, negative or has more than nine decimals.
pub fn parse_cpus(text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("failed to parse {text} as a rational number")).hint("a number of CPUs, such as 1.5");
    let number: f64 = text.parse().map_err(|_| bad())?;
    let nanos = number * 1e9;
    if !(nanos.is_finite() && (0.0..9e18).contains(&nanos)) {
        return Err(bad());
    }
    Ok(nanos.round() as i64)
}

/// A Go duration: `300ms`, `1.5h`, `1h2m3s`; `0` may stand alone.
///
/// # Errors
/// `time: invalid duration "…"`, as Go says.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let bad = || Error::invalid(format!("time: invalid duration \"{text}\"")).hint("such as 30s, 1m30s or 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(bad());
    }
    let mut seconds = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(bad()),
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// Nanoseconds as Go prints a duration: `1h0m0s`, `1m30s`, `1.5s`, `500ms`, `0s`. [`parse_duration`] reads it back.
pub fn go_duration(nanoseconds: i64) -> String {
    let (sign, total) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
    let fraction = |rest: u64, width: usize| match rest {
        0 => String::new(),
        _ => format!(".{rest:0width$}").trim_end_matches('0').to_string(),
    };
    match total {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}{}µs", total / 1_000, fraction(total % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}{}ms", total / 1_000_000, fraction(total % 1_000_000, 6)),
        _ => {
            let (seconds, rest) = (total / 1_000_000_000, fraction(total % 1_000_000_000, 9));
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, 0, s) => format!("{sign}{s}{rest}s"),
                (0, m, s) => format!("{sign}{m}m{s}{rest}s"),
                (h, m, s) => format!("{sign}{h}h{m}m{s}{rest}s"),
            }
        }
    }
}

/// `About a minute`, `3 hours`: how long ago, in the words of `ps`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let hours = (duration.as_secs_f64() / 3600.0).round() as u64;
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..=59 => format!("{seconds} seconds"),
        60..=119 => "About a minute".into(),
        120..=3599 => format!("{} minutes", seconds / 60),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_powers_of_1024_when_typed_and_1000_when_shown() {
        assert_eq!(parse_bytes("64m").expect("a size"), 67_108_864);
        assert_eq!(parse_bytes("1.5GiB").expect("a size"), 1_610_612_736);
        assert!(parse_bytes("12x").is_err() && parse_bytes("").is_err() && parse_bytes("-1").is_err());
        assert_eq!(human_size(7_797_123.0), "7.797MB");
        assert_eq!(human_size_3(7_797_123.0), "7.8MB");
        assert_eq!((human_size(0.0), human_size(-0.0)), ("0B".to_string(), "0B".to_string()));
        assert_eq!(human_bytes(67_108_864.0), "64MiB");
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(parse_duration("1m30s").expect("a duration"), Duration::from_secs(90));
        assert_eq!(parse_duration("500ms").expect("a duration"), Duration::from_millis(500));
        assert!(parse_duration("5").is_err() && parse_duration("").is_err() && parse_duration("s").is_err());
        assert_eq!(human_duration(Duration::from_secs(61)), "About a minute");
        assert_eq!(human_duration(Duration::from_secs(3 * 3600)), "3 hours");
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (5_000_000_000, "5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (65_000_000_001, "1m5.000000001s"),
            (1_500_000, "1.5ms"),
            (1_005, "1.005µs"),
            (7, "7ns"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(go_duration(nanoseconds), text);
        }
    }

    proptest! {
        #[test]
        fn a_duration_is_read_as_it_is_printed(whole in 0i64..4_000_000, part in 0i64..1000) {
            // parse_duration adds in floating point: to the millisecond it is exact
            let n = whole * 1_000_000_000 + part * 1_000_000;
            let back = parse_duration(&go_duration(n)).expect("a duration").as_nanos() as i64;
            prop_assert!((back - n).abs() < 1000, "{} {}", back, n);
        }

        #[test]
        fn no_number_makes_the_printer_panic(n in any::<i64>()) {
            let _ = go_duration(n);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,24}") {
            let _ = (parse_bytes(&text), parse_duration(&text), parse_cpus(&text));
        }
    }
}
