//! # Shapes: which keys there are, and what each may hold
//!
//! Compose files let people write one thing in several ways: `ports: ["80:80"]` or four lines, `labels` as a list or a mapping. The
//! tables ([`crate::project`], [`crate::service`], [`crate::deploy`]) say of each key what [`Kind`] of value it holds; [`fit`] walks a tree along a
//! table and gives the same tree in the one long form that all later rooms read.
//!
//! ```text
//!   ports: ["8080:80"]    ── Kind::Short(ports::long, List(Struct(PORT))) ──►   ports: [{mode: ingress, target: 80, published: 8080, …}]
//!   labels: [a=b]         ── Kind::Pairs ──►                                    labels: {a: b}
//!   delay: 90s            ── Kind::Duration ──►                                 delay: 1m30s
//!   netwroks: …           not in the table ──►                                  a warning by name; never silently dropped
//! ```
//!
//! * A [`Field`] also says how two files are merged there ([`Merge`]) and whether it is shown when it holds nothing.
//!
//! Laws: a table's order is the order in which Docker prints; what does not fit is a fault with its place and Docker's words; a text
//! becomes a number or a truth only if a variable made it. *See:* docker/cli `cli/compose/schema`. *Next room:* [`crate::short`]

use crate::{
    finding::{Findings, closest},
    node::{At, Entry, Map, Node, What},
    scalar, values, words,
};
use minidock_base::units;

/// A table: the keys of one mapping, in the order in which Docker prints them.
pub struct Shape(pub &'static [Field]);

/// One key.
pub struct Field {
    pub key: &'static str,
    pub kind: Kind,
    pub merge: Merge,
    /// Shown even when it is 0 or false: nothing and zero are two things.
    pub kept: bool,
}

/// How the value of a later file meets that of an earlier one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Mappings key by key, lists one after the other, anything else anew.
    Deep,
    Replace,
    /// Names are merged, but what stands behind a name stands alone.
    Whole,
    /// A list of mappings, which are the same if they agree in one of these keys: the first that is set.
    By(&'static [&'static str]),
}

/// Rewrites a short form into the long one; what is neither is left as it is, for the table to refuse.
pub type Long = fn(Node, &str, &mut Findings) -> Node;

/// What a key may hold.
pub enum Kind {
    Any,
    Bool,
    Int,
    /// A whole number from 0 on: -1 does not mean "without limit" here.
    Count,
    Number,
    Text,
    /// Go's `1m30s`.
    Duration,
    /// `50M`, kept as a text of bytes.
    Memory,
    /// `50M` or a number, kept as a number.
    Size,
    Texts,
    /// A text, or a list of texts.
    TextOrTexts,
    /// A program and its arguments: a list, or one text split as a shell splits it.
    Command,
    /// `{a: b}` or `[a=b]`; what has no value is empty.
    Pairs,
    /// The same, where having no value means something.
    Variables,
    Struct(&'static Shape),
    /// Names of one's own, each with such a value.
    Names(&'static Kind),
    List(&'static Kind),
    /// Such a value, or nothing.
    Maybe(&'static Kind),
    Short(Long, &'static Kind),
}

impl Field {
    pub const fn new(key: &'static str, kind: Kind) -> Field {
        Field { key, kind, merge: Merge::Deep, kept: false }
    }

    /// The same, where a later file's value stands alone.
    pub const fn replaced(mut self) -> Field {
        self.merge = Merge::Replace;
        self
    }

    /// The same, where what a later file says of a name stands alone.
    pub const fn whole(mut self) -> Field {
        self.merge = Merge::Whole;
        self
    }

    /// The same, a list whose items are known by a key.
    pub const fn by(mut self, keys: &'static [&'static str]) -> Field {
        self.merge = Merge::By(keys);
        self
    }

    /// The same, shown even when it is nothing.
    pub const fn kept(mut self) -> Field {
        self.kept = true;
        self
    }
}

impl Shape {
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.0.iter().find(|field| field.key == key)
    }
}

/// Brings a value into its long form; `path` is where it hangs, in Docker's form.
pub fn fit(node: Node, kind: &Kind, path: &str, findings: &mut Findings) -> Node {
    let at = node.at.clone();
    let what = match kind {
        Kind::Any => return node,
        Kind::Maybe(_) if node.what == What::Null => return node,
        Kind::Maybe(kind) => return fit(node, kind, path, findings),
        Kind::Short(long, kind) => {
            let node = long(node, path, findings);
            return fit(node, kind, path, findings);
        }
        Kind::Bool => truth(&node).map(What::Bool),
        Kind::Int => number(&node).map(What::Int),
        Kind::Count => number(&node).and_then(|n| if n < 0 { Err("cannot be negative") } else { Ok(What::Int(n)) }),
        // a whole number is shown as one
        Kind::Number => {
            float(&node).map(|n| if n.fract() == 0.0 && n.abs() < 9e15 { What::Int(n as i64) } else { What::Float(n) })
        }
        Kind::Text => node.as_text().map(|text| What::Text(text.to_string())).ok_or("must be a string"),
        Kind::Duration => match node.as_text() {
            Some(text) => {
                values::nanoseconds(text).map(|n| What::Text(units::go_duration(n))).ok_or("Does not match format 'duration'")
            }
            None => Err("must be a string"),
        },
        Kind::Memory => match node.as_text() {
            Some(text) => values::bytes(text).map(|n| What::Text(n.to_string())).ok_or("is not a size such as 50M or 1g"),
            None => Err("must be a string"),
        },
        Kind::Size => match &node.what {
            What::Int(bytes) => Ok(What::Int(*bytes)),
            What::Text(text) => values::bytes(text).map(What::Int).ok_or("is not a size such as 50M or 1g"),
            _ => Err("must be a integer"),
        },
        Kind::Texts => texts(&node, "must be a list"),
        Kind::TextOrTexts => one_or_more(&node),
        Kind::Command => match node.as_text().map(words::split) {
            Some(Ok(words)) => Ok(What::List(words.iter().map(|word| Node::new(What::Text(word.clone()), &at)).collect())),
            Some(Err(why)) => {
                findings.fault(&at, format_args!("{path}: {why}"));
                return Node::new(What::Null, &at);
            }
            // a program of no words is the image's own
            None if node.what == What::Null => Ok(What::Null),
            None => one_or_more(&node),
        },
        Kind::Pairs => return pairs(node, false, path, findings),
        Kind::Variables => return pairs(node, true, path, findings),
        Kind::Struct(shape) => return by_table(node, shape, path, findings),
        Kind::Names(kind) => return names(node, kind, path, findings),
        Kind::List(kind) => return list(node, kind, path, findings),
    };
    match what {
        Ok(what) => Node { what, ..node },
        Err(why) => {
            match advice(kind, &node) {
                Some(hint) => findings.fault_with(&at, format_args!("{path} {why}"), hint),
                None => findings.fault(&at, format_args!("{path} {why}")),
            }
            Node::new(What::Null, &at)
        }
    }
}

/// The commonest slip: a number or a truth where a text is wanted, or the other way round.
fn advice(kind: &Kind, node: &Node) -> Option<String> {
    match (kind, &node.what) {
        (Kind::Text | Kind::Duration | Kind::Memory, What::Int(_) | What::Float(_) | What::Bool(_)) => {
            Some(format!("put it in quotes: \"{}\"", scalar::shown(&node.what).unwrap_or_default()))
        }
        (Kind::Int | Kind::Count | Kind::Number | Kind::Bool, What::Text(text)) => Some(format!("without quotes: {text}")),
        (Kind::Duration, What::Text(_)) => Some("such as 10s, 1m30s or 500ms".into()),
        _ => None,
    }
}

fn truth(node: &Node) -> Result<bool, &'static str> {
    match &node.what {
        What::Bool(truth) => Ok(*truth),
        What::Text(text) if node.substituted => match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
            "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
            _ => Err("must be a boolean"),
        },
        _ => Err("must be a boolean"),
    }
}

fn number(node: &Node) -> Result<i64, &'static str> {
    match &node.what {
        What::Int(number) => Ok(*number),
        What::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Ok(*number as i64),
        What::Text(text) if node.substituted => text.parse().map_err(|_| "must be a integer"),
        _ => Err("must be a integer"),
    }
}

fn float(node: &Node) -> Result<f64, &'static str> {
    match &node.what {
        What::Int(number) => Ok(*number as f64),
        What::Float(number) if number.is_finite() => Ok(*number),
        What::Text(text) if node.substituted => text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or("must be a number"),
        _ => Err("must be a number"),
    }
}

/// A list of texts; numbers are taken as they are shown.
fn texts(node: &Node, otherwise: &'static str) -> Result<What, &'static str> {
    let What::List(items) = &node.what else { return Err(otherwise) };
    let text = |item: &Node| match &item.what {
        What::Text(_) | What::Int(_) | What::Float(_) => scalar::shown(&item.what),
        _ => None,
    };
    let items = items.iter().map(|item| Some(Node::new(What::Text(text(item)?), &item.at)));
    items.collect::<Option<_>>().map(What::List).ok_or("must be a list of strings")
}

fn one_or_more(node: &Node) -> Result<What, &'static str> {
    match node.as_text() {
        Some(text) => Ok(What::List(vec![Node::new(What::Text(text.to_string()), &node.at)])),
        None => texts(node, "must be a string or a list"),
    }
}

/// `[a=b, c]` or `{a: b, c: }` as a mapping of texts.
fn pairs(node: Node, nulls: bool, path: &str, findings: &mut Findings) -> Node {
    let mut map = Map::default();
    let nothing = |at: &At| Node::new(if nulls { What::Null } else { What::Text(String::new()) }, at);
    match &node.what {
        What::Map(entries) => {
            for Entry { key, at, node } in &entries.0 {
                let value = match &node.what {
                    What::Null => nothing(&node.at),
                    What::Text(_) | What::Int(_) | What::Float(_) => {
                        Node::new(What::Text(scalar::shown(&node.what).unwrap_or_default()), &node.at)
                    }
                    _ => {
                        let hint = scalar::shown(&node.what).map(|shown| format!("put it in quotes: \"{shown}\""));
                        let said = format!("{path}.{key} must be a string, number or null");
                        match hint {
                            Some(hint) => findings.fault_with(&node.at, said, hint),
                            None => findings.fault(&node.at, said),
                        }
                        continue;
                    }
                };
                map.set(key, at, value);
            }
        }
        What::List(items) => {
            for (n, item) in items.iter().enumerate() {
                let Some(text) = scalar::shown(&item.what) else {
                    findings.fault(&item.at, format_args!("{path}.{n} must be a string"));
                    continue;
                };
                match text.split_once('=') {
                    Some((key, value)) => map.set(key, &item.at, Node::new(What::Text(value.to_string()), &item.at)),
                    None => map.set(&text, &item.at, nothing(&item.at)),
                }
            }
        }
        What::Null => {}
        _ => findings.fault(&node.at, format_args!("{path} must be a mapping")),
    }
    Node { what: What::Map(map), ..node }
}

fn by_table(node: Node, shape: &'static Shape, path: &str, findings: &mut Findings) -> Node {
    let What::Map(map) = node.what else {
        findings.fault(&node.at, format_args!("{path} must be a mapping"));
        return Node::new(What::Map(Map::default()), &node.at);
    };
    let mut fitted = Map::default();
    for Entry { key, at, node } in map.0 {
        let below = format!("{path}.{key}");
        match shape.field(&key) {
            Some(field) => fitted.0.push(Entry { node: fit(node, &field.kind, &below, findings), key, at }),
            None if key.starts_with("x-") => fitted.0.push(Entry { key, at, node }),
            None => unknown(&key, &at, path, shape, findings),
        }
    }
    Node { what: What::Map(fitted), at: node.at, substituted: false, tag: node.tag }
}

/// What Docker refuses, and later versions of the format may know: said, and left out.
pub fn unknown(key: &str, at: &At, path: &str, shape: &Shape, findings: &mut Findings) {
    let near = closest(key, shape.0.iter().map(|field| field.key));
    let near = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
    match findings.strict {
        true => findings.fault(at, format_args!("{path}: additional properties '{key}' not allowed{near}")),
        false => findings.warn(at, format_args!("{path}: unknown key \"{key}\" is ignored{near}")),
    }
}

fn names(node: Node, kind: &Kind, path: &str, findings: &mut Findings) -> Node {
    let What::Map(map) = node.what else {
        findings.fault(&node.at, format_args!("{path} must be a mapping"));
        return Node::new(What::Map(Map::default()), &node.at);
    };
    let fitted = map.0.into_iter().map(|Entry { key, at, node }| {
        let below = format!("{path}.{key}");
        Entry { node: fit(node, kind, &below, findings), key, at }
    });
    Node { what: What::Map(Map(fitted.collect())), at: node.at, substituted: false, tag: node.tag }
}

fn list(node: Node, kind: &Kind, path: &str, findings: &mut Findings) -> Node {
    let What::List(items) = node.what else {
        findings.fault(&node.at, format_args!("{path} must be a list"));
        return Node::new(What::List(Vec::new()), &node.at);
    };
    let fitted = items.into_iter().enumerate().map(|(n, item)| fit(item, kind, &format!("{path}.{n}"), findings));
    Node { what: What::List(fitted.collect()), at: node.at, substituted: false, tag: node.tag }
}
