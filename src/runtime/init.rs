//! # Init: the child's half, in the only order that works
//!
//! Just born by clone3, pid 1 of its own world, the child builds the container around itself and then disappears into the
//! user's program. Read [`steps`] from top to bottom: that is a container.
//!
//! ```text
//!   enter the cgroup          before anything is used up; on v1 the groups may come later
//!   join, wait for id maps    become root of the user namespace
//!   session, keyring
//!   build the tree            crate::rootfs        ◄── doors ─── parent has made the cgroups: enter them
//!                                                  ── Hooks? ──► parent runs prestart, createRuntime
//!   createContainer hooks
//!   pivot_root                crate::rootfs
//!   terminal, host name, sysctls, read-only, masks
//!   become the user           crate::finish        ── Ready ──► parent writes state
//!   wait                      crate::door
//!   startContainer hooks, execve                   ── Going ──► end of file
//! ```
//!
//! Laws: one thread; a failure is one message and exit status 1; the parent's death before its last "go" is ours too.
//! See: runtime-spec runtime.md#lifecycle. Next room: [`crate::outside`]

use crate::{
    borrowed_network, bundle, console, door,
    finish::{self, Wish},
    handshake::{self, Word},
    hooks::{self, Moment},
    masks,
    outside::{Groups, Outside},
    rootfs::{self, Materials},
    targets,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    action::{self, Actor},
    limits, loopback,
    namespaces::{self, Namespace, Set},
    pivot_root,
    proc::Proc,
    seccomp::Filter,
    signal, userns, wait,
};
use minidock_spec::runtime::{State, Status};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Everything the child needs, opened and decided by the parent; it comes across clone3 as memory does.
pub struct Plan<'a> {
    pub spec: &'a Spec,
    pub process: &'a Process,
    pub materials: Materials<'a>,
    pub filter: Option<Filter>,
    pub extra_env: Vec<(String, String)>,
    pub groups: Groups,
    /// Namespaces to join by descriptor, in order.
    pub joins: Vec<(Namespace, OwnedFd)>,
    pub joined_user: bool,
    pub new_cgroup_namespace: bool,
    pub new_network_namespace: bool,
    pub new_user_namespace: bool,
    /// Whether the parent has work that must come first.
    pub waits: bool,
    pub console: Option<OwnedFd>,
    /// Where `start` will knock; none when the parent starts us at once.
    pub door: Option<door::Inside>,
    pub preserve_fds: u32,
    pub no_pivot: bool,
    pub plain_newlines: bool,
    pub keyring: Option<String>,
    pub state: State,
    pub recorded: bool,
}

/// Lives as init, to the end.
pub fn run(plan: Plan<'_>, channel: OwnedFd) -> ! {
    // The list came across as a copy of the parent's; those are not ours to tell.
    drop(action::stop_lines());
    if plan.recorded {
        action::start(Actor::Init);
    }
    let mut to = File::from(channel);
    let failed = match steps(plan, &mut to) {
        Ok(never) => match never {},
        Err(failed) => failed,
    };
    // Nobody may be listening any more; the exit status says it too.
    let _ = handshake::say(&mut to, Word::Failed(failed.to_wire()));
    std::process::exit(1)
}

/// What cannot be: coming back from execve.
pub enum Never {}

fn steps(mut plan: Plan<'_>, to: &mut File) -> Result<Never> {
    let groups = std::mem::replace(&mut plan.groups, Groups::ToCome);
    let mut outside = Outside::new(to, groups, plan.new_cgroup_namespace)?;
    if plan.door.is_some() {
        signal::end_by(&door::ENDS).doing(|| "wait for a start that may never come")?;
    }
    join(&plan, &mut outside)?;
    if let Some(name) = &plan.keyring {
        // A kernel without keys has none to leak.
        let _ = limits::join_session_keyring(name);
    }
    limits::umask(0);
    let host_proc = Proc::open(Path::new("/proc")).doing(|| "find the host's /proc")?;
    let root = rootfs::build(plan.spec, &plan.materials, &mut outside)?;
    outside.groups()?;
    pivot_root::fchdir(root.as_fd(), "the root filesystem").doing(|| "enter the root filesystem")?;
    run_hooks(&plan, &mut outside)?;
    rootfs::enter(&plan.materials, &root, plan.no_pivot, &host_proc)?;
    dress(&plan, &root, &host_proc)?;
    drop(host_proc);
    let wish = Wish {
        process: plan.process,
        spec: Some(plan.spec),
        filter: plan.filter.as_ref(),
        preserve_fds: plan.preserve_fds,
        root: root.as_fd(),
        extra_env: &plan.extra_env,
    };
    let ready = finish::settle(&wish, &mut |fd| outside.ask(Word::Listener { fd }))?;
    outside.ask(Word::Ready)?;
    if let Some(door) = plan.door.take() {
        let mut knocks = door.wait;
        *to = door.answer;
        handshake::wait(&mut knocks).doing(|| "wait for the start")?;
    }
    let state = State { status: Status::Created, ..plan.state.clone() };
    finish::load_late(&ready)?;
    hooks::run_in(Moment::StartContainer, plan.spec.hooks(), &state, &ready.environment())?;
    // The one who started us may be gone; the program starts all the same. (A broken pipe must not kill us yet.)
    let _ = handshake::say(to, Word::Going);
    finish::default_signals()?;
    Err(finish::execute(&ready))
}

/// Whoever called us may have been held to a few processors; the container is held by its cgroup alone. A kernel that
/// refuses leaves it as it was.
pub fn run_everywhere() {
    if let Err(failed) = limits::sched_setaffinity("0-1023") {
        crate::log::warn(&format!("resetting the CPU affinity failed: {failed}"));
    }
}

/// Goes behind the walls that clone3 could not build.
fn join(plan: &Plan<'_>, outside: &mut Outside<'_>) -> Result<()> {
    if !plan.new_user_namespace && !plan.joined_user {
        // In a shared pid namespace others could look at us before we are one of them.
        limits::set_dumpable(false).doing(|| "hide from those inside")?;
    }
    for (kind, fd) in &plan.joins {
        let shown = format!("the given {} namespace", kind.file_name());
        namespaces::setns(fd.as_fd(), Set::EMPTY.with(*kind), &shown).doing(|| format!("join {shown}"))?;
    }
    if plan.waits {
        outside.wait()?;
    }
    if plan.new_user_namespace || plan.joined_user {
        become_root()?;
    }
    if plan.new_network_namespace {
        namespaces::unshare(Set::EMPTY.with(Namespace::Network)).doing(|| "make a network namespace")?;
    }
    outside.make_cgroup_namespace()?;
    wait::setsid().doing(|| "lead a session of our own")
}

/// Root of the user namespace; its own files below /proc stay ours.
pub fn become_root() -> Result<()> {
    let doing = || "become root of the user namespace";
    match userns::setgroups(&[]) {
        Err(refused) if refused.is(1) => {}
        answer => answer.doing(doing)?,
    }
    userns::setresgid(0).doing(doing)?;
    userns::setresuid(0).doing(doing)?;
    limits::set_dumpable(true).doing(doing)
}

/// The hooks that run when the tree is built and the host still in sight.
fn run_hooks(plan: &Plan<'_>, outside: &mut Outside<'_>) -> Result<()> {
    let hooks = plan.spec.hooks();
    if !Moment::Prestart.of(hooks).is_empty() || !Moment::CreateRuntime.of(hooks).is_empty() {
        outside.ask(Word::Hooks)?;
    }
    hooks::run(Moment::CreateContainer, hooks, &plan.state)
}

/// Inside: terminal, names, sysctls, and what is covered or read-only.
fn dress(plan: &Plan<'_>, root: &OwnedFd, host_proc: &Proc) -> Result<()> {
    let spec = plan.spec;
    match &plan.console {
        Some(out) => {
            let how = console::How { as_console: true, plain_newlines: plan.plain_newlines };
            console::make(plan.process, out.as_fd(), root.as_fd(), how)?
        }
        None => console::reopen_null(root.as_fd())?,
    }
    if bundle::has_namespace(spec, LinuxNamespaceType::Uts) {
        if let Some(name) = spec.hostname().as_deref().filter(|name| !name.is_empty()) {
            namespaces::sethostname(name).doing(|| format!("set the host name {name}"))?;
        }
        if let Some(name) = spec.domainname().as_deref().filter(|name| !name.is_empty()) {
            namespaces::setdomainname(name).doing(|| format!("set the domain name {name}"))?;
        }
    }
    if bundle::namespaces(spec).iter().any(|one| one.typ() == LinuxNamespaceType::Network && one.path().is_none()) {
        // Down, it is as if it were not there; who may not switch it on has to live with that.
        let _ = loopback::up();
    }
    // As runc does: a working directory that the image lacks is made. If it cannot be, entering it will say why.
    let _ = targets::find_or_make(root.as_fd(), plan.process.cwd(), targets::Kind::Folder);
    let Some(linux) = spec.linux() else { return rootfs::seal(spec, &plan.materials, root) };
    let lent = borrowed_network::of(spec).is_some(); // then the parent has turned its knobs
    let knobs = linux.sysctl().iter().flatten().filter(|(name, _)| !(lent && borrowed_network::is_its(name)));
    for (name, value) in knobs {
        set_sysctl(host_proc, name, value)?;
    }
    rootfs::seal(spec, &plan.materials, root)?;
    masks::make_read_only(root.as_fd(), linux.readonly_paths().as_deref().unwrap_or_default())?;
    masks::mask(root.as_fd(), linux.masked_paths().as_deref().unwrap_or_default())
}

/// Through the host's /proc, which was verified: a namespaced sysctl is the *writer's*, whichever mount it goes through.
///
/// # Errors
/// A name that is none; what the kernel says to the value.
pub fn set_sysctl(host_proc: &Proc, name: &str, value: &str) -> Result<()> {
    let path = match name.contains('/') {
        true => name.to_string(),
        false => name.replace('.', "/"),
    };
    if path.split('/').any(|part| part == ".." || part.is_empty()) {
        return Err(Error::invalid(format!("{name:?} is no name of a sysctl")));
    }
    host_proc.write(&format!("sys/{path}"), value).doing(|| format!("set the sysctl {name}"))
}
