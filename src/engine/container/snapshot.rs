//! # Snapshot: a container's tree, from the image's layers and its own
//!
//! The image department knows layers; this room knows what one container needs of them: a writable layer of its own above
//! the image's, the options with which the runtime will mount the stack *inside* the container, and a read-only look at
//! the whole for whoever must read a file of it before it runs.
//!
//! ```text
//!   diff    (containers/<id>/diff)  writable          ┐
//!   layer n … layer 1               shared, read-only ┘ one overlay, seen by nobody but the container
//! ```
//!
//! *See:* [`minidock_linux::overlayfs`]. *Next room:* [`crate::container::copy_up`]

use crate::{Engine, container::record::Record};
use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_image::layer::owners;
use minidock_linux::{
    action, files,
    mount::{FileSystem, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY},
    overlayfs::Overlay,
};
use minidock_spec::{digest::Digest, image::ImageConfig};
use std::{
    fs::{self, DirBuilder},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::spawn_blocking;

/// What a container needs of its image.
#[derive(Clone, Debug)]
pub struct Image {
    pub id: Digest,
    pub config: Arc<ImageConfig>,
    /// Unpacked layers, the topmost first.
    pub lower: Vec<PathBuf>,
}

/// The image that a user named.
///
/// # Errors
/// `No such image: x`.
pub async fn image(engine: &Arc<Engine>, text: &str) -> Result<Image> {
    let (engine, text) = (engine.clone(), text.to_string());
    spawn_blocking(move || look_up(&engine, &text))
        .await
        .map_err(|_| Error::system("the thread that reads images ended early"))?
}

/// The same on this thread.
pub fn look_up(engine: &Engine, text: &str) -> Result<Image> {
    let record = engine.images.store.resolve(text)?;
    let lower = engine.images.store.lower_dirs(&record)?;
    Ok(Image { id: record.id, config: record.config, lower })
}

/// A new folder with exactly this mode, whatever the umask.
pub fn folder(path: &Path, mode: u32) -> Result<()> {
    let shown = || vec![action::quoted(path), format!("{mode:#o}")];
    action::call("mkdir", shown, || DirBuilder::new().mode(mode).create(path))
        .doing(|| format!("make the folder {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(|| format!("set the mode of {}", path.display()))
}

/// Makes the writable layer: its root looks like the image's.
///
/// # Errors
/// The disk's.
pub fn prepare(paths: &Paths, id: &str, image: &Image) -> Result<()> {
    let (diff, work) = (paths.container_diff(id), paths.container_work(id));
    folder(&diff, 0o755)?;
    folder(&work, 0o700)?;
    if image.lower.is_empty() {
        let doing = || format!("open {}", diff.display());
        owners::give_to_root(&files::open_directory(&diff).doing(doing)?).doing(doing)?;
    }
    if let Some(top) = image.lower.first() {
        let doing = || format!("look at {}", top.display());
        let (from, to) = (files::open_directory(top).doing(doing)?, files::open_directory(&diff).doing(doing)?);
        let stat = files::fstat(&from).doing(doing)?;
        if (stat.st_uid, stat.st_gid) != (0, 0) {
            files::fchown(&to, stat.st_uid, stat.st_gid).doing(doing)?;
        }
        if stat.st_mode & 0o7777 != 0o755 {
            files::fchmod(&to, stat.st_mode & 0o7777).doing(doing)?;
        }
    }
    Ok(())
}

/// How the runtime mounts a container's whole tree: the options of its overlay.
///
/// The tree of a container that goes with its process (`--rm`) is *volatile*: overlayfs then neither hands its fsyncs down to the
/// disk nor makes the whole disk write everything back when it is unmounted, which the last process of the container would have
/// to wait for. Nobody will ever read what that spares. (Podman does the same.)
///
/// # Errors
/// The disk's.
pub fn overlay(paths: &Paths, record: &Record, lower: Vec<PathBuf>) -> Result<Vec<String>> {
    let work = paths.container_work(&record.id);
    let overlay = Overlay { lower, upper: Some((paths.container_diff(&record.id), work.clone())) };
    let mut options: Vec<String> = overlay.options().into_iter().map(|o| o.to_string_lossy().into_owned()).collect();
    if record.host_config.auto_remove {
        // its mark of an earlier life: after a power cut it would be right to refuse the tree, and there was none
        match fs::remove_dir_all(work.join("work/incompat")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("tidy {}", work.display()));
            }
            _ => options.push("volatile".into()),
        }
    }
    Ok(options)
}

/// A look at the tree that changes nothing: the layers, and a container's own above them.
///
/// # Errors
/// What overlayfs says.
pub fn read_only_root(lower: &[PathBuf], diff: Option<&Path>) -> Result<OwnedFd> {
    let stack: Vec<PathBuf> = diff.map(Path::to_path_buf).into_iter().chain(lower.iter().cloned()).collect();
    match &stack[..] {
        [] => empty_folder(), // FROM scratch, before the first layer
        [only] => files::open_directory(only).doing(|| format!("open {}", only.display())),
        _ => Overlay { lower: stack, upper: None }.view().doing(|| "look into the image"),
    }
}

/// The root of an image without layers: a folder that nobody can reach by a name, and in which nothing is.
fn empty_folder() -> Result<OwnedFd> {
    let doing = || "make an empty folder";
    let tmpfs = FileSystem::open("tmpfs").doing(doing)?;
    tmpfs.set("size=4k").doing(doing)?;
    let mount = tmpfs.mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV).doing(doing)?;
    files::openat2(&mount, ".", files::Open::Directory, files::Resolve::Beneath).doing(doing)
}
