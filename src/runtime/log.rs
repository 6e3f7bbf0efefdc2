//! # Log: how the runtime complains
//!
//! Engines read the runtime's complaints by machine: containerd's shim asks for `--log FILE --log-format json` and looks for
//! the last line with `"level":"error"`; a person without a log file reads standard error. The lines are those of runc.
//!
//! ```text
//!   text   time="2026-11-27T10:00:00Z" level=error msg="container does not exist"
//!   json   {"level":"error","msg":"container does not exist","time":"2026-11-27T10:00:00Z"}
//! ```
//!
//! Laws: a log that cannot be written loses its line, never the command; warnings are not errors.
//! Next room: [`crate::cli`]

use minidock_base::clock;
use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

#[derive(Default)]
struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::new(Log::default());
}

/// Sets up the log as the global options say.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: Option<&Path>, json: bool, debug: bool) -> std::io::Result<()> {
    let file = match path.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    LOG.set(Log { file, json, debug });
    Ok(())
}

/// Tells an error. With a log file, standard error has the bare sentence too.
pub fn error(message: &str) {
    line("error", message);
    let in_file = LOG.with_borrow(|log| log.file.is_some());
    if in_file {
        eprintln!("{message}");
    }
}

/// Tells an error that a person is to read as it is: without a log file standard error has the bare sentence alone.
pub fn sentence(message: &str) {
    match LOG.with_borrow(|log| log.file.is_some()) {
        true => error(message),
        false => eprintln!("{message}"),
    }
}

/// Tells something that is odd, but did not stop us.
pub fn warn(message: &str) {
    line("warning", message);
}

/// Tells what is being done, if `--debug` asked for it.
pub fn debug(message: &str) {
    if LOG.with_borrow(|log| log.debug) {
        line("debug", message);
    }
}

fn line(level: &str, message: &str) {
    let time = clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    LOG.with_borrow_mut(|log| {
        let text = match log.json {
            true => serde_json::json!({"level": level, "msg": message, "time": time}).to_string(),
            false => format!("time={time:?} level={level} msg={message:?}"),
        };
        // See the essay: a log that cannot be written must not stop the command.
        let _ = match &mut log.file {
            Some(file) => file.write_all(format!("{text}\n").as_bytes()),
            None => std::io::stderr().write_all(format!("{text}\n").as_bytes()),
        };
    });
}
