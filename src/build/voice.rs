//! # Voice: what a build says while it goes on
//!
//! A build speaks in lines of JSON: `{"stream":"Step 1/5 : FROM alpine"}`. Stages that are built at the same time all speak, and a
//! reader wants to see one after the other: so each stage has a voice of its own, and the first one that is not finished is
//! heard at once while the later ones wait.
//!
//! ```text
//!   stage 1 ──voice──► ─────────────────────────────┐
//!   stage 2 ──voice──► (waits in its channel) ──────┤ in the order of the file ──► the client
//!   stage 3 ──voice──► (waits) ─────────────────────┘
//! ```
//!
//! * [`Voice`] speaks; [`in_order`] carries what all say to the client. [`Failure`] is how a build ends badly: an error, and the
//!   exit code of a `RUN`, which clients take for their own.
//!
//! Law: a channel holds [`WAITING`] lines, then its stage waits: an earlier stage never waits for a later one, so all get their
//! turn. See: moby `api/server/router/build`. Next room: [`crate::run`]

use minidock_base::Error;
use minidock_spec::engine::image::{ErrorDetail, Progress};
use serde_json::json;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Lines that a stage may be ahead of its turn.
pub const WAITING: usize = 4096;

/// Speaks to the client; if it has gone, to nobody.
#[derive(Clone, Debug)]
pub struct Voice(Sender<Progress>);

/// A voice and what it says.
pub fn voice() -> (Voice, Receiver<Progress>) {
    let (to, heard) = mpsc::channel(WAITING);
    (Voice(to), heard)
}

impl Voice {
    /// Text as it is.
    pub async fn say(&self, text: impl Into<String>) {
        self.line(Progress { stream: Some(text.into()), ..Progress::default() }).await;
    }

    /// `{"aux":{"ID":"sha256:…"}}`
    pub async fn image(&self, id: &str) {
        self.line(Progress { aux: Some(json!({ "ID": id })), ..Progress::default() }).await;
    }

    /// Any line: the bars of a pull.
    pub async fn line(&self, line: Progress) {
        let _ = self.0.send(line).await; // the client may be gone, and then the build is cancelled elsewhere
    }

    /// Until nobody hears it any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// The same from a thread that may block.
    pub fn line_now(&self, line: Progress) {
        let _ = self.0.try_send(line);
    }
}

/// Carries what all voices say to `to`, one voice after the other.
pub async fn in_order(voices: Vec<Receiver<Progress>>, to: Voice) {
    for mut heard in voices {
        while let Some(line) = heard.recv().await {
            to.line(line).await;
        }
    }
}

/// How a build ends badly.
#[derive(Clone, Debug)]
pub struct Failure {
    pub error: Error,
    /// The exit code of the `RUN` that failed.
    pub code: Option<i64>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, code: None }
    }
}

impl Failure {
    /// The last line of the stream.
    pub fn line(&self) -> Progress {
        let message = self.error.message();
        let detail = ErrorDetail { code: self.code, message: message.clone(), minidock: Some(self.error.to_wire()) };
        Progress { error: Some(message), error_detail: Some(detail), ..Progress::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_are_heard_one_after_the_other() {
        let ((first, heard_first), (second, heard_second)) = (voice(), voice());
        let (out, mut heard) = voice();
        tokio::spawn(in_order(vec![heard_first, heard_second], out));
        second.say("2").await;
        first.say("1").await;
        drop(second);
        first.say("1 again").await;
        drop(first);
        let mut all = Vec::new();
        while let Some(line) = heard.recv().await {
            all.extend(line.stream);
        }
        assert_eq!(all, ["1", "1 again", "2"]);
    }
}
