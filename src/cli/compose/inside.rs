//! # exec, cp: into one container of a service
//!
//! Each finds the container and then does what `minidock exec` and `minidock cp` do, by their own doors. Only the habits differ: `exec` has
//! a terminal unless `-T` says otherwise or there is none here, and its input is always open.
//!
//! ```text
//!   compose exec web sh          exec -it app-web-1 sh
//!   compose cp web:/etc/hosts .  cp app-web-1:/etc/hosts .
//! ```
//!
//! *See:* docker/compose `cmd/compose/{exec,cp}.go`. *Next room:* [`super::one`]

use super::{files, images::typed_at, options, seen};
use crate::{
    container::{copy, exec as container_exec},
    flag,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_compose::local::plan::Seen;

/// The flags of `compose exec`.
pub fn exec_command() -> clap::Command {
    options::with(flag::command("exec", "[OPTIONS] SERVICE COMMAND [ARGS...]", "Execute a command in a running container"))
        .arg(flag::switch("detach", "Detached mode: Run command in the background").short('d'))
        .arg(flag::list("env", "stringArray", "Set environment variables").short('e'))
        .arg(flag::number("index", "int", "Index of the container if service has multiple replicas"))
        .arg(flag::on("interactive", "Keep STDIN open even if not attached (default true)").short('i').hide(true))
        .arg(
            flag::switch("no-TTY", "Disable pseudo-TTY allocation. By default `docker compose exec` allocates a TTY.")
                .short('T')
                .alias("no-tty"),
        )
        .arg(flag::switch("privileged", "Give extended privileges to the process"))
        .arg(flag::switch("tty", "Allocate a pseudo-TTY").short('t').hide(true))
        .arg(flag::text("user", "string", "Run the command as this user").short('u'))
        .arg(flag::text("workdir", "string", "Path to workdir directory for this command").short('w'))
        .arg(flag::name("SERVICE"))
        .arg(flag::program("COMMAND").required(true).num_args(1..))
}

/// Executes a command in a service's container; gives its status.
///
/// # Errors
/// A service that does not run; as `minidock exec`.
pub async fn exec(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let service = flag::text_of(m, "SERVICE").unwrap_or_default().to_string();
    let (opened, project) = files::project_or_name(m, std::slice::from_ref(&service))?;
    let docker = session.docker().await?;
    let one = seen::one(&docker, opened.as_ref(), &project, &service, flag::number_of(m, "index")).await?;
    let mut typed: Vec<String> = Vec::new();
    let detached = m.get_flag("detach");
    let tty = !m.get_flag("no-TTY") && terminal::input_is_terminal() && terminal::output_is_terminal();
    for (wanted, flag) in [
        (detached, "--detach"),
        (flag::is_on(m, "interactive") && !detached, "--interactive"),
        (tty && !detached, "--tty"),
        (m.get_flag("privileged"), "--privileged"),
    ] {
        typed.extend(wanted.then(|| flag.to_string()));
    }
    typed.extend(flag::list_of(m, "env").iter().map(|pair| format!("--env={pair}")));
    for key in ["user", "workdir"] {
        typed.extend(flag::text_of(m, key).map(|value| format!("--{key}={value}")));
    }
    typed.push(one.id);
    typed.extend(flag::list_of(m, "COMMAND"));
    typed_at(session, container_exec::command, |m, s| Box::pin(container_exec::run(m, s)), "exec", &typed).await
}

/// The flags of `compose cp`.
pub fn cp_command() -> clap::Command {
    let usage = "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- SERVICE:DEST_PATH";
    options::with(flag::command("cp", usage, "Copy files/folders between a service container and the local filesystem"))
        .arg(flag::switch("all", "Include containers created by the run command"))
        .arg(flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'))
        .arg(flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'))
        .arg(flag::number("index", "int", "Index of the container if service has multiple replicas"))
        .arg(flag::name("SRC_PATH"))
        .arg(flag::name("DEST_PATH"))
}

/// Copies; what goes into a service goes into all of its containers, unless one is chosen.
///
/// # Errors
/// No such service, or one without containers; as `minidock cp`.
pub async fn cp(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (from, to) = (flag::text_of(m, "SRC_PATH").unwrap_or_default(), flag::text_of(m, "DEST_PATH").unwrap_or_default());
    let there = |text: &str| match text.split_once(':') {
        Some((service, path)) if !text.starts_with(['/', '.']) && !service.is_empty() => {
            Some((service.to_string(), path.to_string()))
        }
        _ => None,
    };
    let (source, target) = (there(from), there(to));
    let service = match (&source, &target) {
        (Some(_), Some(_)) => return Err(Error::invalid("copying between services is not supported")),
        (Some((service, _)), None) | (None, Some((service, _))) => service.clone(),
        (None, None) => return Err(Error::invalid("unknown copy direction").hint("SERVICE:/path on one side")),
    };
    let (opened, project) = files::project_or_name(m, std::slice::from_ref(&service))?;
    let docker = session.docker().await?;
    let mut all: Vec<Seen> = seen::of_services(&docker, opened.as_ref(), &project, std::slice::from_ref(&service)).await?;
    match flag::number_of(m, "index").filter(|index| *index > 0) {
        Some(index) => all.retain(|one| i64::from(one.number) == index),
        None if source.is_some() => all.truncate(1),
        None => {}
    }
    if all.is_empty() {
        return Err(Error::not_found(format!("no container found for service {service:?}")));
    }
    let mut status = 0;
    for one in &all {
        let mut typed: Vec<String> = Vec::new();
        typed.extend(m.get_flag("archive").then(|| "--archive".to_string()));
        typed.extend(m.get_flag("follow-link").then(|| "--follow-link".to_string()));
        typed.extend(["--".to_string()]);
        let end = |place: &Option<(String, String)>, plain: &str| match place {
            Some((_, path)) => format!("{}:{path}", one.id),
            None => plain.to_string(),
        };
        typed.extend([end(&source, from), end(&target, to)]);
        status = status.max(typed_at(session, copy::command, |m, s| Box::pin(copy::run(m, s)), "cp", &typed).await?);
    }
    Ok(status)
}
