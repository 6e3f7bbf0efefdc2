//! # Fields: what `.State.Pid` finds
//!
//! A name after a dot may be a field of a struct, a key of a map, or a column of a table's row. Each has its own way to say
//! no, and the difference is what a person needs: a struct says that it *cannot* have such a field, a map only that it has
//! no such key, a nil pointer that there is nothing behind it.
//!
//! Laws: a value that came out of a map of anything is called `interface {}` in messages, since that is its static type in Go;
//! a missing key is no value, unless [`MissingKey::Error`] was asked for.
//!
//! See: Go `text/template/exec.go` evalField. Next room: [`super::functions`]

use super::{
    Fault, MissingKey,
    eval::{Machine, Site, Step},
    print::quote,
    shapes::Kind,
    tree::Operand,
    value::{Row, Value},
};

/// Follows `names` from `start`; only the last one may be given arguments.
pub(super) fn follow<'t>(
    machine: &mut Machine<'t>,
    dot: &Value,
    start: Value,
    operand: &'t Operand,
    names: &'t [String],
    arguments: &'t [Operand],
    piped: Option<Value>,
) -> Step<Value> {
    let mut value = start;
    let mut out_of_any = false;
    let mut arguments = Some((arguments, piped));
    for (at, name) in names.iter().enumerate() {
        let given = if at + 1 == names.len() { arguments.take() } else { None };
        let (words, piped) = given.unwrap_or((&[], None));
        let type_name = if out_of_any { "interface {}".to_string() } else { value.type_name() };
        out_of_any = matches!(&value, Value::Map(map) if matches!(map.of, Kind::Any));
        value = match &value {
            Value::Row(row) => column(machine, dot, row.as_ref(), operand, name, words, piped)?,
            _ => field(machine, &value, name, &type_name, !words.is_empty() || piped.is_some())?,
        };
    }
    Ok(value)
}

fn field(machine: &Machine<'_>, value: &Value, name: &str, type_name: &str, given: bool) -> Step<Value> {
    match value {
        Value::Missing if machine.missing == MissingKey::Error => {
            return Err(machine.fault(format!("nil data; no entry for key {}", quote(name))));
        }
        Value::Missing => return Ok(Value::Missing),
        Value::Nil => return Err(machine.fault(format!("nil pointer evaluating interface {{}}.{name}"))),
        Value::Map(_) if given => return Err(machine.fault(format!("{name} is not a method but has arguments"))),
        Value::Map(map) => {
            return match map.entries.get(name) {
                Some(value) => Ok(value.clone()),
                None if machine.missing == MissingKey::Error => {
                    Err(machine.fault(format!("map has no entry for key {}", quote(name))))
                }
                None => Ok(Value::Missing),
            };
        }
        Value::Struct(object) => {
            if let Some(field) = object.field(name) {
                if given {
                    return Err(machine.fault(format!("{name} has arguments but cannot be invoked as function")));
                }
                return Ok(field);
            }
        }
        Value::NilPointer(kind) if kind.has_field(name) => {
            return Err(machine.fault(format!("nil pointer evaluating {type_name}.{name}")));
        }
        _ => {}
    }
    Err(no_such_field(machine, name, type_name))
}

fn no_such_field(machine: &Machine<'_>, name: &str, type_name: &str) -> Fault {
    let fault = machine.fault(format!("can't evaluate field {name} in type {type_name}"));
    Fault { no_such_field: true, ..fault }
}

/// A column of a row: a method in Docker's client, so it has an arity.
fn column<'t>(
    machine: &mut Machine<'t>,
    dot: &Value,
    row: &dyn Row,
    operand: &'t Operand,
    name: &str,
    words: &'t [Operand],
    piped: Option<Value>,
) -> Step<Value> {
    let count = words.len() + usize::from(piped.is_some());
    let arity =
        |machine: &Machine<'_>, want: usize| machine.fault(format!("wrong number of args for {name}: want {want} got {count}"));
    if row.labelled(name, "").is_some() {
        if count != 1 {
            return Err(arity(machine, 1));
        }
        let argument = match (words.first(), piped) {
            (Some(word), _) => machine.operand(dot, word)?,
            (None, piped) => piped.unwrap_or(Value::Missing),
        };
        return match argument {
            Value::Text(label) => Ok(row.labelled(name, &label).unwrap_or(Value::Missing)),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) if !words.is_empty() => {
                Err(machine.fault(format!("expected string; found {}", words[0].text())))
            }
            other => Err(machine.fault(format!("wrong type for value; expected string; got {}", other.type_name()))),
        };
    }
    machine.at(Site::Operand(operand));
    match row.column(name) {
        Some(_) if count != 0 => Err(arity(machine, 0)),
        Some(value) => Ok(value),
        None => Err(no_such_field(machine, name, row.type_name())),
    }
}
