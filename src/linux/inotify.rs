//! # Inotify: being told that a file has grown
//!
//! Who follows a log could ask for its size every so often: too often when nothing happens, too late when something does.
//! The kernel tells instead. A [`Watch`] is put on the *folder*, not on the file: rotation renames the file and makes a
//! new one of the same name, and a watch on the old inode would follow it away.
//!
//! ```text
//!   write ► IN_MODIFY │ rotate ► IN_MOVED_FROM, IN_CREATE │ folder removed ► IN_DELETE_SELF
//!   all of them mean only: look again
//! ```
//!
//! Laws: an event is a hint to look, never the truth itself (the queue may overflow); look once after the watch stands and
//! before the first wait. See: inotify(7). Next room: [`crate::limits`]

use crate::{
    action::{call, quoted},
    errno::CallFailed,
    poll::{Want, until_ready},
};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

/// Somebody who looks at a folder.
pub struct Watch {
    queue: OwnedFd,
}

impl Watch {
    /// Starts looking at what changes in `folder`.
    ///
    /// # Errors
    /// ENOENT when there is none; ENOSPC or EMFILE when the user's share of watches is used up
    /// (`/proc/sys/fs/inotify/max_user_watches`, `max_user_instances`).
    #[track_caller]
    pub fn folder(folder: &Path) -> Result<Watch, CallFailed> {
        let queue = call(
            "inotify_init1",
            || vec!["IN_CLOEXEC|IN_NONBLOCK".into()],
            || inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK),
        )?;
        let wanted = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE | WatchFlags::DELETE_SELF;
        call(
            "inotify_add_watch",
            || vec!["queue".into(), quoted(folder), "IN_MODIFY|IN_CREATE|IN_MOVE|IN_DELETE|IN_DELETE_SELF".into()],
            || inotify::add_watch(&queue, folder, wanted),
        )?;
        Ok(Watch { queue })
    }

    /// Waits until something has changed or `limit` has passed; empties the queue. Whether something had changed.
    pub fn wait(&self, limit: Duration) -> Result<bool, CallFailed> {
        if !until_ready(self.queue.as_fd(), Want::READ, Some(limit))? {
            return Ok(false);
        }
        let mut room = [0u8; 4096];
        while matches!(rustix::io::read(&self.queue, &mut room), Ok(n) if n > 0) {}
        Ok(true)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_or_is_renamed_wakes_the_watcher() {
        let folder = tempfile::tempdir().expect("a folder");
        let watch = Watch::folder(folder.path()).expect("a folder to look at");
        let short = Duration::from_millis(1);
        assert!(!watch.wait(short).expect("open"));
        std::fs::write(folder.path().join("a"), "x").expect("room");
        assert!(watch.wait(Duration::from_secs(5)).expect("open"));
        assert!(!watch.wait(short).expect("open"), "the queue was emptied");
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).expect("same folder");
        assert!(watch.wait(Duration::from_secs(5)).expect("open"));
        assert!(Watch::folder(Path::new("/no/such")).is_err_and(|e| e.is(libc::ENOENT)));
    }
}
