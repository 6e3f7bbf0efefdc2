//! # Users: who is `www-data`? Asked of the image, which may lie
//!
//! `--user www-data:adm` means something only inside the image: its `/etc/passwd` and `/etc/group` say which numbers
//! these are. Those files are a stranger's. The passwd may be a FIFO that never ends, a link to a device, or 100 MB long, and every one of
//! these has hung a container engine. So the files are read through the kernel's own walls, and only if they are small.
//!
//! ```text
//!   root ──openat2(RESOLVE_IN_ROOT, O_PATH)──► etc/passwd ──fstat: regular, ≤ 4 MiB?──► open, read
//!   "4242"      a number is a number, whatever the passwd calls by that name (CVE-2026-46680)
//!   "www-data"  its line, or: no matching entries in passwd file
//!   ":adm"      user 0, group adm
//! ```
//!
//! * [`Databases::read`] fetches both files from a root directory; [`Databases::find`] is pure.
//!
//! Laws: no number above 2147483647 or below 0 is ever accepted (CVE-2024-40635); a host's groups never come in.
//! *See:* passwd(5), group(5) · moby `sys/user`. *Next room:* [`crate::oci_config`]

use minidock_base::{Doing, Error, Result};
use minidock_linux::files::{self, FileType, Open, Resolve};
use std::{
    fs::File,
    io::Read,
    os::fd::{AsRawFd, BorrowedFd},
};

/// More than this is no user database.
const LARGEST: u64 = 4 << 20;
const HIGHEST_ID: u64 = i32::MAX as u64;

/// Whom a process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// The supplementary groups, the own one first.
    pub groups: Vec<u32>,
    pub home: String,
}

/// The image's two lists of names.
#[derive(Clone, Debug, Default)]
pub struct Databases {
    passwd: String,
    group: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u64,
    gid: u64,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u64,
    members: &'a str,
}

impl Databases {
    /// Reads both files below `root`; a missing one is empty.
    ///
    /// # Errors
    /// A file that is no ordinary file, or larger than 4 MiB.
    pub fn read(root: BorrowedFd<'_>) -> Result<Databases> {
        Ok(Databases { passwd: small_file(root, "etc/passwd")?, group: small_file(root, "etc/group")? })
    }

    /// Whom `wanted` (`user`, `uid`, `user:group`, empty for root) means; `more` are further groups by name or number.
    ///
    /// # Errors
    /// `unable to find user x: no matching entries in passwd file`, the same for groups, and numbers out of range.
    pub fn find(&self, wanted: &str, more: &[String]) -> Result<User> {
        let (user, group) = wanted.split_once(':').unwrap_or((wanted, ""));
        let number = user.parse::<i64>().ok();
        let account = self.accounts().find(|a| match (user, number) {
            ("", _) => a.uid == 0,
            (_, Some(uid)) => a.uid as i64 == uid,
            (name, None) => a.name == name,
        });
        let (uid, gid, home) = match (&account, number) {
            (Some(a), _) => (a.uid, a.gid, a.home),
            (None, Some(uid)) => (in_range(uid)?, 0, "/"),
            (None, None) if user.is_empty() => (0, 0, "/"),
            (None, None) => return Err(unknown("user", user, "passwd")),
        };
        let (gid, mut also) = match group {
            "" => (gid, account.map(|a| self.memberships(a.name)).unwrap_or_default()),
            name => (self.group_id(name)?, Vec::new()),
        };
        for name in more {
            also.push(self.group_id(name)?);
        }
        let (uid, gid) = (in_range(uid as i64)? as u32, in_range(gid as i64)? as u32);
        let home = if home.is_empty() { "/" } else { home };
        let mut groups = vec![gid];
        for group in also {
            let group = in_range(group as i64)? as u32;
            // a membership may be listed twice, or be the first group again
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(User { uid, gid, groups, home: home.to_string() })
    }

    fn group_id(&self, wanted: &str) -> Result<u64> {
        let number = wanted.parse::<i64>().ok();
        let found = self.groups().find(|g| match number {
            Some(gid) => g.gid as i64 == gid,
            None => g.name == wanted,
        });
        match (found, number) {
            (Some(group), _) => Ok(group.gid),
            (None, Some(gid)) => in_range(gid),
            (None, None) => Err(unknown("group", wanted, "group")),
        }
    }

    fn memberships(&self, name: &str) -> Vec<u64> {
        self.groups().filter(|g| g.members.split(',').any(|m| m == name)).map(|g| g.gid).collect()
    }

    fn accounts(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password) = (fields.next()?, fields.next()?);
            let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let _comment = fields.next();
            Some(Account { name, uid, gid, home: fields.next().unwrap_or("/") })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
            Some(Group { name, gid, members: fields.next().unwrap_or("") })
        })
    }
}

fn in_range(id: i64) -> Result<u64> {
    match u64::try_from(id) {
        Ok(id) if id <= HIGHEST_ID => Ok(id),
        _ => Err(Error::invalid(format!("uids and gids must be in range 0-{HIGHEST_ID}"))),
    }
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    Error::invalid(format!("unable to find {what} {name}: no matching entries in {file} file"))
        .hint(format!("a {what} that the image's /etc/{file} lists, or its number"))
}

/// Reads a file below `root` if it is an ordinary, small one. Nothing is opened before the kernel has said what it is.
fn small_file(root: BorrowedFd<'_>, path: &str) -> Result<String> {
    let refuse = |what: &str| Error::invalid(format!("/{path} in the container's root is {what}, so no user can be looked up"));
    let name = match files::openat2(root, path, Open::Path, Resolve::InRoot) {
        Ok(name) => name,
        Err(failed) if failed.is(2) || failed.is(20) => return Ok(String::new()), // ENOENT, ENOTDIR
        Err(failed) => return Err(failed).doing(|| format!("look at /{path} of the image")),
    };
    let stat = files::fstat(&name).doing(|| format!("look at /{path} of the image"))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_size as u64 <= LARGEST => {}
        FileType::RegularFile => return Err(refuse("larger than 4 MiB")),
        FileType::Fifo => return Err(refuse("a FIFO")),
        FileType::Directory => return Err(refuse("a directory")),
        FileType::Socket => return Err(refuse("a socket")),
        _ => return Err(refuse("a device")),
    }
    let mut bytes = Vec::new();
    File::open(format!("/proc/self/fd/{}", name.as_raw_fd()))
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .doing(|| format!("read /{path} of the image"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{os::fd::AsFd, path::Path, process::Command, time::Instant};

    fn busybox() -> Databases {
        Databases {
            passwd: "root:x:0:0:root:/root:/bin/sh\n4242:x:0:0::/:\nwww:x:33:33:www:/var/www:/bin/false\nbad line\n".into(),
            group: "root:x:0:\nwheel:x:10:root,www\nadm:x:4:\nbig:x:4294967296:\n".into(),
        }
    }

    #[test]
    fn names_become_numbers_as_in_docker() {
        let find = |who: &str| busybox().find(who, &[]);
        assert_eq!(find("").expect("root").groups, [0, 10]);
        let www = find("www").expect("listed");
        assert_eq!((www.uid, www.gid, www.home.as_str(), www.groups), (33, 33, "/var/www", vec![33, 10]));
        assert_eq!(find("www:adm").expect("listed").groups, [4]);
        assert_eq!(find("1000").expect("a number"), User { uid: 1000, gid: 0, groups: vec![0], home: "/".into() });
        assert_eq!(busybox().find("1000:1000", &["adm".into(), "77".into()]).expect("numbers").groups, [1000, 4, 77]);
    }

    #[test]
    fn a_numeric_user_never_becomes_root() {
        assert_eq!(busybox().find("4242", &[]).expect("a number").uid, 4242);
        for out in ["2147483648", "4294967296", "-1", "1:2147483648", "1:big"] {
            assert!(busybox().find(out, &[]).unwrap_err().message().contains("must be in range"), "{out}");
        }
        let error = busybox().find("nobody2", &[]).unwrap_err();
        assert_eq!(error.message(), "unable to find user nobody2: no matching entries in passwd file");
    }

    fn with_passwd(make: impl FnOnce(&Path)) -> Result<Databases> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("etc")).expect("room");
        make(&folder.path().join("etc/passwd"));
        let began = Instant::now();
        let root = files::open_directory(folder.path()).expect("just made");
        let answer = Databases::read(root.as_fd());
        assert!(began.elapsed().as_secs_f32() < 1.0, "reading a hostile passwd took too long");
        answer
    }

    #[test]
    fn a_hostile_passwd_is_an_error_within_a_second() {
        let fifo = with_passwd(|p| assert!(Command::new("mkfifo").arg(p).status().expect("mkfifo").success()));
        assert!(fifo.unwrap_err().message().contains("FIFO"));
        let large = with_passwd(|p| File::create(p).and_then(|f| f.set_len(100 << 20)).expect("room"));
        assert!(large.unwrap_err().message().contains("larger"));
        let out = with_passwd(|p| std::os::unix::fs::symlink("/../../../../etc/passwd", p).expect("room"));
        assert!(out.is_err() || out.is_ok_and(|d| d.passwd.is_empty()), "a link must not lead out");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_lookup_panic(passwd in "\\PC{0,80}", group in "\\PC{0,80}", who in "\\PC{0,20}") {
            let _ = Databases { passwd, group }.find(&who, &["x".into()]);
        }
    }
}
