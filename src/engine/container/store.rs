//! # The store: find by id, name or prefix; no two of a name
//!
//! All containers of this engine, in memory, each with its record, its own lock and its door to the shim. The disk has the
//! same records, one file each ([`crate::container::record`]); this room keeps both alike.
//! What need not outlive a reboot is written into the exec root, which lies in memory ([`Kept`]).
//!
//! ```text
//! Store ── ids:   BTreeMap  ordered, so a prefix is found in O(log n)
//!       └─ names: HashMap   a name is taken the moment somebody asks for it (Reservation)
//!
//! Container ── record     std mutex, never held across .await: record() is a cheap snapshot
//!           ├─ life       async lock: start, exit, remove, rename of one container, one after the other
//!           ├─ turns      watch channel: how often it ended, with which code; whether it is gone
//!           └─ shim       the control connection while it runs
//! ```
//!
//! * [`Store::find`] is Docker's rule: exact id, then name, then unambiguous prefix of an id.
//! * [`Container::change`] is the only way to change a record: in memory and on disk, or not at all.
//!
//! Laws: `life` is taken before any std mutex, at most one `life` at a time; `waiting` before `shim`.
//! See: moby `container/view.go`. Next room: [`crate::container::create`]

use crate::{container::attach::Waiting, container::record::Record, shim_client::Shim};
use minidock_base::{Error, Result, id, paths::Paths, state_file};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, RwLock, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::watch;

/// How often a container has ended, and how the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Counts every end of its process, restarts included.
    pub exits: u64,
    pub exit_code: i64,
    /// Why it could not be started, if that was the end.
    pub error: String,
    /// The record is gone: nothing will follow.
    pub removed: bool,
}

/// Where a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// As long as the container. One that is run with `--rm` does not outlive a reboot, so nothing of its record need be on the
    /// disk either.
    OnDisk,
    /// A dead daemon's successor must know it; after a reboot it is no longer true.
    UntilReboot,
    InMemory,
}

/// One container of this engine, alive in memory.
pub struct Container {
    pub id: String,
    files: Files,
    record: Mutex<Arc<Record>>,
    /// Held by whoever starts, ends, removes or renames it.
    pub life: tokio::sync::Mutex<()>,
    turns: watch::Sender<Turn>,
    /// The newest verdict of its health check: `starting`, `healthy`, `unhealthy`; empty without one.
    verdict: watch::Sender<String>,
    /// The connection to its shim while it runs.
    shim: Mutex<Option<Arc<Shim>>>,
    /// Clients that attached before it was started.
    waiting: Mutex<Vec<Waiting>>,
    /// Somebody is stopping it: the exit says `stop` before `die`.
    pub(crate) stopping: AtomicBool,
    /// It is stopped only to be started again: `--rm` waits.
    pub(crate) restarting_by_hand: AtomicBool,
    /// How long the restart policy will wait next time.
    pub(crate) back_off: Mutex<Duration>,
}

impl Container {
    fn new(paths: &Paths, record: Record) -> Container {
        Container {
            id: record.id.clone(),
            files: Files::of(paths, &record),
            life: tokio::sync::Mutex::new(()),
            turns: watch::channel(Turn::default()).0,
            verdict: watch::Sender::new(record.health.as_ref().map(|h| h.status.clone()).unwrap_or_default()),
            record: Mutex::new(Arc::new(record)),
            shim: Mutex::new(None),
            waiting: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
            restarting_by_hand: AtomicBool::new(false),
            back_off: Mutex::new(Duration::ZERO),
        }
    }

    /// Whether it ran once and has ended: nothing more comes unless it is started again.
    pub fn has_ended(&self) -> bool {
        let state = &self.record().state;
        !state.is_running() && state.started_at.is_some()
    }

    /// The connection to its shim.
    ///
    /// # Errors
    /// `container … is not running`.
    pub fn shim(&self) -> Result<Arc<Shim>> {
        let shim = self.shim.lock().expect("no holder panics").clone();
        shim.ok_or_else(|| Error::conflict(format!("container {} is not running", self.id)))
    }

    pub(crate) fn set_shim(&self, shim: Option<Arc<Shim>>) {
        *self.shim.lock().expect("no holder panics") = shim;
    }

    /// The shim, or, before the start, a place on the list of those whom it will be given.
    pub(crate) fn shim_or_wait(&self, client: impl FnOnce() -> Waiting) -> Option<Arc<Shim>> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        let shim = self.shim.lock().expect("no holder panics").clone();
        if shim.is_none() {
            waiting.push(client());
        }
        shim
    }

    /// The shim stands: connects everybody who attached before; whoever comes from now on finds it himself.
    pub(crate) async fn shim_stands(&self, shim: &Arc<Shim>) {
        let clients = {
            let mut waiting = self.waiting.lock().expect("no holder panics");
            self.set_shim(Some(shim.clone()));
            std::mem::take(&mut *waiting)
        };
        for client in clients {
            client.connect(shim).await;
        }
    }

    /// Tells everybody who attached before the start that there will be none.
    pub(crate) fn drop_waiting(&self) {
        self.waiting.lock().expect("no holder panics").clear();
    }

    /// The record as it is now; cheap, and never changes under the reader.
    pub fn record(&self) -> Arc<Record> {
        self.lock().clone()
    }

    /// Changes the record, in memory and on disk, or not at all.
    ///
    /// # Errors
    /// Those of `change`, and those of the disk.
    pub fn change<T>(&self, change: impl FnOnce(&mut Record) -> Result<T>) -> Result<T> {
        self.change_and_keep(Kept::OnDisk, change)
    }

    /// The same for what need not outlive a reboot.
    ///
    /// # Errors
    /// As [`Container::change`].
    pub fn change_until_reboot<T>(&self, change: impl FnOnce(&mut Record) -> Result<T>) -> Result<T> {
        self.change_and_keep(Kept::UntilReboot, change)
    }

    fn change_and_keep<T>(&self, kept: Kept, change: impl FnOnce(&mut Record) -> Result<T>) -> Result<T> {
        let mut slot = self.lock();
        let mut next = Record::clone(&slot);
        let answer = change(&mut next)?;
        self.files.save(kept, &mut next)?;
        *slot = Arc::new(next);
        Ok(answer)
    }

    /// Changes the record in memory alone: for what need not survive (the output of health checks).
    pub fn change_in_memory<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        change(Arc::make_mut(&mut self.lock()))
    }

    /// How often it has ended so far, and a way to wait for the next time.
    pub fn turns(&self) -> watch::Receiver<Turn> {
        self.turns.subscribe()
    }

    /// The verdict of its health check, and a way to wait for another one.
    pub fn verdict(&self) -> watch::Receiver<String> {
        self.verdict.subscribe()
    }

    pub(crate) fn judged(&self, verdict: &str) {
        self.verdict.send_replace(verdict.to_string());
    }

    /// The record, and the turns counted at exactly that moment: no end can slip between the two.
    pub fn record_and_turns(&self) -> (Arc<Record>, watch::Receiver<Turn>) {
        let record = self.lock();
        (record.clone(), self.turns.subscribe())
    }

    /// Changes the record and counts an end, in one step. With `kept` the disk is told too; a container that is about to be
    /// removed spares it that: should we die before, its exit status lies in `exit.json`.
    pub(crate) fn change_and_count(&self, kept: Kept, change: impl FnOnce(&mut Record) -> Result<()>) -> Result<()> {
        let mut slot = self.lock();
        let mut next = Record::clone(&slot);
        change(&mut next)?;
        let saved = self.files.save(kept, &mut next);
        let state = &next.state;
        self.turns.send_modify(|turn| {
            *turn =
                Turn { exits: turn.exits + 1, exit_code: state.exit_code, error: state.error.clone(), removed: turn.removed };
        });
        *slot = Arc::new(next);
        saved
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Record>> {
        self.record.lock().expect("no holder panics")
    }
}

/// Where a container's record lies.
struct Files {
    lasting: PathBuf,
    passing: PathBuf,
    /// Run with `--rm`: after a reboot there is nothing to be removed but its folder.
    goes: bool,
}

impl Files {
    fn of(paths: &Paths, record: &Record) -> Files {
        Files {
            lasting: paths.container_record(&record.id),
            passing: paths.passing_record(&record.id),
            goes: record.host_config.auto_remove && !record.mounts.iter().any(|mount| mount.anonymous),
        }
    }

    /// The first time: `create` has promised it, so a power cut must not take it away again (Docker waits for the disk at every
    /// change; what a container *does* afterwards is no promise of ours, and its record may be some seconds old then).
    fn save_first(&self, record: &mut Record) -> Result<()> {
        match self.goes {
            true => self.save(Kept::OnDisk, record),
            false => {
                record.revision += 1;
                state_file::save_durably(&self.lasting, record)
            }
        }
    }

    fn save(&self, kept: Kept, record: &mut Record) -> Result<()> {
        let file = match kept {
            Kept::OnDisk if !self.goes => &self.lasting,
            Kept::OnDisk | Kept::UntilReboot => &self.passing,
            Kept::InMemory => return Ok(()),
        };
        record.revision += 1;
        state_file::save(file, record)
    }
}

/// All containers.
pub struct Store {
    paths: Paths,
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    ids: BTreeMap<String, Arc<Container>>,
    /// Name to id; a name may be here before its container is.
    names: HashMap<String, String>,
}

impl Store {
    /// An empty store; [`crate::restore`] fills it from the disk.
    pub fn new(paths: &Paths) -> Store {
        Store { paths: paths.clone(), index: RwLock::new(Index::default()) }
    }

    /// What the user meant by `text`: id, name or unambiguous prefix of an id.
    ///
    /// # Errors
    /// `No such container: x`; `multiple IDs found with provided prefix: x`.
    pub fn find(&self, text: &str) -> Result<Arc<Container>> {
        let index = self.read();
        let name = text.strip_prefix('/').unwrap_or(text);
        let named = || index.names.get(name).and_then(|id| index.ids.get(id));
        if let Some(container) = index.ids.get(text).or_else(named) {
            return Ok(container.clone());
        }
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(text), Bound::Unbounded);
        let mut matches = index.ids.range::<str, _>(from).take_while(|(id, _)| !text.is_empty() && id.starts_with(text));
        match (matches.next(), matches.next()) {
            (Some((_, container)), None) => Ok(container.clone()),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("multiple IDs found with provided prefix: {text}")).hint("type more of the id"))
            }
            (None, _) => {
                Err(Error::not_found(format!("No such container: {text}")).hint("minidock ps -a lists all containers"))
            }
        }
    }

    /// By exact id.
    pub fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.read().ids.get(id).cloned()
    }

    /// All of them, newest first.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = self.read().ids.values().cloned().collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.record().created));
        all
    }

    pub fn len(&self) -> usize {
        self.read().ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody has this name.
    pub fn is_taken(&self, name: &str) -> bool {
        self.read().names.contains_key(name)
    }

    /// Takes a name for the container `id`; without one, draws names until one is free.
    ///
    /// # Errors
    /// Docker's `Conflict. The container name "/x" is already in use …`, and its text for a name with other characters.
    pub fn reserve(self: &Arc<Self>, wanted: Option<&str>, id: &str) -> Result<Reservation> {
        let mut index = self.write();
        let name = match wanted.map(|n| n.strip_prefix('/').unwrap_or(n)) {
            Some(name) => {
                check_name(name)?;
                if let Some(holder) = index.names.get(name) {
                    return Err(taken(name, holder));
                }
                name.to_string()
            }
            None => (0..).map(id::random_name).find(|n| !index.names.contains_key(n)).expect("digits make ever more names"),
        };
        index.names.insert(name.clone(), id.to_string());
        Ok(Reservation { store: self.clone(), name, kept: false })
    }

    /// Writes the new record to the disk and shows the container to everybody.
    pub fn insert(&self, mut record: Record) -> Result<Arc<Container>> {
        Files::of(&self.paths, &record).save_first(&mut record)?;
        Ok(self.adopt(record))
    }

    /// Shows a container whose record is on disk already.
    pub fn adopt(&self, record: Record) -> Arc<Container> {
        let container = Arc::new(Container::new(&self.paths, record));
        let mut index = self.write();
        index.names.insert(container.record().name.clone(), container.id.clone());
        index.ids.insert(container.id.clone(), container.clone());
        container
    }

    /// Forgets it (its files are the caller's business) and tells those who wait for that.
    pub fn forget(&self, container: &Container) {
        let mut index = self.write();
        index.ids.remove(&container.id);
        let name = &container.record().name;
        if index.names.get(name) == Some(&container.id) {
            index.names.remove(name);
        }
        drop(index);
        container.turns.send_modify(|turn| turn.removed = true);
        container.drop_waiting();
    }

    /// Gives it another name, here and on disk.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    pub fn rename(self: &Arc<Self>, container: &Container, new: &str) -> Result<String> {
        let old = container.record().name.clone();
        let mut reservation = self.reserve(Some(new), &container.id)?;
        let name = reservation.name.clone();
        container.change(|record| {
            record.name = name.clone();
            Ok(())
        })?;
        reservation.kept = true;
        self.write().names.remove(&old);
        Ok(name)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().expect("no holder panics")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().expect("no holder panics")
    }
}

/// A name that is taken while its container is being made; given back when the making fails.
pub struct Reservation {
    store: Arc<Store>,
    pub name: String,
    kept: bool,
}

impl Reservation {
    /// The container stands: the name stays taken.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            self.store.write().names.remove(&self.name);
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    match id::is_valid_name(name) {
        true => Ok(()),
        false => Err(Error::invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
            .hint("two characters or more: letters, digits, _ . and -, beginning with a letter or digit")),
    }
}

fn taken(name: &str, holder: &str) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    ))
}
