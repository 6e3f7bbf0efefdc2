//! # Files: secrets and configs, in memory
//!
//! A secret must reach its container and nothing else: not the worker's disk, not an environment that `inspect` shows. So each node
//! keeps one file system in memory (tmpfs), which only root can enter; in it a folder for each task, and in that a file for each secret
//! and config it was granted. The container gets the single files, bound read-only to where it wants them.
//!
//! ```text
//!   <exec root>/tasks            tmpfs, 0700, made when it is first needed, gone with the last file
//!     <task>/0, 1 …              the bytes; owner, group and mode as asked (0444 unless)
//!        └── bound to /run/secrets/db_password in the container
//! ```
//!
//! Laws: a file is on no disk at any moment (swap excepted, as with every tmpfs); when a task's container is removed, its folder goes.
//! A machine that loses power forgets them all. *See:* moby `daemon/container_operations_unix.go` `setupSecretDir`.
//! *Next room:* [`crate::logs`]

use crate::body::container_spec;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_image::layer::owners;
use minidock_linux::{
    files,
    mount::{self, Target},
};
use minidock_spec::swarm::{
    secret::Secret,
    task::{FileTarget, Task},
};
use minidock_swarm::agent::{
    executor::Files,
    expand::{Inside, Words},
};
use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::Write,
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Only one mounts or unmounts at a time.
static PLACE: Mutex<()> = Mutex::new(());
const NOSUID_NODEV_NOEXEC: u64 = 2 | 4 | 8;

/// A file that lies ready for a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// On the node.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
}

/// One file to be.
struct Wanted<'a> {
    file: &'a Secret,
    name: &'a str,
    place: &'a FileTarget,
    default_folder: &'a str,
}

/// Lays a task's files ready.
///
/// # Errors
/// One that was granted has not come; bytes that are no base64; a template that cannot be filled in; what the kernel says.
pub fn place(paths: &Paths, words: &Words<'_>, files: &Files) -> Result<Vec<Placed>> {
    let wanted = wanted(words.task, files)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let _held = PLACE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = ensure_memory(paths)?.join(&words.task.id);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error).doing(|| "make a task's folder"),
        _ => {}
    }
    let inside = inside(words, &wanted)?;
    let mut placed = Vec::new();
    for (number, one) in wanted.iter().enumerate() {
        let source = folder.join(number.to_string());
        let bytes = content(one.file, &Words { inside: Some(&inside), ..*words }).doing(|| format!("read {}", one.name))?;
        write(&source, &bytes, one.place).doing(|| format!("lay {} ready", one.name))?;
        placed.push(Placed { source, target: target(one) });
    }
    Ok(placed)
}

/// A task's secrets, then its configs.
fn wanted<'a>(task: &'a Task, files: &'a Files) -> Result<Vec<Wanted<'a>>> {
    let spec = container_spec(task)?;
    let missing = |kind: &str, name: &str| Error::not_found(format!("{kind} not found: {name}"));
    let mut all = Vec::new();
    for reference in &spec.secrets {
        let file = files.secrets.get(&reference.secret_id).ok_or_else(|| missing("secret", &reference.secret_name))?;
        let Some(place) = &reference.file else { continue };
        all.push(Wanted { file, name: &reference.secret_name, place, default_folder: "/run/secrets" });
    }
    for reference in &spec.configs {
        let file = files.configs.get(&reference.config_id).ok_or_else(|| missing("config", &reference.config_name))?;
        let Some(place) = &reference.file else { continue };
        all.push(Wanted { file, name: &reference.config_name, place, default_folder: "/" });
    }
    Ok(all)
}

/// `db` → `/run/secrets/db`; `/etc/db` as it is.
fn target(wanted: &Wanted<'_>) -> String {
    let name = if wanted.place.name.is_empty() { wanted.name } else { &wanted.place.name };
    match name.starts_with('/') {
        true => name.to_string(),
        false => format!("{}/{name}", wanted.default_folder.trim_end_matches('/')),
    }
}

/// What a config's template may ask for.
fn inside(words: &Words<'_>, wanted: &[Wanted<'_>]) -> Result<Inside> {
    let mut inside = Inside::default();
    for variable in &container_spec(words.task)?.env {
        inside.env.push(words.expand(variable)?);
    }
    for one in wanted.iter().filter(|one| one.file.spec.templating.is_none()) {
        let text = String::from_utf8_lossy(&decode(one.file)?).into_owned();
        let shelf = if one.default_folder == "/" { &mut inside.configs } else { &mut inside.secrets };
        shelf.insert(if one.place.name.is_empty() { one.name.to_string() } else { one.place.name.clone() }, text);
    }
    Ok(inside)
}

fn decode(file: &Secret) -> Result<Vec<u8>> {
    STANDARD.decode(&file.spec.data).map_err(|e| Error::invalid(format!("its data are no base64: {e}")))
}

fn content(file: &Secret, words: &Words<'_>) -> Result<Vec<u8>> {
    let bytes = decode(file)?;
    match file.spec.templating.as_ref().map(|t| t.name.as_str()) {
        None | Some("") => Ok(bytes),
        Some("golang") => {
            let text = String::from_utf8(bytes).map_err(|_| Error::invalid("a template must be UTF-8"))?;
            // a failing secret's text stays out of the message
            words.expand(&text).map(String::into_bytes).map_err(|e| {
                let why = e.message();
                Error::invalid(why.rsplit_once("failed: ").map_or(why.clone(), |(_, why)| format!("its template: {why}")))
            })
        }
        Some(other) => Err(Error::not_implemented(format!("template driver {other:?} is not there: golang is the only one"))),
    }
}

fn write(path: &Path, bytes: &[u8], place: &FileTarget) -> Result<()> {
    let id = |text: &str, what: &str| match text {
        "" => Ok(0),
        text => text.parse::<u32>().map_err(|_| Error::invalid(format!("{what} {text:?} is no number"))),
    };
    let (uid, gid) = owners::on_disk((id(&place.uid, "the user")?, id(&place.gid, "the group")?))?;
    let _ = fs::remove_file(path); // from an attempt that was broken off
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).doing(|| "make its file")?;
    file.write_all(bytes).doing(|| "write its file")?;
    if (uid, gid) != (0, 0) {
        fchown(&file, Some(uid), Some(gid)).doing(|| format!("give its file to {uid}:{gid}"))?;
    }
    let mode = if place.mode == 0 { 0o444 } else { place.mode & 0o7777 };
    file.set_permissions(Permissions::from_mode(mode)).doing(|| "set its mode")
}

/// Removes a task's files; the file system goes with the last of them.
pub fn remove(paths: &Paths, task: &str) {
    let _held = PLACE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let memory = paths.tasks();
    let _ = fs::remove_dir_all(memory.join(task)); // most tasks have none
    if is_mounted(&memory) && fs::read_dir(&memory).is_ok_and(|mut left| left.next().is_none()) {
        let _ = mount::umount2(&memory.to_string_lossy(), mount::MNT_DETACH);
        let _ = fs::remove_dir(&memory);
    }
}

/// Tasks of which files are here, whether or not their container is.
pub fn known(paths: &Paths) -> Vec<String> {
    let names = fs::read_dir(paths.tasks()).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The file system in memory, mounted.
fn ensure_memory(paths: &Paths) -> Result<PathBuf> {
    let memory = paths.tasks();
    if is_mounted(&memory) {
        return Ok(memory);
    }
    let doing = || format!("make a place for secrets at {}", memory.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&memory).doing(doing)?;
    let place = files::open_directory(&memory).doing(doing)?;
    let target = Target { fd: place.as_fd(), shown: &memory };
    mount::mount("tasks", target, "tmpfs", NOSUID_NODEV_NOEXEC, "mode=0700").doing(doing)?;
    Ok(memory)
}

/// It is another file system than the folder it is in.
fn is_mounted(memory: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|facts| facts.dev()).ok();
    let below = device(memory);
    below.is_some() && below != memory.parent().and_then(device)
}
