//! # Printing: how Go writes a value
//!
//! `{{.Mounts}}` prints something, whatever it is: `[a b]` for a list, `map[a:b]` for a map with its keys in order, `{…}` for
//! a struct, `<nil>` for nothing inside something, `<no value>` for nothing at all. Scripts depend on all of them.
//!
//! * [`display`] is `fmt.Print` of one value, [`print_all`] of several (a space between two when neither is a text).
//! * [`quote`] and [`unquote`] are `strconv.Quote` and `Unquote`; [`float`] is `strconv.FormatFloat(…, 'g', -1)`.
//!
//! See: Go `fmt/print.go`, `strconv`. Next room: [`super::printf`]

use super::{tree::Number, value::Value};
use minidock_base::units;

/// What an action writes.
pub fn display(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<no value>".into(),
        Value::Struct(object) if object.pointer => {
            let mut text = String::new();
            write_fields(&mut text, value);
            text
        }
        _ => nested(value),
    }
}

/// `fmt.Print` of several values.
pub fn print_all(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let texts = |v: &Value| matches!(v, Value::Text(_));
        if at > 0 && !texts(value) && !texts(&values[at - 1]) {
            text.push(' ');
        }
        text.push_str(&nested(value));
    }
    text
}

/// `fmt.Println` of several values.
pub fn print_line(values: &[Value]) -> String {
    values.iter().map(nested).collect::<Vec<_>>().join(" ") + "\n"
}

/// A value in the middle of others (`%v`).
pub fn nested(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Missing | Value::Nil | Value::NilPointer(_) => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(text) | Value::Number(text) => out.push_str(text),
        Value::Duration(nanos) => out.push_str(&units::go_duration(*nanos)),
        Value::Bytes(bytes) => {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            out.push_str(&format!("[{}]", numbers.join(" ")));
        }
        Value::Time(text) => out.push_str(&time(text)),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.entries.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write(out, item);
            }
            out.push(']');
        }
        Value::Struct(object) => {
            if object.pointer {
                out.push('&');
            }
            write_fields(out, value);
        }
        Value::Row(row) => {
            out.push_str("&{");
            for (at, name) in row.columns().iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(out, &row.column(name).unwrap_or(Value::Nil));
            }
            out.push('}');
        }
    }
}

fn write_fields(out: &mut String, value: &Value) {
    let Value::Struct(object) = value else { return };
    out.push('{');
    for (at, field) in object.fields.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        write(out, field);
    }
    out.push('}');
}

/// `2026-11-27 10:26:24.5 +0000 UTC`: a `time.Time` as it prints itself.
pub fn time(rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(at) => {
            let text = at.to_string();
            let text = text.trim_end_matches('Z').replacen('T', " ", 1);
            format!("{text} +0000 UTC")
        }
        Err(_) => "0001-01-01 00:00:00 +0000 UTC".into(),
    }
}

/// `strconv.FormatFloat(value, 'g', -1, 64)`: the shortest digits that read back the same; an exponent below 1e-4 and from
/// 1e+06 on.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) { format!("{value}") } else { format!("{mantissa}e{}", two_digits(exponent)) }
}

/// An exponent with its sign and at least two digits.
pub fn two_digits(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// `strconv.Quote`.
pub fn quote(text: &str) -> String {
    quote_with(text, '"')
}

/// The text between two `mark`s, escaped as Go escapes.
pub fn quote_with(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push(mark);
    out
}

/// `strconv.IsPrint`, near enough: no control characters, no space but the plain one, no format or private-use characters.
fn is_printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c as u32, 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe000..=0xf8ff | 0xf0000..))
}

/// `strconv.Unquote`: a text in double quotes, single quotes or backquotes.
pub fn unquote(quoted: &str) -> Option<String> {
    let mark = quoted.chars().next()?;
    let inside = quoted.strip_prefix(mark)?.strip_suffix(mark)?;
    if mark == '`' {
        return Some(inside.replace('\r', ""));
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    let mut count = 0;
    while let Some(c) = chars.next() {
        count += 1;
        match c {
            '\\' => unescape(&mut chars, mark, &mut bytes)?,
            '\n' => return None,
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    if mark == '\'' && count != 1 {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn unescape(chars: &mut std::str::Chars<'_>, mark: char, bytes: &mut Vec<u8>) -> Option<()> {
    let digits = |chars: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32| {
        (0..count).try_fold(first, |n, _| Some(n * radix + chars.next()?.to_digit(radix)?))
    };
    let byte = match chars.next()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        c if c == mark => c as u8,
        'x' => digits(chars, 2, 16, 0)? as u8,
        c @ '0'..='7' => u8::try_from(digits(chars, 2, 8, c as u32 - '0' as u32)?).ok()?,
        c @ ('u' | 'U') => {
            let code = char::from_u32(digits(chars, if c == 'u' { 4 } else { 8 }, 16, 0)?)?;
            bytes.extend(code.encode_utf8(&mut [0; 4]).bytes());
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

/// A number of Go's grammar: `12`, `0x1F`, `1_000`, `1.5e3`, `0b11`.
pub fn parse_number(text: &str) -> Option<Number> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let negative = text.starts_with('-');
    let plain = unsigned.replace('_', "");
    let (radix, digits) = match plain.get(..2) {
        Some("0x" | "0X") => (16, &plain[2..]),
        Some("0b" | "0B") => (2, &plain[2..]),
        Some("0o" | "0O") => (8, &plain[2..]),
        Some(other) if other.starts_with('0') && plain.bytes().all(|c| c.is_ascii_digit()) => (8, &plain[1..]),
        _ => (10, plain.as_str()),
    };
    let whole = if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() };
    if let Some(whole) = whole {
        let int = if negative { 0i64.checked_sub_unsigned(whole) } else { i64::try_from(whole).ok() };
        if int.is_none() && negative {
            return None;
        }
        let float = if negative { -(whole as f64) } else { whole as f64 };
        return Some(Number { int, uint: (!negative).then_some(whole), float: Some(float) });
    }
    if radix != 10 || !plain.bytes().any(|c| c.is_ascii_digit()) || !plain.contains(['.', 'e', 'E']) {
        return None;
    }
    let float: f64 = plain.parse().ok().filter(|f: &f64| f.is_finite())?;
    let float = if negative { -float } else { float };
    let int = (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    Some(Number { int, uint: None, float: Some(float) })
}

/// `strconv.QuoteToASCII`.
pub fn quote_ascii(text: &str) -> String {
    let mut out = String::new();
    for c in quote(text).chars() {
        match c as u32 {
            0..=0x7f => out.push(c),
            code if code < 0x10000 => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}
