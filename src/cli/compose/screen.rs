//! # The screen: a line for each thing that is being made
//!
//! ```text
//!   [+] Running 2/3                                       on a terminal: written again and again
//!    ✔ Network app_default    Created                0.1s
//!    ⠹ Container app-web-1    Starting               0.4s
//!
//!    Network app_default  Creating                        anywhere else: a line for each event
//!    Network app_default  Created
//! ```
//!
//! * [`Screen::begin`] … [`Screen::working`], [`Screen::done`] …; dropping it writes the last state. What is told goes to standard error:
//!   standard output is for what was asked for.
//!
//! *See:* docker/compose `cmd/display/{tty,plain}.go`. *Next room:* [`super::graph`]

use crate::{flag, table, terminal};
use clap::ArgMatches;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const TICK: Duration = Duration::from_millis(100);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// How far a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Working,
    Done,
    Warned,
    Failed,
}

struct Line {
    id: String,
    words: String,
    state: State,
    began: Instant,
    took: Option<Duration>,
}

struct Inner {
    title: String,
    lines: Vec<Line>,
    /// Lines on the terminal that will be written over.
    drawn: usize,
    live: bool,
    quiet: bool,
    colour: bool,
    silent: bool,
}

/// The lines of one command.
pub struct Screen {
    inner: Arc<Mutex<Inner>>,
    /// Writes the block again and again for as long as this lives.
    _ticker: Ticker,
}

struct Ticker(Option<JoinHandle<()>>);

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Screen {
    /// Begins; `title` is what is done ("Running", "Stopping").
    pub fn begin(m: &ArgMatches, title: &str) -> Screen {
        let mode = flag::text_of(m, "project.progress").map(str::to_string).or_else(|| std::env::var("COMPOSE_PROGRESS").ok());
        let live = match mode.as_deref() {
            Some("plain" | "quiet" | "json") => false,
            Some("tty") => true,
            _ => terminal::error_is_terminal() && flag::text_of(m, "project.ansi") != Some("never"),
        };
        let inner = Inner {
            title: title.to_string(),
            lines: Vec::new(),
            drawn: 0,
            live,
            quiet: mode.as_deref() == Some("quiet"),
            colour: live,
            silent: false,
        };
        let inner = Arc::new(Mutex::new(inner));
        let shared = inner.clone();
        let ticker = live.then(|| {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TICK).await;
                    let mut inner = lock(&shared);
                    // what is done does not move
                    if inner.lines.iter().any(|line| line.state == State::Working) {
                        inner.draw();
                    }
                }
            })
        });
        Screen { inner, _ticker: Ticker(ticker) }
    }

    pub fn working(&self, id: &str, words: &str) {
        self.told(id, words, State::Working);
    }

    pub fn done(&self, id: &str, words: &str) {
        self.told(id, words, State::Done);
    }

    pub fn warned(&self, id: &str, words: &str) {
        self.told(id, words, State::Warned);
    }

    pub fn failed(&self, id: &str, words: &str) {
        self.told(id, words, State::Failed);
    }

    /// Lets go of what is drawn, so that other output can follow; the next event begins a new block.
    pub fn leave(&self) {
        let mut inner = lock(&self.inner);
        inner.draw();
        inner.lines.clear();
        inner.drawn = 0;
    }

    /// The terminal belongs to others from now on: only what fails is told, on a line.
    pub fn silence(&self) {
        self.leave();
        let mut inner = lock(&self.inner);
        (inner.live, inner.silent) = (false, true);
    }

    fn told(&self, id: &str, words: &str, state: State) {
        let mut inner = lock(&self.inner);
        if inner.quiet || (inner.silent && state != State::Failed) {
            return;
        }
        if !inner.live {
            terminal::eprint(&format!(" {id}  {words}\n"));
            return;
        }
        match inner.lines.iter_mut().find(|line| line.id == id) {
            Some(line) => {
                (line.words, line.state) = (words.to_string(), state);
                line.took = (state != State::Working).then(|| line.began.elapsed());
            }
            None => inner.lines.push(Line {
                id: id.to_string(),
                words: words.to_string(),
                state,
                began: Instant::now(),
                took: (state != State::Working).then_some(Duration::ZERO),
            }),
        }
        inner.draw();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        lock(&self.inner).draw();
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().expect("no holder panics")
}

impl Inner {
    fn draw(&mut self) {
        if !self.live || self.lines.is_empty() {
            return;
        }
        let (rows, columns) = terminal::size().unwrap_or((24, 80));
        let mut text = String::new();
        if self.drawn > 0 {
            text += &format!("\u{1b}[{}A", self.drawn);
        }
        let all = self.page(columns as usize);
        // what does not fit could not be written over
        let most = (rows as usize).saturating_sub(1).max(2);
        let shown = &all[..all.len().min(most)];
        shown.iter().for_each(|line| text += &format!("\u{1b}[2K\r{line}\n"));
        self.drawn = shown.len();
        terminal::eprint(&text);
    }

    /// The lines of the block.
    fn page(&self, columns: usize) -> Vec<String> {
        let done = self.lines.iter().filter(|line| line.state != State::Working).count();
        let head = format!("[+] {} {done}/{}", self.title, self.lines.len());
        let widest = self.lines.iter().map(|line| table::width(&line.id)).max().unwrap_or(0);
        let mut page = vec![self.painted("34", &head)];
        for line in &self.lines {
            let took = line.took.unwrap_or_else(|| line.began.elapsed());
            let (sign, colour) = match line.state {
                State::Working => (SPINNER[(took.as_millis() / 100) as usize % SPINNER.len()], "36"),
                State::Done => ("✔", "32"),
                State::Warned => ("!", "33"),
                State::Failed => ("✘", "31"),
            };
            let timer = format!("{:.1}s", took.as_secs_f64());
            let id = format!("{}{}", line.id, " ".repeat(widest - table::width(&line.id)));
            let room = columns.saturating_sub(5 + widest + 2 + timer.len() + 1);
            let words = table::ellipsis(line.words.lines().next().unwrap_or_default(), room.max(4));
            let gap = columns.saturating_sub(3 + widest + 2 + table::width(&words) + timer.len() + 1).max(1);
            let (sign, words, timer) = (self.painted(colour, sign), self.painted(colour, &words), self.painted("34", &timer));
            page.push(format!(" {sign} {id}  {words}{}{timer}", " ".repeat(gap)));
        }
        page
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_a_head_and_a_line_for_each_thing() {
        let line = |id: &str, words: &str, state: State| Line {
            id: id.into(),
            words: words.into(),
            state,
            began: Instant::now(),
            took: Some(Duration::from_millis(400)),
        };
        let inner = Inner {
            title: "Running".into(),
            lines: vec![
                line("Network app_default", "Created", State::Done),
                line("Container app-web-1", "Starting", State::Working),
            ],
            drawn: 0,
            live: true,
            quiet: false,
            colour: false,
            silent: false,
        };
        let page = inner.page(60);
        assert_eq!(page[0], "[+] Running 1/2");
        assert!(page[1].starts_with(" ✔ Network app_default  Created ") && page[1].ends_with(" 0.4s"), "{}", page[1]);
        assert!(page[2].starts_with(" ⠼ Container app-web-1  Starting ") && page[2].ends_with(" 0.4s"), "{}", page[2]);
        // one column is left free: a full line would make the terminal begin another
        assert!(page[1..].iter().all(|line| table::width(line) == 59));
    }
}
