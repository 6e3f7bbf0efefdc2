//! # Shapes: what Go's structs look like
//!
//! Docker's client decodes an answer into a struct before a template sees it, and the difference shows: a field that the
//! daemon left out is there with its zero value, a number is a number (raw JSON keeps it as text), `{{.State}}` prints
//! `{running true …}` in the order of the declaration, and asking for a field that does not exist is an error that names the type.
//!
//! So each type that can be inspected has a [`Shape`] here: its name in Go, and its [`Field`]s in order, each with a
//! [`Kind`], its key in JSON, and whether it vanishes when empty. [`object`] pours JSON into a shape.
//!
//! ```text
//!   {"Status":"running","Pid":7}  ──object(&STATE)──▶  {running false … 7 0   <nil>}
//! ```
//!
//! * [`container`], [`host_config`], [`image`], [`swarm`], [`task`], [`other`]: the shapes themselves (the last: network, volume,
//!   info, version).
//!
//! *In the real world* these are Go structs in `moby/api/types`, read by reflection. A wrong shape can only make a template
//! fall back to raw JSON, where the field is found all the same.
//!
//! See: moby `api/types` · docker/cli `cli/command/inspect`. Next room: [`container`]

pub mod container;
pub mod host_config;
pub mod image;
pub mod other;
pub mod swarm;
pub mod task;

use super::value::{List, Map, Struct, Value};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use std::{collections::BTreeMap, rc::Rc};

/// A Go type, as far as templates can tell.
pub enum Kind {
    /// `interface {}`
    Any,
    Bool,
    Int,
    Float,
    Text,
    /// `[]byte`
    Bytes,
    /// `time.Duration`
    Duration,
    /// `time.Time`
    Time,
    /// `struct {}`: the value of a set.
    Unit,
    List(&'static Kind),
    Map(&'static Kind),
    /// A map type with a name: `nat.PortMap`.
    NamedMap(&'static str, &'static Kind),
    Struct(&'static Shape),
    /// `*T`: nil when absent.
    Pointer(&'static Kind),
}

/// A struct type.
pub struct Shape {
    pub name: &'static str,
    pub fields: &'static [Field],
}

/// A field of a struct.
pub struct Field {
    pub name: &'static str,
    pub key: &'static str,
    pub kind: Kind,
    pub omit_empty: bool,
    /// An embedded struct: its fields are also ours, and its JSON is part of ours.
    pub embedded: bool,
}

/// The empty struct.
pub static UNIT: Shape = Shape { name: "struct {}", fields: &[] };

impl Field {
    /// A field whose key in JSON is its name.
    pub const fn new(name: &'static str, kind: Kind) -> Field {
        Field { name, key: name, kind, omit_empty: false, embedded: false }
    }

    /// The same with another key.
    pub const fn key(mut self, key: &'static str) -> Field {
        self.key = key;
        self
    }

    /// The same, left out of JSON when empty.
    pub const fn omit(mut self) -> Field {
        self.omit_empty = true;
        self
    }

    /// The same, embedded.
    pub const fn embed(mut self) -> Field {
        self.embedded = true;
        self
    }
}

impl Kind {
    /// The type's name as Go prints it.
    pub fn type_name(&self) -> String {
        match self {
            Kind::Any => "interface {}".into(),
            Kind::Bool => "bool".into(),
            Kind::Int => "int".into(),
            Kind::Float => "float64".into(),
            Kind::Text => "string".into(),
            Kind::Bytes => "[]uint8".into(),
            Kind::Duration => "time.Duration".into(),
            Kind::Time => "time.Time".into(),
            Kind::Unit => "struct {}".into(),
            Kind::List(of) => format!("[]{}", of.type_name()),
            Kind::Map(of) => format!("map[string]{}", of.type_name()),
            Kind::NamedMap(name, _) => (*name).into(),
            Kind::Struct(shape) => shape.name.into(),
            Kind::Pointer(to) => format!("*{}", to.type_name()),
        }
    }

    /// Whether a value of this kind, or what it points at, has such a field.
    pub fn has_field(&self, name: &str) -> bool {
        match self {
            Kind::Struct(shape) => shape.fields.iter().any(|f| f.name == name || (f.embedded && f.kind.has_field(name))),
            Kind::Pointer(to) => to.has_field(name),
            _ => false,
        }
    }

    /// What an absent value of this kind is.
    pub fn zero(&'static self) -> Value {
        match self {
            Kind::Any => Value::Nil,
            Kind::Bool => Value::Bool(false),
            Kind::Int => Value::Int(0),
            Kind::Float => Value::Float(0.0),
            Kind::Text => Value::text(""),
            Kind::Bytes => Value::Bytes(Rc::default()),
            Kind::Duration => Value::Duration(0),
            Kind::Time => Value::Time(minidock_base::clock::ZERO.into()),
            Kind::Unit => Value::Struct(Rc::new(Struct { shape: &UNIT, pointer: false, fields: Vec::new() })),
            Kind::List(of) => Value::List(Rc::new(List { of, items: Vec::new(), nil: true })),
            Kind::Map(of) => map(of, BTreeMap::new(), true, None),
            Kind::NamedMap(name, of) => map(of, BTreeMap::new(), true, Some(name)),
            Kind::Struct(_) => decode(self, &Json::Null),
            Kind::Pointer(_) => Value::NilPointer(self),
        }
    }
}

fn map(of: &'static Kind, entries: BTreeMap<String, Value>, nil: bool, name: Option<&'static str>) -> Value {
    Value::Map(Rc::new(Map { of, entries, nil, name }))
}

impl Struct {
    /// A field by its Go name, embedded structs included.
    pub fn field(&self, name: &str) -> Option<Value> {
        let mut inside = None;
        for (field, value) in self.shape.fields.iter().zip(&self.fields) {
            if field.name == name {
                return Some(value.clone());
            }
            if let (true, Value::Struct(embedded)) = (field.embedded, value) {
                inside = inside.or_else(|| embedded.field(name));
            }
        }
        inside
    }
}

/// JSON as a struct of this shape, reached by a pointer, as an inspected object is.
pub fn object(shape: &'static Shape, json: &Json) -> Value {
    decode_struct(shape, json, true)
}

/// JSON as a struct of this shape, not reached by a pointer.
pub fn plain(shape: &'static Shape, json: &Json) -> Value {
    decode_struct(shape, json, false)
}

/// JSON as a value of `kind`; what does not fit becomes the kind's zero.
pub fn decode(kind: &'static Kind, json: &Json) -> Value {
    match (kind, json) {
        (Kind::Struct(shape), _) => decode_struct(shape, json, false),
        (_, Json::Null) => kind.zero(),
        (Kind::Any, _) => Value::raw(json),
        (Kind::Bool, Json::Bool(value)) => Value::Bool(*value),
        (Kind::Int, Json::Number(number)) => number.as_i64().map_or_else(|| kind.zero(), Value::Int),
        (Kind::Float, Json::Number(number)) => number.as_f64().map_or_else(|| kind.zero(), Value::Float),
        (Kind::Text, Json::String(text)) => Value::text(text),
        (Kind::Bytes, Json::String(text)) => {
            STANDARD.decode(text).map_or_else(|_| kind.zero(), |bytes| Value::Bytes(bytes.into()))
        }
        (Kind::Duration, Json::Number(number)) => number.as_i64().map_or_else(|| kind.zero(), Value::Duration),
        (Kind::Time, Json::String(text)) => Value::Time(text.as_str().into()),
        (Kind::List(of), Json::Array(items)) => {
            let items = items.iter().map(|item| decode(of, item)).collect();
            Value::List(Rc::new(List { of, items, nil: false }))
        }
        (Kind::Map(of), Json::Object(fields)) => map(of, decode_all(of, fields), false, None),
        (Kind::NamedMap(name, of), Json::Object(fields)) => map(of, decode_all(of, fields), false, Some(name)),
        (Kind::Pointer(Kind::Struct(shape)), Json::Object(_)) => decode_struct(shape, json, true),
        (Kind::Pointer(to), _) => decode(to, json),
        _ => kind.zero(),
    }
}

fn decode_all(of: &'static Kind, fields: &serde_json::Map<String, Json>) -> BTreeMap<String, Value> {
    fields.iter().map(|(key, value)| (key.clone(), decode(of, value))).collect()
}

/// Keys are matched without regard to case, as Go does.
fn decode_struct(shape: &'static Shape, json: &Json, pointer: bool) -> Value {
    let find = |key: &str| {
        let fields = json.as_object()?;
        fields.get(key).or_else(|| fields.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
    };
    let fields = shape
        .fields
        .iter()
        .map(|field| {
            if field.embedded { decode(&field.kind, json) } else { decode(&field.kind, find(field.key).unwrap_or(&Json::Null)) }
        })
        .collect();
    Value::Struct(Rc::new(Struct { shape, pointer, fields }))
}
