//! # Shelf: the registry's folder
//!
//! Blobs are kept once, however many repositories have them; that a repository *has* a blob, a manifest or a tag is a small file of
//! its own. So mounting is making an empty file, and what was pushed to one repository is not handed out by another.
//!
//! ```text
//!   blobs/sha256/<hex>, blobs/sha512/<hex>            the bytes, manifests too
//!   uploads/<id>                                      blobs on their way
//!   repositories/<name>/_blobs/<hex>                  it has this blob
//!                      /_manifests/<hex>              it has this manifest: {"mediaType": …, "subject": …}
//!                      /_tags/<tag>                   the digest that it means now
//! ```
//!
//! No name of a repository begins with `_`, so names within names never meet these folders.
//!
//! Laws: files are written beside and renamed; the blob comes before the file that says a repository has it. All calls
//! block; handlers call them by [`on_disk`]. Next room: [`super::uploads`]

use super::{
    answer::Refusal,
    digest::{Algorithm, Digest},
    internal,
};
use minidock_base::{Doing, Error, Result, state_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What is remembered of a manifest beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    pub media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The descriptor under which the subject's referrers list it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Value>,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path) -> Result<Shelf> {
        let blobs = Algorithm::ALL.map(|algorithm| root.join("blobs").join(algorithm.name()));
        for folder in blobs.into_iter().chain([root.join("uploads"), root.join("repositories")]) {
            fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        }
        Ok(Shelf { root: root.to_path_buf() })
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.root.join("repositories").join(name)
    }

    fn mark(&self, name: &str, kind: &str, file: &str) -> PathBuf {
        self.repository(name).join(kind).join(file)
    }

    /// Whether anything was ever pushed to it.
    pub fn has_repository(&self, name: &str) -> bool {
        ["_blobs", "_manifests", "_tags"].iter().any(|kind| self.repository(name).join(kind).is_dir())
    }

    /// The blob's bytes, if this repository has it.
    pub fn open_blob(&self, name: &str, digest: &Digest) -> Option<File> {
        let marked = self.mark(name, "_blobs", digest.hex()).exists() || self.mark(name, "_manifests", digest.hex()).exists();
        if marked { File::open(self.blob(digest)).ok() } else { None }
    }

    pub fn has_blob(&self, name: &str, digest: &Digest) -> bool {
        self.mark(name, "_blobs", digest.hex()).exists() && self.blob(digest).exists()
    }

    /// Some repository that has this blob.
    pub fn anywhere(&self, digest: &Digest) -> bool {
        self.blob(digest).exists() && self.repositories().is_ok_and(|all| all.iter().any(|name| self.has_blob(name, digest)))
    }

    /// Takes a checked file in as a blob of this repository.
    pub fn take_blob(&self, name: &str, digest: &Digest, from: &Path) -> Result<()> {
        fs::rename(from, self.blob(digest)).doing(|| format!("store the blob {digest}"))?;
        self.mount(name, digest)
    }

    /// From now on this repository has the blob, which is here.
    pub fn mount(&self, name: &str, digest: &Digest) -> Result<()> {
        self.write_mark(name, "_blobs", digest.hex(), b"")
    }

    /// Takes a blob from a repository; the bytes go with the last one that has it.
    pub fn remove_blob(&self, name: &str, digest: &Digest) -> Result<bool> {
        let had = remove(&self.mark(name, "_blobs", digest.hex()))?;
        let kept = self.repositories()?.iter().any(|other| {
            self.mark(other, "_blobs", digest.hex()).exists() || self.mark(other, "_manifests", digest.hex()).exists()
        });
        if had && !kept {
            remove(&self.blob(digest))?;
        }
        Ok(had)
    }

    fn write_mark(&self, name: &str, kind: &str, file: &str, content: &[u8]) -> Result<()> {
        let folder = self.repository(name).join(kind);
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        let beside = self.uploads().join(minidock_base::id::random_id());
        let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, folder.join(file)));
        written.doing(|| format!("write {}", folder.join(file).display()))
    }

    /// Stores a manifest, whose digest this is, in a repository.
    pub fn put_manifest(&self, name: &str, digest: &Digest, bytes: &[u8], record: &Record) -> Result<()> {
        let beside = self.uploads().join(minidock_base::id::random_id());
        fs::write(&beside, bytes)
            .and_then(|()| fs::rename(&beside, self.blob(digest)))
            .doing(|| format!("store the manifest {digest}"))?;
        let record = serde_json::to_vec(record).doing(|| "write the record of a manifest")?;
        self.write_mark(name, "_manifests", digest.hex(), &record)
    }

    /// A manifest's bytes and its record, if this repository has it.
    pub fn manifest(&self, name: &str, digest: &Digest) -> Result<Option<(Vec<u8>, Record)>> {
        let Some(record) = state_file::load::<Record>(&self.mark(name, "_manifests", digest.hex()))? else { return Ok(None) };
        match fs::read(self.blob(digest)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            read => read.doing(|| format!("read the manifest {digest}")).map(|bytes| Some((bytes, record))),
        }
    }

    /// All manifests of a repository.
    pub fn manifests(&self, name: &str) -> Result<Vec<(Digest, Record)>> {
        let folder = self.repository(name).join("_manifests");
        let mut all = Vec::new();
        for file in files(&folder)? {
            if let Some(digest) = Digest::of_digits(&file)
                && let Some(record) = state_file::load(&folder.join(&file))?
            {
                all.push((digest, record));
            }
        }
        Ok(all)
    }

    /// Takes a manifest from a repository, and every tag that means it.
    pub fn remove_manifest(&self, name: &str, digest: &Digest) -> Result<bool> {
        for tag in self.tags(name)? {
            if self.tag(name, &tag)?.as_ref() == Some(digest) {
                self.remove_tag(name, &tag)?;
            }
        }
        let had = remove(&self.mark(name, "_manifests", digest.hex()))?;
        let kept = self.repositories()?.iter().any(|other| {
            self.mark(other, "_blobs", digest.hex()).exists() || self.mark(other, "_manifests", digest.hex()).exists()
        });
        if had && !kept {
            remove(&self.blob(digest))?;
        }
        Ok(had)
    }

    /// What a tag means now.
    pub fn tag(&self, name: &str, tag: &str) -> Result<Option<Digest>> {
        match fs::read_to_string(self.mark(name, "_tags", tag)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            read => Digest::parse(read.doing(|| format!("read the tag {tag}"))?.trim()).map(Some),
        }
    }

    pub fn set_tag(&self, name: &str, tag: &str, digest: &Digest) -> Result<()> {
        self.write_mark(name, "_tags", tag, digest.as_str().as_bytes())
    }

    pub fn remove_tag(&self, name: &str, tag: &str) -> Result<bool> {
        remove(&self.mark(name, "_tags", tag))
    }

    pub fn tags(&self, name: &str) -> Result<BTreeSet<String>> {
        files(&self.repository(name).join("_tags"))
    }

    /// Every repository with a manifest in it, or anything that was pushed.
    pub fn repositories(&self) -> Result<BTreeSet<String>> {
        let (mut all, mut folders) = (BTreeSet::new(), vec![(self.root.join("repositories"), String::new())]);
        while let Some((folder, name)) = folders.pop() {
            for entry in fs::read_dir(&folder).doing(|| "list the repositories")? {
                let entry = entry.doing(|| "list the repositories")?;
                let file = entry.file_name().to_string_lossy().into_owned();
                match file.starts_with('_') {
                    true => drop(all.insert(name.clone())),
                    false if name.is_empty() => folders.push((entry.path(), file)),
                    false => folders.push((entry.path(), format!("{name}/{file}"))),
                }
            }
        }
        Ok(all)
    }
}

fn files(folder: &Path) -> Result<BTreeSet<String>> {
    match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        read => {
            let entries = read.doing(|| format!("list {}", folder.display()))?;
            Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        }
    }
}

/// Whether there was one to remove.
fn remove(file: &Path) -> Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).doing(|| format!("remove {}", file.display())),
    }
}

/// Runs work that blocks on a thread for it.
///
/// # Errors
/// 500; the operator is told why.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> std::result::Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(internal(&error)),
        Err(_) => Err(internal(&Error::system("a thread ended early"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_only_what_was_given_to_it_and_bytes_go_with_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(folder.path()).expect("room");
        let digest = Digest::of(Algorithm::Sha512, b"bytes");
        let upload = shelf.uploads().join("1");
        fs::write(&upload, b"bytes").expect("room");
        shelf.take_blob("team/app", &digest, &upload).expect("room");
        assert!(
            shelf.has_blob("team/app", &digest)
                && !shelf.has_blob("team", &digest)
                && shelf.open_blob("other", &digest).is_none()
        );
        shelf.mount("other", &digest).expect("room");
        assert_eq!(shelf.repositories().expect("readable").into_iter().collect::<Vec<_>>(), ["other", "team/app"]);
        assert!(shelf.remove_blob("team/app", &digest).expect("room") && shelf.has_blob("other", &digest));
        assert!(shelf.remove_blob("other", &digest).expect("room") && !shelf.blob(&digest).exists());
        assert!(!shelf.remove_blob("other", &digest).expect("gone is fine"));
    }

    #[test]
    fn a_manifest_takes_its_tags_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(folder.path()).expect("room");
        let record = Record { media_type: "m".into(), ..Record::default() };
        let (one, two) = (Digest::of(Algorithm::Sha256, b"1"), Digest::of(Algorithm::Sha512, b"2"));
        shelf.put_manifest("a", &one, b"1", &record).expect("room");
        shelf.put_manifest("a", &two, b"2", &record).expect("room");
        assert_eq!(shelf.manifests("a").expect("readable").len(), 2);
        shelf.set_tag("a", "x", &one).expect("room");
        shelf.set_tag("a", "y", &two).expect("room");
        assert_eq!(shelf.manifest("a", &one).expect("readable"), Some((b"1".to_vec(), record)));
        assert!(shelf.manifest("b", &one).expect("readable").is_none());
        assert!(shelf.remove_manifest("a", &one).expect("room"));
        assert_eq!(shelf.tags("a").expect("readable").into_iter().collect::<Vec<_>>(), ["y"]);
    }
}
