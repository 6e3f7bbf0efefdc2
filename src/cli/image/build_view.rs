//! # Build view: what is seen of a build
//!
//! The daemon tells a build as lines: `Step 3/7 : RUN make`, the step's output, `---> 3f5e…`. In a log file they are shown as they
//! are. At a terminal one wants to see where it is: each step keeps one line, the running one shows the last lines of its output
//! below it, and when it is done they go.
//!
//! ```text
//!   [2/5] COPY . /app                                            0.1s
//!   [3/5] RUN make                                               CACHED
//!   [4/5] RUN make test                                          4.2s
//!     │ test 17 … ok
//!     │ test 18 … ok
//! ```
//!
//! * [`Look`] is which of them; [`show`] prints a stream to its end. `rawjson` passes the lines on as they came.
//!
//! Laws: what a failed step said is printed in full, for it was only seen in part; colours are for terminals. The exit status is the failed step's own.
//! *See:* moby `pkg/jsonmessage`, buildkit `util/progress/progressui`. *Next room:* [`super::list`]

use crate::terminal;
use minidock_base::{Error, Result};
use minidock_client::answer::Objects;
use minidock_spec::engine::image::Progress;
use std::time::{Duration, Instant};

/// How a build is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Live,
    /// Only the image's id.
    Quiet,
    Json,
}

impl Look {
    /// What `--progress` means here.
    ///
    /// # Errors
    /// A word that is none.
    pub fn of(word: Option<&str>, quiet: bool) -> Result<Look> {
        match word.unwrap_or("auto") {
            _ if quiet => Ok(Look::Quiet),
            "auto" | "" if terminal::output_is_terminal() => Ok(Look::Live),
            "auto" | "" | "plain" => Ok(Look::Plain),
            "tty" => Ok(Look::Live),
            "rawjson" => Ok(Look::Json),
            other => Err(Error::invalid(format!("invalid --progress {other:?}")).hint("auto, plain, tty, quiet or rawjson")),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    /// `sha256:…`
    pub id: String,
    pub status: i32,
}

/// Prints a build to its end.
///
/// # Errors
/// The connection broke. A build that failed is no error here: it is told, and its status given back.
pub async fn show(mut lines: Objects, look: Look) -> Result<Built> {
    let (mut built, mut view) = (Built::default(), View::new());
    loop {
        let next = match look {
            Look::Live => match tokio::time::timeout(TICK, lines.next::<Progress>()).await {
                Ok(next) => next?,
                Err(_) => {
                    terminal::print(&view.redrawn());
                    continue;
                }
            },
            _ => lines.next::<Progress>().await?,
        };
        let Some(mut line) = next else { break };
        if look != Look::Json && !(look == Look::Plain && terminal::output_is_terminal()) {
            line.stream = line.stream.map(|text| uncoloured(&text));
        }
        if let Some(id) = line.aux.as_ref().and_then(|aux| aux["ID"].as_str()) {
            built.id = id.to_string();
        }
        if look == Look::Json {
            terminal::print(&format!("{}\n", serde_json::to_string(&line).unwrap_or_default()));
        }
        if let Some(detail) = &line.error_detail {
            if look == Look::Live {
                terminal::print(&view.failed());
            }
            let error = match &detail.minidock {
                Some(wire) => Error::from_wire(wire.clone()),
                None => Error::system(detail.message.clone()),
            };
            crate::complain(&error);
            built.status = detail.code.and_then(|code| i32::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
            return Ok(built);
        }
        match look {
            Look::Live => terminal::print(&view.heard(&line)),
            Look::Plain => terminal::print(&plain(&line)),
            Look::Quiet => {
                let text = line.stream.unwrap_or_default();
                match text.starts_with("sha256:") {
                    true => {
                        built.id = text.trim().to_string();
                        terminal::print(&text);
                    }
                    // what a build said that came to nothing: not what `$(minidock build -q .)` is to take for an id
                    false => terminal::eprint(&text),
                }
            }
            Look::Json => {}
        }
    }
    if look == Look::Live {
        terminal::print(&view.ended());
    }
    Ok(built)
}

/// Without the red that the builder paints standard error with.
fn uncoloured(text: &str) -> String {
    let inner = text.strip_prefix("\u{1b}[91m").and_then(|rest| rest.strip_suffix("\u{1b}[0m"));
    inner.unwrap_or(text).to_string()
}

const TICK: Duration = Duration::from_millis(200);

fn plain(line: &Progress) -> String {
    let Some(text) = &line.stream else {
        // a pull in the middle of a build: words, no bars
        let detail = line.progress_detail.as_ref().is_some_and(|detail| detail.current.is_some());
        return match (&line.status, &line.id) {
            (Some(_), _) if detail => String::new(),
            (Some(status), Some(id)) => format!("{id}: {status}\n"),
            (Some(status), None) => format!("{status}\n"),
            _ => String::new(),
        };
    };
    text.clone()
}

/// Lines of the running step's output that are shown.
const SHOWN: usize = 6;

/// The terminal's picture of a build.
struct View {
    step: Option<Step>,
    /// Lines on the screen below the last finished one.
    drawn: usize,
    /// The beginning of a line whose end has not come.
    partial: String,
}

struct Step {
    title: String,
    began: Instant,
    cached: bool,
    output: Vec<String>,
}

impl View {
    fn new() -> View {
        View { step: None, drawn: 0, partial: String::new() }
    }

    /// What to print for one line of the stream.
    fn heard(&mut self, line: &Progress) -> String {
        let mut out = self.wiped();
        let text = match (&line.stream, &line.status) {
            (Some(text), _) => text.clone(),
            (None, Some(status)) => {
                let id = line.id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
                if let (Some(step), Some(id)) = (&mut self.step, &line.id) {
                    // one line for each layer of a pull
                    let begins = format!("{id}: ");
                    step.output.retain(|known| !known.starts_with(&begins));
                }
                format!("{id}{status} {}\n", line.progress.as_deref().unwrap_or_default())
            }
            _ => String::new(),
        };
        self.partial.push_str(&text);
        while let Some(end) = self.partial.find('\n') {
            let whole: String = self.partial.drain(..=end).collect();
            out.push_str(&self.line(whole.trim_end_matches(['\n', '\r'])));
        }
        out + &self.drawing()
    }

    fn line(&mut self, text: &str) -> String {
        if let Some((number, title)) = text.strip_prefix("Step ").and_then(|rest| rest.split_once(" : ")) {
            let before = self.finished();
            let step = Step { title: format!("[{number}] {title}"), began: Instant::now(), cached: false, output: Vec::new() };
            self.step = Some(step);
            return before;
        }
        if text.starts_with("Successfully ") || text.starts_with("[Warning]") || text.starts_with("[WARNING]") {
            return format!("{}{text}\n", self.finished());
        }
        let Some(step) = &mut self.step else { return format!("{text}\n") };
        match text {
            " ---> Using cache" => step.cached = true,
            text if text.starts_with(" ---> ") || text.starts_with("Removing intermediate container ") => {}
            "" => {}
            text => {
                step.output.push(text.to_string());
                if step.output.len() > 20_000 {
                    step.output.drain(..10_000);
                }
            }
        }
        String::new()
    }

    /// The line that stays of a step.
    fn finished(&mut self) -> String {
        let Some(step) = self.step.take() else { return String::new() };
        format!("{}\n", step.headline())
    }

    /// Takes what is drawn off the screen.
    fn wiped(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\u{1b}[J"),
        }
    }

    fn drawing(&mut self) -> String {
        let Some(step) = &self.step else { return String::new() };
        let room = terminal::width().saturating_sub(6);
        let mut out = format!("{}\n", step.headline());
        let from = step.output.len().saturating_sub(SHOWN);
        for line in &step.output[from..] {
            let cut: String = line.chars().filter(|c| !c.is_control()).take(room).collect();
            out.push_str(&format!("\u{1b}[2m  │ {cut}\u{1b}[0m\n"));
        }
        self.drawn = 1 + step.output.len() - from;
        out
    }

    /// The same again: only the clock has moved.
    fn redrawn(&mut self) -> String {
        self.wiped() + &self.drawing()
    }

    /// A step that failed: all it said.
    fn failed(&mut self) -> String {
        let mut out = self.wiped();
        if let Some(step) = self.step.take() {
            out.push_str(&format!("{}\n", step.headline()));
            step.output.iter().for_each(|line| out.push_str(&format!("{line}\n")));
        }
        out
    }

    fn ended(&mut self) -> String {
        self.wiped() + &self.finished() + &std::mem::take(&mut self.partial)
    }
}

impl Step {
    fn headline(&self) -> String {
        let width = terminal::width().clamp(40, 120);
        let time = if self.cached { "CACHED".to_string() } else { format!("{:.1}s", self.began.elapsed().as_secs_f32()) };
        let room = width - 10;
        let title: String = match self.title.chars().count() > room {
            true => self.title.chars().take(room - 1).chain(['…']).collect(),
            false => self.title.clone(),
        };
        format!("{title:<room$} {time:>8}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Progress {
        Progress { stream: Some(text.into()), ..Progress::default() }
    }

    #[test]
    fn a_finished_step_keeps_one_line_and_its_output_goes() {
        let mut view = View::new();
        let mut screen = String::new();
        for text in [
            "Step 1/2 : FROM alpine",
            "\n",
            " ---> 3f5e\n",
            "Step 2/2 : RUN x",
            "\n",
            "one\ntwo\n",
            " ---> Using cache\n",
            "Successfully built 12\n",
        ] {
            screen.push_str(&view.heard(&said(text)));
        }
        screen.push_str(&view.ended());
        assert!(screen.contains("[1/2] FROM alpine") && screen.contains("│ two"), "{screen:?}");
        let last: Vec<&str> = screen.rsplit("\u{1b}[J").next().expect("drawn").lines().collect();
        assert!(last[0].starts_with("[2/2] RUN x") && last[0].ends_with("CACHED"), "{last:?}");
        assert_eq!(last[1], "Successfully built 12");
    }

    #[test]
    fn a_failed_step_is_told_in_full() {
        let mut view = View::new();
        view.heard(&said("Step 1/1 : RUN x\n"));
        (0..20).for_each(|n| drop(view.heard(&said(&format!("line {n}\n")))));
        let told = view.failed();
        assert!(told.contains("line 0\n") && told.contains("line 19\n"), "{told:?}");
    }

    #[test]
    fn the_builders_red_is_taken_off_and_a_programs_own_colours_stay() {
        assert_eq!(uncoloured("\u{1b}[91mwrong\n\u{1b}[0m"), "wrong\n");
        assert_eq!(uncoloured("a \u{1b}[0m"), "a \u{1b}[0m");
    }

    #[test]
    fn looks_have_names() {
        assert_eq!(Look::of(Some("plain"), false).expect("a look"), Look::Plain);
        assert_eq!(Look::of(Some("tty"), true).expect("a look"), Look::Quiet);
        assert!(Look::of(Some("pretty"), false).is_err());
    }
}
