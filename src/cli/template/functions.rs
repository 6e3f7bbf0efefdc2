//! # Functions: Go's builtins and Docker's additions
//!
//! A function has a signature, and an argument that does not fit it is refused before the call, in Go's words:
//! `wrong number of args for upper: want 1 got 2`, `wrong type for value; expected string; got int`. A failure inside a
//! function is `error calling index: index out of range: 10`.
//!
//! | from Go | from Docker |
//! |---|---|
//! | `and or not eq ne lt le gt ge len index slice print printf println html js urlquery call` | `json split join title lower upper pad truncate getDetailsOrder` |
//!
//! `and` and `or` stop at the first argument that settles them. When a table's heading is rendered, Docker's functions leave
//! their argument as it is ([`Set::Headings`]).
//!
//! Laws: a result is at most [`MAX_TEXT`] long: `{{printf "%s%s" $x $x}}` in a loop must not eat the memory.
//!
//! See: Go `text/template/funcs.go` · docker/cli `templates/templates.go`. Next room: [`super::builtins`]

use super::{
    builtins,
    eval::{Machine, Site, Step},
    print,
    shapes::Kind,
    tree::{Operand, What},
    value::Value,
};

/// The longest text a function may make.
pub const MAX_TEXT: usize = 8 << 20;

/// Which set of functions is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Values,
    /// For the heading of a table: Docker's functions change nothing.
    Headings,
}

/// What a parameter accepts.
#[derive(Clone, Copy)]
enum Param {
    Any,
    Text,
    Int,
    Texts,
}

struct Signature {
    name: &'static str,
    fixed: &'static [Param],
    /// Any number of these may follow.
    rest: Option<Param>,
}

const fn signature(name: &'static str, fixed: &'static [Param], rest: Option<Param>) -> Signature {
    Signature { name, fixed, rest }
}

use Param::{Any, Int, Text, Texts};

static SIGNATURES: [Signature; 28] = [
    signature("and", &[Any], Some(Any)),
    signature("or", &[Any], Some(Any)),
    signature("not", &[Any], None),
    signature("eq", &[Any], Some(Any)),
    signature("ne", &[Any, Any], None),
    signature("lt", &[Any, Any], None),
    signature("le", &[Any, Any], None),
    signature("gt", &[Any, Any], None),
    signature("ge", &[Any, Any], None),
    signature("len", &[Any], None),
    signature("index", &[Any], Some(Any)),
    signature("slice", &[Any], Some(Any)),
    signature("print", &[], Some(Any)),
    signature("println", &[], Some(Any)),
    signature("printf", &[Text], Some(Any)),
    signature("html", &[], Some(Any)),
    signature("js", &[], Some(Any)),
    signature("urlquery", &[], Some(Any)),
    signature("call", &[Any], Some(Any)),
    signature("json", &[Any], None),
    signature("split", &[Text, Text], None),
    signature("join", &[Texts, Text], None),
    signature("title", &[Text], None),
    signature("lower", &[Text], None),
    signature("upper", &[Text], None),
    signature("pad", &[Text, Int, Int], None),
    signature("truncate", &[Text, Int], None),
    signature("getDetailsOrder", &[Any], None),
];

static HEADINGS: [Signature; 7] = [
    signature("json", &[Text], None),
    signature("split", &[Text, Text], None),
    signature("join", &[Text, Text], None),
    signature("title", &[Text], None),
    signature("lower", &[Text], None),
    signature("upper", &[Text], None),
    signature("truncate", &[Text, Int], None),
];

/// Whether a template may use this name.
pub fn exists(name: &str) -> bool {
    SIGNATURES.iter().any(|s| s.name == name)
}

fn find(name: &str, set: Set) -> Option<(&'static Signature, bool)> {
    if set == Set::Headings
        && let Some(found) = HEADINGS.iter().find(|s| s.name == name)
    {
        return Some((found, true));
    }
    SIGNATURES.iter().find(|s| s.name == name).map(|s| (s, false))
}

/// Calls a function; `piped` is its last argument when it stands behind a bar.
pub(super) fn call<'t>(
    machine: &mut Machine<'t>,
    dot: &Value,
    name: &str,
    site: Site<'t>,
    words: &'t [Operand],
    piped: Option<Value>,
) -> Step<Value> {
    let Some((signature, heading)) = find(name, machine.set) else {
        return Err(machine.fault(format!("{} is not a defined function", print::quote(name))));
    };
    let count = words.len() + usize::from(piped.is_some());
    let want = signature.fixed.len();
    if signature.rest.is_some() && count < want {
        return Err(machine.fault(format!("wrong number of args for {name}: want at least {want} got {count}")));
    }
    if signature.rest.is_none() && count != want {
        return Err(machine.fault(format!("wrong number of args for {name}: want {want} got {count}")));
    }
    let function_site = site;
    let param = |at: usize| signature.fixed.get(at).copied().or(signature.rest).unwrap_or(Any);
    let mut arguments = Vec::with_capacity(count);
    for (at, word) in words.iter().enumerate() {
        let value = argument(machine, dot, param(at), word)?;
        if matches!(name, "and" | "or") && value.is_true() == (name == "or") {
            return Ok(value);
        }
        arguments.push(value);
    }
    if let Some(value) = piped {
        let value = fit(machine, param(words.len()), value)?;
        arguments.push(value);
    }
    if heading || matches!(name, "and" | "or") {
        let result = if heading { arguments.into_iter().next() } else { arguments.pop() };
        return Ok(result.unwrap_or(Value::Missing));
    }
    match builtins::apply(name, &arguments) {
        Ok(value) => Ok(value),
        Err(why) => {
            machine.at(function_site);
            Err(machine.fault(format!("error calling {name}: {why}")))
        }
    }
}

/// Evaluates one argument for a parameter.
fn argument<'t>(machine: &mut Machine<'t>, dot: &Value, param: Param, word: &'t Operand) -> Step<Value> {
    machine.at(Site::Operand(word));
    let found = word.text();
    match (&word.what, param) {
        (What::Nil, Any) => Ok(Value::Nil),
        (What::Nil, Texts) => Ok(Value::texts([""; 0])),
        (What::Nil, Text) => Err(machine.fault("cannot assign nil to string")),
        (What::Nil, Int) => Err(machine.fault("cannot assign nil to int")),
        (What::Bool(_) | What::Number { .. }, Text) => Err(machine.fault(format!("expected string; found {found}"))),
        (What::Bool(_) | What::Text { .. }, Int) => Err(machine.fault(format!("expected integer; found {found}"))),
        (What::Number { value, .. }, Int) => match value.int {
            Some(int) => Ok(Value::Int(int)),
            None => Err(machine.fault(format!("expected integer; found {found}"))),
        },
        (What::Bool(_) | What::Number { .. } | What::Text { .. }, Texts) => {
            Err(machine.fault(format!("can't handle {found} for arg of type []string")))
        }
        _ => {
            let value = machine.operand(dot, word)?;
            machine.at(Site::Operand(word));
            fit(machine, param, value)
        }
    }
}

/// Whether a value fits a parameter.
fn fit(machine: &Machine<'_>, param: Param, value: Value) -> Step<Value> {
    let expected = match (param, &value) {
        (Any, _) | (Text, Value::Text(_)) | (Int, Value::Int(_)) => return Ok(value),
        (Texts, Value::List(list)) if matches!(list.of, Kind::Text) => return Ok(value),
        (Texts, Value::Missing | Value::Nil) => return Ok(Value::texts([""; 0])),
        (Text, _) => "string",
        (Int, _) => "int",
        (Texts, _) => "[]string",
    };
    Err(machine.fault(match value {
        Value::Missing | Value::Nil => format!("invalid value; expected {expected}"),
        value => format!("wrong type for value; expected {expected}; got {}", value.type_name()),
    }))
}
