//! # Progress: what pull, load and import say while they work
//!
//! The daemon answers these with a stream of small JSON objects: `{"status":"Downloading","progressDetail":{…},"id":"30eb…"}`.
//! On a terminal every id keeps one line, which is written again and again with a bar; anywhere else the bars are left out
//! and only the words remain, so a log file stays readable.
//!
//! ```text
//!   30ebf923573e: Loading layer [=========>                                        ]  524.3kB/2.8MB
//!   Loaded image: alpine:latest
//! ```
//!
//! * [`show`] prints a stream to its end. A failure half-way comes *inside* the stream, since the status was sent long before;
//!   it becomes the error.
//!
//! *See:* moby `pkg/jsonmessage` · api.md 6.5. *Next room:* [`crate::container::ps`]

use crate::terminal;
use minidock_base::{Error, Result, units};
use minidock_client::answer::Objects;
use minidock_spec::engine::image::{Progress, ProgressDetail};

/// Prints a progress stream to standard output until it ends.
///
/// # Errors
/// The failure that the stream reports, or a broken connection.
pub async fn show(objects: Objects) -> Result<()> {
    show_to(objects, terminal::output_is_terminal(), &mut |text| terminal::print(text)).await
}

/// Prints a progress stream to standard error (`run` pulls before the program has the output).
///
/// # Errors
/// As [`show`].
pub async fn show_aside(objects: Objects) -> Result<()> {
    show_to(objects, terminal::error_is_terminal(), &mut |text| terminal::eprint(text)).await
}

/// Reads a progress stream to its end without a word.
///
/// # Errors
/// As [`show`].
pub async fn drain(objects: Objects) -> Result<()> {
    show_to(objects, false, &mut |_| {}).await
}

/// The same with any way to print.
///
/// # Errors
/// As [`show`].
pub async fn show_to(mut objects: Objects, is_terminal: bool, print: &mut dyn FnMut(&str)) -> Result<()> {
    let mut screen = Screen::new(is_terminal);
    while let Some(line) = objects.next::<Progress>().await? {
        if let Some(failure) = failure(&line) {
            return Err(failure);
        }
        print(&screen.line(&line));
    }
    Ok(())
}

/// The failure a line reports, with our four answers if the daemon is ours.
fn failure(line: &Progress) -> Option<Error> {
    if let Some(detail) = &line.error_detail {
        return Some(match &detail.minidock {
            Some(wire) => Error::from_wire(wire.clone()),
            None => Error::system(detail.message.clone()),
        });
    }
    line.error.as_ref().map(|text| Error::system(text.clone()))
}

/// Which line of the terminal belongs to which id.
pub struct Screen {
    ids: Vec<String>,
    is_terminal: bool,
}

impl Screen {
    pub fn new(is_terminal: bool) -> Screen {
        Screen { ids: Vec::new(), is_terminal }
    }

    /// What to write so that the line of `id` says these words, behind them how far of how much, as a bar without numbers.
    /// Bars are for terminals only.
    pub fn put(&mut self, id: &str, words: &str, bar: Option<(u64, u64)>) -> String {
        if bar.is_some() && !self.is_terminal {
            return String::new();
        }
        let wide = terminal::size().is_some_and(|(_, columns)| columns > 110);
        let bar = bar.filter(|_| wide).map(|(current, total)| drawn(current, total)).unwrap_or_default();
        let words = if bar.is_empty() { words.to_string() } else { format!("{words} {bar}") };
        let detail = Some(ProgressDetail::default());
        self.line(&Progress { status: Some(words), progress_detail: detail, id: Some(id.into()), ..Progress::default() })
    }

    /// What to write for one object.
    fn line(&mut self, line: &Progress) -> String {
        if line.aux.is_some() {
            return String::new();
        }
        let id = line.id.as_deref().unwrap_or_default();
        let mut out = String::new();
        let mut up = 0;
        if !id.is_empty() && (line.progress_detail.is_some() || line.progress.is_some()) {
            let at = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
                self.ids.push(id.to_string());
                if self.is_terminal {
                    out.push('\n');
                }
                self.ids.len() - 1
            });
            up = self.ids.len() - at;
            if self.is_terminal {
                out.push_str(&format!("\u{1b}[{up}A"));
            }
        } else {
            self.ids.clear();
        }
        out.push_str(&self.words(line, id));
        if self.is_terminal && up > 0 {
            out.push_str(&format!("\u{1b}[{up}B"));
        }
        out
    }

    fn words(&self, line: &Progress, id: &str) -> String {
        let bar = line.progress_detail.as_ref().map(bar).unwrap_or_default();
        if let Some(stream) = line.stream.as_ref().filter(|text| !text.is_empty()) {
            return stream.clone();
        }
        let status = line.status.as_deref().unwrap_or_default();
        let name = if id.is_empty() { String::new() } else { format!("{id}: ") };
        match (self.is_terminal, line.progress_detail.is_some()) {
            (true, true) => format!("\u{1b}[2K\r{name}{status} {bar}\r"),
            (false, true) if !bar.is_empty() => String::new(),
            _ => format!("{name}{status}\n"),
        }
    }
}

/// `[====>     ]  524.3kB/2.8MB`; without a total only the number; nothing when there is nothing to tell.
fn bar(detail: &ProgressDetail) -> String {
    let current = detail.current.unwrap_or(0);
    let total = detail.total.unwrap_or(0);
    if current == 0 && total == 0 {
        return String::new();
    }
    let done = units::human_size(current as f64);
    if total == 0 {
        return format!("{done:>8}");
    }
    let wide = terminal::size().is_none_or(|(_, columns)| columns > 110);
    let numbers = if current > total { format!("{done:>8}") } else { format!("{done:>8}/{}", units::human_size(total as f64)) };
    if !wide {
        return numbers;
    }
    format!("{} {numbers}", drawn(current, total))
}

/// `[====>     ]`
fn drawn(current: u64, total: u64) -> String {
    let half = (current.saturating_mul(50) / total.max(1)).min(50) as usize;
    format!("[{}>{}]", "=".repeat(half), " ".repeat(50 - half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(is_terminal: bool, lines: &[&str]) -> String {
        let mut screen = Screen { ids: Vec::new(), is_terminal };
        lines.iter().map(|line| screen.line(&serde_json::from_str(line).expect("JSON"))).collect()
    }

    const PULL: &[&str] = &[
        r#"{"status":"Pulling from library/alpine","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"b"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":1000,"total":2000},"id":"a"}"#,
        r#"{"status":"Pull complete","progressDetail":{},"id":"a"}"#,
        r#"{"status":"Digest: sha256:0"}"#,
    ];

    #[test]
    fn a_log_file_has_words_and_no_bars() {
        assert_eq!(
            lines(false, PULL),
            "latest: Pulling from library/alpine\na: Pulling fs layer\nb: Pulling fs layer\na: Pull complete\nDigest: sha256:0\n"
        );
    }

    #[test]
    fn a_terminal_has_one_line_for_each_layer() {
        let text = lines(true, PULL);
        assert!(text.contains("\u{1b}[2A\u{1b}[2K\ra: Downloading"), "{text:?}");
        assert!(text.contains("1kB/2kB"), "{text:?}");
        assert!(text.ends_with("\u{1b}[2BDigest: sha256:0\n"), "{text:?}");
    }

    #[test]
    fn a_stream_of_text_is_printed_as_it_is() {
        assert_eq!(lines(false, &[r#"{"stream":"Loaded image: alpine:latest\n"}"#]), "Loaded image: alpine:latest\n");
    }

    #[test]
    fn a_failure_inside_the_stream_is_the_error() {
        let line: Progress =
            serde_json::from_str(r#"{"errorDetail":{"message":"disk full"},"error":"disk full"}"#).expect("JSON");
        assert_eq!(failure(&line).expect("a failure").message(), "disk full");
    }
}
