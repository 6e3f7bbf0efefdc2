//! # Hooks: other people's programs at fixed moments
//!
//! Six lists in `config.json` name programs of the *host* that somebody wants run at a certain moment of a container's life,
//! with the container's state on their standard input. Network plugins and GPU drivers come in this way.
//!
//! ```text
//!   when             where they run       a failure …
//!   prestart         runtime's side       ends the creation           (deprecated, the same moment as the next)
//!   createRuntime    runtime's side       ends the creation           mounts are made, not yet pivoted
//!   createContainer  container's side     ends the creation           the same moment; paths are still the host's
//!   startContainer   container's side     ends the start              just before execve
//!   poststart        runtime's side       ends a `run`, see below     the program runs, `start` has not returned
//!   poststop         runtime's side       is logged                   the container is gone, `delete` has not returned
//! ```
//!
//! * A poststart hook that fails once was worth a warning and now (runtime-spec 1.2.1) ends the container. Who says `run` asked for
//!   all of it at once, and gets the error; `start` keeps to the warning, for the engine that calls it has given out the container
//!   already, and the specification's own validation suite asks for it.
//!
//! Laws: in order; the environment is the hook's own and nothing else (a startContainer hook that names none has the program's); a hook that does not end in its `timeout` is killed
//! and has failed. See: runtime-spec config.md#posix-platform-hooks. Next room: [`crate::process`]

use minidock_base::{Error, Result};
use minidock_linux::{
    poll::{self, Want},
    wait,
};
use minidock_spec::runtime::State;
use oci_spec::runtime::{Hook, Hooks};
use std::{
    io::{Read, Write},
    os::{fd::AsFd, unix::process::CommandExt, unix::process::ExitStatusExt},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Moment {
    /// The list's name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Prestart => "prestart",
            Moment::CreateRuntime => "createRuntime",
            Moment::CreateContainer => "createContainer",
            Moment::StartContainer => "startContainer",
            Moment::Poststart => "poststart",
            Moment::Poststop => "poststop",
        }
    }

    /// The hooks of this moment.
    pub fn of(self, hooks: &Option<Hooks>) -> &[Hook] {
        let Some(hooks) = hooks else { return &[] };
        #[allow(deprecated)] // prestart is deprecated in the specification, and still what network plugins use
        let list = match self {
            Moment::Prestart => hooks.prestart(),
            Moment::CreateRuntime => hooks.create_runtime(),
            Moment::CreateContainer => hooks.create_container(),
            Moment::StartContainer => hooks.start_container(),
            Moment::Poststart => hooks.poststart(),
            Moment::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// Runs the hooks of a moment whose failures are no longer the container's business: each is logged, none stops the next.
pub fn run_all(moment: Moment, hooks: &Option<Hooks>, state: &State) {
    for (n, hook) in moment.of(hooks).iter().enumerate() {
        let text = serde_json::to_vec(state).unwrap_or_default();
        if let Err(failed) = one(hook, &text, &[]) {
            crate::log::warn(&format!("error running {} hook #{n}: {}", moment.name(), failed.message()));
        }
    }
}

/// Runs the hooks of a moment, one after the other, up to the first that fails.
///
/// # Errors
/// `error running createRuntime hook #0: …` with what it printed.
pub fn run(moment: Moment, hooks: &Option<Hooks>, state: &State) -> Result<()> {
    run_in(moment, hooks, state, &[])
}

/// As [`run`]; hooks that do not say what their environment is get `env`.
///
/// # Errors
/// As [`run`].
pub fn run_in(moment: Moment, hooks: &Option<Hooks>, state: &State, env: &[String]) -> Result<()> {
    let list = moment.of(hooks);
    if list.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(state).map_err(|e| Error::system(e.to_string()))?;
    for (n, hook) in list.iter().enumerate() {
        one(hook, &text, env).map_err(|e| {
            let name = moment.name();
            e.during(format!("error running {name} hook #{n}")).during(format!("error running hook #{n}"))
        })?;
    }
    Ok(())
}

fn one(hook: &Hook, state: &[u8], env: &[String]) -> Result<()> {
    if !hook.path().is_absolute() {
        return Err(Error::invalid(format!("hook path {} is not absolute", hook.path().display())));
    }
    let mut command = Command::new(hook.path());
    if let Some((first, rest)) = hook.args().as_deref().and_then(|args| args.split_first()) {
        command.arg0(first).args(rest);
    }
    command.env_clear();
    for variable in hook.env().as_deref().unwrap_or(env) {
        if let Some((name, value)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |e: std::io::Error| {
        let why = minidock_linux::errno::words(e.raw_os_error().unwrap_or(0));
        Error::system(format!("fork/exec {}: {why}", hook.path().display()))
    };
    let mut child = command.spawn().map_err(failed)?;
    // A hook that does not read its state is free not to: a broken pipe is no failure of ours.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(state);
    }
    let limit = hook.timeout().filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds as u64));
    finish(child, limit)
}

/// Waits for the hook, reading what it prints (a full pipe would stop it).
fn finish(mut child: Child, limit: Option<Duration>) -> Result<()> {
    let pidfd = wait::pidfd_open(child.id() as i32).map_err(|e| Error::system(e.to_string()))?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let mut said = (String::new(), String::new());
    let over = match limit {
        Some(_) => poll::until_ready(pidfd.as_fd(), Want::READ, left).map_err(|e| Error::system(e.to_string()))?,
        None => true,
    };
    if !over {
        // It may have ended this very moment; killing what is gone is fine.
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::system(format!(
            "hook ran past specified timeout of {:.1}s",
            limit.unwrap_or_default().as_secs_f64()
        )));
    }
    let stderr = child.stderr.take();
    if let Some(mut stdout) = child.stdout.take() {
        let _ = stdout.by_ref().take(SAID).read_to_string(&mut said.0);
    }
    if let Some(mut stderr) = stderr {
        let _ = stderr.by_ref().take(SAID).read_to_string(&mut said.1);
    }
    let status = child.wait().map_err(|e| Error::system(e.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("signal: {}", signal_words(signal.unwrap_or(0))),
    };
    Err(Error::system(format!("{how}, stdout: {}, stderr: {}", said.0, said.1)))
}

/// What a shell says of a signal that ended a program.
fn signal_words(number: i32) -> String {
    let words = match number {
        1 => "hangup",
        2 => "interrupt",
        6 => "aborted",
        9 => "killed",
        11 => "segmentation fault",
        15 => "terminated",
        31 => "bad system call",
        _ => return minidock_linux::signal::name(number),
    };
    words.into()
}

/// How much of a hook's words we keep.
const SAID: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::runtime::Status;

    fn hooks(list: serde_json::Value) -> Option<Hooks> {
        serde_json::from_value(serde_json::json!({"createRuntime": list})).expect("hooks")
    }

    fn state() -> State {
        let id = "web".to_string();
        State {
            oci_version: "1.0.2".into(),
            id,
            status: Status::Creating,
            pid: 7,
            bundle: "/b".into(),
            annotations: Default::default(),
        }
    }

    #[test]
    fn a_hook_reads_the_state_and_its_failure_is_told() {
        let text = "read -r line; echo \"$line\" | grep -q '\"status\":\"creating\"' && test -z \"$HOME\"";
        let good = hooks(serde_json::json!([{"path": "/bin/sh", "args": ["sh", "-c", text]}]));
        run(Moment::CreateRuntime, &good, &state()).expect("the state is as promised");
        let bad = hooks(serde_json::json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 3"]}]));
        let told = run(Moment::CreateRuntime, &bad, &state()).expect_err("exit 3").message();
        assert!(told.contains("error running createRuntime hook #0: exit status 3, stdout: , stderr: no"), "{told}");
    }

    #[test]
    fn a_hook_that_names_no_environment_can_be_given_one() {
        let check = |extra: serde_json::Value| {
            let mut hook = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", "test \"$ONE$TWO\" = one"]});
            hook.as_object_mut().expect("it is one").extend(extra.as_object().cloned().unwrap_or_default());
            run_in(Moment::CreateRuntime, &hooks(serde_json::json!([hook])), &state(), &["ONE=one".into()])
        };
        check(serde_json::json!({})).expect("it has the program's");
        check(serde_json::json!({"env": ["TWO=two"]})).expect_err("its own and nothing else");
    }

    #[test]
    fn a_hook_that_hangs_is_killed() {
        let slow = hooks(serde_json::json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]));
        let told = run(Moment::CreateRuntime, &slow, &state()).expect_err("too slow").message();
        assert!(told.contains("past specified timeout"), "{told}");
    }
}
