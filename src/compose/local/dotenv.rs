//! # `.env`: variables in a shell's clothes
//!
//! `docker run --env-file` takes each line as it is. Compose's files are written like shell scripts: with `export`, quotes, comments
//! behind values and variables within them, though nothing is ever executed.
//!
//! ```text
//!   A=1                      A is 1                    # a comment
//!   B="two\nlines"  # more   escapes count, variables count
//!   C='as $it is'            nothing counts
//!   D=${A}-$B                variables of this file, or of whoever asks
//!   export E=5
//!   F                        F has the value it has outside, if any
//! ```
//!
//! * [`read`] gives names and values in order; [`Lookup`] answers for what is not in the file.
//!
//! *See:* compose-spec `05-services.md` env_file format. *Next room:* [`super::read`](mod@super::read)

use crate::interpolate::{Lookup, substitute};

/// The variables of a file; of a name without a value only what is known outside.
///
/// # Errors
/// A line without a name, a name that is none, quotes that do not close, a dollar that means nothing; each with its line.
pub fn read(bytes: &[u8], outside: Lookup) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "this is no text (not UTF-8)".to_string())?;
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let wrong = |why: String| format!("line {line}: {why}");
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let trimmed = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
        let Some(end) = trimmed.find(['=', ':']) else {
            let name = named(trimmed).map_err(wrong)?;
            found.extend(outside(name).map(|value| (name.to_string(), value)));
            rest = after;
            continue;
        };
        let name = named(trimmed[..end].trim()).map_err(wrong)?.to_string();
        // where the value begins in the whole text: it may go on over several lines
        let offset = first.find(&trimmed[..=end]).map_or(0, |at| at + end + 1);
        let (value, left) = value(&rest[offset..]).map_err(wrong)?;
        let value = match value {
            Value::Plain(text) => text,
            Value::Variables(text) => {
                let known = |name: &str| {
                    outside(name)
                        .or_else(|| found.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
                };
                substitute(&text, &known, &mut Vec::new()).map_err(|_| wrong(format!("invalid interpolation in {text:?}")))?
            }
        };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => found.push((name, value)),
        }
        rest = left;
    }
    Ok(found)
}

fn named(name: &str) -> Result<&str, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    match name {
        "" => Err("a variable without a name".into()),
        name if name.chars().all(is_word) => Ok(name),
        name => Err(format!("unexpected character in variable name {name:?}")),
    }
}

enum Value {
    Plain(String),
    /// With variables in it.
    Variables(String),
}

/// A value and what follows its line.
fn value(text: &str) -> Result<(Value, &str), String> {
    let begun = text.trim_start_matches([' ', '\t']);
    let line = |text: &str| text.find('\n').unwrap_or(text.len());
    let behind = |text: &str, at: usize| -> usize { (at + line(&text[at..]) + 1).min(text.len()) };
    match begun.chars().next() {
        Some('\'') => {
            let end = begun[1..].find('\'').ok_or("unterminated quoted value")? + 1;
            Ok((Value::Plain(begun[1..end].to_string()), &begun[behind(begun, end)..]))
        }
        Some('"') => {
            let (mut out, mut letters) = (String::new(), begun[1..].char_indices());
            while let Some((at, c)) = letters.next() {
                match c {
                    '"' => return Ok((Value::Variables(out), &begun[behind(begun, at + 1)..])),
                    '\\' => match letters.next().ok_or("unterminated quoted value")?.1 {
                        'n' => out.push('\n'),
                        'r' => out.push('\r'),
                        't' => out.push('\t'),
                        '$' => out.push_str("$$"),
                        other => out.push(other),
                    },
                    c => out.push(c),
                }
            }
            Err("unterminated quoted value".into())
        }
        _ => {
            let whole = &begun[..line(begun)];
            // a comment has a blank in front
            let comment = whole.char_indices().find(|(at, c)| *c == '#' && (*at == 0 || whole[..*at].ends_with([' ', '\t'])));
            let value = &whole[..comment.map_or(whole.len(), |(at, _)| at)];
            Ok((Value::Variables(value.trim_end().to_string()), &begun[behind(begun, 0)..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outside(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".into())
    }

    fn pairs(text: &str) -> String {
        let pairs = read(text.as_bytes(), &outside).unwrap_or_else(|why| panic!("{why}"));
        pairs.iter().map(|(name, value)| format!("{name}<{value}>")).collect()
    }

    #[test]
    fn a_file_is_written_like_a_shell_script() {
        assert_eq!(pairs("# c\n\nA=1\n  B = two words  # more\nexport C=5\r\nA=2"), "A<2>B<two words>C<5>");
        assert_eq!(pairs("A='as $it # is'  # c\nB=\"l1\\nl2 \\$x\"\nC=\"a\nb\"\nD=\n"), "A<as $it # is>B<l1\nl2 $x>C<a\nb>D<>");
        assert_eq!(
            pairs("A=1\nB=${A}-$HOME-${NO:-d}\nC=x#y\nD=#y\nHOME\nNOPE\nE: f"),
            "A<1>B<1-/root-d>C<x#y>D<>HOME</root>E<f>"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let why = |text: &str| read(text.as_bytes(), &outside).expect_err("a refusal");
        assert_eq!(why("A=1\n=x"), "line 2: a variable without a name");
        assert_eq!(why("A='x\ny"), "line 1: unterminated quoted value");
        assert_eq!(why("\nA B=1"), "line 2: unexpected character in variable name \"A B\"");
        assert_eq!(why("A=$"), "line 1: invalid interpolation in \"$\"");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "[A-C=:'\"$#{}\\\\ \n\té]{0,40}") {
            let _ = read(text.as_bytes(), &outside);
        }

        #[test]
        fn what_is_in_single_quotes_comes_back(value in "[^'\\r]{0,20}") {
            prop_assert_eq!(read(format!("A='{value}'\nB=1").as_bytes(), &outside), Ok(vec![("A".into(), value), ("B".into(), "1".into())]));
        }
    }
}
