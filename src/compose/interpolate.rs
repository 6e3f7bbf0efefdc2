//! # Interpolation: `${TAG:-latest}`
//!
//! One file serves several occasions, because texts may hold variables of the shell that deploys:
//!
//! ```text
//!   $NAME  ${NAME}        its value; nothing, and a warning, if it is not set
//!   ${NAME:-word}         word if it is not set or empty      ${NAME-word}  only if it is not set
//!   ${NAME:?said}         refuse, saying so, likewise         ${NAME?said}
//!   ${NAME:+word}         word if it is set and not empty     ${NAME+word}  if it is set
//!   $$                    one dollar
//! ```
//!
//! A word may hold variables in turn. Docker's `stack` knows neither those nor `+`; the Compose specification has both.
//!
//! * [`substitute`] does one text, [`interpolate`] all texts of a tree (values only: keys are names). A changed text is marked
//!   ([`Node::substituted`]), so that `replicas: ${N:-3}` may become the number that is wanted.
//!
//! Laws: the environment is handed in; a dollar that means nothing is refused, never guessed at. *See:* docker/cli
//! `cli/compose/{template,interpolation}` · compose-spec 12-interpolation.md. *Next room:* [`crate::shape`]

use crate::{
    finding::Findings,
    node::{Node, What},
};

/// The variables, as somebody looks them up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Words in words in words.
const MOST_DEPTH: usize = 16;

/// Why a text cannot be substituted.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    Syntax,
    /// `${NAME:?said}`.
    Required {
        name: String,
        said: String,
    },
}

/// Replaces the variables in every text of a tree; `path` is where it hangs, in Docker's form.
pub fn interpolate(node: &mut Node, path: &str, lookup: Lookup, findings: &mut Findings) {
    match &mut node.what {
        What::Text(text) if text.contains('$') => {
            let mut unset = Vec::new();
            match substitute(text, lookup, &mut unset) {
                Ok(new) => {
                    node.substituted = new != *text;
                    *text = new;
                }
                Err(wrong) => {
                    let why = match &wrong {
                        Wrong::Syntax => text.clone(),
                        Wrong::Required { name, said } => format!("required variable {name} is missing a value: {said}"),
                    };
                    let said = format!(
                        "invalid interpolation format for {path}: \"{why}\"; you may need to escape any $ with another $"
                    );
                    match wrong {
                        Wrong::Required { name, .. } => findings.fault_with(&node.at, said, format!("export {name}=… first")),
                        Wrong::Syntax => findings.fault(&node.at, said),
                    }
                }
            }
            for name in unset {
                findings.warn(&node.at, format_args!("the variable {name} is not set: {path} has nothing in its place"));
            }
        }
        What::List(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                interpolate(item, &format!("{path}.{n}"), lookup, findings);
            }
        }
        What::Map(map) => {
            for entry in &mut map.0 {
                interpolate(&mut entry.node, &format!("{path}.{}", entry.key), lookup, findings);
            }
        }
        _ => {}
    }
}

/// One text with its variables replaced; names without a value are added to `unset`.
///
/// # Errors
/// See [`Wrong`].
pub fn substitute(text: &str, lookup: Lookup, unset: &mut Vec<String>) -> Result<String, Wrong> {
    let mut out = String::new();
    let rest = until(text, lookup, unset, &mut out, 0)?;
    if rest.is_empty() { Ok(out) } else { Err(Wrong::Syntax) }
}

/// Substitutes up to the end, or (inside braces) up to the brace that closes; gives what is left.
fn until<'a>(text: &'a str, lookup: Lookup, unset: &mut Vec<String>, out: &mut String, depth: usize) -> Result<&'a str, Wrong> {
    if depth > MOST_DEPTH {
        return Err(Wrong::Syntax);
    }
    let mut rest = text;
    loop {
        let stop = if depth > 0 { &['$', '}'][..] } else { &['$'][..] };
        let Some(at) = rest.find(stop) else {
            out.push_str(rest);
            return Ok("");
        };
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('}') {
            return Ok(rest);
        }
        rest = &rest[1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            rest = braced(after, lookup, unset, out, depth)?;
        } else {
            let (name, after) = name(rest)?;
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => unset.push(name.to_string()),
            }
            rest = after;
        }
    }
}

/// What stands behind `${`.
fn braced<'a>(
    text: &'a str,
    lookup: Lookup,
    unset: &mut Vec<String>,
    out: &mut String,
    depth: usize,
) -> Result<&'a str, Wrong> {
    let (name, rest) = name(text)?;
    let value = lookup(name);
    if let Some(rest) = rest.strip_prefix('}') {
        match value {
            Some(value) => out.push_str(&value),
            None => unset.push(name.to_string()),
        }
        return Ok(rest);
    }
    let (strict, rest) = match rest.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let value = value.filter(|value| !strict || !value.is_empty());
    let operator = rest.chars().next().filter(|c| matches!(c, '-' | '?' | '+')).ok_or(Wrong::Syntax)?;
    // the word is read in any case, for only so its end is found; but its variables count only if it is used
    let (mut word, mut missing) = (String::new(), Vec::new());
    let rest = until(&rest[1..], lookup, &mut missing, &mut word, depth + 1)?;
    let rest = rest.strip_prefix('}').ok_or(Wrong::Syntax)?;
    match (operator, value) {
        ('?', None) => return Err(Wrong::Required { name: name.to_string(), said: word }),
        ('-' | '?', Some(value)) => out.push_str(&value),
        ('-', None) | ('+', Some(_)) => {
            out.push_str(&word);
            unset.append(&mut missing);
        }
        _ => {}
    }
    Ok(rest)
}

fn name(text: &str) -> Result<(&str, &str), Wrong> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        true => Ok(text.split_at(end)),
        false => Err(Wrong::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn done(text: &str) -> Result<String, Wrong> {
        substitute(text, &lookup, &mut Vec::new())
    }

    #[test]
    fn a_variable_has_all_its_forms() {
        let table = [
            ("$A ${A}", "a a"),
            ("$$A", "$A"),
            ("$X|${X}|", "||"),
            ("${A:-d} ${X:-d} ${EMPTY:-d} ${EMPTY-d}", "a d d "),
            ("${A:+y}${X:+y}${EMPTY:+y}${EMPTY+y}", "yy"),
            ("${X:-${Y:-${A}}}", "a"),
            ("${X:-a b:c}", "a b:c"),
            ("${A:?no} ${EMPTY?no}", "a "),
            ("}", "}"),
            ("${X:-$$5}", "$5"),
        ];
        for (text, wanted) in table {
            assert_eq!(done(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_dollar_that_means_nothing_is_refused() {
        for text in ["$", "$1", "${", "${}", "${A", "${A:}", "${A:x}", "${1}", "$ ", "${X:-${A}", "${A!}"] {
            assert_eq!(done(text), Err(Wrong::Syntax), "{text}");
        }
        assert_eq!(done("${X:?must be}"), Err(Wrong::Required { name: "X".into(), said: "must be".into() }));
        assert_eq!(done("${EMPTY:?}"), Err(Wrong::Required { name: "EMPTY".into(), said: String::new() }));
    }

    #[test]
    fn what_is_not_set_is_told_and_what_is_wrong_has_its_place() {
        let mut node = yaml::read("f.yml", "a: [\"$NOPE\", b]\nc: \"${D\"\n").expect("YAML");
        let mut findings = Findings::default();
        interpolate(&mut node, "services", &lookup, &mut findings);
        let fault = findings.clone().verdict().expect_err("a fault").message();
        assert_eq!(
            fault,
            "f.yml:2:4: invalid interpolation format for services.c: \"${D\"; you may need to escape any $ with another $"
        );
        assert_eq!(
            findings.into_warnings(),
            ["f.yml:1:5: the variable NOPE is not set: services.a.0 has nothing in its place"]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[${}A:?+\\-b]{0,24}") {
            let _ = done(&text);
        }

        #[test]
        fn escaped_dollars_come_back(text in "\\PC{0,20}") {
            prop_assert_eq!(done(&text.replace('$', "$$")), Ok(text));
        }
    }
}
