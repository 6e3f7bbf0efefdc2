//! # Snapshot: an image's layers below one writable layer
//!
//! A container does not copy its image. Its root filesystem is overlayfs: the image's layer directories, read-only, and one
//! directory of its own on top into which every change goes. Starting costs the same for ten files or a million.
//!
//! ```text
//!   containers/<id>/diff    upperdir   what this container changed
//!   containers/<id>/work    workdir    overlayfs' own
//!   layers/l/<short>        lowerdir   topmost layer of the image
//!   layers/l/<short>        lowerdir   …
//! ```
//!
//! * [`prepare`] makes the two folders, [`remove`] takes them away; neither mounts anything: the runtime does, inside the
//!   container's own mount namespace, from [`overlay_options`] in its config.json.
//! * [`view`] looks at a stopped container's merged tree through a detached mount that nobody else sees.
//!
//! Law: the upper directory belongs to one mounted overlay at a time; a view of a *running* container would be a second.
//! Next room: [`crate::archive`]

use crate::{
    disk,
    layer::{below, tree::Tree},
    layers::remove_folder,
};
use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_linux::overlayfs::{MOST_LAYERS, Overlay};
use std::{
    fs::DirBuilder,
    io::ErrorKind,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

/// Makes a container's writable layer.
///
/// # Errors
/// A disk that is full or read-only.
pub fn prepare(paths: &Paths, container: &str) -> Result<()> {
    for (folder, mode) in [(paths.container_diff(container), 0o755), (paths.container_work(container), 0o700)] {
        match DirBuilder::new().mode(mode).create(&folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(disk(&e, format!("make the writable layer {}", folder.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes a container's writable layer; gone already is fine.
pub fn remove(paths: &Paths, container: &str) -> Result<()> {
    let (diff, work) = (paths.container_diff(container), paths.container_work(container));
    let first = remove_folder(&diff);
    remove_folder(&work).and(first)
}

/// The options of the overlay mount, as they stand in a mount's `options` in config.json: `lowerdir=…`, `upperdir=…`,
/// `workdir=…`.
///
/// # Errors
/// More layers than overlayfs stacks, or none.
pub fn overlay_options(paths: &Paths, container: &str, lower: &[PathBuf]) -> Result<Vec<String>> {
    if lower.len() > MOST_LAYERS {
        return Err(Error::invalid(format!("{} layers; overlayfs stacks at most {MOST_LAYERS}", lower.len())));
    }
    let upper = Some((paths.container_diff(container), paths.container_work(container)));
    let overlay = Overlay { lower: lower_or_empty(paths, lower)?, upper };
    overlay
        .options()
        .into_iter()
        .map(|option| option.into_string().map_err(|o| Error::invalid(format!("a data root whose path is not UTF-8: {o:?}"))))
        .collect()
}

/// An image without layers (`FROM scratch`, metadata only) still needs something to lie below.
fn lower_or_empty(paths: &Paths, lower: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !lower.is_empty() {
        return Ok(lower.to_vec());
    }
    let empty = paths.layers().join("empty");
    match DirBuilder::new().mode(0o755).create(&empty) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(disk(&e, "make the empty layer")),
        _ => Ok(vec![empty]),
    }
}

/// The merged tree of a container that does not run, mounted nowhere; writable through its upper directory.
///
/// # Errors
/// Overlayfs refuses (the error carries its own words).
pub fn view(paths: &Paths, lower: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd> {
    let overlay = Overlay { lower: lower_or_empty(paths, lower)?, upper: Some((upper.to_path_buf(), work.to_path_buf())) };
    overlay.view().doing(|| "look at the container's root filesystem")
}

/// The merged tree of an image.
pub fn image_view(paths: &Paths, lower: &[PathBuf]) -> Result<Tree> {
    below::view(&lower_or_empty(paths, lower)?).map(Tree::new)
}
