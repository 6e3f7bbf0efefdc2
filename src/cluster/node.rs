//! # Node: the life of one machine, seen from its host
//!
//! ```text
//!            start                                     stop (SIGTERM to PID 1, it shuts down in order)
//!   stopped ───────► running ─────────────────────────────────────────────► stopped
//!      ▲               │  ▲ │                          kill (SIGKILL to PID 1: the kernel takes all)
//!      │         pause │  │ └──────────────────────────────────────────────► killed ──┐
//!      │               ▼  │ unpause                                                   │ start
//!      │             paused (the node's cgroup is frozen)                             ▼
//!      └──────────────────────────────────────────────────────────────────────────  running
//!   running ── kill --daemon ──► no daemon (containers go on) ── start ──► running
//! ```
//!
//! * [`start`] writes the orders, executes `minidock machine` ([`crate::machine`]), lays the cable and waits until the node's daemon says that it stands.
//! * [`end`] is how all ends begin: PID 1 gets a signal, and its pidfd tells when everything is gone. What a reboot would have cleared (the exec root, the
//!   cable, the cgroup) is cleared.
//!
//! Laws: nothing here holds a lock; a node that is started twice is refused by its `running.json`; every wait has a limit. Next room: [`crate::shell`]

use crate::{
    machine::orders::{self, CLOCK, GRACE, Orders, SOCKET},
    reach,
    state::{self, Node, Record, Running},
    underlay::{self, Underlay},
};
use jiff::SignedDuration;
use minidock_base::{Doing, Error, Result, clock, paths::Paths, state_file};
use minidock_client::{Address, Docker};
use minidock_linux::{
    cgroup::Cgroup,
    poll::{self, Want},
    proc::Process,
    remove_tree, signal, wait,
};
use minidock_spec::{cluster::Status, engine::API_VERSION};
use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How long a machine may take from its first line to a daemon that answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a killed machine may take to be gone.
const DEATH: Duration = Duration::from_secs(20);

const SIGUSR1: i32 = 10;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What all nodes of a cluster stand on.
pub struct Ground<'a> {
    pub paths: &'a Paths,
    pub underlay: &'a Underlay,
    pub record: &'a Record,
}

/// Makes the machine and its daemon, and waits until it answers.
///
/// # Errors
/// It runs already; what the machine, or its daemon, said last.
pub async fn start(ground: &Ground<'_>, node: &Node) -> Result<()> {
    let doing = || format!("start {}", node.name);
    if state::running(ground.paths, &node.name).is_some() {
        return Err(Error::conflict(format!("{} runs already", node.name)));
    }
    sweep(ground, node).doing(doing)?;
    let orders = write_orders(ground, node).doing(doing)?;
    let made = match tokio::time::timeout(PATIENCE, make(ground, node, &orders)).await {
        Ok(made) => made,
        Err(_) => Err(Error::unavailable(format!("it did not stand within {} s", PATIENCE.as_secs()))),
    };
    if made.is_err() {
        let _ = destroy(ground, node).await; // what went wrong first is what the user must read
    }
    made.doing(doing)
}

/// The two lines that are said, and what is done in between.
async fn make(ground: &Ground<'_>, node: &Node, orders: &Path) -> Result<()> {
    let log = fs::File::create(ground.paths.cluster_run(&node.name).join("machine.log")).doing(|| "open the machine's log")?;
    let mut child = tokio::process::Command::new("/proc/self/exe")
        .args(["machine", "run"])
        .arg(orders)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .doing(|| "execute the machine")?;
    let no_pipe = || Error::system("the machine has no pipe");
    let (mut tell, hear) = (child.stdin.take().ok_or_else(no_pipe)?, child.stdout.take().ok_or_else(no_pipe)?);
    let mut lines = BufReader::new(hear).lines();
    let said = lines.next_line().await.doing(|| "hear the machine")?.unwrap_or_default();
    child.wait().await.doing(|| "wait for the machine's first process")?;
    let pid = said.strip_prefix("pid ").and_then(|pid| pid.parse::<i32>().ok()).ok_or_else(|| last_words(ground, node))?;
    let process = Process::read(pid).ok_or_else(|| last_words(ground, node))?;
    let running = Running { pid, started: process.started, started_at: clock::rfc3339_nanos(clock::now()) };
    state::write_running(ground.paths, &node.name, &running)?;
    ground.underlay.plug(ground.record, node, pid)?;
    tell.write_all(b"plugged\n").await.doing(|| "tell the machine")?;
    match lines.next_line().await.doing(|| "hear the machine")?.unwrap_or_default() {
        ready if ready == "ready" => ground.underlay.notice(ground.record, node),
        failed => match failed.strip_prefix("failed ").and_then(|wire| serde_json::from_str(wire).ok()) {
            Some(wire) => Err(Error::from_wire(wire)),
            None => Err(last_words(ground, node)),
        },
    }
}

/// What the machine left in its log.
fn last_words(ground: &Ground<'_>, node: &Node) -> Error {
    let log = fs::read_to_string(ground.paths.cluster_run(&node.name).join("machine.log")).unwrap_or_default();
    match log.trim() {
        "" => Error::system("the machine ended without a word"),
        said => Error::system(said.trim_start_matches("minidock: ").to_string()),
    }
}

/// The folders, the node's `/etc` and the orders.
fn write_orders(ground: &Ground<'_>, node: &Node) -> Result<PathBuf> {
    let (data_root, exec_root) = (ground.paths.cluster_node(&node.name), ground.paths.cluster_run(&node.name));
    for folder in [&data_root, &exec_root, &exec_root.join("etc")] {
        private(folder)?;
    }
    write_etc(ground.paths, ground.record, node)?;
    set_clock(ground.paths, node)?;
    let orders = Orders {
        name: node.name.clone(),
        address: node.address,
        prefix: ground.record.net()?.prefix(),
        gateway: underlay::gateway(ground.record)?,
        data_root,
        lent: ground.paths.data_root().to_path_buf(),
        cgroup: ground.record.cgroup(&node.name),
        cpus: node.cpus,
        memory: node.memory,
        labels: node.labels.clone(),
        generic_resources: node.generic_resources.clone(),
        program: program(&exec_root)?,
        exec_root: exec_root.clone(),
    };
    let file = exec_root.join(orders::FILE);
    state_file::save(&file, &orders)?;
    Ok(file)
}

/// The file of this program, under a name that the node can see. `/proc/self/exe` does not tell it: a protected daemon runs from a mount that hangs nowhere
/// ([`minidock_linux::exec`]); so whoever is called `minidock` and is the same file will do, and if nobody is, a copy.
fn program(exec_root: &Path) -> Result<PathBuf> {
    let itself = |path: &Path| fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()));
    let ours = itself(Path::new("/proc/self/exe"));
    let called = std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
    let called = called.and_then(|name| std::path::absolute(name).ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).chain([PathBuf::from("/usr/local/bin")]).map(|folder| folder.join("minidock"));
    if let Some(found) = called.into_iter().chain(named).find(|path| !path.starts_with("/proc") && itself(path) == ours) {
        return Ok(found);
    }
    let copy = exec_root.join("minidock");
    fs::copy("/proc/self/exe", &copy).doing(|| "copy the program for the node")?;
    Ok(Path::new(orders::EXEC_ROOT).join("minidock"))
}

fn private(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o710).create(folder).doing(|| format!("make the folder {}", folder.display()))
}

/// Sets the clock of a node off, or right, whatever it is doing; one that is off has it set when it starts.
///
/// # Errors
/// The disk's.
pub fn set_clock(paths: &Paths, node: &Node) -> Result<()> {
    let file = paths.cluster_run(&node.name).join(CLOCK);
    clock::set(&file, SignedDuration::from_nanos(node.skew)).doing(|| format!("set the clock of {}", node.name))
}

/// The node's files in `/etc`. They are written in place: a running node has them mounted.
///
/// # Errors
/// The disk's.
pub fn write_etc(paths: &Paths, record: &Record, node: &Node) -> Result<()> {
    let resolvers = match record.uplink {
        true => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        false => String::new(), // nobody would answer: an empty file says so at once
    };
    let folder = paths.cluster_run(&node.name).join("etc");
    for (name, text) in [("hosts", record.hosts()), ("hostname", format!("{}\n", node.name)), ("resolv.conf", resolvers)] {
        let file = folder.join(name);
        fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Starts the daemon of a machine that runs without one, and waits until it answers.
///
/// # Errors
/// It does not come up.
pub async fn start_daemon(paths: &Paths, name: &str) -> Result<()> {
    let running = state::running(paths, name).ok_or_else(|| Error::conflict(format!("{name} does not run")))?;
    signal::kill(running.pid, SIGUSR1).doing(|| format!("start the daemon of {name}"))?;
    let until = tokio::time::Instant::now() + PATIENCE;
    while docker(paths, name).await.is_err() {
        if tokio::time::Instant::now() > until {
            return Err(Error::unavailable(format!("the daemon of {name} did not answer"))
                .hint(format!("its log is {}", paths.cluster_node(name).join("daemon.log").display())));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The daemon of a node, as its host reaches it.
///
/// # Errors
/// It does not answer.
pub async fn docker(paths: &Paths, name: &str) -> Result<Docker> {
    Docker::connect(Address::Unix(paths.cluster_run(name).join(SOCKET)), Some(API_VERSION)).await
}

/// What the node is doing, by what the kernel says.
pub fn status(ground: &Ground<'_>, node: &Node) -> (Status, Option<Running>) {
    let Some(running) = state::running(ground.paths, &node.name) else {
        return (
            match node.wanted {
                state::Wanted::Running => Status::Dead,
                state::Wanted::Stopped => Status::Stopped,
                state::Wanted::Killed => Status::Killed,
            },
            None,
        );
    };
    let frozen = group(ground, node).is_ok_and(|group| group.is_frozen());
    let socket = ground.paths.cluster_run(&node.name).join(SOCKET);
    let status = match frozen {
        true => Status::Paused,
        false if std::os::unix::net::UnixStream::connect(socket).is_err() => Status::NoDaemon,
        false => Status::Running,
    };
    (status, Some(running))
}

fn group(ground: &Ground<'_>, node: &Node) -> Result<Cgroup> {
    reach::group(&ground.record.cgroup(&node.name))
}

/// Freezes every process of the node.
///
/// # Errors
/// Some process could not be stopped; there is no freezer within reach.
pub async fn pause(ground: &Ground<'_>, node: &Node) -> Result<()> {
    let group = group(ground, node)?;
    if group.dirs().is_empty() {
        return Err(Error::conflict(format!("{} cannot be frozen: this daemon may make no cgroups", node.name))
            .hint(format!("to the others, minidock cluster partition {} looks the same", node.name)));
    }
    blocking(move || group.freeze().doing(|| "freeze the node")).await
}

/// Lets them go on.
///
/// # Errors
/// The kernel's.
pub async fn unpause(ground: &Ground<'_>, node: &Node) -> Result<()> {
    let group = group(ground, node)?;
    blocking(move || group.thaw().doing(|| "thaw the node")).await
}

/// Orderly: the daemon, then the programs, each with `grace` to end.
///
/// # Errors
/// The kernel's; a node that does not run is no failure.
pub async fn stop(ground: &Ground<'_>, node: &Node, grace: Duration) -> Result<()> {
    let _ = unpause(ground, node).await; // a frozen node cannot shut down
    let file = ground.paths.cluster_run(&node.name).join(GRACE);
    if state::running(ground.paths, &node.name).is_some() {
        fs::write(&file, grace.as_secs().to_string()).doing(|| format!("write {}", file.display()))?;
    }
    end(ground, node, SIGTERM, grace + PATIENCE).await
}

/// A power cut.
///
/// # Errors
/// The kernel's; a node that does not run is no failure.
pub async fn kill(ground: &Ground<'_>, node: &Node) -> Result<()> {
    end(ground, node, SIGKILL, DEATH).await
}

/// SIGKILL for the node's daemon alone: its containers go on.
///
/// # Errors
/// It has none.
pub async fn kill_daemon(ground: &Ground<'_>, node: &Node) -> Result<()> {
    let doing = || format!("kill the daemon of {}", node.name);
    let running = state::running(ground.paths, &node.name);
    let running = running.ok_or_else(|| Error::conflict(format!("{} does not run", node.name))).doing(doing)?;
    // its own child, and not a shim: those are children of PID 1 only when their daemon is gone
    let pids =
        fs::read_dir("/proc").doing(doing)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_daemon = |pid: &i32| {
        Process::read(*pid).is_some_and(|process| process.parent == running.pid)
            && fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().split(|byte| *byte == 0).nth(1) == Some(b"daemon")
    };
    let found = pids.into_iter().find(is_daemon).and_then(|pid| wait::pidfd_open(pid).ok());
    let daemon = found.ok_or_else(|| Error::conflict(format!("{} has no daemon", node.name))).doing(doing)?;
    let _ = signal::pidfd_send_signal(&daemon, SIGKILL); // it may have ended just now
    match gone(daemon, DEATH).await? {
        true => Ok(()),
        false => Err(Error::system("it does not end").during(doing())),
    }
}

/// Sends PID 1 a signal, waits until all is gone, and clears what a reboot would have cleared.
async fn end(ground: &Ground<'_>, node: &Node, number: i32, limit: Duration) -> Result<()> {
    let doing = || format!("end {}", node.name);
    if let Some(running) = state::running(ground.paths, &node.name)
        && let Ok(pidfd) = wait::pidfd_open(running.pid)
    {
        let _ = signal::pidfd_send_signal(&pidfd, number); // it may have ended just now
        if number == SIGKILL {
            let _ = unpause(ground, node).await; // what is frozen dies only when it is thawed
        }
        if !gone(pidfd, limit).await? {
            let pidfd = wait::pidfd_open(running.pid).doing(doing)?;
            let _ = signal::pidfd_send_signal(&pidfd, SIGKILL);
            if !gone(pidfd, DEATH).await? {
                return Err(Error::system(format!("process {} does not end", running.pid)).during(doing()));
            }
        }
    }
    destroy(ground, node).await.doing(doing)
}

/// Whether the process has ended within `limit`.
async fn gone(pidfd: OwnedFd, limit: Duration) -> Result<bool> {
    blocking(move || poll::until_ready(pidfd.as_fd(), Want::READ, Some(limit)).doing(|| "wait for the end of a node")).await
}

/// What is left of a node whose processes are gone: its cgroup, its cable, its exec root.
async fn destroy(ground: &Ground<'_>, node: &Node) -> Result<()> {
    if let Some(running) = state::running(ground.paths, &node.name) {
        let _ = signal::kill(running.pid, SIGKILL); // a start that failed
        if let Ok(pidfd) = wait::pidfd_open(running.pid) {
            gone(pidfd, DEATH).await?;
        }
    }
    let (group, exec_root) = (group(ground, node)?, ground.paths.cluster_run(&node.name));
    let cable = ground.underlay.unplug(ground.record, node);
    blocking(move || {
        let _ = group.kill(); // whoever was entering just then
        let group = group.remove().doing(|| "remove the node's cgroup");
        group.and(remove(&exec_root)).and(cable)
    })
    .await
}

/// Nothing of an earlier life may be there when a node starts: one whose host was killed in the middle.
fn sweep(ground: &Ground<'_>, node: &Node) -> Result<()> {
    let group = group(ground, node)?;
    if group.exists() {
        let _ = group.kill(); // nobody may be in there
        group.remove().doing(|| "remove the cgroup of an earlier life")?;
    }
    remove(&ground.paths.cluster_run(&node.name))
}

/// Removes a node's data, for good.
///
/// # Errors
/// The disk's.
pub async fn forget(paths: &Paths, name: &str) -> Result<()> {
    let folder = paths.cluster_node(name);
    blocking(move || remove(&folder)).await
}

/// Removes a folder and all below it; gone is gone.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    match fs::File::open(above) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        above => {
            let above = above.doing(|| format!("open the folder above {}", folder.display()))?;
            remove_tree::remove_tree(&above, name).doing(|| format!("remove {}", folder.display()))
        }
    }
}

/// Work that waits for the kernel, away from the threads that serve everybody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::system(format!("the work was given up: {error}"))),
    }
}
