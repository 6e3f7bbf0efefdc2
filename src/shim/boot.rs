//! # Boot: from a child of the daemon to nobody's child
//!
//! The daemon may be killed together with its session, its terminal, its cgroup's signals; none of it may reach the
//! container. So before it does anything else, the shim cuts what ties it to its parent.
//!
//! ```text
//!   settle   descriptors above 2      closed: whatever the daemon forgot
//!            fd 0 = a socket ─► kept under another number; 0 and 1 become /dev/null
//!            chdir /                  no file system is held busy
//!            signals                  blocked: SIGTERM and SIGHUP do nothing
//!   ──────── (a nursery does this once, and forks here: crate::nursery) ────────
//!   boot     setsid                   no terminal of the daemon's, no SIGHUP of its session
//!            subreaper                orphans of the runtime fall to us, not to the host's init
//!            signals                  read from a descriptor
//!            Launch ─► socket, log ─► Ready
//! ```
//!
//! Signals are blocked, not ignored: ignored ones would stay ignored in the container.
//!
//! Laws: no thread, ever; until [`crate::protocol::Answer::Ready`] standard error goes where the daemon sent it, for last
//! words. *See:* daemon(7), credentials(7), prctl(2). *Next room:* [`crate::supervise`]

use crate::{
    control::Control,
    log_file::writer::Writer,
    process::Process,
    protocol::{Answer, Launch, Numbered, Reply, Request},
    record,
    runtime::Own,
    socket,
    supervise::Shim,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    action::{self, Actor},
    fds,
    signal::{self, Mask},
    wait,
};
use std::{
    fs,
    io::IsTerminal,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    time::Duration,
};

/// How long the daemon may take to say what is wanted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Cuts every tie that all shims cut alike; gives back the socket that was descriptor 0.
///
/// # Errors
/// What could not be had.
pub fn settle() -> Result<OwnedFd> {
    action::start(Actor::Shim);
    fds::close_from(3).doing(|| "close inherited descriptors")?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().doing(|| "take over the control connection")?;
    let null = fds::dev_null().doing(|| "open the null device")?;
    match std::io::stderr().is_terminal() {
        true => fds::become_stdio(&null, &null, &null),
        false => fds::become_stdio(&null, &null, std::io::stderr()),
    }
    .doing(|| "let go of standard input and output")?;
    std::env::set_current_dir("/").doing(|| "change to the root directory")?;
    let _ = fs::write("/proc/self/comm", "minidock-shim"); // only for who looks with ps
    signal::block(&mask()).doing(|| "block signals")?;
    Ok(socket)
}

/// Becomes a shim, with orders to be read from `control`: returns when it listens and the daemon has been told.
///
/// # Errors
/// What could not be had; the daemon, if it is still there, has been told the same.
pub fn boot(control: UnixStream, own: Option<Own>) -> Result<Shim> {
    let mut control = Control::new(0, control);
    let _ = wait::setsid(); // a leader already, when a shell started us
    wait::child_subreaper().doing(|| "become the parent of orphans")?;
    let signals = signal::descriptor(&mask()).doing(|| "read signals from a descriptor")?;

    let (seq, launch) = orders(&mut control)?;
    match equip(&launch) {
        Ok((main, listener)) => {
            control.say(&Reply::Answer { seq, answer: Answer::Ready { shim_pid: std::process::id() as i32 } });
            control.socket().set_nonblocking(true).doing(|| "keep the control connection")?;
            Ok(Shim::new(launch, own, main, control, listener, signals))
        }
        Err(error) => {
            control.say(&Reply::Answer { seq, answer: Answer::Failed(error.to_wire()) });
            Err(error)
        }
    }
}

/// All signals but those by which a program kills itself for a mistake.
fn mask() -> Mask {
    let faults = ["SEGV", "BUS", "FPE", "ILL", "ABRT", "TRAP"].map(libc_signal);
    Mask::of(&(1..=64).filter(|signal| !faults.contains(signal)).collect::<Vec<_>>())
}

fn libc_signal(name: &str) -> i32 {
    signal::parse(name).expect("a POSIX signal")
}

/// The first line: [`Launch`]. What came behind it stays with the connection.
fn orders(control: &mut Control) -> Result<(u64, Launch)> {
    let doing = || "read the daemon's orders";
    control.socket().set_nonblocking(false).doing(doing)?;
    control.socket().set_read_timeout(Some(PATIENCE)).doing(doing)?;
    let line = loop {
        control.receive();
        match control.line() {
            Some(line) => break line,
            None if control.dead => return Err(Error::system("the daemon hung up").during(doing())),
            None if control.since.elapsed() > PATIENCE => return Err(Error::system("the daemon said nothing").during(doing())),
            None => {}
        }
    };
    match serde_json::from_slice(&line).doing(doing)? {
        Numbered { seq, request: Request::Launch(launch) } => Ok((seq, *launch)),
        _ => Err(Error::invalid("the first request must be launch").during(doing())),
    }
}

/// Everything a shim needs before it can say Ready.
fn equip(launch: &Launch) -> Result<(Process, UnixListener)> {
    let mut main = Process::new(None, launch.terminal, launch.open_stdin, launch.stdin_once, launch.console_size);
    if let Some(log) = &launch.log {
        main.log_to(Writer::open(log.clone())?);
    }
    launch.actions_file.iter().for_each(|file| record::trim(file));
    let _ = fs::remove_file(&launch.exit_file); // of an earlier life, if there was one
    let listener = socket::bind(&launch.socket).doing(|| format!("listen on {}", launch.socket.display()))?;
    Ok((main, listener))
}
