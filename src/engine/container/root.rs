//! # Root: a container's tree, which we do not trust
//!
//! `cp`, `export` and their like read and write files of a container from outside. While it runs, its tree is what *it* has
//! mounted: `/proc/<pid>/root`, opened once, is a door into its mount namespace. While it does not run there is no tree;
//! the layers are stacked again for us alone, and its volumes are put in their places by name.
//!
//! ```text
//!   runs     /proc/<pid> (a descriptor: another process with this pid is another folder) ─► root
//!   stopped  layers + diff ─► detached overlay ─► root,   /data ─► volumes/x/_data   (no mount is made)
//! ```
//!
//! Either way all further steps go through a [`Tree`]: one component at a time, no link followed by the kernel. A container
//! that swaps a folder for a symlink between two of our calls wins nothing but an error.
//!
//! Law: a stopped container is looked at while its `life` lock is held, so that it is not started meanwhile with the same
//! writable layer. See: CVE-2018-15664 (symlink race in `docker cp`). Next room: [`crate::container::copy`]

use crate::{
    Engine,
    container::{record::Record, snapshot::Image},
};
use minidock_base::{Doing, Error, Result};
use minidock_image::{
    layer::tree::{self, Tree},
    snapshot,
};
use minidock_linux::{
    errno,
    files::{self, Open, Resolve},
};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Read,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::Path,
};

/// What the tree is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// A container's tree.
pub struct Root {
    pub tree: Tree,
    /// Single files that are mounted over others, by real path: the folder they really lie in, and their name there.
    pub files: BTreeMap<Vec<u8>, (OwnedFd, Vec<u8>)>,
}

/// Opens the tree of a container. For one that does not run, the caller holds its `life`.
///
/// # Errors
/// The process has just ended; overlayfs refuses; a volume has vanished.
pub fn open(engine: &Engine, record: &Record, access: Access) -> Result<Root> {
    match record.state.has_process() {
        true => Ok(Root { tree: Tree::new(of_process(record)?), files: BTreeMap::new() }),
        false => of_layers(engine, record, access),
    }
}

/// The root directory as the container's first process sees it.
fn of_process(record: &Record) -> Result<OwnedFd> {
    let pid = record.state.pid;
    let why = || format!("open the root directory of process {pid}");
    let process = files::open_directory(Path::new(&format!("/proc/{pid}"))).doing(why)?;
    let mut stat = String::new();
    let read = files::openat2(&process, "stat", Open::Read, Resolve::Beneath).map(std::fs::File::from);
    read.doing(why)?.read_to_string(&mut stat).doing(why)?;
    // field 22, counted behind the name in brackets, which may hold anything
    let began = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).and_then(|n| n.parse::<u64>().ok());
    if began != Some(record.state.pid_began) {
        return Err(Error::conflict(format!("container {} has just ended", record.id)).hint("try again"));
    }
    // the link `root` is magic: only plain open(2) walks through it, and it leads where the kernel says, not where a text does
    let root = OpenOptions::new().read(true).custom_flags(0o200000).open(format!("/proc/self/fd/{}/root", process.as_raw_fd()));
    root.map(OwnedFd::from).doing(why)
}

fn of_layers(engine: &Engine, record: &Record, access: Access) -> Result<Root> {
    let image = image_of(engine, record)?;
    let diff = engine.paths.container_diff(&record.id);
    let root = match access {
        Access::Read => snapshot::read_only_view(&engine.paths, &image.lower, Some(&diff))?,
        Access::Write => snapshot::view(&engine.paths, &image.lower, &diff, &engine.paths.container_work(&record.id))?,
    };
    let mut root = Root { tree: Tree::new(root), files: BTreeMap::new() };
    let mut mounts: Vec<_> = record.mounts.iter().filter(|m| matches!(m.point.kind.as_str(), "bind" | "volume")).collect();
    mounts.sort_by_key(|m| m.point.destination.len()); // outer ones first
    for mount in mounts {
        let at = tree::clean(mount.point.destination.as_bytes())?;
        let at = match root.tree.locate(&at, true)? {
            Some((folder, name)) => folder.join(&name),
            None => at, // its mount point is made at the start
        };
        put(&mut root, at, Path::new(&mount.point.source), &mount.subpath)
            .doing(|| format!("look into {}", mount.point.destination))?;
    }
    Ok(root)
}

fn put(root: &mut Root, at: Vec<u8>, source: &Path, subpath: &str) -> Result<()> {
    let source = match subpath {
        "" => source.to_path_buf(),
        subpath => {
            // the volume's files are a container's: its subpath may not lead out of it
            let volume = files::open_directory(source).doing(|| "open the volume")?;
            let below = files::openat2(&volume, subpath, Open::Path, Resolve::InRoot).doing(|| "open the volume's subpath")?;
            std::fs::read_link(format!("/proc/self/fd/{}", below.as_raw_fd())).doing(|| "find the volume's subpath")?
        }
    };
    match files::open_directory(&source) {
        Ok(folder) => root.tree.mount(at, folder),
        Err(failed) if failed.is(errno::ENOTDIR) => {
            let (Some(above), Some(name)) = (source.parent(), source.file_name()) else { return Ok(()) };
            let above = files::open_directory(above).doing(|| format!("open {}", above.display()))?;
            root.files.insert(at, (above, name.as_bytes().to_vec()));
        }
        Err(failed) if failed.is(errno::ENOENT) => {} // a bind whose source is made at the start
        Err(failed) => return Err(failed).doing(|| format!("open {}", source.display())),
    }
    Ok(())
}

/// The layers a container stands on, even if its image has been removed by force.
///
/// # Errors
/// They are gone.
pub fn image_of(engine: &Engine, record: &Record) -> Result<Image> {
    let image = engine.images.store.by_id(&record.image)?;
    let lower = engine.images.store.lower_dirs(&image)?;
    Ok(Image { id: image.id, config: image.config, lower })
}
