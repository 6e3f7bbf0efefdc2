//! # Values: durations and sizes, in Go's spelling
//!
//! `delay: 90s` is shown as `1m30s`, `memory: 50M` as `52428800`: Docker reads a value and prints what it has understood.
//!
//! *See:* [`minidock_base::units`], Go `time.Duration.String`, docker/go-units. *Next room:* [`crate::words`]

use minidock_base::units;

/// Nanoseconds of a Go duration; nothing if it is none.
pub fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(units::parse_duration(text).ok()?.as_nanos()).ok()
}

/// Bytes of `50M`; nothing if it is none.
pub fn bytes(text: &str) -> Option<i64> {
    units::parse_bytes(text).ok()
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
            assert_eq!(nanoseconds(typed).map(units::go_duration).as_deref(), Some(shown));
        }
        assert_eq!((nanoseconds("5q"), nanoseconds("999999999999h"), bytes("5q")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,16}") {
            let _ = (nanoseconds(&text), bytes(&text));
        }
    }
}
