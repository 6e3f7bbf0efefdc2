//! # Bundle: everything on disk before the shim is called
//!
//! A shim is given a folder with a `config.json` and needs nothing else. This room looks up what the pure translation
//! ([`crate::oci_config`]) depends on, and writes the folder:
//!
//! ```text
//!   image's layers ────────────┐
//!   passwd, group (in the tree)┤
//!   volumes, bind sources      ├─► Facts ─► oci_config::config ─► exec root/containers/<id>/config.json
//!   other containers' pids     │                                                       /shm   (only if shareable)
//!   devices, limits, init      ┘                              exec root/rootfs   the overlay's place, empty, one for all
//! ```
//!
//! Laws: it may be run again and again; what an earlier life left in the folder is thrown away first. Nothing is mounted on the
//! host, with one exception that Docker's contract forces: `--ipc shareable` needs a `/dev/shm` that another container
//! can be given. *Next room:* [`crate::container::start`]

use crate::{
    Engine,
    container::{
        etc_files, propagation,
        record::{Mount, Record},
        recording::recorded,
        root, snapshot,
    },
    networks::links,
    oci_config::{self, Facts, Joins, devices, namespaces::Mode, process},
    users::Databases,
    volumes::Source,
};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_linux::{
    files,
    mount::{self, Target},
    reaper,
};
use std::{
    collections::BTreeMap,
    fs,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Writes the bundle of a container that is about to start, on a thread that may block; `sandbox` is where its network
/// namespace is or will be pinned, if it is to have one of ours.
///
/// # Errors
/// Whatever is not as the record says: an image, volume, bind source or other container that is gone; an unknown user.
pub fn write(engine: &Arc<Engine>, record: &Record, sandbox: Option<&Path>) -> Result<()> {
    recorded(&engine.paths, &record.id, || {
        let folder = engine.paths.bundle(&record.id);
        clear(engine, &record.id)?;
        let _ = fs::remove_file(engine.paths.container_exit(&record.id)); // how it ended last time
        snapshot::folder(&folder, 0o700)?;
        let config = oci_config::config(&gather(engine, record, &folder, sandbox)?)?;
        let text = serde_json::to_vec(&config).doing(|| "encode config.json")?;
        fs::write(folder.join("config.json"), text).doing(|| format!("write {}", folder.join("config.json").display()))
    })
}

/// Removes a bundle, and the one mount that may be in it. What is gone already is fine.
///
/// # Errors
/// The disk's.
pub fn clear(engine: &Engine, id: &str) -> Result<()> {
    let folder = engine.paths.bundle(id);
    let shm = folder.join("shm");
    if shm.exists() {
        let _ = mount::umount2(&shm.to_string_lossy(), mount::MNT_DETACH); // it may not be mounted
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The `config.json` a container would be started with now, for `explain`; nothing of it stays.
///
/// # Errors
/// As [`write`].
pub fn preview(engine: &Arc<Engine>, record: &Record) -> Result<serde_json::Value> {
    let folder = engine.paths.scratch().join(format!("preview-{}", minidock_base::id::random_id()));
    fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
    let config = gather(engine, record, &folder, None).and_then(|facts| oci_config::config(&facts));
    let shm = folder.join("shm");
    if shm.exists() {
        let _ = mount::umount2(&shm.to_string_lossy(), mount::MNT_DETACH); // it may not be mounted
    }
    let _ = fs::remove_dir_all(&folder); // the next start of the daemon empties this place anyway
    config
}

fn gather<'a>(engine: &'a Arc<Engine>, record: &'a Record, folder: &Path, sandbox: Option<&Path>) -> Result<Facts<'a>> {
    let wishes = &record.host_config;
    // by its ID: an image removed by force is in no list any more, and still here for this container
    let image = root::image_of(engine, record)
        .map_err(|e| e.with_kind(Kind::System).hint("its image is gone: make the container again from one that is there"))?;
    let joins = joins(engine, record, folder, sandbox)?;
    let sharing = wishes.network_mode.strip_prefix("container:");
    let overlay = snapshot::overlay(&engine.paths, record, engine.init_layer.above(&image))?;
    Ok(Facts {
        record,
        host: &engine.host,
        user: databases(engine, record, &image)?.find(&record.config.user, wishes.group_add.as_deref().unwrap_or_default())?,
        init: (wishes.init == Some(true)).then(|| init_program(engine)).transpose()?,
        joins,
        overlay,
        root: crate::mountpoint(&engine.paths),
        files: etc_files::write(engine, record, sharing)?,
        devices: devices::gather(wishes)?,
        volumes: sources(engine, record)?,
        cgroups_path: cgroups_path(engine, record),
        linked: links::variables(engine, record),
        rlimits: process::rlimits(
            wishes.resources.ulimits.as_deref().unwrap_or_default(),
            &engine.options.default_ulimits,
            &engine.host,
        )?,
    })
}

/// The names of users and groups as this container sees them. As long as it has written nothing into `/etc`, they are the
/// image's, which never change and are read once.
///
/// # Errors
/// Files that are no files: [`Databases::read`].
pub fn databases(engine: &Engine, record: &Record, image: &snapshot::Image) -> Result<Arc<Databases>> {
    let diff = engine.paths.container_diff(&record.id);
    if fs::symlink_metadata(diff.join("etc")).is_ok() {
        let root = snapshot::read_only_root(&image.lower, Some(&diff))?;
        return Databases::read(root.as_fd()).map(Arc::new);
    }
    if let Some(known) = engine.users.lock().expect("no holder panics").get(&image.id) {
        return Ok(known.clone());
    }
    let root = snapshot::read_only_root(&image.lower, None)?;
    let read = Arc::new(Databases::read(root.as_fd())?);
    let mut known = engine.users.lock().expect("no holder panics");
    if known.len() >= 64 {
        known.clear();
    }
    known.insert(image.id.clone(), read.clone());
    Ok(read)
}

/// `/minidock/<id>`, or below `--cgroup-parent`; never outside of the hierarchy.
pub fn cgroups_path(engine: &Engine, record: &Record) -> String {
    let wanted = record.host_config.resources.cgroup_parent.as_str();
    let parent = if wanted.is_empty() { engine.options.cgroup_parent.as_str() } else { wanted };
    minidock_base::clean_path::clean(&format!("{parent}/{}", record.id))
}

/// The reaper's program, written once.
fn init_program(engine: &Engine) -> Result<PathBuf> {
    let path = engine.paths.exec_root().join("docker-init");
    if !path.exists() {
        let beside = engine.paths.exec_root().join(format!("docker-init.{}", minidock_base::id::random_id()));
        let steps = || {
            fs::write(&beside, reaper::PROGRAM)?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
            fs::rename(&beside, &path)
        };
        steps().doing(|| format!("write {}", path.display()))?;
    }
    Ok(path)
}

/// Where each volume's files are now, and that each bind's source is there.
fn sources(engine: &Engine, record: &Record) -> Result<BTreeMap<String, Source>> {
    let mut volumes = BTreeMap::new();
    for mount in &record.mounts {
        let point = &mount.point;
        match point.kind.as_str() {
            "volume" => {
                let volume = engine.volumes.get(&point.name);
                let volume = volume.ok_or_else(|| Error::system(format!("get {}: no such volume", point.name)))?;
                if !mount.subpath.is_empty() {
                    below(&point.source, &mount.subpath)?;
                }
                volumes.insert(point.name.clone(), volume.source(&engine.paths));
            }
            "bind" => {
                find_or_make(mount)?;
                propagation::check(&point.source, &point.propagation)?;
            }
            _ => {}
        }
    }
    Ok(volumes)
}

/// A bind's source: `-v` makes it when it is missing, `--mount` does not.
fn find_or_make(mount: &Mount) -> Result<()> {
    let source = &mount.point.source;
    match (fs::exists(source).unwrap_or(false), mount.create_source) {
        (true, _) => Ok(()),
        (false, true) => fs::create_dir_all(source).doing(|| format!("create the missing bind source {source}")),
        (false, false) => {
            Err(Error::invalid(format!("invalid mount config for type \"bind\": bind source path does not exist: {source}")))
        }
    }
}

/// A subpath of a volume must be there and may lead through no link.
fn below(volume: &str, subpath: &str) -> Result<()> {
    let doing = || format!("find {subpath} in the volume at {volume}");
    let root = files::open_directory(Path::new(volume)).doing(doing)?;
    files::openat2(&root, subpath, files::Open::Path, files::Resolve::Beneath).doing(doing).map(drop)
}

/// The containers whose namespaces this one shares must be running.
fn joins(engine: &Engine, record: &Record, folder: &Path, sandbox: Option<&Path>) -> Result<Joins> {
    let wishes = &record.host_config;
    let mut joins = Joins {
        pid: running(engine, record, &wishes.pid_mode, "PID namespace")?.map(|r| r.state.pid),
        ipc: None,
        network: match running(engine, record, &wishes.network_mode, "network")? {
            Some(donor) => Some(PathBuf::from(format!("/proc/{}/ns/net", donor.state.pid))),
            None => sandbox.map(Path::to_path_buf),
        },
        shm: None,
    };
    if let Some(donor) = running(engine, record, &wishes.ipc_mode, "IPC namespace")? {
        joins.ipc = Some(donor.state.pid);
        joins.shm = match donor.host_config.ipc_mode.as_str() {
            "shareable" => Some(engine.paths.bundle(&donor.id).join("shm")),
            "host" => Some("/dev/shm".into()),
            _ => {
                return Err(Error::invalid(format!("cannot join IPC of container {}: non-shareable IPC", donor.id))
                    .hint("start the other container with --ipc shareable"));
            }
        };
    }
    if wishes.ipc_mode == "shareable" {
        joins.shm = Some(shareable_shm(record, folder)?);
    }
    Ok(joins)
}

fn running(engine: &Engine, record: &Record, mode: &str, what: &str) -> Result<Option<Arc<Record>>> {
    let Mode::Container(other) = Mode::of(mode) else { return Ok(None) };
    let other = engine.containers.find(other).map_err(|e| e.with_kind(Kind::System))?.record();
    if other.id == record.id {
        return Err(Error::invalid(format!("cannot join own {what}")));
    }
    if !other.state.has_process() {
        return Err(Error::conflict(format!("cannot join {what} of a non running container: {}", other.id)));
    }
    Ok(Some(other))
}

/// A `/dev/shm` on the host, which other containers can be given too.
fn shareable_shm(record: &Record, folder: &Path) -> Result<PathBuf> {
    let shm = folder.join("shm");
    snapshot::folder(&shm, 0o1777)?;
    let doing = || format!("mount {}", shm.display());
    let place = files::open_directory(&shm).doing(doing)?;
    let target = Target { fd: place.as_fd(), shown: &shm };
    let options = format!("mode=1777,size={}", record.host_config.shm_size);
    const NOSUID_NODEV_NOEXEC: u64 = 2 | 4 | 8;
    mount::mount("shm", target, "tmpfs", NOSUID_NODEV_NOEXEC, &options).doing(doing)?;
    Ok(shm)
}
