//! # Actions: every kernel call made for a user, written down
//!
//! A container is nothing but a few dozen system calls in the right order, and they are over before anyone can look. So
//! each wrapper in this crate writes down what it did, as an [`Action`]: the call and its arguments in the notation of the
//! man page, what the kernel answered, how long it took, which of our processes made it, and which room asked for it.
//! `minidock explain` is nothing but these records, told in order.
//!
//! ```text
//! wrapper ──call()──► thread-local list ──take()──► actions.jsonl beside the container's record
//!   init's own list travels up the pipe to `runtime`, the runtime's and shim's to the same file
//! ```
//!
//! * [`call`] runs a closure, times it and records it; `#[track_caller]` finds the room, *if every wrapper between the
//!   room and `call` carries the attribute too*.
//! * Recording is on only where somebody [`start`]ed it on this thread: always in the runtime, its init and the shim; in
//!   the daemon for the stretch of work that belongs to one container. Elsewhere the cost is one thread-local read.
//! * Arguments are strings, one each, as `strace` would print them: paths quoted, flags by name, `NULL` for nothing.
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

thread_local! {
    static LIST: RefCell<Option<(Actor, Vec<Action>)>> = const { RefCell::new(None) };
}

/// Begins recording on this thread, as `actor`; what was recorded before and not taken is kept.
pub fn start(actor: Actor) {
    LIST.with_borrow_mut(|list| match list {
        Some((who, _)) => *who = actor,
        None => *list = Some((actor, Vec::new())),
    });
}

/// As whom this thread records, if it does: a helper thread that works for it can do the same and hand back its list.
pub fn recording() -> Option<Actor> {
    LIST.with_borrow(|list| list.as_ref().map(|(actor, _)| *actor))
}

/// Takes what was recorded on this thread so far; recording goes on.
pub fn take() -> Vec<Action> {
    LIST.with_borrow_mut(|list| list.as_mut().map(|(_, actions)| std::mem::take(actions)).unwrap_or_default())
}

/// Ends recording on this thread and gives back what there is.
pub fn stop() -> Vec<Action> {
    LIST.with_borrow_mut(|list| list.take().map(|(_, actions)| actions).unwrap_or_default())
}

/// Adds actions that another process sent.
pub fn adopt(more: Vec<Action>) {
    LIST.with_borrow_mut(|list| {
        if let Some((_, actions)) = list {
            actions.extend(more);
        }
    });
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
    let room = Location::caller();
    let began = Instant::now();
    let answer = f().map_err(|e| e.into().raw_os_error().unwrap_or(libc::EIO));
    let took_us = began.elapsed().as_micros().min(u32::MAX as u128) as u32;
    let recording = LIST.with_borrow(|list| list.is_some());
    if !recording {
        return answer.map_err(|errno| CallFailed::new(name, args(), errno));
    }
    let args = args();
    let (result, errno) = match &answer {
        Ok(value) => (shown(value), None),
        Err(errno) => (-1, Some(*errno)),
    };
    let failed = errno.map(|errno| CallFailed::new(name, args.clone(), errno));
    push(|actor| Action {
        at_us: now_us().saturating_sub(took_us as u64),
        actor,
        call: name.to_string(),
        args,
        result,
        errno,
        took_us,
        room: room_of(room),
    });
    match (answer, failed) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(failed)) => Err(failed),
        (Err(errno), None) => Err(CallFailed::new(name, Vec::new(), errno)),
    }
}

fn push(make: impl FnOnce(Actor) -> Action) {
    LIST.with_borrow_mut(|list| {
        if let Some((actor, actions)) = list {
            let action = make(*actor);
            actions.push(action);
        }
    });
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_micros() as u64).unwrap_or(0)
}

fn room_of(location: &Location<'_>) -> String {
    let file = location.file();
    // the rooms of this house begin so as the compiler is called; in others' builds a path may stand before it
    let from = if file.starts_with("src/") { 0 } else { file.rfind("src/").unwrap_or(0) };
    let mut room = String::with_capacity(file.len() - from + 6);
    room.push_str(&file[from..]);
    room.push(':');
    room.push_str(&location.line().to_string());
    room
}

/// A path or text as an argument: quoted, with odd bytes escaped.
pub fn quoted(text: impl AsRef<std::ffi::OsStr>) -> String {
    format!("{:?}", text.as_ref().to_string_lossy())
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
}
