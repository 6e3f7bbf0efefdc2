//! # Below: what a diff takes for granted
//!
//! Most layers name every folder they use. Some do not: they hold `lib/x.so` without `lib/`, and mean the `lib` of the
//! layers below, which may be a symlink to `usr/lib`, or have another owner and mode than a folder made from nothing. Others
//! hold a hard link to a file that only a lower layer has. Stacked as they are, such a layer would hide the link, open a
//! `/tmp` of mode 1777 to nobody, or be refused.
//!
//! ```text
//!   below:  lib -> usr/lib    tmp (1777)    bin/busybox
//!   layer:  lib/x.so          tmp/y         bin/ls = hard link to bin/busybox
//!   result: usr/lib/x.so      tmp (1777)/y  bin/ls = a copy, as overlayfs would have copied it up
//! ```
//!
//! * [`lean`] settles these against the merged view of the layers below, before the layer gets its name.
//!
//! Law: lower layers are only read, through a view that cannot be left. See: overlayfs.rst "Non-directories"; kaniko and
//! moby archive issues on implied parents. Next room: [`super::diff`]

use super::{
    owners,
    tree::{self, Missing, Tree, lossy},
    unpack::Unpacked,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno,
    files::{self, FileType, Moment, Open, Resolve, Stat},
    overlayfs::Overlay,
    xattr,
};
use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Whether the layer needs to be settled at all upon the layers `lower` (top first).
///
/// # Errors
/// The layer below cannot be looked at.
pub fn leans(unpacked: &Unpacked, lower: &[PathBuf]) -> Result<bool> {
    Ok(!unpacked.implied.is_empty() || !unpacked.borrowed.is_empty() || odd_root(unpacked, lower)?.is_some())
}

/// The root directory below, when this layer says nothing of it and it is not what every root directory is like.
fn odd_root(unpacked: &Unpacked, lower: &[PathBuf]) -> Result<Option<(OwnedFd, Stat)>> {
    let (false, Some(below)) = (unpacked.root, lower.first()) else { return Ok(None) };
    let below = files::open_directory(below).doing(|| "open the layer below")?;
    let stat = files::fstat(&below).doing(|| "look at the layer below")?;
    let (uid, gid) = owners::root();
    Ok(((stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) != (0o755, uid, gid)).then_some((below, stat)))
}

/// Settles the layer unpacked at `diff` against the layers `lower` (top first).
///
/// # Errors
/// A hard link whose target is nowhere; a view that cannot be mounted.
pub fn lean(diff: &Path, unpacked: &Unpacked, lower: &[PathBuf]) -> Result<()> {
    if !leans(unpacked, lower)? {
        return Ok(());
    }
    if lower.is_empty() {
        return match unpacked.borrowed.first() {
            Some((name, target)) => Err(no_target(name, target)),
            None => Ok(()),
        };
    }
    if let Some((below, stat)) = odd_root(unpacked, lower)? {
        copy_description(&below, &files::open_directory(diff).doing(|| "open a layer")?, &stat)?;
    }
    let ours = files::open_directory(diff).doing(|| "open a layer")?;
    let mut work = Settling { ours: Tree::new(ours), below: Tree::new(view(lower)?), moved: Vec::new() };
    for path in &unpacked.implied {
        work.folder(path).map_err(|e| e.during(format!("settle the folder {:?}", lossy(path))))?;
    }
    for (name, target) in &unpacked.borrowed {
        work.copy_up(name, target).map_err(|e| e.during(format!("link {:?} to {:?}", lossy(name), lossy(target))))?;
    }
    Ok(())
}

/// The layers below as one tree. A single one is its own view: at the bottom nothing is deleted.
pub fn view(lower: &[PathBuf]) -> Result<OwnedFd> {
    match lower {
        [only] => files::open_directory(only).doing(|| "open the layer below"),
        _ => Overlay { lower: lower.to_vec(), upper: None }.view().doing(|| "look at the layers below"),
    }
}

fn no_target(name: &[u8], target: &[u8]) -> Error {
    Error::invalid(format!("{:?} is a hard link to {:?}, which is in no layer", lossy(name), lossy(target)))
}

struct Settling {
    ours: Tree,
    below: Tree,
    /// Folders that turned out to be links below, and where their content went.
    moved: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Settling {
    fn folder(&mut self, path: &[u8]) -> Result<()> {
        if self.moved.iter().any(|(from, _)| path.strip_prefix(&from[..]).is_some_and(|rest| rest.starts_with(b"/"))) {
            return Ok(()); // went along with its parent
        }
        let (above, name) = tree::split(path);
        let Some(folder_below) = self.below.directory(above, Missing::Fail).ok().flatten() else { return Ok(()) };
        let name = OsStr::from_bytes(name);
        let Ok(stat) = files::lstatat(&*folder_below, name) else { return Ok(()) };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let theirs = files::openat2(&*folder_below, name, Open::DirectoryNoFollow, Resolve::Beneath);
                let theirs = theirs.doing(|| "open it in the layers below")?;
                let Some(ours) = self.ours.directory(path, Missing::Fail)? else { return Ok(()) };
                copy_description(&theirs, &*ours, &stat)
            }
            FileType::Symlink => match self.below.directory(path, Missing::Fail).ok().flatten() {
                Some(real) => self.follow(path, &real.path.clone()),
                None => Ok(()), // a dead link: the folder replaces it
            },
            _ => Ok(()),
        }
    }

    /// Moves the content of our folder to where the link below leads.
    fn follow(&mut self, path: &[u8], real: &[u8]) -> Result<()> {
        let made_before = self.ours.implied.len();
        let to = self.ours.directory(real, Missing::Make)?.ok_or_else(|| Error::system("a folder just made is missing"))?;
        for made in self.ours.implied.split_off(made_before) {
            self.folder(&made)?;
        }
        if let Some(from) = self.ours.directory(path, Missing::Fail)? {
            merge(&*from, &*to, 0)?;
        }
        let (above, name) = tree::split(path);
        if let Some(above) = self.ours.directory(above, Missing::Fail)? {
            files::rmdirat(&*above, OsStr::from_bytes(name)).doing(|| "remove the emptied folder")?;
        }
        self.ours.forget();
        self.moved.push((path.to_vec(), real.to_vec()));
        Ok(())
    }

    /// A hard link across layers: the file becomes ours.
    fn copy_up(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        let (above, last) = tree::split(target);
        let missing = || no_target(name, target);
        let from = self.below.directory(above, Missing::Fail)?.ok_or_else(missing)?;
        let last = OsStr::from_bytes(last);
        let stat = files::lstatat(&*from, last).map_err(|_| missing())?;
        let (above, new) = tree::split(name);
        let to = self.ours.directory(above, Missing::Make)?.ok_or_else(|| Error::system("a folder just made is missing"))?;
        let new = OsStr::from_bytes(new);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let theirs = files::openat2(&*from, last, Open::ReadNoFollow, Resolve::Beneath).doing(|| "open it")?;
                let ours = files::openat2(&*to, new, Open::CreateNew, Resolve::Beneath).doing(|| "make it")?;
                let (mut source, mut sink) = (File::from(theirs), File::from(ours));
                std::io::copy(&mut source, &mut sink).map_err(|e| crate::disk(&e, "copy it"))?;
                copy_description(&source, &sink, &stat)
            }
            FileType::Symlink => {
                let text = files::readlinkat(&*from, last).doing(|| "read the link")?;
                files::symlinkat(text, &*to, new).doing(|| "make it")?;
                files::lchownat(&*to, new, stat.st_uid, stat.st_gid).doing(|| "set its owner")
            }
            _ => Err(missing()),
        }
    }
}

/// Moves all of `from` into `to`, folder by folder where both have one.
fn merge(from: &impl AsFd, to: &impl AsFd, depth: usize) -> Result<()> {
    tree::not_too_deep(depth)?;
    for name in files::getdents(from).doing(|| "list it")? {
        match files::renameat(from, &name, to, &name) {
            Ok(()) => {}
            Err(failed) if failed.is(errno::ENOTEMPTY) || failed.is(errno::EEXIST) => {
                let inner_from = files::openat2(from, &name, Open::DirectoryNoFollow, Resolve::Beneath);
                let inner_to = files::openat2(to, &name, Open::DirectoryNoFollow, Resolve::Beneath);
                merge(&inner_from.doing(|| "open it")?, &inner_to.doing(|| "open it")?, depth + 1)?;
                files::rmdirat(from, &name).doing(|| "remove the emptied folder")?;
            }
            Err(failed) => return Err(failed).doing(|| format!("move {name:?}")),
        }
    }
    Ok(())
}

/// Owner, mode, attributes and times of one open file for another.
pub fn copy_description(from: &impl AsFd, to: &impl AsFd, stat: &Stat) -> Result<()> {
    let why = || "copy owner, mode and times";
    files::fchown(to, stat.st_uid, stat.st_gid).doing(why)?;
    files::fchmod(to, stat.st_mode & 0o7777).doing(why)?;
    for key in xattr::flistxattr(from).doing(why)? {
        if key.as_bytes().windows(9).any(|part| part == b".overlay.") {
            continue;
        }
        if let Some(value) = xattr::fgetxattr(from, &key).doing(why)? {
            match xattr::fsetxattr(to, &key, &value) {
                Err(failed) if failed.is(errno::ENOTSUP) => {}
                done => done.doing(why)?,
            }
        }
    }
    let moment = |seconds, nanoseconds| Moment { seconds, nanoseconds: nanoseconds as u32 };
    let (accessed, modified) = (moment(stat.st_atime, stat.st_atime_nsec), moment(stat.st_mtime, stat.st_mtime_nsec));
    files::futimens(to, accessed, modified).doing(why)
}
