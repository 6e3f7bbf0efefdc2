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
//! * A running container's overlay is mounted by the runtime, inside the container's own mount namespace.
//! * [`view`] and [`read_only_view`] look at a *stopped* container's merged tree through a detached mount that nobody sees.
//!
//! Law: the upper directory belongs to one mounted overlay at a time; a view of a *running* container would be a second.
//! Next room: [`crate::archive`]

use crate::{disk, layer::below};
use minidock_base::{Doing, Result, paths::Paths};
use minidock_linux::overlayfs::Overlay;
use std::{
    fs::DirBuilder,
    io::ErrorKind,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

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

/// The same, only to be read: the writable layer is one more layer, and nothing is written anywhere.
///
/// # Errors
/// As [`view`].
pub fn read_only_view(paths: &Paths, lower: &[PathBuf], upper: Option<&Path>) -> Result<OwnedFd> {
    let stack: Vec<PathBuf> = upper.map(Path::to_path_buf).into_iter().chain(lower.iter().cloned()).collect();
    below::view(&lower_or_empty(paths, &stack)?)
}
