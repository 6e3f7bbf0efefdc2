//! # Reader: the last lines of a log, across its pages
//!
//! `logs --tail 10` of a log of ten gigabytes must be instant: so the reader begins at the *end*, walks back block by block
//! counting newlines, and only then reads forward. The pages that rotation has made count as one long log.
//!
//! ```text
//!   log.2        log.1         log            --tail 4
//!   a b c d      e f g h       i j
//!                  ▲  ◄──────────┘ counting back: 2 here, 2 more there
//!                  └─► read forward: g h i j
//! ```
//!
//! * All pages are opened at once, newest first, and known by inode: a rotation in between neither hides nor doubles one.
//! * [`Lines`] gives whole lines only; a line longer than a mebibyte cannot be an entry and is passed over.
//!
//! Laws: what cannot be parsed is skipped; memory does not grow with the log. *See:* Docker's `logs`.
//! *Next room:* [`crate::log_file::follow`]

use crate::log_file::{
    LogRead,
    follow::{Follower, Next},
    line::{self, Entry},
    writer::page,
};
use minidock_base::{Doing, Result};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

/// No entry is longer: 16 KiB of text, each byte at most six in JSON, and its attributes.
const LONGEST: usize = 1 << 20;
const BLOCK: usize = 64 * 1024;

/// Entries of a log, oldest first; blocks when it follows.
pub struct Reader {
    current: Option<Lines>,
    /// Pages not begun yet, oldest first.
    pages: VecDeque<File>,
    follower: Option<Follower>,
    wish: LogRead,
    done: bool,
}

impl Reader {
    pub(super) fn open(wish: LogRead) -> Result<Reader> {
        let doing = || format!("read the log {}", wish.path.display());
        // the watch first: what is written while we look at the pages wakes us afterwards
        let follower = wish.follow.clone().map(|ask| Follower::new(&wish.path, ask, wish.until)).transpose()?;
        let mut pages = open_pages(&wish.path).doing(doing)?;
        if let Some(tail) = wish.tail {
            start_at(&mut pages, tail).doing(doing)?;
        }
        Ok(Reader { current: None, pages, follower, wish, done: false })
    }

    /// The next whole line, wherever it is; `None` at the end of everything.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(lines) = &mut self.current
                && let Some(line) = lines.next().doing(|| format!("read the log {}", self.wish.path.display()))?
            {
                return Ok(Some(line));
            }
            if let Some(page) = self.pages.pop_front() {
                self.current = Some(Lines::new(page));
                continue;
            }
            let Some(follower) = &mut self.follower else { return Ok(None) };
            match follower.at_the_end(self.current.as_ref().map(Lines::file))? {
                Next::Again => {}
                Next::FromTheStart => self.current.iter_mut().for_each(Lines::rewind),
                Next::Pages(pages) => self.pages = pages.into(),
                Next::End => return Ok(None),
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        while !self.done {
            let line = match self.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            };
            let Some(entry) = line::parse(&line) else { continue };
            if self.wish.since.is_some_and(|since| entry.at < since) {
                continue;
            }
            if self.wish.until.is_some_and(|until| entry.at > until) {
                break;
            }
            return Some(Ok(entry));
        }
        self.done = true;
        None
    }
}

/// All pages there are, oldest first, each once.
pub(super) fn open_pages(path: &Path) -> io::Result<VecDeque<File>> {
    let (mut pages, mut seen, mut n) = (VecDeque::new(), Vec::new(), 0);
    loop {
        match File::open(page(path, n)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if !seen.contains(&inode) {
                    seen.push(inode);
                    pages.push_front(file);
                }
            }
            // the newest may be missing for the moment between two renames
            Err(error) if error.kind() == ErrorKind::NotFound && n > 0 => return Ok(pages),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        n += 1;
    }
}

/// Drops pages and moves the first one forward, so that `tail` lines are left.
fn start_at(pages: &mut VecDeque<File>, tail: u64) -> io::Result<()> {
    let mut left = tail;
    for index in (0..pages.len()).rev() {
        match count_back(&pages[index], left)? {
            Back::At(offset) => {
                pages[index].seek(SeekFrom::Start(offset))?;
                pages.drain(..index);
                return Ok(());
            }
            Back::Only(lines) => left -= lines,
        }
    }
    Ok(())
}

enum Back {
    /// The last `n` lines begin here.
    At(u64),
    /// There are only so many.
    Only(u64),
}

fn count_back(file: &File, wanted: u64) -> io::Result<Back> {
    let mut end = file.metadata()?.len();
    // the newline that ends the last line begins nothing
    let mut newlines = 0;
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let length = end.min(BLOCK as u64) as usize;
        let start = end - length as u64;
        file.read_exact_at(&mut block[..length], start)?;
        for at in (0..length).rev() {
            if block[at] == b'\n' {
                newlines += 1;
                if newlines > wanted {
                    return Ok(Back::At(start + at as u64 + 1));
                }
            }
        }
        end = start;
    }
    match newlines == wanted {
        true => Ok(Back::At(0)),
        false => Ok(Back::Only(newlines)),
    }
}

/// Whole lines of one page.
pub(super) struct Lines {
    file: File,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were given out.
    taken: usize,
    /// Bytes after `taken` that are known to hold no newline.
    searched: usize,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl Lines {
    fn new(file: File) -> Lines {
        Lines { file, buffer: Vec::new(), taken: 0, searched: 0, skipping: false }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn rewind(&mut self) {
        let _ = self.file.seek(SeekFrom::Start(0)); // a file that cannot be sought reads as at its end
        (self.taken, self.searched, self.skipping) = (0, 0, false);
        self.buffer.clear();
    }

    /// The next whole line without its newline; `None` when there is none *yet*.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let from = self.taken + self.searched;
            if let Some(end) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer[self.taken..from + end].to_vec();
                (self.taken, self.searched) = (from + end + 1, 0);
                if !std::mem::take(&mut self.skipping) {
                    return Ok(Some(line));
                }
                continue;
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            if self.buffer.len() > LONGEST {
                self.buffer.clear();
                self.skipping = true;
            }
            self.searched = self.buffer.len();
            let kept = self.buffer.len();
            self.buffer.resize(kept + BLOCK, 0);
            let read = self.file.read(&mut self.buffer[kept..]);
            self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }
}
