//! # Image: a tree of digests, and how it becomes a root filesystem
//!
//! An image is not one file. It is a small tree of documents that point at each other by hash: a manifest names one
//! configuration (what to run) and some layers (what to see). Whoever trusts the hash at the top can check all below it.
//!
//! ```text
//!   "alpine:latest" ─tags─► manifest ─┬─► configuration     {"Cmd": ["/bin/sh"], "rootfs": {"diff_ids": […]}}
//!                                     ├─► layer 1 (gzip) ─inflate─► tar ─unpack─► layers/<diff id>/diff ┐
//!                                     └─► layer 2 (gzip) ───────────────────────► layers/<diff id>/diff ┤ lowerdir
//!                                                                     containers/<id>/diff   (upperdir) ┘
//!   archive.tar ──load──► blobs + layers          blobs ──save──► archive.tar
//!   container's upperdir ──diff, write──► a new layer ──commit──► a new image
//! ```
//!
//! * [`content`]: blobs by digest: written beside, hashed, renamed.
//! * [`tags`]: names of digests: the annotations of `index.json`.
//! * [`layers`], [`layer`]: each layer unpacked once; the tar reader, the unpacker and the way back.
//! * [`store`]: all of these as one: [`store::Store`], from what a user typed to directories.
//! * [`lent`]: another store's images, shown in this one.
//! * [`archive`]: load, save and import. [`arrival`]: an image that comes piece by piece, from a registry.
//! * [`snapshot`]: an image's layers below one writable layer.
//! * [`commit`], [`remove`], [`gc`]: a container becomes an image; an image goes; what nobody points at goes too.
//! * [`step`]: a build's step becomes a layer and an image, and is found again.
//! * [`config`]: what `--change` may say about a configuration.
//! * [`compression`], `zstd`: how archives and layers are packed, and hashing on the way. [`gzip`], [`repack`]: compressing on all cores, before a push.
//!
//! Laws: what is stored and hashed is always the raw bytes, never a value written out again; a blob, a layer and the list
//! of names are each whole or absent, so the process may be killed at any line; everything that comes from an archive is a
//! stranger's word. On disk it is an OCI image layout, which other tools may read.
//!
//! In the real world: Docker keeps its own database beside the layers, and containerd one store for all its clients; both
//! can unpack with drivers other than overlayfs. One layout and one driver show the same ideas.
//! See: OCI image-spec · moby `image/`, `layer/`, `distribution/`. Next room: [`content`]

pub mod archive;
pub mod arrival;
pub mod commit;
pub mod compression;
pub mod config;
pub mod content;
pub mod find;
pub mod gc;
pub mod gzip;
pub mod layer;
pub mod layers;
pub mod lent;
pub mod remove;
pub mod repack;
pub mod snapshot;
pub mod step;
pub mod store;
pub mod tags;
mod zstd;

use minidock_base::Error;
use minidock_linux::errno;
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

pub use store::{ImageRecord, Store};

/// A name for something half-made. No earlier life of the daemon had it: what is still being deleted of that one must not
/// be mistaken for what is being made now.
pub(crate) fn scratch_name(kind: &str) -> String {
    static LIFE: OnceLock<String> = OnceLock::new();
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let life = LIFE.get_or_init(|| minidock_base::id::random_id()[..12].to_string());
    format!("{kind}-{life}-{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// A failure of the disk, with its errno by name, and what to do about the one everybody meets.
#[track_caller]
pub(crate) fn disk(error: &std::io::Error, doing: impl Into<String>) -> Error {
    // one of ours that went through an `io::Write` says all there is to say
    if let Some(ours) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return ours.clone().during(doing);
    }
    let Some(errno) = error.raw_os_error() else {
        let kind = match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
                Error::invalid(error.to_string())
            }
            _ => Error::system(error.to_string()),
        };
        return kind.during(doing);
    };
    let words = errno::words(errno);
    let told = Error::system(format!("{}: {words}", errno::name(errno))).during(doing);
    match errno {
        errno::ENOSPC | errno::EDQUOT => told.hint("free some space: minidock image prune, minidock system df"),
        errno::EROFS => told.hint("a data root on a writable file system: minidock daemon --data-root"),
        errno::EACCES | errno::EPERM => told.hint("run the daemon as root, or give it a data root of its own"),
        _ => told,
    }
}
