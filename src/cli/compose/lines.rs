//! # Lines: many programs on one terminal
//!
//! ```text
//!   web-1    | 172.18.0.1 - - "GET / HTTP/1.1" 200        each line begins with whose it is, in a colour of its own
//!   redis-1  | Ready to accept connections
//! ```
//!
//! * [`Printer`] knows the names and colours; [`Printer::follow`] shows one container's log, line by line, until it ends.
//!
//! Laws: a line is printed whole, or two programs would write into each other's; standard output and error stay apart. *See:*
//! docker/compose `cmd/formatter/logs.go`. *Next room:* [`super::logs`]

use crate::{container::streams, terminal};
use minidock_base::Result;
use minidock_client::{Docker, Route, Wish};
use minidock_spec::engine::{
    container::Inspect,
    stream::{Deframer, Stream},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The colours of the names, in the order in which they are given.
const COLOURS: [&str; 10] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"];
/// A line that never ends is printed in pieces.
const LONGEST: usize = 64 << 10;

struct Names {
    colours: BTreeMap<String, &'static str>,
    width: usize,
}

/// Prints lines of many containers.
#[derive(Clone)]
pub struct Printer {
    names: Arc<Mutex<Names>>,
    prefix: bool,
    colour: bool,
}

/// Which part of a log.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub follow: bool,
    pub timestamps: bool,
    pub tail: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
}

impl Printer {
    pub fn new(prefix: bool, colour: bool) -> Printer {
        let names = Names { colours: BTreeMap::new(), width: 0 };
        Printer { names: Arc::new(Mutex::new(names)), prefix, colour: colour && terminal::output_is_terminal() }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().expect("no holder panics")
    }

    /// Makes a name known: the column of names is as wide as the widest.
    pub fn know(&self, name: &str) {
        let mut names = self.names();
        let next = COLOURS[names.colours.len() % COLOURS.len()];
        names.colours.entry(name.to_string()).or_insert(next);
        names.width = names.width.max(name.chars().count() + 1);
    }

    fn painted(&self, name: &str, text: &str) -> String {
        match (self.colour, self.names().colours.get(name)) {
            (true, Some(colour)) => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            _ => text.to_string(),
        }
    }

    /// What stands in front of a line.
    fn front(&self, name: &str) -> String {
        if !self.prefix {
            return String::new();
        }
        let width = self.names().width;
        self.painted(name, &format!("{name:<width$} | "))
    }

    /// A word about a container, not by it.
    pub fn status(&self, name: &str, words: &str) {
        let text = self.painted(name, &format!("{name} {words}"));
        terminal::print(&format!("{text}\n"));
    }

    /// Shows a container's log until it ends.
    ///
    /// # Errors
    /// The daemon's refusal; a broken connection.
    pub async fn follow(&self, docker: &Docker, id: &str, name: &str, which: &Which) -> Result<()> {
        let container: Inspect = docker.get(&Route::new("/containers/{}/json", [id])).await?;
        let route = Route::new("/containers/{}/logs", [id])
            .pair("stdout", 1)
            .pair("stderr", 1)
            .flag("follow", which.follow)
            .flag("timestamps", which.timestamps)
            .maybe("since", which.since.as_deref())
            .maybe("until", which.until.as_deref())
            .pair("tail", which.tail.as_deref().unwrap_or("all"));
        let mut log = docker.send(Wish::get(&route)).await?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut frames = Deframer::new();
        while let Some(piece) = log.chunk().await? {
            match container.config.tty {
                true => self.feed(name, &mut out, &piece, false),
                false => frames
                    .feed(&piece, |stream, bytes| match stream {
                        Stream::Stderr => self.feed(name, &mut err, bytes, true),
                        _ => self.feed(name, &mut out, bytes, false),
                    })
                    .map_err(streams::not_a_frame)?,
            }
        }
        // a last line without an end
        for (rest, is_error) in [(out, false), (err, true)] {
            if !rest.is_empty() {
                self.line(name, &rest, is_error);
            }
        }
        Ok(())
    }

    /// Takes bytes and prints the lines that are whole.
    fn feed(&self, name: &str, rest: &mut Vec<u8>, bytes: &[u8], is_error: bool) {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            self.line(name, &line[..end], is_error);
        }
        if rest.len() > LONGEST {
            let line = std::mem::take(rest);
            self.line(name, &line, is_error);
        }
    }

    fn line(&self, name: &str, line: &[u8], is_error: bool) {
        let mut text = self.front(name).into_bytes();
        text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        text.push(b'\n');
        match is_error {
            true => terminal::eprint_bytes(&text),
            false => terminal::print_bytes(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_names_is_as_wide_as_the_widest() {
        let printer = Printer::new(true, false);
        printer.know("web-1");
        assert_eq!(printer.front("web-1"), "web-1  | ");
        printer.know("redis-1");
        assert_eq!(printer.front("web-1"), "web-1    | ");
        assert_eq!(Printer::new(false, true).front("web-1"), "");
    }
}
