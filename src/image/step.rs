//! # Step: one more layer, one more image
//!
//! A build makes an image of each of its steps: what `RUN` or `COPY` wrote lies in an *upper directory*, which becomes a
//! layer; a configuration is written; and the image is entered without a name, its parent and the step's key noted beside
//! it. That note is the build cache: the next build asks for it and finds the image.
//!
//! ```text
//!   upper directory ──tidy──► nothing but what the step wrote ──pack──► tar ──hash──► diff ID
//!         │                                                              └─gzip, on a thread of its own──► blob
//!         └──rename──► layers/<diff id>/diff       nothing is copied: overlayfs' upper is overlayfs' lower
//! ```
//!
//! * [`Store::begin_upper`] and [`Store::adopt_upper`] give an [`Upper`]; [`Store::layer_of_upper`] makes it a layer, or nothing if
//!   nothing was written; [`Store::enter_step`] and [`Store::step`] write and find the image; [`Store::write_steps`] makes
//!   all of them durable at once, when the build is over.
//!
//! Laws: until [`Store::write_steps`] the list of names on disk is the old one, so a daemon that is killed in the middle of
//! a build leaves blobs that nobody lists, and the next start sweeps them. Mount points that the runtime made are no layer's
//! content. With an epoch no file is younger than it. See: moby `daemon/commit.go`, `image/image.go` (NewChildImage).
//! Next room: [`crate::remove`]

use crate::{
    archive::descriptor,
    content::Ingest,
    gzip::{self, Member},
    layer::{
        diff,
        tree::{self, join, lossy},
        unpack::Unpacked,
    },
    layers::Making,
    snapshot,
    store::{ImageRecord, Store, enlist},
    tags,
};
use minidock_base::{Doing, Error, Result, paths::Paths};
use minidock_linux::{
    files::{self, FileType, Moment, Open, Resolve},
    overlayfs, xattr,
};
use minidock_spec::{
    digest::{Digest, Hasher},
    image::{Descriptor, ImageConfig, OCI_LAYER_GZIP},
};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::{Path, PathBuf},
    sync::mpsc,
};

/// Written beside an image: which step it came of.
pub const STEP: &str = "dev.minidock.step";

/// A directory that becomes a layer; dropped before, it is deleted.
pub struct Upper {
    making: Making,
}

impl Upper {
    /// What was written.
    pub fn diff(&self) -> PathBuf {
        self.making.diff()
    }

    fn work(&self) -> PathBuf {
        self.making.diff().with_file_name("work")
    }

    /// The merged tree of the layers `lower` (top first) and this one, writable, mounted nowhere.
    ///
    /// # Errors
    /// What overlayfs says.
    pub fn view(&self, paths: &Paths, lower: &[PathBuf]) -> Result<OwnedFd> {
        snapshot::view(paths, lower, &self.diff(), &self.work())
    }
}

/// A layer in its place: its blob and its directory. What it is made of is not collected while this lives.
pub struct NewLayer<'a> {
    pub diff_id: Digest,
    pub blob: Descriptor,
    /// Bytes of its files.
    pub size: u64,
    _pinned: crate::store::Pinned<'a>,
}

impl Store {
    /// An empty upper directory, its root like that of the topmost layer below.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin_upper(&self, lower: &[PathBuf]) -> Result<Upper> {
        let upper = Upper { making: self.layers.begin()? };
        let work = upper.work();
        fs::DirBuilder::new().mode(0o700).create(&work).map_err(|e| crate::disk(&e, "make a work directory"))?;
        if let Some(top) = lower.first() {
            let why = || "look at the layer below";
            let (from, to) = (files::open_directory(top).doing(why)?, files::open_directory(&upper.diff()).doing(why)?);
            let stat = files::fstat(&from).doing(why)?;
            files::fchown(&to, stat.st_uid, stat.st_gid).doing(why)?;
            files::fchmod(&to, stat.st_mode & 0o7777).doing(why)?;
        }
        Ok(upper)
    }

    /// Takes the writable layer of a container whose processes have all ended.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn adopt_upper(&self, diff: &Path) -> Result<Upper> {
        let upper = Upper { making: self.layers.begin()? };
        fs::remove_dir(upper.diff())
            .and_then(|()| fs::rename(diff, upper.diff()))
            .map_err(|e| crate::disk(&e, "take over what the step wrote"))?;
        Ok(upper)
    }

    /// Makes a layer of what was written on top of `below` (diff IDs, lowest first; `lower` their directories, topmost
    /// first). `None` if nothing was. With an `epoch` (Unix seconds), later times become that one.
    ///
    /// # Errors
    /// A tree that cannot be read, a full disk. Nothing is left behind.
    pub fn layer_of_upper(
        &self,
        upper: Upper,
        below: &[Digest],
        lower: &[PathBuf],
        epoch: Option<i64>,
    ) -> Result<Option<NewLayer<'_>>> {
        let work = upper.work();
        if work.exists() {
            crate::layers::remove_folder(&work)?;
        }
        let root = files::open_directory(&upper.diff()).doing(|| "open what the step wrote")?;
        let mut tidied = Unpacked::default();
        tidy(&root, b"", 0, epoch, &mut tidied, &mut HashSet::new())?;
        if tidied.entries == 0 {
            return Ok(None);
        }
        let (diff_id, ingest) = pack(&upper.diff(), self.content.begin()?)?;
        let digest = ingest.digest();
        let blob = descriptor(OCI_LAYER_GZIP, digest.clone(), ingest.size());
        let mut diff_ids = below.to_vec();
        diff_ids.push(diff_id.clone());
        let pinned = self.pin([digest.clone(), diff_id.clone(), crate::layers::chain_id(&diff_ids)]);
        ingest.commit(&digest)?;
        if self.layers.key(&diff_ids)?.is_none() {
            self.keep_layer(upper.making, &diff_ids, &tidied, &diff_id, lower)?;
        }
        Ok(Some(NewLayer { diff_id, blob, size: tidied.size, _pinned: pinned }))
    }

    /// Enters the image of a step, nameless; it is on the list from now on, and on the disk after [`Store::write_steps`].
    ///
    /// # Errors
    /// The disk's.
    pub fn enter_step(
        &self,
        image: &ImageConfig,
        layers: Vec<Descriptor>,
        parent: Option<&Digest>,
        key: &str,
    ) -> Result<ImageRecord> {
        let (descriptor, _pinned) = self.put_documents(image, layers)?;
        let mut descriptor = descriptor;
        descriptor.annotations.insert(STEP.into(), key.to_string());
        let mut state = self.state();
        let (descriptor, image) = self.described(&state, &descriptor, parent)?;
        state.tags.note(|list| enlist(list, &descriptor, &[]));
        Ok(self.admit(&mut state, descriptor, image))
    }

    /// The newest image that a step with this key has made.
    pub fn step(&self, key: &str) -> Option<ImageRecord> {
        let state = self.state();
        let made = state.tags.index.manifests.iter().filter(|d| d.annotations.get(STEP).is_some_and(|step| step == key));
        let made = made.filter(|d| state.images.contains_key(&d.digest) && !d.annotations.contains_key(tags::HIDDEN));
        let all: Vec<ImageRecord> = made.map(|d| self.record(&state, &d.digest)).collect();
        all.into_iter().max_by_key(|image| image.created)
    }

    /// Writes the list of names with all steps entered since.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_steps(&self) -> Result<()> {
        self.state().tags.change(|_| ())
    }
}

/// Takes away what is not the step's own work, and counts the rest.
fn tidy(
    dir: &OwnedFd,
    path: &[u8],
    depth: usize,
    epoch: Option<i64>,
    found: &mut Unpacked,
    seen: &mut HashSet<u64>,
) -> Result<()> {
    tree::not_too_deep(depth)?;
    let why = || format!("look at {:?}", lossy(path));
    for name in files::getdents(dir).doing(why)? {
        let stat = files::lstatat(dir, &name).doing(why)?;
        let here = join(path, name.as_bytes());
        let kind = FileType::from_raw_mode(stat.st_mode);
        if diff::is_mount_point(&here, &stat) {
            match kind {
                FileType::Directory => drop(files::rmdirat(dir, &name)), // what is in it is the step's own
                _ => files::unlinkat(dir, &name).doing(why)?,
            }
            if kind != FileType::Directory || files::lstatat(dir, &name).is_err() {
                continue;
            }
        }
        match kind {
            FileType::Socket => {
                files::unlinkat(dir, &name).doing(why)?;
                continue;
            }
            FileType::Directory => {
                let inside = files::openat2(dir, &name, Open::DirectoryNoFollow, Resolve::Beneath).doing(why)?;
                let before = found.entries;
                let had = !files::getdents(&inside).doing(why)?.is_empty();
                tidy(&inside, &here, depth + 1, epoch, found, seen)?;
                let scaffold = had && before == found.entries && diff::SCAFFOLD.contains(&&here[..]);
                if scaffold
                    && xattr::fgetxattr(&inside, overlayfs::OPAQUE).doing(why)?.is_none()
                    && files::rmdirat(dir, &name).is_ok()
                {
                    continue;
                }
            }
            // a file with several names is counted once
            FileType::RegularFile if stat.st_nlink == 1 || seen.insert(stat.st_ino) => found.size += stat.st_size as u64,
            _ => {}
        }
        found.entries += 1;
        if let Some(epoch) = epoch.filter(|epoch| stat.st_mtime >= *epoch) {
            clamp(dir, &name, epoch).doing(why)?;
        }
    }
    Ok(())
}

fn clamp(dir: &OwnedFd, name: &OsStr, epoch: i64) -> Result<(), minidock_linux::errno::CallFailed> {
    let moment = Moment { seconds: epoch, nanoseconds: 0 };
    files::lutimensat(dir, name, moment, moment)
}

/// Packs what was written, hashes it and (on a thread of its own) compresses it into `ingest`; gives the diff ID too.
///
/// # Errors
/// A tree that cannot be read, a full disk.
pub(crate) fn pack(upper: &Path, mut ingest: Ingest) -> Result<(Digest, Ingest)> {
    let (send, receive) = mpsc::sync_channel::<Vec<u8>>(2);
    std::thread::scope(|scope| {
        let compressing = scope.spawn(move || -> Result<Ingest> {
            let press = || {
                let mut member = Member::begin(&mut ingest)?;
                receive.into_iter().try_for_each(|block| member.add(gzip::pack(&block, gzip::QUICK)))?;
                member.finish()
            };
            press().map_err(|e| crate::disk(&e, "compress the layer"))?;
            ingest.end();
            Ok(ingest)
        });
        let tee = Tee { hasher: Hasher::new(), block: Vec::with_capacity(gzip::BLOCK), to: send };
        let packed = diff::write_tar(upper, tee).and_then(|mut tee| {
            tee.send().map_err(|e| crate::disk(&e, "pack the layer"))?;
            Ok(tee.hasher.finish())
        });
        let compressed = compressing.join().map_err(|_| Error::system("the compressing thread panicked"))?;
        let ingest = compressed?; // first: a compressor that could not go on is why the packer's pipe broke
        Ok((packed?, ingest))
    })
}

/// Hashes what goes by and hands it on in blocks.
struct Tee {
    hasher: Hasher,
    block: Vec<u8>,
    to: mpsc::SyncSender<Vec<u8>>,
}

impl Tee {
    fn send(&mut self) -> io::Result<()> {
        self.hasher.update(&self.block);
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(gzip::BLOCK));
        self.to.send(block).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(gzip::BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..fits]);
        if self.block.len() == gzip::BLOCK {
            self.send()?;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::image::RootFs;

    #[test]
    fn what_a_step_wrote_becomes_a_layer_and_what_the_runtime_made_does_not() {
        let folder = tempfile::tempdir().expect("room");
        let paths = Paths::new(folder.path().join("data"), folder.path().join("exec"));
        let store = Store::open(&paths).expect("room");
        let upper = store.begin_upper(&[]).expect("room");
        let at = |name: &str| upper.diff().join(name);
        for dir in ["etc", "dev/pts", "proc", "app"] {
            fs::create_dir_all(at(dir)).expect("room");
        }
        fs::write(at("etc/hosts"), "").expect("room");
        fs::write(at("app/x"), "content").expect("room");
        let made = store.layer_of_upper(upper, &[], &[], Some(5)).expect("packed").expect("something was written");
        assert_eq!(made.size, 7);
        let image = |diff_ids| ImageConfig {
            os: "linux".into(),
            rootfs: RootFs { kind: "layers".into(), diff_ids },
            ..ImageConfig::default()
        };
        let record = store.enter_step(&image(vec![made.diff_id.clone()]), vec![made.blob.clone()], None, "k").expect("entered");
        let diff = store.lower_dirs(&record).expect("unpacked").remove(0);
        assert!(diff.join("app/x").exists() && !diff.join("etc").exists() && !diff.join("dev").exists());
        assert_eq!(
            fs::metadata(diff.join("app/x")).expect("there").modified().expect("a time"),
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(5)
        );
        assert_eq!(store.step("k").expect("found").id, record.id);
        drop(made);
        // before the list is written, a new life knows nothing of it
        assert!(Store::open(&paths).expect("opens").step("k").is_none());
        let empty = store.layer_of_upper(store.begin_upper(&[]).expect("room"), &[], &[], None).expect("nothing is fine");
        assert!(empty.is_none());
        drop(empty);
        let store = Store::open(&paths).expect("opens");
        store.enter_step(&image(Vec::new()), Vec::new(), None, "k2").expect("entered");
        store.write_steps().expect("room");
        assert!(Store::open(&paths).expect("opens").step("k2").is_some());
    }
}
