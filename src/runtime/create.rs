//! # Create: the parent's half
//!
//! From a bundle to a process that waits. The parent does what needs the host in sight, and writes down each thing *before*
//! it makes it, so that `delete --force` finds everything even if this process is killed between two lines.
//!
//! ```text
//!   1 take the name            mkdir ROOT/ID                                 crate::state
//!   2 write state              with the cgroup's path, pid 0
//!   3 gather                   open sources, console, compile the filter     crate::rootfs, crate::seccomp
//!   4 clone3                   the child builds its tree meanwhile           crate::birth → crate::init
//!   5 write state              with the pid; id maps, oom score              crate::attend
//!   6 cgroup                   make, limit, let the child in                 crate::resources
//!   7 pid file
//!   8 attend                   its requests, up to Ready                     crate::handshake
//!   9 go                       `create` ends here; `run` hears Going
//! ```
//!
//! * A v2 group comes before clone3, for the child is born in it; so it does with a user namespace ([`birth::can_overlap`]). Always
//!   the child is in its group, with all limits, before the first word it says: long before there is a program.
//! * Whatever fails, [`undo`] walks back: kill, poststop hooks, cgroup, folder.
//!
//! See: runtime-spec runtime.md#create. Next room: [`crate::birth`]

use crate::{
    ahead,
    attend::{self, Child},
    birth::{self, Walls},
    borrowed_network,
    bundle::{self, Bundle},
    console, door, grants,
    hooks::{self, Moment},
    init::{self, Plan},
    log, net_devices,
    outside::Groups,
    privileges, recording, resources, rootfs, seccomp, sources,
    state::{Folder, Record},
};
use minidock_base::{Doing, Error, Result, clock};
use minidock_linux::{
    cgroup::Cgroup, clone::Cloned, fds, namespaces::Namespace, proc::Process as Running, seccomp::Filter, signal, wait,
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
            attend::take_back(options, record.pid);
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
        created: clock::now().to_string(),
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
    let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    let cgroup = ahead::cgroup(&resources::path_for(asked, &options.id))?;
    // without root there may be no group for us; that matters only to who asks for limits, and they are told
    Ok(if ahead::in_user_namespace() { cgroup.within_reach() } else { cgroup })
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
    folder.save(record)?;
    fs::write(folder.config(), &bundle.text).doing(|| "keep a copy of config.json")?;
    let cgroup = record.cgroup.clone().ok_or_else(|| Error::system("no cgroup was chosen").during(APPLYING))?;
    let overlaps = birth::can_overlap(&bundle.spec, &cgroup);
    match overlaps {
        true => cgroup.create_birthplace().doing(|| APPLYING)?,
        false => make_cgroup(&cgroup, &bundle.spec)?,
    }
    let into = cgroup.clone_into_fd().doing(|| "open the container's cgroup")?;
    let mut walls = birth::walls(&bundle.spec)?;
    if overlaps {
        walls.leave_network_to_init();
    }
    borrowed_network::turn_knobs(&bundle.spec)?;
    let door = if start == Start::Later { Some(door::make(folder)?) } else { None };
    let groups = match overlaps {
        true => Groups::ToCome,
        false => Groups::Open(birth::doors(&cgroup, into.is_some())?),
    };
    let state = record.to_state(Status::Creating);
    let mut plan = Plan { groups, console, door, ..plan(options, bundle, process, &cgroup, &mut walls, state)? };
    let (ours, theirs) = fds::socketpair().doing(|| "make a socket pair")?;
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
            let mut child = Child { pid, pidfd, channel: File::from(ours), spec: &bundle.spec, process };
            child.raise(folder, record, &plan.materials.mounts, plan.waits)?;
            if overlaps {
                make_cgroup(&cgroup, &bundle.spec)?;
                child.let_in(&birth::doors(&cgroup, into.is_some())?);
            }
            let mounts = std::mem::take(&mut plan.materials.mounts);
            drop(plan);
            attend::announce(options, &child)?;
            child.attend(record, &mounts)?;
            child.go()?;
            match start {
                Start::Later => Ok(()),
                Start::Now => child.hear_it_start(record),
            }
        }
    }
}

/// All that the child needs, but for the descriptors that are handed to it alone.
fn plan<'a>(
    options: &Options,
    bundle: &'a Bundle,
    process: &'a Process,
    cgroup: &Cgroup,
    walls: &mut Walls,
    state: State,
) -> Result<Plan<'a>> {
    let spec = &bundle.spec;
    let filter = compile_filter(spec)?;
    for odd in privileges::oddities(process)? {
        log::warn(&odd);
    }
    let materials = rootfs::gather(bundle, Some(cgroup))?;
    let (preserve_fds, extra_env) = descriptors_to_keep(options.preserve_fds)?;
    Ok(Plan {
        spec,
        process,
        filter,
        extra_env,
        groups: Groups::ToCome,
        joins: std::mem::take(&mut walls.joins),
        joined_user: walls.joins_user(),
        new_cgroup_namespace: walls.new_cgroup,
        new_network_namespace: walls.new_network,
        new_user_namespace: walls.new.has(Namespace::User),
        waits: walls.new.has(Namespace::User)
            || sources::wants_container_map(&materials.mounts)
            || net_devices::are_wanted(spec),
        console: None,
        door: None,
        preserve_fds,
        no_pivot: options.no_pivot,
        plain_newlines: options.plain_newlines,
        keyring: (!options.no_new_keyring).then(|| format!("_ses.{}", options.id)),
        state,
        recorded: recording::is_on(),
        materials,
    })
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

const APPLYING: &str = "unable to apply cgroup configuration";

fn make_cgroup(cgroup: &Cgroup, spec: &Spec) -> Result<()> {
    cgroup.create().doing(|| APPLYING)?;
    let wanted = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).unwrap_or_default();
    resources::apply(cgroup, &wanted)
}

fn compile_filter(spec: &Spec) -> Result<Option<Filter>> {
    match spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
        Some(asked) => ahead::filter(asked).map_or_else(|| seccomp::compile(asked), Ok).map(Some),
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
