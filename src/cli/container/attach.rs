//! # attach: stand beside a running program
//!
//! The program was started by somebody else, perhaps days ago; `attach` joins its streams as they are now (what it said before
//! is in its logs). The status is the program's when it ends, 1 when the user leaves by the detach keys (Docker's choice).
//!
//! Laws: only a running container can be attached to; a terminal is made to draw itself again by a change of size, there and
//! back. *See:* docker/cli `cli/command/container/attach.go`. *Next room:* [`crate::container::exec`]

use crate::container::{
    run, signals,
    streams::{self, End, Wires},
};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::engine::container::Inspect;

/// `minidock attach`.
pub fn command() -> clap::Command {
    let about = "Attach local standard input, output, and error streams to a running container";
    flag::command("attach", "[OPTIONS] CONTAINER", about)
        .arg(flag::text("detach-keys", "string", "Override the key sequence for detaching a container"))
        .arg(flag::switch("no-stdin", "Do not attach STDIN"))
        .arg(flag::on("sig-proxy", "Proxy all received signals to the process (default true)"))
        .arg(flag::name("CONTAINER"))
}

/// Attaches until the program ends or the user leaves.
///
/// # Errors
/// No such container, one that does not run, an input that is no terminal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let detach_keys = run::keys(flag::text_of(m, "detach-keys"))?;
    let docker = session.docker().await?;
    let container: Inspect = docker.get(&Route::new("/containers/{}/json", [name])).await?;
    let id = container.id.as_str();
    check(&container)?;
    let stdin = !m.get_flag("no-stdin") && container.config.open_stdin;
    let wires = Wires { tty: container.config.tty, stdin, detach_keys, mortal: true };
    if wires.tty && wires.stdin && !terminal::input_is_terminal() {
        return Err(run::not_a_terminal());
    }
    let streams = run::Streams { stdin: wires.stdin, stdout: true, stderr: true };
    let waiting = run::wait(&docker, id, "not-running").await?;
    let attached = run::attach(&docker, id, &streams, &wires.detach_keys).await?;
    let _signals = (flag::is_on(m, "sig-proxy") && !wires.tty).then(|| signals::pass_on(&docker, id));
    let resize = Route::new("/containers/{}/resize", [id]);
    let _size = match wires.tty {
        true => {
            redraw(&docker, &resize).await;
            Some(signals::follow_size(&docker, resize))
        }
        false => None,
    };
    match streams::join(attached, &wires).await? {
        End::Detached => Ok(run::left()),
        End::Signal(number) => Ok(128 + number),
        End::Output => run::status(waiting).await,
    }
}

fn check(container: &Inspect) -> Result<()> {
    let state = &container.state;
    let no = |why: &str, hint: String| Err(Error::conflict(why).hint(hint));
    let name = container.name.trim_start_matches('/');
    match () {
        () if state.paused => {
            no("You cannot attach to a paused container, unpause it first", format!("minidock unpause {name}"))
        }
        () if state.restarting => {
            no("You cannot attach to a restarting container, wait until it is running", format!("minidock logs -f {name}"))
        }
        () if !state.running => {
            no("You cannot attach to a stopped container, start it first", format!("minidock start -a {name}"))
        }
        () => Ok(()),
    }
}

/// One row more and back: full-screen programs draw themselves again.
async fn redraw(docker: &Docker, resize: &Route) {
    if let Some((rows, columns)) = terminal::size() {
        // a size that cannot be set is set again by whoever follows it
        let _ = docker.poke(&resize.clone().pair("h", rows.saturating_add(1)).pair("w", columns.saturating_add(1))).await;
    }
}
