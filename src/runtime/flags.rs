//! # Flags: reading a command line the way runc does
//!
//! Engines have learned to call runc by habit, so the habits count: `-b X`, `--bundle X`, `--bundle=X` and even `-bundle X` are
//! the same; options may stand after the id; `--` ends them. A subcommand says which options it knows ([`Known`]) and gets a
//! [`Given`].
//!
//! Laws: an unknown option is an error before anything is done. Next room: [`crate::cli`]

use minidock_base::{Error, Result};

/// One option a subcommand knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The long name, and a short one or "".
    pub name: &'static str,
    pub short: &'static str,
    /// What its value is called in the help; empty for a switch.
    pub value: &'static str,
    pub help: &'static str,
}

/// A switch.
pub const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Known {
    Known { name, short, value: "", help }
}

/// An option with a value.
pub const fn option(name: &'static str, short: &'static str, value: &'static str, help: &'static str) -> Known {
    Known { name, short, value, help }
}

/// What a command line gave.
#[derive(Debug, Default)]
pub struct Given {
    options: Vec<(&'static str, String)>,
    pub words: Vec<String>,
}

impl Given {
    /// Reads `args`. With `command_after` = n, everything after the n-th plain word belongs to somebody else's program.
    ///
    /// # Errors
    /// An option that is not known, or lacks its value.
    pub fn parse(args: &[String], known: &[Known], command_after: Option<usize>) -> Result<Given> {
        let mut given = Given::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let dashes = arg.len() - arg.trim_start_matches('-').len();
            let ended = command_after.is_some_and(|n| given.words.len() >= n);
            match dashes {
                _ if ended => given.words.push(arg.clone()),
                2 if arg.len() == 2 => {
                    given.words.extend(args.cloned());
                    break;
                }
                1 | 2 if arg.len() > dashes => {
                    let (name, value) = match arg[dashes..].split_once('=') {
                        Some((name, value)) => (name, Some(value.to_string())),
                        None => (&arg[dashes..], None),
                    };
                    let found =
                        known.iter().find(|known| known.name == name || (!known.short.is_empty() && known.short == name));
                    let Some(found) = found else {
                        return Err(Error::invalid(format!("flag provided but not defined: -{name}")));
                    };
                    let value = match (found.value.is_empty(), value) {
                        (true, value) => value.unwrap_or_else(|| "true".into()),
                        (false, Some(value)) => value,
                        (false, None) => {
                            let next = args.next().cloned();
                            next.ok_or_else(|| Error::invalid(format!("flag needs an argument: -{name}")))?
                        }
                    };
                    given.options.push((found.name, value));
                }
                _ => given.words.push(arg.clone()),
            }
        }
        Ok(given)
    }

    /// The last value given for an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values given for it, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.options.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// A number.
    ///
    /// # Errors
    /// It is none.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Error::invalid(format!("invalid value {text:?} for flag -{name}: parse error"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 3] = [option("bundle", "b", "DIR", ""), switch("detach", "d", ""), option("env", "e", "VAR", "")];

    fn parse(text: &str, after: Option<usize>) -> Result<Given> {
        Given::parse(&text.split(' ').map(String::from).collect::<Vec<_>>(), &KNOWN, after)
    }

    #[test]
    fn options_are_read_in_all_spellings_and_on_both_sides_of_the_id() {
        for text in ["-b /x web", "--bundle /x web", "--bundle=/x web", "-bundle /x web", "web -b /x"] {
            let given = parse(text, None).expect("fine");
            assert_eq!((given.get("bundle"), given.words.as_slice()), (Some("/x"), &["web".to_string()][..]), "{text}");
        }
        assert!(parse("--nosuch web", None).is_err());
        assert!(parse("web -b", None).is_err());
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        let given = parse("-d web ls -b --x", Some(2)).expect("fine");
        assert_eq!(given.words, ["web", "ls", "-b", "--x"]);
        assert!(given.is_on("detach") && given.get("bundle").is_none());
        assert_eq!(parse("-e A=1 -e B=2 web", None).expect("fine").all("env"), ["A=1", "B=2"]);
    }
}
