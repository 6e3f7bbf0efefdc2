//! # Recording: what `minidock explain` will tell
//!
//! With `--actions FILE` every kernel call that the runtime and its init make for a container is written down, one JSON
//! object a line, appended to the file. Init's own come up the handshake as the lines they will be; the parent writes all of
//! them at its end. Whoever reads the file puts them in the order in which they happened.
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
    static HEARD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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

/// Takes in the lines that a child sends: `read` fills the room for them.
///
/// # Errors
/// Those of `read`.
pub fn adopt(length: usize, read: impl FnOnce(&mut [u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    HEARD.with_borrow_mut(|heard| {
        let begin = heard.len();
        heard.resize(begin + length, 0);
        read(&mut heard[begin..])
    })
}

/// Appends all that was recorded.
pub fn write() {
    let Some(file) = FILE.take() else { return };
    let mut lines = HEARD.take();
    lines.append(&mut action::stop_lines());
    let written = OpenOptions::new().create(true).append(true).open(&file).and_then(|mut file| file.write_all(&lines));
    if let Err(failed) = written {
        crate::log::warn(&format!("cannot record actions in {}: {failed}", file.display()));
    }
}
