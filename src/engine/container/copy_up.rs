//! # Copy-up: a fresh volume begins with what the image has there
//!
//! An image that says `VOLUME /var/lib/data` has files at that place, and a volume mounted over it would hide them. So
//! the first container that uses an *empty* volume fills it: files, owners, modes, times, links, attributes, and the
//! place's own owner and mode.
//!
//! ```text
//!   image's layers ──read-only overlay, detached──► root ──openat2(IN_ROOT)──► /var/lib/data
//!                                                                                  │ copy, by descriptors
//!                                                        volumes/<name>/_data ◄────┘
//! ```
//!
//! * [`fill`] does one volume; a place that the image does not have, or that is no directory, is no work.
//!
//! Laws: both sides are strangers' trees: every step is relative to a descriptor and follows no link. Overlayfs' own
//! attributes are not copied. *See:* moby `populateVolume`. *Next room:* [`crate::container::create`]

use minidock_base::{Doing, Result};
use minidock_linux::{
    errno::CallFailed,
    files::{self, FileType, Moment, Open, Resolve, Stat},
    xattr,
};
use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const ENOENT: i32 = 2;
const ENOTDIR: i32 = 20;
const ENOTSUP: i32 = 95;

/// Fills the volume's folder `data` with what `root` has at `place`, if the folder is empty.
///
/// # Errors
/// The call that failed; the disk may be full.
pub fn fill(root: BorrowedFd<'_>, place: &str, data: &Path) -> Result<()> {
    let doing = || format!("copy {place} of the image into the volume at {}", data.display());
    let inside = place.trim_start_matches('/');
    let from = match files::openat2(root, inside, Open::Directory, Resolve::InRoot) {
        Ok(from) => from,
        Err(failed) if failed.is(ENOENT) || failed.is(ENOTDIR) => return Ok(()),
        Err(failed) => return Err(failed).doing(doing),
    };
    let to = files::open_directory(data).doing(doing)?;
    if !files::getdents(&to).doing(doing)?.is_empty() {
        return Ok(());
    }
    let mut copy = Copy { root: to.try_clone().doing(doing)?, links: HashMap::new() };
    copy.directory(from.as_fd(), to.as_fd(), OsStr::new("")).doing(doing)
}

struct Copy {
    /// The volume's folder: hard links are made relative to it.
    root: OwnedFd,
    /// Where a file with more than one name was copied first.
    links: HashMap<(u64, u64), OsString>,
}

impl Copy {
    /// Everything in a directory, then the directory's own owner, mode and times.
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, below: &OsStr) -> Result<(), CallFailed> {
        for name in files::getdents(from)? {
            let mut path = below.to_os_string();
            if !path.is_empty() {
                path.push("/");
            }
            path.push(&name);
            self.entry(from, to, &name, path)?;
        }
        let stat = files::fstat(from)?;
        files::fchown(to, stat.st_uid, stat.st_gid)?;
        files::fchmod(to, stat.st_mode & 0o7777)?;
        attributes(from, to)?;
        files::futimens(to, accessed(&stat), modified(&stat))
    }

    fn entry(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr, path: OsString) -> Result<(), CallFailed> {
        let stat = files::lstatat(from, name)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_nlink > 1 && kind != FileType::Directory {
            let id = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&id) {
                return files::linkat(&self.root, first, to, name);
            }
            self.links.insert(id, path.clone());
        }
        match kind {
            FileType::Directory => {
                files::mkdirat(to, name, 0o700)?;
                let inside = files::openat2(from, name, Open::DirectoryNoFollow, Resolve::Beneath)?;
                let copy = files::openat2(to, name, Open::DirectoryNoFollow, Resolve::Beneath)?;
                return self.directory(inside.as_fd(), copy.as_fd(), &path);
            }
            FileType::RegularFile => {
                let source = files::openat2(from, name, Open::ReadNoFollow, Resolve::Beneath)?;
                let target = files::openat2(to, name, Open::CreateNew, Resolve::Beneath)?;
                return file(source, target, &stat);
            }
            FileType::Symlink => files::symlinkat(files::readlinkat(from, name)?, to, name)?,
            kind => {
                let device = (rdev_major(stat.st_rdev), rdev_minor(stat.st_rdev));
                files::mknodat(to, name, kind, stat.st_mode & 0o7777, device)?;
            }
        }
        files::lchownat(to, name, stat.st_uid, stat.st_gid)?;
        files::lutimensat(to, name, accessed(&stat), modified(&stat))
    }
}

fn file(source: OwnedFd, target: OwnedFd, stat: &Stat) -> Result<(), CallFailed> {
    let (mut source, mut target) = (File::from(source), File::from(target));
    minidock_linux::action::call("copy_file_range", Vec::new, || std::io::copy(&mut source, &mut target))?;
    files::fchown(&target, stat.st_uid, stat.st_gid)?;
    files::fchmod(&target, stat.st_mode & 0o7777)?;
    attributes(source.as_fd(), target.as_fd())?;
    files::futimens(&target, accessed(stat), modified(stat))
}

/// Extended attributes, file capabilities among them; overlayfs' and SELinux' own stay where they are.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), CallFailed> {
    for key in xattr::flistxattr(from)? {
        let text = key.to_string_lossy();
        if text.contains(".overlay.") || text == "security.selinux" {
            continue;
        }
        if let Some(value) = xattr::fgetxattr(from, &key)? {
            match xattr::fsetxattr(to, &key, &value) {
                Err(failed) if failed.is(ENOTSUP) => {}
                answer => answer?,
            }
        }
    }
    Ok(())
}

fn accessed(stat: &Stat) -> Moment {
    Moment { seconds: stat.st_atime, nanoseconds: stat.st_atime_nsec as u32 }
}

fn modified(stat: &Stat) -> Moment {
    Moment { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
}

fn rdev_major(dev: u64) -> u32 {
    ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff)) as u32
}

fn rdev_minor(dev: u64) -> u32 {
    ((dev & 0xff) | (dev >> 12 & !0xff)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    #[test]
    fn a_tree_is_copied_with_modes_and_links_but_never_over_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("root/srv/data/deep")).expect("room");
        fs::create_dir(at("volume")).expect("room");
        fs::write(at("root/srv/data/file"), "hello").expect("room");
        fs::hard_link(at("root/srv/data/file"), at("root/srv/data/deep/twin")).expect("room");
        symlink("/etc/passwd", at("root/srv/data/link")).expect("room");
        fs::set_permissions(at("root/srv/data"), fs::Permissions::from_mode(0o1750)).expect("our own");
        let root = files::open_directory(&at("root")).expect("just made");
        fill(root.as_fd(), "/srv/data", &at("volume")).expect("room");
        assert_eq!(fs::read_to_string(at("volume/deep/twin")).expect("copied"), "hello");
        assert_eq!(fs::metadata(at("volume/file")).expect("copied").nlink(), 2);
        assert_eq!(fs::read_link(at("volume/link")).expect("copied").to_str(), Some("/etc/passwd"));
        assert_eq!(fs::metadata(at("volume")).expect("there").mode() & 0o7777, 0o1750);
        fs::write(at("root/srv/data/new"), "x").expect("room");
        fill(root.as_fd(), "/srv/data", &at("volume")).expect("no work");
        assert!(!at("volume/new").exists());
    }

    #[test]
    fn a_place_that_leads_out_is_no_work() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("root")).expect("room");
        fs::create_dir(folder.path().join("volume")).expect("room");
        symlink("/etc", folder.path().join("root/out")).expect("room");
        let root = files::open_directory(&folder.path().join("root")).expect("just made");
        fill(root.as_fd(), "/out", &folder.path().join("volume")).expect("resolved inside, where nothing is");
        assert_eq!(fs::read_dir(folder.path().join("volume")).expect("there").count(), 0);
    }
}
