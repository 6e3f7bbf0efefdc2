//! # Packing: files here become a tar on its way
//!
//! A thread walks the source and writes a tar into a channel; the async thread takes pieces out and sends them. So a folder of
//! any size needs a few pieces of memory and no temporary file.
//!
//! ```text
//!   ./conf ──walk, sorted──► tar headers and bytes ──► channel (8 pieces) ──► PUT body
//! ```
//!
//! * The root is renamed to where it lands; without a name its contents are sent and not itself.
//! * Hard links within the tree stay hard links; sockets are left out, for they mean nothing elsewhere.
//!
//! Laws: symbolic links are sent as links, never followed (but the root, if asked); a file that changes its length while it is
//! read is an error, never a broken archive. *See:* tar(5). *Next room:* [`crate::container::unpack`]

use bytes::Bytes;
use futures_util::{Stream, stream};
use minidock_base::{Doing, Error, Result};
use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

/// What is to be packed.
pub struct Source {
    path: PathBuf,
    about: Metadata,
}

impl Source {
    /// Looks at `path`; a link is followed if asked, or if a slash behind it says that a folder is meant.
    ///
    /// # Errors
    /// There is nothing, or it may not be looked at.
    pub fn find(path: &str, follow: bool) -> Result<Source> {
        let meant = follow || path.ends_with('/') || path.ends_with("/.");
        let real = if meant { fs::canonicalize(path) } else { Ok(PathBuf::from(path)) };
        let found = real.and_then(|real| Ok(Source { about: fs::symlink_metadata(&real)?, path: real }));
        let found = found.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("lstat {path}: no such file or directory")),
            _ => Error::system(format!("lstat {path}: {e}")),
        })?;
        if path.ends_with('/') && !found.is_folder() {
            return Err(Error::invalid(format!("{path}: not a directory")));
        }
        Ok(found)
    }

    pub fn is_folder(&self) -> bool {
        self.about.is_dir()
    }
}

/// Why packing failed, if it did: known once the stream has ended.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// The reason, if there is one.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().expect("no holder panics").take()
    }
}

/// A tar of `source` under `name`, in pieces. Owners are kept by their numbers, as Docker's client does whatever it was told.
pub fn pack(source: Source, name: Option<String>) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Failure) {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
    let failure = Failure::default();
    let seen = failure.clone();
    std::thread::spawn(move || {
        let out = BufWriter::with_capacity(64 * 1024, Pieces(sender.clone()));
        let mut packer = Packer { tar: Builder::new(out), links: HashMap::new() };
        if let Err(error) = packer.all(&source, name.as_deref()) {
            *seen.0.lock().expect("no holder panics") = Some(error);
            // the receiver may have gone first, and then nobody needs to be told
            let _ = sender.blocking_send(Err(io::Error::other("packing failed")));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
    (pieces, failure)
}

/// A writer into the channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Packer<W: Write> {
    tar: Builder<W>,
    /// The first name of each file with several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    fn all(&mut self, source: &Source, name: Option<&str>) -> Result<()> {
        match name {
            Some(name) => self.tree(&source.path, &source.about, Path::new(name))?,
            None => self.contents(&source.path, Path::new(""))?,
        }
        self.tar.finish().doing(|| "end the archive")?;
        self.tar.get_mut().flush().doing(|| "end the archive")
    }

    fn contents(&mut self, folder: &Path, inside: &Path) -> Result<()> {
        let read = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = read.doing(|| format!("read {}", folder.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let about = entry.metadata().doing(|| format!("lstat {}", entry.path().display()))?;
            self.tree(&entry.path(), &about, &inside.join(entry.file_name()))?;
        }
        Ok(())
    }

    fn tree(&mut self, path: &Path, about: &Metadata, inside: &Path) -> Result<()> {
        let kind = about.file_type();
        let mut header = Self::header(about);
        let place = (about.dev(), about.ino());
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            let slash = inside.join("");
            self.tar.append_data(&mut header, slash, io::empty()).doing(|| format!("pack {}", path.display()))?;
            return self.contents(path, inside);
        }
        if kind.is_socket() {
            return Ok(());
        }
        let written = if let Some(first) = self.links.get(&place) {
            header.set_entry_type(EntryType::Link);
            self.tar.append_link(&mut header, inside, first)
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            fs::read_link(path).and_then(|target| self.tar.append_link(&mut header, inside, target))
        } else if kind.is_file() {
            header.set_size(about.len());
            File::open(path).and_then(|file| {
                let mut file = Exactly { file, left: about.len() };
                self.tar.append_data(&mut header, inside, &mut file)
            })
        } else {
            header.set_entry_type(match () {
                () if kind.is_fifo() => EntryType::Fifo,
                () if kind.is_char_device() => EntryType::Char,
                () => EntryType::Block,
            });
            let device = about.rdev();
            let numbers = header
                .set_device_major(rustix::fs::major(device))
                .and_then(|()| header.set_device_minor(rustix::fs::minor(device)));
            numbers.and_then(|()| self.tar.append_data(&mut header, inside, io::empty()))
        };
        written.doing(|| format!("pack {}", path.display()))?;
        if about.nlink() > 1 {
            self.links.entry(place).or_insert_with(|| inside.to_path_buf());
        }
        Ok(())
    }

    fn header(about: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(about.mode() & 0o7777);
        header.set_mtime(about.mtime().max(0) as u64);
        header.set_size(0);
        header.set_uid(about.uid().into());
        header.set_gid(about.gid().into());
        header
    }
}

/// A file of exactly the length that its header promises.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let room = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        match self.file.read(&mut into[..room])? {
            0 => Err(io::Error::other("it became shorter while it was read")),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}
