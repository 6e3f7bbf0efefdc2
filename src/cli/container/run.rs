//! # run: four calls that look like one
//!
//! `minidock run alpine ls` is *create*, *attach*, *wait* and *start*. The order is the lesson: whoever attached only after the
//! start would miss the first lines of a fast program, and whoever waited only after it would miss its end.
//!
//! ```text
//!   1 create    POST /containers/create             201 {"Id": …}       (404: fetch the image, once more)
//!   2 attach    POST /containers/<id>/attach        101, then bytes     ┐ side by side,
//!   3 wait      POST /containers/<id>/wait          the head at once …  ┘ both armed before
//!   4 start     POST /containers/<id>/start         204                   the program exists
//!     …         keys and signals go there, output comes here, sizes follow
//!   5           … the wait's body: {"StatusCode": 3}    our exit status
//! ```
//!
//! * With `-d` only 1 and 4: the id is printed.
//! * With `--rm` the wait is for the removal, so that nothing of the container is left when the prompt comes back.
//! * The status is the program's; 125 if we or the daemon failed, 126 if it cannot be executed, 127 if it does not exist:
//!   [`status_of`] reads it from the daemon's words, as Docker's client does.
//!
//! *See:* docker/cli `cli/command/container/run.go`. *Next room:* [`crate::container::streams`]

use crate::container::{
    body, create, flags, signals,
    streams::{self, End, Wires},
};
use crate::{complain, detach_keys, explain, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Answer, Docker, Hijacked, Route, Wish as Request};
use minidock_spec::engine::container::WaitAnswer;
use std::time::Duration;

/// `minidock run`.
pub fn command() -> clap::Command {
    let about = "Create and run a new container from an image";
    flags::add_run(flags::add(flag::command("run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", about)))
}

/// Runs a program in a new container; gives its status.
///
/// # Errors
/// `--attach` with `--detach`. All else that goes wrong is printed, and the status says which kind it was.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if m.get_flag("detach") && !flag::list_of(m, "attach").is_empty() {
        return Err(Error::invalid("conflicting options: cannot specify both --attach and --detach"));
    }
    let (mut wish, detach_keys) = match read(m) {
        Ok(read) => read,
        Err(error) => {
            complain(&error);
            return Ok(create::WRONG_FLAGS);
        }
    };
    let config = &mut wish.body.config;
    let detached = m.get_flag("detach");
    if detached {
        (config.attach_stdin, config.attach_stdout, config.attach_stderr, config.stdin_once) = (false, false, false, false);
    } else if config.tty && config.attach_stdin && !terminal::input_is_terminal() {
        complain(&not_a_terminal());
        return Ok(1);
    }
    if let (true, Some((rows, columns))) = (config.tty, terminal::size()) {
        wish.body.host_config.console_size = [rows, columns];
    }
    let manner = Manner { detach_keys, proxy: flag::is_on(m, "sig-proxy"), explain: m.get_flag("explain") };
    let done = async {
        let docker = session.docker().await?;
        let created = create::create(&docker, &wish, session.config_folder()).await?;
        match detached {
            true => in_background(&docker, &created.id, &manner).await,
            false => in_foreground(&docker, &created.id, &wish, manner).await,
        }
    };
    match done.await {
        Ok(status) => Ok(status),
        Err(error) => {
            complain(&error);
            Ok(status_of(&error))
        }
    }
}

fn read(m: &ArgMatches) -> Result<(body::Wish, Vec<u8>)> {
    let wish = body::wish(m)?;
    Ok((wish, keys(flag::text_of(m, "detach-keys"))?))
}

/// The detach keys asked for, or Docker's.
///
/// # Errors
/// A sequence that is none.
pub fn keys(text: Option<&str>) -> Result<Vec<u8>> {
    text.filter(|text| !text.is_empty()).map_or(Ok(detach_keys::DEFAULT.to_vec()), detach_keys::parse)
}

/// Says goodbye to a user who left by the detach keys; gives the status, Docker's.
pub fn left() -> i32 {
    terminal::eprint("read escape sequence\n");
    1
}

/// `-t` promises the program a terminal; without one here it would be a lie.
pub fn not_a_terminal() -> Error {
    Error::invalid("the input device is not a TTY").hint("without -t; -i alone passes on what is piped in")
}

/// How a program is run, apart from what it is.
pub struct Manner {
    pub detach_keys: Vec<u8>,
    /// Signals are passed on to the program.
    pub proxy: bool,
    pub explain: bool,
}

/// How long a narration may lag behind what it tells.
const LAG: Duration = Duration::from_secs(1);

async fn in_background(docker: &Docker, id: &str, manner: &Manner) -> Result<i32> {
    let narration = if manner.explain { Some(explain::narrate(docker, id).await?) } else { None };
    // printed first: a container that could not be started is there all the same, and this is its name
    terminal::print(&format!("{id}\n"));
    docker.poke(&Route::new("/containers/{}/start", [id])).await?;
    if let Some(narration) = narration {
        let _ = tokio::time::timeout(LAG, narration.tell(true)).await;
    }
    Ok(0)
}

/// Starts a container that has been created and stays with it; gives the program's status.
///
/// # Errors
/// It could not be started, or the daemon went away.
pub async fn in_foreground(docker: &Docker, id: &str, wish: &body::Wish, manner: Manner) -> Result<i32> {
    let config = &wish.body.config;
    let Manner { detach_keys, proxy, explain } = manner;
    let wires = Wires { tty: config.tty, stdin: config.attach_stdin, detach_keys, mortal: !proxy };
    let condition = if wish.body.host_config.auto_remove { "removed" } else { "next-exit" };
    let streams = Streams { stdin: config.attach_stdin, stdout: config.attach_stdout, stderr: config.attach_stderr };
    let (attached, waiting) = tokio::join!(attach(docker, id, &streams, &wires.detach_keys), wait(docker, id, condition));
    let (attached, waiting) = (attached?, waiting?);
    let narration = match explain {
        true => Some(tokio::spawn(explain::narrate(docker, id).await?.tell(false))),
        false => None,
    };
    let _signals = proxy.then(|| signals::pass_on(docker, id));
    let route = Route::new("/containers/{}/start", [id]);
    let size = || wires.tty.then(|| signals::follow_size(docker, Route::new("/containers/{}/resize", [id])));
    let ended = match streams::join_while(attached, &wires, docker.poke(&route), size).await {
        Ok(End::Detached) => return Ok(0),
        Ok(End::Signal(number)) => return Ok(128 + number),
        Ok(End::Output) => status(waiting).await,
        Err(error) => {
            // a container that could not be started is removed by the daemon: its name is free when we are gone
            if wish.body.host_config.auto_remove && error.is_from_daemon() {
                let _ = status(waiting).await;
            }
            Err(error)
        }
    };
    if let Some(narration) = narration {
        let _ = tokio::time::timeout(LAG, narration).await;
    }
    ended
}

/// Which streams to attach.
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Attaches to a container, running or not.
///
/// # Errors
/// The daemon's refusal.
pub async fn attach(docker: &Docker, id: &str, streams: &Streams, detach_keys: &[u8]) -> Result<Hijacked> {
    let keys = (detach_keys != detach_keys::DEFAULT).then(|| spelled(detach_keys));
    let route = Route::new("/containers/{}/attach", [id])
        .flag("stream", true)
        .flag("stdin", streams.stdin)
        .flag("stdout", streams.stdout)
        .flag("stderr", streams.stderr)
        .maybe("detachKeys", keys);
    docker.hijack(Request::post(&route)).await
}

/// Detach keys in the API's spelling.
pub fn spelled(keys: &[u8]) -> String {
    let one = |key: &u8| match key {
        0 => "ctrl-@".to_string(),
        1..=26 => format!("ctrl-{}", (b'a' + key - 1) as char),
        27..=31 => format!("ctrl-{}", (b'[' + key - 27) as char),
        127 => "DEL".to_string(),
        other => (*other as char).to_string(),
    };
    keys.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Arms a wait; its answer's body comes when the condition does.
///
/// # Errors
/// The daemon's refusal.
pub async fn wait(docker: &Docker, id: &str, condition: &str) -> Result<Answer> {
    docker.send(Request::post(&Route::new("/containers/{}/wait", [id]).pair("condition", condition))).await
}

/// The status that a wait brings.
///
/// # Errors
/// The daemon went away before it knew, or says why waiting failed.
pub async fn status(waiting: Answer) -> Result<i32> {
    let answer: WaitAnswer = waiting.json().await?;
    match answer.error {
        Some(error) if !error.message.is_empty() => Err(Error::system(error.message).from_daemon()),
        _ => Ok((answer.status_code & 0xff) as i32),
    }
}

/// The exit status for a failure: 127 not found, 126 not executable, 125 everything else.
pub fn status_of(error: &Error) -> i32 {
    let text = error.message();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    match error.is_from_daemon() {
        true if says(&["executable file not found", "no such file or directory", "system cannot find the file"]) => 127,
        true if says(&["permission denied", "is a directory"]) => 126,
        _ => 125,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_daemons_words() {
        let said = |text: &str| status_of(&Error::invalid(text).from_daemon());
        assert_eq!(said("exec: \"x\": executable file not found in $PATH: unknown"), 127);
        assert_eq!(said("exec: \"/etc\": is a directory"), 126);
        assert_eq!(said("exec: \"/x\": permission denied"), 126);
        assert_eq!(said("No such image: x"), 125);
        assert_eq!(status_of(&Error::invalid("open profile: no such file or directory")), 125);
    }

    #[test]
    fn keys_are_spelled_as_they_are_read() {
        for text in ["ctrl-p,ctrl-q", "a,ctrl-@,ctrl-[,ctrl-_,DEL", "x"] {
            assert_eq!(spelled(&keys(Some(text)).expect("keys")), text);
        }
    }
}
