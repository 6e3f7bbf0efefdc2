//! # Flags: what stands between an instruction's word and its arguments
//!
//! `COPY --from=build --chown=1000 …`, `RUN --mount=type=cache,target=/root/.cache …`. Flags end at the first word that does
//! not begin with two dashes, or behind a lonely `--`.
//!
//! * [`Flags::cut`] takes them off; an instruction asks for those it knows, and [`Flags::done`] refuses what is left, with
//!   the nearest one it knows.
//! * [`mount`] reads the comma-separated words of `--mount`; [`nearest`] finds what was meant.
//!
//! See: buildkit `frontend/dockerfile/instructions/{bflag,commands_runmount}.go`. Next room: [`crate::expand`]

use crate::instruction::{Mount, MountKind};
use minidock_base::{Error, Result, units};

/// The flags of one instruction, and which were asked for.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<(String, Option<String>)>,
    known: Vec<String>,
}

impl Flags {
    /// Takes the flags off the front of `text`; gives them and the rest.
    pub fn cut(text: &str) -> (Flags, String) {
        let mut flags = Flags::default();
        let mut rest = text.trim_start();
        while let Some(after) = rest.strip_prefix("--") {
            let (word, behind) = first_word(after);
            rest = behind.trim_start();
            if word.is_empty() {
                break;
            }
            match word.split_once('=') {
                Some((name, value)) => flags.given.push((name.to_string(), Some(value.to_string()))),
                None => flags.given.push((word, None)),
            }
        }
        (flags, rest.to_string())
    }

    fn take(&mut self, name: &str) -> Vec<Option<String>> {
        self.known.push(name.to_string());
        let (mine, others) = std::mem::take(&mut self.given).into_iter().partition(|(given, _)| given == name);
        self.given = others;
        let mine: Vec<(String, Option<String>)> = mine;
        mine.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a flag that may be given once; the last one counts.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).pop().map(Option::unwrap_or_default)
    }

    /// The values of a flag that may be repeated.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.take(name).into_iter().map(Option::unwrap_or_default).collect()
    }

    /// `--link`, `--link=false`.
    ///
    /// # Errors
    /// Neither true nor false.
    pub fn switch(&mut self, name: &str) -> Result<bool> {
        match self.take(name).pop() {
            None => Ok(false),
            Some(value) => match value.as_deref() {
                None | Some("true" | "1") => Ok(true),
                Some("false" | "0") => Ok(false),
                Some(other) => Err(Error::invalid(format!("expecting boolean value for flag {name}, not: {other}"))),
            },
        }
    }

    /// Refuses flags that nobody asked for.
    ///
    /// # Errors
    /// `unknown flag: --frm (did you mean --from?)`.
    pub fn done(self) -> Result<()> {
        let Some((name, _)) = self.given.first() else { return Ok(()) };
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let near = nearest(name, &known).map(|near| format!(" (did you mean --{near}?)")).unwrap_or_default();
        Err(Error::invalid(format!("unknown flag: --{name}{near}")))
    }
}

/// The first word without its quotes, and what follows.
fn first_word(text: &str) -> (String, &str) {
    let (mut word, mut quote) = (String::new(), None::<char>);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_whitespace() => return (word, &text[at..]),
            None if c == '\\' => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// Reads `type=cache,target=/x,…`.
///
/// # Errors
/// A key or type that is unknown, a value that makes no sense, a missing target.
pub fn mount(text: &str) -> Result<Mount> {
    const KEYS: &[&str] = &[
        "type",
        "target",
        "dst",
        "destination",
        "source",
        "src",
        "from",
        "id",
        "readonly",
        "ro",
        "readwrite",
        "rw",
        "sharing",
        "required",
        "mode",
        "uid",
        "gid",
        "size",
        "env",
    ];
    let mut mount = Mount::default();
    for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
        let text = || {
            value.map(str::to_string).ok_or_else(|| Error::invalid(format!("invalid field '{field}' must be a key=value pair")))
        };
        let yes = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(Error::invalid(format!("invalid value for {key}: {other}"))),
        };
        let number = |radix| {
            let text = text()?;
            u32::from_str_radix(&text, radix).map_err(|_| Error::invalid(format!("invalid value {text} for {key}")))
        };
        match key.to_ascii_lowercase().as_str() {
            "type" => {
                mount.kind = match text()?.as_str() {
                    "bind" => MountKind::Bind,
                    "cache" => MountKind::Cache,
                    "tmpfs" => MountKind::Tmpfs,
                    "secret" => MountKind::Secret,
                    "ssh" => MountKind::Ssh,
                    other => {
                        let near = nearest(other, &["bind", "cache", "tmpfs", "secret", "ssh"]);
                        let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
                        return Err(Error::invalid(format!("unsupported mount type {other:?}{near}")));
                    }
                }
            }
            "target" | "dst" | "destination" => mount.target = text()?,
            "source" | "src" => mount.source = Some(text()?),
            "from" => mount.from = Some(text()?),
            "id" => mount.id = Some(text()?),
            "readonly" | "ro" => mount.read_only = Some(yes()?),
            "readwrite" | "rw" => mount.read_only = Some(!yes()?),
            "required" => mount.required = yes()?,
            "sharing" => match text()?.as_str() {
                mode @ ("shared" | "private" | "locked") => mount.sharing = Some(mode.to_string()),
                other => return Err(Error::invalid(format!("unsupported sharing value {other:?}: shared, private or locked"))),
            },
            "mode" => mount.mode = Some(number(8)?),
            "uid" => mount.uid = number(10)?,
            "gid" => mount.gid = number(10)?,
            "size" => mount.size = Some(units::parse_bytes(&text()?)?),
            "env" => mount.env = Some(text()?),
            other => {
                let near = nearest(other, KEYS).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
                return Err(Error::invalid(format!("unexpected key '{other}' in '{field}'{near}")));
            }
        }
    }
    let named = matches!(mount.kind, MountKind::Secret | MountKind::Ssh);
    if mount.target.is_empty() && !named {
        return Err(Error::invalid(format!("--mount={text} requires a target")).hint("--mount=type=cache,target=/root/.cache"));
    }
    if mount.from.is_some() && !matches!(mount.kind, MountKind::Bind | MountKind::Cache) {
        return Err(Error::invalid("from is only for mounts of type bind and cache"));
    }
    Ok(mount)
}

/// The known word that was most likely meant, if any is near: a slip for each three letters, two swapped ones being one.
pub fn nearest(typed: &str, known: &[&str]) -> Option<String> {
    let slips = known.iter().map(|word| (distance(&typed.to_ascii_lowercase(), &word.to_ascii_lowercase()), *word));
    let near = slips.filter(|(slips, word)| *slips <= (word.len().max(typed.len()) / 3).max(1) && *slips < word.len());
    near.min_by_key(|(slips, word)| (*slips, word.len().abs_diff(typed.len()))).map(|(_, word)| word.to_string())
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let changed = usize::from(a[i - 1] != b[j - 1]);
                    let plain = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + changed);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { plain.min(rows[i - 2][j - 2] + 1) } else { plain }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flags_end_at_the_first_other_word() {
        let (mut flags, rest) = Flags::cut("--from=build --link --chown=\"a:b\" . --x /to");
        assert_eq!((flags.text("from").as_deref(), flags.switch("link").expect("a switch")), (Some("build"), true));
        assert_eq!((flags.text("chown").as_deref(), rest.as_str()), (Some("a:b"), ". --x /to"));
        assert!(flags.done().is_ok());
        let (mut flags, _) = Flags::cut("--frm=x .");
        flags.text("from");
        assert_eq!(flags.done().unwrap_err().message(), "unknown flag: --frm (did you mean --from?)");
    }

    #[test]
    fn mounts_are_read_and_wrong_keys_answered() {
        let cache = mount("type=cache,target=/root/.cache,sharing=locked,mode=0755,uid=5").expect("fine");
        assert_eq!((cache.kind, cache.mode, cache.uid), (MountKind::Cache, Some(0o755), 5));
        assert_eq!(mount("type=bind,target=/x,rw").expect("fine").read_only, Some(false));
        assert!(mount("type=secret,id=token").is_ok());
        for (bad, words) in [
            ("type=cach,target=/x", "did you mean cache"),
            ("type=cache,targte=/x", "did you mean target"),
            ("type=tmpfs", "requires a target"),
            ("type=cache,target=/x,mode=9", "invalid value 9"),
        ] {
            let error = mount(bad).unwrap_err().message();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_flag_makes_it_panic(text in "\\PC{0,60}") {
            let _ = Flags::cut(&text);
            let _ = mount(&text);
            let _ = nearest(&text, &["FROM", "RUN"]);
        }
    }
}
