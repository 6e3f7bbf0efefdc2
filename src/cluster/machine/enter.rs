//! # Enter: a program in a machine that runs
//!
//! `cluster exec node1 -- ip addr` and `cluster shell node1` need a process inside of a node: in its cgroup (so that a frozen node freezes it
//! and a power cut kills it) and in all of its namespaces.
//!
//! ```text
//!   minidock machine enter ORDERS PID PROGRAM…      stdio: pipes, or a terminal, from the hosting daemon
//!     enter the cgroup ─► setns(pidfd, all of them) ─► fork ──► [session, terminal] ─► execve
//!                                                    │                               PID n of the node
//!                                                    └ waits; its status is ours
//! ```
//!
//! * A PID namespace is joined by *children* only: hence the fork. When the hosting daemon kills us, the program is killed, too.
//! * `$MINIDOCK_WORKDIR` says where the program begins; a folder that the node has not is `/root`, or `/`.
//!
//! Laws: the node's first process is checked against its start time: a number may be somebody else's by now.
//! *See:* setns(2), nsenter(1). Next room: [`crate::node`]

use super::{join, orders::Orders};
use crate::reach;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    clone::{self, Cloned},
    exec::{self, NotFound},
    proc::Process,
    signal, tty, wait,
};
use std::{ffi::CString, path::Path};

/// Where the program is to begin.
pub const WORKDIR: &str = "MINIDOCK_WORKDIR";

const SIGKILL: i32 = 9;

/// Runs `program` in the node whose PID 1 is `whom` (`pid:start time`); its status.
///
/// # Errors
/// The node is not there, or may not be entered.
pub fn enter(file: &Path, whom: &str, program: &[String]) -> Result<i32> {
    let orders = Orders::load(file)?;
    let gone = || Error::conflict(format!("{} does not run", orders.name));
    let (pid, started) = whom.split_once(':').ok_or_else(gone)?;
    let (pid, started): (i32, u64) = (pid.parse().map_err(|_| gone())?, started.parse().map_err(|_| gone())?);
    let pidfd = wait::pidfd_open(pid).map_err(|_| gone())?;
    if Process::read(pid).is_none_or(|process| process.started != started || process.is_over()) {
        return Err(gone());
    }
    let group = reach::group(&orders.cgroup)?;
    let group = if group.version() == Version::V1 { group } else { group.child(Path::new("system")) };
    let doors = group.open_doors().doing(|| format!("enter {}", orders.name))?;
    Cgroup::enter_through(&doors).doing(|| format!("enter the cgroup of {}", orders.name))?;
    drop(doors);
    join(&pidfd, &orders.name)?;
    match clone::fork(|| program.join(" ")).doing(|| "make a process in the node")? {
        Cloned::Parent { pid, .. } => Ok(wait::wait(pid).doing(|| "wait for the program")?.docker_code()),
        Cloned::Child => become_program(program),
    }
}

fn become_program(program: &[String]) -> Result<i32> {
    let _ = wait::setsid(); // a fresh child is no leader
    if tty::is_terminal(std::io::stdin()) {
        tty::make_controlling(std::io::stdin()).doing(|| "take the terminal")?;
    } else {
        wait::parent_death_signal(SIGKILL).doing(|| "tie the program to its caller")?;
    }
    signal::defaults().doing(|| "set signals back")?;
    let folder = std::env::var(WORKDIR).unwrap_or_default();
    let _ = [folder.as_str(), "/root", "/"].into_iter().find(|folder| std::env::set_current_dir(folder).is_ok());
    let path = std::env::var("PATH").unwrap_or_default();
    let name = &program[0];
    let found = match exec::find_in_path(name, &path) {
        Ok(found) => found,
        Err(why) => {
            let (status, why) = match why {
                NotFound::NotExecutable | NotFound::IsFolder => (126, "permission denied"),
                _ => (127, "no such file or directory"),
            };
            eprintln!("minidock: exec {name:?}: {why}");
            return Ok(status);
        }
    };
    let text = |word: String| CString::new(word).doing(|| "write the program's arguments");
    let argv = program.iter().cloned().map(text).collect::<Result<Vec<_>>>()?;
    let kept = std::env::vars().filter(|(name, _)| name != WORKDIR);
    let envp = kept.map(|(name, value)| text(format!("{name}={value}"))).collect::<Result<Vec<_>>>()?;
    let failed = exec::execve(&found, &argv, &envp);
    eprintln!("minidock: exec {name:?}: {failed}");
    Ok(126)
}
