//! # Init layer: places on which every container gets something mounted
//!
//! `/proc`, `/sys`, `/dev` and three files in `/etc` are mounted in every container, and a mount needs a place. Few images have
//! all of these. What is missing would have to be made in the container's writable layer: half a dozen new files on the disk
//! for each container, which then stand in its `diff` as if it had made them. So one more layer, the same for all, lies
//! between the image and what a container writes:
//!
//! ```text
//!   diff                                 the container's own
//!   init      proc/ sys/ dev/ etc/{hostname,hosts,resolv.conf}      empty, made once, shared
//!   layer n … layer 1                    the image's
//! ```
//!
//! A folder that lies in several layers looks like the topmost of them, so `/etc` would lose an owner or mode of its own: an
//! image whose `/etc` is not root's with mode 0755, or where one of the four is no folder, goes without the init layer.
//!
//! Laws: nothing in it ever has contents; whoever looks at an image (`cp`, `export`, `commit`, `diff`) does not see it.
//! *See:* moby `daemon/initlayer`. *Next room:* [`crate::container::copy_up`]

use crate::container::{etc_files, snapshot};
use minidock_base::{Doing, Result, id, paths::Paths};
use minidock_image::layer::owners;
use minidock_spec::digest::Digest;
use std::{collections::HashMap, fs, os::unix::fs::MetadataExt, path::PathBuf, sync::Mutex};

/// The folders, with what is needed of an image that has one too: that it is a folder, or that it also looks like ours.
const FOLDERS: [(&str, bool); 4] = [("proc", false), ("sys", false), ("dev", false), ("etc", true)];

/// The one layer, and which images can have it on top.
pub struct InitLayer {
    folder: PathBuf,
    fits: Mutex<HashMap<Digest, bool>>,
}

impl InitLayer {
    /// Makes it, if it is not there yet.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(paths: &Paths) -> Result<InitLayer> {
        let folder = paths.init_layer();
        if !folder.exists() {
            let made = paths.scratch().join(format!("init-{}", id::random_id()));
            snapshot::folder(&made, 0o755)?;
            owners::give_path(&made)?;
            for (name, _) in FOLDERS {
                snapshot::folder(&made.join(name), 0o755)?;
                owners::give_path(&made.join(name))?;
            }
            for (_, place) in etc_files::FILES {
                let file = made.join(place.trim_start_matches('/'));
                fs::write(&file, "").doing(|| format!("write {}", file.display()))?;
                owners::give_path(&file)?;
            }
            fs::rename(&made, &folder).doing(|| format!("make {}", folder.display()))?;
        }
        Ok(InitLayer { folder, fits: Mutex::default() })
    }

    /// The empty folder on which the kernel's views of itself are mounted: `proc`, `sys` or `dev`.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The image's layers, topmost first, below this one if it fits.
    pub fn above(&self, image: &snapshot::Image) -> Vec<PathBuf> {
        let known = self.fits.lock().expect("no holder panics").get(&image.id).copied();
        let fits = known.unwrap_or_else(|| {
            let fits = fits(&image.lower);
            self.fits.lock().expect("no holder panics").insert(image.id.clone(), fits);
            fits
        });
        let own = fits.then(|| self.folder.clone());
        own.into_iter().chain(image.lower.iter().cloned()).collect()
    }
}

fn fits(lower: &[PathBuf]) -> bool {
    let (uid, gid) = owners::root();
    FOLDERS.iter().all(|(name, must_look_like_ours)| {
        let Some(found) = lower.iter().find_map(|layer| fs::symlink_metadata(layer.join(name)).ok()) else { return true };
        let deleted = found.rdev() == 0 && !found.is_dir() && !found.is_file() && !found.is_symlink();
        let alike = (found.uid(), found.gid(), found.mode() & 0o7777) == (uid, gid, 0o755);
        deleted || (found.is_dir() && (alike || !must_look_like_ours))
    }) && !has_folders_for_files(lower)
}

/// A folder where a file is to be mounted: the mount would fail with its reason, and shall.
fn has_folders_for_files(lower: &[PathBuf]) -> bool {
    let is_folder = |place: &str| {
        let found = lower.iter().find_map(|layer| fs::symlink_metadata(layer.join(place.trim_start_matches('/'))).ok());
        found.is_some_and(|found| found.is_dir())
    };
    etc_files::FILES.iter().any(|(_, place)| is_folder(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn an_image_whose_etc_is_its_own_or_no_folder_goes_without() {
        let home = tempfile::tempdir().expect("a folder");
        let layer = |name: &str| {
            let path = home.path().join(name);
            fs::create_dir(&path).expect("room");
            path
        };
        let (empty, linked, tight, plain) = (layer("empty"), layer("linked"), layer("tight"), layer("plain"));
        symlink("usr/etc", linked.join("etc")).expect("room");
        for (layer, mode) in [(&tight, 0o700), (&plain, 0o755)] {
            fs::create_dir(layer.join("etc")).expect("room");
            fs::set_permissions(layer.join("etc"), fs::Permissions::from_mode(mode)).expect("ours");
        }
        assert!(fits(&[]) && fits(std::slice::from_ref(&empty)));
        assert!(!fits(std::slice::from_ref(&linked)) && !fits(&[empty.clone(), tight.clone()]));
        let root = fs::metadata(&plain).expect("just made").uid() == 0;
        assert_eq!(fits(&[plain.clone(), tight]), root, "the topmost counts");
        fs::create_dir(plain.join("etc/hosts")).expect("room");
        assert!(!fits(&[plain]));
    }

    #[test]
    fn it_is_made_once_and_lies_on_top() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::new(home.path().join("data"), home.path().join("run"));
        fs::create_dir_all(paths.scratch()).expect("room");
        let init = InitLayer::open(&paths).expect("room");
        let again = InitLayer::open(&paths).expect("room");
        assert!(paths.init_layer().join("etc/resolv.conf").is_file() && again.folder == init.folder);
        assert_eq!(fs::read_dir(paths.scratch()).expect("it is there").count(), 0);
    }
}
