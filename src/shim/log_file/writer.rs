//! # Writer: appends entries, and turns the page
//!
//! A log that only grows fills the disk. With `max-size` the writer turns the page: `log.1` becomes `log.2`, `log` becomes
//! `log.1`, and a new `log` begins; with `max-file` 1 the old page is thrown away. Renaming, not copying: a reader that has
//! the old page open can finish it.
//!
//! ```text
//!   before   log (full)   log.1   log.2          max-file 3
//!   rename                log.1 → log.2 (the old log.2 is gone)
//!   rename   log → log.1
//!   create   log
//! ```
//!
//! The file is made with the first entry: a container that never says anything has none, and costs the disk nothing.
//!
//! Laws: an entry that does not fit on the disk is left out whole: the file is cut back to the last whole entry, and
//! writing is tried again with the next. The container never waits for a full disk.
//! *See:* rename(2) · Docker's `max-size`, `max-file`. *Next room:* [`crate::log_file::relay`]

use crate::{
    log_file::{
        line::{self, Source},
        relay::Sender,
    },
    protocol::Log,
};
use jiff::Timestamp;
use minidock_base::{Doing, Result};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The log of one container, open for appending.
pub struct Writer {
    log: Log,
    /// The attributes as JSON, made once; empty when there are none.
    attrs: String,
    /// Open as soon as there is something to write.
    file: Option<File>,
    /// Bytes of whole entries in the file.
    size: u64,
    /// Entries not yet written.
    out: Vec<u8>,
    relay: Option<Sender>,
}

impl Writer {
    /// A writer for this log; mode 0640, as Docker's.
    ///
    /// # Errors
    /// Attributes that cannot be encoded, or no folder where the log should be.
    pub fn open(log: Log) -> Result<Writer> {
        let attrs = match log.attrs.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&log.attrs).doing(|| "encode the log's attributes")?,
        };
        let folder = log.path.parent().unwrap_or(Path::new("/"));
        fs::metadata(folder).doing(|| format!("find the folder of the log {}", log.path.display()))?;
        let relay = log.relay.clone().map(Sender::new);
        Ok(Writer { log, attrs, file: None, size: 0, out: Vec::new(), relay })
    }

    /// The file, opened now if it was not yet.
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let (file, size) = begin(&self.log.path)?;
            (self.file, self.size) = (Some(file), size);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Adds one entry; it is on its way to the disk after the next [`Writer::flush`].
    pub fn entry(&mut self, source: Source, text: &[u8], newline: bool, at: Timestamp) {
        let _ = self.file(); // how full it is; if it cannot be opened now, flush will try again
        if self.log.max_size > 0 && self.size + self.out.len() as u64 >= self.log.max_size {
            self.flush();
            self.turn_the_page();
        }
        line::append(&mut self.out, source, text, newline, &self.attrs, at);
        if let Some(relay) = &mut self.relay {
            relay.say(source, text, at);
        }
    }

    /// Hands the entries to the kernel.
    pub fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (out, size) = (std::mem::take(&mut self.out), self.size);
        let written = self.file().and_then(|file| {
            // half an entry would make the next one unreadable too
            file.write_all(&out).inspect_err(|_| drop(file.set_len(size)))
        });
        if written.is_ok() {
            self.size += out.len() as u64;
        }
        self.out = out;
        self.out.clear();
        // a burst may have grown it; an idle shim must stay small
        self.out.shrink_to(8 * 1024);
    }

    /// Renames the pages and begins a new one; when that fails, goes on with the old.
    fn turn_the_page(&mut self) {
        if self.size < self.log.max_size {
            return;
        }
        let path = &self.log.path;
        for n in (2..self.log.max_file).rev() {
            let _ = fs::rename(page(path, n - 1), page(path, n)); // there may be none yet
        }
        if self.log.max_file >= 2 {
            let _ = fs::rename(path, page(path, 1));
        } else {
            let _ = fs::remove_file(path);
        }
        if let Ok(file) = open(path, true) {
            (self.file, self.size) = (Some(file), 0);
        }
    }
}

/// Opens a log for appending, behind its last whole entry; also how long it is.
fn begin(path: &Path) -> io::Result<(File, u64)> {
    let mut file = open(path, false)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        // a shim that was killed in the middle of an entry has left half of one: the next begins a line
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

fn open(path: &Path, fresh: bool) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).create_new(fresh).mode(0o640).open(path)
}

/// The name of the `n`th page back: `log.1`; 0 is the newest, `log` itself.
pub fn page(path: &Path, n: u32) -> PathBuf {
    match n {
        0 => path.to_path_buf(),
        _ => {
            let mut name = OsString::from(path.as_os_str());
            name.push(format!(".{n}"));
            name.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, max_size: u64, max_file: u32) -> Log {
        Log { path: folder.join("c-json.log"), max_size, max_file, attrs: Default::default(), relay: None }
    }

    fn write(writer: &mut Writer, n: usize) {
        writer.entry(Source::Stdout, format!("line {n}").as_bytes(), true, Timestamp::now());
        writer.flush();
    }

    #[test]
    fn pages_are_renamed_and_no_more_are_kept_than_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::open(log(folder.path(), 200, 3)).expect("room");
        (0..40).for_each(|n| write(&mut writer, n));
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).expect("it is there").map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["c-json.log", "c-json.log.1", "c-json.log.2"]);
        let newest = fs::read_to_string(folder.path().join("c-json.log")).expect("it is there");
        assert!(newest.contains("line 39") && newest.len() < 400, "{newest}");
    }

    #[test]
    fn with_one_file_the_old_page_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::open(log(folder.path(), 100, 1)).expect("room");
        (0..10).for_each(|n| write(&mut writer, n));
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
        assert!(fs::read_to_string(folder.path().join("c-json.log")).expect("it is there").contains("line 9"));
    }

    #[test]
    fn a_container_that_says_nothing_has_no_log_and_a_folder_that_is_missing_is_told_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Writer::open(log(folder.path(), 0, 1)).expect("room"));
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
        assert!(Writer::open(log(&folder.path().join("none"), 0, 1)).is_err());
    }

    #[test]
    fn half_an_entry_from_an_earlier_life_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = log(folder.path(), 0, 1);
        fs::write(&log.path, "{\"log\":\"half").expect("room");
        write(&mut Writer::open(log.clone()).expect("room"), 1);
        let text = fs::read_to_string(&log.path).expect("it is there");
        let last = text.lines().last().expect("a line");
        assert_eq!(line::parse(last.as_bytes()).expect("whole").text, "line 1\n");
    }

    #[test]
    fn a_full_disk_costs_lines_but_no_time_and_no_torn_ones() {
        // /dev/full says ENOSPC to every write
        let log = Log { path: "/dev/full".into(), max_size: 0, max_file: 1, attrs: Default::default(), relay: None };
        let mut writer = Writer::open(log).expect("a device");
        (0..3).for_each(|n| write(&mut writer, n));
        assert_eq!((writer.size, writer.out.len()), (0, 0));
    }
}
