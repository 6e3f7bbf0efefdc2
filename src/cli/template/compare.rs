//! # Comparing: `eq`, `lt` and their siblings
//!
//! Go compares only what is alike: two numbers of one sort, two texts, two truths. A number and a text are
//! `incompatible types for comparison`; a list cannot be compared at all. `eq` takes many: it is true if the first equals any
//! of the others.
//!
//! See: Go `text/template/funcs.go` eq, lt. Next room: [`super::print`]

use super::{print, value::Value};
use std::rc::Rc;

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";

/// The sorts that can be compared.
#[derive(PartialEq)]
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Other,
}

fn basic(value: &Value) -> Basic<'_> {
    match value {
        Value::Bool(value) => Basic::Bool(*value),
        Value::Int(value) | Value::Duration(value) => Basic::Int(*value),
        Value::Float(value) => Basic::Float(*value),
        Value::Text(text) | Value::Number(text) => Basic::Text(text),
        _ => Basic::Other,
    }
}

/// Whether `first` equals any of `others`.
///
/// # Errors
/// Nothing to compare with, values of different sorts, values that cannot be compared.
pub fn equal(first: &Value, others: &[Value]) -> Result<bool, String> {
    comparable(first)?;
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        let (a, b) = (basic(first), basic(other));
        let same_sort = std::mem::discriminant(&a) == std::mem::discriminant(&b);
        if same_sort && a != Basic::Other {
            if a == b {
                return Ok(true);
            }
            continue;
        }
        if !same_sort {
            if !first.is_nothing() && !other.is_nothing() {
                return Err(INCOMPATIBLE.into());
            }
            continue;
        }
        comparable(other)?;
        if identical(first, other) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn comparable(value: &Value) -> Result<(), String> {
    match value {
        Value::List(_) | Value::Map(_) | Value::Bytes(_) => {
            Err(format!("non-comparable type {}: {}", print::nested(value), value.type_name()))
        }
        _ => Ok(()),
    }
}

/// Two nothings are equal; pointers are equal when they are the same.
fn identical(a: &Value, b: &Value) -> bool {
    let nil = |v: &Value| v.is_nothing() || matches!(v, Value::NilPointer(_));
    match (a, b) {
        _ if nil(a) || nil(b) => nil(a) && nil(b),
        (Value::Struct(a), Value::Struct(b)) => Rc::ptr_eq(a, b),
        (Value::Time(a), Value::Time(b)) => a == b,
        _ => false,
    }
}

/// `a < b`.
///
/// # Errors
/// Different sorts, or a sort without an order.
pub fn less(a: &Value, b: &Value) -> Result<bool, String> {
    match (basic(a), basic(b)) {
        (Basic::Other, _) | (_, Basic::Other) => Err(INVALID.into()),
        (Basic::Bool(_), Basic::Bool(_)) => Err(INVALID.into()),
        (Basic::Int(a), Basic::Int(b)) => Ok(a < b),
        (Basic::Float(a), Basic::Float(b)) => Ok(a < b),
        (Basic::Text(a), Basic::Text(b)) => Ok(a < b),
        _ => Err(INCOMPATIBLE.into()),
    }
}

/// `a <= b`: less, or equal.
///
/// # Errors
/// As [`less`].
pub fn less_or_equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(less(a, b)? || equal(a, std::slice::from_ref(b))?)
}
