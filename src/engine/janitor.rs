//! # The janitor: sweeps when nobody is in a hurry
//!
//! A removed container is gone as soon as its folder has left its place ([`crate::container::remove`]). What is then to be
//! deleted of one that wrote nothing is a dozen empty folders and small files, no space worth speaking of, but it costs the disk
//! twice: the deleting, and afterwards every new file, because ext4 passes over inodes that were freed a moment ago. In a
//! burst of short containers that is a good part of all the work. So such folders wait in `tmp/` until the burst is over.
//!
//! ```text
//!   remove ─► wrote nothing? ─ yes ─► [`Janitor::later`] ─► no more came for a second, or very many wait ─► deleted
//!                   └─ no: deleted at once, for its space
//! ```
//!
//! Laws: what waits when the daemon ends is deleted by the next one, which empties `tmp/` at its start.
//! *Next room:* [`crate::nursery`]

use minidock_image::layers::remove_folder;
use std::{
    mem,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// How long nothing new must have come.
const QUIET: Duration = Duration::from_secs(1);
/// So many are deleted in any case.
const MANY: usize = 500;

/// Folders that wait to be deleted.
#[derive(Clone, Default)]
pub struct Janitor(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    folders: Vec<PathBuf>,
    /// How many have ever come.
    came: u64,
    at_work: bool,
}

impl Janitor {
    /// Deletes this folder when there is time; must be called in a tokio runtime.
    pub fn later(&self, folder: PathBuf) {
        let mut waiting = self.0.lock().expect("no holder panics");
        waiting.folders.push(folder);
        waiting.came += 1;
        if !mem::replace(&mut waiting.at_work, true) {
            tokio::spawn(self.clone().work());
        }
    }

    async fn work(self) {
        while let Some(folders) = self.when_quiet().await {
            let deleting = move || {
                for folder in folders {
                    if let Err(error) = remove_folder(&folder) {
                        tracing::warn!("left for the next start: {}", error.message());
                    }
                }
            };
            let _ = spawn_blocking(deleting).await; // what is left goes at the next start
        }
    }

    /// Waits for a pause, and takes all that wait; none: the work is done.
    async fn when_quiet(&self) -> Option<Vec<PathBuf>> {
        let mut before = u64::MAX;
        loop {
            {
                let mut waiting = self.0.lock().expect("no holder panics");
                if waiting.folders.is_empty() {
                    waiting.at_work = false;
                    return None;
                }
                if waiting.came == before || waiting.folders.len() >= MANY {
                    return Some(mem::take(&mut waiting.folders));
                }
                before = waiting.came;
            }
            sleep(QUIET).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn what_waits_is_deleted_after_a_pause_and_more_than_once() {
        let home = tempfile::tempdir().expect("a folder");
        let janitor = Janitor::default();
        for round in 0..2 {
            for n in 0..3 {
                let folder = home.path().join(format!("{round}-{n}"));
                fs::create_dir_all(folder.join("work/work")).expect("room");
                janitor.later(folder);
            }
            assert_eq!(fs::read_dir(home.path()).expect("it is there").count(), 3, "not yet");
            while fs::read_dir(home.path()).expect("it is there").count() > 0 {
                sleep(QUIET / 20).await;
            }
        }
    }
}
