//! # Sources: where a bind mount comes from, who may open it, and when
//!
//! A bind mount begins as a detached copy of a piece of a tree. Three questions decide how it is made: may the child open the source
//! (behind a user namespace it may not), has the copy a table of ids (then somebody with power over the file system must set it), and
//! is the source there already? For a source may lie in the container's own tree, on something that an earlier entry of the list has hung
//! there, and then it can be opened only in its turn, from within the container's mount namespace.
//!
//! ```text
//!                                   on the host                         in the container's own tree
//!   the child may, no table         child, in its turn  InTurn          child, in its turn             InTurn
//!   the child may, a table          parent, ahead       Opened          child, with the pinned table   InTurn
//!   behind a user namespace         parent, ahead       Opened          child asks, the parent goes in Asked
//! ```
//!
//! * *Ahead* is before clone3: the parent is sure to see the host, and to be allowed to ([`prepare`]).
//! * To go in ([`open_inside`]) the parent enters the child's mount namespace, opens, and comes back; it is still root of the host there.
//! * In a source written `/volume/./below/it`, what stands behind `/./` may be written to by others while we look, so it is opened
//!   in one step that follows no link and cannot leave `/volume`. To any other runtime it is a path like another.
//!
//! Laws: a table is pinned by the parent, who can find the process that holds it below `/proc`; a copy is mapped before it is
//! attached anywhere. *See:* open_tree(2), mount_setattr(2), setns(2). *Next room:* [`crate::mounts`]

use crate::{
    mount_options::Options,
    mounts::{Prepared, is_bind},
    targets::{self, Kind},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::CallFailed,
    files::{self, FileType},
    idmap,
    mount::{self, Attributes, MS_REC},
    namespaces::{self, Namespace, Set},
    pivot_root,
    userns::Range,
};
use oci_spec::runtime::{LinuxIdMapping, Mount};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A detached copy of a piece of a tree.
pub struct Tree {
    pub fd: OwnedFd,
    pub kind: Kind,
}

impl Tree {
    /// A copy that somebody else has made.
    ///
    /// # Errors
    /// None that a valid descriptor gives.
    pub fn of(fd: OwnedFd) -> Result<Tree> {
        let kind = match targets::file_type(&fd).doing(|| "look at the source")? {
            FileType::Directory => Kind::Folder,
            _ => Kind::File,
        };
        Ok(Tree { fd, kind })
    }
}

/// The source of an entry.
pub enum Source {
    /// It has none: it is no bind mount.
    None,
    /// The parent has opened it. `by_container`: it waits for the container's user namespace to be mapped by it (`idmap` without
    /// a table of its own).
    Opened { tree: Tree, by_container: bool },
    /// The child opens it, and maps it by this table.
    InTurn(Option<OwnedFd>),
    /// The parent opens it when the child asks, and maps it by this table, or by the container's.
    Asked(Option<OwnedFd>),
}

/// Where a bundle's sources are looked for, and by whom.
pub struct Ground<'a> {
    /// Relative sources begin here.
    pub bundle: &'a Path,
    /// The root filesystem's folder, where the child hangs the container's tree.
    pub root: PathBuf,
    /// Only the parent may: there is a user namespace.
    pub by_parent: bool,
}

/// Decides how the source of an entry is opened, and opens it if it is the parent's to do ahead.
///
/// # Errors
/// A source that is not there, a table that the kernel refuses.
pub fn prepare(prepared: &mut Prepared<'_>, ground: &Ground<'_>) -> Result<()> {
    let entry = prepared.entry;
    if !is_bind(entry) {
        return Ok(());
    }
    let own_table = ranges(entry.uid_mappings()).zip(ranges(entry.gid_mappings()));
    let table = match &own_table {
        Some((uids, gids)) => Some(idmap::pin(uids, gids).doing(|| "make the id table of a mount")?),
        None => None,
    };
    let mapped = table.is_some() || prepared.options.idmap;
    prepared.source = match (ground.by_parent, mapped) {
        (false, false) => Source::InTurn(None),
        (by_parent, _) if lies_in(&ground.root, &ground.bundle.join(named(entry))) => match by_parent {
            true => Source::Asked(table),
            false => Source::InTurn(table),
        },
        _ => Source::Opened {
            tree: open(prepared, table.as_ref().map(|table| table.as_fd()))?,
            by_container: table.is_none() && prepared.options.idmap,
        },
    };
    Ok(())
}

fn named(entry: &Mount) -> &Path {
    entry.source().as_deref().unwrap_or(Path::new(""))
}

/// Whether a source is in the container's tree, as it is written or as its links lead.
fn lies_in(root: &Path, source: &Path) -> bool {
    source.starts_with(root) || std::fs::canonicalize(source).is_ok_and(|real| real.starts_with(root))
}

/// Opens and copies the source of an entry, in the mount namespace of whoever calls.
///
/// # Errors
/// A source that is not there; a file system that takes no table.
pub fn open(prepared: &Prepared<'_>, table: Option<BorrowedFd<'_>>) -> Result<Tree> {
    let (entry, options) = (prepared.entry, &prepared.options);
    let path = prepared.bundle.join(named(entry));
    // a bundle may say `./data`: only a whole path can be divided
    let opened = if named(entry).is_absolute() { open_named(&path) } else { mount::open_path(&path) };
    let source = opened.doing(|| format!("open the source {}", path.display()))?;
    let fd = mount::open_tree(source.as_fd(), &path, options.bind_recursive).doing(|| "copy the source's mount")?;
    if prepared.echo != 0 {
        let quiet = Attributes { propagation: prepared.echo & !MS_REC, ..Default::default() };
        mount::mount_setattr(fd.as_fd(), &path, &quiet, true).doing(|| "part the copy from the host")?;
    }
    if let Some(table) = table {
        map(&fd, &path, table, options)?;
    }
    Tree::of(fd)
}

/// Opens a source; what stands behind `/./` without leaving what stands before.
fn open_named(path: &Path) -> Result<OwnedFd, CallFailed> {
    match path.to_str().and_then(|text| text.split_once("/./")) {
        Some((ours, theirs)) if !theirs.is_empty() => {
            let root = files::open_directory(Path::new(if ours.is_empty() { "/" } else { ours }))?;
            files::openat2(&root, theirs, files::Open::Path, files::Resolve::Beneath)
        }
        _ => mount::open_path(path),
    }
}

/// The parent goes into the mount namespace of the newborn `pid`, opens the source that it asks for, and comes back.
///
/// # Errors
/// As [`open`]; the child has gone.
pub fn open_inside(prepared: &Prepared<'_>, pid: i32) -> Result<Tree> {
    let Source::Asked(own_table) = &prepared.source else {
        return Err(Error::system("init asks for a source that is its own to open"));
    };
    let doing = || "look into the container's tree";
    let file = |name: &str, kind| namespaces::open(Path::new(&format!("/proc/{pid}/ns/{name}")), kind).doing(doing);
    let inside = file("mnt", Namespace::Mount)?;
    let containers = match (own_table, prepared.options.idmap) {
        (None, true) => Some(file("user", Namespace::User)?),
        _ => None,
    };
    let table = own_table.as_ref().or(containers.as_ref()).map(|table| table.as_fd());
    // A mount namespace that one enters brings its own root and working directory.
    let root = mount::open_path(Path::new("/")).doing(doing)?;
    let folder = mount::open_path(Path::new(".")).doing(doing)?;
    let home = namespaces::open(Path::new("/proc/self/ns/mnt"), Namespace::Mount).doing(doing)?;
    let mounts = Set::EMPTY.with(Namespace::Mount);
    namespaces::setns(inside.as_fd(), mounts, "the container").doing(doing)?;
    let opened = open(prepared, table);
    let doing = || "come back from the container's tree";
    namespaces::setns(home.as_fd(), mounts, "our own mount namespace").doing(doing)?;
    pivot_root::fchdir(root.as_fd(), "our own root").doing(doing)?;
    pivot_root::chroot(".").doing(doing)?;
    pivot_root::fchdir(folder.as_fd(), "where we were").doing(doing)?;
    opened
}

fn ranges(mappings: &Option<Vec<LinuxIdMapping>>) -> Option<Vec<Range>> {
    mappings.as_deref().filter(|list| !list.is_empty()).map(to_ranges)
}

/// The specification's mappings as the kernel's.
pub fn to_ranges(mappings: &[LinuxIdMapping]) -> Vec<Range> {
    let range = |m: &LinuxIdMapping| Range { inside: m.container_id(), outside: m.host_id(), size: m.size() };
    mappings.iter().map(range).collect()
}

fn map(tree: &OwnedFd, path: &Path, table: BorrowedFd<'_>, options: &Options) -> Result<()> {
    let mapped = Attributes { user_namespace: Some(table), ..Default::default() };
    mount::mount_setattr(tree.as_fd(), path, &mapped, options.idmap_recursive)
        .doing(|| format!("map the ids of {}", path.display()))
        .map_err(|e| e.hint("its file system must support id-mapped mounts (ext4, xfs, btrfs, tmpfs from Linux 6.3 …)"))
}

/// The parent's second half, once the child's user namespace has its maps: trees that are mapped by it.
///
/// # Errors
/// As mount_setattr(2).
pub fn map_by_container(mounts: &[Prepared<'_>], user_namespace: BorrowedFd<'_>) -> Result<()> {
    for prepared in mounts {
        if let Source::Opened { tree, by_container: true } = &prepared.source {
            map(&tree.fd, named(prepared.entry), user_namespace, &prepared.options)
                .map_err(|e| e.during(crate::mounts::mounting(prepared.entry)))?;
        }
    }
    Ok(())
}

/// Whether any tree waits for that.
pub fn wants_container_map(mounts: &[Prepared<'_>]) -> bool {
    mounts.iter().any(|prepared| matches!(prepared.source, Source::Opened { by_container: true, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_change_cannot_lead_out_of_what_is_ours() {
        use std::{fs, os::unix::fs::symlink};
        let home = tempfile::tempdir().expect("a folder");
        let volume = home.path().join("volume");
        fs::create_dir_all(volume.join("a/b")).expect("room");
        fs::create_dir(home.path().join("secret")).expect("room");
        symlink("a", volume.join("inward")).expect("room");
        symlink("/", volume.join("root")).expect("room");
        symlink("../../secret", volume.join("a/up")).expect("room");
        let open = |below: &str| open_named(Path::new(&format!("{}/./{below}", volume.display())));
        assert!(open("a/b").is_ok() && open("a/../a").is_ok());
        for escape in ["root", "root/etc", "a/up", "../secret", "inward/../../secret", "inward/b"] {
            assert!(open(escape).is_err(), "{escape}");
        }
        assert!(open_named(&volume.join("root")).is_ok(), "a plain path is followed, as ever");
    }

    #[test]
    fn a_source_in_the_containers_tree_is_known_by_its_path_or_by_its_links() {
        let home = tempfile::tempdir().expect("a folder");
        let real = home.path().canonicalize().expect("it is there");
        let (root, beside) = (real.join("rootfs"), real.join("rootfs2"));
        std::fs::create_dir_all(root.join("data")).expect("room");
        std::os::unix::fs::symlink("rootfs/data", real.join("link")).expect("room");
        assert!(lies_in(&root, &root.join("data")) && lies_in(&root, &root.join("not/yet/there")));
        assert!(lies_in(&root, &real.join("link")) && !lies_in(&root, &beside) && !lies_in(&root, &real));
    }
}
