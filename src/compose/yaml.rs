//! # YAML: from text to nodes
//!
//! The grammar of YAML is a library's business: `granit-parser` gives events (a scalar, a list begins, a mapping ends …), each with its
//! place. This room builds the tree, and does the three things that are above the grammar: anchors (`&base`, `*base`), merged keys
//! (`<<: *base`), and the rule that a key stands once.
//!
//! ```text
//!   x-base: &base {image: alpine}            services
//!   services:                        ──►       └ web
//!     web: {<<: *base, user: app}                 ├ image  "alpine"   at 1:16, where it was written
//!                                                 └ user   "app"      at 3:24
//! ```
//!
//! Laws: one file is one document; an alias is copied, so the copies are counted: ten lines can otherwise ask for a billion nodes; the
//! depth is bounded, here and by the library. *See:* YAML 1.2.2 · YAML merge key type. *Next room:* [`crate::scalar`]

use crate::{
    node::{self, At, Entry, Map, Node, What},
    scalar,
};
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use minidock_base::{Error, Result};
use std::{collections::HashMap, sync::Arc};

/// Nodes that one file may become; a large stack has some thousands.
const MOST_NODES: usize = 200_000;
/// How deep lists and mappings may stand in each other.
const MOST_DEPTH: usize = 64;

/// Reads a file's text; `file` is the name that messages show.
///
/// # Errors
/// What is not YAML, with its place; a key twice; an alias without an anchor; too large or too deep.
pub fn read(file: &str, text: &str) -> Result<Node> {
    let file: Arc<str> = file.into();
    let mut reader = Reader { events: Parser::new_from_str(text), file: file.clone(), anchors: HashMap::new(), nodes: 0 };
    let mut document = None;
    while let Some((event, at)) = reader.next()? {
        match event {
            Event::DocumentStart(..) if document.is_some() => {
                return Err(
                    refused(&at, "a second document begins here, and a Compose file is one").hint("remove the line with ---")
                );
            }
            Event::DocumentStart(..) => {
                let (first, at) = reader.must()?;
                document = Some(reader.node(first, at, 0)?);
            }
            _ => {}
        }
    }
    Ok(document.unwrap_or_else(|| Node::new(What::Null, &At { file, line: 1, column: 1 })))
}

/// A refusal that begins with its place, as compilers have it.
pub fn refused(at: &At, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{at}: {what}"))
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    file: Arc<str>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, At)>> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let at = self.at(span.start.line(), span.start.col());
                Ok(Some((event, at)))
            }
            Some(Err(wrong)) => {
                let at = self.at(wrong.marker().line(), wrong.marker().col());
                Err(refused(&at, format_args!("this is not YAML: {}", wrong.info())).hint(advice(&wrong.info())))
            }
        }
    }

    fn at(&self, line: usize, column: usize) -> At {
        At { file: self.file.clone(), line: line.max(1), column: column + 1 }
    }

    fn must(&mut self) -> Result<(Event<'a>, At)> {
        let end = self.at(1, 0);
        self.next()?.ok_or_else(|| refused(&end, "the file ends in the middle"))
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event<'a>, at: At, depth: usize) -> Result<Node> {
        self.count(1, &at)?;
        if depth > MOST_DEPTH {
            return Err(refused(&at, format_args!("nested more than {MOST_DEPTH} deep")));
        }
        let (what, anchor, tag) = match event {
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(refused(&at, "this alias stands for something that contains it"));
                };
                self.count(size(&node), &at)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => (scalar_of(&text, style, tag.as_deref()), anchor, tag),
            Event::SequenceStart(_, anchor, tag) => (What::List(self.list(depth)?), anchor, tag),
            Event::MappingStart(_, anchor, tag) => (What::Map(self.mapping(depth)?), anchor, tag),
            _ => return Err(refused(&at, "a value is missing here")),
        };
        let node = Node { tag: tag_of(tag.as_deref()), ..Node::new(what, &at) };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, at: &At) -> Result<()> {
        self.nodes = self.nodes.saturating_add(more);
        match self.nodes > MOST_NODES {
            true => {
                Err(refused(at, format_args!("more than {MOST_NODES} values")).hint("do aliases refer to aliases many times?"))
            }
            false => Ok(()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.must()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Map> {
        let (mut map, mut merged) = (Map::default(), Vec::new());
        loop {
            let (key, at) = match self.must()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, style, ..), _) if text == "<<" && style == ScalarStyle::Plain => {
                    merged.push(self.value(depth)?);
                    continue;
                }
                (event, at) => (self.node(event, at.clone(), depth + 1)?, at),
            };
            let Some(key) = scalar::shown(&key.what) else {
                return Err(refused(&at, format_args!("a key must be a word, and this is {}", key.kind())));
            };
            if let Some(first) = map.0.iter().find(|entry| entry.key == key) {
                return Err(refused(&at, format_args!("mapping key \"{key}\" already defined at line {}", first.at.line)));
            }
            let node = self.value(depth)?;
            map.0.push(Entry { key, at, node });
        }
        for node in merged {
            merge_keys(&mut map, node)?;
        }
        Ok(map)
    }

    fn value(&mut self, depth: usize) -> Result<Node> {
        let (event, at) = self.must()?;
        self.node(event, at, depth + 1)
    }
}

fn size(node: &Node) -> usize {
    match &node.what {
        What::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        What::Map(map) => 1 + map.0.iter().map(|entry| size(&entry.node)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> What {
    match tag.and_then(Tag::core_suffix) {
        Some("str") => What::Text(text.to_string()),
        _ if style == ScalarStyle::Plain => scalar::resolve(text),
        _ => What::Text(text.to_string()),
    }
}

/// Compose's own tags; any other says nothing here.
fn tag_of(tag: Option<&Tag>) -> node::Tag {
    match tag.map(|tag| (tag.handle(), tag.suffix())) {
        Some(("!", "reset")) => node::Tag::Reset,
        Some(("!", "override")) => node::Tag::Override,
        _ => node::Tag::None,
    }
}

/// `<<`: keys that are not there yet, from one mapping or several.
fn merge_keys(map: &mut Map, from: Node) -> Result<()> {
    match from.what {
        What::Map(more) => {
            for entry in more.0 {
                if map.get(&entry.key).is_none() {
                    map.0.push(entry);
                }
            }
            Ok(())
        }
        What::List(several) => several.into_iter().try_for_each(|one| match one.what {
            What::Map(_) => merge_keys(map, one),
            _ => Err(refused(&one.at, "map merge requires map or sequence of maps as the value")),
        }),
        _ => Err(refused(&from.at, "map merge requires map or sequence of maps as the value")),
    }
}

/// What to try for the commonest slips.
fn advice(info: &str) -> &'static str {
    match info {
        _ if info.contains("tab") => "indent with spaces: a tab is not allowed, here or on the next line",
        _ if info.contains("alias") || info.contains("anchor") => "define the anchor (&name) above its first use (*name)",
        _ if info.contains("quote") => "close the quotes",
        _ => "look at the indentation of this line and of the line above it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> Node {
        read("f.yml", text).expect("YAML")
    }

    #[test]
    fn every_value_knows_its_place() {
        let root = tree("services:\n  web:\n    image: alpine # the small one\n    ports: [\"80\", 81]\n");
        let web = root.get("services").and_then(|s| s.get("web")).expect("web");
        assert_eq!(web.get("image").map(|node| node.at.to_string()), Some("f.yml:3:12".into()));
        assert_eq!(web.get("ports").expect("ports").items()[1].at.to_string(), "f.yml:4:19");
        assert_eq!(web.entries()[1].at.to_string(), "f.yml:4:5");
        assert_eq!(web.get("ports").expect("ports").items()[0].what, What::Text("80".into()));
    }

    #[test]
    fn anchors_are_copied_and_merged_keys_yield_to_typed_ones() {
        let root = tree("x: &b {image: a, user: u}\ny: &c {tty: true, user: z}\nw: {<<: [*b, *c], image: c}\nv: *b\n");
        assert_eq!(root.get("w"), Some(&tree("{image: c, user: u, tty: true}")));
        assert_eq!(root.get("v").expect("v").at.line, 1);
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let why = |text: &str| read("f.yml", text).expect_err("a refusal").message();
        assert!(why("a: 1\n\tb: 2\n").contains("found a tab"));
        assert_eq!(why("a: 1\nb: 2\na: 3\n"), "f.yml:3:1: mapping key \"a\" already defined at line 1");
        assert_eq!(why("[a]: 1\n"), "f.yml:1:1: a key must be a word, and this is a list");
        assert!(why("a: b\n---\nc: d\n").starts_with("f.yml:2:1: a second document"));
        assert!(why("a: *b\n").starts_with("f.yml:1:"));
        assert!(why("a: {<<: 5}").contains("map merge requires"));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{aliases}]\n");
        }
        assert!(read("f.yml", &text).expect_err("a refusal").message().contains("more than 200000 values"));
        assert!(read("f.yml", &"[".repeat(5000)).is_err());
        assert!(read("f.yml", &"- ".repeat(5000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-c:\\-\\[\\]{}&*!|>'\"%@#?, \n\t<~0-9.]{0,60}") {
            let _ = read("f.yml", &text);
        }

        #[test]
        fn nor_does_any_other(text in "\\PC{0,60}") {
            let _ = read("f.yml", &text);
        }
    }
}
