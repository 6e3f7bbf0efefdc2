//! # printf: Go's verbs
//!
//! A verb is `%`, flags (`+ - # 0` and a space), a width, a precision, perhaps an argument's number in brackets, and a letter
//! that must suit the value. What does not suit is printed, not refused: `%!d(string=abc)`, `%!v(MISSING)`,
//! `%!(EXTRA int=1)`.
//!
//! ```text
//!   %v  as it is        %+v with field names   %#v as Go source    %T its type     %t a truth
//!   %d %b %o %O %x %X %c %q %U   an integer    %e %E %f %F %g %G   a float         %s %q %x %X  a text
//! ```
//!
//! A list or a map is formatted element by element with the same verb.
//!
//! See: Go `fmt`, "Printing". Next room: [`super::json`]

use super::{
    functions::MAX_TEXT,
    print,
    value::{Struct, Value},
};
use std::{iter::Peekable, str::Chars};

/// The largest width or precision, as in Go.
const MAX_WIDTH: i64 = 1_000_000;

#[derive(Default, Clone)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    zero: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`.
pub fn format(format: &str, arguments: &[Value]) -> String {
    let mut state = State { out: String::new(), arguments, next: 0, reordered: false, bad_index: false };
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if state.out.len() > MAX_TEXT {
            return state.out;
        }
        if c == '%' { state.verb(&mut chars) } else { state.out.push(c) }
    }
    if !state.reordered && state.next < arguments.len() {
        let extra: Vec<String> = arguments[state.next..].iter().map(described).collect();
        state.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    state.out
}

struct State<'a> {
    out: String,
    arguments: &'a [Value],
    next: usize,
    reordered: bool,
    bad_index: bool,
}

impl State<'_> {
    fn verb(&mut self, chars: &mut Peekable<Chars<'_>>) {
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '+' | '-' | '#' | '0' | ' ')) {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        self.bad_index = false;
        self.argument_number(chars);
        match self.number(chars) {
            Ok(width) => {
                spec.minus |= width.is_some_and(|w| w < 0);
                spec.width = width.map(|w| w.unsigned_abs() as usize);
            }
            Err(()) => self.out.push_str("%!(BADWIDTH)"),
        }
        if chars.next_if_eq(&'.').is_some() {
            self.argument_number(chars);
            match self.number(chars) {
                Ok(precision) => spec.precision = precision.map_or(Some(0), |p| usize::try_from(p).ok()),
                Err(()) => self.out.push_str("%!(BADPREC)"),
            }
        }
        self.argument_number(chars);
        spec.zero &= !spec.minus;
        let Some(verb) = chars.next() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        if verb == '%' {
            self.out.push('%');
        } else if self.bad_index {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.arguments.get(self.next) {
            self.next += 1;
            let text = write(value, verb, &spec, true);
            self.out.push_str(&text);
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }

    /// A width or a precision: digits, or `*` for the next argument.
    fn number(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<Option<i64>, ()> {
        if chars.next_if_eq(&'*').is_some() {
            let given = self.arguments.get(self.next);
            self.next += usize::from(given.is_some());
            return match given {
                Some(Value::Int(n)) if n.abs() <= MAX_WIDTH => Ok(Some(*n)),
                _ => Err(()),
            };
        }
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        match digits.parse::<i64>() {
            Ok(n) if n <= MAX_WIDTH => Ok(Some(n)),
            Ok(_) => Err(()),
            Err(_) if digits.is_empty() => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// `[2]`: the next verb takes the second argument.
    fn argument_number(&mut self, chars: &mut Peekable<Chars<'_>>) {
        if chars.next_if_eq(&'[').is_none() {
            return;
        }
        self.reordered = true;
        let mut inside = String::new();
        for c in chars.by_ref() {
            if c == ']' {
                break;
            }
            inside.push(c);
        }
        match inside.parse::<usize>() {
            Ok(number) if (1..=self.arguments.len()).contains(&number) => self.next = number - 1,
            _ => self.bad_index = true,
        }
    }
}

/// `int=5`: a value that no verb wanted.
fn described(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<nil>".into(),
        _ => format!("{}={}", value.type_name(), print::nested(value)),
    }
}

fn bad(verb: char, value: &Value) -> String {
    if let Value::Duration(nanos) = value {
        return format!("%!{verb}(time.Duration={nanos})");
    }
    format!("%!{verb}({})", described(value))
}

fn write(value: &Value, verb: char, spec: &Spec, top: bool) -> String {
    match (verb, value) {
        ('T', _) => return pad(value.type_name(), spec),
        (_, Value::Missing | Value::Nil) if verb == 'v' => return pad("<nil>".into(), spec),
        (_, Value::Missing | Value::Nil) => return bad(verb, value),
        _ => {}
    }
    match value {
        Value::Bool(truth) if matches!(verb, 't' | 'v') => pad(truth.to_string(), spec),
        Value::Int(int) => integer(*int, verb, spec).unwrap_or_else(|| bad(verb, value)),
        // a Stringer, asked only by the verbs of texts
        Value::Duration(_) if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') && !spec.sharp => {
            self::text(&print::nested(value), verb, spec).unwrap_or_else(|| bad(verb, value))
        }
        Value::Duration(nanos) => integer(*nanos, verb, spec).unwrap_or_else(|| bad(verb, value)),
        Value::Bytes(bytes) => self::bytes(bytes, verb, spec),
        Value::Float(float) => floating(*float, verb, spec).unwrap_or_else(|| bad(verb, value)),
        Value::Text(text) | Value::Number(text) => self::text(text, verb, spec).unwrap_or_else(|| bad(verb, value)),
        Value::Time(moment) => self::text(&print::time(moment), verb, spec).unwrap_or_else(|| bad(verb, value)),
        Value::NilPointer(_) if verb == 'v' => pad("<nil>".into(), spec),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(|item| write(item, verb, spec, false)).collect();
            match (verb, spec.sharp) {
                ('v', true) => format!("{}{{{}}}", value.type_name(), items.join(", ")),
                _ => format!("[{}]", items.join(" ")),
            }
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .entries
                .iter()
                .map(|(key, item)| {
                    format!("{}:{}", write(&Value::text(key), verb, spec, false), write(item, verb, spec, false))
                })
                .collect();
            match (verb, spec.sharp) {
                ('v', true) => format!("{}{{{}}}", value.type_name(), entries.join(", ")),
                _ => format!("map[{}]", entries.join(" ")),
            }
        }
        Value::Struct(object) => structure(object, verb, spec, top),
        Value::Row(_) if verb == 'v' => print::nested(value),
        _ => bad(verb, value),
    }
}

fn structure(object: &Struct, verb: char, spec: &Spec, _top: bool) -> String {
    let named = verb == 'v' && (spec.plus || spec.sharp);
    let fields: Vec<String> = object
        .shape
        .fields
        .iter()
        .zip(&object.fields)
        .map(|(field, value)| {
            let text = write(value, verb, spec, false);
            if named { format!("{}:{text}", field.name) } else { text }
        })
        .collect();
    let and = if object.pointer { "&" } else { "" };
    match (verb, spec.sharp) {
        ('v', true) => format!("{and}{}{{{}}}", object.shape.name, fields.join(", ")),
        _ => format!("{and}{{{}}}", fields.join(" ")),
    }
}

/// Spaces (or zeros before a number) up to the width, counted in characters.
fn pad(text: String, spec: &Spec) -> String {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    match (missing, spec.minus, spec.zero) {
        (0, _, _) => text,
        (n, true, _) => text + &" ".repeat(n),
        (n, false, true) => {
            let sign = text.starts_with(['+', '-', ' ']);
            let (sign, digits) = text.split_at(usize::from(sign));
            format!("{sign}{}{digits}", "0".repeat(n))
        }
        (n, false, false) => " ".repeat(n) + &text,
    }
}

fn integer(value: i64, verb: char, spec: &Spec) -> Option<String> {
    let size = value.unsigned_abs();
    let (prefix, digits) = match verb {
        'd' | 'v' => ("", size.to_string()),
        'b' => (if spec.sharp { "0b" } else { "" }, format!("{size:b}")),
        'o' => (if spec.sharp { "0" } else { "" }, format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => (if spec.sharp { "0x" } else { "" }, format!("{size:x}")),
        'X' => (if spec.sharp { "0X" } else { "" }, format!("{size:X}")),
        'c' => return Some(pad(rune(value).to_string(), spec)),
        'q' => return Some(pad(print::quote_with(&rune(value).to_string(), '\''), spec)),
        'U' => {
            let name = format!("U+{size:04X}");
            return Some(pad(if spec.sharp { format!("{name} '{}'", rune(value)) } else { name }, spec));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => return None,
        _ => return None,
    };
    let digits = match spec.precision {
        Some(least) => "0".repeat(least.saturating_sub(digits.len())) + &digits,
        None => digits,
    };
    let sign = match (value < 0, spec.plus && verb != 'v', spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    let plain = Spec { zero: spec.zero && spec.precision.is_none(), ..spec.clone() };
    Some(pad(format!("{sign}{prefix}{digits}"), &plain))
}

fn rune(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn floating(value: f64, verb: char, spec: &Spec) -> Option<String> {
    let text = match (verb, spec.precision) {
        _ if !value.is_finite() => print::float(value),
        ('v' | 'g', None) => print::float(value),
        ('G', None) => print::float(value).to_uppercase(),
        ('v' | 'g', Some(digits)) => general(value, digits),
        ('G', Some(digits)) => general(value, digits).to_uppercase(),
        ('f' | 'F', digits) => format!("{value:.*}", digits.unwrap_or(6)),
        ('e', digits) => scientific(value, digits.unwrap_or(6)),
        ('E', digits) => scientific(value, digits.unwrap_or(6)).to_uppercase(),
        _ => return None,
    };
    let text = match (text.starts_with(['-', '+']), spec.plus, spec.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    Some(pad(text, spec))
}

fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}e{}", print::two_digits(exponent.parse().unwrap_or(0)))
}

/// `%.Ng`: N significant digits, trailing zeros dropped.
fn general(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim =
        |t: &str| if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_string() } else { t.to_string() };
    if exponent < -4 || exponent >= digits as i32 {
        return format!("{}e{}", trim(mantissa), print::two_digits(exponent));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trim(&format!("{value:.decimals$}"))
}

/// A `[]byte`: a text for the verbs of texts, a list of numbers for all others.
fn bytes(bytes: &[u8], verb: char, spec: &Spec) -> String {
    let number = |byte: &u8| match (verb, spec.sharp) {
        ('v', true) => format!("{byte:#x}"),
        _ => integer(i64::from(*byte), verb, spec).unwrap_or_else(|| format!("%!{verb}(uint8={byte})")),
    };
    let all = |between: &str| bytes.iter().map(number).collect::<Vec<_>>().join(between);
    match (verb, spec.sharp) {
        ('x' | 'X', _) => pad(hex(bytes, verb, spec), spec),
        ('s' | 'q', _) => text(&String::from_utf8_lossy(bytes), verb, spec).unwrap_or_default(),
        ('v', true) => format!("[]byte{{{}}}", all(", ")),
        _ => format!("[{}]", all(" ")),
    }
}

/// Two digits for each byte; with a space between them, and `0x` in front, if the flags want it.
fn hex(value: &[u8], verb: char, spec: &Spec) -> String {
    let bytes = &value[..spec.precision.unwrap_or(value.len()).min(value.len())];
    let upper = verb == 'X';
    let prefix = match (spec.sharp, upper) {
        (true, true) => "0X",
        (true, false) => "0x",
        _ => "",
    };
    let digits: Vec<String> = bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect();
    match (spec.space, digits.is_empty()) {
        (_, true) => String::new(),
        (true, _) => digits.iter().map(|d| format!("{prefix}{d}")).collect::<Vec<_>>().join(" "),
        (false, _) => format!("{prefix}{}", digits.concat()),
    }
}

fn text(value: &str, verb: char, spec: &Spec) -> Option<String> {
    let cut: String = match spec.precision {
        Some(count) if verb != 'x' && verb != 'X' => value.chars().take(count).collect(),
        _ => value.to_string(),
    };
    let shown = match verb {
        'v' if spec.sharp => print::quote(&cut),
        's' | 'v' => cut,
        'q' if spec.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => format!("`{cut}`"),
        'q' if spec.plus => print::quote_ascii(&cut),
        'q' => print::quote(&cut),
        'x' | 'X' => hex(value.as_bytes(), verb, spec),
        _ => return None,
    };
    Some(pad(shown, &Spec { zero: spec.zero && verb == 's', ..spec.clone() }))
}
