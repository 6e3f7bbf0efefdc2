//! # Starting and stopping the daemon from the command line
//!
//! The first `minidock run` on a fresh machine should just work, so a command that finds nobody at the default socket
//! starts a daemon, says so once, and waits until it answers. `minidock system stop` is the other half.
//!
//! ```text
//!   minidock run …                                       another `minidock run …` at the same moment
//!     │ nobody answers                                     │ nobody answers
//!     ├ flock(start.lock) ─── held ───────────────────────┤ waits for the lock
//!     ├ /proc/self/exe detached-daemon ─exec─► daemon      │
//!     ├ asks until it answers (or has died, or 10 s)       │
//!     └ unlocks ──────────────────────────────────────────┴ asks again: somebody answers
//! ```
//!
//! * The child first leaves our session (setsid) and then becomes the daemon by exec, so a closed terminal does not take it
//!   along; its output goes to the daemon's log file.
//! * Readiness is a fact asked for (an answer to a ping), never a guess in seconds; a child that dies is noticed at once, and
//!   the end of its log is the reason given.
//! * [`run_stop`] asks by `POST /minidock/stop`, finds the process behind the socket by the kernel's word (SO_PEERCRED), not
//!   by a file, and waits for its end on a pidfd.
//!
//! Laws: at most one daemon for the default socket, whatever races. Stopping the daemon leaves containers alone unless asked.
//! `--purge-network` is the daemon's to do, and to refuse while a running container needs its network.
//! *See:* unix(7) SO_PEERCRED, pidfd_open(2), flock(2), setsid(2). *Next room:* [`crate::container`]

use crate::{each::at_once, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Kind, Result, paths::Paths};
use minidock_client::{Address, Docker, Route};
use minidock_spec::engine::container::Summary;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, getuid, pidfd_open, setsid},
};
use std::{
    fs::{self, File, OpenOptions},
    os::fd::OwnedFd,
    os::unix::{fs::DirBuilderExt, fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The hidden first word of the process that becomes the daemon.
pub const DETACHED: &str = "detached-daemon";

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Leaves the terminal's session and becomes the daemon; comes back only if that failed.
pub fn become_daemon(words: &[String]) -> i32 {
    // it fails only for a process that already leads a group, and then there is no terminal to leave
    let _ = setsid();
    let failed = Command::new("/proc/self/exe").arg("daemon").args(words).exec();
    crate::complain(&Error::system(format!("execve(2) of the daemon: {failed}")));
    1
}

/// Starts a daemon for the default socket and waits until it answers.
///
/// # Errors
/// It ended at once (with the end of its log), or did not answer in ten seconds.
pub async fn start(address: &Address) -> Result<()> {
    let paths = Paths::default_for(getuid().as_raw());
    for folder in [paths.data_root(), paths.exec_root()] {
        let made = fs::DirBuilder::new().recursive(true).mode(0o711).create(folder);
        made.doing(|| format!("make {}", folder.display())).doing(|| "start the daemon")?;
    }
    let lock = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(paths.start_lock());
    let lock = lock.doing(|| format!("open {}", paths.start_lock().display())).doing(|| "start the daemon")?;
    flock(&lock, FlockOperation::LockExclusive).map_err(std::io::Error::from).doing(|| "start the daemon")?;
    if Docker::connect(address.clone(), None).await.is_ok() {
        return Ok(());
    }
    let log = paths.daemon_log();
    let from = fs::metadata(&log).map(|m| m.len()).unwrap_or(0);
    let mut child = launch(&log).doing(|| "start the daemon")?;
    await_answer(address, &mut child, &log, from).await.doing(|| "start the daemon")?;
    terminal::eprint(&format!("minidock: started the daemon (pid {}, log {})\n", child.id(), log.display()));
    Ok(())
}

fn launch(log: &Path) -> Result<Child> {
    let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(log);
    let (out, err) = (open().doing(|| format!("open {}", log.display()))?, open().doing(|| format!("open {}", log.display()))?);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("minidock").arg(DETACHED).stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/");
    command.spawn().doing(|| "execute /proc/self/exe")
}

async fn await_answer(address: &Address, child: &mut Child, log: &Path, from: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if Docker::connect(address.clone(), None).await.is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait().doing(|| "wait for it")? {
            return Err(Error::system(format!("it ended with {status}{}", said(log, from)))
                .hint(format!("run it in the foreground to see more: minidock daemon --debug ({})", log.display())));
        }
        if Instant::now() > deadline {
            return Err(Error::unavailable(format!("it does not answer at {address} after {} s", PATIENCE.as_secs()))
                .hint(format!("see {}", log.display())));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// What the daemon wrote to its log since `from`: the last lines, as a reason.
fn said(log: &Path, from: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(64 * 1024).read_to_string(&mut text)
    });
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match (read, lines.as_slice()) {
        (Ok(_), [.., _]) => format!(": {}", lines[lines.len().saturating_sub(4)..].join(" / ")),
        _ => String::new(),
    }
}

/// `minidock system stop`.
pub fn stop_command() -> clap::Command {
    let about = "Stop the daemon; containers go on unless --all is given";
    flag::command("stop", "[OPTIONS]", about)
        .arg(flag::switch("all", "Stop all running containers first").short('a'))
        .arg(flag::switch("purge-network", "Take every bridge, rule and setting of the daemon off the machine first"))
        .arg(flag::number("timeout", "int", "Seconds to wait before killing a container").short('t'))
}

/// Stops the daemon, and with `--all` every container before it.
///
/// # Errors
/// It is no minidock daemon; it is still there after ten seconds. Nobody there is not an error.
pub async fn run_stop(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let address = session.address()?.clone();
    let Ok(docker) = Docker::connect(address.clone(), None).await else {
        terminal::eprint(&format!("minidock: no daemon at {address}\n"));
        return Ok(0);
    };
    if m.get_flag("all") {
        let running: Vec<Summary> = docker.get(&Route::new("/containers/json", [])).await?;
        let ids: Vec<String> = running.into_iter().map(|container| container.id).collect();
        let timeout = flag::number_of(m, "timeout");
        let stop = async |id: String| {
            docker.poke(&Route::new("/containers/{}/stop", [&id]).maybe("t", timeout)).await.map(|()| id + "\n")
        };
        if at_once(ids, stop).await? != 0 {
            return Err(Error::system("some containers could not be stopped, so the daemon goes on"));
        }
    }
    let said = match stop(&address, &docker, m.get_flag("purge-network")).await? {
        Some(pid) => format!("minidock: stopped the daemon (pid {pid})\n"),
        None => format!("minidock: stopped the daemon at {address}\n"),
    };
    terminal::eprint(&said);
    Ok(0)
}

/// Asks the daemon to end and waits until it has; gives its pid where the kernel tells it.
async fn stop(address: &Address, docker: &Docker, purge_network: bool) -> Result<Option<u32>> {
    // held before the daemon is asked, so that its number cannot come to mean another process
    let process = behind(address).await;
    docker.poke(&Route::new("/minidock/stop", []).flag("purge-network", purge_network)).await.map_err(|error| {
        match error.kind() {
            Kind::NotFound => Error::invalid(format!("what answers at {address} is no minidock daemon, so it is left alone")),
            _ => error.during("stop the daemon"),
        }
    })?;
    let deadline = Instant::now() + PATIENCE;
    let Some((pid, handle)) = process else {
        while Docker::connect(address.clone(), None).await.is_ok() {
            if Instant::now() > deadline {
                return Err(Error::unavailable(format!("it still answers at {address}")).during("stop the daemon"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        return Ok(None);
    };
    let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)).map_err(std::io::Error::from);
    match ended.doing(|| "wait for the daemon's end")? {
        0 => Err(Error::unavailable(format!("process {pid} is still there after {} s", PATIENCE.as_secs()))
            .during("stop the daemon")),
        _ => Ok(Some(pid)),
    }
}

/// The process that listens at a unix socket, by the kernel's word.
async fn behind(address: &Address) -> Option<(u32, OwnedFd)> {
    let Address::Unix(socket) = address else { return None };
    let stream = tokio::net::UnixStream::connect(socket).await.ok()?;
    let pid = Pid::from_raw(stream.peer_cred().ok()?.pid()?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    Some((pid.as_raw_nonzero().get() as u32, handle))
}
