//! # Pages: `inspect --pretty`
//!
//! The JSON of a service, a node or a secret is long. For people there is a page that says the same in some twenty lines, in Docker's
//! words and with Docker's uneven tabs, for scripts look for them. Here is what such pages share: how they are asked for, and their
//! smallest pieces.
//!
//! ```text
//!   service inspect web               JSON                   inspect::inspect
//!   service inspect --pretty web      the page of a service  inspect, with the room's own page
//!   service inspect -f pretty web     the same
//! ```
//!
//! * [`inspect`] does it for every name; [`put`], [`pairs`], [`moment`], [`capital`]: a line, several, a time, a word.
//!
//! *See:* docker/cli `cli/command/{service,node,secret}/formatter.go`. *Next room:* [`crate::format`]

use crate::{
    each::in_turn,
    flag,
    inspect::{self, Noun},
    session::Session,
    template::print,
};
use clap::ArgMatches;
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_client::Docker;
use std::{collections::BTreeMap, fmt::Write};

/// The flags of an `inspect` that knows a page.
pub fn command(usage: &'static str, about: &'static str) -> clap::Command {
    inspect::flags(usage, about).arg(flag::switch("pretty", "Print the information in a human friendly format"))
}

/// Shows every `NAME`: its `page`, or all that is known of it.
///
/// # Errors
/// `cannot supply extra formatting options to the pretty template`; as [`inspect::inspect`].
pub async fn inspect(
    m: &ArgMatches,
    session: &mut Session,
    noun: Noun,
    page: impl AsyncFn(&Docker, &str) -> Result<String>,
) -> Result<i32> {
    let format = flag::text_of(m, "format").unwrap_or_default();
    if format.starts_with("pretty") && format != "pretty" {
        return Err(Error::invalid("cannot supply extra formatting options to the pretty template"));
    }
    if !m.get_flag("pretty") && format != "pretty" {
        return inspect::inspect(m, session, &[noun]).await;
    }
    let (docker, page) = (session.docker().await?, &page);
    let docker = &docker;
    in_turn(flag::list_of(m, "NAME"), async |name: String| page(docker, &name).await).await
}

/// One line.
pub fn put(text: &mut String, name: &str, value: &str) {
    // writing to a String cannot fail
    let _ = writeln!(text, "{name}{value}");
}

/// Keys and their values, where they have any.
pub fn pairs(text: &mut String, indent: &str, between: &str, all: &BTreeMap<String, String>) {
    for (key, value) in all {
        let tail = if value.is_empty() { String::new() } else { format!("{between}{value}") };
        put(text, indent, &format!("{key}{tail}"));
    }
}

/// `2026-11-27 16:47:56.099612589 +0000 utc`: Docker lowers the letters of Go's text.
pub fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| print::time(&at.to_string()).to_lowercase()).unwrap_or_default()
}

/// `running` with a capital.
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_of_lines_pairs_and_moments() {
        let mut text = String::new();
        put(&mut text, "ID:\t", "x");
        pairs(&mut text, " - ", "=", &BTreeMap::from([("a".into(), "1".into()), ("b".into(), String::new())]));
        assert_eq!(text, "ID:\tx\n - a=1\n - b\n");
        assert_eq!(moment("2026-11-27T10:00:00.120Z".parse().ok()), "2026-11-27 10:00:00.12 +0000 utc");
        assert_eq!((moment(None), capital("ready"), capital("")), (String::new(), "Ready".into(), String::new()));
    }
}
