//! # Exec: a second process inside
//!
//! An exec is a process that joins a running container: same namespaces, same limits, its own streams and exit code. The
//! API makes it in two steps, because a client must know its id before its first byte comes.
//!
//! ```text
//!   create ─► checks, environment, user ─► "exec_create: ls -l"     known here only, nothing runs
//!   start  ─► shim: Exec ─► attach ─► "exec_start: ls -l" ─► shim: ExecStart ─► runtime exec
//!                                                               └ Failed: 126 or 127, and the reason as words in the stream
//!   end    ─► Event::ExecExited ─► code kept for inspect ─► "exec_die"
//! ```
//!
//! * The user is looked up in the *running* container's tree, by way of `/proc/<pid>/root`.
//! * An exec is forgotten with its container, or some minutes after its end when there are many.
//!
//! *See:* moby `daemon/exec.go`. *Next room:* [`crate::container::copy`]

use crate::{
    Engine,
    container::{
        attach::Attached,
        detach_keys, publish,
        record::{Phase, Record},
        start::verdict,
        store::Container,
        to_the_end,
    },
    networks::links,
    oci_config::{process, security},
    users::Databases,
};
use minidock_base::{Doing, Error, Result, id};
use minidock_linux::files;
use minidock_shim::protocol::{Answer, Attach, Exec as ShimExec, Request};
use minidock_spec::engine::{
    exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart, ProcessConfig},
    stream::{self, Stream},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How long the exit code of an exec can be asked for, when there are many.
const KEPT: Duration = Duration::from_secs(300);
const MANY: usize = 500;
/// How long the shim's word of an end may take to get here.
const NEWS: Duration = Duration::from_secs(2);

/// One second process, to be, now, or gone.
pub struct Exec {
    pub id: String,
    container: Arc<Container>,
    wish: ExecCreate,
    keys: Vec<u8>,
    state: Mutex<ExecState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ExecState {
    started: bool,
    running: bool,
    pid: i32,
    exit_code: Option<i64>,
    ended: Option<Instant>,
}

/// All execs of all containers.
#[derive(Default)]
pub struct Execs {
    all: Mutex<HashMap<String, Arc<Exec>>>,
}

impl Execs {
    pub fn new() -> Execs {
        Execs::default()
    }

    /// The ids of a container's execs that have not ended: what `inspect` shows.
    pub fn of(&self, container: &str) -> Vec<String> {
        let all = self.all.lock().expect("no holder panics");
        all.values().filter(|e| e.container.id == container && e.state().ended.is_none()).map(|e| e.id.clone()).collect()
    }

    fn find(&self, id: &str) -> Result<Arc<Exec>> {
        let found = self.all.lock().expect("no holder panics").get(id).cloned();
        found.ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    fn add(&self, exec: Arc<Exec>) {
        let mut all = self.all.lock().expect("no holder panics");
        if all.len() >= MANY {
            all.retain(|_, e| e.state().ended.is_none_or(|at| at.elapsed() < KEPT));
        }
        all.insert(exec.id.clone(), exec);
    }

    /// A shim said that it has ended.
    pub(crate) fn ended(&self, engine: &Engine, id: &str, code: i32) {
        if let Ok(exec) = self.find(id) {
            exec.end(engine, code.into());
        }
    }

    /// With the container's first process all others end.
    pub(crate) fn container_ended(&self, engine: &Engine, container: &str) {
        let all: Vec<_> = self.all.lock().expect("no holder panics").values().cloned().collect();
        all.iter().filter(|e| e.container.id == container && e.state().running).for_each(|e| e.end(engine, 137));
    }

    pub(crate) fn forget_container(&self, container: &str) {
        self.all.lock().expect("no holder panics").retain(|_, e| e.container.id != container);
    }
}

impl Exec {
    fn state(&self) -> ExecState {
        *self.state.lock().expect("no holder panics")
    }

    fn end(&self, engine: &Engine, code: i64) {
        let mut state = self.state.lock().expect("no holder panics");
        if state.ended.is_some() {
            return;
        }
        (state.running, state.exit_code, state.ended) = (false, Some(code), Some(Instant::now()));
        drop(state);
        let attributes = [("execID", self.id.clone()), ("exitCode", code.to_string())];
        publish(engine, &self.container.record(), "exec_die", &attributes);
    }

    fn say(&self, engine: &Engine, action: &str) {
        let text = format!("{action}: {}", self.wish.cmd.join(" "));
        publish(engine, &self.container.record(), &text, &[("execID", self.id.clone())]);
    }
}

/// Prepares a second process; nothing runs yet.
///
/// # Errors
/// 409 when the container does not run; 400 for nothing to run. Whether it knows the user is found out at the start.
pub async fn create(engine: &Arc<Engine>, text: &str, wish: ExecCreate) -> Result<ExecCreated> {
    let container = engine.containers.find(text)?;
    let record = container.record();
    active(&record)?;
    if wish.cmd.is_empty() {
        return Err(Error::invalid("No exec command specified"));
    }
    let keys = detach_keys::parse(&wish.detach_keys)?;
    let exec = Arc::new(Exec { id: id::random_id(), container, wish, keys, state: Mutex::default() });
    exec.say(engine, "exec_create");
    engine.execs.add(exec.clone());
    Ok(ExecCreated { id: exec.id.clone() })
}

fn active(record: &Record) -> Result<()> {
    let id = &record.id;
    match record.state.phase {
        Phase::Running => Ok(()),
        Phase::Paused => Err(Error::conflict(format!("Container {id} is paused, unpause the container before exec"))),
        Phase::Restarting => Err(Error::conflict(format!("Container {id} is restarting, wait until the container is running"))),
        _ => Err(Error::conflict(format!("container {id} is not running")).hint("minidock start brings it back")),
    }
}

/// The `process` document of the runtime-spec.
fn process_of(engine: &Engine, record: &Record, wish: &ExecCreate) -> Result<Value> {
    let root =
        files::open_directory(Path::new(&format!("/proc/{}/root", record.state.pid))).doing(|| "look into the container")?;
    let name = if wish.user.is_empty() { &record.config.user } else { &wish.user };
    let groups = record.host_config.group_add.as_deref().unwrap_or_default();
    let user = Databases::read(root.as_fd())?.find(name, groups)?;
    let capabilities = match wish.privileged {
        true => engine.host.capabilities.clone(),
        false => security::capabilities(&record.host_config, &engine.host)?,
    };
    let ulimits = record.host_config.resources.ulimits.as_deref().unwrap_or_default();
    let rlimits = process::rlimits(ulimits, &engine.options.default_ulimits, &engine.host)?;
    let folder = if wish.working_dir.is_empty() { &record.config.working_dir } else { &wish.working_dir };
    Ok(json!({
        "terminal": wish.tty,
        "user": process::user(&user, &engine.host.groups),
        "args": wish.cmd,
        "env": process::environment(record, wish.tty, &links::variables(engine, record), &wish.env, &user),
        "cwd": process::working_dir(folder),
        "capabilities": process::sets(&capabilities),
        "noNewPrivileges": security::no_new_privileges(&record.host_config)?,
        "oomScoreAdj": record.host_config.oom_score_adj,
        "rlimits": rlimits.iter().map(process::limit).collect::<Vec<_>>(),
    }))
}

/// Starts it. Detached (or with no stream wanted) there is nothing to join, and a failure is an error; otherwise a failure
/// is told in the stream, as Docker does.
///
/// # Errors
/// 404, 409 when it was started already or the container does not run.
pub async fn start(engine: &Arc<Engine>, exec_id: &str, how: ExecStart) -> Result<Option<Attached>> {
    let (engine, exec_id) = (engine.clone(), exec_id.to_string());
    to_the_end(async move { steps(&engine, &exec_id, how).await }).await
}

async fn steps(engine: &Arc<Engine>, exec_id: &str, how: ExecStart) -> Result<Option<Attached>> {
    let exec = engine.execs.find(exec_id)?;
    let record = exec.container.record();
    active(&record)?;
    {
        let mut state = exec.state.lock().expect("no holder panics");
        if state.ended.is_some() {
            return Err(Error::conflict(format!("exec command {exec_id} has already run")));
        }
        if state.started {
            return Err(Error::conflict(format!("exec command {exec_id} is already running")));
        }
        (state.started, state.running) = (true, true);
    }
    exec.say(engine, "exec_start");
    let wish = &exec.wish;
    let watched = !how.detach && (wish.attach_stdin || wish.attach_stdout || wish.attach_stderr);
    match run(engine, &exec, &record, &how, watched).await {
        Ok(Some(stream)) => {
            let (e, x) = (engine.clone(), exec.clone());
            let detached = move || publish(&e, &x.container.record(), "exec_detach", &[("execID", x.id.clone())]);
            Ok(Some(Attached::now(wish.tty, stream, wish.attach_stdin, exec.keys.clone(), Box::new(detached))))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            let (code, error) = verdict(error);
            exec.end(engine, if code == 128 { 126 } else { code });
            match watched {
                true => Ok(Some(Attached::words(wish.tty, words(&error, wish.tty)))),
                false => Err(error),
            }
        }
    }
}

/// The steps with the shim: prepare, attach, start.
async fn run(
    engine: &Arc<Engine>,
    exec: &Arc<Exec>,
    record: &Record,
    how: &ExecStart,
    watched: bool,
) -> Result<Option<tokio::net::UnixStream>> {
    let wish = &exec.wish;
    let shim = exec.container.shim()?;
    let size = how.console_size.or(wish.console_size).unwrap_or_default();
    let mut process = process_of(engine, record, wish)?;
    if wish.tty && size != [0, 0] {
        process["consoleSize"] = json!({ "height": size[0], "width": size[1] });
    }
    shim.ask(Request::Exec(Box::new(ShimExec {
        exec: exec.id.clone(),
        process,
        terminal: wish.tty,
        console_size: size,
        open_stdin: wish.attach_stdin && watched,
    })))
    .await?;
    let stream = match watched {
        false => None,
        true => {
            let (stdin, stdout, stderr) = (wish.attach_stdin, wish.attach_stdout, wish.attach_stderr);
            Some(shim.attach(Attach { exec: Some(exec.id.clone()), stdin, stdout, stderr }).await?)
        }
    };
    match shim.ask(Request::ExecStart { exec: exec.id.clone() }).await? {
        Answer::Started { pid } => {
            exec.state.lock().expect("no holder panics").pid = pid;
            Ok(stream)
        }
        other => Err(Error::system(format!("the shim answered exec with {other:?}"))),
    }
}

/// The reason of a failure as the client sees it in its stream.
fn words(error: &Error, tty: bool) -> Vec<u8> {
    let said = error.message();
    // what the runtime was not even asked for (an unknown user) is told as it is
    let by_runtime = if said.starts_with("exec failed") { "OCI runtime exec failed: " } else { "" };
    let text = format!("{by_runtime}{said}\r\n");
    match tty {
        true => text.into_bytes(),
        false => [&stream::header(Stream::Stdout, text.len() as u32)[..], text.as_bytes()].concat(),
    }
}

/// Its state, but never "running" when its process has gone: a client asks for the exit code the moment the stream closes,
/// and the shim's word of it may still be on its way.
async fn settled(exec: &Exec) -> ExecState {
    let deadline = Instant::now() + NEWS;
    loop {
        let state = exec.state();
        let gone = state.running && state.pid != 0 && !lives(state.pid);
        if !gone || Instant::now() > deadline {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whether a process is there and more than a zombie: proc_pid_stat(5), the letter behind the name.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|letter| !matches!(letter, 'Z' | 'X'))
}

/// What is known of it.
///
/// # Errors
/// 404 `No such exec instance: x`.
pub async fn inspect(engine: &Arc<Engine>, exec_id: &str) -> Result<ExecInspect> {
    let exec = engine.execs.find(exec_id)?;
    let (state, wish) = (settled(&exec).await, &exec.wish);
    let (entrypoint, arguments) = wish.cmd.split_first().map(|(e, a)| (e.clone(), a.to_vec())).unwrap_or_default();
    Ok(ExecInspect {
        id: exec.id.clone(),
        running: state.running,
        exit_code: state.exit_code,
        process_config: ProcessConfig {
            tty: wish.tty,
            entrypoint,
            arguments,
            privileged: wish.privileged,
            user: wish.user.clone(),
        },
        open_stdin: wish.attach_stdin,
        open_stderr: wish.attach_stderr,
        open_stdout: wish.attach_stdout,
        can_remove: false,
        container_id: exec.container.id.clone(),
        detach_keys: wish.detach_keys.clone(),
        pid: state.pid.into(),
    })
}

/// Tells an exec's terminal how large its window is.
///
/// # Errors
/// 404; 409 when it does not run.
pub async fn resize(engine: &Arc<Engine>, exec_id: &str, rows: u16, cols: u16) -> Result<()> {
    let exec = engine.execs.find(exec_id)?;
    exec.container.shim()?.ask(Request::Resize { exec: Some(exec.id.clone()), rows, cols }).await.map(drop)
}
