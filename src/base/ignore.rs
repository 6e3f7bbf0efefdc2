//! # Ignore: which files of a build context stay at home
//!
//! `.dockerignore` is a list of patterns; what matches is not sent to the builder. It looks like `.gitignore` and is not:
//! patterns are anchored at the context's root, `foo` does not match `a/foo`, and the *last* pattern that matches decides.
//!
//! ```text
//!   # comment            *          anything but a slash           !README.md   an exception: sent all the same
//!   *.log                ?          one character but a slash      /src, src/   the same as src
//!   **/*.tmp             **         any folders, or none           [a-c] \*     classes and escapes, as Go's filepath.Match
//! ```
//!
//! * [`Patterns::read`] takes the file's text; [`Patterns::excludes`] decides about one path; [`Patterns::may_skip`] says
//!   whether a whole excluded folder can be passed over, or an exception may lie below it.
//! * [`matches`] is one pattern against one path: `COPY *.txt` and `--exclude` ask it too.
//!
//! The client filters before it sends and the daemon asks again about the Dockerfile itself: two floors, so it lives here.
//! Laws: a path below an excluded folder is excluded; matching is linear in the path for each pattern, whatever the stars.
//! See: moby/patternmatcher, Dockerfile reference ".dockerignore". Next room: [`crate::state_file`]

use crate::{Error, Result};

/// The patterns of one `.dockerignore`, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    all: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    /// `!`: what matches is kept.
    exception: bool,
    parts: Vec<Part>,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Just(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `**` at the end, or glued to other text: anything, slashes too.
    All,
    /// `**/`: nothing, or anything that ends with a slash.
    Folders,
    /// `[a-c]`, `[^a-c]`: never a slash.
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Patterns {
    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    /// A pattern that is none (`[a`, a backslash at the end, a lonely `!`), named with its line.
    pub fn read(text: &str) -> Result<Patterns> {
        let mut lines = Vec::new();
        for (nth, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push((nth + 1, line));
            }
        }
        let all = lines
            .into_iter()
            .map(|(nth, line)| pattern(line).map_err(|e| Error::invalid(format!(".dockerignore:{nth}: {}", e.cause()))));
        Ok(Patterns { all: all.collect::<Result<_>>()? })
    }

    /// The same from a list of patterns: `--exclude a --exclude b`.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn of<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Patterns> {
        Ok(Patterns { all: list.into_iter().map(pattern).collect::<Result<_>>()? })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether `path` (relative, plain components) is left out. The last pattern that matches it or a folder above it decides.
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for pattern in &self.all {
            if pattern.exception == excluded && pattern.covers(path) {
                excluded = !pattern.exception;
            }
        }
        excluded
    }

    /// Whether nothing below the excluded folder `path` can be wanted: no exception begins with it.
    pub fn may_skip(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        !self.all.iter().any(|p| p.exception && format!("{}/", p.text).starts_with(&folder))
    }

    /// The same patterns with one more exception: the Dockerfile is sent even if a pattern covers it.
    pub fn but_keep(mut self, path: &str) -> Patterns {
        let parts = path.chars().map(Part::Just).collect();
        self.all.push(Pattern { text: path.to_string(), exception: true, parts });
        self
    }
}

impl Pattern {
    /// Matches the path itself or a folder above it.
    fn covers(&self, path: &str) -> bool {
        let ends = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at).chain([path.len()]);
        let reached = reach(&self.parts, path);
        ends.into_iter().any(|end| reached.contains(&end))
    }
}

/// Whether one pattern matches the whole of one path, as in `.dockerignore`.
///
/// # Errors
/// A pattern that is none.
pub fn matches(text: &str, path: &str) -> Result<bool> {
    Ok(reach(&parse(text)?, path).contains(&path.len()))
}

fn pattern(line: &str) -> Result<Pattern> {
    let (exception, text) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    if exception && text.is_empty() {
        return Err(Error::invalid("illegal exclusion pattern: \"!\""));
    }
    let text = clean(text);
    Ok(Pattern { parts: parse(&text)?, exception, text })
}

/// Go's `filepath.Clean`, then without the slash in front.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if text.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => ".".into(),
        false => parts.join("/"),
    }
}

fn parse(text: &str) -> Result<Vec<Part>> {
    let bad = || Error::invalid(format!("syntax error in pattern {text:?}"));
    let (mut parts, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' if chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                match chars.next_if_eq(&'/') {
                    Some(_) => Part::Folders,
                    None => Part::All,
                }
            }
            '*' => Part::Many,
            '?' => Part::One,
            '\\' => Part::Just(chars.next().ok_or_else(bad)?),
            '[' => class(&mut chars).ok_or_else(bad)?,
            c => Part::Just(c),
        });
    }
    Ok(parts)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Part> {
    let not = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    let one = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next()? {
        '\\' => chars.next(),
        c => Some(c),
    };
    while chars.peek().is_some_and(|c| *c != ']' || ranges.is_empty()) {
        let low = one(chars)?;
        let high = match chars.next_if_eq(&'-') {
            Some(_) => one(chars)?,
            None => low,
        };
        ranges.push((low, high));
    }
    chars.next_if_eq(&']').map(|_| Part::Class { not, ranges })
}

/// All ends (byte offsets) of beginnings of `path` that the pattern matches: every way through the pattern at once.
fn reach(parts: &[Part], path: &str) -> Vec<usize> {
    let mut states = vec![false; parts.len() + 1];
    let mut ends = Vec::new();
    states[0] = true;
    pass(parts, &mut states);
    for (at, c) in path.char_indices() {
        if states[parts.len()] {
            ends.push(at);
        }
        let mut next = vec![false; parts.len() + 1];
        for (n, part) in parts.iter().enumerate().filter(|(n, _)| states[*n]) {
            match part {
                Part::Just(wanted) if *wanted == c => next[n + 1] = true,
                Part::One if c != '/' => next[n + 1] = true,
                Part::Many if c != '/' => next[n] = true,
                Part::All => next[n] = true,
                Part::Folders if c == '/' => (next[n], next[n + 1]) = (true, true),
                Part::Folders => next[n] = true,
                Part::Class { not, ranges } if c != '/' => {
                    let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                    next[n + 1] |= within != *not;
                }
                _ => {}
            }
        }
        // in the middle of `**/` one may not go on before the next slash
        let inside: Vec<bool> = parts.iter().enumerate().map(|(n, p)| *p == Part::Folders && next[n] && c != '/').collect();
        pass_but(parts, &mut next, &inside);
        states = next;
    }
    if states[parts.len()] {
        ends.push(path.len());
    }
    ends
}

/// Goes past parts that may match nothing.
fn pass(parts: &[Part], states: &mut [bool]) {
    pass_but(parts, states, &vec![false; parts.len()]);
}

fn pass_but(parts: &[Part], states: &mut [bool], held: &[bool]) {
    for (n, part) in parts.iter().enumerate() {
        if states[n] && matches!(part, Part::Many | Part::All | Part::Folders) && !held[n] {
            states[n + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_anchored_at_the_root() {
        for (pattern, path, wanted) in [
            ("foo", "foo", true),
            ("foo", "a/foo", false),
            ("*/foo", "a/foo", true),
            ("*.log", "x.log", true),
            ("*.log", "a/x.log", false),
            ("**/*.log", "x.log", true),
            ("**/*.log", "a/b/x.log", true),
            ("**/*.log", "a/b/xlog", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/bz", false),
            ("?", "x", true),
            ("?", "/", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a]x", "/x", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a**b", "a/x/b", true),
        ] {
            assert_eq!(matches(pattern, path).expect("a pattern"), wanted, "{pattern} {path}");
        }
        assert!(matches("[a", "a").is_err() && matches("a\\", "a").is_err());
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let list = Patterns::read("# all text\n*.md\n!README*.md\nREADME-secret.md\n/node_modules/\n./tmp\n").expect("fine");
        for (path, excluded) in [
            ("a.md", true),
            ("README.md", false),
            ("README-secret.md", true),
            ("node_modules", true),
            ("node_modules/x/y", true),
            ("src/node_modules", false),
            ("tmp/x", true),
            ("x.rs", false),
        ] {
            assert_eq!(list.excludes(path), excluded, "{path}");
        }
    }

    #[test]
    fn an_excluded_folder_is_passed_over_unless_an_exception_begins_with_it() {
        let list = Patterns::read("a\nb\n!b/keep").expect("fine");
        assert!(list.may_skip("a") && !list.may_skip("b"));
        assert!(list.excludes("b/x") && !list.excludes("b/keep") && !list.excludes("b/keep/deeper"));
        assert!(!list.but_keep("a").excludes("a"));
        let error = Patterns::read("ok\n[").unwrap_err();
        assert!(error.message().starts_with(".dockerignore:2:"), "{}", error.message());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_plain_name_matches_itself(text in "[ -~\n]{0,40}", path in "[a-z*/]{0,20}", name in "[a-z/]{1,12}") {
            if let Ok(list) = Patterns::read(&text) {
                let _ = (list.excludes(&path), list.may_skip(&path));
            }
            prop_assert!(matches(&name, &name).expect("plain"));
        }
    }
}
