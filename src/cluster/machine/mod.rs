//! # Machine: the costume of a simulated node
//!
//! A node of a simulated cluster is a daemon like any other, on a machine that consists of namespaces. Somebody has to make that machine, and
//! the daemon that hosts it has many threads, so it may clone nothing. It executes its own binary as `minidock machine`, and this single-threaded
//! program makes the namespaces, furnishes them, and becomes their PID 1.
//!
//! ```text
//!   hosting daemon                minidock machine run ORDERS            PID 1 of node1
//!        │ exec ────────────────────────►│ enter the node's cgroup
//!        │                               │ clone3(NEWPID|NEWNS|NEWNET|NEWUTS|NEWCGROUP) ──►│
//!        │◄───────────── "pid 4711" ─────│ ends                                            │ its mounts    world
//!        │ lays the cable: veth, far end in /proc/4711/ns/net                               │
//!        │ "plugged" ──────────────────────────────────────────────────────────────────────►│ eth0, its address
//!        │                                                                                  │ exec: minidock daemon
//!        │◄───────────── "ready" ───────────────────────────────────────────────────────────│ ◄── READY=1
//!        ▼ (may be killed now: the node stays)                                              ▼ waits for signals  init
//! ```
//!
//! * [`orders`]: what the machine is to be, as a file that also serves whoever enters it later.
//! * [`world`]: its mounts: the hosting machine's file systems with a `/run`, a `/var/lib/minidock`, an `/etc/hosts` of its own.
//! * [`init`]: PID 1: starts the daemon, buries the dead, shuts down in order.
//! * [`enter`]: `minidock machine enter`: a program in a machine that runs, for `cluster exec` and `cluster shell`.
//!
//! **Why a PID namespace of its own.** A power cut must take the daemon, its shims and all containers *at once*, and nothing else has that power:
//! when PID 1 of a namespace is killed, the kernel kills everything in it before the death is told. It also makes `ps` in the node show the node.
//!
//! Laws: one thread; no word on the way from clone to `ready` is lost: it is told to the hosting daemon, or stands in the node's `machine.log`.
//! *In the real world* this is what a virtual machine's firmware and systemd do, and what kind and Docker-in-Docker do with containers.
//! *See:* pid_namespaces(7), cgroup_namespaces(7). Next room: [`orders`]

pub mod enter;
pub mod init;
pub mod orders;
pub mod world;

use crate::reach;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::Version,
    clone::{self, Cloned},
    namespaces, wait,
};
use orders::Orders;
use std::{ffi::OsString, io::Write, path::Path};

/// On cgroup v2 a group that hands controllers down has no processes itself, so the machine's own live one level below.
const SYSTEM: &str = "/system";

/// The costume: `args` are the words behind `minidock machine`. Gives back the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    let words: Vec<String> = args.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match words.as_slice() {
        [verb, file] if verb == "run" => run(Path::new(file)),
        [verb, file, pid, program @ ..] if verb == "enter" && !program.is_empty() => {
            enter::enter(Path::new(file), pid, program)
        }
        _ => Err(Error::invalid("the daemon calls this by itself: minidock machine run ORDERS | enter ORDERS PID PROGRAM…")),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("minidock: {error}");
            125
        }
    }
}

/// Makes the machine. The parent ends when it has said which process is PID 1; the child lives as long as the node.
fn run(file: &Path) -> Result<i32> {
    let orders = Orders::load(file)?;
    let _ = wait::setsid(); // a leader already, if a shell started us
    settle(&orders)?;
    match clone::clone3(clone::Request { namespaces: reach::namespaces(), ..clone::Request::default() })
        .doing(|| "make the node's namespaces")?
    {
        Cloned::Parent { pid, .. } => {
            let mut out = std::io::stdout();
            writeln!(out, "pid {pid}").and_then(|()| out.flush()).doing(|| "tell the hosting daemon")?;
            Ok(0)
        }
        Cloned::Child => init::live(&orders),
    }
}

/// Enters the node's cgroup, with its limits.
fn settle(orders: &Orders) -> Result<()> {
    let doing = || format!("make the cgroup of {}", orders.name);
    let group = reach::group(&orders.cgroup).doing(doing)?;
    group.create().doing(doing)?;
    let v1 = group.version() == Version::V1;
    if orders.cpus > 0.0 && reach::has(&group, "cpu") {
        let quota = (orders.cpus * 100_000.0).round().max(1_000.0) as i64;
        match v1 {
            true => group.write("cpu", "cpu.cfs_quota_us", &quota.to_string()),
            false => group.write("cpu", "cpu.max", &format!("{quota} 100000")),
        }
        .doing(|| format!("give {} {} CPUs", orders.name, orders.cpus))?;
    }
    if orders.memory > 0 && reach::has(&group, "memory") {
        let knob = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
        group.write("memory", knob, &orders.memory.to_string()).doing(|| format!("give {} its memory", orders.name))?;
    }
    group.enter_self().doing(doing)
}

/// The door of the machine's own processes on cgroup v2; on v1 they stay where the machine entered.
fn step_aside() -> Result<()> {
    let aside = reach::group(Path::new(SYSTEM))?;
    if aside.version() == Version::V1 {
        return Ok(());
    }
    for dir in aside.dirs() {
        minidock_linux::cgroup::knob::make_folder(&dir.path).doing(|| "make a cgroup for the machine itself")?;
    }
    aside.enter_self().doing(|| "enter the machine's own cgroup")
}

/// All of a node's namespaces, for who enters it by a pidfd.
fn join(pidfd: &std::os::fd::OwnedFd, name: &str) -> Result<()> {
    use std::os::fd::AsFd;
    namespaces::setns(pidfd.as_fd(), reach::namespaces(), name).doing(|| format!("enter {name}"))
}
