//! # The words you type
//!
//! The client's costume: words become Engine API calls, answers become lines on a terminal.

pub mod command;
pub mod container;
pub mod context;
pub mod daemon_control;
pub mod flag;
pub mod session;

/// The client's costume: `args` are all words of the command line, the program's name first.
pub fn main(args: Vec<std::ffi::OsString>) -> i32 {
    let _ = args;
    1
}
