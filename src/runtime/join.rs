//! # Join: a second process in a container that already runs
//!
//! `exec` comes in by the same door as init, but the house stands already. The kernel makes it short: a pidfd of the first
//! process in the hand, one setns joins all its namespaces at once.
//!
//! ```text
//!   parent: pidfd_open(init) · setns(pidfd, CLONE_NEWPID) · clone3
//!   child:  enter the cgroup · setns(pidfd, all the others) · become the user (crate::finish) · execve
//! ```
//!
//! * Those inside may try to look at the newcomer while it is still our program: it is not dumpable from its first line
//!   until execve (CVE-2016-9962), and its program file is read-only (crate::linux `exec`).
//! * What `process` does not say is taken from the configuration of the container: user, environment, capabilities.
//!
//! Laws: init is checked to be the process of the record *after* its pidfd is open. See: setns(2). Next: [`crate::foreground`]

use crate::{
    attend::{during_init, write_pid_file},
    birth, bundle, console,
    finish::{self, Wish},
    grants,
    handshake::{self, Word},
    init::Never,
    lifecycle, log, privileges, seccomp,
    state::{Folder, Record},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    action::{self, Actor},
    cgroup::Cgroup,
    clone::{Cloned, Request, clone3},
    fds, files, limits, mount,
    namespaces::{Namespace, Set, setns},
    pivot_root, proc,
    seccomp::Filter,
    signal, wait,
};
use minidock_spec::runtime::Status;
use oci_spec::runtime::{Process, Spec};
use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

const EBUSY: i32 = 16;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub id: String,
    pub pid_file: Option<PathBuf>,
    pub console_socket: Option<PathBuf>,
    pub pidfd_socket: Option<PathBuf>,
    pub preserve_fds: u32,
    /// Groups below the container's: `PATH`, or on v1 `CONTROLLER[,CONTROLLER]:PATH`.
    pub cgroups: Vec<String>,
    pub ignore_paused: bool,
    /// The terminal's reader is a program, not a terminal.
    pub plain_newlines: bool,
}

/// Starts `process` in the container; gives back its pid, a child of ours.
///
/// # Errors
/// The container does not run; or the step that failed inside.
pub fn join(root: &Path, options: &Options, process: &Process, terminal: Option<OwnedFd>) -> Result<i32> {
    bundle::check_process(process)?;
    let (folder, record) = lifecycle::load(root, &options.id)?;
    match record.status(&folder) {
        Status::Stopped => return Err(Error::conflict("cannot exec in a stopped container")),
        Status::Creating => return Err(Error::conflict("cannot exec in a container that is being created")),
        Status::Paused if !options.ignore_paused => {
            return Err(Error::conflict("cannot exec in a paused container (use --ignore-paused to override)"));
        }
        _ => {}
    }
    let console = match (process.terminal().unwrap_or(false), terminal, &options.console_socket) {
        (false, ..) => None,
        (true, Some(terminal), _) => Some(terminal),
        (true, None, Some(path)) => Some(console::connect(path)?),
        (true, None, None) => {
            return Err(Error::invalid("cannot allocate tty if runc will detach without setting console socket"));
        }
    };
    let spec = folder.spec()?;
    let in_user_namespace = record.namespaces.iter().any(|name| name == "user");
    let process = grants::grantable(process.clone(), in_user_namespace)?;
    start(&folder, &record, options, &process, &spec, console)
}

fn start(
    folder: &Folder,
    record: &Record,
    options: &Options,
    process: &Process,
    spec: &Spec,
    console: Option<OwnedFd>,
) -> Result<i32> {
    let gone = || Error::conflict("cannot exec in a stopped container");
    let init = wait::pidfd_open(record.pid).map_err(|_| gone())?;
    record.process().ok_or_else(gone)?;
    let filter = match spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
        Some(asked) => Some(seccomp::compile(asked)?),
        None => None,
    };
    privileges::oddities(process)?.iter().for_each(|odd| log::warn(odd));
    let group = group(record, options)?;
    let into = group.clone_into_fd().doing(|| "open the container's cgroup")?;
    let doors = birth::doors(&group, into.is_some())?;
    let (ours, theirs) = fds::socketpair().doing(|| "make a socket pair")?;
    let walls = walls(record)?;
    if walls.has(Namespace::Pid) {
        setns(init.as_fd(), Set::EMPTY.with(Namespace::Pid), "the container").doing(|| "join its pid namespace")?;
    }
    let outside = match walls.has(Namespace::Mount) {
        true => None,
        false => {
            Some(mount::open_path(Path::new(&format!("/proc/{}/root", record.pid))).doing(|| "find the container's root")?)
        }
    };
    match newborn(record, options, &group, into)? {
        Cloned::Child => {
            drop(ours);
            let walls = walls.without(Namespace::Pid);
            let visit = Visit { init, walls, doors, outside, process, spec, filter, console, options, record };
            visit.run(theirs)
        }
        Cloned::Parent { pid, pidfd } => {
            drop((theirs, console));
            crate::log::debug(&format!("nsexec container setup: process {pid} joins {walls}"));
            crate::log::debug("child process in init()");
            let mut parent = Parent { pid, pidfd, channel: File::from(ours), options, process, spec, folder, record };
            parent.attend().inspect_err(|_| {
                let _ = signal::kill(pid, 9);
                let _ = wait::wait(pid);
            })?;
            Ok(pid)
        }
    }
}

/// On v2 the child is born in its group. If the container has moved its processes into groups below and handed controllers
/// down, the kernel says EBUSY, and the place is where init went.
fn newborn(record: &Record, options: &Options, group: &Cgroup, into: Option<OwnedFd>) -> Result<Cloned> {
    let born =
        |into: &Option<OwnedFd>| clone3(Request { into_cgroup: into.as_ref().map(|fd| fd.as_fd()), ..Default::default() });
    match (born(&into), group.dirs().first()) {
        (Err(busy), Some(dir)) if busy.is(EBUSY) && into.is_some() && options.cgroups.is_empty() => {
            let table = std::fs::read_to_string(format!("/proc/{}/cgroup", record.pid)).doing(|| "find init's cgroup")?;
            let path = table.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
            let folder = dir.top.join(path.trim_start_matches('/'));
            born(&Some(files::open_directory(&folder).doing(|| "open init's cgroup")?)).doing(|| "make a process")
        }
        (born, _) => born.doing(|| "make a process"),
    }
}

/// The container's group, or those below it that the command line names.
fn group(record: &Record, options: &Options) -> Result<Cgroup> {
    let mut group = record.cgroup.clone().ok_or_else(|| Error::system("the record has no cgroup"))?;
    for wish in options.cgroups.iter().filter(|wish| !wish.is_empty()) {
        let (controllers, below) = match wish.split_once(':') {
            Some((controllers, below)) => (controllers.split(',').collect(), below),
            None => (Vec::new(), wish.as_str()),
        };
        if let Some(unknown) = controllers.iter().find(|name| group.dir_of(name).is_none()) {
            return Err(Error::invalid(format!("unknown controller {unknown}")));
        }
        let relative = Path::new(below).strip_prefix("/").unwrap_or(Path::new(below));
        if relative.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
            return Err(Error::invalid(format!("bad sub cgroup path: {below} is not a sub cgroup path")));
        }
        group = group.child_in(&controllers, relative);
    }
    match group.dirs().iter().find(|dir| !dir.path.is_dir()) {
        Some(gone) => {
            let door = gone.path.join("cgroup.procs");
            Err(Error::invalid(format!(
                "error adding pid to cgroups: adding pid 0 to {}: no such file or directory",
                door.display()
            )))
        }
        None => Ok(group),
    }
}

/// The container's namespaces; the user namespace only if it is not ours (joining one's own is an error).
fn walls(record: &Record) -> Result<Set> {
    let mut set = Set::EMPTY;
    for kind in Namespace::ALL {
        if record.namespaces.iter().any(|name| name == kind.file_name()) {
            set = set.with(kind);
        }
    }
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user"));
    match set.has(Namespace::User) && link("self").ok() == link(&record.pid.to_string()).ok() {
        true => Ok(set.without(Namespace::User)),
        false => Ok(set),
    }
}

/// The parent's side of the handshake.
struct Parent<'a> {
    pid: i32,
    pidfd: OwnedFd,
    channel: File,
    options: &'a Options,
    process: &'a Process,
    spec: &'a Spec,
    folder: &'a Folder,
    record: &'a Record,
}

impl Parent<'_> {
    fn attend(&mut self) -> Result<()> {
        if let Some(score) = self.process.oom_score_adj() {
            proc::write_of(self.pid, "oom_score_adj", &score.to_string()).doing(|| format!("set oom score adj to {score}"))?;
        }
        loop {
            match handshake::hear(&mut self.channel)? {
                Some(Word::Listener { fd }) => {
                    if let Some(asked) = self.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
                        let state = self.record.to_state(self.record.status(self.folder));
                        seccomp::notify::hand_over(asked, self.pid, fd, &state)?;
                    }
                    self.go()?;
                }
                Some(Word::Ready) => {
                    crate::log::debug("setns_init: about to exec");
                    self.announce()?;
                    self.go()?;
                    return lifecycle::hear_it_start(&mut self.channel);
                }
                Some(Word::Failed(wire)) => return Err(during_init(wire)),
                Some(Word::Hooks | Word::Source { .. } | Word::Going) => {
                    return Err(Error::system("the new process says something that belongs elsewhere"));
                }
                None => return Err(Error::system("the new process is gone before it was ready")),
            }
        }
    }

    fn go(&mut self) -> Result<()> {
        handshake::go(&mut self.channel).doing(|| "let the new process go on")
    }

    fn announce(&self) -> Result<()> {
        if let Some(path) = &self.options.pid_file {
            write_pid_file(path, self.pid)?;
        }
        if let Some(path) = &self.options.pidfd_socket {
            let socket = console::connect(path)?;
            fds::send_fd(&socket, &self.pidfd, b"pidfd").doing(|| "send the pidfd")?;
        }
        Ok(())
    }
}

/// The child's side.
struct Visit<'a> {
    init: OwnedFd,
    walls: Set,
    doors: Vec<OwnedFd>,
    /// The root of a container that has no mount namespace.
    outside: Option<OwnedFd>,
    process: &'a Process,
    spec: &'a Spec,
    filter: Option<Filter>,
    console: Option<OwnedFd>,
    options: &'a Options,
    record: &'a Record,
}

impl Visit<'_> {
    fn run(self, channel: OwnedFd) -> ! {
        let recorded = crate::recording::is_on();
        drop(action::stop_lines());
        if recorded {
            action::start(Actor::Exec);
        }
        let mut to = File::from(channel);
        let failed = match self.steps(&mut to) {
            Ok(never) => match never {},
            Err(failed) => failed,
        };
        // Nobody may be listening any more; the exit status says it too.
        let _ = handshake::say(&mut to, Word::Failed(failed.to_wire()));
        std::process::exit(1)
    }

    fn steps(mut self, to: &mut File) -> Result<Never> {
        limits::set_dumpable(false).doing(|| "hide from those inside")?;
        let processors = self.process.exec_cpu_affinity().as_ref();
        let own = |list: Option<&str>| list.filter(|list| !list.is_empty()).map(str::to_string);
        let initial = own(processors.and_then(|lists| lists.initial().as_deref()));
        let last = own(processors.and_then(|lists| lists.cpu_affinity_final().as_deref()));
        set_processors(initial.as_deref())?;
        if let (Some(_), Ok(mask)) = (&initial, limits::processors()) {
            crate::log::debug(&format!("nsexec[{}]: affinity: {mask:#x}", std::process::id()));
        }
        Cgroup::enter_through(&self.doors).doing(|| "join the container's cgroup")?;
        self.doors.clear();
        match initial.is_none() && last.is_none() {
            true => crate::init::run_everywhere(),
            false => set_processors(last.as_deref())?,
        }
        setns(self.init.as_fd(), self.walls, "the container").doing(|| "join the container's namespaces")?;
        if self.walls.has(Namespace::User) {
            crate::init::become_root()?;
            limits::set_dumpable(false).doing(|| "hide from those inside")?;
        }
        if let Some(root) = &self.outside {
            pivot_root::fchdir(root.as_fd(), "the container's root").doing(|| "enter the container's root")?;
            pivot_root::chroot(".").doing(|| "enter the container's root")?;
        }
        wait::setsid().doing(|| "lead a session of our own")?;
        // A kernel without keys has none to leak.
        let _ = limits::join_session_keyring(&format!("_ses.{}", self.record.id));
        let root = files::open_directory(Path::new("/")).doing(|| "open the container's root")?;
        if let Some(out) = self.console.take() {
            let how = console::How { as_console: false, plain_newlines: self.options.plain_newlines };
            console::make(self.process, out.as_fd(), root.as_fd(), how)?;
        }
        let wish = Wish {
            process: self.process,
            spec: Some(self.spec),
            filter: self.filter.as_ref(),
            preserve_fds: self.options.preserve_fds,
            root: root.as_fd(),
            extra_env: &[],
        };
        let ask =
            |to: &mut File, word| handshake::say(to, word).and_then(|()| handshake::wait(to)).doing(|| "talk to the runtime");
        let ready = finish::settle(&wish, &mut |fd| ask(to, Word::Listener { fd }))?;
        ask(to, Word::Ready)?;
        finish::load_late(&ready)?;
        let _ = handshake::say(to, Word::Going);
        finish::default_signals()?;
        Err(finish::execute(&ready))
    }
}

fn set_processors(list: Option<&str>) -> Result<()> {
    match list {
        Some(list) => limits::sched_setaffinity(list).doing(|| format!("run on the processors {list}")),
        None => Ok(()),
    }
}
