//! # Content: blobs by digest
//!
//! Everything in an image is a blob whose name is its own hash, so a blob is never changed, never ambiguous and can be
//! checked by anybody. The store keeps them as an OCI image layout does: `blobs/sha256/<hex>`.
//!
//! ```text
//!   bytes ──► tmp/blob-N ──► hashed, complete? ──rename──► blobs/sha256/<hex>
//!                 │ read while it grows
//!                 └──► Tail ──► inflate ──► unpack
//! ```
//!
//! * [`Content::begin`] opens an [`Ingest`]; nothing is visible before [`Ingest::commit`], and what is dropped is deleted.
//! * [`Tail`] reads a blob that is still being written, so that a layer is unpacked while it arrives; the disk is the
//!   buffer between the two, and memory stays flat however far the reader falls behind.
//! * [`Content::resume`] is the same for a blob whose digest is known before it comes: what a broken connection left lies in
//!   `partial/<hex>`, and the next try goes on behind it.
//! * [`Content::document`] reads a small blob and checks it against its name: a flipped bit on the disk is found here.
//!
//! See: OCI image-spec image-layout.md. Next room: [`crate::tags`]

use crate::disk;
use minidock_base::{Doing, Error, Result};
use minidock_spec::digest::{Digest, Hasher};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// The largest manifest or configuration we read (the registry protocol's limit is 4 MiB).
pub const LARGEST_DOCUMENT: u64 = 8 << 20;

/// How long a blob that was begun and never finished is kept for the next try.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The blobs of a store.
#[derive(Clone, Debug)]
pub struct Content {
    blobs: PathBuf,
    scratch: PathBuf,
    /// Blobs that are half here, by the digest they will have: what a broken download leaves for the next one.
    partial: PathBuf,
    /// The blobs of a store that lends us its own.
    lent: Option<PathBuf>,
}

impl Content {
    /// The blobs below the layout at `root`; half-made ones lie in `scratch`, on the same file system.
    pub fn open(root: &Path, scratch: &Path) -> Result<Content> {
        let blobs = root.join("blobs/sha256");
        let partial = root.join("partial");
        for folder in [&blobs, &partial, &scratch.to_path_buf()] {
            fs::create_dir_all(folder).map_err(|e| disk(&e, format!("make {}", folder.display())))?;
        }
        let content = Content { blobs, scratch: scratch.to_path_buf(), partial, lent: None };
        content.forget_partial(PATIENCE);
        Ok(content)
    }

    /// The same, with what the layout at `root` has, to be read only.
    pub fn lent_by(self, root: &Path) -> Content {
        Content { lent: Some(root.join("blobs/sha256")), ..self }
    }

    /// Where a blob lies: here, or with who lends it.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let own = self.own_path(digest);
        match &self.lent {
            Some(lent) if !own.exists() => Some(lent.join(digest.hex())).filter(|path| path.exists()).unwrap_or(own),
            _ => own,
        }
    }

    fn own_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// The length of a blob that is there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|m| m.len())
    }

    /// Opens a blob for reading; its bytes are the reader's to check.
    ///
    /// # Errors
    /// A blob that is missing, by digest.
    pub fn reader(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|e| disk(&e, format!("open the blob {digest}")))
    }

    /// Reads a manifest or configuration and checks that it is what its name says.
    ///
    /// # Errors
    /// Missing, too large, or changed on the disk: then both digests are named.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.reader(digest)?;
        file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes).doing(|| format!("read the blob {digest}"))?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            return Err(Error::invalid(format!("blob {digest} is larger than a document may be")));
        }
        let found = Digest::of(&bytes);
        match found == *digest {
            true => Ok(bytes),
            false => Err(Error::system(format!("digest mismatch: blob {digest} has the content of {found}"))
                .hint("its file was changed or the disk is failing; remove the image and load it again")),
        }
    }

    /// Stores a document.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.size(&digest) == Some(bytes.len() as u64) {
            return Ok(digest);
        }
        let mut ingest = self.begin()?;
        ingest.write(bytes)?;
        ingest.commit(&digest)?;
        Ok(digest)
    }

    /// Begins a blob whose digest is not known yet.
    pub fn begin(&self) -> Result<Ingest> {
        let path = self.scratch.join(crate::scratch_name("blob"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|e| disk(&e, "make a file for a blob"))?;
        let growing = Arc::new(Growing { state: Mutex::default(), grown: Condvar::new() });
        let blobs = self.blobs.clone();
        Ok(Ingest { file, path, blobs, growing, hasher: Hasher::new(), size: 0, kept: false, resumable: false })
    }

    /// Begins a blob whose digest is known, or goes on with one that was begun before: what is there is hashed again, and
    /// [`Ingest::size`] tells how far it goes. Dropped unfinished, it stays for the next try. One writer for each digest
    /// at a time is the caller's care.
    pub fn resume(&self, digest: &Digest, expected: u64) -> Result<Ingest> {
        let path = self.partial.join(digest.hex());
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = file.map_err(|e| disk(&e, "make a file for a blob"))?;
        let growing = Arc::new(Growing { state: Mutex::default(), grown: Condvar::new() });
        let (mut hasher, mut size, mut chunk) = (Hasher::new(), 0u64, vec![0; 128 << 10]);
        loop {
            let n = file.read(&mut chunk).map_err(|e| disk(&e, "read what is there of a blob"))?;
            if n == 0 {
                break;
            }
            hasher.update(&chunk[..n]);
            size += n as u64;
        }
        if size > expected {
            // longer than it may be: not what was meant
            file.set_len(0).map_err(|e| disk(&e, "begin a blob again"))?;
            (hasher, size) = (Hasher::new(), 0);
        }
        growing.set(|state| state.written = size);
        Ok(Ingest { file, path, blobs: self.blobs.clone(), growing, hasher, size, kept: false, resumable: true })
    }

    /// Takes a blob back out of sight, to where a next try finds it.
    pub(crate) fn put_back(&self, digest: &Digest) -> Result<()> {
        match fs::rename(self.own_path(digest), self.partial.join(digest.hex())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk(&e, format!("put the blob {digest} back"))),
            _ => Ok(()),
        }
    }

    /// Removes half blobs that nobody has written to for so long; gives back their bytes. What cannot be removed stays.
    pub fn forget_partial(&self, idle: Duration) -> u64 {
        let Ok(entries) = fs::read_dir(&self.partial) else { return 0 };
        let mut freed = 0;
        for entry in entries.flatten() {
            let Ok(facts) = entry.metadata() else { continue };
            let old = facts.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|since| since >= idle);
            if old && fs::remove_file(entry.path()).is_ok() {
                freed += facts.len();
            }
        }
        freed
    }

    /// Removes a blob; one that is gone already is fine.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        match fs::remove_file(self.own_path(digest)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk(&e, format!("remove the blob {digest}"))),
            _ => Ok(()),
        }
    }

    /// All blobs there are.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.blobs).doing(|| "list the blobs")? {
            let name = entry.doing(|| "list the blobs")?.file_name();
            all.extend(name.to_str().and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok()));
        }
        Ok(all)
    }
}

/// A blob being written.
pub struct Ingest {
    file: File,
    path: PathBuf,
    blobs: PathBuf,
    growing: Arc<Growing>,
    hasher: Hasher,
    size: u64,
    kept: bool,
    /// Its file has the digest's name: unfinished, it is of use to the next try.
    resumable: bool,
}

impl Ingest {
    /// Adds bytes, and wakes who reads along.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(e) = self.file.write_all(bytes) {
            self.resumable = false; // a full disk is not helped by half a blob
            return Err(disk(&e, "write a blob"));
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.growing.set(|state| state.written = self.size);
        Ok(())
    }

    /// No more bytes will come: readers may reach the end.
    pub fn end(&mut self) {
        self.growing.set(|state| state.ended = true);
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of what was written.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// A reader of this blob from its beginning.
    pub fn tail(&self) -> Result<Tail> {
        let file = File::open(&self.path).doing(|| "read along a blob")?;
        Ok(Tail { file, growing: self.growing.clone(), position: 0 })
    }

    /// Gives the blob its name.
    ///
    /// # Errors
    /// It is not what `expected` says: the error names both digests, and the bytes are dropped.
    pub fn commit(mut self, expected: &Digest) -> Result<()> {
        let found = self.digest();
        if found != *expected {
            self.resumable = false;
            return Err(mismatch("blob", expected, &found));
        }
        let home = self.blobs.join(found.hex());
        fs::rename(&self.path, &home).map_err(|e| disk(&e, format!("store the blob {found}")))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.growing.set(|state| state.ended = true);
        let of_use = self.resumable && self.size > 0;
        if !self.kept && !of_use {
            let _ = fs::remove_file(&self.path); // what is left of it goes at the next start
        }
    }
}

/// `digest mismatch`, naming both.
pub fn mismatch(what: &str, expected: &Digest, found: &Digest) -> Error {
    Error::invalid(format!("digest mismatch: {what} should be {expected} but its content is {found}"))
        .hint("the archive was damaged or changed on its way; copy it again")
}

struct Growing {
    state: Mutex<Growth>,
    grown: Condvar,
}

#[derive(Default)]
struct Growth {
    written: u64,
    ended: bool,
}

impl Growing {
    fn set(&self, change: impl FnOnce(&mut Growth)) {
        change(&mut self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        self.grown.notify_all();
    }

    /// Waits until there is something behind `position`; how far it goes, `None` at the end.
    fn beyond(&self, position: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while state.written <= position && !state.ended {
            state = self.grown.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        (state.written > position).then_some(state.written)
    }
}

/// Reads a blob that may still be growing.
pub struct Tail {
    file: File,
    growing: Arc<Growing>,
    position: u64,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(end) = self.growing.beyond(self.position) else { return Ok(0) };
        let most = buffer.len().min(usize::try_from(end - self.position).unwrap_or(usize::MAX));
        let n = self.file.read(&mut buffer[..most])?;
        self.position += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_whole_under_its_own_name_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), &folder.path().join("tmp")).expect("room");
        let (good, other) = (Digest::of(b"hello"), Digest::of(b"other"));
        let mut ingest = content.begin().expect("room");
        ingest.write(b"hello").expect("room");
        let error = ingest.commit(&other).expect_err("not what was promised").message();
        assert!(error.contains(good.as_str()) && error.contains(other.as_str()), "{error}");
        assert!(content.size(&good).is_none() && content.size(&other).is_none());
        assert_eq!(content.put(b"hello").expect("room"), good);
        assert_eq!(content.document(&good).expect("stored"), b"hello");
        fs::write(content.path(&good), "jello").expect("room");
        assert!(content.document(&good).is_err_and(|e| e.message().contains("digest mismatch")));
        assert!(fs::read_dir(folder.path().join("tmp")).expect("scratch").next().is_none());
    }

    #[test]
    fn half_a_blob_waits_for_the_other_half_and_a_wrong_one_for_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), &folder.path().join("tmp")).expect("room");
        let digest = Digest::of(b"hello");
        let mut half = content.resume(&digest, 5).expect("room");
        half.write(b"hel").expect("room");
        drop(half);
        let mut rest = content.resume(&digest, 5).expect("there");
        assert_eq!(rest.size(), 3);
        rest.write(b"lo").expect("room");
        rest.commit(&digest).expect("whole");
        content.put_back(&digest).expect("there");
        assert!(content.size(&digest).is_none());
        content.resume(&digest, 5).expect("there").commit(&digest).expect("still whole");
        let mut wrong = content.resume(&digest, 5).expect("room");
        wrong.write(b"jello").expect("room");
        assert!(wrong.commit(&digest).is_err());
        assert_eq!(content.resume(&digest, 5).expect("room").size(), 0, "what is wrong is not kept");
        content.resume(&digest, 5).expect("room").write(b"too long").expect("room");
        assert_eq!(content.resume(&digest, 5).expect("room").size(), 0);
        assert!(fs::read_dir(folder.path().join("partial")).expect("a folder").next().is_none());
    }

    #[test]
    fn a_tail_reads_what_is_written_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), &folder.path().join("tmp")).expect("room");
        let mut ingest = content.begin().expect("room");
        let mut tail = ingest.tail().expect("there");
        let reading = std::thread::spawn(move || {
            let mut all = String::new();
            tail.read_to_string(&mut all).map(|_| all)
        });
        for part in ["a", "bc", "d"] {
            ingest.write(part.as_bytes()).expect("room");
        }
        ingest.end();
        assert_eq!(reading.join().expect("no panic").expect("reads"), "abcd");
    }
}
