//! # Expand: `$VAR`, `${VAR:-x}` and quotes
//!
//! Most instructions may name variables: what `ENV` has set, and what `ARG` has declared. The rules look like a shell's and
//! are simpler: no commands, no arithmetic, no splitting.
//!
//! ```text
//!   $NAME ${NAME}       the value, or nothing            'as it is'    "with $variables"    \$ or `$: a dollar
//!   ${N:-x} ${N-x}      x if empty or unset | if unset   ${N#p} ${N##p}   without its shortest | longest beginning like p
//!   ${N:+x} ${N+x}      x if set and not empty | if set  ${N%p} ${N%%p}   without its shortest | longest end like p
//!   ${N:?x} ${N?x}      an error that says x             ${N/p/r} ${N//p/r}   the first | every p replaced by r
//! ```
//!
//! * [`word`] gives one word with quotes taken off, [`words`] several, split at blanks that stood outside of quotes.
//!
//! Laws: `x`, `p` and `r` may name variables themselves, to a depth; a value never grows beyond [`LONGEST`], so doubling a
//! variable forty times is an error and not the end of the machine. See: buildkit `frontend/dockerfile/shell/lex.go`.
//! Next room: [`crate::scope`]

use minidock_base::{Error, Result};
use std::{iter::Peekable, str::Chars};

/// The longest text that variables may make.
pub const LONGEST: usize = 1 << 20;

/// `${a:-${b:-…}}`: how deep.
const DEEPEST: usize = 32;

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables in one word and takes quotes off.
///
/// # Errors
/// A quote or brace that does not end, a modifier that is none, `${X:?why}`.
pub fn word(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String> {
    Ok(expand(text, escape, lookup)?.0)
}

/// Replaces variables and splits the result into words.
///
/// # Errors
/// As [`word`].
pub fn words(text: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>> {
    Ok(expand(text, escape, lookup)?.1)
}

/// Replaces variables in a document, where quotes are only characters and `\\$` is a dollar.
///
/// # Errors
/// As [`word`].
pub fn document(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String> {
    let mut reader = Reader { chars: text.chars().peekable(), escape, lookup, depth: 0, raw: false };
    let mut out = Out::default();
    while let Some(c) = reader.chars.next() {
        match c {
            '$' => reader.dollar(&mut out)?,
            c if c == escape => match reader.chars.next_if(|next| *next == '$' || *next == escape) {
                Some(next) => out.push(next)?,
                None => out.push(c)?,
            },
            c => out.push(c)?,
        }
    }
    Ok(out.all)
}

fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<(String, Vec<String>)> {
    let mut reader = Reader { chars: text.chars().peekable(), escape, lookup, depth: 0, raw: false };
    let mut out = Out::default();
    reader.text(None, &mut out)?;
    out.end_word();
    Ok((out.all, out.words))
}

/// The text so far, and the same in words.
#[derive(Default)]
struct Out {
    all: String,
    words: Vec<String>,
    word: Option<String>,
}

impl Out {
    fn push(&mut self, c: char) -> Result<()> {
        self.push_str(c.encode_utf8(&mut [0; 4]))
    }

    fn push_str(&mut self, text: &str) -> Result<()> {
        if self.all.len() + text.len() > LONGEST {
            return Err(Error::invalid(format!("a value grows beyond {LONGEST} bytes"))
                .hint("does a variable hold itself, many times over?"));
        }
        self.all.push_str(text);
        self.word.get_or_insert_default().push_str(text);
        Ok(())
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
    depth: usize,
    /// Escapes stay where they are: a pattern is read, which has its own.
    raw: bool,
}

impl Reader<'_> {
    /// Reads up to `stop` (which is consumed) or the end.
    fn text(&mut self, stop: Option<&[char]>, out: &mut Out) -> Result<()> {
        let ends = |c: &char| stop.is_some_and(|stop| stop.contains(c));
        while let Some(c) = self.chars.peek().copied().filter(|c| !ends(c)) {
            self.chars.next();
            match c {
                '\'' => {
                    out.push_str("")?;
                    loop {
                        match self.chars.next() {
                            Some('\'') => break,
                            Some(c) => out.push(c)?,
                            None => return Err(unmatched('\'')),
                        }
                    }
                }
                '"' => self.double(out)?,
                '$' => self.dollar(out)?,
                c if c == self.escape => {
                    let next = self.chars.next();
                    if self.raw || next.is_none() {
                        out.push(c)?;
                    }
                    next.into_iter().try_for_each(|next| out.push(next))?;
                }
                c if c.is_whitespace() && stop.is_none() => {
                    out.end_word();
                    out.all.push(c);
                }
                c => out.push(c)?,
            }
        }
        Ok(())
    }

    fn double(&mut self, out: &mut Out) -> Result<()> {
        out.push_str("")?;
        loop {
            match self.chars.next() {
                Some('"') => return Ok(()),
                Some('$') => self.dollar(out)?,
                Some(c) if c == self.escape => match self.chars.peek().copied() {
                    Some(next) if matches!(next, '"' | '$') || next == self.escape => {
                        self.chars.next();
                        out.push(next)?;
                    }
                    _ => out.push(c)?,
                },
                Some(c) => out.push(c)?,
                None => return Err(unmatched('"')),
            }
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self, out: &mut Out) -> Result<()> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            if name.is_empty() {
                return out.push('$');
            }
            return out.push_str(&(self.lookup)(&name).unwrap_or_default());
        }
        if self.chars.peek() == Some(&'}') {
            return Err(Error::invalid("bad substitution: ${} names no variable"));
        }
        let name = self.name();
        if name.is_empty() {
            return Err(Error::invalid("bad substitution: a name is expected behind ${"));
        }
        let value = (self.lookup)(&name);
        match self.chars.next() {
            Some('}') => out.push_str(&value.unwrap_or_default()),
            Some(':') => match self.chars.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.default(&name, value, modifier, true, out),
                other => Err(unsupported(other)),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.default(&name, value, modifier, false, out),
            Some(side @ ('#' | '%')) => {
                let longest = self.chars.next_if_eq(&side).is_some();
                let pattern = Glob::read(&self.inner(&['}'], true)?.0);
                out.push_str(&trimmed(&value.unwrap_or_default(), &pattern, side == '#', longest))
            }
            Some('/') => {
                let every = self.chars.next_if_eq(&'/').is_some();
                let (pattern, end) = self.inner(&['/', '}'], true)?;
                let with = if end == '}' { String::new() } else { self.inner(&['}'], false)?.0 };
                out.push_str(&replaced(&value.unwrap_or_default(), &Glob::read(&pattern), &with, every)?)
            }
            None => Err(missing_brace()),
            other => Err(unsupported(other)),
        }
    }

    fn default(&mut self, name: &str, value: Option<String>, modifier: char, empty_too: bool, out: &mut Out) -> Result<()> {
        let other = self.inner(&['}'], false)?.0;
        let given = value.filter(|value| !(empty_too && value.is_empty()));
        match (modifier, given) {
            ('+', given) => out.push_str(&given.map(|_| other).unwrap_or_default()),
            (_, Some(value)) => out.push_str(&value),
            ('?', None) => {
                let why = if other.is_empty() { "is not allowed to be empty" } else { &other };
                Err(Error::invalid(format!("{name}: {why}")))
            }
            (_, None) => out.push_str(&other),
        }
    }

    /// The text behind a modifier, up to one of `stops`: that one, too.
    fn inner(&mut self, stops: &[char], raw: bool) -> Result<(String, char)> {
        if self.depth >= DEEPEST {
            return Err(Error::invalid(format!("more than {DEEPEST} substitutions within each other")));
        }
        let (outer_raw, mut out) = (std::mem::replace(&mut self.raw, raw), Out::default());
        self.depth += 1;
        self.text(Some(stops), &mut out)?;
        self.depth -= 1;
        self.raw = outer_raw;
        let end = self.chars.next().ok_or_else(missing_brace)?;
        Ok((out.all, end))
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.chars.peek().is_some_and(char::is_ascii_digit) {
            while let Some(c) = self.chars.next_if(char::is_ascii_digit) {
                name.push(c);
            }
            return name;
        }
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }
}

#[track_caller]
fn unmatched(quote: char) -> Error {
    Error::invalid(format!("unexpected end of statement while looking for matching {quote}"))
}

#[track_caller]
fn missing_brace() -> Error {
    Error::invalid("syntax error: missing '}'")
}

#[track_caller]
fn unsupported(modifier: Option<char>) -> Error {
    match modifier {
        Some(c) => Error::invalid(format!("unsupported modifier ({c}) in substitution")).hint(":-, :+, :?, #, %, / are known"),
        None => missing_brace(),
    }
}

/// A shell's pattern: `*`, `?`, and characters as they are.
struct Glob(Vec<Step>);

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Just(char),
    One,
    Many,
}

impl Glob {
    fn read(text: &str) -> Glob {
        let (mut steps, mut chars) = (Vec::new(), text.chars());
        while let Some(c) = chars.next() {
            steps.push(match c {
                '*' => Step::Many,
                '?' => Step::One,
                '\\' => Step::Just(chars.next().unwrap_or(c)),
                c => Step::Just(c),
            });
        }
        Glob(steps)
    }

    fn reversed(&self) -> Glob {
        Glob(self.0.iter().rev().copied().collect())
    }

    /// How many characters at the beginning match: the fewest or the most. All ways at once, so no pattern is slow.
    fn beginning(&self, text: &[char], longest: bool) -> Option<usize> {
        let steps = &self.0;
        let mut states = vec![false; steps.len() + 1];
        states[0] = true;
        let mut found = None;
        for at in 0..=text.len() {
            for n in 0..steps.len() {
                states[n + 1] |= states[n] && steps[n] == Step::Many;
            }
            if states[steps.len()] {
                found = Some(at);
                if !longest {
                    return found;
                }
            }
            let Some(c) = text.get(at) else { break };
            let mut next = vec![false; steps.len() + 1];
            for n in (0..steps.len()).filter(|n| states[*n]) {
                match steps[n] {
                    Step::Just(wanted) => next[n + 1] |= wanted == *c,
                    Step::One => next[n + 1] = true,
                    Step::Many => next[n] = true,
                }
            }
            if !next.contains(&true) {
                break;
            }
            states = next;
        }
        found
    }
}

fn trimmed(value: &str, pattern: &Glob, front: bool, longest: bool) -> String {
    let mut chars: Vec<char> = value.chars().collect();
    if !front {
        chars.reverse();
    }
    let cut = if front { pattern.beginning(&chars, longest) } else { pattern.reversed().beginning(&chars, longest) };
    let mut rest = chars.split_off(cut.unwrap_or(0));
    if !front {
        rest.reverse();
    }
    rest.into_iter().collect()
}

/// Each place is tried once, and a long value may not make that quadratic: it is bounded like everything here.
fn replaced(value: &str, pattern: &Glob, with: &str, every: bool) -> Result<String> {
    const WORK: usize = 4 << 20;
    let chars: Vec<char> = value.chars().collect();
    if chars.len().saturating_mul(chars.len()).saturating_mul(pattern.0.len().max(1)) > WORK * 64
        && pattern.0.contains(&Step::Many)
    {
        return Err(Error::invalid("a value is too long to replace a pattern with * in it"));
    }
    let (mut out, mut at, mut done) = (String::new(), 0, false);
    while at < chars.len() {
        let length = if done { None } else { pattern.beginning(&chars[at..], true).filter(|n| *n > 0) };
        match length {
            Some(length) => {
                out.push_str(with);
                at += length;
                done = !every;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
        if out.len() > LONGEST {
            return Err(Error::invalid(format!("a value grows beyond {LONGEST} bytes")));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Option<String> {
        let known = [("A", "1"), ("E", ""), ("P", "/usr/local/bin"), ("F", "a.tar.gz"), ("S", "x y")];
        known.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn variables_are_replaced_as_a_dockerfile_does() {
        for (text, wanted) in [
            ("$A${A}x", "11x"),
            ("'$A' \"$A\" \\$A", "$A 1 $A"),
            ("${N:-d}${E:-d}${E-d}${N-d}", "ddd"),
            ("${A:+y}${E:+y}${E+y}${N+y}", "yy"),
            ("${N:-${A}b}", "1b"),
            ("${P#*/}|${P##*/}|${P%/*}|${P%%/*}", "usr/local/bin|bin|/usr/local|"),
            ("${F%.gz}${F#b}", "a.tara.tar.gz"),
            ("${P/local/share}${P//\\//_}", "/usr/share/bin_usr_local_bin"),
            ("${F/a?/-}", "-tar.gz"),
            ("$N-$", "-$"),
            ("\"a\\\"b\\c\"", "a\"b\\c"),
            ("$A.b", "1.b"),
        ] {
            assert_eq!(word(text, '\\', &lookup).expect(text), wanted, "{text}");
        }
        assert_eq!(word("`$A", '`', &lookup).expect("fine"), "$A");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("${N:?gone}", "N: gone"),
            ("'x", "matching '"),
            ("\"x", "matching \""),
            ("${A", "missing '}'"),
            ("${A^}", "unsupported modifier (^)"),
            ("${}", "names no variable"),
        ] {
            let error = word(text, '\\', &lookup).unwrap_err().message();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn words_are_split_where_no_quotes_are() {
        assert_eq!(words("80 $A \"a b\" c\\ d $S ''", '\\', &lookup).expect("fine"), ["80", "1", "a b", "c d", "x y", ""]);
    }

    #[test]
    fn a_variable_that_doubles_itself_is_an_error_and_nests_end() {
        let mut value = "x".repeat(1000);
        let failed = (0..40).find_map(|_| match word("$A$A", '\\', &|_| Some(value.clone())) {
            Ok(longer) => {
                value = longer;
                None
            }
            Err(error) => Some(error.message()),
        });
        assert!(failed.expect("an end").contains("grows beyond"));
        let deep = format!("{}x{}", "${N:-".repeat(500), "}".repeat(500));
        assert!(word(&deep, '\\', &lookup).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_plain_text_stays(text in "[ -~]{0,60}", plain in "[a-z0-9./=-]{0,20}") {
            let _ = word(&text, '\\', &lookup);
            let _ = words(&text, '`', &lookup);
            prop_assert_eq!(word(&plain, '\\', &lookup).expect("plain"), plain);
        }

        #[test]
        fn trimming_never_makes_longer(value in "[ab/]{0,20}", pattern in "[ab/*?]{0,6}") {
            for (front, longest) in [(true, true), (true, false), (false, true), (false, false)] {
                let cut = trimmed(&value, &Glob::read(&pattern), front, longest);
                let sided = if front { value.ends_with(&cut) } else { value.starts_with(&cut) };
                prop_assert!(sided);
            }
        }
    }
}
