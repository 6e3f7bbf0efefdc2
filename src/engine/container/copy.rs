//! # Copy: tar in and out of a root we do not trust
//!
//! Three calls: what is at this path, give me it, put this there. Paths are the container's, links in them are the
//! container's, and it may be changing both at this very moment; [`crate::container::root`] is the way through.
//!
//! ```text
//!   HEAD ─► stat   {name, size, mode, mtime, linkTarget}      the last link is not followed, unless the path ends in / or /.
//!   GET  ─► get    tar of the file or folder, its entries beginning with the path's last component
//!   PUT  ─► put    untar into a folder; the last link is followed
//! ```
//!
//! Laws: nothing is written where the container itself could not write: a read-only root or volume refuses before the first
//! byte. A folder never replaces a file, nor a file a folder, if the client says so (`noOverwriteDirNonDir`).
//! See: moby `daemon/archive_unix.go`; CVE-2018-15664, CVE-2019-14271. Next room: [`crate::container::changes`]

use crate::{
    Engine,
    byte_stream::{ByteStream, blocking, reading, writing},
    container::{
        publish,
        record::Record,
        root::{self, Access, Root},
        store::Container,
    },
    users::Databases,
};
use minidock_base::{Doing, Error, Result, clock};
use minidock_image::{
    compression,
    layer::{
        pack::{Options, Packer},
        tree::{self, Folder},
        unpack::{self, Policy},
    },
};
use minidock_linux::{
    errno,
    files::{self, FileType, Stat},
};
use minidock_spec::engine::container::PathStat;
use std::{
    ffi::OsStr,
    io::BufReader,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    rc::Rc,
    sync::Arc,
};

/// How files are put.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    pub no_overwrite_dir_non_dir: bool,
    /// Everything belongs to the container's user.
    pub copy_uidgid: bool,
}

/// `HEAD /containers/{id}/archive`: what lies at `path`.
///
/// # Errors
/// No such container; `Could not find the file …`.
pub async fn stat(engine: &Arc<Engine>, id: &str, path: &str) -> Result<PathStat> {
    let (engine, container, id, path) = (engine.clone(), engine.containers.find(id)?, id.to_string(), path.to_string());
    blocking(move || {
        let wanted = Wanted::new(&path, &id)?;
        with_root(&engine, &container, Access::Read, |mut root, _| {
            let found = wanted.find(&mut root)?;
            wanted.stat(&mut root, &found)
        })
    })
    .await
}

/// `GET /containers/{id}/archive`: what lies at `path`, as a tar archive.
///
/// # Errors
/// As [`stat`], before the first byte; what fails later ends the stream with an error.
pub async fn get(engine: &Arc<Engine>, id: &str, path: &str) -> Result<(PathStat, ByteStream)> {
    let stat = stat(engine, id, path).await?;
    let (engine, container, id, path) = (engine.clone(), engine.containers.find(id)?, id.to_string(), path.to_string());
    publish(&engine, &container.record(), "archive-path", &[]);
    let stream = writing(move |out| {
        let wanted = Wanted::new(&path, &id)?;
        with_root(&engine, &container, Access::Read, |mut root, record| {
            let found = wanted.find(&mut root)?;
            let (real, name) = (found.real(), wanted.archive_name());
            let mounts = root.tree.mounts();
            // a volume below the folder: by its real path, for the archive's names may begin differently
            let mounted = |entry: &[u8]| {
                let below = tree::clean(&tree::join(&real, entry.strip_prefix(&name[..])?)).ok()?;
                match views(record).find(|view| below == view.as_bytes()) {
                    Some(view) => files::open_directory(&engine.init_layer.place(view)).ok(),
                    None => mounts.get(&below).and_then(|fd: &OwnedFd| fd.try_clone().ok()),
                }
            };
            let mut packer = Packer::new(out, Options { mounted: Some(&mounted), ..Options::default() });
            match &found {
                Found::Folder(folder) => packer.folder_itself(&**folder, &name)?,
                Found::File(folder, file) => match root.files.get(&real) {
                    Some((above, file)) => packer.one(above, OsStr::from_bytes(file), &name)?,
                    None => packer.one(&**folder, OsStr::from_bytes(file), &name)?,
                },
            }
            packer.finish().map(|_| ())
        })
    });
    Ok((stat, stream))
}

/// `PUT /containers/{id}/archive`: unpacks an archive (plain, gzip or zstd) into the folder `path`.
///
/// # Errors
/// No such folder; it is none; it is read-only; the archive is damaged or would replace a folder by a file.
pub async fn put(engine: &Arc<Engine>, id: &str, path: &str, options: PutOptions, body: ByteStream) -> Result<()> {
    let (engine, container, id, path) = (engine.clone(), engine.containers.find(id)?, id.to_string(), path.to_string());
    let archive = reading(body);
    blocking(move || {
        let wanted = Wanted::new(&path, &id)?;
        with_root(&engine, &container, Access::Write, |mut root, record| {
            let target = wanted.folder(&mut root)?;
            may_write(record, &target.path)?;
            let owner = match options.copy_uidgid && !record.config.user.is_empty() {
                true => {
                    let user = Databases::read(root.tree.root().as_fd())?.find(&record.config.user, &[])?;
                    Some((user.uid, user.gid))
                }
                false => None,
            };
            let policy =
                Policy { base: target.path.clone(), whiteouts: false, keep_kinds: options.no_overwrite_dir_non_dir, owner };
            let source = compression::inflate(BufReader::with_capacity(128 << 10, archive))?;
            unpack::unpack_into(BufReader::with_capacity(128 << 10, source), root.tree, policy).map(|_| ())
        })?;
        publish(&engine, &container.record(), "extract-to-dir", &[]);
        Ok(())
    })
    .await
}

/// Opens the container's tree and does something in it; one that does not run is kept from starting meanwhile.
pub fn with_root<T>(
    engine: &Engine,
    container: &Container,
    access: Access,
    work: impl FnOnce(Root, &Record) -> Result<T>,
) -> Result<T> {
    let record = container.record();
    if record.state.has_process()
        && let Ok(root) = root::open(engine, &record, access)
    {
        return work(root, &record);
    }
    let _life = container.life.blocking_lock();
    let record = container.record();
    work(root::open(engine, &record, access)?, &record)
}

/// Where a running container has the kernel's views of itself instead of files: within a larger folder they are not copied (whoever wants a
/// file of `/proc` must name it), for some of it has no end and some is gone when it is read.
fn views(record: &Record) -> impl Iterator<Item = &'static str> {
    let runs = record.state.has_process();
    let its_own = |view: &&str| record.mounts.iter().any(|m| m.point.destination.trim_start_matches('/') == *view);
    ["proc", "sys", "dev"].into_iter().filter(move |view| runs && !its_own(view))
}

/// A path as the user typed it.
struct Wanted<'a> {
    container: &'a str,
    typed: &'a str,
    path: Vec<u8>,
    /// It ends in `/` or `/.`: a folder is meant, and a last link is followed.
    folder: bool,
    /// It ends in `/.`: the content is meant.
    content: bool,
}

/// What lies there.
enum Found {
    Folder(Rc<Folder>),
    File(Rc<Folder>, Vec<u8>),
}

impl Found {
    fn real(&self) -> Vec<u8> {
        match self {
            Found::Folder(folder) => folder.path.clone(),
            Found::File(folder, name) => folder.join(name),
        }
    }
}

impl<'a> Wanted<'a> {
    fn new(typed: &'a str, container: &'a str) -> Result<Wanted<'a>> {
        let path = tree::clean(format!("/{typed}").as_bytes())?;
        let content = typed == "." || typed.ends_with("/.");
        Ok(Wanted { container, typed, path, folder: content || typed.ends_with('/'), content })
    }

    fn missing(&self) -> Error {
        Error::not_found(format!("Could not find the file {} in container {}", self.typed, self.container))
    }

    fn find(&self, root: &mut Root) -> Result<Found> {
        let (folder, name) = root.tree.locate(&self.path, self.folder)?.ok_or_else(|| self.missing())?;
        if name.is_empty() {
            return Ok(Found::Folder(folder));
        }
        let real = folder.join(&name);
        if root.files.contains_key(&real) {
            return if self.folder { Err(self.not_a_folder()) } else { Ok(Found::File(folder, name)) };
        }
        let stat = match root.tree.mounted(&real) {
            Some(fd) => files::fstat(&fd),
            None => files::lstatat(&*folder, OsStr::from_bytes(&name)),
        };
        match stat {
            Err(failed) if failed.is(errno::ENOENT) => Err(self.missing()),
            Err(failed) => Err(failed).doing(|| format!("look at {}", self.typed)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let inside = root.tree.directory(&real, tree::Missing::Fail)?;
                inside.map(Found::Folder).ok_or_else(|| self.missing())
            }
            Ok(_) if self.folder => Err(self.not_a_folder()),
            Ok(_) => Ok(Found::File(folder, name)),
        }
    }

    fn not_a_folder(&self) -> Error {
        Error::invalid(format!("{}: not a directory", self.typed))
    }

    /// Where files are put: the last link is followed.
    fn folder(&self, root: &mut Root) -> Result<Rc<Folder>> {
        let (folder, name) = root.tree.locate(&self.path, true)?.ok_or_else(|| self.missing())?;
        let real = if name.is_empty() { folder.path.clone() } else { folder.join(&name) };
        if !name.is_empty() && root.tree.mounted(&real).is_none() {
            let stat = files::lstatat(&*folder, OsStr::from_bytes(&name)).map_err(|_| self.missing())?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Error::invalid("extraction point is not a directory"));
            }
        }
        root.tree.directory(&real, tree::Missing::Fail)?.ok_or_else(|| self.missing())
    }

    fn stat(&self, root: &mut Root, found: &Found) -> Result<PathStat> {
        let look = || format!("look at {}", self.typed);
        let stat = match found {
            Found::Folder(folder) => files::fstat(&**folder),
            Found::File(folder, name) => match root.files.get(&found.real()) {
                Some((above, name)) => files::lstatat(above, OsStr::from_bytes(name)),
                None => files::lstatat(&**folder, OsStr::from_bytes(name)),
            },
        };
        let stat = stat.doing(look)?;
        let mut link_target = String::new();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
            && let Ok(Some((folder, name))) = root.tree.locate(&found.real(), true)
        {
            let real = if name.is_empty() { folder.path.clone() } else { folder.join(&name) };
            link_target = format!("/{}", tree::lossy(&real));
        }
        let modified = jiff::Timestamp::new(stat.st_mtime, stat.st_mtime_nsec as i32).map(clock::rfc3339);
        Ok(PathStat {
            name: String::from_utf8_lossy(&self.base()).into_owned(),
            size: stat.st_size,
            mode: go_mode(&stat),
            mtime: modified.unwrap_or_else(|_| clock::ZERO.into()),
            link_target,
        })
    }

    /// Go's `filepath.Base`.
    fn base(&self) -> Vec<u8> {
        match (self.content, &self.path[..]) {
            (true, _) => b".".to_vec(),
            (_, b"") => b"/".to_vec(),
            (_, path) => tree::split(path).1.to_vec(),
        }
    }

    /// What the archive's names begin with. Docker's client renames by replacing this beginning.
    fn archive_name(&self) -> Vec<u8> {
        match &self.base()[..] {
            b"/" => Vec::new(),
            base => base.to_vec(),
        }
    }
}

/// Refuses what the container itself could not write.
fn may_write(record: &Record, real: &[u8]) -> Result<()> {
    let path = format!("/{}", tree::lossy(real));
    let covers = |place: &str| path == place || path.starts_with(&format!("{}/", place.trim_end_matches('/')));
    let mount = record.mounts.iter().filter(|m| covers(&m.point.destination)).max_by_key(|m| m.point.destination.len());
    match mount {
        Some(mount) if !mount.point.rw => Err(Error::forbidden("mounted volume is marked read-only")),
        None if record.host_config.readonly_rootfs => Err(Error::forbidden("container rootfs is marked read-only")),
        _ => Ok(()),
    }
}

/// Go's `os.FileMode`: the kind in the high bits, setuid and its kin below them, then the nine permissions.
fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bit = |unix: u32, go: u32| if stat.st_mode & unix != 0 { 1 << go } else { 0 };
    kind | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20) | stat.st_mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_archive_begin_as_dockers_client_expects() {
        for (typed, base, archive) in
            [("/etc/hosts", "hosts", "hosts"), ("/etc/", "etc", "etc"), ("etc/.", ".", "."), ("/", "/", "")]
        {
            let wanted = Wanted::new(typed, "c").expect("a path");
            assert_eq!(wanted.base(), base.as_bytes(), "{typed}");
            assert_eq!(wanted.archive_name(), archive.as_bytes(), "{typed}");
        }
        assert_eq!(Wanted::new("../../etc/../x", "c").expect("a path").path, b"x");
    }
}
