//! # Actions: every kernel call made for a user, written down
//!
//! A container is nothing but a few dozen system calls in the right order, and they are over before anyone can look. So
//! each wrapper in this crate writes down what it did, as an [`Action`]: the call and its arguments in the notation of the
//! man page, what the kernel answered, how long it took, which of our processes made it, and which room asked for it.
//! `minidock explain` is nothing but these records, told in order.
//!
//! ```text
//! wrapper ──call()──► thread-local lines ──take_lines()──► actions.jsonl beside the container's record
//!   init's own lines travel up the pipe to `runtime`, the runtime's and shim's to the same file
//! ```
//!
//! * [`call`] runs a closure, times it and records it; `#[track_caller]` finds the room, *if every wrapper between the
//!   room and `call` carries the attribute too*.
//! * Recording is on only where somebody [`start`]ed it on this thread: always in the runtime, its init and the shim; in
//!   the daemon for the stretch of work that belongs to one container. Elsewhere the cost is one thread-local read.
//! * Arguments are strings, one each, as `strace` would print them: paths quoted, flags by name, `NULL` for nothing.
//! * An action is written as the line it will be at the moment it happens. A container's birth makes some 300 of them, and three
//!   times as many small pieces of memory to keep them in would be a good part of its price.
//!
//! Laws: a wrapper records failures as well as successes; no secret (environment, file contents of the user) goes in.
//! See: strace(1). Next room: [`crate::errno`]

use crate::errno::CallFailed;
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    panic::Location,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Which of our processes made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    Daemon,
    Shim,
    Runtime,
    Init,
    Exec,
}

/// One kernel call, as told by `minidock explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Microseconds since 1970.
    pub at_us: u64,
    pub actor: Actor,
    /// The call's name as in its man page: `mount`, `clone3`, `write`.
    pub call: String,
    /// Its arguments in man-page notation, one string each.
    pub args: Vec<String>,
    /// The return value when it succeeded and matters (a pid, say), else 0.
    pub result: i64,
    /// The errno when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// How long it took, in microseconds.
    pub took_us: u32,
    /// The room that asked for it: `src/runtime/rootfs.rs:120`.
    pub room: String,
}

/// The same, as it is written: nothing of it is copied.
#[derive(Serialize)]
struct Line<'a> {
    at_us: u64,
    actor: Actor,
    call: &'a str,
    args: &'a [String],
    result: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    took_us: u32,
    room: Room,
}

/// Where the call was asked for.
struct Room(&'static Location<'static>);

impl Serialize for Room {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let file = self.0.file();
        // the rooms of this house begin so as the compiler is called; in others' builds a path may stand before it
        let from = if file.starts_with("src/") { 0 } else { file.rfind("src/").unwrap_or(0) };
        to.collect_str(&format_args!("{}:{}", &file[from..], self.0.line()))
    }
}

thread_local! {
    static LINES: RefCell<Option<(Actor, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Begins recording on this thread, as `actor`; what was recorded before and not taken is kept.
pub fn start(actor: Actor) {
    LINES.with_borrow_mut(|lines| match lines {
        Some((who, _)) => *who = actor,
        None => *lines = Some((actor, Vec::new())),
    });
}

/// As whom this thread records, if it does: a helper thread that works for it can do the same and hand back its list.
pub fn recording() -> Option<Actor> {
    LINES.with_borrow(|lines| lines.as_ref().map(|(actor, _)| *actor))
}

/// Takes what was recorded on this thread so far, one JSON object a line; recording goes on.
pub fn take_lines() -> Vec<u8> {
    LINES.with_borrow_mut(|lines| lines.as_mut().map(|(_, text)| std::mem::take(text)).unwrap_or_default())
}

/// Ends recording on this thread and gives back the lines there are.
pub fn stop_lines() -> Vec<u8> {
    LINES.with_borrow_mut(|lines| lines.take().map(|(_, text)| text).unwrap_or_default())
}

/// As [`take_lines`], understood.
pub fn take() -> Vec<Action> {
    understand(&take_lines())
}

/// As [`stop_lines`], understood.
pub fn stop() -> Vec<Action> {
    understand(&stop_lines())
}

fn understand(lines: &[u8]) -> Vec<Action> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Adds actions that another thread recorded.
pub fn adopt(more: Vec<Action>) {
    more.iter().for_each(|action| push(|_| action));
}

/// Makes one kernel call and writes it down.
///
/// `args` is called only when somebody records or the call fails. A failure becomes a [`CallFailed`] that carries the
/// call's name, its arguments and the errno.
#[track_caller]
pub fn call<T, E: Into<std::io::Error>>(
    name: &'static str,
    args: impl FnOnce() -> Vec<String>,
    f: impl FnOnce() -> Result<T, E>,
) -> Result<T, CallFailed> {
    call_showing(name, args, f, |_| 0)
}

/// As [`call`], with a function that picks the number to show as the result (a pid, a descriptor).
#[track_caller]
pub fn call_showing<T, E: Into<std::io::Error>>(
    name: &'static str,
    args: impl FnOnce() -> Vec<String>,
    f: impl FnOnce() -> Result<T, E>,
    shown: impl FnOnce(&T) -> i64,
) -> Result<T, CallFailed> {
    let began = Began::now();
    let answer = f();
    began.call_showing(name, args, answer, shown)
}

/// When a call began that is written down afterwards, once it is known to be worth it.
pub struct Began(Instant);

impl Began {
    pub fn now() -> Began {
        Began(Instant::now())
    }

    /// Writes down a call that has just given this answer; else as [`call`].
    #[track_caller]
    pub fn call<T, E: Into<std::io::Error>>(
        self,
        name: &'static str,
        args: impl FnOnce() -> Vec<String>,
        answer: Result<T, E>,
    ) -> Result<T, CallFailed> {
        self.call_showing(name, args, answer, |_| 0)
    }

    #[track_caller]
    fn call_showing<T, E: Into<std::io::Error>>(
        self,
        name: &'static str,
        args: impl FnOnce() -> Vec<String>,
        answer: Result<T, E>,
        shown: impl FnOnce(&T) -> i64,
    ) -> Result<T, CallFailed> {
        let room = Location::caller();
        let took_us = self.0.elapsed().as_micros().min(u32::MAX as u128) as u32;
        let answer = answer.map_err(|e| e.into().raw_os_error().unwrap_or(libc::EIO));
        if recording().is_none() {
            return answer.map_err(|errno| CallFailed::new(name, args(), errno));
        }
        let args = args();
        let (result, errno) = match &answer {
            Ok(value) => (shown(value), None),
            Err(errno) => (-1, Some(*errno)),
        };
        push(|actor| Line {
            at_us: now_us().saturating_sub(took_us as u64),
            actor,
            call: name,
            args: &args,
            result,
            errno,
            took_us,
            room: Room(room),
        });
        answer.map_err(|errno| CallFailed::new(name, args, errno))
    }
}

fn push<T: Serialize>(make: impl FnOnce(Actor) -> T) {
    LINES.with_borrow_mut(|lines| {
        let Some((actor, text)) = lines else { return };
        let begin = text.len();
        match serde_json::to_writer(&mut *text, &make(*actor)) {
            Ok(()) => text.push(b'\n'),
            Err(_) => text.truncate(begin),
        }
    });
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_micros() as u64).unwrap_or(0)
}

/// A path or text as an argument: quoted, with odd bytes escaped.
pub fn quoted(text: impl AsRef<std::ffi::OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    // nearly always there is nothing odd, and then nothing to look at letter by letter
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        true => ["\"", &text, "\""].concat(),
        false => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_recorded_with_its_room_and_its_errno() {
        start(Actor::Runtime);
        let refused = call(
            "mount",
            || vec![quoted("proc"), "NULL".into()],
            || Err::<(), _>(std::io::Error::from_raw_os_error(libc::EPERM)),
        );
        let actions = stop();
        assert_eq!(actions.len(), 1);
        assert_eq!((actions[0].call.as_str(), actions[0].errno), ("mount", Some(libc::EPERM)));
        assert!(actions[0].room.starts_with("src/linux/action.rs:"), "{}", actions[0].room);
        assert!(refused.unwrap_err().to_string().contains("EPERM"));
    }

    #[test]
    fn a_line_is_what_the_action_itself_would_be_and_can_be_adopted() {
        start(Actor::Init);
        let odd = call("open", || vec![quoted("a\"b\\c\n\u{e9}"), quoted("/plain path")], || Ok::<_, std::io::Error>(7));
        let lines = take_lines();
        let known: Action = serde_json::from_slice(&lines).expect("one line");
        assert_eq!([serde_json::to_vec(&known).expect("it is JSON"), b"\n".to_vec()].concat(), lines);
        assert_eq!(known.args, [format!("{:?}", "a\"b\\c\n\u{e9}"), "\"/plain path\"".into()]);
        adopt(vec![known.clone(), known.clone()]);
        assert_eq!((odd.is_ok(), stop()), (true, vec![known.clone(), known]));
        assert!(take_lines().is_empty() && recording().is_none());
    }
}
