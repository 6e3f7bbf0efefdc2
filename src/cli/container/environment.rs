//! # Environment and labels: from flags and files
//!
//! `-e A=1` sets a variable, `-e A` takes its value from *our* environment (and sets nothing if there is none there), an
//! `--env-file` holds such lines, with comments. Labels are read the same way, except that a label without `=` is an empty
//! label. Files come first, so that a flag can override a line.
//!
//! ```text
//!   # a comment                 (skipped, as are empty lines)
//!   A=1                         A=1
//!   B                           B=<ours>, or nothing
//!   C=a b "c"                   C=a b "c"         quotes are not special: the value is all that follows
//! ```
//!
//! Laws: the order typed is kept; a later one wins in the container. *See:* docker/cli `opts/env.go`, `opts/file.go`.
//! *Next room:* [`crate::container::mounts`]

use minidock_base::{Doing, Error, Result};
use std::collections::BTreeMap;

/// `NAME=value` lines from `--env-file` and `--env`, with our own environment behind bare names.
///
/// # Errors
/// A file that cannot be read, a line that is no variable: with file and line.
pub fn variables(files: &[String], flags: &[String], ours: impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        for line in lines_of(file)? {
            all.extend(variable(&line, &ours));
        }
    }
    for flag in flags {
        if flag.is_empty() || flag.starts_with('=') {
            return Err(
                Error::invalid(format!("invalid environment variable: {flag}")).hint("NAME=value, or NAME to pass ours on")
            );
        }
        all.extend(variable(flag, &ours));
    }
    Ok(all)
}

fn variable(line: &str, ours: impl Fn(&str) -> Option<String>) -> Option<String> {
    match line.contains('=') {
        true => Some(line.to_string()),
        false => ours(line).map(|value| format!("{line}={value}")),
    }
}

/// Labels from `--label-file` and `--label`.
///
/// # Errors
/// A file that cannot be read, a line that is no label.
pub fn labels(files: &[String], flags: &[String]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut add = |line: &str| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        all.insert(key.to_string(), value.to_string());
    };
    for file in files {
        lines_of(file)?.iter().for_each(|line| add(line));
    }
    for flag in flags {
        if flag.is_empty() || flag.starts_with('=') {
            return Err(Error::invalid(format!("invalid label: {flag}")).hint("key=value, or key"));
        }
        add(flag);
    }
    Ok(all)
}

/// `key=value` flags that must have both (`--sysctl`, `--log-opt`, `--storage-opt`, `--annotation`).
///
/// # Errors
/// `invalid argument …` naming the flag.
pub fn pairs(flag: &str, values: &[String]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for value in values {
        match value.split_once('=') {
            Some((key, text)) if !key.is_empty() => all.insert(key.to_string(), text.to_string()),
            _ => {
                return Err(Error::invalid(format!("invalid argument {value:?} for \"--{flag}\": bad format"))
                    .hint(format!("--{flag} key=value")));
            }
        };
    }
    Ok(all)
}

/// The lines of a file that say something, checked.
fn lines_of(file: &str) -> Result<Vec<String>> {
    let bytes = std::fs::read(file).doing(|| format!("read {file}"))?;
    lines(file, &bytes)
}

fn lines(file: &str, bytes: &[u8]) -> Result<Vec<String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut all = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = || format!("invalid line in {file}:{}", number + 1);
        let line = std::str::from_utf8(line).map_err(|_| Error::invalid(format!("{}: not UTF-8 text", place())))?;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name.is_empty() {
            return Err(Error::invalid(format!("{}: no variable name on line '{line}'", place())));
        }
        if name.trim_end().contains(char::is_whitespace) || name != name.trim_end() && line.contains('=') {
            return Err(Error::invalid(format!("{}: variable '{name}' contains whitespaces", place())));
        }
        all.push(if line.contains('=') { line.to_string() } else { line.trim_end().to_string() });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours(name: &str) -> Option<String> {
        (name == "HERE").then(|| "yes".to_string())
    }

    #[test]
    fn a_bare_name_takes_our_value_or_nothing() {
        let flags = ["A=1".into(), "HERE".into(), "GONE".into(), "B=".into(), "A=2=3".into()];
        assert_eq!(variables(&[], &flags, ours).expect("variables"), ["A=1", "HERE=yes", "B=", "A=2=3"]);
        assert!(variables(&[], &["=x".into()], ours).is_err() && variables(&[], &["".into()], ours).is_err());
    }

    #[test]
    fn a_file_holds_lines_comments_and_no_quotes() {
        let text = b"\xef\xbb\xbf# c\n\nA=1\r\n  HERE\nC=a b \"c\" # d\n";
        assert_eq!(lines("f", text).expect("lines"), ["A=1", "HERE", "C=a b \"c\" # d"]);
        assert!(lines("f", b"x\na b=1").unwrap_err().message().contains("f:2: variable 'a b' contains whitespaces"));
        assert!(lines("f", b"=1").unwrap_err().message().contains("f:1: no variable name"));
        assert!(lines("f", b"A=\xff").unwrap_err().message().contains("f:1"));
    }

    #[test]
    fn labels_may_be_empty_and_pairs_may_not() {
        let all = labels(&[], &["a".into(), "b=c=d".into(), "a=2".into()]).expect("labels");
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("a".into(), "2".into()), ("b".into(), "c=d".into())]);
        assert!(pairs("sysctl", &["x".into()]).is_err() && pairs("sysctl", &["=x".into()]).is_err());
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = lines("f", &bytes);
        }
    }
}
