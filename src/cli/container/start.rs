//! # start: once more
//!
//! A stopped container keeps its writable layer, so starting it goes on where it was. `start` alone starts any number of
//! containers and prints their names; with `-a` (output) or `-i` (input too) it starts one and stays with it, as `run` does
//! after its create.
//!
//! Laws: attach and wait are armed before the start. *See:* docker/cli `cli/command/container/start.go`. *Next room:*
//! [`crate::container::attach`]

use crate::container::{
    run, signals,
    streams::{self, End, Wires},
};
use crate::{complain, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::engine::container::Inspect;

/// `minidock start`.
pub fn command() -> clap::Command {
    flag::command("start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers")
        .arg(flag::switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'))
        .arg(flag::text("detach-keys", "string", "Override the key sequence for detaching a container"))
        .arg(flag::switch("interactive", "Attach container's STDIN").short('i'))
        .arg(flag::names("CONTAINER"))
}

/// Starts containers; with `-a` or `-i` gives the program's status.
///
/// # Errors
/// The daemon's refusal for a container that was to be attached to.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "CONTAINER");
    let (attach, interactive) = (m.get_flag("attach"), m.get_flag("interactive"));
    let keys = run::keys(flag::text_of(m, "detach-keys"))?;
    if !attach && !interactive {
        return each(&session.docker().await?, &names).await;
    }
    match names.as_slice() {
        [one] => stay(&session.docker().await?, one, interactive, keys).await,
        _ => Err(Error::invalid("you cannot start and attach multiple containers at once")),
    }
}

async fn each(docker: &Docker, names: &[String]) -> Result<i32> {
    let mut failed = Vec::new();
    for name in names {
        match docker.poke(&Route::new("/containers/{}/start", [name])).await {
            Ok(()) => terminal::print(&format!("{name}\n")),
            Err(error) => {
                complain(&error);
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    terminal::eprint(&format!("Error: failed to start containers: {}\n", failed.join(", ")));
    Ok(1)
}

async fn stay(docker: &Docker, name: &str, interactive: bool, detach_keys: Vec<u8>) -> Result<i32> {
    let container: Inspect = docker.get(&Route::new("/containers/{}/json", [name])).await?;
    let (id, config) = (container.id.as_str(), &container.config);
    let wires = Wires { tty: config.tty, stdin: interactive && config.open_stdin, detach_keys, mortal: true };
    if wires.tty && wires.stdin && !terminal::input_is_terminal() {
        return Err(run::not_a_terminal());
    }
    let streams = run::Streams { stdin: wires.stdin, stdout: true, stderr: true };
    let condition = if container.host_config.auto_remove { "removed" } else { "next-exit" };
    let (attached, waiting) =
        tokio::join!(run::attach(docker, id, &streams, &wires.detach_keys), run::wait(docker, id, condition));
    let (attached, waiting) = (attached?, waiting?);
    let _signals = (!config.tty).then(|| signals::pass_on(docker, id));
    let route = Route::new("/containers/{}/start", [id]);
    match streams::join_while(attached, &wires, docker.poke(&route), || {
        config.tty.then(|| signals::follow_size(docker, Route::new("/containers/{}/resize", [id])))
    })
    .await?
    {
        End::Detached => Ok(0),
        End::Signal(number) => Ok(128 + number),
        End::Output => run::status(waiting).await,
    }
}
