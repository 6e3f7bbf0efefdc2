//! # The progress of a copy: how much has gone across so far
//!
//! A large file takes a while, and a program that says nothing looks as if it hung. While bytes move, one line on the terminal
//! counts them; when they have moved, the line goes and a sentence stays. Docker's rules: nothing with `-q`, nothing when standard
//! output is no terminal, and the moving line only where standard error is one.
//!
//! ```text
//!   Copying to container - 12.3MB        painted over every 75 ms
//!   Successfully copied 48MB to web:/data
//! ```
//!
//! *See:* docker/cli `cli/command/container/cp.go` copyProgress; ECMA-48 for `ESC [ 2 K` (erase the line). *Next room:*
//! [`crate::container::pack`]

use crate::terminal;
use minidock_base::units;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

const PAINTED_EVERY: Duration = Duration::from_millis(75);
const ERASED: &str = "\r\x1b[2K";

/// A copy that is being watched.
pub struct Progress {
    moved: Arc<AtomicU64>,
    shown: bool,
    painter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins to count; `doing` is what stands in front of the number ("Copying to container").
    pub fn begin(doing: &'static str, quiet: bool) -> Progress {
        let shown = !quiet && terminal::output_is_terminal();
        let moved = Arc::new(AtomicU64::new(0));
        let painter = (shown && terminal::error_is_terminal()).then(|| {
            let (end, ended) = channel();
            let moved = moved.clone();
            terminal::eprint("Preparing to copy...");
            let paint = move || {
                while ended.recv_timeout(PAINTED_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let size = units::human_size_3(moved.load(Ordering::Relaxed) as f64);
                    terminal::eprint(&format!("{ERASED}{doing} - {size}"));
                }
                terminal::eprint(ERASED);
            };
            (end, std::thread::spawn(paint))
        });
        Progress { moved, shown, painter }
    }

    /// Where the bytes are counted.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.moved.clone()
    }

    /// Everything has arrived at `to`.
    pub fn succeeded(mut self, to: &str) {
        self.erase();
        if self.shown {
            let size = units::human_size_3(self.moved.load(Ordering::Relaxed) as f64);
            terminal::eprint(&format!("Successfully copied {size} to {to}\n"));
        }
    }

    /// The painter leaves an empty line behind; whatever is printed next begins there.
    fn erase(&mut self) {
        if let Some((end, painter)) = self.painter.take() {
            drop(end);
            // it only prints; a panic there is no reason to fail a copy
            let _ = painter.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}
