//! # Finish: the last steps, the same for a first process and for one that joins
//!
//! Whoever has come this far stands inside the container, still root and still our program. What is left is to become the
//! user's program, and the steps have one order only:
//!
//! ```text
//!   environment, streams, weights, limits      while we may
//!   working directory                          as root, if root can
//!   close-on-exec for all that is ours         the program finds 0, 1, 2 and what was asked for
//!   ┌ seccomp, early      without no_new_privs, loading needs CAP_SYS_ADMIN         crate::privileges
//!   │ bounding set, user, capabilities
//!   └ umask, working directory again (the user may, where root could not), find the program
//!   … wait for the start …
//!   seccomp, late         with no_new_privs: as near to execve as can be (startContainer hooks obey it already)
//!   execve
//! ```
//!
//! Next room: [`crate::lifecycle`]

use crate::{privileges, process};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{errno, exec, fds, limits, seccomp, seccomp::Filter, signal};
use oci_spec::runtime::{Process, Spec};
use std::{
    ffi::CString,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

/// What is known before.
pub struct Wish<'a> {
    pub process: &'a Process,
    /// The container's whole configuration, for what is not in `process`: its personality.
    pub spec: Option<&'a Spec>,
    pub filter: Option<&'a Filter>,
    /// How many descriptors from 3 upward the program is to find.
    pub preserve_fds: u32,
    pub root: BorrowedFd<'a>,
    /// Variables to add, whatever the configuration says: `LISTEN_FDS`.
    pub extra_env: &'a [(String, String)],
}

/// A program, found and ready.
pub struct Ready {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    late: Option<Filter>,
}

impl Ready {
    /// What the program's environment will be: `NAME=value`.
    pub fn environment(&self) -> Vec<String> {
        self.envp.iter().map(|variable| variable.to_string_lossy().into_owned()).collect()
    }
}

/// SECCOMP_FILTER_FLAG_NEW_LISTENER
const NEW_LISTENER: u64 = 8;

/// Does all but waiting and execve. `listener` is called with the number of the descriptor on which a filter's questions
/// arrive, and returns when somebody outside has taken it.
///
/// # Errors
/// The first step that failed.
pub fn settle(wish: &Wish<'_>, listener: &mut dyn FnMut(i32) -> Result<()>) -> Result<Ready> {
    let process = wish.process;
    let mut variables = process::environment(process, wish.root)?;
    for (name, value) in wish.extra_env {
        variables.retain(|(known, _)| known != name);
        variables.push((name.clone(), value.clone()));
    }
    process::own_stdio(process.user())?;
    process::set_weights(process, wish.spec)?;
    let entered = process::enter_cwd(process)?;
    keep_only(wish.preserve_fds)?;
    process::set_limits(process)?;
    let early = privileges::seccomp_is_loaded_early(process);
    if let Some(filter) = wish.filter.filter(|_| early) {
        load(filter, listener)?;
    }
    privileges::narrow_bounding_set(process)?;
    process::become_user(process.user())?;
    privileges::settle(process)?;
    if !entered && !process::enter_cwd(process)? {
        return Err(Error::forbidden(format!(
            "chdir to cwd ({:?}) set in config.json failed: permission denied",
            process.cwd()
        )));
    }
    limits::umask(process.user().umask().unwrap_or(0o022));
    let path = process::find_program(process, &variables)?;
    let mut late = wish.filter.filter(|_| !early).cloned();
    if let Some(filter) = late.take_if(|filter| filter.flags & NEW_LISTENER != 0) {
        load(&filter, listener)?;
    }
    let argv = process::c_strings(process.args().iter().flatten().map(String::as_str))?;
    let envp: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let envp = process::c_strings(envp.iter().map(String::as_str))?;
    Ok(Ready { path, argv, envp, late })
}

fn load(filter: &Filter, listener: &mut dyn FnMut(i32) -> Result<()>) -> Result<()> {
    let asks: Option<OwnedFd> = seccomp::load(filter).doing(|| "error loading seccomp filter into kernel")?;
    match asks {
        Some(fd) => listener(fd.as_raw_fd()),
        None => Ok(()),
    }
}

/// Every descriptor of ours closes at execve; those to be kept do not.
fn keep_only(preserve: u32) -> Result<()> {
    fds::cloexec_from(3 + preserve).doing(|| "close our own descriptors at execve")
}

/// Loads the filter that waited for the start.
///
/// # Errors
/// What seccomp(2) says.
pub fn load_late(ready: &Ready) -> Result<()> {
    match &ready.late {
        Some(filter) => seccomp::load(filter).map(drop).doing(|| "error loading seccomp filter into kernel"),
        None => Ok(()),
    }
}

/// Becomes the program; returns only if that failed.
pub fn execute(ready: &Ready) -> Error {
    let failed = exec::execve(&ready.path, &ready.argv, &ready.envp);
    let (path, why) = (ready.path.to_string_lossy(), errno::words(failed.errno));
    Error::system(format!("exec {path}: {why}"))
}

/// Signals as a program expects them: our own start-up (Rust's) ignores SIGPIPE.
///
/// # Errors
/// None that a kernel of this century gives.
pub fn default_signals() -> Result<()> {
    let doing = || "reset the signals";
    signal::defaults().doing(doing)?;
    signal::set(&signal::Mask::of(&[])).map(drop).doing(doing)
}
