//! # Socket files: a name may be longer than a socket's address
//!
//! The address of a unix socket holds 107 bytes, and a path below a deep data root is soon longer. The kernel resolves what
//! stands in the address like any path, so a long one can be said in few bytes: through `/proc/self/fd`, beginning at a
//! descriptor of its folder.
//!
//! ```text
//!   /a/very/long/…/containers/<64 hex>/shim.sock    130 bytes: EINVAL
//!   /proc/self/fd/7/shim.sock                        25 bytes, where 7 = open("/a/very/…")
//! ```
//!
//! * [`bind`] listens, mode 0600, in place of what an earlier life has left there. * [`connect`] is the way in.
//! * [`Short::name_for`] is the name by which *another* process can reach it: `/proc/<pid>/fd/…`.
//!
//! *See:* unix(7), proc_pid_fd(5). *Next room:* [`crate::ending`]

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

/// Bytes of a path that surely fit into `sun_path`, the NUL included.
const FITS: usize = 100;

/// A way of saying a path in few bytes, as long as this value lives.
pub struct Short {
    folder: Option<File>,
    path: PathBuf,
}

impl Short {
    /// # Errors
    /// The folder of a long path cannot be opened.
    pub fn of(path: &Path) -> io::Result<Short> {
        let folder = match path.as_os_str().len() < FITS {
            true => None,
            false => Some(File::open(path.parent().unwrap_or(Path::new("/")))?),
        };
        Ok(Short { folder, path: path.to_path_buf() })
    }

    /// The name in the eyes of `process`: `self`, or a pid.
    pub fn name_for(&self, process: &str) -> PathBuf {
        match &self.folder {
            None => self.path.clone(),
            Some(folder) => {
                let name = self.path.file_name().unwrap_or_default();
                Path::new("/proc").join(process).join("fd").join(folder.as_raw_fd().to_string()).join(name)
            }
        }
    }
}

/// Listens at `path` (0600), in place of a socket that an earlier life has left.
///
/// # Errors
/// The folder is missing or read-only.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let _ = fs::remove_file(path); // usually there is none
    let listener = UnixListener::bind(Short::of(path)?.name_for("self"))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to `path`, however long.
///
/// # Errors
/// ENOENT, ECONNREFUSED: nobody listens there.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Short::of(path)?.name_for("self"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_longer_than_an_address_can_be_bound_and_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
        fs::create_dir_all(&deep).expect("room");
        let path = deep.join("shim.sock");
        let _listener = bind(&path).expect("a place to listen");
        connect(&path).expect("somebody listens");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let _again = bind(&path).expect("an old socket is replaced");
    }
}
