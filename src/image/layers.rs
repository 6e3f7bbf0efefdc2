//! # Layers: each unpacked once, shared by all
//!
//! `layers/<hex>/diff` is one layer as overlayfs stacks it, `layers/<hex>/layer.json` what is known about it. The hex is
//! the layer's diff ID, so that two images with a common base share its directory. A layer that takes for granted what lies
//! below it ([`crate::layer::below`]) belongs to one pile only and is kept under that pile's chain ID instead.
//!
//! ```text
//!   layers/<diff id or chain id>/{diff/, layer.json}
//!   layers/l/<20 digits> -> ../<diff id>/diff         short names: the mount options of 60 layers must fit in a page
//! ```
//!
//! Laws: a layer directory is made in the scratch folder and renamed, `layer.json` in it already: there is no half layer.
//! What two threads unpack at once, the first one keeps. See: OCI image-spec config.md "Layer ChainID".
//! Next room: [`crate::snapshot`]

use crate::{disk, layer::owners};
use minidock_base::{Doing, Result, paths::Paths, state_file};
use minidock_linux::{errno, files, remove_tree};
use minidock_spec::digest::Digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

/// What `layer.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
    /// Whether it took something for granted from the layers below it.
    #[serde(default)]
    pub leans: bool,
}

/// All unpacked layers.
#[derive(Debug)]
pub struct Layers {
    folder: PathBuf,
    scratch: PathBuf,
    /// Records read once: a container's start asks for each of its layers.
    known: Mutex<HashMap<Digest, LayerRecord>>,
    /// The layers of a store that lends us its own, to be read only.
    lent: Option<PathBuf>,
}

impl Layers {
    /// Waits until the disk has everything written so far, blobs too: they lie on the same file system.
    pub fn settle(&self) -> Result<()> {
        let doing = || "bring the image's files to the disk";
        files::syncfs(files::open_directory(&self.folder).doing(doing)?).doing(doing)
    }

    /// Makes the folders; 0710 keeps other users away from setuid files in layers (CVE-2021-41091).
    pub fn open(paths: &Paths) -> Result<Layers> {
        let folder = paths.layers();
        for folder in [folder.join("l"), paths.scratch()] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o710).create(&folder);
            made.map_err(|e| disk(&e, format!("make {}", folder.display())))?;
        }
        Ok(Layers { folder, scratch: paths.scratch(), known: Mutex::default(), lent: None })
    }

    /// The same, with the layers below the data root of a lender.
    pub fn lent_by(self, lender: &Path) -> Layers {
        Layers { lent: Some(Paths::new(lender, lender).layers()), ..self }
    }

    /// The record of the layer kept under `key`.
    pub fn record(&self, key: &Digest) -> Result<Option<LayerRecord>> {
        if let Some(record) = self.known().get(key) {
            return Ok(Some(record.clone()));
        }
        let record: Option<LayerRecord> = state_file::load(&self.folder.join(key.hex()).join("layer.json"))?;
        if let Some(record) = &record {
            self.known().insert(key.clone(), record.clone());
        }
        match (&record, &self.lent) {
            // not remembered: the lender may take it away
            (None, Some(lent)) => state_file::load(&lent.join(key.hex()).join("layer.json")),
            _ => Ok(record),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, LayerRecord>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn diff(&self, key: &Digest) -> PathBuf {
        self.folder.join(key.hex()).join("diff")
    }

    /// Under which key the layer at the top of `diff_ids` is kept, if it is.
    pub fn key(&self, diff_ids: &[Digest]) -> Result<Option<(Digest, LayerRecord)>> {
        let Some(diff_id) = diff_ids.last() else { return Ok(None) };
        if let Some(record) = self.record(diff_id)?.filter(|record| !record.leans || diff_ids.len() == 1) {
            return Ok(Some((diff_id.clone(), record)));
        }
        let chain = chain_id(diff_ids);
        Ok(self.record(&chain)?.map(|record| (chain, record)))
    }

    /// The short name of a layer's directory, for mount options.
    pub fn short(&self, key: &Digest) -> Result<PathBuf> {
        if let Some(lent) = &self.lent
            && !self.folder.join(key.hex()).exists()
        {
            let (short, long) = (lent.join("l").join(&key.hex()[..20]), lent.join(key.hex()).join("diff"));
            let same = fs::canonicalize(&short).is_ok_and(|found| fs::canonicalize(&long).is_ok_and(|real| real == found));
            return Ok(if same { short } else { long });
        }
        let short = self.folder.join("l").join(&key.hex()[..20]);
        let target = PathBuf::from("..").join(key.hex()).join("diff");
        match fs::read_link(&short) {
            Ok(found) if found == target => return Ok(short),
            Ok(_) => return Ok(self.diff(key)), // twenty equal digits of two layers: the long name will do
            Err(_) => {}
        }
        match symlink(&target, &short) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(disk(&e, "give a layer its short name")),
            _ => Ok(short),
        }
    }

    /// An empty directory for a layer that is being made.
    pub fn begin(&self) -> Result<Making> {
        let folder = self.scratch.join(crate::scratch_name("layer"));
        let made = fs::DirBuilder::new().mode(0o710).create(&folder);
        // a root directory is 0755, whatever the daemon's umask
        made.and_then(|()| fs::create_dir(folder.join("diff")))
            .and_then(|()| fs::set_permissions(folder.join("diff"), fs::Permissions::from_mode(0o755)))
            .map_err(|e| disk(&e, "make a folder for a layer"))?;
        let root = files::open_directory(&folder.join("diff")).and_then(|root| owners::give_to_root(&root));
        root.doing(|| "make a folder for a layer")?;
        Ok(Making { folder, kept: false })
    }

    /// Gives a finished layer its name. If another thread was faster, its work is kept and ours dropped.
    pub fn adopt(&self, mut making: Making, key: &Digest, record: &LayerRecord) -> Result<()> {
        state_file::save(&making.folder.join("layer.json"), record)?;
        let home = self.folder.join(key.hex());
        match fs::rename(&making.folder, &home) {
            Ok(()) => {
                making.kept = true;
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => Ok(()),
            Err(e) => Err(disk(&e, format!("store the layer {key}"))),
        }
    }

    /// Takes an unpacked layer out of sight, whole, so that a kill in the middle of deleting leaves no half layer.
    pub fn put_aside(&self, key: &Digest) -> Result<Option<PathBuf>> {
        let _ = fs::remove_file(self.folder.join("l").join(&key.hex()[..20])); // may never have been made
        self.known().remove(key);
        let aside = self.scratch.join(crate::scratch_name("gone"));
        match fs::rename(self.folder.join(key.hex()), &aside) {
            Ok(()) => Ok(Some(aside)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(disk(&e, format!("remove the layer {key}"))),
        }
    }

    /// Deletes what was put aside.
    ///
    /// # Errors
    /// The first failure; the rest is deleted all the same, or at the next start.
    pub fn delete(&self, aside: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        let mut first = Ok(());
        for folder in aside {
            let removed = remove_folder(&folder);
            first = first.and(removed);
        }
        first
    }

    /// The keys of all unpacked layers.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).doing(|| "list the layers")? {
            let name = entry.doing(|| "list the layers")?.file_name();
            all.extend(name.to_str().and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok()));
        }
        Ok(all)
    }
}

/// A layer being made; dropped unfinished, it is removed.
pub struct Making {
    folder: PathBuf,
    kept: bool,
}

impl Making {
    pub fn diff(&self) -> PathBuf {
        self.folder.join("diff")
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.kept {
            let _ = remove_folder(&self.folder); // what is left of it goes at the next start
        }
    }
}

/// Removes a folder and all below it; gone already is fine.
pub fn remove_folder(folder: &Path) -> Result<()> {
    let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    match files::open_directory(above) {
        Err(failed) if failed.is(errno::ENOENT) => Ok(()),
        above => {
            let above = above.doing(|| format!("remove {}", folder.display()))?;
            remove_tree::remove_tree(&above, name).doing(|| format!("remove {}", folder.display()))
        }
    }
}

/// The name of a whole pile: each layer's diff ID hashed together with the chain below it.
pub fn chain_id(diff_ids: &[Digest]) -> Digest {
    let mut diff_ids = diff_ids.iter();
    let bottom = diff_ids.next().cloned().unwrap_or_else(|| Digest::of(b""));
    diff_ids.fold(bottom, |chain, diff| Digest::of(format!("{chain} {diff}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_leans_belongs_to_its_pile() {
        let folder = tempfile::tempdir().expect("a folder");
        let layers = Layers::open(&Paths::new(folder.path(), folder.path())).expect("room");
        let (low, high) = (Digest::of(b"low"), Digest::of(b"high"));
        let record = |leans| LayerRecord { diff_id: high.clone(), size: 1, leans };
        layers.adopt(layers.begin().expect("room"), &high, &record(true)).expect("room");
        assert!(layers.key(std::slice::from_ref(&high)).expect("readable").is_some());
        let pile = [low, high.clone()];
        assert!(layers.key(&pile).expect("readable").is_none());
        layers.adopt(layers.begin().expect("room"), &chain_id(&pile), &record(true)).expect("room");
        assert_eq!(layers.key(&pile).expect("readable").expect("there").0, chain_id(&pile));
        let aside = layers.put_aside(&high).expect("removable");
        assert!(aside.is_some() && layers.record(&high).expect("readable").is_none());
        layers.delete(aside).expect("removable");
        assert!(layers.put_aside(&high).expect("gone is fine").is_none());
        assert!(fs::read_dir(folder.path().join("tmp")).expect("scratch").next().is_none());
    }
}
