//! # exec: a second process in a running container
//!
//! Three calls: declare the process, start it on a hijacked connection, and afterwards ask how it ended.
//!
//! ```text
//!   POST /containers/web/exec   {"Cmd": ["sh"], "Tty": true, …}     201 {"Id": "e1"}
//!   POST /exec/e1/start         {"Detach": false, "Tty": true}      101, then bytes        (-d: 200, and that is all)
//!   GET  /exec/e1/json                                              {"ExitCode": 3}
//! ```
//!
//! * A program that cannot be executed says so on the stream, and its status is 126 or 127, as the runtime reports it.
//! * Signals are not passed on: the API has no call for that; the program ends with its terminal or its input.
//!
//! *See:* docker/cli `cli/command/container/exec.go`. *Next room:* [`crate::container::lifecycle`]

use crate::container::{
    environment, run, signals,
    streams::{self, End, Wires},
};
use crate::{complain, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Kind, Result};
use minidock_client::{Docker, Route, Wish as Request};
use minidock_spec::engine::exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart};

/// `minidock exec`.
pub fn command() -> clap::Command {
    flag::command("exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container")
        .arg(flag::switch("detach", "Detached mode: run command in the background").short('d'))
        .arg(flag::text("detach-keys", "string", "Override the key sequence for detaching a container"))
        .arg(flag::list("env", "list", "Set environment variables").short('e'))
        .arg(flag::list("env-file", "list", "Read in a file of environment variables"))
        .arg(flag::switch("interactive", "Keep STDIN open even if not attached").short('i'))
        .arg(flag::switch("privileged", "Give extended privileges to the command"))
        .arg(flag::switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(flag::text("user", "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'))
        .arg(flag::text("workdir", "string", "Working directory inside the container").short('w'))
        .arg(flag::name("CONTAINER"))
        .arg(flag::program("COMMAND").required(true).num_args(1..))
}

/// Executes a command; gives its status.
///
/// # Errors
/// Flags that make no sense, no such container, one that does not run, an input that is no terminal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (wish, detach_keys) = (wish(m)?, run::keys(flag::text_of(m, "detach-keys"))?);
    if wish.tty && wish.attach_stdin && !terminal::input_is_terminal() {
        return Err(run::not_a_terminal());
    }
    let docker = session.docker().await?;
    let container = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let created: ExecCreated = docker.post(&Route::new("/containers/{}/exec", [container]), &wish).await?;
    let start = Route::new("/exec/{}/start", [created.id.as_str()]);
    if m.get_flag("detach") {
        let body = ExecStart { detach: true, tty: wish.tty, console_size: None };
        docker.send(Request::post(&start).json(&body)?).await?.bytes().await?;
        return Ok(0);
    }
    let body = ExecStart { detach: false, tty: wish.tty, console_size: wish.console_size };
    let attached = match docker.hijack(Request::post(&start).json(&body)?).await {
        Err(error) if error.kind() == Kind::InvalidParameter && run::status_of(&error) != 125 => {
            complain(&error);
            return Ok(run::status_of(&error));
        }
        attached => attached?,
    };
    let _size = wish.tty.then(|| signals::follow_size(&docker, Route::new("/exec/{}/resize", [created.id.as_str()])));
    let wires = Wires { tty: wish.tty, stdin: wish.attach_stdin, detach_keys, mortal: true };
    match streams::join(attached, &wires).await? {
        End::Detached => Ok(run::left()),
        End::Signal(number) => Ok(128 + number),
        End::Output => status(&docker, &created.id).await,
    }
}

fn wish(m: &ArgMatches) -> Result<ExecCreate> {
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().to_string();
    let stays = !m.get_flag("detach");
    let tty = m.get_flag("tty");
    let ours = |name: &str| std::env::var(name).ok();
    Ok(ExecCreate {
        user: text("user"),
        privileged: m.get_flag("privileged"),
        tty,
        console_size: if tty { terminal::size().map(|(rows, columns)| [rows, columns]) } else { None },
        attach_stdin: stays && m.get_flag("interactive"),
        attach_stdout: stays,
        attach_stderr: stays,
        detach_keys: text("detach-keys"),
        env: environment::variables(&flag::list_of(m, "env-file"), &flag::list_of(m, "env"), ours)?,
        working_dir: text("workdir"),
        cmd: flag::list_of(m, "COMMAND"),
    })
}

/// How it ended.
async fn status(docker: &Docker, id: &str) -> Result<i32> {
    let ended: ExecInspect = docker.get(&Route::new("/exec/{}/json", [id])).await?;
    Ok((ended.exit_code.unwrap_or(0) & 0xff) as i32)
}
