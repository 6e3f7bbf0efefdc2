//! # Knobs: one small file at a time
//!
//! Everything a cgroup can do is a read, a write, a mkdir or a rmdir. These are the five calls, each recorded; a write is
//! *one* write(2), for the kernel parses each write as a whole sentence. Files are never created: a knob that the kernel
//! does not have must answer `ENOENT`, not appear on a disk by mistake.
//!
//! Laws: rmdir works from the bottom up and by patience: a group whose last process is dying answers `EBUSY` for some
//! milliseconds. See: kernfs, cgroups(7). Next room: [`crate::cgroup::v1`]

use crate::{
    action::{self, quoted},
    errno::CallFailed,
    files,
};
use std::{
    fs,
    io::Write,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Writes `value` with one write(2).
///
/// # Errors
/// As open(2) and write(2) on this file.
#[track_caller]
pub fn write(path: &Path, value: &str) -> Result<(), CallFailed> {
    action::call(
        "write",
        || vec![quoted(path), quoted(value)],
        || fs::OpenOptions::new().write(true).open(path)?.write(value.as_bytes()).map(drop),
    )
}

/// Hears what the kernel said to a value, and makes of it what counts.
pub type Judge<'a> = dyn FnMut(&str, Result<(), CallFailed>) -> Result<(), CallFailed> + 'a;

/// Writes values one after the other, each with a write(2) of its own, through one opening of the file. `judge` hears what the kernel
/// said to each, and may forgive a refusal; the first that it does not forgive is the last that was tried.
///
/// # Errors
/// As open(2); what `judge` makes of a refusal.
#[track_caller]
pub fn write_each(path: &Path, values: &[String], judge: &mut Judge<'_>) -> Result<(), CallFailed> {
    let mut file = match fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        // written down as what it was to be
        Err(error) => return Err(write_failing(path, values.first().map_or("", String::as_str), error)),
    };
    for value in values {
        let one = || file.write(value.as_bytes()).map(drop);
        let answer = action::call("write", || vec![quoted(path), quoted(value)], one);
        judge(value, answer)?;
    }
    Ok(())
}

#[track_caller]
fn write_failing(path: &Path, value: &str, error: std::io::Error) -> CallFailed {
    let failing = action::call("write", || vec![quoted(path), quoted(value)], || Err::<(), _>(error));
    failing.expect_err("it is handed a failure")
}

/// Opens a knob now for a write later.
///
/// # Errors
/// As open(2).
#[track_caller]
pub fn open_to_write(path: &Path) -> Result<OwnedFd, CallFailed> {
    action::call_showing(
        "open",
        || vec![quoted(path), "O_WRONLY|O_CLOEXEC".into()],
        || fs::OpenOptions::new().write(true).open(path).map(OwnedFd::from),
        |fd| fd.as_raw_fd().into(),
    )
}

/// Opens a group's folder.
///
/// # Errors
/// As open(2).
#[track_caller]
pub fn open_folder(path: &Path) -> Result<OwnedFd, CallFailed> {
    action::call_showing(
        "open",
        || vec![quoted(path), "O_DIRECTORY|O_CLOEXEC".into()],
        || {
            let mut options = fs::OpenOptions::new();
            options.read(true).custom_flags(libc::O_DIRECTORY).open(path).map(OwnedFd::from)
        },
        |fd| fd.as_raw_fd().into(),
    )
}

/// Writes to a knob opened before.
///
/// # Errors
/// As write(2).
#[track_caller]
pub fn write_fd(fd: &OwnedFd, value: &str) -> Result<(), CallFailed> {
    action::call("write", || vec![fd.as_raw_fd().to_string(), quoted(value)], || rustix::io::write(fd, value.as_bytes()))
        .map(drop)
}

/// The text of a file, without the last line break; not recorded, for it changes nothing.
///
/// # Errors
/// As open(2) and read(2).
pub fn read(path: &Path) -> Result<String, CallFailed> {
    match files::read_small(path) {
        Ok(mut text) => {
            text.truncate(text.trim_end_matches('\n').len());
            Ok(text)
        }
        Err(error) => Err(CallFailed::new("read", vec![quoted(path)], error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// Makes one folder; that it is there already is no error. Tells whether it is new.
///
/// # Errors
/// As mkdir(2).
#[track_caller]
pub fn make_folder(path: &Path) -> Result<bool, CallFailed> {
    let began = action::Began::now();
    match fs::create_dir(path) {
        // the record shows only what really happened
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        made => began.call("mkdir", || vec![quoted(path), "0755".into()], made).map(|()| true),
    }
}

/// Removes a group's folder and all below it, trying until `deadline` while they are busy.
///
/// # Errors
/// `EBUSY` when the last process did not go in time.
#[track_caller]
pub fn remove_tree(path: &Path, deadline: Instant) -> Result<(), CallFailed> {
    let mut pause = Duration::from_micros(200);
    loop {
        // The rmdir itself removes the files; only folders have to go first. Most groups have none below them.
        let removed = match action::call("rmdir", || vec![quoted(path)], || fs::remove_dir(path)) {
            Err(failed) if failed.is(libc::EBUSY) || failed.is(libc::ENOTEMPTY) => {
                for below in folders(path) {
                    remove_tree(&below, deadline)?;
                }
                match folders(path).is_empty() && is_busy(path) {
                    true => Err(failed),
                    false => action::call("rmdir", || vec![quoted(path)], || fs::remove_dir(path)),
                }
            }
            answer => answer,
        };
        match removed {
            Ok(()) => return Ok(()),
            Err(failed) if is_gone(&failed) => return Ok(()),
            Err(failed) if failed.is(libc::EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(failed) => return Err(failed),
        }
    }
}

fn is_busy(path: &Path) -> bool {
    read(&path.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
}

/// The folders directly below; none when it is gone.
pub fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter_map(Result::ok).filter(is_folder).map(|entry| entry.path()).collect()
}

/// Whether the failure says that the group does not exist (`ENODEV`: it went while the file was open).
pub fn is_gone(failed: &CallFailed) -> bool {
    failed.is(libc::ENOENT) || failed.is(libc::ENODEV)
}

/// The failure for a controller that has no tree on this machine.
pub fn missing(controller: &str, file: &str) -> CallFailed {
    CallFailed::new("open", vec![format!("the {controller} controller's {file}")], libc::ENOENT)
}

/// The number behind `key` in a text of `key value` lines.
pub fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// A number, with `max` for the largest there is.
pub fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        digits => digits.parse().unwrap_or(0),
    }
}
