//! # Poll: one thread, many doors
//!
//! A process with one thread can still serve many: it asks the kernel *which* of its descriptors have something to say,
//! and sleeps until one has. epoll(7) would spare the kernel a walk over the list, which matters at thousands; a shim has
//! a dozen, and a list built anew at each turn cannot be out of date.
//!
//! ```text
//!   loop { list of (descriptor, what I want) ─► poll ─► what each has ─► act, never waiting }
//! ```
//!
//! Laws: a closed far end shows as [`Ready::gone`] *beside* data still to be read: read first. Not recorded: this is our
//! own waiting, not an act on a container. See: poll(2). Next room: [`crate::inotify`]

use crate::errno::CallFailed;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

/// What is wanted of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    pub read: bool,
    pub write: bool,
}

impl Want {
    pub const READ: Want = Want { read: true, write: false };
    pub const WRITE: Want = Want { read: false, write: true };
    /// Only whether the far end is gone.
    pub const NOTHING: Want = Want { read: false, write: false };
}

/// What one descriptor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A read will not wait (data, or the end).
    pub read: bool,
    /// A write will not wait.
    pub write: bool,
    /// The far end hung up, or the descriptor is broken.
    pub gone: bool,
}

impl Ready {
    pub fn any(self) -> bool {
        self.read || self.write || self.gone
    }
}

/// The list for one turn of a loop; the answer stands at the same index. Keeps its memory from turn to turn.
#[derive(Default)]
pub struct Poll<'fd> {
    list: Vec<PollFd<'fd>>,
}

impl<'fd> Poll<'fd> {
    pub fn with_capacity(n: usize) -> Poll<'fd> {
        Poll { list: Vec::with_capacity(n) }
    }

    /// Adds a descriptor; gives back its index.
    pub fn add(&mut self, fd: BorrowedFd<'fd>, want: Want) -> usize {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, want.read);
        flags.set(PollFlags::OUT, want.write);
        self.list.push(PollFd::from_borrowed_fd(fd, flags));
        self.list.len() - 1
    }

    /// Sleeps until something is ready or `limit` has passed (`None`: for ever); how many are ready.
    ///
    /// A signal that is handled meanwhile does not end the sleep.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<usize, CallFailed> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left =
                left.map(|d| Timespec { tv_sec: d.as_secs().min(i64::MAX as u64) as i64, tv_nsec: d.subsec_nanos().into() });
            match rustix::event::poll(&mut self.list, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => {
                    return Err(CallFailed::new(
                        "poll",
                        vec![format!("{} descriptors", self.list.len())],
                        errno.raw_os_error(),
                    ));
                }
                Ok(n) => return Ok(n),
            }
        }
    }

    /// What the descriptor at `index` has.
    pub fn ready(&self, index: usize) -> Ready {
        let has = self.list.get(index).map(PollFd::revents).unwrap_or(PollFlags::empty());
        Ready {
            read: has.contains(PollFlags::IN),
            write: has.contains(PollFlags::OUT),
            gone: has.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
        }
    }
}

/// Waits for one descriptor: whether it became ready before `limit`.
pub fn until_ready(fd: BorrowedFd<'_>, want: Want, limit: Option<Duration>) -> Result<bool, CallFailed> {
    let mut poll = Poll::with_capacity(1);
    poll.add(fd, want);
    Ok(poll.wait(limit)? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_closed_pipe_is_gone_but_what_was_in_it_can_be_read_first() {
        let (read, write) = crate::fds::pipe().expect("two descriptors");
        let quick = Some(Duration::from_millis(1));
        assert!(!until_ready(read.as_fd(), Want::READ, quick).expect("an open pipe"));
        rustix::io::write(&write, b"x").expect("an open pipe");
        drop(write);
        let mut poll = Poll::default();
        let index = poll.add(read.as_fd(), Want::READ);
        poll.wait(quick).expect("an open pipe");
        assert_eq!(poll.ready(index), Ready { read: true, write: false, gone: true });
    }
}
