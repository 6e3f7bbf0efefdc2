//! # Copy: files into a tree, by Docker's rules about slashes
//!
//! `COPY a b/` is simple to say and full of cases. What is copied *from* is an [`Origin`]; what is copied *to* is the merged tree of
//! the image so far, with an upper directory that catches every change and becomes the layer.
//!
//! ```text
//!   source     destination     becomes
//!   file       /to             the file /to             (unless /to is a folder: then /to/file)
//!   file       /to/            /to/file
//!   folder     /to  or /to/    what is in it, below /to (never /to/folder)
//!   several    /to/            each by the rules above; without the slash: an error
//!   archive    /to   (ADD)     what is in it, below /to
//! ```
//!
//! * [`Copying::into_tree`] does it; [`make_folder`] is `WORKDIR`.
//!
//! Laws: every step goes through [`Tree`], so links of the image lead nowhere but into the image; folders that had to be made are
//! 0755 and belong to whom the files belong; a folder that exists keeps what it is. See: moby `builder/dockerfile/copy.go`.
//! Next room: [`crate::archive`]

use crate::{
    archive,
    origin::{Found, Origin, Watched},
};
use minidock_base::{Doing, Error, Result, ignore::Patterns};
use minidock_image::layer::{
    owners,
    tar::{self, Entry, Kind, Reader},
    tree::{self, Missing, Tree, join, lossy},
    unpack::{self, Policy},
    write::{Writer, plain},
};
use minidock_linux::files::{self, FileType, Moment};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
};
use tokio_util::sync::CancellationToken;

/// One thing to copy.
pub enum Item {
    /// Of the origin.
    Found(Found),
    /// A heredoc.
    Document { name: String, content: Vec<u8> },
    /// Fetched from an address.
    Fetched { name: String, file: File, size: u64, modified: Moment },
}

impl Item {
    fn base(&self) -> Vec<u8> {
        match self {
            Item::Found(found) => found.base().to_vec(),
            Item::Document { name, .. } | Item::Fetched { name, .. } => name.as_bytes().to_vec(),
        }
    }
}

/// A whole `COPY` or `ADD`, everything decided.
pub struct Copying<'a> {
    /// `COPY` or `ADD`, for messages.
    pub keyword: &'a str,
    pub origin: &'a Origin,
    pub items: Vec<Item>,
    /// Absolute; a slash at the end means a folder.
    pub destination: &'a str,
    /// Whom everything belongs to; `None` keeps the owners of an image's files.
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    /// `ADD`: archives are unpacked.
    pub unpack: bool,
    /// `--parents`: the folders above a source come along.
    pub parents: bool,
    pub exclude: &'a Patterns,
    pub cancel: &'a CancellationToken,
}

impl Copying<'_> {
    /// Copies everything into the tree below `root`.
    ///
    /// # Errors
    /// A destination that is no folder where one is needed, what the disk says, a build that was cancelled.
    pub fn into_tree(&self, root: &OwnedFd) -> Result<()> {
        let wants_folder = self.destination.ends_with('/') || self.destination.ends_with("/.");
        if self.items.len() > 1 && !wants_folder {
            return Err(Error::invalid(format!(
                "When using {} with more than one source file, the destination must be a directory and end with a /",
                self.keyword
            )));
        }
        let destination = tree::clean(self.destination.as_bytes())?;
        for item in &self.items {
            let mut tree = open(root)?;
            self.one(root, &mut tree, item, &destination, wants_folder)?;
        }
        Ok(())
    }

    fn one(&self, root: &OwnedFd, tree: &mut Tree, item: &Item, destination: &[u8], wants_folder: bool) -> Result<()> {
        if let Item::Found(found) = item
            && self.parents
        {
            let (above, _) = tree::split(&found.named);
            let to = if found.is_folder { join(destination, &found.named) } else { join(destination, above) };
            let folder = self.folder(tree, &to)?;
            let name = if found.is_folder { Vec::new() } else { found.base().to_vec() };
            return self.found(root, found, &folder, &name);
        }
        if let Item::Found(found) = item {
            if found.is_folder {
                let folder = self.folder(tree, destination)?;
                return self.found(root, found, &folder, b"");
            }
            if self.unpack && archive::is_archive(self.origin, found, self.cancel)? {
                let folder = self.folder(tree, destination)?;
                return archive::unpack(self.origin, found, open(root)?, folder, self.owner, self.cancel);
            }
        }
        let (folder, name) = self.place(tree, item, destination, wants_folder)?;
        match item {
            Item::Found(found) => self.found(root, found, &folder, &name),
            Item::Document { content, .. } => {
                self.file(root, &folder, &name, 0o644, &content[..], content.len() as u64, Moment::default())
            }
            Item::Fetched { file, size, modified, .. } => {
                let file = file.try_clone().doing(|| "read what was fetched")?;
                self.file(root, &folder, &name, 0o600, Whole { file, at: 0 }, *size, *modified)
            }
        }
    }

    /// The folder (real path) that a file goes into, and its name there.
    fn place(&self, tree: &mut Tree, item: &Item, destination: &[u8], wants_folder: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        if wants_folder || destination.is_empty() {
            return Ok((self.folder(tree, destination)?, item.base()));
        }
        let (above, _) = tree::split(destination);
        self.folder(tree, above)?;
        let Some((folder, name)) = tree.locate(destination, true)? else {
            // a link to nothing: the file comes to stand where it points
            return Err(Error::invalid(format!("cannot copy to {:?}: its folder is not there", lossy(destination))));
        };
        if name.is_empty() {
            return Ok((folder.path.clone(), item.base()));
        }
        let stat = files::lstatat(&*folder, OsStr::from_bytes(&name));
        match stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            true => Ok((folder.join(&name), item.base())),
            false => Ok((folder.path.clone(), name)),
        }
    }

    /// Opens or makes a folder; what had to be made belongs to the files' owner. Gives its real path.
    fn folder(&self, tree: &mut Tree, path: &[u8]) -> Result<Vec<u8>> {
        make(tree, path, self.owner.unwrap_or((0, 0))).map_err(|e| match e.message().contains("is not a directory") {
            true => Error::invalid(format!("cannot copy to non-directory: /{}", lossy(path))),
            false => e,
        })
    }

    fn found(&self, root: &OwnedFd, found: &Found, folder: &[u8], name: &[u8]) -> Result<()> {
        self.origin.piped(found, name, self.exclude, self.cancel, |archive| match self.mode {
            None => self.take(root, folder, archive),
            Some(mode) => self.with_mode(root, folder, archive, mode),
        })
    }

    fn take(&self, root: &OwnedFd, folder: &[u8], archive: impl Read) -> Result<()> {
        let policy = Policy { base: folder.to_vec(), whiteouts: false, keep_kinds: false, owner: self.owner };
        unpack::unpack_into(BufReader::with_capacity(128 << 10, archive), open(root)?, policy).map(drop)
    }

    /// The same stream, every mode replaced on the way.
    fn with_mode(&self, root: &OwnedFd, folder: &[u8], archive: &mut Watched<'_>, mode: u32) -> Result<()> {
        let (read, write) = io::pipe().doing(|| "make a pipe")?;
        std::thread::scope(|scope| {
            let taking = scope.spawn(move || self.take(root, folder, read));
            let changed = change_modes(archive, BufWriter::with_capacity(64 << 10, write), mode);
            let taken = taking.join().map_err(|_| Error::system("the copying thread panicked"))?;
            taken.and(changed)
        })
    }

    /// One file that is in no origin.
    #[allow(clippy::too_many_arguments)] // a file is that many facts
    fn file(
        &self,
        root: &OwnedFd,
        folder: &[u8],
        name: &[u8],
        mode: u32,
        content: impl Read + Send,
        size: u64,
        modified: Moment,
    ) -> Result<()> {
        let (read, write) = io::pipe().doing(|| "make a pipe")?;
        let mode = self.mode.unwrap_or(mode);
        std::thread::scope(|scope| {
            let taking = scope.spawn(move || self.take(root, folder, read));
            let entry = Entry { name: name.to_vec(), kind: Kind::File, mode, size, modified, ..plain() };
            let written = (|| {
                let mut out = Writer::new(BufWriter::with_capacity(64 << 10, write));
                out.entry(&entry)?;
                out.content(content)?;
                out.finish().map(drop)
            })();
            let taken = taking.join().map_err(|_| Error::system("the copying thread panicked"))?;
            taken.and(written)
        })
    }
}

fn change_modes(archive: &mut Watched<'_>, out: impl Write, mode: u32) -> Result<()> {
    let (mut reader, mut writer) = (Reader::new(BufReader::with_capacity(64 << 10, archive)), Writer::new(out));
    while let Some(mut entry) = reader.next()? {
        if entry.kind != Kind::Symlink {
            entry.mode = mode;
        }
        writer.entry(&entry)?;
        if entry.kind == Kind::File {
            writer.content(tar::Content(&mut reader))?;
        }
    }
    writer.finish().map(drop)
}

/// A file from its beginning, whatever others have read of it.
struct Whole {
    file: File,
    at: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn open(root: &OwnedFd) -> Result<Tree> {
    Ok(Tree::new(root.try_clone().doing(|| "open the image's tree")?))
}

/// Makes a folder and those above it, as `WORKDIR` and a destination need. Gives its real path.
///
/// # Errors
/// Something on the way is no folder.
pub fn make_folder(root: &OwnedFd, path: &str, owner: (u32, u32)) -> Result<()> {
    make(&mut open(root)?, &tree::clean(format!("/{path}").as_bytes())?, owner).map(drop)
}

fn make(tree: &mut Tree, path: &[u8], owner: (u32, u32)) -> Result<Vec<u8>> {
    let before = tree.implied.len();
    let owner = owners::on_disk(owner)?;
    let folder = tree.directory(path, Missing::Make)?.ok_or_else(|| Error::system("a folder just made is missing"))?;
    for made in tree.implied.split_off(before) {
        if owner != (0, 0)
            && let Some(folder) = tree.directory(&made, Missing::Fail)?
        {
            files::fchown(&*folder, owner.0, owner.1).doing(|| format!("give {:?} its owner", lossy(&made)))?;
        }
    }
    Ok(folder.path.clone())
}
