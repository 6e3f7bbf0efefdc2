//! # Recording: the daemon's own kernel calls for one container
//!
//! Most calls that make a container are the runtime's. A few are the daemon's: folders, files, the copy of a volume. They
//! are made on one thread in one go ([`recorded`]), written down by [`minidock_linux::action`], and appended to the same
//! file as the others', so that `minidock explain` can tell the whole story in order.
//!
//! *See:* design.md section 6. *Next room:* [`crate::container::create`]

use minidock_base::paths::Paths;
use minidock_linux::action::{self, Actor};
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

/// Runs `work` on this thread and appends the kernel calls it made to the container's recording.
pub fn recorded<T>(paths: &Paths, id: &str, work: impl FnOnce() -> T) -> T {
    action::start(Actor::Daemon);
    let answer = work();
    append(paths, id, &action::stop_lines());
    answer
}

/// A recording that cannot be written is no reason to refuse a container.
fn append(paths: &Paths, id: &str, lines: &[u8]) {
    if lines.is_empty() {
        return;
    }
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(paths.container_actions(id));
    if let Ok(mut file) = open
        && let Err(error) = file.write_all(lines)
    {
        tracing::debug!(id, %error, "the recorded calls could not be written");
    }
}
