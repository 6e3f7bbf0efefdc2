//! # Scalars: when is `010` a number, and `yes` a text?
//!
//! YAML leaves it to its reader what a word without quotes means, and readers differ. Docker's reads a mixture of YAML 1.1 and 1.2, and
//! Compose files are written against it:
//!
//! ```text
//!   5000:80      text     (YAML 1.1 would read sixty-fold: 300080)
//!   yes, on, y   text     (only true and false are truths)
//!   0440, 0o440  288      (octal)          0x10, 0b11, 1_000    16, 3, 1000
//!   1.50         1.5      and as a label or a variable "1.5": the number is what counts, not its spelling
//!   ~, nothing   null
//! ```
//!
//! * [`resolve`] reads a word; [`shown`] writes a number as Go writes it, for numbers may stand where texts are wanted.
//! * [`is_ambiguous`]: a text that without quotes would be read as something else, by any reader.
//!
//! *See:* YAML 1.2 §10.3 · gopkg.in/yaml.v3 resolve.go. *Next room:* [`crate::emit`]

use crate::node::What;

/// What a word without quotes means.
pub fn resolve(word: &str) -> What {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return What::Null,
        "true" | "True" | "TRUE" => return What::Bool(true),
        "false" | "False" | "FALSE" => return What::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return What::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return What::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return What::Float(f64::NAN),
        _ => {}
    }
    // a number begins like one: this spares the rest of the words the rest of the work
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return What::Text(word.to_string());
    }
    let plain = word.replace('_', "");
    match int(&plain) {
        Some(number) => What::Int(number),
        None => float(&plain).map_or_else(|| What::Text(word.to_string()), What::Float),
    }
}

fn int(word: &str) -> Option<i64> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()?.checked_mul(sign)
}

fn float(word: &str) -> Option<f64> {
    let shape = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let fits = word.chars().all(shape) && word.contains(|c: char| c.is_ascii_digit()) && !word.starts_with(['e', 'E']);
    if fits { word.parse().ok() } else { None }
}

/// A number as Go's `%v` shows it; any other scalar as it is written.
pub fn shown(what: &What) -> Option<String> {
    match what {
        What::Text(text) => Some(text.clone()),
        What::Int(number) => Some(number.to_string()),
        What::Float(number) => Some(go_float(*number)),
        What::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The shortest form; with an exponent outside of 1e-4 … 1e21.
fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let size = number.abs();
    if number == 0.0 || (1e-4..1e21).contains(&size) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Whether a text must stand in quotes to stay a text, whoever reads it.
pub fn is_ambiguous(text: &str) -> bool {
    const OLD_TRUTHS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let lower = text.to_ascii_lowercase();
    let cased = text == lower || text == text.to_ascii_uppercase() || is_title(text);
    !matches!(resolve(text), What::Text(_))
        || (cased && OLD_TRUTHS.contains(&lower.as_str()))
        || is_sixty_fold(text)
        || is_date(text)
}

fn is_title(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_uppercase()) && letters.all(|c| c.is_ascii_lowercase())
}

/// `1:20`, which YAML 1.1 reads as 80.
fn is_sixty_fold(text: &str) -> bool {
    let parts: Vec<&str> = text.strip_prefix(['+', '-']).unwrap_or(text).split(':').collect();
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '_' || c == '.');
    parts.len() > 1
        && digits(parts[0])
        && parts[0].starts_with(|c: char| c.is_ascii_digit())
        && parts[1..]
            .iter()
            .all(|part| digits(part) && part.split('.').next().is_some_and(|n| n.len() <= 2 && n < "60" || n.len() == 1))
}

/// `2001-01-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && text[5..]
            .split(['-', 'T', 't', ' ', ':', '.', '+', 'Z'])
            .take(2)
            .all(|part| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_docker_takes_them_for() {
        let text = |word: &str| assert_eq!(resolve(word), What::Text(word.into()));
        ["5000:80", "yes", "on", "y", "1:20", "2001-01-01", "0x", "089x", "1.2.3", "-", ".", "e5", "+", "10s"]
            .into_iter()
            .for_each(text);
        let ints = [("010", 8), ("0o17", 15), ("0x10", 16), ("0b11", 3), ("1_000", 1000), ("-5", -5), ("+5", 5), ("0", 0)];
        for (word, number) in ints {
            assert_eq!(resolve(word), What::Int(number), "{word}");
        }
        for (word, number) in [("1.50", 1.5), ("1e3", 1000.0), (".5", 0.5), ("12345678901234567890", 12345678901234567890.0)] {
            assert_eq!(resolve(word), What::Float(number), "{word}");
        }
        assert_eq!((resolve("~"), resolve(""), resolve("True")), (What::Null, What::Null, What::Bool(true)));
    }

    #[test]
    fn numbers_are_shown_as_go_shows_them() {
        let show = |number: f64| shown(&What::Float(number)).expect("a scalar");
        assert_eq!([show(1.5), show(1000.0), show(1e21), show(0.5), show(1e-7)], ["1.5", "1000", "1e+21", "0.5", "1e-07"]);
    }

    #[test]
    fn what_a_reader_could_mistake_is_ambiguous() {
        ["", "y", "On", "null", "0x1", "1_0", "1:20", "2001-01-01", "1.5"]
            .into_iter()
            .for_each(|text| assert!(is_ambiguous(text), "{text}"));
        ["a", "yEs", "5000:80", ".", "a:b", "1.2.3", "10s"].into_iter().for_each(|text| assert!(!is_ambiguous(text), "{text}"));
    }
}
