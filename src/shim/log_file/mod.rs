//! # The log file: one line of JSON for each line a container says
//!
//! A container's output must still be there when nobody was listening, and other programs (shippers, students with `jq`)
//! must be able to read it. So it is kept exactly as Docker's `json-file` driver keeps it:
//!
//! ```text
//!   web-1 says        hello⏎                              <id>-json.log      the newest
//!                       │                                 <id>-json.log.1    the one before
//!                       ▼                                 <id>-json.log.2    older still (max-file 3)
//!   {"log":"hello\n","stream":"stdout","time":"2026-11-21T09:36:42.016519904Z"}
//! ```
//!
//! * [`line`]: one entry as JSON and back, escaped as Go's encoder does.
//! * [`split`]: bytes into lines; a line over 16 KiB becomes several entries, of which only the last ends in `\n`.
//! * [`writer`]: appends, and rotates by renaming when `max-size` is reached.
//! * [`relay`]: sends each entry to a collector, too.
//! * [`reader`]: the last *n* entries, since, until; across rotated files.
//! * [`follow`]: goes on reading while the file grows, woken by inotify, across rotations.
//!
//! The shim writes; the engine reads, on a thread that may block. They share nothing but the files.
//!
//! Laws: an entry is written whole or not at all; an entry that cannot be read is skipped, never an end.
//! *See:* Docker's json-file driver (moby `daemon/logger`), RFC 3339. *Next room:* [`line`]

pub mod follow;
pub mod line;
pub mod reader;
pub mod relay;
pub mod split;
pub mod writer;

use jiff::Timestamp;
use minidock_base::Result;
use std::{path::PathBuf, sync::Arc};

/// What of a log is wanted.
#[derive(Clone, Default)]
pub struct LogRead {
    /// The newest file; older ones are found beside it.
    pub path: PathBuf,
    /// Only the last so many entries; none: all.
    pub tail: Option<u64>,
    /// Only entries at or after this time.
    pub since: Option<Timestamp>,
    /// Only entries at or before this time; a reader that follows ends with the first later one.
    pub until: Option<Timestamp>,
    /// Goes on when the end is reached; asked again and again what to do then.
    pub follow: Option<Arc<dyn Fn() -> Following + Send + Sync>>,
}

/// What a reader that follows shall do at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// The container may say more.
    GoOn,
    /// It has ended: read what there is and stop.
    EndWhenDrained,
    /// Nobody listens any more.
    Stop,
}

/// Reads a log: an iterator over its entries, which may block when it follows.
///
/// # Errors
/// A file that is there but cannot be opened. No file at all is an empty log.
pub fn read(wish: LogRead) -> Result<reader::Reader> {
    reader::Reader::open(wish)
}
