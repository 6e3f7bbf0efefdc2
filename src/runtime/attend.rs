//! # Attend: what the parent does for the newborn
//!
//! After clone3 the child works by itself, but some things only the parent can do: it is still root on the host, it sees the
//! host's programs, and it is the one who remembers.
//!
//! ```text
//!   raise     state with the pid · id maps · id-mapped mounts · oom score · network devices · go
//!   let in    the doors of its control groups
//!   announce  pid file, pidfd socket
//!   attend    Source → opened inside · Hooks → prestart, createRuntime · Listener → the seccomp agent · Ready        crate::handshake
//!             … then go
//! ```
//!
//! Laws: the pid is written down before anything else is done for it; a pid file is written while the child works, and goes again if
//! nothing comes of it. Next room: [`crate::handshake`]

use crate::{
    bundle, console,
    create::Options,
    handshake::{self, Word},
    hooks::{self, Moment},
    log,
    mounts::{self, Prepared},
    net_devices, seccomp, sources,
    state::{Folder, Record},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{EACCES, EPERM},
    fds,
    namespaces::{self, Namespace},
    proc, signal, userns, wait,
};
use minidock_spec::runtime::{State, Status};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use std::{
    fs::{self, File},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The parent's view of the child.
pub struct Child<'a> {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub channel: File,
    pub spec: &'a Spec,
    pub process: &'a Process,
}

impl Child<'_> {
    /// What only the parent can do for the newborn: remember it, map its ids, set its oom score, give it devices of the host.
    ///
    /// # Errors
    /// What the kernel says to a map, a score or a device.
    pub fn raise(&mut self, folder: &Folder, record: &Record, mounts: &[Prepared<'_>], waits: bool) -> Result<()> {
        folder.save(record)?;
        if bundle::has_namespace(self.spec, LinuxNamespaceType::User) && waits {
            self.map_ids()?;
            if sources::wants_container_map(mounts) {
                let path = format!("/proc/{}/ns/user", self.pid);
                let table = namespaces::open(Path::new(&path), Namespace::User).doing(|| "open the container's id table")?;
                sources::map_by_container(mounts, table.as_fd())?;
            }
        }
        if let Some(score) = self.process.oom_score_adj() {
            match proc::write_of(self.pid, "oom_score_adj", &score.to_string()) {
                // root of a user namespace may not always: then the score stays as it was inherited
                Err(failed) if (failed.is(EACCES) || failed.is(EPERM)) && userns::lives_in_one() => {
                    log::warn(&failed.to_string())
                }
                written => written.doing(|| format!("set oom score adj to {score}"))?,
            }
        }
        net_devices::give(self.spec, self.pid)?;
        if waits {
            // A child that is gone already says why when we attend.
            drop(handshake::go(&mut self.channel));
        }
        Ok(())
    }

    /// The groups were made while it worked: their doors, through which it enters.
    pub fn let_in(&self, doors: &[OwnedFd]) {
        // A child that is gone already says why when we attend.
        drop(handshake::doors_with(&self.channel, doors));
    }

    fn map_ids(&self) -> Result<()> {
        let Some(linux) = self.spec.linux() else { return Ok(()) };
        let new = bundle::namespaces(self.spec).iter().any(|one| one.typ() == LinuxNamespaceType::User && one.path().is_none());
        if !new {
            return Ok(());
        }
        let uids = sources::to_ranges(linux.uid_mappings().as_deref().unwrap_or_default());
        let gids = sources::to_ranges(linux.gid_mappings().as_deref().unwrap_or_default());
        userns::write_maps(self.pid, &uids, &gids).doing(|| "map the user namespace's ids")
    }

    /// Answers the child until it is ready.
    ///
    /// # Errors
    /// A hook that failed, or what the child says instead.
    pub fn attend(&mut self, record: &Record, mounts: &[Prepared<'_>]) -> Result<()> {
        let state = record.to_state(Status::Creating);
        log::debug("child process in init()");
        loop {
            match handshake::hear(&mut self.channel)? {
                Some(Word::Source { entry }) => {
                    let asked =
                        mounts.get(entry).ok_or_else(|| Error::system("init asks for a mount that is not in the list"))?;
                    let tree = sources::open_inside(asked, self.pid).map_err(|e| e.during(mounts::mounting(asked.entry)))?;
                    handshake::go_with(&self.channel, &tree.fd).map_err(|_| self.death())?;
                }
                Some(Word::Hooks) => {
                    // Of this one the specification says that the container is created.
                    let created = record.to_state(Status::Created);
                    hooks::run(Moment::Prestart, self.spec.hooks(), &created)?;
                    hooks::run(Moment::CreateRuntime, self.spec.hooks(), &state)?;
                    self.go()?;
                }
                Some(Word::Listener { fd }) => {
                    self.hand_over(fd, &state)?;
                    self.go()?;
                }
                Some(Word::Ready) => {
                    log::debug("init: closing the pipe to signal completion");
                    return Ok(());
                }
                Some(Word::Going) => return Err(Error::system("init goes on without being told")),
                Some(Word::Failed(wire)) => return Err(during_init(wire)),
                None => return Err(self.death()),
            }
        }
    }

    fn hand_over(&self, fd: i32, state: &State) -> Result<()> {
        match self.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
            Some(asked) => seccomp::notify::hand_over(asked, self.pid, fd, state),
            None => Ok(()),
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is dead.
    pub fn go(&mut self) -> Result<()> {
        handshake::go(&mut self.channel).map_err(|_| self.death())
    }

    /// `run`: the program begins, or says why it does not.
    ///
    /// # Errors
    /// What init says instead; a poststart hook that failed, and the container is not to be.
    pub fn hear_it_start(&mut self, record: &Record) -> Result<()> {
        crate::lifecycle::hear_it_start(&mut self.channel)?;
        hooks::run(Moment::Poststart, self.spec.hooks(), &record.to_state(Status::Running))
    }

    fn death(&self) -> Error {
        let how = match wait::wait(self.pid) {
            Ok(wait::How::Exited(status)) => format!("exited with status {status}"),
            Ok(wait::How::Killed(signal)) => format!("was killed by {}", signal::name(signal)),
            Err(_) => "is gone".to_string(),
        };
        Error::system(format!("init {how} before the container was ready")).during("unable to start container process")
    }
}

/// An error that init sent, in runc's frame.
pub fn during_init(wire: minidock_base::error::Wire) -> Error {
    Error::from_wire(wire).during("error during container init").during("unable to start container process")
}

/// Tells the world: pid file, pidfd socket.
///
/// # Errors
/// What the disk says; nobody listens at the socket.
pub fn announce(options: &Options, child: &Child<'_>) -> Result<()> {
    if let Some(path) = &options.pid_file {
        write_pid_file(path, child.pid)?;
    }
    if let Some(path) = &options.pidfd_socket {
        let socket = console::connect(path)?;
        fds::send_fd(&socket, &child.pidfd, b"pidfd").doing(|| "send the pidfd")?;
    }
    Ok(())
}

/// Nothing came of process `pid`: its pid file goes again.
pub fn take_back(options: &Options, pid: i32) {
    let names_it = |path: &&PathBuf| path.is_file() && fs::read_to_string(path).is_ok_and(|text| text == pid.to_string());
    if let Some(path) = options.pid_file.as_ref().filter(names_it) {
        let _ = fs::remove_file(path); // it may be the folder that is gone
    }
}

/// Writes the pid beside the file and renames it: a reader never sees half of it. A pipe or a device is written to, and stays what it is.
///
/// # Errors
/// What the disk says.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let doing = || format!("write the pid file {}", path.display());
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return fs::write(path, pid.to_string()).doing(doing);
    }
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: no name for a pid file", path.display())))?;
    let beside = path.with_file_name(format!(".{}", name.to_string_lossy()));
    fs::write(&beside, pid.to_string()).doing(doing)?;
    fs::rename(&beside, path).doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_linux::files::{self, FileType};
    use std::{
        ffi::OsStr,
        io::Read,
        os::{fd::AsFd, unix::fs::FileTypeExt},
    };

    #[test]
    fn a_pid_file_is_new_and_what_is_no_file_stays_what_it_is() {
        let folder = tempfile::tempdir().expect("room");
        let (file, pipe) = (folder.path().join("pid"), folder.path().join("pipe"));
        for pid in [7, 8] {
            write_pid_file(&file, pid).expect("room");
            assert_eq!(fs::read_to_string(&file).expect("written"), pid.to_string());
        }
        let inside = files::open_directory(folder.path()).expect("just made");
        files::mknodat(inside.as_fd(), OsStr::new("pipe"), FileType::Fifo, 0o600, (0, 0)).expect("a pipe");
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut text)).map(|_| text)
            }
        });
        write_pid_file(&pipe, 9).expect("somebody reads");
        assert_eq!(reader.join().expect("no panic").expect("read"), "9");
        assert!(fs::symlink_metadata(&pipe).expect("there").file_type().is_fifo());
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2, "nothing else is left");
    }
}
