//! # Nursery: where shims come from
//!
//! The daemon has many threads and a large memory, so it forks nothing and executes little. It executes one small process,
//! the *nursery*, and asks it for a shim whenever a container is started: a message with the container's id and one end of
//! a socket pair. What happens over there is told in [`minidock_shim::nursery`].
//!
//! ```text
//!   bear(id) ──► is there a nursery? ─ no ─► execute `minidock shim nursery…`, fd 0 = our socket
//!                     │ yes                          │
//!                     └───────── sendmsg(id, SCM_RIGHTS) ──► a shim that waits for its orders
//!                                     │ EPIPE: it was killed
//!                                     └──► once more, with a new one
//! ```
//!
//! Laws: the nursery holds nothing but this socket, so it ends when the daemon does, however that ends; shims do not care
//! whether it lives. *Next room:* [`crate::shim_client`]

use minidock_base::{Doing, Error, Result, clock};
use minidock_linux::{fds, limits};
use minidock_shim::nursery::{FILES, WORD};
use std::{
    fs::OpenOptions,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
};

/// The daemon's end of the nursery.
pub struct Nursery {
    program: Vec<String>,
    words: PathBuf,
    door: Mutex<Option<OwnedFd>>,
}

impl Nursery {
    /// One that will be executed as `program` when the first container is started; `words` is the error log of all shims.
    pub fn new(program: Vec<String>, words: PathBuf) -> Nursery {
        Nursery { program, words, door: Mutex::new(None) }
    }

    /// Where shims leave their last words.
    pub fn words(&self) -> &Path {
        &self.words
    }

    /// A shim for the container `id`, which will read its orders from `control`.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub fn bear(&self, id: &str, control: &OwnedFd) -> Result<()> {
        let mut door = self.door.lock().expect("no holder panics");
        if let Some(open) = door.as_ref()
            && fds::send_fd(open, control, id.as_bytes()).is_ok()
        {
            return Ok(());
        }
        let new = door.insert(self.execute()?); // there was none, or somebody has killed it
        fds::send_fd(&*new, control, id.as_bytes()).doing(|| "ask for a shim")
    }

    fn execute(&self) -> Result<OwnedFd> {
        let (ours, theirs) = fds::socketpair().doing(|| "make a socket for the shims")?;
        let (name, args) = self.program.split_first().ok_or_else(|| Error::system("no program to start a shim with"))?;
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.words);
        let log = log.doing(|| format!("open {}", self.words.display()))?;
        let mut child = tokio::process::Command::new(name)
            .args(args)
            .arg(format!("{WORD:64}")) // room for the id that `ps` will show instead
            .env_clear()
            .envs(limits::files_before().map(|soft| (FILES, soft.to_string())))
            .envs(clock::inherited())
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .doing(|| format!("execute {name}"))?;
        tokio::spawn(async move { child.wait().await });
        Ok(ours)
    }
}
