//! # Volumes: folders that outlive containers
//!
//! A container's own files go with it. What must stay is kept in a *volume*: a folder of the engine's, with a name, that
//! is mounted into any container that asks for it. A volume without a name of its own is *anonymous*: it goes when its
//! container goes with `rm -v` or `--rm`.
//!
//! ```text
//!   volumes/<name>/volume.json     who it is          made in tmp/, renamed into place: there is no half volume
//!                 /_data           what it holds      (removed the other way round)
//! ```
//!
//! * [`Volumes::ensure`] finds or makes one and gives back a [`Held`]: as long as that lives, nobody can remove it. So a
//!   container that is being created, and has no record yet, cannot lose its volumes to a `prune`.
//! * [`Record::source`] says how it is mounted. The driver is always `local`, but its options may name something else
//!   (`type=tmpfs`, `o=bind,device=/srv`): that is mounted straight into the container's own mount namespace, never here.
//! * [`create`], [`list`], [`inspect`], [`remove`] are the API's calls; pruning is in [`crate::system`].
//!
//! Laws: who uses a volume is not written down; the containers' records say it ([`users`]). The lock is taken before any
//! of the container store's, and only for work that takes microseconds.
//! See: moby `volume/local/local_unix.go`, `volume/service`. Next room: [`crate::system`]

use crate::{Engine, container::record::Record as ContainerRecord};
use jiff::Timestamp;
use minidock_base::{Doing, Error, Result, clock, id, paths::Paths, state_file};
use minidock_image::{layer::owners, layers::remove_folder};
use minidock_linux::files;
use minidock_spec::engine::{
    filters::Filters,
    volume::{Volume, VolumeCreate, VolumeList},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The label that tells an anonymous volume.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// One volume, as it lies on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub created: Timestamp,
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
}

/// How a volume is mounted: the arguments of mount(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `bind`, `tmpfs`, `nfs`, …
    pub kind: String,
    pub source: PathBuf,
    pub options: Vec<String>,
}

impl Record {
    /// What to mount for this volume: its folder, unless its options say otherwise.
    pub fn source(&self, paths: &Paths) -> Source {
        let option = |key: &str| self.options.as_ref().and_then(|o| o.get(key)).map(String::as_str).unwrap_or_default();
        let words = |text: &str| text.split(',').filter(|w| !w.is_empty()).map(str::to_string).collect::<Vec<_>>();
        let options = words(option("o"));
        match (option("type"), option("device")) {
            (_, "") => Source { kind: "bind".into(), source: paths.volume_data(&self.name), options: vec!["rbind".into()] },
            (_, device) if options.iter().any(|o| o == "bind" || o == "rbind") => {
                Source { kind: "bind".into(), source: device.into(), options }
            }
            (kind, device) => Source { kind: kind.to_string(), source: device.into(), options },
        }
    }

    /// Whether it was made without a name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.as_ref().is_some_and(|labels| labels.contains_key(ANONYMOUS))
    }

    /// The same as the API writes it.
    pub fn to_api(&self, paths: &Paths) -> Volume {
        Volume {
            created_at: format!("{:.0}", self.created),
            driver: "local".into(),
            labels: self.labels.clone(),
            mountpoint: paths.volume_data(&self.name).to_string_lossy().into_owned(),
            name: self.name.clone(),
            options: self.options.clone(),
            scope: "local".into(),
            usage_data: None,
        }
    }
}

/// All volumes.
pub struct Volumes {
    paths: Paths,
    index: Arc<Mutex<Index>>,
}

#[derive(Default)]
struct Index {
    all: BTreeMap<String, Arc<Record>>,
    /// How many containers in the making hold each.
    held: HashMap<String, usize>,
}

/// A volume that cannot be removed as long as this lives.
pub struct Held {
    pub record: Arc<Record>,
    /// It was made just now: the image's files are copied into it.
    pub fresh: bool,
    index: Arc<Mutex<Index>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut index = self.index.lock().expect("no holder panics");
        match index.held.get_mut(&self.record.name) {
            Some(1) | None => drop(index.held.remove(&self.record.name)),
            Some(count) => *count -= 1,
        }
    }
}

impl Volumes {
    /// Opens what is on disk. A record that cannot be read is named in the log and left as it is; its folder stays.
    ///
    /// # Errors
    /// The folder of all volumes cannot be read.
    pub fn open(paths: &Paths) -> Result<Volumes> {
        let mut all = BTreeMap::new();
        let folder = paths.volumes();
        for entry in fs::read_dir(&folder).doing(|| format!("read {}", folder.display()))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match state_file::load::<Record>(&paths.volume_record(&name)) {
                Ok(Some(record)) if record.name == name => drop(all.insert(name, Arc::new(record))),
                Ok(_) => tracing::warn!(volume = name, "there is no volume.json of this name: left alone"),
                Err(error) => tracing::warn!(volume = name, "left alone: {}", error.message()),
            }
        }
        Ok(Volumes { paths: paths.clone(), index: Arc::new(Mutex::new(Index { all, held: HashMap::new() })) })
    }

    pub fn get(&self, name: &str) -> Option<Arc<Record>> {
        self.lock().all.get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Record>> {
        self.lock().all.values().cloned().collect()
    }

    /// Finds the volume, or makes it; without a name, makes an anonymous one. Held until the answer is dropped.
    ///
    /// # Errors
    /// 400 for names, drivers and options that cannot be; what the disk says.
    pub fn ensure(&self, wish: &VolumeCreate) -> Result<Held> {
        check(wish)?;
        let mut index = self.lock();
        let found = index.all.get(&wish.name).cloned();
        let fresh = found.is_none();
        let record = match found {
            Some(record) => record,
            None => {
                let record = Arc::new(self.make(wish)?);
                index.all.insert(record.name.clone(), record.clone());
                record
            }
        };
        *index.held.entry(record.name.clone()).or_default() += 1;
        Ok(Held { record, fresh, index: self.index.clone() })
    }

    fn make(&self, wish: &VolumeCreate) -> Result<Record> {
        let given = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        let mut record = Record {
            name: wish.name.clone(),
            created: clock::now(),
            labels: given(&wish.labels),
            options: given(&wish.driver_opts),
        };
        if record.name.is_empty() {
            record.name = id::random_id();
            record.labels.get_or_insert_default().insert(ANONYMOUS.into(), String::new());
        }
        let made = self.paths.scratch().join(format!("volume-{}", id::random_id()));
        let steps = || -> Result<()> {
            folder(&made, 0o710)?;
            folder(&made.join("_data"), 0o755)?;
            let data = files::open_directory(&made.join("_data")).doing(|| "open its folder")?;
            owners::give_to_root(&data).doing(|| "give it to root")?;
            state_file::save(&made.join("volume.json"), &record)?;
            fs::rename(&made, self.paths.volume(&record.name)).doing(|| "move it into place")
        };
        steps().inspect_err(|_| drop(remove_folder(&made))).doing(|| format!("create volume {}", record.name))?;
        Ok(record)
    }

    /// Takes the volume away, if nobody uses it, and gives back where its files lie now; the caller deletes those.
    fn detach(&self, engine: &Engine, name: &str) -> Result<PathBuf> {
        let mut index = self.lock();
        if !index.all.contains_key(name) {
            return Err(Error::not_found(format!("get {name}: no such volume")).hint("minidock volume ls"));
        }
        let users: Vec<String> = users(engine, name).iter().map(|r| r.id.clone()).collect();
        if index.held.contains_key(name) || !users.is_empty() {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", ")))
                .hint("remove the containers that use it first"));
        }
        let away = self.paths.scratch().join(format!("volume-{}", id::random_id()));
        fs::rename(self.paths.volume(name), &away).doing(|| format!("remove volume {name}"))?;
        index.all.remove(name);
        Ok(away)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().expect("no holder panics")
    }
}

/// A new folder with exactly this mode, whatever the umask.
fn folder(path: &Path, mode: u32) -> Result<()> {
    let steps = || {
        DirBuilder::new().mode(mode).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    steps().doing(|| format!("make the folder {}", path.display()))
}

/// Refuses names, drivers and options that cannot be, in Docker's words.
fn check(wish: &VolumeCreate) -> Result<()> {
    let name = &wish.name;
    if !matches!(wish.driver.as_str(), "" | "local") {
        let driver = &wish.driver;
        return Err(Error::not_found(format!(
            "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
        ))
        .hint("the only volume driver here is local"));
    }
    if name.len() == 1 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !name.is_empty() && (!id::is_valid_name(name) || name.len() > 255) {
        return Err(Error::invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    let options = &wish.driver_opts;
    if let Some(unknown) = options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size")) {
        return Err(Error::invalid(format!("create {name}: invalid option: {unknown:?}")).hint("type, o and device"));
    }
    if options.contains_key("size") {
        return Err(Error::invalid(format!("create {name}: quota size requested but no quota support"))
            .hint("for a volume in memory: --opt type=tmpfs --opt device=tmpfs --opt o=size=100m"));
    }
    for (key, needs) in [("device", "type"), ("type", "device"), ("o", "device"), ("o", "type")] {
        if options.contains_key(key) && !options.contains_key(needs) {
            return Err(Error::invalid(format!("create {name}: missing required option: {needs:?}")));
        }
    }
    Ok(())
}

/// The containers, running or not, that have this volume among their mounts.
pub fn users(engine: &Engine, name: &str) -> Vec<Arc<ContainerRecord>> {
    let uses = |r: &Arc<ContainerRecord>| r.mounts.iter().any(|m| m.point.kind == "volume" && m.point.name == name);
    engine.containers.all().iter().map(|c| c.record()).filter(uses).collect()
}

/// `POST /volumes/create`: finds or makes.
///
/// # Errors
/// As [`Volumes::ensure`].
pub async fn create(engine: &Arc<Engine>, wish: VolumeCreate) -> Result<Volume> {
    let held = engine.volumes.ensure(&wish)?;
    if held.fresh {
        publish(engine, &held.record.name, "create", &[]);
    }
    Ok(held.record.to_api(&engine.paths))
}

/// Tells the world that something happened to a volume.
pub fn publish(engine: &Engine, name: &str, action: &str, more: &[(&str, &str)]) {
    let mut attributes = BTreeMap::from([("driver".to_string(), "local".to_string())]);
    attributes.extend(more.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    engine.events.publish("volume", action, name, attributes);
}

/// `GET /volumes`, narrowed by `dangling`, `driver`, `label`, `name`.
///
/// # Errors
/// 400 for other filters.
pub async fn list(engine: &Arc<Engine>, filters: &Filters) -> Result<VolumeList> {
    filters.accept(&["dangling", "name", "driver", "label"])?;
    let dangling = match filters.contains("dangling") {
        true => Some(filters.boolean("dangling", false)?),
        false => None,
    };
    let none = BTreeMap::new();
    let fits = |record: &Record| {
        (!filters.contains("name") || filters.values("name").any(|part| record.name.contains(part)))
            && filters.exact("driver", "local")
            && filters.labels("label", record.labels.as_ref().unwrap_or(&none))
            && dangling.is_none_or(|wanted| wanted == users(engine, &record.name).is_empty())
    };
    let volumes = engine.volumes.all().iter().filter(|r| fits(r)).map(|r| r.to_api(&engine.paths)).collect();
    Ok(VolumeList { volumes, warnings: None })
}

/// `GET /volumes/{name}`.
///
/// # Errors
/// `get x: no such volume`.
pub async fn inspect(engine: &Arc<Engine>, name: &str) -> Result<Volume> {
    match engine.volumes.get(name) {
        Some(record) => Ok(record.to_api(&engine.paths)),
        None => Err(Error::not_found(format!("get {name}: no such volume")).hint("minidock volume ls")),
    }
}

/// `DELETE /volumes/{name}`; with `force` a volume that is not there is no error.
///
/// # Errors
/// `remove x: volume is in use - [ids]`; `get x: no such volume`.
pub async fn remove(engine: &Arc<Engine>, name: &str, force: bool) -> Result<()> {
    let away = match engine.volumes.detach(engine, name) {
        Err(error) if force && error.kind() == minidock_base::Kind::NotFound => return Ok(()),
        detached => detached?,
    };
    publish(engine, name, "destroy", &[]);
    // whatever cannot be deleted now lies in tmp/, which is emptied at the next start
    let deleting = tokio::task::spawn_blocking(move || remove_folder(&away));
    match deleting.await {
        Ok(deleted) => deleted.doing(|| format!("remove the files of volume {name}")),
        Err(_) => Err(Error::system("the thread that deletes files ended early")),
    }
}
