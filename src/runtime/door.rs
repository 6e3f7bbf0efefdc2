//! # Door: how a created container waits for its `start`
//!
//! Between `create` and `start` nobody of ours is alive but `init`, standing before the last step with everything built.
//! It waits at a door: a FIFO in the container's folder, held open since before the folder went out of sight.
//!
//! ```text
//!   start ──"s"──► exec.fifo         ──► init reads one byte, and goes on
//!   start ◄─────── answer/exec.fifo  ◄── Going, or Failed{why}; end of file when execve has closed it
//! ```
//!
//! * The end of the answer is the good news: the descriptor is close-on-exec, so end of file *means* that the program runs
//!   (or that init died, which the answer told before). `start` returns then, and not sooner.
//! * FIFOs, not a socket: after its seccomp filter is loaded, init may have to live with nothing but read and write.
//!
//! * Both are called as runc calls its one: who looks through `/proc/PID/fd` for descriptors that should not be there knows this name.
//! * Meanwhile init is the first process of its world, whom the kernel spares any signal that it did not ask for; it asks for those
//!   by which people end a program ([`ENDS`]).
//!
//! Laws: init holds its end of `start` for reading *and* writing, so it never sees an end of file while it waits.
//! See: fifo(7). Next room: [`crate::handshake`]

use crate::state::Folder;
use minidock_base::{Doing, Error, Result};
use minidock_linux::fifo;
use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

/// SIGHUP, SIGINT, SIGQUIT, SIGTERM: who waits at the door ends by them.
pub const ENDS: [i32; 4] = [1, 2, 3, 15];

fn start(folder: &Folder) -> PathBuf {
    folder.path().join("exec.fifo")
}

fn answer(folder: &Folder) -> PathBuf {
    folder.path().join("answer/exec.fifo")
}

/// Init's side: where it waits, and where it answers.
pub struct Inside {
    pub wait: File,
    pub answer: File,
}

/// Makes the door; the descriptors are for the child.
///
/// # Errors
/// What the disk says.
pub fn make(folder: &Folder) -> Result<Inside> {
    let doing = || "make the door for start";
    fifo::mkfifo(&start(folder)).doing(doing)?;
    fs::create_dir(folder.path().join("answer")).doing(doing)?;
    fifo::mkfifo(&answer(folder)).doing(doing)?;
    let wait = fifo::hold(&start(folder)).doing(doing)?;
    // A writer can be opened only while there is a reader; it may go at once.
    let reader = fifo::reader(&answer(folder)).doing(doing)?;
    let answer = fifo::writer(&answer(folder)).doing(doing)?;
    drop(reader);
    Ok(Inside { wait, answer })
}

/// Whether the container still waits for its start.
pub fn is_closed(folder: &Folder) -> bool {
    start(folder).exists()
}

/// `start`'s side: opens the door and gives back where the answer comes from.
///
/// # Errors
/// Conflict when nobody stands behind it.
pub fn open(folder: &Folder) -> Result<File> {
    let from = fifo::reader(&answer(folder)).doing(|| "open the answer")?;
    let to = fifo::writer(&start(folder));
    let mut to = to.map_err(|_| Error::conflict("cannot start a container that has stopped"))?;
    to.write_all(b"s").doing(|| "open the door")?;
    Ok(from)
}

/// Takes the door away: the container has started.
pub fn remove(folder: &Folder) {
    for path in [start(folder), answer(folder)] {
        // What is gone is gone; a folder that vanishes meanwhile was deleted by force.
        let _ = fs::remove_file(path);
    }
    let _ = fs::remove_dir(folder.path().join("answer"));
}
