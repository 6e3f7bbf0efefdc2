//! # Values: what a template can hold in its hand
//!
//! Go's templates walk Go values; ours walk these. The kinds are Go's, because the rules are about them: which values
//! are true, which have a length, which can be compared, how each prints. So a list knows what its elements are, a map
//! what a missing element would be, a struct its type's name and the order of its fields.
//!
//! ```text
//!   JSON from the daemon ── Value::raw ───▶ maps, lists, json.Number       (anything goes, nothing is known)
//!                        └─ shapes::decode ▶ structs, ints, nil pointers    (what Docker's own client sees)
//!   a row of a table     ── Row ───────────▶ a column is computed when asked for
//! ```
//!
//! * [`Value::Missing`] is no value at all (a key that is not in a map): it prints `<no value>`. [`Value::Nil`] is a nil
//!   interface: inside a list it prints `<nil>`. [`Value::NilPointer`] knows what it would have pointed at.
//! * Cloning is cheap: everything large is behind an `Rc`. A template runs on one thread.
//!
//! See: Go `reflect`, `text/template` "Actions". Next room: [`super::shapes`]

use super::shapes::{Kind, Shape};
use serde_json::Value as Json;
use std::{collections::BTreeMap, rc::Rc};

/// A value as a template sees it.
#[derive(Clone)]
pub enum Value {
    Missing,
    Nil,
    NilPointer(&'static Kind),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// A number of raw JSON, kept as it was written (`json.Number`).
    Number(Rc<str>),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A `[]byte`, which JSON carries as base64.
    Bytes(Rc<[u8]>),
    /// A moment, RFC 3339 as it came.
    Time(Rc<str>),
    List(Rc<List>),
    Map(Rc<Map>),
    Struct(Rc<Struct>),
    Row(Rc<dyn Row>),
}

/// A slice.
pub struct List {
    pub of: &'static Kind,
    pub items: Vec<Value>,
    /// A nil slice: it prints and behaves like an empty one, but is `null` in JSON.
    pub nil: bool,
}

/// A map with text as keys.
pub struct Map {
    pub of: &'static Kind,
    pub entries: BTreeMap<String, Value>,
    pub nil: bool,
    /// What the type is called, where that is not `map[string]…`.
    pub name: Option<&'static str>,
}

/// A struct: the shape names the fields, `fields` holds them in that order.
pub struct Struct {
    pub shape: &'static Shape,
    /// Reached by a pointer: the type is called `*container.State`.
    pub pointer: bool,
    pub fields: Vec<Value>,
}

/// A row of a table: Docker's formatter contexts, whose "fields" are methods.
pub trait Row {
    /// The type's name in messages: `*formatter.ContainerContext`.
    fn type_name(&self) -> &'static str;
    /// All columns that take no argument, in the order of the alphabet.
    fn columns(&self) -> &'static [&'static str];
    /// The value of a column.
    fn column(&self, name: &str) -> Option<Value>;
    /// A column that takes one text, such as `Label "name"`.
    fn labelled(&self, _name: &str, _argument: &str) -> Option<Value> {
        None
    }
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(text.as_ref().into())
    }

    /// A list of texts.
    pub fn texts<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Value {
        let items = texts.into_iter().map(Value::text).collect();
        Value::List(Rc::new(List { of: &Kind::Text, items, nil: false }))
    }

    /// A map of texts, such as labels.
    pub fn text_map<K: Into<String>, V: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), Value::text(v))).collect();
        Value::Map(Rc::new(Map { of: &Kind::Text, entries, nil: false, name: None }))
    }

    /// Raw JSON, as Go decodes it into `any` with `UseNumber`.
    pub fn raw(json: &Json) -> Value {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.to_string().into()),
            Json::String(text) => Value::text(text),
            Json::Array(items) => {
                let items = items.iter().map(Value::raw).collect();
                Value::List(Rc::new(List { of: &Kind::Any, items, nil: false }))
            }
            Json::Object(fields) => {
                let entries = fields.iter().map(|(k, v)| (k.clone(), Value::raw(v))).collect();
                Value::Map(Rc::new(Map { of: &Kind::Any, entries, nil: false, name: None }))
            }
        }
    }

    /// Go's truth: not zero, not empty, not nil.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Missing | Value::Nil | Value::NilPointer(_) => false,
            Value::Bool(value) => *value,
            Value::Int(number) | Value::Duration(number) => *number != 0,
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::Float(number) => *number != 0.0,
            Value::Text(text) | Value::Number(text) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Time(_) | Value::Struct(_) | Value::Row(_) => true,
        }
    }

    /// Neither present nor nil-able: Go's invalid `reflect.Value` and the nil interface behave alike in a pipeline.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Value::Missing | Value::Nil)
    }

    /// The type's name as Go's messages have it.
    pub fn type_name(&self) -> String {
        match self {
            Value::Missing | Value::Nil => "<nil>".into(),
            Value::NilPointer(kind) => kind.type_name(),
            Value::Bool(_) => "bool".into(),
            Value::Int(_) => "int".into(),
            Value::Float(_) => "float64".into(),
            Value::Text(_) => "string".into(),
            Value::Number(_) => "json.Number".into(),
            Value::Duration(_) => "time.Duration".into(),
            Value::Bytes(_) => "[]uint8".into(),
            Value::Time(_) => "time.Time".into(),
            Value::List(list) => format!("[]{}", list.of.type_name()),
            Value::Map(map) => map.name.map_or_else(|| format!("map[string]{}", map.of.type_name()), str::to_string),
            Value::Struct(object) if object.pointer => format!("*{}", object.shape.name),
            Value::Struct(object) => object.shape.name.into(),
            Value::Row(row) => row.type_name().into(),
        }
    }
}
