//! # Prompts: are you sure?
//!
//! What throws things away asks first: `Are you sure you want to continue? [y/N] `. Only `y` is a yes; the end of the input
//! is a no, so a script that forgot `-f` removes nothing.
//!
//! *See:* docker/cli `internal/prompt`. *Next room:* [`crate::upload`]

use crate::terminal;
use std::io::BufRead;

/// Prints `message` and waits for an answer.
pub fn confirm(message: &str) -> bool {
    terminal::print(&format!("{message} [y/N] "));
    let mut answer = String::new();
    // an input that cannot be read is a no
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().eq_ignore_ascii_case("y")
}
