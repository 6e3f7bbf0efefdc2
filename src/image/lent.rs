//! # Lent: another store's images, shown in this one
//!
//! The nodes of a simulated cluster live on one machine, and each of them needs the same images. Copying them would cost seconds and disk, sharing one
//! store would let one node remove what another runs. So a store may have a *lender*: another store's data root, to be read only.
//!
//! ```text
//!   index.json of the lender ──changed?──► entries marked LENT in our list      (names of our own come first)
//!   blobs, layers: looked for here, then with the lender                        nothing is copied
//!   rmi x on a lent image: our list forgets it, the lender's does not           lent.json: what is not to be shown again
//! ```
//!
//! * [`Lender::show`] makes the list say what the lender has now; the store asks [`Lender::has_changed`] (one stat(2)) whenever it takes its lock.
//! * A name that a user gives here is ours, even for a lent image: it lies in our own `index.json`.
//!
//! Laws: the lender is never written to; an image whose documents cannot be read there is left out; who lends must ask ([`users_at`]) before it removes what a
//! borrower has a container of. Next room: [`crate::remove`]

use crate::{
    archive::oci,
    content::Content,
    remove::User,
    store::State,
    tags::{self, HIDDEN, LENT},
};
use minidock_base::{Result, state_file};
use minidock_spec::{
    digest::Digest,
    image::{Descriptor, Index},
    reference::Reference,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Another store, and what of it is not to be shown.
pub(crate) struct Lender {
    index: PathBuf,
    seen: Option<Stamp>,
    file: PathBuf,
    dismissed: Dismissed,
}

/// Which index was read: a file that is replaced is another one.
type Stamp = (u64, i64, i64, u64);

/// Names that were taken away here, each with what it meant; an empty name is the image as a whole.
#[derive(Default, Serialize, Deserialize)]
struct Dismissed(BTreeSet<(String, Digest)>);

impl Lender {
    /// The store at `root` lends to the one at `borrower`.
    ///
    /// # Errors
    /// A list of dismissed images that cannot be read.
    pub fn open(root: &Path, borrower: &Path) -> Result<Lender> {
        let file = borrower.join("lent.json");
        let dismissed = state_file::load(&file)?.unwrap_or_default();
        Ok(Lender { index: root.join("index.json"), seen: None, file, dismissed })
    }

    fn stamp(&self) -> Option<Stamp> {
        let facts = fs::metadata(&self.index).ok()?;
        Some((facts.ino(), facts.mtime(), facts.mtime_nsec(), facts.len()))
    }

    /// Whether its list is another one than was read last.
    pub fn has_changed(&self) -> bool {
        self.stamp() != self.seen
    }

    /// Makes the state show what is lent now. A list that cannot be read lends nothing new and takes nothing away.
    pub fn show(&mut self, content: &Content, state: &mut State) {
        self.seen = self.stamp(); // one that cannot be read is read again when it is another one
        let index: Index = match state_file::load(&self.index) {
            Ok(Some(index)) => index,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("the images that are lent to us cannot be listed: {}", error.message());
                return;
            }
        };
        state.tags.note(|list| list.retain(|d| !d.annotations.contains_key(LENT)));
        for descriptor in index.manifests.iter().filter(|d| !d.annotations.contains_key(HIDDEN)) {
            if let Some((entry, image)) = self.borrowed(content, state, descriptor) {
                state.images.entry(entry.digest.clone()).or_insert_with(|| Arc::new(image));
                state.tags.note(|list| list.push(entry));
            }
        }
        let listed: BTreeSet<&Digest> = state.tags.index.manifests.iter().map(|d| &d.digest).collect();
        let broken: BTreeSet<&Digest> = state.broken.iter().map(|(d, _)| &d.digest).collect();
        state.images.retain(|digest, _| listed.contains(digest) || broken.contains(digest));
    }

    /// The entry for our list; none for what is shown already, is dismissed, or cannot be read.
    fn borrowed(&self, content: &Content, state: &State, lent: &Descriptor) -> Option<(Descriptor, crate::store::Image)> {
        let name = tags::name_of(lent);
        let is_known = match &name {
            Some(name) => state.tags.find(name).is_some(),
            None => state.tags.index.manifests.iter().any(|d| d.digest == lent.digest),
        };
        let whole = (String::new(), lent.digest.clone());
        let named = (key(name.as_ref()), lent.digest.clone());
        if is_known || self.dismissed.0.contains(&whole) || self.dismissed.0.contains(&named) {
            return None;
        }
        let chosen = oci::choose(content, lent).ok()?;
        let image = oci::read_image(content, &chosen).ok()?;
        let mut entry = Descriptor { annotations: lent.annotations.clone(), ..chosen };
        entry.annotations.insert(LENT.into(), "true".into());
        Some((entry, image))
    }

    /// This name of a lent image, or (without a name) the image, is not to be shown again.
    ///
    /// # Errors
    /// The disk's.
    pub fn dismiss(&mut self, name: Option<&Reference>, digest: &Digest) -> Result<()> {
        match self.dismissed.0.insert((key(name), digest.clone())) {
            true => state_file::save(&self.file, &self.dismissed),
            false => Ok(()),
        }
    }
}

fn key(name: Option<&Reference>) -> String {
    name.map(Reference::canonical).unwrap_or_default()
}

/// Who, at a borrower, needs this image of ours: its containers, and its own list if that has a name for it or an image that stands on its layers. `run` is
/// where its passing records lie. Read from its files, for it may be asleep; what cannot be read needs nothing.
pub fn users_at(lender: &Path, borrower: &Path, run: &Path, image: &Digest) -> Vec<User> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let kept = entries(borrower.join("containers")).map(|folder| folder.join("container.json"));
    let passing = entries(run.join("records")).filter(|path| !path.to_string_lossy().ends_with(".exit.json"));
    let mut users = Vec::new();
    for file in kept.chain(passing) {
        let Ok(Some(record)) = state_file::load::<Value>(&file) else { continue };
        if record["image"].as_str() == Some(image.as_str()) {
            let container = record["id"].as_str().unwrap_or_default().to_string();
            users.push(User { container, running: false });
        }
    }
    let index: Option<Index> = state_file::load(&borrower.join("index.json")).ok().flatten();
    let read = |digest: &Digest| {
        let at = |root: &Path| fs::read(root.join("blobs/sha256").join(digest.hex())).ok();
        at(borrower).or_else(|| at(lender)).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
    };
    let layers = |config: &Digest| read(config)?["rootfs"]["diff_ids"].as_array().filter(|layers| !layers.is_empty()).cloned();
    let ours = layers(image);
    let needs_it = |d: &Descriptor| {
        let config = read(&d.digest).and_then(|manifest| Digest::parse(manifest["config"]["digest"].as_str()?).ok());
        let Some(config) = config else { return false };
        // what a node has built upon a lent image has its upper layers there, and the lower ones here
        let stands_on = |ours: &Vec<Value>| layers(&config).is_some_and(|theirs| theirs.starts_with(ours));
        config == *image || ours.as_ref().is_some_and(stands_on)
    };
    let own = |d: &&Descriptor| !d.annotations.contains_key(LENT);
    if index.is_some_and(|index| index.manifests.iter().filter(own).any(needs_it)) {
        let name = borrower.file_name().unwrap_or_default().to_string_lossy().into_owned();
        users.push(User { container: format!("of {name}"), running: false });
    }
    users
}

#[cfg(test)]
mod tests {
    use crate::{Store, commit::Commit, remove::Removal};
    use minidock_base::paths::Paths;
    use minidock_spec::reference::Reference;
    use std::path::Path;

    fn store(root: &Path, lender: Option<&Path>) -> Store {
        Store::open_with(&Paths::new(root, root.join("exec")), lender).expect("a store")
    }

    /// An image without layers.
    fn image(store: &Store, name: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        tar.finish().expect("in memory");
        let name = Reference::parse(name).expect("a name");
        store.import(tar.into_inner().expect("in memory").as_slice(), Some(name), &[], "").expect("an archive");
    }

    fn names(store: &Store) -> Vec<String> {
        let mut all: Vec<String> =
            store.list().iter().flat_map(|i| i.tags.iter().map(|t| t.familiar()).collect::<Vec<_>>()).collect();
        all.sort();
        all
    }

    #[test]
    fn what_the_lender_has_is_shown_as_it_comes_and_goes_and_nothing_is_copied() {
        let (host, node) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let lender = store(host.path(), None);
        let borrower = store(node.path(), Some(host.path()));
        assert!(names(&borrower).is_empty());
        image(&lender, "alpine");
        assert_eq!(names(&borrower), ["alpine:latest"]);
        let lent = borrower.resolve("alpine").expect("lent");
        let dirs = borrower.lower_dirs(&lent).expect("unpacked there");
        assert!(dirs.iter().all(|dir| dir.starts_with(host.path())), "{dirs:?}");
        assert_eq!(std::fs::read_dir(node.path().join("blobs/sha256")).expect("a folder").count(), 0);
        lender.remove("alpine", Removal::default(), &|_| Vec::new()).expect("nobody uses it");
        assert!(names(&borrower).is_empty());
    }

    #[test]
    fn a_name_of_ones_own_is_kept_and_one_taken_away_stays_away() {
        let (host, node) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let lender = store(host.path(), None);
        image(&lender, "alpine");
        let borrower = store(node.path(), Some(host.path()));
        let lent = borrower.resolve("alpine").expect("lent");
        borrower.tag(&lent.id, &Reference::parse("mine").expect("a name")).expect("a tag");
        borrower.remove("alpine", Removal::default(), &|_| Vec::new()).expect("only a name");
        assert_eq!((names(&borrower), names(&lender)), (vec!["mine:latest".into()], vec!["alpine:latest".to_string()]));
        drop(borrower);
        let again = store(node.path(), Some(host.path()));
        assert_eq!(names(&again), ["mine:latest"]);
        assert_eq!(super::users_at(host.path(), node.path(), node.path(), &lent.id).len(), 1, "its own name");
        image(&lender, "busybox"); // the list is another one now
        assert_eq!(names(&again), ["busybox:latest", "mine:latest"]);
        again.remove("mine", Removal::default(), &|_| Vec::new()).expect("nobody uses it");
        assert!(lender.resolve("alpine").is_ok() && lender.lower_dirs(&lender.resolve("alpine").expect("there")).is_ok());
        assert_eq!(names(&store(node.path(), Some(host.path()))), ["busybox:latest"]);
    }

    #[test]
    fn what_a_node_has_built_upon_a_lent_image_needs_its_layers() {
        let (host, node) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let lender = store(host.path(), None);
        image(&lender, "alpine");
        let borrower = store(node.path(), Some(host.path()));
        let users = |image| super::users_at(host.path(), node.path(), node.path(), image).len();
        let lent = borrower.resolve("alpine").expect("lent");
        assert_eq!(users(&lent.id), 0, "to be shown is not to be needed");
        let upper = tempfile::tempdir().expect("a folder");
        std::fs::write(upper.path().join("more"), "more").expect("a file");
        let built = Commit {
            base: &lent,
            upper: upper.path(),
            config: lent.config.config.clone(),
            author: "",
            comment: "",
            created_by: "",
            name: Some(Reference::parse("built").expect("a name")),
        };
        let built = borrower.commit(&built).expect("committed");
        assert_ne!(built.id, lent.id);
        assert_eq!((users(&lent.id), users(&built.id)), (1, 1));
        borrower.remove("built", Removal::default(), &|_| Vec::new()).expect("nobody uses it");
        assert_eq!(users(&lent.id), 0);
    }
}
