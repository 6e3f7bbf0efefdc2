//! # Nodes: what a file says, and where it says so
//!
//! "services.web.ports.0 is wrong" sends a person searching; "docker-stack.yml:14:9" takes them there. So a file is not decoded into
//! structs, which forget where they came from, but kept as a tree of [`Node`]s, each with the place ([`At`]) it was read from. All
//! later rooms (interpolation, tables, merging) turn trees into trees, and even the last, which makes specs, can point at a line.
//!
//! Laws: a [`Map`] keeps the order of the file and holds a key once; the readers ([`Node::get`], [`Node::text`], …) never fail:
//! what is not there is empty, for the tables have refused before what is of the wrong kind.
//! *Next room:* [`crate::yaml`]

use std::{fmt, sync::Arc};

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub what: What,
    pub at: At,
    /// A text that a variable has changed: it may stand for a number or a truth.
    pub substituted: bool,
    pub tag: Tag,
}

/// What a value says of those it is laid over; [`crate::local::undo`] reads it before anything else is done with a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tag {
    #[default]
    None,
    /// `!reset`: there shall be nothing here.
    Reset,
    /// `!override`: this stands alone.
    Override,
}

/// The values of YAML, as far as Compose files need them.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(pub Vec<Entry>);

/// One line of a mapping; `at` is the key's place.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: At,
    pub node: Node,
}

/// Equal in what they say, wherever they say it.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.what == other.what
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Adds a key, or gives it another value.
    pub fn set(&mut self, key: &str, at: &At, node: Node) {
        match self.get_mut(key) {
            Some(old) => *old = node,
            None => self.0.push(Entry { key: key.to_string(), at: at.clone(), node }),
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(at).node)
    }

    /// In the order of the alphabet.
    pub fn sorted(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.0.iter().collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }
}

impl Node {
    pub fn new(what: What, at: &At) -> Node {
        Node { what, at: at.clone(), substituted: false, tag: Tag::None }
    }

    /// A mapping of these keys.
    pub fn map<const N: usize>(at: &At, entries: [(&str, What); N]) -> Node {
        let entry = |(key, what): (&str, What)| Entry { key: key.to_string(), at: at.clone(), node: Node::new(what, at) };
        Node::new(What::Map(Map(entries.into_iter().map(entry).collect())), at)
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.what {
            What::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The keys of a mapping, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        match &self.what {
            What::Map(map) => &map.0,
            _ => &[],
        }
    }

    /// The items of a list.
    pub fn items(&self) -> &[Node] {
        match &self.what {
            What::List(items) => items,
            _ => &[],
        }
    }

    /// Itself, if it is a text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text below a key, or an empty one.
    pub fn text(&self, key: &str) -> String {
        self.get(key).and_then(Node::as_text).unwrap_or_default().to_string()
    }

    /// A list of texts below a key.
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).map(Node::items).unwrap_or_default().iter().filter_map(Node::as_text).map(str::to_string).collect()
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)?.what {
            What::Int(number) => Some(number),
            _ => None,
        }
    }

    /// A count; the tables have refused what is below nothing.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.int(key).and_then(|number| u64::try_from(number).ok())
    }

    pub fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)?.what {
            What::Float(number) => Some(number),
            What::Int(number) => Some(number as f64),
            _ => None,
        }
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)?.what {
            What::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// What kind of value this is, in a person's words.
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Null => "empty",
            What::Bool(_) => "true or false",
            What::Int(_) | What::Float(_) => "a number",
            What::Text(_) => "a text",
            What::List(_) => "a list",
            What::Map(_) => "a mapping",
        }
    }
}
