//! # The engine: one machine's containers
//!
//! Everything that Docker's API can ask about containers, images and volumes of this machine is a function here, with the
//! engine as its first argument. No HTTP above, no system calls below: the engine keeps records, decides, writes an OCI
//! bundle and asks a *shim* to bring it to life.
//!
//! ```text
//!    api  ── one call each ─►  engine
//!                               │
//!      ┌──────────┬─────────────┼─────────────┬───────────┬──────────┐
//!      ▼          ▼             ▼             ▼           ▼          ▼
//!  containers   images       volumes       networks     events     execs     departments, each with its own lock
//!      │          │                          │
//!      │          │                          └ network: bridges, cables, rules, names
//!      │          └ image::Store: an OCI layout, layers unpacked once
//!      ▼
//!  oci_config: wishes → config.json           (pure)
//!      ▼
//!  shim_client: spawn `minidock shim`, talk ──socket──► shim ──exec──► runtime ──clone──► your program
//!      ▲                                                  │
//!      └── exits: what follows when a container dies ◄────┘
//! ```
//!
//! * [`container`]: the life of a container, one file for each verb: create, start, stop, wait, exec, attach, logs, remove …
//! * [`oci_config`]: from what the user asked and what the image says to the OCI `config.json`. No input, no output.
//! * [`users`]: who is `www-data`? Asked of the image's own `/etc/passwd`, which may be hostile.
//! * [`shim_client`]: starting a shim, talking to it, finding it again after our own death.
//! * [`exits`]: the end of a process: record, events, restart policy, `--rm`, those who wait.
//! * [`restore`]: the daemon was away. What is on disk, in the kernel and behind the sockets is matched, by the same
//!   functions that run on an ordinary day.
//! * [`images`], [`volumes`], [`networks`], [`events`], [`system`]: the other departments.
//!
//! Laws, in the order in which locks are taken: a container's `life` (async, one at a time) → the store's index → a record
//! (std mutex, short, never across `.await`). The daemon may be killed at any line: whatever is written is written so that
//! [`restore`] can finish or undo it. The engine clones no process; it executes its own binary.
//!
//! *In the real world* dockerd does the same with containerd in between, and with plug-ins for storage, logs, volumes and
//! networks; here each has one kind.
//!
//! *See:* design.md sections 2, 4, 6, 11 · moby `daemon/`. Next room: [`container`]

pub mod byte_stream;
pub mod container;
pub mod disk_usage;
pub mod events;
pub mod exits;
pub mod host;
pub mod images;
mod janitor;
pub mod networks;
pub mod nursery;
pub mod oci_config;
pub mod prune;
pub mod reach;
pub mod restore;
pub mod runtime_client;
pub mod shim_client;
pub mod system;
pub mod users;
pub mod volumes;

use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_image::layer::owners;
use minidock_linux::files;
use minidock_spec::{digest::Digest, engine::container::Ulimit};
use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What the daemon decides once, at its start.
#[derive(Clone, Debug)]
pub struct Options {
    pub paths: Paths,
    /// The OCI runtime that shims execute, program first.
    pub runtime_program: Vec<String>,
    /// How a shim is started, program first.
    pub shim_program: Vec<String>,
    /// Where containers without `--cgroup-parent` get their cgroup: `/minidock/<id>`.
    pub cgroup_parent: String,
    /// What every container gets unless it asks for something else; clamped to what we may give.
    pub default_ulimits: Vec<Ulimit>,
    /// Whether networks with bridges are wanted (`--bridge none`: they are not).
    pub bridges: bool,
    /// The data root of another daemon that lends its images, read-only.
    pub images_from: Option<PathBuf>,
    /// Cores that this machine says it has; 0: as many as the kernel says.
    pub cpus: f64,
    /// Bytes of memory, likewise.
    pub memory: i64,
    /// `key=value`: the engine's own labels.
    pub labels: Vec<String>,
}

impl Options {
    /// Docker's defaults, our own binary for every part.
    pub fn new(paths: Paths) -> Options {
        let this = "/proc/self/exe".to_string();
        Options {
            paths,
            runtime_program: vec![this.clone(), "runtime".into()],
            shim_program: vec![this, "shim".into()],
            cgroup_parent: "/minidock".into(),
            default_ulimits: Vec::new(),
            bridges: true,
            images_from: None,
            cpus: 0.0,
            memory: 0,
            labels: Vec::new(),
        }
    }
}

/// One machine's containers: five departments and what they share.
pub struct Engine {
    pub paths: Paths,
    pub options: Options,
    /// What this machine is.
    pub host: oci_config::Host,
    pub containers: Arc<container::store::Store>,
    pub execs: container::exec::Execs,
    pub events: events::Events,
    pub images: images::Images,
    pub volumes: volumes::Volumes,
    pub nursery: nursery::Nursery,
    pub(crate) init_layer: container::init_layer::InitLayer,
    pub(crate) janitor: janitor::Janitor,
    pub networks: networks::store::Networks,
    /// The user databases of images, as containers of them begin with.
    pub(crate) users: Mutex<HashMap<Digest, Arc<users::Databases>>>,
    /// Held as long as the engine lives: one daemon for each data root.
    _lock: File,
}

impl Engine {
    /// Makes the folders, takes the data root for itself, opens the stores and puts right whatever happened while no
    /// daemon was there.
    ///
    /// # Errors
    /// Another daemon holds the data root, or the folders cannot be made. A broken record is no error: it is set aside.
    pub async fn open(options: Options) -> Result<Arc<Engine>> {
        let paths = options.paths.clone();
        let folders = [
            paths.containers(),
            paths.volumes(),
            paths.networks(),
            paths.layers(),
            paths.scratch(),
            paths.bundles(),
            paths.passing_records(),
            paths.runtime_root(),
            paths.sandboxes(),
        ];
        folders.iter().try_for_each(|folder| private_folder(folder))?;
        private_folder(&mountpoint(&paths))?;
        owners::let_pass(&mountpoint(&paths))?;
        let lock = lock_data_root(&paths)?;
        spread(&paths.containers());
        restore::empty_scratch(&paths.scratch())?;
        let engine = Arc::new(Engine {
            containers: Arc::new(container::store::Store::new(&paths)),
            host: host::look(),
            execs: container::exec::Execs::new(),
            events: events::Events::new(),
            images: images::Images::open(&paths, options.images_from.as_deref())?,
            volumes: volumes::Volumes::open(&paths)?,
            init_layer: container::init_layer::InitLayer::open(&paths)?,
            janitor: janitor::Janitor::default(),
            nursery: nursery::Nursery::new(options.shim_program.clone(), paths.exec_root().join("shim.log")),
            networks: networks::restore::open(&paths, options.bridges)?,
            users: Mutex::default(),
            paths,
            options,
            _lock: lock,
        });
        restore::restore(&engine).await?;
        Ok(engine)
    }
}

/// An empty folder on which every container mounts its root, each in a mount namespace of its own.
pub(crate) fn mountpoint(paths: &Paths) -> PathBuf {
    paths.exec_root().join("rootfs")
}

/// Mode 0710: root's group may pass through, nobody else may look (CVE-2021-41091).
fn private_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o710).create(path).doing(|| format!("make the folder {}", path.display()))
}

/// Containers have nothing to do with one another, and the disk may know it: [`files::spread`].
fn spread(folder: &Path) {
    let told = files::open_directory(folder).and_then(files::spread);
    if let Err(failed) = told {
        tracing::debug!("the disk keeps containers together: {failed}"); // not every file system has a choice
    }
}

fn lock_data_root(paths: &Paths) -> Result<File> {
    let path = paths.lock();
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .doing(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::conflict(format!("another daemon already uses the data root {}", paths.data_root().display()))
                .hint("stop it with minidock system stop, or give this one its own --data-root and --exec-root"))
        }
        Err(fs::TryLockError::Error(e)) => Err(e).doing(|| format!("lock {}", path.display())),
    }
}
