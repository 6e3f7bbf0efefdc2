//! # Writing YAML: trees to text
//!
//! The other way round, as `stack config` prints and `stack convert` writes: blocks indented by two, no quotes unless they are needed,
//! long texts as blocks (`|`). The rules for quotes are those of Docker's writer, so that the two outputs can be compared.
//!
//! ```text
//!   Text("80:80")  80:80          Text("y")  "y"   another reader would take it for a truth
//!   Text("a: b")   'a: b'         Text("a\nb\n")   |  and two lines
//! ```
//!
//! Law: what is written is read back as the same tree (tested with any tree). *See:* YAML 1.2 §7, §8 · libyaml emitter.c.
//! *Next room:* [`crate::interpolate`]

use crate::{
    node::{Map, Node, What},
    scalar,
};
use std::fmt::Write;

/// A tree as a document, with a new line at its end.
pub fn write(node: &Node) -> String {
    let mut out = String::new();
    match &node.what {
        What::Map(map) if !map.0.is_empty() => mapping(&mut out, map, 0, false),
        What::List(items) if !items.is_empty() => list(&mut out, items, 0),
        other => {
            scalar_text(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, map: &Map, depth: usize, mut inline: bool) {
    for entry in &map.0 {
        indent(out, if inline { 0 } else { depth });
        inline = false;
        key(out, &entry.key);
        out.push(':');
        value(out, &entry.node, depth);
    }
}

/// A key is never a block: quotes with escapes say everything.
fn key(out: &mut String, text: &str) {
    if text.contains('\n') { double(out, text) } else { text_of(out, text, 0) }
}

/// What stands behind a colon.
fn value(out: &mut String, node: &Node, depth: usize) {
    match &node.what {
        What::Map(map) if !map.0.is_empty() => {
            out.push('\n');
            mapping(out, map, depth + 1, false);
        }
        What::List(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, depth + 1);
        }
        other => {
            out.push(' ');
            scalar_text(out, other, depth + 1);
            out.push('\n');
        }
    }
}

fn list(out: &mut String, items: &[Node], depth: usize) {
    for item in items {
        indent(out, depth);
        out.push('-');
        match &item.what {
            What::Map(map) if !map.0.is_empty() => {
                out.push(' ');
                mapping(out, map, depth + 1, true);
            }
            What::List(more) if !more.is_empty() => {
                out.push('\n');
                list(out, more, depth + 1);
            }
            other => {
                out.push(' ');
                scalar_text(out, other, depth + 1);
                out.push('\n');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn scalar_text(out: &mut String, what: &What, depth: usize) {
    match what {
        What::Null => out.push_str("null"),
        What::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        What::Int(number) => out.push_str(&number.to_string()),
        What::Float(number) if number.is_nan() => out.push_str(".nan"),
        What::Float(number) if number.is_infinite() => out.push_str(if *number > 0.0 { ".inf" } else { "-.inf" }),
        What::Float(number) => {
            let text = scalar::shown(&What::Float(*number)).unwrap_or_default();
            out.push_str(&text);
            // a whole number would come back as an integer
            out.push_str(if text.contains(['.', 'e']) { "" } else { ".0" });
        }
        What::Text(text) => text_of(out, text, depth),
        What::List(_) => out.push_str("[]"),
        What::Map(_) => out.push_str("{}"),
    }
}

/// A text: bare, in quotes, or as a block of lines.
fn text_of(out: &mut String, text: &str, depth: usize) {
    if scalar::is_ambiguous(text) {
        double(out, text);
    } else if text.contains('\n') && can_be_block(text) {
        block(out, text, depth);
    } else if !text.chars().all(is_printable) {
        double(out, text);
    } else if can_be_bare(text) {
        out.push_str(text);
    } else {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

fn is_printable(c: char) -> bool {
    (' '..='~').contains(&c)
        || (c >= '\u{a0}' && c != '\u{feff}' && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'))
}

fn can_be_bare(text: &str) -> bool {
    let mut before = ' ';
    let letters: Vec<char> = text.chars().collect();
    for (at, c) in letters.iter().enumerate() {
        let last_or_space = letters.get(at + 1).is_none_or(|next| *next == ' ');
        let indicator = match c {
            '#' => before == ' ',
            ':' => last_or_space,
            '-' | '?' => at == 0 && last_or_space,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => at == 0,
            _ => false,
        };
        if indicator {
            return false;
        }
        before = *c;
    }
    !text.starts_with([' ']) && !text.ends_with([' ']) && !text.starts_with("---") && !text.starts_with("...")
}

/// Only lines that a block keeps as they are.
fn can_be_block(text: &str) -> bool {
    let lines_end_well = !text.contains(" \n") && !text.ends_with(' ');
    let begins_well = !text.starts_with([' ', '\n']);
    lines_end_well && begins_well && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn block(out: &mut String, text: &str, depth: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth.max(1));
            out.push_str(line);
        }
    }
    // the caller ends the last line
    out.extend(std::iter::repeat_n('\n', (text.len() - body.len()).saturating_sub(1)));
}

fn double(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\0' => out.push_str("\\0"),
            '\u{1b}' => out.push_str("\\e"),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => {
                let _ = write!(out, "\\x{:02X}", c as u32);
            }
            c if (c as u32) < 0x10000 => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08X}", c as u32);
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::{At, Entry},
        yaml,
    };
    use proptest::prelude::*;

    fn at() -> At {
        At { file: "t".into(), line: 1, column: 1 }
    }

    #[test]
    fn quotes_stand_where_docker_puts_them() {
        let show = |text: &str| {
            let mut out = String::new();
            text_of(&mut out, text, 1);
            out
        };
        let bare =
            ["?a", ":a", "=", "<<", "a,b", ".", "a  b", "it's", "80:80", "node.role == manager", "curl -f http://x", "é"];
        bare.into_iter().for_each(|text| assert_eq!(show(text), text));
        let single = [
            ("a: b", "'a: b'"),
            ("#x", "'#x'"),
            ("x #y", "'x #y'"),
            ("- a", "'- a'"),
            ("'q", "'''q'"),
            ("%a", "'%a'"),
            ("a:", "'a:'"),
        ];
        single.into_iter().for_each(|(text, quoted)| assert_eq!(show(text), quoted));
        let double = [
            ("y", "\"y\""),
            ("1:20", "\"1:20\""),
            ("a\tb", "\"a\\tb\""),
            ("", "\"\""),
            ("a \nb", "\"a \\nb\""),
            ("\u{7}", "\"\\a\""),
        ];
        double.into_iter().for_each(|(text, quoted)| assert_eq!(show(text), quoted));
        assert_eq!(show("a\nb\n"), "|\n  a\n  b");
        assert_eq!(show("a\nb"), "|-\n  a\n  b");
    }

    #[test]
    fn blocks_are_indented_by_two() {
        let text = "version: \"3\"\nservices:\n  a:\n    ports:\n      - mode: ingress\n        target: 80\n    networks:\n      \"n\": null\nnetworks:\n  front: {}\nlist:\n  - a\n  - []\n";
        assert_eq!(write(&yaml::read("t", text).expect("YAML")), text);
    }

    fn tree() -> impl Strategy<Value = Node> {
        let text = prop_oneof!["\\PC{0,8}", "[a-c:# \\-'\"\n\t?,\\[{&*|>%@!]{0,8}", "(\n| |a){0,6}"];
        let leaf = prop_oneof![
            Just(What::Null),
            any::<bool>().prop_map(What::Bool),
            any::<i64>().prop_map(What::Int),
            (-1e30f64..1e30).prop_map(What::Float),
            text.prop_map(What::Text),
        ]
        .prop_map(|what| Node::new(what, &at()));
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| Node::new(What::List(items), &at())),
                prop::collection::btree_map("[a-z#: \n'\"-]{0,5}", inner, 0..4).prop_map(|entries| {
                    let entry = |(key, node)| Entry { key, at: at(), node };
                    Node::new(What::Map(Map(entries.into_iter().map(entry).collect())), &at())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(node in tree()) {
            let text = write(&node);
            let back = yaml::read("t", &text);
            prop_assert!(back.as_ref().is_ok_and(|back| *back == node), "{text}\n{back:?}");
        }
    }
}
