//! # Recording: what was written down, and which part of it is this life
//!
//! Daemon, shim, runtime and init append to one file beside the container's record, one JSON object a line, each when it
//! finds the time. So lines may be a little out of order, the last may be half written, and a container that was started
//! five times has five lives in it.
//!
//! * [`read`] takes the lines that can be read, in the order of their times.
//! * [`latest_life`] begins where the container was last prepared: at the calls that led to the last `runtime run`.
//!
//! Laws: a broken line is left out and counted, never an error. *Next room:* [`crate::chapter`]

use minidock_base::{Doing, Result};
use minidock_linux::action::{Action, Actor};
use std::{io::ErrorKind, path::Path};

/// What a file of actions holds.
#[derive(Debug, Default)]
pub struct Recording {
    pub actions: Vec<Action>,
    /// Lines that could not be read.
    pub broken: usize,
}

/// Reads a recording; none yet is an empty one.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read(path: &Path) -> Result<Recording> {
    match std::fs::read(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Recording::default()),
        Err(error) => Err(error).doing(|| format!("read the recorded calls {}", path.display())),
    }
}

/// The same from the file's text.
pub fn parse(text: &[u8]) -> Recording {
    let mut recording = Recording::default();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(action) => recording.actions.push(action),
            Err(_) => recording.broken += 1,
        }
    }
    recording.actions.sort_by_key(|action| action.at_us);
    recording
}

/// The part since the container was last prepared to start.
pub fn latest_life(actions: &[Action]) -> &[Action] {
    let Some(run) = actions.iter().rposition(starts_a_life) else { return actions };
    let before =
        actions[..run].iter().rposition(|action| !matches!(action.actor, Actor::Daemon | Actor::Shim) || ends_a_life(action));
    &actions[before.map_or(0, |at| at + 1)..]
}

/// The shim executes `runtime … run …`.
fn starts_a_life(action: &Action) -> bool {
    executes(action, "run")
}

/// The shim starts `runtime … delete …`.
fn ends_a_life(action: &Action) -> bool {
    executes(action, "delete") || action.call == "wait4"
}

fn executes(action: &Action, command: &str) -> bool {
    matches!(action.call.as_str(), "posix_spawn" | "fork")
        && action.args.last().is_some_and(|argv| argv.contains(&format!(" \"{command}\", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(at_us: u64, actor: Actor, call: &str, args: &[&str]) -> Action {
        let args = args.iter().map(|arg| (*arg).to_string()).collect();
        Action { at_us, actor, call: call.into(), args, result: 0, errno: None, took_us: 1, room: "src/x.rs:1".into() }
    }

    #[test]
    fn a_half_written_line_is_left_out_and_order_is_by_time() {
        let (one, two) = (action(1, Actor::Shim, "a", &[]), action(2, Actor::Init, "b", &[]));
        let line = |action: &Action| serde_json::to_string(action).expect("plain data");
        let text = format!("{}\n{}\n{}", line(&two), line(&one), &line(&one)[..20]);
        let recording = parse(text.as_bytes());
        assert_eq!((recording.actions, recording.broken), (vec![one, two], 1));
    }

    #[test]
    fn only_the_last_of_several_lives_is_told() {
        let spawn =
            |at, what: &str| action(at, Actor::Shim, "posix_spawn", &["x", &format!("[\"x\", \"{what}\", \"--detach\"]")]);
        let life =
            |at| vec![action(at, Actor::Daemon, "mkdir", &[]), spawn(at + 1, "run"), action(at + 2, Actor::Init, "mount", &[])];
        let mut actions = life(1);
        actions.push(spawn(5, "delete"));
        let second = life(10);
        actions.extend(second.clone());
        assert_eq!(latest_life(&actions), second);
        assert_eq!(latest_life(&second[..1]), &second[..1]);
    }
}
