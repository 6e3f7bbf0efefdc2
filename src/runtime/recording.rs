//! # Recording: what `minidock explain` will tell
//!
//! With `--actions FILE` every kernel call that the runtime and its init make for a container is written down, one JSON
//! object a line, appended to the file. Init's own come up the handshake; the parent writes all of them at its end, in the
//! order in which they happened.
//!
//! Laws: telling must not change what is told: a file that cannot be written costs a warning. Next room: [`crate::log`]

use minidock_linux::action::{self, Actor};
use std::{
    cell::{Cell, RefCell},
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

thread_local! {
    static FILE: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Begins recording, to be written into `file` by [`write`].
pub fn start(file: &Path, actor: Actor) {
    FILE.set(Some(file.to_path_buf()));
    ON.set(true);
    action::start(actor);
}

/// Whether a child should record, too.
pub fn is_on() -> bool {
    ON.get()
}

/// Appends all that was recorded.
pub fn write() {
    let Some(file) = FILE.take() else { return };
    let mut actions = action::stop();
    actions.sort_by_key(|action| action.at_us);
    let mut lines = Vec::new();
    for action in &actions {
        if serde_json::to_writer(&mut lines, action).is_ok() {
            lines.push(b'\n');
        }
    }
    let written = OpenOptions::new().create(true).append(true).open(&file).and_then(|mut file| file.write_all(&lines));
    if let Err(failed) = written {
        crate::log::warn(&format!("cannot record actions in {}: {failed}", file.display()));
    }
}
