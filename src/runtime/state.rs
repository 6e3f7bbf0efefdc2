//! # State: what is remembered of a container, and what is asked anew
//!
//! The runtime does not stay: `create` ends, `start` ends, and weeks later somebody calls `state`. So each container has a
//! folder below `--root`:
//!
//! ```text
//!   ROOT/ID/state.json     who it is: pid and the moment it started, cgroup, bundle        [`Record`]
//!           config.json    a copy of the configuration: exec and delete need it, bundles come and go
//!           exec.fifo      and answer/exec.fifo, there only between create and start (crate::door)
//! ```
//!
//! The *status* is not remembered, it is asked: a container is what its first process is.
//!
//! ```text
//!   creating ──► created ──start──► running ◄──pause/resume──► paused
//!                   └───────────────────┴──── process gone ────────► stopped ──delete──► (no folder)
//! ```
//!
//! * A pid alone proves nothing (it may have been given to another process); pid *and* start time do.
//! * The record is written before the cgroup is made, with the path it will have, so that `delete --force` can clean up
//!   after a `create` that was killed at any line.
//!
//! Laws: the folder is the lock on the name: mkdir succeeds for one. See: runtime-spec runtime.md#state. Next: [`crate::create`]

use minidock_base::{Doing, Error, Result, state_file};
use minidock_linux::{cgroup::Cgroup, proc::Process};
use minidock_spec::runtime::{State, Status};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// What is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// The first process; 0 while there is none yet.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// The `create` that is (or was) at work, so that a half-made container can be told from one in the making.
    pub maker: (i32, u64),
    /// RFC 3339.
    pub created: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub oci_version: String,
    pub cgroup: Option<Cgroup>,
    /// Somebody lived in the cgroup before us: it is not ours to empty.
    #[serde(default)]
    pub shares_cgroup: bool,
    /// The namespaces that are not the host's, by their file names below `/proc/PID/ns`.
    pub namespaces: Vec<String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// How a configuration says that it has hooks.
const HOOKS: &[u8] = b"\"hooks\"";

/// The folder of one container, which need not exist.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of `id` below `root`.
    ///
    /// # Errors
    /// An id that is empty, too long, or could lead elsewhere.
    pub fn of(root: &Path, id: &str) -> Result<Folder> {
        check_id(id)?;
        Ok(Folder(root.join(id)))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    fn record(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Takes the name.
    ///
    /// # Errors
    /// Conflict when it is taken.
    pub fn make(&self) -> Result<()> {
        if let Some(root) = self.0.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o711).create(root).doing(|| format!("make {}", root.display()))?;
        }
        match fs::DirBuilder::new().mode(0o711).create(&self.0) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::conflict("container with given ID already exists")),
            made => made.doing(|| format!("make {}", self.0.display())),
        }
    }

    /// Removes all that is remembered; nothing wrong if it is gone already.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.doing(|| format!("remove {}", self.0.display())),
        }
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// What the disk says.
    pub fn save(&self, record: &Record) -> Result<()> {
        state_file::save(&self.record(), record)
    }

    /// Reads the record.
    ///
    /// # Errors
    /// Not found; or a broken file, by name.
    pub fn load(&self) -> Result<Record> {
        match state_file::load(&self.record())? {
            Some(record) => Ok(record),
            None => Err(Error::not_found("container does not exist")),
        }
    }

    /// The configuration the container was made from.
    ///
    /// # Errors
    /// The copy is missing or broken.
    pub fn spec(&self) -> Result<Spec> {
        let file = self.config();
        let text = fs::read(&file).doing(|| format!("read {}", file.display()))?;
        crate::bundle::parse(&text).map_err(|e| e.during(format!("read {}", file.display())))
    }

    /// The same where it names any hooks. Most containers have none, and then their configuration need not be understood again.
    pub fn spec_with_hooks(&self) -> Option<Spec> {
        let text = fs::read(self.config()).ok()?;
        let named = text.windows(HOOKS.len()).any(|word| word == HOOKS);
        named.then(|| crate::bundle::parse(&text).ok()).flatten()
    }

    /// Whether anything of the name is there, however little.
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }
}

/// All containers below `root`, by name.
///
/// # Errors
/// The folder is not there or cannot be read.
pub fn all(root: &Path) -> Result<Vec<Folder>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root).doing(|| format!("read {}", root.display()))? {
        let entry = entry.doing(|| format!("read {}", root.display()))?;
        let name = entry.file_name();
        if entry.path().is_dir() && name.to_str().is_some_and(|name| check_id(name).is_ok()) {
            folders.push(Folder(entry.path()));
        }
    }
    folders.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(folders)
}

/// An id becomes the name of a folder, so only what is harmless there is one.
///
/// # Errors
/// Invalid parameter, saying what is allowed.
pub fn check_id(id: &str) -> Result<()> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    match id {
        "" => Err(Error::invalid("container id cannot be empty")),
        _ if id.len() > 1024 || id.starts_with('.') || !id.chars().all(harmless) => {
            Err(Error::invalid("invalid container ID format").hint("letters, digits, _ + - and . (not first), at most 1024"))
        }
        _ => Ok(()),
    }
}

impl Record {
    /// Its first process, if that is still the one we started and not over.
    pub fn process(&self) -> Option<Process> {
        alive(self.pid, self.started)
    }

    /// Who owns the folder, as uid.
    pub fn owner(folder: &Folder) -> u32 {
        fs::metadata(folder.path()).map(|facts| facts.uid()).unwrap_or(0)
    }

    /// Asks the world what the container is now.
    pub fn status(&self, folder: &Folder) -> Status {
        if self.process().is_none() {
            let being_made = self.pid == 0 && alive(self.maker.0, self.maker.1).is_some();
            return if being_made { Status::Creating } else { Status::Stopped };
        }
        if crate::door::is_closed(folder) {
            return Status::Created;
        }
        match self.cgroup.as_ref().is_some_and(Cgroup::is_frozen) {
            true => Status::Paused,
            false => Status::Running,
        }
    }

    /// The state document as hooks get it.
    pub fn to_state(&self, status: Status) -> State {
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            status,
            pid: if status == Status::Stopped { 0 } else { self.pid },
            bundle: self.bundle.display().to_string(),
            annotations: self.annotations.clone(),
        }
    }
}

fn alive(pid: i32, started: u64) -> Option<Process> {
    match pid {
        0 => None,
        _ => Process::read(pid).filter(|process| process.started == started && !process.is_over()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_anywhere() {
        for bad in ["", ".", "..", "../x", "a/b", "a b", "a\n", ".hidden"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
        assert!(check_id(&"a".repeat(1100)).is_err());
        assert!(check_id("web_1.0+x-Y").is_ok());
    }

    #[test]
    fn a_name_is_taken_once() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(root.path(), "web").expect("a fine name");
        folder.make().expect("free");
        assert_eq!(folder.make().expect_err("taken").message(), "container with given ID already exists");
        folder.remove().expect("ours");
        folder.remove().expect("gone is fine");
    }
}
