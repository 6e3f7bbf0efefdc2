//! # Create: the parent's half
//!
//! From a bundle to a process that waits. The parent does what needs the host in sight, and writes down each thing *before*
//! it makes it, so that `delete --force` finds everything even if this process is killed between two lines.
//!
//! ```text
//!   1 take the name            mkdir ROOT/ID                                 crate::state
//!   2 write state              with the cgroup's path, pid 0
//!   3 cgroup                   make, limit                                   crate::resources
//!   4 gather                   open sources, console, compile the filter     crate::rootfs, crate::seccomp
//!   5 clone3                   the child builds its tree meanwhile           crate::birth → crate::init
//!   6 write state              with the pid; id maps, oom score
//!   7 attend                   its requests, up to Ready                     crate::handshake
//!   8 pid file, go             `create` ends here; `run` hears Going
//! ```
//!
//! * Whatever fails, [`undo`] walks back: kill, poststop hooks, cgroup, folder.
//!
//! See: runtime-spec runtime.md#create. Next room: [`crate::birth`]

use crate::{
    birth,
    bundle::{self, Bundle},
    console, door, grants,
    handshake::{self, Word},
    hooks::{self, Moment},
    init::{self, Plan},
    log, mounts, privileges, recording, resources, rootfs, seccomp,
    state::{Folder, Record},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    cgroup::{Cgroup, Hierarchy},
    clone::Cloned,
    fds,
    namespaces::{self, Namespace},
    proc::{self, Process as Running},
    seccomp::Filter,
    signal, userns, wait,
};
use minidock_spec::runtime::{State, Status};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use std::{
    fs::{self, File},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// What the command line says beyond the bundle.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub id: String,
    pub bundle: PathBuf,
    pub pid_file: Option<PathBuf>,
    pub console_socket: Option<PathBuf>,
    pub pidfd_socket: Option<PathBuf>,
    pub preserve_fds: u32,
    pub no_pivot: bool,
    pub no_new_keyring: bool,
    /// The terminal's reader is a program, not a terminal.
    pub plain_newlines: bool,
}

/// When the program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// When `start` says so.
    Later,
    /// At once: `run`.
    Now,
}

/// A container that was made.
pub struct Made {
    pub folder: Folder,
    pub record: Record,
    pub spec: Spec,
}

/// Makes a container; with `terminal` its console goes there instead of to the console socket.
///
/// # Errors
/// In runc's words where programs look for them; nothing is left behind.
pub fn create(root: &Path, options: &Options, start: Start, terminal: Option<OwnedFd>) -> Result<Made> {
    let folder = Folder::of(root, &options.id)?;
    let bundle = bundle::load(&options.bundle)?;
    let process = bundle.spec.process().clone().ok_or_else(|| Error::invalid("process property must not be empty"))?;
    let process = grants::grantable(process, bundle::has_namespace(&bundle.spec, LinuxNamespaceType::User))?;
    let console = open_console(options, &process, terminal)?;
    let mut record = first_record(options, &bundle)?;
    folder.make()?;
    let made = make(&folder, &mut record, options, &bundle, &process, start, console);
    match made {
        Ok(()) => Ok(Made { folder, record, spec: bundle.spec }),
        Err(failed) => {
            undo(&folder, &record, &bundle.spec);
            Err(failed)
        }
    }
}

fn open_console(options: &Options, process: &Process, terminal: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
    match (process.terminal().unwrap_or(false), terminal, &options.console_socket) {
        (false, _, Some(_)) => Err(Error::invalid("cannot use console socket if runc will not detach or allocate tty")),
        (false, ..) => Ok(None),
        (true, Some(terminal), _) => Ok(Some(terminal)),
        (true, None, Some(path)) => console::connect(path).map(Some),
        (true, None, None) => Err(Error::invalid("cannot allocate tty if runc will detach without setting console socket")),
    }
}

fn first_record(options: &Options, bundle: &Bundle) -> Result<Record> {
    let maker = std::process::id() as i32;
    let cgroup = cgroup_of(options, &bundle.spec)?;
    Ok(Record {
        id: options.id.clone(),
        pid: 0,
        started: 0,
        maker: (maker, Running::read(maker).map_or(0, |own| own.started)),
        created: jiff::Timestamp::now().to_string(),
        bundle: bundle.path.clone(),
        rootfs: bundle.root(),
        oci_version: bundle.spec.version().clone(),
        shares_cgroup: is_lived_in(&cgroup)?,
        cgroup: Some(cgroup),
        namespaces: bundle::namespaces(&bundle.spec).iter().map(|one| birth::kind(one.typ()).file_name().into()).collect(),
        annotations: bundle.spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

fn cgroup_of(options: &Options, spec: &Spec) -> Result<Cgroup> {
    let hierarchy = Hierarchy::detect().doing(|| "find this machine's cgroups")?;
    let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    Ok(hierarchy.cgroup(&resources::path_for(asked, &options.id)))
}

fn make(
    folder: &Folder,
    record: &mut Record,
    options: &Options,
    bundle: &Bundle,
    process: &Process,
    start: Start,
    console: Option<OwnedFd>,
) -> Result<()> {
    let spec = &bundle.spec;
    folder.save(record)?;
    fs::write(folder.config(), &bundle.text).doing(|| "keep a copy of config.json")?;
    let cgroup = make_cgroup(record, spec)?;
    let into = cgroup.clone_into_fd().doing(|| "open the container's cgroup")?;
    let walls = birth::walls(spec)?;
    let filter = compile_filter(spec)?;
    for odd in spec.process().as_ref().map(privileges::oddities).transpose()?.unwrap_or_default() {
        log::warn(&odd);
    }
    let materials = rootfs::gather(bundle, Some(&cgroup))?;
    let waits = walls.new.has(Namespace::User) || mounts::wants_container_map(&materials.mounts);
    let (preserve_fds, extra_env) = descriptors_to_keep(options.preserve_fds)?;
    let doors = birth::doors(&cgroup, into.is_some())?;
    let (ours, theirs) = fds::socketpair().doing(|| "make a socket pair")?;
    let mut walls = walls;
    let plan = Plan {
        spec,
        process,
        filter,
        extra_env,
        cgroup: doors,
        joins: std::mem::take(&mut walls.joins),
        joined_user: walls.joins_user(),
        new_cgroup_namespace: walls.new_cgroup,
        new_user_namespace: walls.new.has(Namespace::User),
        waits,
        console,
        door: if start == Start::Later { Some(door::make(folder)?) } else { None },
        preserve_fds,
        no_pivot: options.no_pivot,
        plain_newlines: options.plain_newlines,
        keyring: (!options.no_new_keyring).then(|| format!("_ses.{}", options.id)),
        state: record.to_state(Status::Creating),
        recorded: recording::is_on(),
        materials,
    };
    match birth::give_birth(&walls, into.as_ref().map(|fd| fd.as_fd()))? {
        Cloned::Child => {
            drop((ours, into));
            init::run(plan, theirs)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            log::debug(&format!("nsexec container setup: init is {pid}, in {}", walls.new));
            record.pid = pid;
            record.started = Running::read(pid).map_or(0, |process| process.started);
            let mut child = Child { pid, pidfd, channel: File::from(ours), spec, process };
            let plan_of_mounts = &plan.materials.mounts;
            child.raise(folder, record, plan_of_mounts, waits)?;
            drop(plan);
            child.attend(record)?;
            announce(options, &child)?;
            child.go()?;
            match start {
                Start::Later => Ok(()),
                Start::Now => child.hear_it_start(record),
            }
        }
    }
}

/// Whether the cgroup that was asked for has processes already.
fn is_lived_in(cgroup: &Cgroup) -> Result<bool> {
    if !cgroup.exists() {
        return Ok(false);
    }
    if cgroup.is_frozen() {
        return Err(Error::conflict("container's cgroup unexpectedly frozen"));
    }
    let inside = cgroup.procs().doing(|| "look into the cgroup")?.len();
    if inside > 0 {
        log::warn(&format!("container's cgroup is not empty: {inside} process(es) found"));
    }
    Ok(inside > 0)
}

fn make_cgroup(record: &Record, spec: &Spec) -> Result<Cgroup> {
    let doing = || "unable to apply cgroup configuration";
    let cgroup = record.cgroup.clone().ok_or_else(|| Error::system("no cgroup was chosen").during(doing()))?;
    cgroup.create().doing(doing)?;
    let wanted = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).unwrap_or_default();
    resources::apply(&cgroup, &wanted)?;
    Ok(cgroup)
}

fn compile_filter(spec: &Spec) -> Result<Option<Filter>> {
    match spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
        Some(asked) => seccomp::compile(asked).map(Some),
        None => Ok(None),
    }
}

/// `--preserve-fds` and socket activation: how many descriptors from 3 upward the program finds, and the variables that
/// tell it. Fewer than promised is an error now, not a puzzle later.
fn descriptors_to_keep(asked: u32) -> Result<(u32, Vec<(String, String)>)> {
    let listening: u32 = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for number in 3..3 + asked {
        if !Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(Error::invalid(format!("unable to stat preserved-fd {} (of {asked}): no such file", number - 3)));
        }
    }
    let extra = match listening {
        0 => Vec::new(),
        n => vec![("LISTEN_FDS".to_string(), n.to_string()), ("LISTEN_PID".to_string(), "1".to_string())],
    };
    Ok((asked + listening, extra))
}

/// The parent's view of the child.
struct Child<'a> {
    pid: i32,
    pidfd: OwnedFd,
    channel: File,
    spec: &'a Spec,
    process: &'a Process,
}

impl Child<'_> {
    /// What only the parent can do for the newborn.
    fn raise(&mut self, folder: &Folder, record: &Record, mounts: &[mounts::Prepared<'_>], waits: bool) -> Result<()> {
        folder.save(record)?;
        if bundle::has_namespace(self.spec, LinuxNamespaceType::User) && waits {
            self.map_ids()?;
            if mounts::wants_container_map(mounts) {
                let path = format!("/proc/{}/ns/user", self.pid);
                let table = namespaces::open(Path::new(&path), Namespace::User).doing(|| "open the container's id table")?;
                mounts::map_by_container(mounts, table.as_fd())?;
            }
        }
        if let Some(score) = self.process.oom_score_adj() {
            proc::write_of(self.pid, "oom_score_adj", &score.to_string()).doing(|| format!("set oom score adj to {score}"))?;
        }
        match waits {
            // A child that is gone already says why when we attend.
            true => drop(handshake::go(&mut self.channel)),
            false => {}
        }
        Ok(())
    }

    fn map_ids(&self) -> Result<()> {
        let Some(linux) = self.spec.linux() else { return Ok(()) };
        let new = bundle::namespaces(self.spec).iter().any(|one| one.typ() == LinuxNamespaceType::User && one.path().is_none());
        if !new {
            return Ok(());
        }
        let uids = mounts::to_ranges(linux.uid_mappings().as_deref().unwrap_or_default());
        let gids = mounts::to_ranges(linux.gid_mappings().as_deref().unwrap_or_default());
        userns::write_maps(self.pid, &uids, &gids).doing(|| "map the user namespace's ids")
    }

    /// Answers the child until it is ready.
    fn attend(&mut self, record: &Record) -> Result<()> {
        let state = record.to_state(Status::Creating);
        log::debug("child process in init()");
        loop {
            match handshake::hear(&mut self.channel)? {
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

    fn go(&mut self) -> Result<()> {
        handshake::go(&mut self.channel).map_err(|_| self.death())
    }

    /// `run`: the program begins, or says why it does not.
    fn hear_it_start(&mut self, record: &Record) -> Result<()> {
        crate::lifecycle::hear_it_start(&mut self.channel)?;
        let state = record.to_state(Status::Running);
        hooks::run_all(Moment::Poststart, self.spec.hooks(), &state);
        Ok(())
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
fn announce(options: &Options, child: &Child<'_>) -> Result<()> {
    if let Some(path) = &options.pid_file {
        write_pid_file(path, child.pid)?;
    }
    if let Some(path) = &options.pidfd_socket {
        let socket = console::connect(path)?;
        fds::send_fd(&socket, &child.pidfd, b"pidfd").doing(|| "send the pidfd")?;
    }
    Ok(())
}

/// Writes the pid beside the file and renames it: a reader never sees half of it.
///
/// # Errors
/// What the disk says.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let doing = || format!("write the pid file {}", path.display());
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: no name for a pid file", path.display())))?;
    let beside = path.with_file_name(format!(".{}", name.to_string_lossy()));
    fs::write(&beside, pid.to_string()).doing(doing)?;
    fs::rename(&beside, path).doing(doing)
}

/// Takes back what was made, as far as it was made.
fn undo(folder: &Folder, record: &Record, spec: &Spec) {
    if record.pid != 0 {
        let _ = signal::kill(record.pid, 9);
        let _ = wait::wait(record.pid);
        hooks::run_all(Moment::Poststop, spec.hooks(), &record.to_state(Status::Stopped));
    }
    crate::lifecycle::clear_cgroup(record);
    crate::lifecycle::clear_mounts(record);
    if let Err(failed) = folder.remove() {
        log::error(&failed.message());
    }
}
