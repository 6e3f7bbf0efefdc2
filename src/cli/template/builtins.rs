//! # Builtins: what each function does
//!
//! One small function per word of a template, given arguments that already fit its signature. Whatever goes wrong is a
//! text, which [`super::functions`] wraps into `error calling NAME: …`.
//!
//! Laws: positions in a text are bytes, as in Go; a cut inside a character leaves a replacement character rather than a panic.
//!
//! See: Go `text/template/funcs.go` · docker/cli `templates/templates.go`. Next room: [`super::compare`]

use super::{
    compare,
    eval::list_of_any,
    functions::MAX_TEXT,
    json, print, printf,
    value::{List, Value},
};
use std::rc::Rc;

type Outcome = Result<Value, String>;

/// Calls a function whose arguments have been checked against its signature.
///
/// # Errors
/// What Go's function says.
pub(super) fn apply(name: &str, arguments: &[Value]) -> Outcome {
    let text = |at: usize| match arguments.get(at) {
        Some(Value::Text(text)) => text.as_ref(),
        _ => "",
    };
    let int = |at: usize| match arguments.get(at) {
        Some(Value::Int(int)) => *int,
        _ => 0,
    };
    match name {
        "not" => Ok(Value::Bool(!arguments[0].is_true())),
        "eq" => compare::equal(&arguments[0], &arguments[1..]).map(Value::Bool),
        "ne" => compare::equal(&arguments[0], &arguments[1..]).map(|same| Value::Bool(!same)),
        "lt" => compare::less(&arguments[0], &arguments[1]).map(Value::Bool),
        "le" => compare::less_or_equal(&arguments[0], &arguments[1]).map(Value::Bool),
        "gt" => compare::less_or_equal(&arguments[0], &arguments[1]).map(|le| Value::Bool(!le)),
        "ge" => compare::less(&arguments[0], &arguments[1]).map(|lt| Value::Bool(!lt)),
        "len" => length(&arguments[0]),
        "index" => index(&arguments[0], &arguments[1..]),
        "slice" => slice(&arguments[0], &arguments[1..]),
        "print" => bounded(print::print_all(arguments)),
        "println" => bounded(print::print_line(arguments)),
        "printf" => bounded(printf::format(text(0), &arguments[1..])),
        "html" => bounded(escape_html(&joined(arguments))),
        "js" => bounded(escape_js(&joined(arguments))),
        "urlquery" => bounded(escape_query(&joined(arguments))),
        "call" => Err(match &arguments[0] {
            Value::Missing | Value::Nil => "call of nil".into(),
            value => format!("non-function {} of type {}", print::nested(value), value.type_name()),
        }),
        "json" => bounded(json::encode(&arguments[0])),
        "split" => Ok(split(text(0), text(1))),
        "join" => join(&arguments[0], text(1)),
        "title" => Ok(Value::text(title(text(0)))),
        "lower" => Ok(Value::text(text(0).to_lowercase())),
        "upper" => Ok(Value::text(text(0).to_uppercase())),
        "pad" => pad(text(0), int(1), int(2)),
        "truncate" => truncate(text(0), int(1)),
        "getDetailsOrder" => Ok(details_order(&arguments[0])),
        _ => Err("is not a function".into()),
    }
}

fn bounded(text: String) -> Outcome {
    if text.len() > MAX_TEXT { Err("the text is too long".into()) } else { Ok(Value::text(text)) }
}

/// `html`, `js` and `urlquery` take one text, or print all they get.
fn joined(arguments: &[Value]) -> String {
    match arguments {
        [Value::Text(text)] => text.to_string(),
        _ => print::print_all(arguments),
    }
}

fn length(value: &Value) -> Outcome {
    let length = match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Map(map) => map.entries.len(),
        Value::Missing | Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        Value::NilPointer(_) => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name().trim_start_matches('*'))),
    };
    Ok(Value::Int(length as i64))
}

/// A position in something `length` long; `limit` itself is allowed.
fn position(index: &Value, length: usize) -> Result<usize, String> {
    let at = match index {
        Value::Int(at) => *at,
        Value::Missing | Value::Nil => return Err("cannot index slice/array with nil".into()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    match usize::try_from(at) {
        Ok(position) if position <= length => Ok(position),
        _ => Err(format!("index out of range: {at}")),
    }
}

fn index(item: &Value, indexes: &[Value]) -> Outcome {
    let mut item = item.clone();
    if item.is_nothing() {
        return Err("index of untyped nil".into());
    }
    for wanted in indexes {
        item = match &item {
            Value::List(list) => {
                let at = position(wanted, list.items.len())?;
                list.items.get(at).cloned().ok_or("reflect: slice index out of range")?
            }
            Value::Bytes(bytes) => {
                let at = position(wanted, bytes.len())?;
                Value::Int(i64::from(*bytes.get(at).ok_or("reflect: slice index out of range")?))
            }
            Value::Text(text) | Value::Number(text) => {
                let at = position(wanted, text.len())?;
                let byte = text.as_bytes().get(at).ok_or("reflect: string index out of range")?;
                Value::Int(i64::from(*byte))
            }
            Value::Map(map) => match wanted {
                Value::Text(key) => map.entries.get(key.as_ref()).cloned().unwrap_or_else(|| map.of.zero()),
                Value::Missing | Value::Nil => return Err("value is nil; should be of type string".into()),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            Value::NilPointer(_) => return Err("index of nil pointer".into()),
            Value::Missing | Value::Nil => return Err("index of untyped nil".into()),
            other => return Err(format!("can't index item of type {}", other.type_name().trim_start_matches('*'))),
        };
    }
    Ok(item)
}

fn slice(item: &Value, indexes: &[Value]) -> Outcome {
    let length = match item {
        Value::Missing | Value::Nil => return Err("slice of untyped nil".into()),
        Value::Text(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        _ if indexes.len() > 3 => return Err(format!("too many slice indexes: {}", indexes.len())),
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Bytes(bytes) => bytes.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let from = indexes.first().map_or(Ok(0), |at| position(at, length))?;
    let to = indexes.get(1).map_or(Ok(length), |at| position(at, length))?;
    let cap = indexes.get(2).map_or(Ok(length), |at| position(at, length))?;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > cap {
        return Err(format!("invalid slice index: {to} > {cap}"));
    }
    Ok(match item {
        Value::List(list) => Value::List(Rc::new(List { of: list.of, items: list.items[from..to].to_vec(), nil: false })),
        Value::Bytes(bytes) => Value::Bytes(bytes[from..to].into()),
        Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        _ => list_of_any(Vec::new()),
    })
}

fn split(text: &str, by: &str) -> Value {
    if by.is_empty() {
        return Value::texts(text.chars().map(String::from));
    }
    Value::texts(text.split(by))
}

fn join(list: &Value, by: &str) -> Outcome {
    let Value::List(list) = list else { return Ok(Value::text("")) };
    let mut text = String::new();
    for (at, item) in list.items.iter().enumerate() {
        if at > 0 {
            text.push_str(by);
        }
        if let Value::Text(item) = item {
            text.push_str(item);
        }
        if text.len() > MAX_TEXT {
            return Err("the text is too long".into());
        }
    }
    Ok(Value::text(text))
}

/// `strings.Title`: the first letter of each word.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let begins = !(before.is_alphanumeric() || before == '_' || before == '\'');
        if begins {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        before = c;
    }
    out
}

fn pad(text: &str, before: i64, after: i64) -> Outcome {
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    let width = |n: i64| usize::try_from(n).map_err(|_| "strings: negative Repeat count".to_string());
    let (before, after) = (width(before)?, width(after)?);
    if before.saturating_add(after) > MAX_TEXT {
        return Err("the text is too long".into());
    }
    Ok(Value::text(format!("{}{text}{}", " ".repeat(before), " ".repeat(after))))
}

fn truncate(text: &str, length: i64) -> Outcome {
    match usize::try_from(length) {
        Ok(length) if text.len() < length => Ok(Value::text(text)),
        Ok(length) => Ok(Value::text(String::from_utf8_lossy(&text.as_bytes()[..length]))),
        Err(_) => Err(format!("runtime error: slice bounds out of range [:{length}]")),
    }
}

/// The keys of a component's details, in order: what the default template of `version` asks for.
fn details_order(component: &Value) -> Value {
    let details = match component {
        Value::Struct(object) => object.field("Details"),
        _ => None,
    };
    match details {
        Some(Value::Map(map)) => Value::texts(map.entries.keys()),
        _ => Value::texts([""; 0]),
    }
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if (c as u32) < 0x20 || c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
