//! # JSON: `{{json .}}`
//!
//! What Go's encoder writes: no spaces, maps with their keys in order, structs in the order of their fields and without the
//! empty ones that are marked so, `null` for a nil list. A row of a table is an object of its columns. Docker turns the
//! escaping of `<`, `>` and `&` off, but not inside a row, which encodes itself: `"\u003cnone\u003e"`.
//!
//! See: Go `encoding/json`. Next room: [`super::shapes`]

use super::{
    print,
    shapes::Field,
    value::{Struct, Value},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// One value as JSON.
pub fn encode(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, false);
    out
}

fn write(out: &mut String, value: &Value, escape: bool) {
    match value {
        Value::Missing | Value::Nil | Value::NilPointer(_) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Duration(nanos) => out.push_str(&nanos.to_string()),
        Value::Bytes(bytes) => write_text(out, &STANDARD.encode(bytes), escape),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Number(text) => out.push_str(text),
        Value::Text(text) | Value::Time(text) => write_text(out, text, escape),
        Value::List(list) if list.nil => out.push_str("null"),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, item, escape);
            }
            out.push(']');
        }
        Value::Map(map) if map.nil => out.push_str("null"),
        Value::Map(map) => {
            let fields = map.entries.iter().map(|(key, item)| (key.as_str(), item.clone()));
            write_object(out, fields, escape);
        }
        Value::Struct(object) => {
            let mut fields = Vec::new();
            collect(object, &mut fields);
            write_object(out, fields.into_iter(), escape);
        }
        Value::Row(row) => {
            let fields = row.columns().iter().filter_map(|name| Some((*name, row.column(name)?)));
            write_object(out, fields, true);
        }
    }
}

fn write_object<'a>(out: &mut String, fields: impl Iterator<Item = (&'a str, Value)>, escape: bool) {
    out.push('{');
    for (at, (key, value)) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(out, key, escape);
        out.push(':');
        write(out, &value, escape);
    }
    out.push('}');
}

/// The fields of a struct as they are written: embedded ones in their place, empty ones left out where marked.
fn collect(object: &Struct, fields: &mut Vec<(&'static str, Value)>) {
    for (field, value) in object.shape.fields.iter().zip(&object.fields) {
        match value {
            Value::Struct(inside) if field.embedded => collect(inside, fields),
            Value::NilPointer(_) if field.embedded => {}
            _ if field.omit_empty && is_empty(field, value) => {}
            _ => fields.push((field.key, value.clone())),
        }
    }
}

fn is_empty(_field: &Field, value: &Value) -> bool {
    match value {
        Value::Struct(_) | Value::Time(_) => false,
        other => !other.is_true() && !matches!(other, Value::Missing),
    }
}

fn write_text(out: &mut String, text: &str, escape: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if escape => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// As JavaScript writes a number: an exponent below 1e-6 and from 1e21 on.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return "null".into();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let text = print::two_digits(exponent);
        let text = if exponent < 0 { text.replacen("-0", "-", 1) } else { text };
        return format!("{mantissa}e{text}");
    }
    format!("{value}")
}
