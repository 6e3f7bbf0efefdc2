//! # Values: durations and sizes, in Go's spelling
//!
//! `delay: 90s` is shown as `1m30s`, `memory: 50M` as `52428800`: Docker reads a value and prints what it has understood.
//!
//! *See:* Go `time.Duration.String`, docker/go-units. *Next room:* [`crate::words`]

use minidock_base::units;

/// Nanoseconds of a Go duration; nothing if it is none.
pub fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(units::parse_duration(text).ok()?.as_nanos()).ok()
}

/// Bytes of `50M`; nothing if it is none.
pub fn bytes(text: &str) -> Option<i64> {
    units::parse_bytes(text).ok()
}

/// `1h2m3.5s`, `500ms`, `0s`.
pub fn duration(nanoseconds: i64) -> String {
    let (sign, total) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
    let with_fraction = |unit: u64| {
        let (whole, rest) = (total / unit, total % unit);
        let digits = format!("{:0width$}", rest, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if rest == 0 { whole.to_string() } else { format!("{whole}.{digits}") }
    };
    match total {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", with_fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", with_fraction(1_000_000)),
        _ => {
            let (seconds, rest) = (total / 1_000_000_000, total % 1_000_000_000);
            let fraction = format!("{rest:09}");
            let fraction = fraction.trim_end_matches('0');
            let dot = if rest == 0 { String::new() } else { format!(".{fraction}") };
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, 0, s) => format!("{sign}{s}{dot}s"),
                (0, m, s) => format!("{sign}{m}m{s}{dot}s"),
                (h, m, s) => format!("{sign}{h}h{m}m{s}{dot}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_spelt_as_go_spells_them() {
        let table = [
            ("90s", "1m30s"),
            ("120s", "2m0s"),
            ("1h", "1h0m0s"),
            ("500ms", "500ms"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
            ("1500us", "1.5ms"),
            ("7ns", "7ns"),
        ];
        for (typed, shown) in table {
            assert_eq!(nanoseconds(typed).map(duration).as_deref(), Some(shown));
        }
        assert_eq!((nanoseconds("5q"), nanoseconds("999999999999h"), bytes("5q")), (None, None, None));
    }

    proptest! {
        #[test]
        fn a_duration_is_read_as_it_is_shown(whole in 0i64..4_000_000, part in 0i64..1000) {
            // parse_duration adds in floating point: to the millisecond it is exact
            let n = whole * 1_000_000_000 + part * 1_000_000;
            let back = nanoseconds(&duration(n)).expect("a duration");
            prop_assert!((back - n).abs() < 1000, "{} {}", back, n);
        }

        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,16}", n in any::<i64>()) {
            let _ = (nanoseconds(&text), bytes(&text), duration(n));
        }
    }
}
