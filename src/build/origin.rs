//! # Origin: where files are copied from
//!
//! `COPY` takes files from the build context, from an earlier stage, or from any image. The first is an index in memory
//! ([`crate::context`]), the others are trees of layers on disk; whoever copies should not have to know.
//!
//! ```text
//!   "app/*.js" ──find──► [app/a.js, app/b.js] ──hash──► what the cache compares
//!                                 └──────────── write──► entries of a tar, into whatever tree they belong
//! ```
//!
//! * [`Origin::find`] resolves names and patterns; [`Origin::hash`] and [`Origin::write`] read what was found.
//!
//! Laws: a path never leads out of its origin, neither by `..` nor by a link; links that are *named* are followed, links
//! below a folder are copied as links, as Docker does. See: moby `builder/dockerfile/copy.go`. Next room: [`crate::copy`]

use crate::context::Context;
use minidock_base::{
    Doing, Error, Result,
    ignore::{self, Patterns},
    paths::Paths,
};
use minidock_image::{
    layer::{
        pack::{Options, Packer},
        tar::Reader,
        tree::{self, Missing, Tree, join, lossy},
        write::Writer,
    },
    snapshot,
};
use minidock_linux::files::{self, FileType, Stat};
use minidock_spec::digest::{Digest, Hasher};
use std::{
    ffi::OsStr,
    io::{self, BufReader, BufWriter, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::PathBuf,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// A place that files come from.
pub enum Origin {
    Context(Arc<Context>),
    /// The merged tree of an image's layers, mounted nowhere.
    Image(OwnedFd),
}

/// One source: where it really lies, and what it was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Without links; empty for the whole origin.
    pub real: Vec<u8>,
    /// As it was asked for, or as it matched.
    pub named: Vec<u8>,
    pub is_folder: bool,
}

impl Found {
    /// The last part of its name: what it is called in a folder it is copied into.
    pub fn base(&self) -> &[u8] {
        tree::split(&self.named).1
    }
}

impl Origin {
    /// The tree of an image (topmost layer first).
    ///
    /// # Errors
    /// Overlayfs refuses.
    pub fn of_image(paths: &Paths, lower: &[PathBuf]) -> Result<Origin> {
        snapshot::read_only_view(paths, lower, None).map(Origin::Image)
    }

    /// What a source of `COPY` names: one file or folder, or all that match a pattern.
    ///
    /// # Errors
    /// Nothing is there, or it would lie outside; in Docker's words.
    pub fn find(&self, source: &str) -> Result<Vec<Found>> {
        let path = inside(source)?;
        if path.iter().any(|b| matches!(b, b'*' | b'?' | b'[')) {
            let mut all = Vec::new();
            self.matching(&mut all, b"", &lossy(&path).split('/').collect::<Vec<_>>())?;
            return match all.is_empty() {
                true => Err(Error::invalid("no source files were specified").hint(format!("nothing matches {source}"))),
                false => Ok(all),
            };
        }
        match self.look(&path)? {
            Some(found) => Ok(vec![found]),
            None => Err(missing(source, matches!(self, Origin::Context(_)))),
        }
    }

    /// Folder by folder: each part of a pattern matches one name.
    fn matching(&self, all: &mut Vec<Found>, at: &[u8], parts: &[&str]) -> Result<()> {
        let Some((part, rest)) = parts.split_first() else {
            all.extend(self.look(at)?);
            return Ok(());
        };
        for name in self.children(at)? {
            let hit = ignore::matches(part, &lossy(&name)).map_err(|e| Error::invalid(e.message()))?;
            if hit {
                self.matching(all, &join(at, &name), rest)?;
            }
        }
        Ok(())
    }

    fn children(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self {
            Origin::Context(context) => {
                Ok(context.resolve(folder, true).map(|real| context.children(&real)).unwrap_or_default())
            }
            Origin::Image(_) => {
                let mut tree = self.tree()?;
                let Ok(Some(inside)) = tree.directory(folder, Missing::Fail) else { return Ok(Vec::new()) };
                let names = files::getdents(&*inside).doing(|| format!("list {:?}", lossy(folder)))?;
                let mut names: Vec<Vec<u8>> = names.into_iter().map(|name| name.as_bytes().to_vec()).collect();
                names.sort();
                Ok(names)
            }
        }
    }

    /// Looks one path up, its last link followed.
    fn look(&self, path: &[u8]) -> Result<Option<Found>> {
        let named = path.to_vec();
        match self {
            Origin::Context(context) => Ok(context.resolve(path, true).map(|real| {
                let is_folder = real.is_empty() || context.node(&real).is_some_and(|node| node.is_folder());
                Found { is_folder, real, named }
            })),
            Origin::Image(_) => {
                let mut tree = self.tree()?;
                let Some((folder, name)) = tree.locate(path, true)? else { return Ok(None) };
                if name.is_empty() {
                    return Ok(Some(Found { real: folder.path.clone(), named, is_folder: true }));
                }
                let Ok(stat) = files::lstatat(&*folder, OsStr::from_bytes(&name)) else { return Ok(None) };
                let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                Ok(Some(Found { real: folder.join(&name), named, is_folder }))
            }
        }
    }

    fn tree(&self) -> Result<Tree> {
        match self {
            Origin::Image(root) => Ok(Tree::new(root.try_clone().doing(|| "open the image's tree")?)),
            Origin::Context(_) => Err(Error::system("a build context has no tree on the disk")),
        }
    }

    /// What makes this source the same for the cache: names, modes, content; no times.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn hash(&self, found: &Found, exclude: &Patterns, cancel: &CancellationToken) -> Result<Digest> {
        match self {
            Origin::Context(context) => Ok(context.hash(&found.real, exclude)),
            Origin::Image(_) => self.piped(found, b"x", exclude, cancel, |archive| {
                let (mut reader, mut hasher) = (Reader::new(BufReader::with_capacity(128 << 10, archive)), Hasher::new());
                while let Some(entry) = reader.next()? {
                    let facts =
                        (entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.device, &entry.link, &entry.xattrs);
                    hasher.update(format!("{} {facts:?}\0", lossy(&entry.name)).as_bytes());
                    loop {
                        let slice = reader.fill()?;
                        if slice.is_empty() {
                            break;
                        }
                        hasher.update(slice);
                        let n = slice.len();
                        reader.consume(n);
                    }
                }
                Ok(hasher.finish())
            }),
        }
    }

    /// Packs a source under `name` (a folder: what is in it, below `name`) into a pipe that `take` reads on this thread.
    ///
    /// # Errors
    /// Either end's.
    pub fn piped<T>(
        &self,
        found: &Found,
        name: &[u8],
        exclude: &Patterns,
        cancel: &CancellationToken,
        take: impl FnOnce(&mut Watched<'_>) -> Result<T>,
    ) -> Result<T> {
        let (read, write) = std::io::pipe().doing(|| "make a pipe")?;
        std::thread::scope(|scope| {
            let packing = scope.spawn(move || self.write(found, name, exclude, BufWriter::with_capacity(128 << 10, write)));
            let mut read = Watched { read, cancel };
            let taken = take(&mut read);
            if taken.is_ok() {
                // what follows the end mark is nobody's, but the writer must be able to write it
                io::copy(&mut read, &mut io::sink()).doing(|| "read to the end")?;
            }
            drop(read);
            let packed = packing.join().map_err(|_| Error::system("the packing thread panicked"))?;
            match (taken, packed) {
                (Ok(taken), packed) => packed.map(|()| taken),
                // what the reader says is why the writer's pipe broke
                (Err(error), _) => Err(error),
            }
        })
    }

    fn write(&self, found: &Found, name: &[u8], exclude: &Patterns, out: impl Write) -> Result<()> {
        let why = || format!("read {:?}", lossy(&found.named));
        match self {
            Origin::Context(context) => {
                let mut out = Writer::new(out);
                context.write(&found.real, name, exclude, &mut out).map_err(|e| e.during(why()))?;
                out.finish().map(drop)
            }
            Origin::Image(_) => {
                let mut tree = self.tree()?;
                let cut = name.len() + usize::from(!name.is_empty());
                let skip = |path: &[u8], _: &Stat| path.len() > cut && exclude.excludes(&lossy(&path[cut..]));
                let skip: Option<&dyn Fn(&[u8], &Stat) -> bool> = if exclude.is_empty() { None } else { Some(&skip) };
                let mut packer = Packer::new(out, Options { skip, ..Options::default() });
                if found.is_folder {
                    let folder =
                        tree.directory(&found.real, Missing::Fail)?.ok_or_else(|| missing(&lossy(&found.named), false))?;
                    packer.tree(&*folder, name).map_err(|e| e.during(why()))?;
                } else {
                    let (above, last) = tree::split(&found.real);
                    let folder = tree.directory(above, Missing::Fail)?.ok_or_else(|| missing(&lossy(&found.named), false))?;
                    packer.one(&*folder, OsStr::from_bytes(last), name).map_err(|e| e.during(why()))?;
                }
                packer.finish().map(drop)
            }
        }
    }
}

/// A stream that ends with the build.
pub struct Watched<'a, R = io::PipeReader> {
    pub read: R,
    pub cancel: &'a CancellationToken,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.cancel.is_cancelled() {
            true => Err(io::Error::other("the build was cancelled")),
            false => self.read.read(buffer),
        }
    }
}

/// Makes plain components of a source's path.
///
/// # Errors
/// `forbidden path outside the build context`.
fn inside(source: &str) -> Result<Vec<u8>> {
    let mut depth = 0i64;
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return Err(Error::invalid(format!("forbidden path outside the build context: {source} ()"))
                .hint("only files in the folder that is given to build are sent; a larger one may be given, with -f for the Dockerfile"));
        }
    }
    tree::clean(format!("/{source}").as_bytes())
}

#[track_caller]
fn missing(source: &str, context: bool) -> Error {
    let plain = source.trim_start_matches('/');
    match context {
        true => Error::invalid(format!(
            "file not found in build context or excluded by .dockerignore: stat {plain}: file does not exist"
        )),
        false => Error::invalid(format!("stat {plain}: file does not exist")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_leads_out() {
        assert_eq!(inside("a/../b//./c/").expect("inside"), b"b/c");
        assert_eq!(inside(".").expect("all"), b"");
        for out in ["..", "../x", "a/../../x"] {
            assert!(inside(out).unwrap_err().message().starts_with("forbidden path outside the build context"), "{out}");
        }
    }
}
