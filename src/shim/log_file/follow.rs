//! # Follow: what a reader does at the end of a log that still grows
//!
//! The end of the file is not the end of the story: the container may say more, the writer may have turned the page, or the
//! container may have ended, in which case what it said *last* must still be read. The three are told apart here.
//!
//! ```text
//!   at the end ─► another file has the name now? ─► read on here once more, then the newer pages
//!             ├─► shorter than where I am?       ─► somebody cut it: from the start
//!             ├─► container ended?               ─► once more, then stop
//!             └─► wait (inotify, at most 200 ms, for whoever asked may leave)
//! ```
//!
//! Laws: every way out reads once more *after* it learnt that nothing will come: no last line is lost. The wait is bounded.
//! *See:* inotify(7), tail(1) `--follow=name`. *Next room:* `src/engine/shim_client.rs`, who asks all this

use crate::log_file::{Following, reader::open_pages};
use jiff::Timestamp;
use minidock_base::{Doing, Result, clock};
use minidock_linux::inotify::Watch;
use std::{
    fs::{self, File},
    io::Seek,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long a reader sleeps before it asks again whether anybody listens.
const TURN: Duration = Duration::from_millis(200);

/// What to do at the end.
pub(super) enum Next {
    /// Try to read again.
    Again,
    /// The file was cut: read it from its start.
    FromTheStart,
    /// These pages come after the one that is read.
    Pages(Vec<File>),
    End,
}

/// Somebody who goes on.
pub(super) struct Follower {
    path: PathBuf,
    watch: Watch,
    ask: Arc<dyn Fn() -> Following + Send + Sync>,
    until: Option<Timestamp>,
    /// It is over, and everything was read once more since we know.
    last_pass: bool,
    /// The page was turned, and the old one was read once more since we know.
    turned: bool,
}

impl Follower {
    pub(super) fn new(
        path: &Path,
        ask: Arc<dyn Fn() -> Following + Send + Sync>,
        until: Option<Timestamp>,
    ) -> Result<Follower> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let watch = Watch::folder(folder).doing(|| format!("follow the log {}", path.display()))?;
        Ok(Follower { path: path.to_path_buf(), watch, ask, until, last_pass: false, turned: false })
    }

    /// Nothing is left in `current` (or there was no file at all): what now?
    pub(super) fn at_the_end(&mut self, current: Option<&File>) -> Result<Next> {
        if let Some(next) = self.page_turned(current) {
            return Ok(next);
        }
        if self.last_pass {
            return Ok(Next::End);
        }
        match (self.ask)() {
            Following::Stop => return Ok(Next::End),
            Following::EndWhenDrained => self.last_pass = true,
            Following::GoOn if self.until.is_some_and(|until| until < clock::now()) => self.last_pass = true,
            Following::GoOn => drop(self.watch.wait(TURN).doing(|| format!("follow the log {}", self.path.display()))?),
        }
        Ok(Next::Again)
    }

    fn page_turned(&mut self, current: Option<&File>) -> Option<Next> {
        let named = fs::metadata(&self.path).ok()?;
        let Some(mut current) = current else {
            // there was no file when we began, and now there is
            return open_pages(&self.path).ok().filter(|pages| !pages.is_empty()).map(|pages| Next::Pages(pages.into()));
        };
        let ours = current.metadata().ok()?;
        if ours.ino() == named.ino() {
            let cut = current.stream_position().is_ok_and(|position| position > ours.len());
            return cut.then_some(Next::FromTheStart);
        }
        if !std::mem::replace(&mut self.turned, true) {
            return Some(Next::Again);
        }
        let pages = open_pages(&self.path).ok()?;
        let inode = |file: &File| file.metadata().map(|m| m.ino()).unwrap_or(0);
        let newer = pages.iter().position(|page| inode(page) == ours.ino()).map_or(0, |at| at + 1);
        self.turned = false;
        Some(Next::Pages(pages.into_iter().skip(newer).collect()))
            .filter(|next| !matches!(next, Next::Pages(p) if p.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        log_file::{Following, LogRead, line::Source, read, writer::Writer},
        protocol::Log,
    };
    use jiff::Timestamp;
    use std::{
        fs,
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    fn log(folder: &Path, max_size: u64, max_file: u32) -> Log {
        Log { path: folder.join("c-json.log"), max_size, max_file, attrs: Default::default(), relay: None }
    }

    fn write(writer: &mut Writer, n: usize) {
        writer.entry(Source::Stdout, format!("line {n}").as_bytes(), true, Timestamp::now());
        writer.flush();
    }

    fn texts(wish: LogRead) -> Vec<String> {
        read(wish).expect("readable").map(|entry| entry.expect("readable").text.trim_end().to_string()).collect()
    }

    #[test]
    fn tail_counts_back_across_pages_and_no_log_is_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = log(folder.path(), 300, 5);
        let wish = LogRead { path: log.path.clone(), ..Default::default() };
        assert!(texts(wish.clone()).is_empty());
        let mut writer = Writer::open(log).expect("room");
        (0..12).for_each(|n| write(&mut writer, n));
        let all: Vec<String> = (0..12).map(|n| format!("line {n}")).collect();
        assert_eq!(texts(wish.clone()), all);
        for tail in 0..15 {
            let want = &all[all.len().saturating_sub(tail)..];
            assert_eq!(texts(LogRead { tail: Some(tail as u64), ..wish.clone() }), want, "tail {tail}");
        }
    }

    #[test]
    fn since_and_until_cut_and_lines_that_are_none_are_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let line = |second: u32| {
            format!("{{\"log\":\"{second}\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-01T00:00:{second:02}Z\"}}\n")
        };
        let long = "x".repeat(3 << 20);
        fs::write(&path, format!("{}not json\n{}{long}\n{}{{\"log\":\"torn", line(1), line(2), line(3))).expect("room");
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z").parse::<Timestamp>().expect("a time");
        let wish = LogRead { path, ..Default::default() };
        assert_eq!(texts(wish.clone()), ["1", "2", "3"]);
        assert_eq!(texts(LogRead { since: Some(at(2)), ..wish.clone() }), ["2", "3"]);
        assert_eq!(texts(LogRead { until: Some(at(2)), ..wish }), ["1", "2"]);
    }

    #[test]
    fn a_follower_loses_nothing_while_pages_turn_and_ends_with_the_container() {
        // as many pages as are written: a reader slower than the pages that are kept loses them, as it must
        for max_file in [12, 20] {
            let folder = tempfile::tempdir().expect("a folder");
            let log = log(folder.path(), 20_000, max_file);
            let ended = Arc::new(AtomicBool::new(false));
            let seen = ended.clone();
            let ask = move || if seen.load(Ordering::SeqCst) { Following::EndWhenDrained } else { Following::GoOn };
            let wish = LogRead { path: log.path.clone(), follow: Some(Arc::new(ask)), ..Default::default() };
            let reader = std::thread::spawn(move || texts(wish));
            let mut writer = Writer::open(log).expect("room");
            for n in 0..2000 {
                write(&mut writer, n);
            }
            ended.store(true, Ordering::SeqCst);
            let want: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
            assert!(reader.join().expect("no panic") == want, "max_file {max_file}");
        }
    }

    #[test]
    fn nobody_listening_ends_a_follower() {
        let folder = tempfile::tempdir().expect("a folder");
        let wish =
            LogRead { path: folder.path().join("log"), follow: Some(Arc::new(|| Following::Stop)), ..Default::default() };
        assert!(texts(wish).is_empty());
    }
}
