//! # cluster exec, shell: a program in a node
//!
//! The three calls of `exec` ([`crate::container::exec`]), about a node instead of a container. In a node's shell everything works as the labs have it: `minidock` talks to
//! that node's daemon, `hostname -i` is an address the others reach, and the folder is the one you came from.
//!
//! ```text
//!   cluster exec node1 ip addr      cluster exec -it node1 sh      cluster shell node1
//! ```
//!
//! *See:* `src/cluster/shell.rs`. *Next room:* [`crate::context`]

use crate::{
    container::{
        run, signals,
        streams::{self, End, Wires},
    },
    flag,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Route, Wish};
use minidock_spec::engine::exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart};

/// What a shell is: bash, if this machine has it.
const SHELL: &str = "if command -v bash >/dev/null; then exec bash --norc; else exec sh; fi";

/// `minidock cluster exec`.
pub fn exec_command() -> clap::Command {
    flag::command("exec", "[OPTIONS] NODE COMMAND [ARG...]", "Execute a command in a node")
        .arg(flag::list("env", "list", "Set environment variables").short('e'))
        .arg(flag::switch("interactive", "Keep STDIN open").short('i'))
        .arg(flag::switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(flag::text("workdir", "string", "Working directory inside the node").short('w'))
        .arg(flag::name("NODE"))
        .arg(flag::program("COMMAND").required(true).num_args(1..))
}

/// Executes a command; gives its status.
///
/// # Errors
/// No such node, or it does not run; an input that is no terminal.
pub async fn exec(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut program = flag::list_of(m, "COMMAND");
    if program.first().is_some_and(|word| word == "--") {
        program.remove(0);
    }
    let wish = ExecCreate {
        tty: m.get_flag("tty"),
        attach_stdin: m.get_flag("interactive"),
        env: flag::list_of(m, "env"),
        working_dir: flag::text_of(m, "workdir").map_or_else(here, str::to_string),
        cmd: program,
        ..ExecCreate::default()
    };
    execute(session, flag::text_of(m, "NODE").unwrap_or_default(), wish).await
}

/// `minidock cluster shell`.
pub fn shell_command() -> clap::Command {
    flag::command("shell", "NODE", "Open a shell in a node").arg(flag::name("NODE"))
}

/// Opens a shell, with a terminal if there is one here.
///
/// # Errors
/// As [`exec`].
pub async fn shell(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wish = ExecCreate {
        tty: terminal::input_is_terminal(),
        attach_stdin: true,
        working_dir: here(),
        cmd: ["/bin/sh", "-c", SHELL].map(String::from).to_vec(),
        ..ExecCreate::default()
    };
    execute(session, flag::text_of(m, "NODE").unwrap_or_default(), wish).await
}

/// The folder we are in.
fn here() -> String {
    std::env::current_dir().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()
}

async fn execute(session: &mut Session, node: &str, mut wish: ExecCreate) -> Result<i32> {
    if wish.tty && wish.attach_stdin && !terminal::input_is_terminal() {
        return Err(run::not_a_terminal());
    }
    if let (true, Ok(term)) = (wish.tty, std::env::var("TERM")) {
        wish.env.insert(0, format!("TERM={term}"));
    }
    let docker = session.host().await?;
    let created: ExecCreated = docker.post(&Route::new("/minidock/cluster/nodes/{}/exec", [node]), &wish).await?;
    let console_size = if wish.tty { terminal::size().map(|(rows, columns)| [rows, columns]) } else { None };
    let body = ExecStart { detach: false, tty: wish.tty, console_size };
    let start = Route::new("/minidock/cluster/exec/{}/start", [created.id.as_str()]);
    let attached = docker.hijack(Wish::post(&start).json(&body)?).await?;
    let resize = Route::new("/minidock/cluster/exec/{}/resize", [created.id.as_str()]);
    let _size = wish.tty.then(|| signals::follow_size(&docker, resize));
    let wires = Wires { tty: wish.tty, stdin: wish.attach_stdin, detach_keys: Vec::new(), mortal: true };
    match streams::join(attached, &wires).await? {
        End::Detached => Ok(0),
        End::Signal(number) => Ok(128 + number),
        End::Output => {
            let ended: ExecInspect = docker.get(&Route::new("/minidock/cluster/exec/{}", [created.id.as_str()])).await?;
            Ok((ended.exit_code.unwrap_or(0) & 0xff) as i32)
        }
    }
}
