//! # Context: what is sent to the builder
//!
//! A folder is packed as a tar while it is sent; `.dockerignore` decides what stays at home. The Dockerfile may come from elsewhere, and
//! the whole context from standard input.
//!
//! ```text
//!   .                 the folder, its Dockerfile          -f sub/Dockerfile     another one in it
//!   -f /else/where    put into the archive under a name nobody has            -f -   from standard input
//!   -                 standard input: a tar is the context, anything else is the Dockerfile
//!   http://…          the daemon fetches it: again a tar, or else the Dockerfile
//!   https://….git     git fetches it, here: [`super::repository`]
//! ```
//!
//! Laws: everything belongs to root, for our own ids mean nothing in an image. Several names of one file are sent as that. What is excluded is not even looked at, except the
//! Dockerfile and `.dockerignore` themselves, which the builder needs. *See:* docker/cli `cli/command/image/build/context.go`.
//! *Next room:* [`super::repository`]

use super::repository::{self, Repository};
use crate::{terminal, upload};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use minidock_base::{Doing, Error, Result, ignore::Patterns, units};
use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io::{self, BufWriter, Cursor, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

/// A context on its way.
pub struct Packed {
    /// What the Dockerfile is called in it.
    pub dockerfile: String,
    /// Where the daemon fetches the context, if it is not sent.
    pub remote: Option<String>,
    pub pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    pub failure: Failure,
    /// Where it comes from, if git has brought it: it goes with this.
    pub repository: Option<Repository>,
}

/// Why packing failed, if it did.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// The reason, if there is one.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().expect("no holder panics").take()
    }
}

/// Begins to pack what `path` names.
///
/// # Errors
/// It is no folder; there is no Dockerfile; `.dockerignore` makes no sense.
pub fn pack(path: &str, file: Option<&str>, quiet: bool) -> Result<Packed> {
    if path == "-" {
        return from_input(file, quiet);
    }
    let web = path.starts_with("http://") || path.starts_with("https://");
    if !Path::new(path).is_dir() && repository::is_one(path) {
        let fetched = repository::fetch(path)?;
        let at = |file: &Path| file.display().to_string();
        let file = file
            .filter(|file| !matches!(*file, "" | "-"))
            .map(|file| at(&fetched.context.join(file)))
            .or(file.map(str::to_string));
        let packed = pack(&at(&fetched.context), file.as_deref(), quiet)?;
        return Ok(Packed { repository: Some(fetched), ..packed });
    }
    if web {
        let dockerfile = file.filter(|name| !name.is_empty()).unwrap_or("Dockerfile").to_string();
        let pieces = stream::empty().boxed();
        return Ok(Packed {
            dockerfile,
            remote: Some(path.to_string()),
            pieces,
            failure: Failure::default(),
            repository: None,
        });
    }
    let root = fs::canonicalize(path).map_err(|_| {
        Error::invalid(format!("unable to prepare context: path {path:?} not found"))
            .hint("the argument is a folder; the image's name goes behind -t")
    })?;
    if !root.is_dir() {
        return Err(Error::invalid(format!("unable to prepare context: context must be a directory: {}", root.display())));
    }
    let Dockerfile { name, text } = dockerfile(&root, file)?;
    let own = root.join(format!("{name}.dockerignore"));
    let listed = if own.exists() { own } else { root.join(".dockerignore") };
    let patterns = match fs::read_to_string(&listed) {
        Ok(text) => Patterns::read(&text)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Patterns::default(),
        Err(e) => return Err(e).doing(|| format!("read {}", listed.display())),
    };
    let keep = if patterns.is_empty() { patterns } else { patterns.but_keep(".dockerignore").but_keep(&name) };
    let sending = Sending { root, ignore: keep, extra: text.map(|text| (name.clone(), text)), quiet };
    let (pieces, failure) = sending.start();
    Ok(Packed { dockerfile: name, remote: None, pieces, failure, repository: None })
}

/// What the Dockerfile is called in the context, and its text if it is not there.
struct Dockerfile {
    name: String,
    text: Option<Vec<u8>>,
}

fn dockerfile(root: &Path, file: Option<&str>) -> Result<Dockerfile> {
    let elsewhere =
        |text| Dockerfile { name: format!(".dockerfile.{}", &minidock_base::id::random_id()[..20]), text: Some(text) };
    let file = match file {
        None | Some("") => {
            let usual = ["Dockerfile", "dockerfile"].into_iter().find(|name| root.join(name).exists()).unwrap_or("Dockerfile");
            root.join(usual)
        }
        Some("-") => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).doing(|| "read the Dockerfile from standard input")?;
            return Ok(elsewhere(text));
        }
        Some(file) if Path::new(file).exists() => PathBuf::from(file),
        Some(file) => root.join(file),
    };
    let missing = || {
        Error::invalid(format!(
            "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {}: no such file or directory",
            file.display()
        ))
        .hint("-f names the Dockerfile; without it, it is the folder's own")
    };
    let real = fs::canonicalize(&file).map_err(|_| missing())?;
    match real.strip_prefix(root) {
        Ok(inside) => Ok(Dockerfile { name: inside.display().to_string(), text: None }),
        Err(_) => Ok(elsewhere(fs::read(&real).doing(|| format!("read {}", real.display()))?)),
    }
}

/// Standard input: a tar (packed or not) is the context, anything else a Dockerfile.
fn from_input(file: Option<&str>, quiet: bool) -> Result<Packed> {
    if terminal::input_is_terminal() {
        return Err(Error::invalid("a terminal is no build context")
            .hint("minidock build - < Dockerfile, or tar c . | minidock build -"));
    }
    if file == Some("-") {
        return Err(Error::invalid("invalid argument: can't use stdin for both build context and dockerfile"));
    }
    let mut first = vec![0; 512];
    let (mut input, mut filled) = (io::stdin(), 0);
    while filled < first.len() {
        match input.read(&mut first[filled..]).doing(|| "read standard input")? {
            0 => break,
            n => filled += n,
        }
    }
    first.truncate(filled);
    let is_tar = filled == 512 && (&first[257..262] == b"ustar" || sums_up(&first));
    let packed = [&b"\x1f\x8b"[..], b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"].iter().any(|magic| first.starts_with(magic));
    if is_tar || packed {
        let name = file.filter(|name| !name.is_empty()).unwrap_or("Dockerfile").to_string();
        let pieces = upload::pieces(Cursor::new(first).chain(input)).boxed();
        return Ok(Packed { dockerfile: name, remote: None, pieces, failure: Failure::default(), repository: None });
    }
    input.read_to_end(&mut first).doing(|| "read the Dockerfile from standard input")?;
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, "Dockerfile", &first).doing(|| "pack the Dockerfile")?;
    let bytes = tar.into_inner().doing(|| "pack the Dockerfile")?;
    told(bytes.len() as u64, quiet);
    let pieces = stream::iter([Ok(Bytes::from(bytes))]).boxed();
    Ok(Packed { dockerfile: "Dockerfile".into(), remote: None, pieces, failure: Failure::default(), repository: None })
}

/// Old archives have no magic word, only a checksum.
fn sums_up(block: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&block[148..156]);
    let claimed = u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok();
    let sum = block.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u64::from(*b) }).sum::<u64>();
    claimed == Some(sum)
}

fn add<W: Write>(tar: &mut Builder<W>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    header.set_entry_type(EntryType::Regular);
    tar.append_data(&mut header, name, content)
}

fn told(bytes: u64, quiet: bool) {
    if !quiet {
        terminal::print(&format!("Sending build context to minidock daemon  {}\n", units::human_size(bytes as f64)));
    }
}

/// By device and inode, files of several names: the first that was sent.
type Sent = HashMap<(u64, u64), PathBuf>;

/// A folder that is being packed.
struct Sending {
    root: PathBuf,
    ignore: Patterns,
    /// A Dockerfile from elsewhere.
    extra: Option<(String, Vec<u8>)>,
    quiet: bool,
}

impl Sending {
    fn start(self) -> (Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>, Failure) {
        let (to, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
        let failure = Failure::default();
        let seen = failure.clone();
        std::thread::spawn(move || {
            let out = BufWriter::with_capacity(256 << 10, Pieces { to: to.clone(), sent: 0 });
            let mut tar = Builder::new(out);
            match self.all(&mut tar) {
                Ok(()) => told(tar.get_ref().get_ref().sent, self.quiet),
                Err(error) => {
                    *seen.0.lock().expect("no holder panics") = Some(error);
                    let _ = to.blocking_send(Err(io::Error::other("packing failed"))); // the receiver may have gone first
                }
            }
        });
        let pieces =
            stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
        (pieces.boxed(), failure)
    }

    fn all<W: Write>(&self, tar: &mut Builder<W>) -> Result<()> {
        self.folder(tar, &self.root, Path::new(""), &mut HashMap::new())?;
        if let Some((name, text)) = &self.extra {
            add(tar, name, text).doing(|| "pack the Dockerfile")?;
        }
        tar.finish().doing(|| "end the archive")?;
        tar.get_mut().flush().doing(|| "end the archive")
    }

    fn folder<W: Write>(&self, tar: &mut Builder<W>, folder: &Path, inside: &Path, sent: &mut Sent) -> Result<()> {
        let read = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = read.doing(|| format!("read {}", folder.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = inside.join(entry.file_name());
            let text = path.to_string_lossy();
            let about = entry.metadata().doing(|| format!("lstat {}", entry.path().display()))?;
            let excluded = self.ignore.excludes(&text);
            if about.is_dir() {
                if !excluded {
                    self.entry(tar, &entry.path(), &about, &path, sent)?;
                }
                if !excluded || !self.ignore.may_skip(&text) {
                    self.folder(tar, &entry.path(), &path, sent)?;
                }
            } else if !excluded {
                self.entry(tar, &entry.path(), &about, &path, sent)?;
            }
        }
        Ok(())
    }

    fn entry<W: Write>(
        &self,
        tar: &mut Builder<W>,
        path: &Path,
        about: &Metadata,
        inside: &Path,
        sent: &mut Sent,
    ) -> Result<()> {
        let inode = (about.dev(), about.ino());
        let first = sent.get(&inode).cloned();
        if about.is_file() && about.nlink() > 1 && first.is_none() {
            sent.insert(inode, inside.to_path_buf());
        }
        let kind = about.file_type();
        let mut header = Header::new_gnu();
        header.set_mode(about.mode() & 0o7777);
        header.set_mtime(about.mtime().max(0) as u64);
        header.set_size(0);
        let written = if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, inside.join(""), io::empty())
        } else if let Some(first) = first {
            header.set_entry_type(EntryType::Link);
            tar.append_link(&mut header, inside, first)
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            fs::read_link(path).and_then(|target| tar.append_link(&mut header, inside, target))
        } else if kind.is_file() {
            header.set_size(about.len());
            header.set_entry_type(EntryType::Regular);
            fs::File::open(path).and_then(|file| tar.append_data(&mut header, inside, Exactly { file, left: about.len() }))
        } else if kind.is_fifo() {
            header.set_entry_type(EntryType::Fifo);
            tar.append_data(&mut header, inside, io::empty())
        } else {
            Ok(()) // sockets and devices mean nothing elsewhere
        };
        written.doing(|| format!("pack {}", path.display()))
    }
}

/// A file of exactly the length that its header promises.
struct Exactly {
    file: fs::File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        match self.file.read(&mut into[..room])? {
            0 if self.left > 0 => Err(io::Error::other("it became shorter while it was read")),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// A writer into the channel.
struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    sent: u64,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent += bytes.len() as u64;
        let sent = self.to.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn names(root: &Path, file: Option<&str>) -> (Vec<String>, String) {
        let mut packed = pack(&root.display().to_string(), file, true).expect("a context");
        let mut bytes = Vec::new();
        while let Some(piece) = packed.pieces.next().await {
            bytes.extend_from_slice(&piece.expect("packed"));
        }
        let mut archive = tar::Archive::new(&bytes[..]);
        let names =
            archive.entries().expect("a tar").map(|e| e.expect("an entry").path().expect("a path").display().to_string());
        (names.collect(), packed.dockerfile)
    }

    #[tokio::test]
    async fn what_is_ignored_stays_at_home_but_the_dockerfile_goes_along() {
        let folder = tempfile::tempdir().expect("room");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("node_modules/x")).expect("room");
        fs::create_dir_all(at("src")).expect("room");
        for (name, text) in [
            ("Dockerfile", "FROM a"),
            (".dockerignore", "node_modules\n*ocker*\nsrc/*\n!src/keep"),
            ("a", ""),
            ("src/keep", ""),
            ("src/drop", ""),
        ] {
            fs::write(at(name), text).expect("room");
        }
        let (found, dockerfile) = names(folder.path(), None).await;
        assert_eq!((found.join(" ").as_str(), dockerfile.as_str()), (".dockerignore Dockerfile a src/ src/keep", "Dockerfile"));
        let other = tempfile::tempdir().expect("room");
        fs::write(other.path().join("D"), "FROM b").expect("room");
        let (found, dockerfile) = names(folder.path(), Some(&other.path().join("D").display().to_string())).await;
        assert!(dockerfile.starts_with(".dockerfile.") && found.contains(&dockerfile), "{found:?}");
    }

    #[test]
    fn what_is_no_folder_is_named() {
        assert!(pack("/nonexistent", None, true).err().expect("a refusal").message().contains("not found"));
        let empty = tempfile::tempdir().expect("room");
        let refused = pack(&empty.path().display().to_string(), None, true).err().expect("a refusal");
        assert!(refused.message().contains("lstat") && refused.message().contains("Dockerfile"), "{refused}");
    }
}
