//! # Runtime: the OCI command line, executed
//!
//! The shim does not know how a container is made. It executes a program that does, `minidock runtime` or any other OCI
//! runtime, and learns three things: its exit status, the pid it wrote into a file, and, when it failed, why.
//!
//! ```text
//!   runtime --root R --log L --log-format json run  --detach --bundle B --pid-file P [--console-socket S] ID
//!                                              exec --detach --process F --pid-file P [--console-socket S] ID
//!                                              delete --force ID
//!     fds 0,1,2 = the container's             exit 0: pid in P        else: {"level":"error","msg":"…"} in L
//! ```
//!
//! * [`run`] and [`exec`] return at once with a [`Call`]; its end is heard like any child's. [`delete`] waits.
//! * No shell, and no code of ours between fork and exec: `std::process::Command` uses posix_spawn(3), which borrows our
//!   memory instead of copying it, gives the child an empty signal mask, and closes what is close-on-exec.
//! * When the runtime to be executed is this very program, executing it would only replace our code by a copy of itself, for
//!   a millisecond. Then the child of a fork goes on with the same words and the same three descriptors ([`Own`], handed in by
//!   `main`; this floor still knows nothing of the runtime but its command line).
//! * By then the shim itself has nothing more to do than to wait for `delete`, so it does that work itself, too, unless there are
//!   hooks to be run.
//!
//! Laws: a runtime's own words reach the user unchanged; every file made for a call is removed after it.
//! *See:* runtime-spec `runtime.md`, runc(8). *Next room:* [`crate::process`]

use crate::{
    protocol::Launch,
    record,
    stdio::{self, Theirs},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    action::{self, Actor, quoted},
    clone::{self, Cloned},
    exec, fds,
    poll::{Want, until_ready},
    signal::{self, Mask},
    wait::{self, How},
};
use serde::Deserialize;
use std::{
    ffi::OsString,
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// How long `delete` may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The OCI runtime that lies in the same program.
#[derive(Clone, Copy)]
pub struct Own {
    /// Its `main`: the words behind its name, the exit status. It is called in a process of its own.
    pub main: fn(Vec<OsString>) -> i32,
    /// Works out ahead what is the same for all containers; called once, in the process of which those are forks.
    pub warm: fn(),
    /// `delete --force` of a container below the given root, if that can be done here and now.
    pub delete: fn(&Path, &str) -> Option<Result<()>>,
}

/// Whether these words name the program that is running, as `minidock runtime`, and nobody inside a container could write to its
/// file meanwhile (else the runtime would execute itself again, and it must find its own words then).
pub fn is_own(runtime: &[String]) -> bool {
    matches!(runtime, [program, costume] if program == "/proc/self/exe" && costume == "runtime") && exec::is_protected()
}

/// A runtime at work.
pub struct Call {
    pub pid: i32,
    log: PathBuf,
    pid_file: PathBuf,
    process_file: Option<PathBuf>,
}

/// Creates and starts the container.
pub fn run(launch: &Launch, own: Option<Own>, theirs: Theirs, console: Option<PathBuf>) -> Result<Call> {
    let files = Files::new(&launch.bundle, "init");
    let mut args: Vec<OsString> = vec!["run".into(), "--detach".into(), "--bundle".into(), launch.bundle.clone().into()];
    files.describe(&mut args, console);
    args.push(launch.id.clone().into());
    let pid = spawn(launch, own, &files.log, args, theirs)?;
    Ok(Call { pid, log: files.log, pid_file: files.pid_file, process_file: None })
}

/// Starts a second process in the container.
pub fn exec(
    launch: &Launch,
    own: Option<Own>,
    exec: &str,
    process: &serde_json::Value,
    theirs: Theirs,
    console: Option<PathBuf>,
) -> Result<Call> {
    let files = Files::new(&launch.bundle, exec);
    let process_file = launch.bundle.join(format!("{exec}.process.json"));
    let text = serde_json::to_vec(process).doing(|| "encode the process")?;
    fs::write(&process_file, text).doing(|| format!("write {}", process_file.display()))?;
    let mut args: Vec<OsString> = vec!["exec".into(), "--detach".into(), "--process".into(), process_file.clone().into()];
    files.describe(&mut args, console);
    args.push(launch.id.clone().into());
    let pid = spawn(launch, own, &files.log, args, theirs)?;
    Ok(Call { pid, log: files.log, pid_file: files.pid_file, process_file: Some(process_file) })
}

/// Removes what the runtime keeps of the container (state, cgroup, processes left over), and waits for it.
///
/// # Errors
/// The runtime's own words; what is already gone is no error.
pub fn delete(launch: &Launch, own: Option<Own>) -> Result<()> {
    if let Some(own) = own {
        action::start(Actor::Runtime); // whose work it is
        let deleted = (own.delete)(&launch.runtime_root, &launch.id);
        action::start(Actor::Shim);
        if let Some(deleted) = deleted {
            return deleted;
        }
    }
    let files = Files::new(&launch.bundle, "delete");
    let args = vec!["delete".into(), "--force".into(), launch.id.clone().into()];
    let pid = spawn(launch, own, &files.log, args, stdio::nothing()?)?;
    let ended = wait::pidfd_open(pid).is_ok_and(|pidfd| until_ready(pidfd.as_fd(), Want::READ, Some(PATIENCE)).unwrap_or(true));
    if !ended {
        let _ = signal::kill(pid, 9); // it may just have ended
    }
    let how = wait::wait(pid).doing(|| "wait for the runtime")?;
    Call { pid, log: files.log, pid_file: files.pid_file, process_file: None }.finished(how, Wanted::Nothing).map(drop)
}

/// What a runtime that succeeded has to leave behind.
#[derive(PartialEq, Eq)]
pub enum Wanted {
    Pid,
    Nothing,
}

impl Call {
    /// The runtime has ended: the pid of what it started, or why it did not.
    ///
    /// # Errors
    /// The message the runtime logged.
    pub fn finished(self, how: How, wanted: Wanted) -> Result<i32> {
        let answer = match how {
            How::Exited(0) if wanted == Wanted::Nothing => Ok(0),
            How::Exited(0) => read_pid(&self.pid_file),
            _ => Err(Error::system(last_error(&self.log).unwrap_or_else(|| match how {
                How::Exited(status) => format!("the runtime ended with status {status} and left no message"),
                How::Killed(number) => format!("the runtime was killed by {}", signal::name(number)),
            }))),
        };
        for file in [Some(&self.log), Some(&self.pid_file), self.process_file.as_ref()].into_iter().flatten() {
            let _ = fs::remove_file(file); // not every call makes every file
        }
        answer
    }
}

/// The files of one call, below the bundle.
struct Files {
    log: PathBuf,
    pid_file: PathBuf,
}

impl Files {
    fn new(bundle: &Path, name: &str) -> Files {
        let files = Files { log: bundle.join(format!("{name}.runtime.log")), pid_file: bundle.join(format!("{name}.pid")) };
        let _ = fs::remove_file(&files.log); // of an earlier life
        let _ = fs::remove_file(&files.pid_file);
        files
    }

    fn describe(&self, args: &mut Vec<OsString>, console: Option<PathBuf>) {
        args.extend(["--pid-file".into(), self.pid_file.clone().into()]);
        if let Some(console) = console {
            args.extend(["--console-socket".into(), console.into()]);
        }
    }
}

fn spawn(launch: &Launch, own: Option<Own>, log: &Path, args: Vec<OsString>, theirs: Theirs) -> Result<i32> {
    let (program, first) = launch.runtime.split_first().ok_or_else(|| Error::invalid("no OCI runtime was named"))?;
    let mut words: Vec<OsString> = vec!["--root".into(), launch.runtime_root.clone().into(), "--log".into(), log.into()];
    words.extend(["--log-format".into(), "json".into()]);
    let actions = launch.actions_file.as_ref().filter(|file| records_actions(&launch.runtime) && record::has_room(file));
    if let Some(file) = actions {
        words.extend(["--actions".into(), file.into()]);
    }
    words.extend(args);
    let shown = || {
        let all = launch.runtime.iter().map(quoted).chain(words.iter().map(quoted));
        format!("[{}]", all.collect::<Vec<_>>().join(", "))
    };
    if let Some(own) = own {
        return match clone::fork(shown).doing(|| "fork for the OCI runtime")? {
            Cloned::Child => go_on_as(own, words, theirs),
            Cloned::Parent { pid, .. } => Ok(pid),
        };
    }
    let mut command = Command::new(program);
    command.args(first).args(&words);
    command.stdin(Stdio::from(theirs.stdin)).stdout(Stdio::from(theirs.stdout)).stderr(Stdio::from(theirs.stderr));
    let shown = vec![quoted(program), shown()];
    let child = action::call_showing("posix_spawn", || shown, || command.spawn(), |child| child.id().into())
        .doing(|| format!("execute the OCI runtime {program}"))?;
    Ok(child.id() as i32)
}

/// The child of a fork becomes what an executed runtime would be: three descriptors, no blocked signal, nothing recorded.
fn go_on_as(own: Own, words: Vec<OsString>, theirs: Theirs) -> ! {
    drop(action::stop_lines());
    let ready = fds::become_stdio(&theirs.stdin, &theirs.stdout, &theirs.stderr)
        .and_then(|()| fds::close_from(3)) // all of the shim's; their owners in this copy of its memory are never run again
        .and_then(|()| signal::set(&Mask::of(&[])));
    std::mem::forget(theirs);
    let status = match ready {
        // a panic must not wake up as a second shim
        Ok(_) => std::panic::catch_unwind(|| (own.main)(words)).unwrap_or(101),
        Err(failed) => {
            eprintln!("minidock: {failed}");
            1
        }
    };
    std::process::exit(status)
}

/// `--actions` is our own runtime's extension; another would refuse it.
fn records_actions(runtime: &[String]) -> bool {
    runtime.get(1).is_some_and(|word| word == "runtime")
}

fn read_pid(path: &Path) -> Result<i32> {
    let doing = || "read the pid that the runtime wrote";
    let text = fs::read_to_string(path).doing(doing)?;
    text.trim().parse().doing(doing)
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// The last error in a runtime's JSON log.
fn last_error(log: &Path) -> Option<String> {
    const ENOUGH: u64 = 64 * 1024;
    let mut text = String::new();
    let file = fs::File::open(log).ok()?;
    io::Read::read_to_string(&mut io::Read::take(file, ENOUGH), &mut text).ok()?;
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.rfind(|line| matches!(line.level.as_str(), "error" | "fatal") && !line.msg.is_empty()).map(|line| line.msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_in_the_log_is_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let text = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": not found\",\"time\":\"t\"}\nnoise\n";
        fs::write(&log, text).expect("room");
        assert_eq!(last_error(&log).as_deref(), Some("exec: \"x\": not found"));
        assert_eq!(last_error(&folder.path().join("none")), None);
    }
}
