//! # Console: how the master of a terminal reaches the shim
//!
//! The terminal must be opened inside the container, in *its* `/dev/pts`, or its name would mean something else there. But
//! the runtime that opens it is gone a moment later. So the OCI runtime sends the master, a descriptor, through a unix
//! socket that the shim made for this one message.
//!
//! ```text
//!   shim: listen console.sock ──► runtime run --console-socket …      connect, sendmsg(SCM_RIGHTS [master])
//!   shim: accept, recvmsg ◄─────────────────────────────────────────┘
//! ```
//!
//! Laws: one message, then the socket is gone, whatever came. *See:* runc `docs/terminals.md`, unix(7).
//! *Next room:* [`crate::client`]

use crate::socket::{self, Short};
use minidock_base::{Doing, Error, Result};
use minidock_linux::fds;
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::Duration,
};

/// A socket that waits for one master.
pub struct Console {
    listener: UnixListener,
    path: PathBuf,
    /// Keeps the short name valid.
    short: Short,
}

impl Console {
    /// Listens below `bundle`.
    pub fn listen(bundle: &Path, name: &str) -> Result<Console> {
        let path = bundle.join(name);
        let doing = || format!("listen for a terminal at {}", path.display());
        let listener = socket::bind(&path).doing(doing)?;
        let short = Short::of(&path).doing(doing)?;
        Ok(Console { listener, path, short })
    }

    /// The socket by a name that the runtime can connect to.
    pub fn name(&self) -> PathBuf {
        self.short.name_for(&std::process::id().to_string())
    }

    /// The master, if the runtime has sent it by now.
    ///
    /// # Errors
    /// Whoever connected sent no descriptor.
    pub fn receive(&self) -> Result<Option<File>> {
        let doing = || "receive the terminal from the runtime";
        let stream = match self.listener.accept() {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            accepted => accepted.doing(doing)?.0,
        };
        stream.set_nonblocking(false).doing(doing)?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).doing(doing)?;
        let (_, master) = fds::receive_fd(&stream, &mut [0; 4096]).doing(doing)?;
        let master = master.ok_or_else(|| Error::system("the runtime sent no terminal"))?;
        fds::nonblocking(&master).doing(doing)?;
        Ok(Some(File::from(master)))
    }

    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // the whole bundle may be gone already
    }
}
