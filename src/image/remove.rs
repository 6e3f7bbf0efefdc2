//! # Remove: an image goes, name by name
//!
//! `rmi x` takes a name away; only when the last name is gone does the image go, and with it those layers that nobody else
//! has. What a container needs is never taken from under it: a running one forbids it, a stopped one lets itself be
//! overruled by `--force`; then the image vanishes from every list but its layers stay until that container is gone.
//!
//! ```text
//!   by name:  Untagged: x:latest   ── other names left? done
//!   by ID:    all its names, if they are of one repository
//!       └──► in use? refused ──► Deleted: sha256:<id>, Deleted: sha256:<chain> … ──► its unnamed, childless parent too
//! ```
//!
//! * [`Store::remove`] and [`Store::prune`]; who uses an image is asked of the engine ([`InUse`]).
//!
//! Law: the words of each refusal are Docker's; clients and people match on them. See: moby `daemon/images/image_delete.go`.
//! Next room: [`crate::gc`]

use crate::{
    gc::Collected,
    store::{State, Store},
    tags,
};
use jiff::Timestamp;
use minidock_base::{Error, Kind, Result};
use minidock_spec::{digest::Digest, engine::image::ImageDeleted, reference::Reference};
use std::collections::BTreeMap;

/// A container that needs an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub container: String,
    pub running: bool,
}

/// Asks who uses the image with this ID.
pub type InUse<'a> = &'a dyn Fn(&Digest) -> Vec<User>;

/// How far a removal may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removal {
    pub force: bool,
    /// Leave unnamed parents alone.
    pub no_prune: bool,
}

/// What to prune.
#[derive(Clone, Debug, Default)]
pub struct Pruning {
    /// Named images too, when no container uses them.
    pub all: bool,
    /// Only images made before.
    pub until: Option<Timestamp>,
    /// `key` or `key=value`, all of which must be there.
    pub labels: Vec<String>,
    /// `key` or `key=value`, none of which may be there.
    pub labels_not: Vec<String>,
}

/// What a removal did.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    pub lines: Vec<ImageDeleted>,
    /// Names taken away, each with the ID it had been given to: for events.
    pub untagged: Vec<(Digest, String)>,
    /// IDs of the images that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes of layers that are gone.
    pub bytes: u64,
}

/// A download that nobody has gone on with for so long is not waited for.
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(120);

impl Store {
    /// Removes a name, or an image with all its names.
    ///
    /// # Errors
    /// Docker's conflicts: `unable to remove repository reference`, `unable to delete … (must be forced)`,
    /// `(cannot be forced)`; `No such image`.
    pub fn remove(&self, text: &str, how: Removal, in_use: InUse<'_>) -> Result<Removed> {
        let mut state = self.state();
        let mut work =
            Removing { store: self, state: &mut state, in_use, done: Removed::default(), gone: Collected::default() };
        let result = work.remove(text, how);
        let Removing { mut done, gone, .. } = work;
        drop(state);
        done.bytes = gone.bytes;
        let swept = self.layers.delete(gone.aside); // outside the lock: this is what takes time
        result.and(swept).map(|()| done)
    }

    /// Removes what nobody needs.
    ///
    /// # Errors
    /// Only what is no conflict: an image somebody has begun to use is passed over.
    pub fn prune(&self, what: &Pruning, in_use: InUse<'_>) -> Result<Removed> {
        let mut total = Removed::default();
        for image in self.list() {
            let has_child = self.list().iter().any(|other| other.parent.as_ref() == Some(&image.id));
            let named = !image.tags.is_empty();
            if (!named && has_child) || (named && !what.all) || !in_use(&image.id).is_empty() {
                continue;
            }
            if what.until.is_some_and(|until| image.created.is_none_or(|created| created >= until)) {
                continue;
            }
            let labels = &image.config.config.labels;
            if !what.labels.iter().all(|l| has_label(labels, l)) || what.labels_not.iter().any(|l| has_label(labels, l)) {
                continue;
            }
            let names: Vec<String> = match image.tags.is_empty() && image.digests.is_empty() {
                true => vec![image.id.hex().to_string()],
                false => image.tags.iter().chain(&image.digests).map(Reference::familiar).collect(),
            };
            for name in names {
                match self.remove(&name, Removal::default(), in_use) {
                    Ok(removed) => total.add(removed),
                    Err(e) if matches!(e.kind(), Kind::Conflict | Kind::NotFound) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        self.release(in_use)?;
        total.bytes += self.content.forget_partial(ABANDONED);
        Ok(total)
    }

    /// Lets go of images that were removed by force while a stopped container needed them, and needs them no longer.
    ///
    /// # Errors
    /// The list cannot be written, files cannot be removed.
    pub fn release(&self, in_use: InUse<'_>) -> Result<()> {
        let mut state = self.state();
        if !state.tags.index.manifests.iter().any(|d| d.annotations.contains_key(tags::HIDDEN)) {
            return Ok(()); // nearly always
        }
        let hidden: Vec<Digest> = state.images.keys().filter(|m| self.record(&state, m).hidden).cloned().collect();
        let mut work =
            Removing { store: self, state: &mut state, in_use, done: Removed::default(), gone: Collected::default() };
        let mut first = Ok(());
        for manifest in hidden {
            if (work.in_use)(&work.state.images[&manifest].id).is_empty() {
                first = first.and(work.erase(&manifest));
            }
        }
        let gone = work.gone;
        drop(state);
        first.and(self.layers.delete(gone.aside))
    }
}

fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
        None => labels.contains_key(wanted),
    }
}

impl Removed {
    fn add(&mut self, more: Removed) {
        self.lines.extend(more.lines);
        self.untagged.extend(more.untagged);
        self.deleted.extend(more.deleted);
        self.bytes += more.bytes;
    }
}

struct Removing<'a> {
    store: &'a Store,
    state: &'a mut State,
    in_use: InUse<'a>,
    done: Removed,
    gone: Collected,
}

/// Which conflicts count: the hard ones always.
#[derive(Clone, Copy)]
struct Soft {
    names: bool,
    stopped: bool,
}

impl Removing<'_> {
    fn remove(&mut self, text: &str, how: Removal) -> Result<()> {
        let manifest = self.state.manifest_of(text)?;
        let id = self.state.images[&manifest].id.clone();
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let names = self.names(&manifest);
        let mut was_named = false;
        if !id.hex().starts_with(hex) {
            let users = (self.in_use)(&id);
            if let (false, true, Some(user)) = (how.force, single(&names), users.first()) {
                return Err(Error::conflict(format!(
                    "conflict: unable to remove repository reference {text:?} (must force) - container {} is using its referenced image {}",
                    short(&user.container),
                    id.short()
                ))
                .hint(format!("minidock rm {} first, or --force", short(&user.container))));
            }
            let name = Reference::parse(text)?;
            self.untag(&id, &name)?;
            if name.digest.is_none() && !self.names(&manifest).iter().any(|n| n.digest.is_none() && same(n, &name)) {
                for left in self.names(&manifest).into_iter().filter(|n| same(n, &name)) {
                    self.untag(&id, &left)?;
                }
            }
            if !self.names(&manifest).is_empty() {
                return Ok(());
            }
            was_named = true;
        } else if single(&names) {
            self.check(&manifest, Soft { names: false, stopped: !how.force })?;
            for name in names {
                self.untag(&id, &name)?;
            }
        }
        self.delete(&manifest, how, was_named)
    }

    /// The image itself, and then its parent if that has neither name nor other child nor container.
    fn delete(&mut self, manifest: &Digest, how: Removal, quiet: bool) -> Result<()> {
        if let Err(conflict) = self.check(manifest, Soft { names: !how.force, stopped: !how.force }) {
            // the name is gone, which is what was asked; that somebody still uses the image, or stands on it, is no failure then
            let used = !(self.in_use)(&self.state.images[manifest].id).is_empty();
            let dangling = self.names(manifest).is_empty() && !self.has_child(manifest);
            return if quiet && (!dangling || used) { Ok(()) } else { Err(conflict) };
        }
        let record = self.store.record(self.state, manifest);
        self.done.lines.push(deleted(&record.id));
        self.done.deleted.push(record.id.clone());
        if (self.in_use)(&record.id).is_empty() {
            self.erase(manifest)?;
        } else {
            self.state.tags.change(|list| {
                for entry in list.iter_mut().filter(|d| d.digest == *manifest) {
                    entry.annotations.insert(tags::HIDDEN.into(), "true".into());
                }
            })?;
        }
        let parent = record.parent.filter(|_| !how.no_prune);
        let parent = parent.and_then(|id| self.state.images.iter().find(|(_, image)| image.id == id).map(|(m, _)| m.clone()));
        match parent {
            Some(parent) => self.delete(&parent, Removal { force: false, ..how }, true),
            None => Ok(()),
        }
    }

    fn erase(&mut self, manifest: &Digest) -> Result<()> {
        let Some(image) = self.state.images.get(manifest).cloned() else { return Ok(()) };
        self.state.dismiss(None, manifest)?;
        self.state.tags.change(|list| list.retain(|d| d.digest != *manifest))?;
        self.state.images.remove(manifest);
        let gone = self.store.collect(self.state, manifest, &image)?;
        self.done.lines.extend(gone.chains.iter().map(deleted));
        self.gone.add(gone);
        Ok(())
    }

    fn names(&self, manifest: &Digest) -> Vec<Reference> {
        self.state.tags.index.manifests.iter().filter(|d| d.digest == *manifest).filter_map(tags::name_of).collect()
    }

    fn untag(&mut self, id: &Digest, name: &Reference) -> Result<()> {
        if let Some(manifest) = self.state.tags.change(|list| tags::take(list, name))? {
            self.state.dismiss(Some(name), &manifest)?;
            let name = name.familiar();
            self.done.lines.push(ImageDeleted { untagged: Some(name.clone()), deleted: None });
            self.done.untagged.push((id.clone(), name));
        }
        Ok(())
    }

    fn has_child(&self, manifest: &Digest) -> bool {
        let id = &self.state.images[manifest].id;
        let mut others = self.state.images.keys().map(|other| self.store.record(self.state, other));
        // one that is only kept for its container stands on layers, not on images: its user does not see it any more
        others.any(|other| other.parent.as_ref() == Some(id) && !other.hidden)
    }

    fn check(&self, manifest: &Digest, soft: Soft) -> Result<()> {
        let record = self.store.record(self.state, manifest);
        let refuse = |force: &str, why: String| {
            Err(Error::conflict(format!("conflict: unable to delete {} ({force}) - {why}", record.id.short())))
        };
        if self.has_child(manifest) {
            return refuse("cannot be forced", "image has dependent child images".into());
        }
        let users = (self.in_use)(&record.id);
        if let Some(user) = users.iter().find(|user| user.running) {
            return refuse("cannot be forced", format!("image is being used by running container {}", short(&user.container)));
        }
        if soft.names && !self.names(manifest).is_empty() {
            return refuse("must be forced", "image is referenced in multiple repositories".into());
        }
        match users.first() {
            Some(user) if soft.stopped => {
                refuse("must be forced", format!("image is being used by stopped container {}", short(&user.container)))
            }
            _ => Ok(()),
        }
    }
}

fn deleted(id: &Digest) -> ImageDeleted {
    ImageDeleted { untagged: None, deleted: Some(id.to_string()) }
}

fn short(container: &str) -> &str {
    minidock_base::id::short(container)
}

fn same(a: &Reference, b: &Reference) -> bool {
    a.canonical_name() == b.canonical_name()
}

/// At most one tag, and all names of one repository.
fn single(names: &[Reference]) -> bool {
    names.iter().filter(|n| n.digest.is_none()).count() <= 1 && names.iter().all(|n| same(n, &names[0]))
}
