//! # The log store: what is fsynced when
//!
//! One redb file per member holds the log (index → entry), the vote, how far is committed, and the last snapshot. A
//! transaction of redb is atomic and durable: after its commit the entries survive a power cut, before it none of them is
//! there. So there is no torn tail to repair; an entry that cannot be read is damage, and is reported by its index.
//!
//! ```text
//!   log        1 … n        entries, sealed; cut off in front after a snapshot, behind when a new leader overrules
//!   kept       vote         fsynced before it is given: a vote that is forgotten can be given twice
//!              committed    a hint, written without waiting: saves re-learning after a restart
//!              purged       the last entry that was cut off in front
//!              snapshot     the machine's whole state with the entry it reaches to and the members then
//! ```
//!
//! Writes run on threads for blocking work, so that heartbeats are not held up by the disk.
//!
//! Laws: entries have no gaps; a vote and an append reach the disk in the order in which they were asked for.
//! *See:* openraft `RaftLogStorage`; redb's design notes. *Next room:* [`crate::transport`]

use crate::{
    kind::{Kind, Member},
    seal::Seal,
};
use minidock_base::{Doing, Error, Result};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, SnapshotMeta, StorageError, StorageIOError, Vote,
    storage::{LogFlushed, RaftLogStorage},
};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Debug,
    fs, io,
    ops::{Bound, RangeBounds},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::spawn_blocking};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// So many bytes of entries go to another member together.
const TOGETHER: usize = 4 << 20;
const KEPT: TableDefinition<&str, &[u8]> = TableDefinition::new("kept");

/// The file, and the key to it. Clones share both.
#[derive(Clone)]
pub struct LogStore {
    file: Arc<PathBuf>,
    open: Arc<Open>,
    bell: watch::Receiver<()>,
    seal: Arc<dyn Seal>,
}

/// The database, and a bell that rings after it is closed: fields are dropped in this order.
struct Open {
    database: Database,
    _bell: watch::Sender<()>,
}

/// Knows when the last clone of the store is gone.
pub(crate) struct Lease(watch::Receiver<()>);

impl Lease {
    /// Returns when the file is closed, or after five seconds: the library's tasks end a moment after it says that it has
    /// stopped.
    pub async fn returned(&self) {
        let mut bell = self.0.clone();
        let closed = async { while bell.changed().await.is_ok() {} };
        if tokio::time::timeout(Duration::from_secs(5), closed).await.is_err() {
            tracing::warn!("a stopped member's log is still open");
        }
    }
}

/// A machine's state up to an entry.
pub(crate) type Snapshot = (SnapshotMeta<u64, Member>, Vec<u8>);

impl LogStore {
    /// Opens the log in `folder`, or makes an empty one, and reads every entry once.
    ///
    /// # Errors
    /// The file cannot be opened, another process has it, or an entry cannot be read: its index is named.
    pub fn open(folder: &Path, seal: Arc<dyn Seal>) -> Result<LogStore> {
        fs::create_dir_all(folder).doing(|| format!("make the folder {}", folder.display()))?;
        let file = folder.join("raft-1.redb");
        let database = Database::create(&file).map_err(|e| {
            Error::system(e.to_string())
                .during(format!("open the log {}", file.display()))
                .hint("another daemon may have it open; a damaged log cannot be mended: leave the swarm on this manager and join it again")
        })?;
        let (ring, bell) = watch::channel(());
        let store = LogStore { file: Arc::new(file), open: Arc::new(Open { database, _bell: ring }), bell, seal };
        store.make_tables().map_err(|e| store.damaged("make its tables", &e))?;
        store.check()?;
        Ok(store)
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease(self.bell.clone())
    }

    fn make_tables(&self) -> io::Result<()> {
        let change = self.open.database.begin_write().map_err(failed)?;
        change.open_table(LOG).map_err(failed)?;
        change.open_table(KEPT).map_err(failed)?;
        change.commit().map_err(failed)
    }

    /// Every entry can be read and none is missing between the first and the last.
    fn check(&self) -> Result<()> {
        let read = self.open.database.begin_read().map_err(|e| self.damaged("read", &e))?;
        let log = read.open_table(LOG).map_err(|e| self.damaged("read", &e))?;
        let mut expected = None;
        for record in log.iter().map_err(|e| self.damaged("read", &e))? {
            let (index, bytes) = record.map_err(|e| self.damaged("read", &e))?;
            let index = index.value();
            if expected.is_some_and(|e| e != index) {
                return Err(self.damaged(&format!("read entry {}", expected.unwrap_or(index)), &"it is missing"));
            }
            self.decode::<Entry<Kind>>(bytes.value()).map_err(|e| self.damaged(&format!("read entry {index}"), &e))?;
            expected = Some(index + 1);
        }
        Ok(())
    }

    fn damaged(&self, what: &str, why: &dyn std::fmt::Display) -> Error {
        Error::system(why.to_string())
            .during(format!("{what} of the log {}", self.file.display()))
            .hint("this manager does not start on a log it cannot trust: leave the swarm here with --force and join again from another manager")
    }

    fn encode<T: Serialize>(&self, value: &T) -> io::Result<Vec<u8>> {
        Ok(self.seal.seal(&postcard::to_stdvec(value).map_err(failed)?))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> io::Result<T> {
        postcard::from_bytes(&self.seal.open(bytes).map_err(|e| failed(e.message()))?).map_err(failed)
    }

    /// What is kept under `key`.
    pub(crate) fn kept<T: DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        let read = self.open.database.begin_read().map_err(failed)?;
        let table = read.open_table(KEPT).map_err(failed)?;
        let found = table.get(key).map_err(failed)?;
        found.map(|bytes| self.decode(bytes.value())).transpose()
    }

    fn keep<T: Serialize>(&self, key: &str, value: &T, durability: Durability) -> io::Result<()> {
        let bytes = self.encode(value)?;
        let mut change = self.open.database.begin_write().map_err(failed)?;
        change.set_durability(durability).map_err(failed)?;
        change.open_table(KEPT).map_err(failed)?.insert(key, bytes.as_slice()).map_err(failed)?;
        change.commit().map_err(failed)
    }

    pub(crate) fn save_snapshot(&self, snapshot: &Snapshot) -> io::Result<()> {
        self.keep("snapshot", snapshot, Durability::Immediate)
    }

    pub(crate) fn snapshot(&self) -> io::Result<Option<Snapshot>> {
        self.kept("snapshot")
    }

    /// Entries whose index lies in `range`, in order: the first one, and so many more as are at most `most_bytes` together.
    pub(crate) fn entries(&self, range: impl RangeBounds<u64>, most_bytes: usize) -> io::Result<Vec<Entry<Kind>>> {
        let read = self.open.database.begin_read().map_err(failed)?;
        let log = read.open_table(LOG).map_err(failed)?;
        let (mut found, mut left) = (Vec::new(), most_bytes);
        for record in log.range(range).map_err(failed)? {
            let record = record.map_err(failed)?.1;
            match left.checked_sub(record.value().len()) {
                Some(rest) => left = rest,
                None if found.is_empty() => left = 0,
                None => break,
            }
            found.push(self.decode(record.value())?);
        }
        Ok(found)
    }

    /// Removes the entries in `range`, and keeps `purged` as the last that was cut off in front, if given.
    pub(crate) fn cut(&self, range: impl RangeBounds<u64>, purged: Option<LogId<u64>>) -> io::Result<()> {
        let bytes = purged.map(|id| self.encode(&id)).transpose()?;
        let change = self.open.database.begin_write().map_err(failed)?;
        {
            let mut log = change.open_table(LOG).map_err(failed)?;
            log.retain_in(range, |_, _| false).map_err(failed)?;
            if let Some(bytes) = bytes {
                change.open_table(KEPT).map_err(failed)?.insert("purged", bytes.as_slice()).map_err(failed)?;
            }
        }
        change.commit().map_err(failed)
    }

    fn add(&self, entries: &[Entry<Kind>]) -> io::Result<()> {
        let change = self.open.database.begin_write().map_err(failed)?;
        {
            let mut log = change.open_table(LOG).map_err(failed)?;
            for entry in entries {
                log.insert(entry.log_id.index, self.encode(entry)?.as_slice()).map_err(failed)?;
            }
        }
        change.commit().map_err(failed)
    }

    fn state(&self) -> io::Result<LogState<Kind>> {
        let purged: Option<LogId<u64>> = self.kept("purged")?;
        let read = self.open.database.begin_read().map_err(failed)?;
        let log = read.open_table(LOG).map_err(failed)?;
        let last = match log.last().map_err(failed)? {
            Some((_, bytes)) => Some(self.decode::<Entry<Kind>>(bytes.value())?.log_id),
            None => purged,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    /// How many entries lie in the log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn len(&self) -> Result<u64> {
        let count = || -> io::Result<u64> {
            let read = self.open.database.begin_read().map_err(failed)?;
            read.open_table(LOG).map_err(failed)?.len().map_err(failed)
        };
        count().doing(|| format!("read {}", self.file.display()))
    }

    /// `true` when there is no entry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Runs `work` on a thread that may wait for the disk.
pub(crate) async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(failed)?
}

fn failed(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}

fn writing(error: io::Error) -> StorageError<u64> {
    StorageIOError::write_logs(&error).into()
}

fn reading(error: io::Error) -> StorageError<u64> {
    StorageIOError::read_logs(&error).into()
}

impl RaftLogReader<Kind> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<Kind>>, StorageError<u64>> {
        let bounds: (Bound<u64>, Bound<u64>) = (range.start_bound().cloned(), range.end_bound().cloned());
        let store = self.clone();
        on_disk(move || store.entries(bounds, usize::MAX)).await.map_err(reading)
    }

    /// What goes to another member in one message. One that was away gets what it has missed in several: a message must arrive
    /// within the time between two heartbeats, and must fit into whatever carries it.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry<Kind>>, StorageError<u64>> {
        let store = self.clone();
        on_disk(move || store.entries(start..end, TOGETHER)).await.map_err(reading)
    }
}

impl RaftLogStorage<Kind> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Kind>, StorageError<u64>> {
        self.state().map_err(reading)
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let (store, vote) = (self.clone(), *vote);
        on_disk(move || store.keep("vote", &vote, Durability::Immediate)).await.map_err(writing)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        self.kept("vote").map_err(reading)
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), StorageError<u64>> {
        let store = self.clone();
        on_disk(move || store.keep("committed", &committed, Durability::None)).await.map_err(writing)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        Ok(self.kept::<Option<LogId<u64>>>("committed").map_err(reading)?.flatten())
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Kind>) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Kind>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (store, entries): (_, Vec<_>) = (self.clone(), entries.into_iter().collect());
        let outcome = on_disk(move || store.add(&entries)).await;
        let told = outcome.as_ref().map(|_| ()).map_err(|e| io::Error::other(e.to_string()));
        flushed.log_io_completed(told);
        outcome.map_err(writing)
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), StorageError<u64>> {
        let store = self.clone();
        on_disk(move || store.cut(from.index.., None)).await.map_err(writing)
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Result<(), StorageError<u64>> {
        let store = self.clone();
        on_disk(move || store.cut(..=upto.index, Some(upto))).await.map_err(writing)
    }
}
