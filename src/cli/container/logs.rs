//! # logs: what a program has said
//!
//! The shim writes everything a program prints into a file; `logs` shows it, from the start or from the end (`--tail`), up to
//! now or on and on (`-f`), each line with its time (`-t`) if wanted. Output and errors come framed, each to its own
//! descriptor, exactly as they would have come from `run`.
//!
//! Laws: with a terminal there are no frames. *See:* docker/cli `cli/command/container/logs.go`. *Next room:*
//! [`crate::container::copy`]

use crate::container::streams;
use crate::{flag, moment, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Route, Wish as Request};
use minidock_spec::engine::{container::Inspect, stream::Deframer};

/// `minidock logs`.
pub fn command() -> clap::Command {
    let since = "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)";
    let until = "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)";
    flag::command("logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container")
        .arg(flag::switch("details", "Show extra details provided to logs"))
        .arg(flag::switch("follow", "Follow log output").short('f'))
        .arg(flag::text("since", "string", since))
        .arg(flag::text("tail", "string", "Number of lines to show from the end of the logs (default \"all\")").short('n'))
        .arg(flag::switch("timestamps", "Show timestamps").short('t'))
        .arg(flag::text("until", "string", until))
        .arg(flag::name("CONTAINER"))
}

/// Shows a container's log.
///
/// # Errors
/// No such container; a time that is none; a log driver that cannot be read.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let time = |id: &str| {
        let given = flag::text_of(m, id).filter(|text| !text.is_empty());
        given
            .map(moment::from_now)
            .transpose()
            .map_err(|e| Error::invalid(format!("invalid value for {id:?}: {}", e.message())))
    };
    let (since, until) = (time("since")?, time("until")?);
    let docker = session.docker().await?;
    let container: Inspect = docker.get(&Route::new("/containers/{}/json", [name])).await?;
    let route = Route::new("/containers/{}/logs", [container.id.as_str()])
        .pair("stdout", 1)
        .pair("stderr", 1)
        .flag("details", m.get_flag("details"))
        .flag("follow", m.get_flag("follow"))
        .flag("timestamps", m.get_flag("timestamps"))
        .maybe("since", since)
        .maybe("until", until)
        .pair("tail", flag::text_of(m, "tail").unwrap_or("all"));
    let mut log = docker.send(Request::get(&route)).await?;
    let mut frames = Deframer::new();
    while let Some(piece) = log.chunk().await? {
        match container.config.tty {
            true => terminal::print_bytes(&piece),
            false => frames.feed(&piece, streams::show_piece).map_err(streams::not_a_frame)?,
        }
    }
    Ok(0)
}
