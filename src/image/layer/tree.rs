//! # Tree: walking a directory that somebody else describes
//!
//! The names in an archive are a stranger's. `../../etc/passwd`, a link to `/` and then a file below it, a parent that is
//! itself a link to a link: all have emptied hosts before. A [`Tree`] is a root directory, held open, and the only way to
//! any place below it. It never hands the kernel a path: one component at a time, each opened relative to the descriptor
//! of the one before, each with RESOLVE_BENEATH|NO_SYMLINKS, so that the kernel cannot be led astray; symlinks are read
//! and walked *here*, with `/` and `..` ending at the root.
//!
//! ```text
//!   a/link/c        link -> /b/../x
//!   root ─openat2─► a      readlink(link): start again at the root, pop on "..", go on with x, then c
//! ```
//!
//! * [`clean`] makes a list of plain components of a name; [`Tree::directory`] opens one, making what is missing if asked.
//! * Directories seen lately stay open ([`MOST_OPEN`]), so a file costs no walk: tar archives come folder by folder.
//!
//! Laws: whoever removes or replaces a directory or a symlink must call [`Tree::forget`]; a tree being unpacked has one
//! writer. See: openat2(2), path_resolution(7). Next room: [`super::unpack`]

use super::owners;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{self, CallFailed},
    files::{self, Open, Resolve},
    overlayfs, xattr,
};
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    rc::Rc,
};

/// Directories kept open at once: several layers are unpacked at the same time, and 1024 descriptors is a usual limit.
pub const MOST_OPEN: usize = 64;

/// Symlinks followed in one walk (the kernel's own limit).
const MOST_LINKS: usize = 40;

/// The longest chain of directories: what a path of 4096 bytes can name.
const DEEPEST: usize = 2048;

/// An open directory and where it really lies below the root (`""` is the root; no link on the way).
pub struct Folder {
    fd: OwnedFd,
    pub path: Vec<u8>,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Where `name` in this folder lies.
    pub fn join(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path, name)
    }
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Fail,
    Make,
}

/// A root and the way to everything below it.
pub struct Tree {
    root: Rc<Folder>,
    /// By the path as asked for: what it led to.
    open: HashMap<Vec<u8>, Rc<Folder>>,
    /// Real paths of directories that were made because something below them was wanted.
    pub implied: Vec<Vec<u8>>,
    /// Directories that stand for others, by real path: the volumes of a container whose mounts are not made.
    mounted: BTreeMap<Vec<u8>, OwnedFd>,
}

impl Tree {
    /// The tree below an open directory.
    pub fn new(root: OwnedFd) -> Tree {
        let root = Rc::new(Folder { fd: root, path: Vec::new() });
        Tree { root, open: HashMap::new(), implied: Vec::new(), mounted: BTreeMap::new() }
    }

    /// Puts another directory in the place of `path`, as a mount would.
    pub fn mount(&mut self, path: Vec<u8>, directory: OwnedFd) {
        self.mounted.insert(path, directory);
        self.forget();
    }

    /// The directory that stands at this real path, if one was put there.
    pub fn mounted(&self, path: &[u8]) -> Option<OwnedFd> {
        self.mounted.get(path).and_then(|fd| fd.try_clone().ok())
    }

    /// Everything that was put in the place of something else.
    pub fn mounts(&self) -> BTreeMap<Vec<u8>, OwnedFd> {
        let cloned = self.mounted.iter().map(|(path, fd)| fd.try_clone().map(|fd| (path.clone(), fd)));
        cloned.flatten().collect()
    }

    /// One step down, no link followed.
    fn step(&self, at: &Folder, name: &[u8]) -> Result<OwnedFd, CallFailed> {
        match self.mounted(&at.join(name)) {
            Some(fd) => Ok(fd),
            None => files::openat2(at, OsStr::from_bytes(name), Open::DirectoryNoFollow, Resolve::Beneath),
        }
    }

    pub fn root(&self) -> Rc<Folder> {
        self.root.clone()
    }

    /// Forgets what was open: a directory or link has been replaced.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// Opens the directory `path` (as [`clean`] gives it), following links inside the root. `None` when it is missing
    /// and [`Missing::Fail`] was asked.
    ///
    /// # Errors
    /// Something on the way is no directory, links go round in a circle, or the kernel refuses.
    pub fn directory(&mut self, path: &[u8], missing: Missing) -> Result<Option<Rc<Folder>>> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        if let Some(known) = self.open.get(path) {
            return Ok(Some(known.clone()));
        }
        let (above, name) = split(path);
        let found = match self.open.get(above) {
            Some(folder) => {
                let folder = folder.clone();
                self.walk(folder, vec![name.to_vec()], missing)?
            }
            None => {
                let rest = path.rsplit(|b| *b == b'/').map(<[u8]>::to_vec).collect();
                self.walk(self.root.clone(), rest, missing)?
            }
        };
        if let Some(folder) = &found {
            self.remember(path, folder);
        }
        Ok(found)
    }

    /// The folder that holds `path`'s last component, and that component; empty when the path is the folder itself. With
    /// `follow`, a last symlink is walked too. `None` when the folder is not there.
    ///
    /// # Errors
    /// As [`Tree::directory`].
    pub fn locate(&mut self, path: &[u8], follow: bool) -> Result<Option<(Rc<Folder>, Vec<u8>)>> {
        let mut path = path.to_vec();
        for _ in 0..MOST_LINKS {
            let (above, name) = split(&path);
            let Some(folder) = self.directory(above, Missing::Fail)? else { return Ok(None) };
            if name.is_empty() || self.mounted.contains_key(&folder.join(name)) {
                return Ok(Some((folder, name.to_vec())));
            }
            match files::readlinkat(&*folder, OsStr::from_bytes(name)) {
                Ok(target) if follow && target.as_bytes().starts_with(b"/") => path = clean(target.as_bytes())?,
                Ok(target) if follow => path = clean(&join(&folder.path, target.as_bytes()))?,
                _ => return Ok(Some((folder, name.to_vec()))),
            }
        }
        Err(Error::invalid(format!("{:?}: symbolic links go round in a circle", lossy(&path))))
    }

    fn remember(&mut self, path: &[u8], folder: &Rc<Folder>) {
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), folder.clone());
    }

    /// Walks `rest` (last component first) from `at`.
    fn walk(&mut self, at: Rc<Folder>, mut rest: Vec<Vec<u8>>, missing: Missing) -> Result<Option<Rc<Folder>>> {
        let (mut at, mut links) = (at, 0);
        while let Some(name) = rest.pop() {
            if name == b".." {
                at = self.above(&at)?;
                continue;
            }
            let text = OsStr::from_bytes(&name);
            match self.step(&at, &name) {
                Ok(fd) => at = Rc::new(Folder { path: at.join(&name), fd }),
                Err(failed) if failed.is(errno::ENOENT) => match missing {
                    Missing::Fail => return Ok(None),
                    Missing::Make => at = self.make(&at, &name)?,
                },
                Err(failed) if failed.is(errno::ENOTDIR) || failed.is(errno::ELOOP) => {
                    if missing == Missing::Make && self.replace_whiteout(&at, text)? {
                        at = self.make(&at, &name)?;
                        xattr::fsetxattr(&*at, overlayfs::OPAQUE, b"y").doing(|| "mark a folder as opaque")?;
                        continue;
                    }
                    let Ok(target) = files::readlinkat(&at, text) else {
                        return Err(Error::invalid(format!("{:?} is not a directory", lossy(&at.join(&name)))));
                    };
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Error::invalid(format!(
                            "{:?}: symbolic links go round in a circle",
                            lossy(&at.join(&name))
                        )));
                    }
                    if target.as_bytes().starts_with(b"/") {
                        at = self.root.clone();
                    }
                    let steps = target.as_bytes().rsplit(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".");
                    rest.extend(steps.map(<[u8]>::to_vec));
                }
                Err(failed) => return Err(failed).doing(|| format!("open the folder {:?}", lossy(&at.join(&name)))),
            }
            if rest.len() > DEEPEST || at.path.len() > 16 * 4096 {
                return Err(Error::invalid("folders are nested too deeply"));
            }
        }
        Ok(Some(at))
    }

    /// The parent of a real path: walked from the root again, for `..` of a descriptor could have been moved.
    fn above(&mut self, at: &Folder) -> Result<Rc<Folder>> {
        let (above, _) = split(&at.path);
        let mut folder = self.root.clone();
        for name in above.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
            let fd = self.step(&folder, name).doing(|| format!("open the folder {:?}", lossy(above)))?;
            folder = Rc::new(Folder { path: folder.join(name), fd });
        }
        Ok(folder)
    }

    /// A name that this layer deleted and then wants as a folder: nothing of the old one may shine through.
    fn replace_whiteout(&mut self, at: &Folder, name: &OsStr) -> Result<bool> {
        match files::lstatat(at, name) {
            Ok(stat) if overlayfs::is_whiteout(&stat) => {
                files::unlinkat(at, name).doing(|| format!("replace {name:?}"))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn make(&mut self, at: &Rc<Folder>, name: &[u8]) -> Result<Rc<Folder>> {
        let (text, path) = (OsStr::from_bytes(name), at.join(name));
        files::mkdirat(&**at, text, 0o755).doing(|| format!("make the folder {:?}", lossy(&path)))?;
        let fd = files::openat2(&**at, text, Open::DirectoryNoFollow, Resolve::Beneath)
            .doing(|| format!("open the folder {:?}", lossy(&path)))?;
        // the umask must not take away what a folder nobody described should have
        let settled = files::fchmod(&fd, 0o755).and_then(|()| owners::give_to_root(&fd));
        settled.doing(|| format!("make the folder {:?}", lossy(&path)))?;
        self.implied.push(path.clone());
        Ok(Rc::new(Folder { path, fd }))
    }
}

/// Makes plain components of a name: `/a/./b/../c/` becomes `a/c`, and `..` at the top stays at the top.
///
/// # Errors
/// An empty name, or one with a NUL.
pub fn clean(name: &[u8]) -> Result<Vec<u8>> {
    if name.is_empty() {
        return Err(Error::invalid("an entry without a name"));
    }
    if name.contains(&0) {
        return Err(Error::invalid(format!("a name with a NUL in it: {:?}", lossy(name))));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// Refuses to go deeper where each step down takes stack and a descriptor.
///
/// # Errors
/// Folders nested without end: no honest archive needs it.
pub fn not_too_deep(depth: usize) -> Result<()> {
    match depth <= 256 {
        true => Ok(()),
        false => Err(Error::invalid("more than 256 folders within each other")),
    }
}

/// `a/b/c` into `a/b` and `c`.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// `a` and `b` into `a/b`.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}

/// A name for a message.
pub fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_walked_inside_and_end_at_the_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("usr/lib")).expect("room");
        std::fs::create_dir(folder.path().join("victim")).expect("room");
        symlink("/usr", root.join("abs")).expect("room");
        symlink("../../../victim", root.join("out")).expect("room");
        symlink("b", root.join("a")).expect("room");
        symlink("a", root.join("b")).expect("room");
        let mut tree = Tree::new(files::open_directory(&root).expect("just made"));
        let found = tree.directory(b"abs/lib", Missing::Fail).expect("walks").expect("is there");
        assert_eq!(found.path, b"usr/lib");
        assert!(tree.directory(b"out", Missing::Fail).expect("walks").is_none());
        let made = tree.directory(b"out/x", Missing::Make).expect("walks").expect("made");
        assert_eq!(made.path, b"victim/x");
        assert!(root.join("victim/x").is_dir() && !folder.path().join("victim/x").exists());
        assert!(tree.directory(b"a", Missing::Make).is_err_and(|e| e.message().contains("circle")));
    }

    proptest! {
        #[test]
        fn a_clean_name_has_no_steps_up(name in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'a')], 1..30)) {
            let cleaned = clean(&name).expect("no NUL");
            prop_assert!(cleaned.split(|b| *b == b'/').all(|c| c != b".." && c != b"."));
            prop_assert!(!cleaned.starts_with(b"/") && !cleaned.ends_with(b"/"));
        }
    }
}
