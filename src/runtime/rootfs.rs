//! # Rootfs: from a folder on the host to "/"
//!
//! The child stands in a new mount namespace that is still a copy of the host's. This room turns it into the container's.
//!
//! ```text
//!   1 part from the host      "/" becomes slave (or private): nothing done here echoes out there
//!   2 the root itself         a copy of the bundle's folder, or an overlay, hung where the folder was
//!   3 mounts, in order        crate::mounts, crate::cgroup_mounts
//!   4 /dev                    crate::devices
//!     … hooks: createRuntime outside, createContainer inside …
//!   5 pivot_root              the old world is gone
//!   6 propagation, read-only  what the configuration says of "/" itself
//! ```
//!
//! * [`gather`] is the parent's part: everything that has to be opened while the host is in sight.
//! * [`build`] is 1–4, [`enter`] is 5 and 6. Masks come last (crate::masks): they cover what the steps before still need.
//!
//! Laws: pivot_root wants a new root that is not shared, so a shared root becomes so after it.
//! See: pivot_root(2), runtime-spec config-linux.md#rootfs-mount-propagation. Next room: [`crate::targets`]

use crate::{
    borrowed_network,
    bundle::{self, Bundle},
    cgroup_mounts::{self, Shown},
    devices, masks,
    mount_options::{self, MS_RDONLY},
    mounts::{self, Prepared},
    outside::Outside,
    sources::{Ground, Source, Tree},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::Cgroup,
    mount::{self, Attributes, FileSystem, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, Target},
    overlayfs, pivot_root,
    proc::Proc,
};
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use std::{
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// What the parent opened for the child.
pub struct Materials<'a> {
    pub mounts: Vec<Prepared<'a>>,
    /// The folder of the root, and a detached copy of it, or the overlay, when the parent had to make it.
    folder: PathBuf,
    copy: Option<OwnedFd>,
    /// What is mounted there instead of a copy of the folder.
    overlay: Option<&'a Mount>,
    /// Without a mount namespace of its own the container's tree hangs in the host's.
    own_mounts: bool,
    nodes: Vec<(PathBuf, OwnedFd)>,
    cgroups: Vec<Shown>,
    propagation: u64,
}

/// Whether an entry is the root filesystem itself: an extension of ours, any other runtime would refuse it.
fn is_root(entry: &Mount) -> bool {
    entry.destination() == Path::new("/") && entry.typ().as_deref() == Some("overlay")
}

/// Opens all that the child will need of the host.
///
/// # Errors
/// A source that is missing, named with its entry.
pub fn gather<'a>(bundle: &'a Bundle, cgroup: Option<&Cgroup>) -> Result<Materials<'a>> {
    let spec = &bundle.spec;
    let propagation = root_propagation(spec)?;
    let entries = spec.mounts().as_deref().unwrap_or_default();
    let overlay = entries.iter().find(|entry| is_root(entry));
    let rest = entries.iter().filter(|entry| !is_root(entry));
    let echo = echo_of_copies(propagation);
    let own = |kind| bundle::has_namespace(spec, kind);
    let by_parent = own(LinuxNamespaceType::User);
    let folder = bundle.root();
    let ground = Ground { bundle: &bundle.path, root: folder, by_parent };
    let mut prepared = Vec::new();
    for entry in rest {
        let mut one = mounts::prepare(entry, &ground, echo)?;
        if let (Some(network), Some("sysfs")) = (borrowed_network::of(spec), entry.typ().as_deref()) {
            let sysfs = borrowed_network::sysfs(network, one.options.attributes().0)?;
            one.source = Source::Opened { tree: Tree::of(sysfs)?, by_container: false };
        }
        prepared.push(one);
    }
    let copy = match (by_parent, overlay) {
        (false, _) => None,
        (true, None) => Some(copy_of(&ground.root, echo)?),
        // root of another user namespace could not write overlayfs' marks
        (true, Some(entry)) => Some(self::overlay(entry).map_err(|e| e.during("mount its root filesystem"))?),
    };
    let wants_cgroups = prepared.iter().any(cgroup_mounts::is_cgroup);
    let cgroups = match wants_cgroups {
        true => cgroup_mounts::prepare(cgroup, own(LinuxNamespaceType::Cgroup), by_parent)?,
        false => Vec::new(),
    };
    let nodes = match by_parent && !devices::is_brought_along(spec) {
        true => devices::host_nodes(spec)?,
        false => Vec::new(),
    };
    let own_mounts = own(LinuxNamespaceType::Mount);
    Ok(Materials { mounts: prepared, folder: ground.root, copy, overlay, own_mounts, nodes, cgroups, propagation })
}

fn copy_of(folder: &Path, echo: u64) -> Result<OwnedFd> {
    let doing = || format!("open the root filesystem {}", folder.display());
    let path = mount::open_path(folder).doing(doing)?;
    let tree = mount::open_tree(path.as_fd(), folder, true).doing(doing)?;
    if echo != 0 {
        let quiet = Attributes { propagation: echo, ..Default::default() };
        mount::mount_setattr(tree.as_fd(), folder, &quiet, true).doing(doing)?;
    }
    Ok(tree)
}

fn root_propagation(spec: &Spec) -> Result<u64> {
    let word = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or("");
    match word {
        "" => Ok(0),
        word => {
            mount_options::propagation(word).ok_or_else(|| Error::invalid(format!("rootfsPropagation={word} is not supported")))
        }
    }
}

/// How copies of the host's tree echo the host: as the root is to, or one way only.
fn echo_of_copies(propagation: u64) -> u64 {
    match propagation & !MS_REC {
        MS_SHARED => 0,
        MS_PRIVATE | MS_UNBINDABLE => MS_PRIVATE,
        _ => MS_SLAVE,
    }
}

/// Builds the container's tree where the root's folder is, and gives back its root.
///
/// # Errors
/// The mount that failed, by name; what `outside` says.
pub fn build(spec: &Spec, materials: &Materials<'_>, outside: &mut Outside<'_>) -> Result<OwnedFd> {
    let apart = if materials.propagation & !MS_REC == MS_PRIVATE { MS_PRIVATE } else { MS_SLAVE };
    if materials.own_mounts {
        mount::set_propagation("/", apart | MS_REC).doing(|| "part from the host's mounts")?;
    }
    let root = hang_root(materials)?;
    for (n, prepared) in materials.mounts.iter().enumerate() {
        match cgroup_mounts::is_cgroup(prepared) {
            true => {
                outside.groups()?;
                let own = |kind| bundle::has_namespace(spec, kind);
                let read_only = own(LinuxNamespaceType::User) && !own(LinuxNamespaceType::Cgroup);
                cgroup_mounts::mount(root.as_fd(), prepared, &materials.cgroups, read_only)?;
            }
            false => mounts::mount(root.as_fd(), prepared, &mut || outside.source(n))?,
        }
    }
    if !devices::is_brought_along(spec) {
        devices::fill(root.as_fd(), spec, &materials.nodes)?;
    }
    Ok(root)
}

fn hang_root(materials: &Materials<'_>) -> Result<OwnedFd> {
    let doing = || "mount its root filesystem";
    let tree = match (&materials.copy, materials.overlay) {
        (Some(copy), _) => copy.try_clone().doing(doing)?,
        (None, Some(entry)) => overlay(entry).map_err(|e| e.during(doing()))?,
        (None, None) => copy_of(&materials.folder, echo_of_copies(materials.propagation)).map_err(|e| e.during(doing()))?,
    };
    let place = mount::open_path(&materials.folder).doing(doing)?;
    mount::move_mount(tree.as_fd(), "the root filesystem", Target { fd: place.as_fd(), shown: &materials.folder })
        .doing(doing)?;
    Ok(tree)
}

/// An overlay by fsopen: its layers are given one by one, so that their number is not limited by the size of a page, where the kernel
/// takes them so.
fn overlay(entry: &Mount) -> Result<OwnedFd> {
    let options = mount_options::Options::parse(entry.options().as_deref().unwrap_or_default());
    if !overlayfs::takes_single_layers() {
        let words: Vec<OsString> = options.data.iter().map(OsString::from).collect();
        return overlayfs::by_mount(&words, options.set & !MS_RDONLY).doing(
            || "mount an overlay (this kernel takes all layers of it in one page; Linux 6.8 and later take them one by one)",
        );
    }
    let overlay = FileSystem::open("overlay").doing(|| "begin an overlay")?;
    let told = |failed: minidock_linux::errno::CallFailed, overlay: &FileSystem| {
        let words = overlay.complaint().map(|words| format!(" ({words})")).unwrap_or_default();
        Error::system(format!("{failed}{words}")).hint("overlayfs needs layers on a local file system such as ext4 or xfs")
    };
    for word in &options.data {
        match set_overlay_option(&overlay, word) {
            // only a matter of speed, and of Linux 5.10
            Err(_) if word == "volatile" => {}
            answer => answer.map_err(|failed| told(failed, &overlay))?,
        }
    }
    let (set, _) = options.attributes();
    let tree = overlay.mount(set & !MS_RDONLY).map_err(|failed| told(failed, &overlay))?;
    Ok(tree)
}

fn set_overlay_option(overlay: &FileSystem, word: &str) -> Result<(), minidock_linux::errno::CallFailed> {
    let Some(layers) = word.strip_prefix("lowerdir=") else { return overlay.set(word) };
    split_layers(layers).iter().try_for_each(|layer| overlay.string("lowerdir+", layer))
}

/// `a:b:c` in the notation of mount(8), where `\:` is a colon that belongs to a name.
fn split_layers(text: &str) -> Vec<String> {
    let (mut layers, mut layer, mut escaped) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '\\' if !escaped => escaped = true,
            ':' if !escaped => layers.push(std::mem::take(&mut layer)),
            _ => {
                layer.push(letter);
                escaped = false;
            }
        }
    }
    layers.push(layer);
    layers
}

/// Makes the tree the only one there is.
///
/// # Errors
/// What pivot_root(2) and mount(2) say.
pub fn enter(materials: &Materials<'_>, root: &OwnedFd, no_pivot: bool, host_proc: &Proc) -> Result<()> {
    let private = Attributes { propagation: MS_PRIVATE, ..Default::default() };
    mount::mount_setattr(root.as_fd(), "the new root", &private, false).doing(|| "make the new root private")?;
    if !materials.own_mounts {
        pivot_root::fchdir(root.as_fd(), "the new root").doing(|| "enter the root filesystem")?;
        pivot_root::chroot(".").doing(|| "enter the root filesystem")?;
        return pivot_root::chdir("/").doing(|| "enter the root filesystem");
    }
    match no_pivot {
        false => pivot_root::pivot_root(root.as_fd()).doing(|| "pivot into the root filesystem"),
        true => {
            hide_host_views(&materials.folder, host_proc)?;
            pivot_root::move_root(root.as_fd()).doing(|| "move into the root filesystem")
        }
    }?;
    match materials.propagation {
        0 => Ok(()),
        bits => mount::set_propagation("/", bits).doing(|| "set the propagation of the root"),
    }
}

/// Without pivot_root the host's mounts stay below the new root. Those of `/proc` and `/sys` would tell the kernel that this
/// namespace may see them whole, and so let a user namespace inside mount its own; they go before.
fn hide_host_views(root: &Path, host_proc: &Proc) -> Result<()> {
    let doing = || "take the host's /proc and /sys away";
    let table = host_proc.read("self/mountinfo").doing(doing)?;
    let views = table.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let path = Path::new(mount.split(' ').nth(4)?);
        (matches!(kind.split(' ').next(), Some("proc" | "sysfs")) && !path.starts_with(root)).then_some(path)
    });
    // Those mounted last lie on top.
    for view in views.collect::<Vec<_>>().into_iter().rev() {
        mount::umount2(&view.to_string_lossy(), mount::MNT_DETACH).doing(doing)?;
    }
    Ok(())
}

/// Makes read-only what is to be so and could not be before: `/dev`, and the root.
///
/// # Errors
/// What mount_setattr(2) says.
pub fn seal(spec: &Spec, materials: &Materials<'_>, root: &OwnedFd) -> Result<()> {
    let read_only_dev = |prepared: &&Prepared<'_>| {
        !mounts::is_bind(prepared.entry)
            && prepared.entry.destination() == Path::new("/dev")
            && prepared.options.set & MS_RDONLY != 0
    };
    if materials.mounts.iter().any(|prepared| read_only_dev(&prepared)) {
        masks::seal(root.as_fd(), Path::new("/dev"))?;
    }
    match spec.root().as_ref().and_then(|root| root.readonly()) {
        Some(true) => masks::seal(root.as_fd(), Path::new("/")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_split_as_mount_splits_them() {
        assert_eq!(split_layers("/a:/b\\:c:/d"), ["/a", "/b:c", "/d"]);
    }

    #[test]
    fn copies_echo_the_host_no_more_than_the_root_does() {
        assert_eq!(echo_of_copies(0), MS_SLAVE);
        assert_eq!(echo_of_copies(MS_SHARED | MS_REC), 0);
        assert_eq!(echo_of_copies(MS_UNBINDABLE), MS_PRIVATE);
    }
}
