//! # attach, commit, export: one container of a service, by the doors of the same name
//!
//! Each finds the container (the first, or the one that `--index` names) and hands all other words on, as if they had been typed behind
//! `minidock attach`, `commit` and `export`.
//!
//! ```text
//!   compose attach web            attach app-web-1
//!   compose commit web site:1     commit app-web-1 site:1
//!   compose export -o w.tar web   export -o w.tar app-web-1
//! ```
//!
//! *See:* docker/compose `cmd/compose/{attach,commit,export}.go`. *Next room:* [`super::run`](mod@super::run)

use super::{files, images::typed_at, options, seen};
use crate::{
    container::{attach, commit, export},
    flag,
    session::Session,
};
use clap::ArgMatches;
use minidock_base::Result;

fn with_index(command: clap::Command) -> clap::Command {
    options::with(command).arg(flag::number("index", "int", "Index of the container if service has multiple replicas"))
}

/// The flags of `compose attach`.
pub fn attach_command() -> clap::Command {
    let about = "Attach local standard input, output, and error streams to a service's running container";
    with_index(flag::command("attach", "[OPTIONS] SERVICE", about))
        .arg(flag::text("detach-keys", "string", "Override the key sequence for detaching from a container."))
        .arg(flag::switch("no-stdin", "Do not attach STDIN"))
        .arg(flag::on("sig-proxy", "Proxy all received signals to the process (default true)"))
        .arg(flag::name("SERVICE"))
}

/// Attaches to a service's container; gives its status.
///
/// # Errors
/// A service that does not run; as `minidock attach`.
pub async fn attach(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut typed: Vec<String> = texts(m, &["detach-keys"]);
    typed.extend(m.get_flag("no-stdin").then(|| "--no-stdin".to_string()));
    typed.push(format!("--sig-proxy={}", flag::is_on(m, "sig-proxy")));
    typed.push(found(m, session).await?);
    typed_at(session, attach::command, |m, s| Box::pin(attach::run(m, s)), "attach", &typed).await
}

/// The flags of `compose commit`.
pub fn commit_command() -> clap::Command {
    let about = "Create a new image from a service container's changes";
    commit::flags(with_index(flag::command("commit", "[OPTIONS] SERVICE [REPOSITORY[:TAG]]", about)), "SERVICE")
}

/// Commits a service's container.
///
/// # Errors
/// A service without containers; as `minidock commit`.
pub async fn commit(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut typed = texts(m, &["author", "message"]);
    typed.extend(flag::list_of(m, "change").iter().map(|change| format!("--change={change}")));
    typed.push(format!("--pause={}", flag::is_on(m, "pause")));
    typed.push(found(m, session).await?);
    typed.extend(flag::text_of(m, "REPOSITORY[:TAG]").map(str::to_string));
    typed_at(session, commit::command, |m, s| Box::pin(commit::run(m, s)), "commit", &typed).await
}

/// The flags of `compose export`.
pub fn export_command() -> clap::Command {
    with_index(flag::command("export", "[OPTIONS] SERVICE", "Export a service container's filesystem as a tar archive"))
        .arg(flag::text("output", "string", "Write to a file, instead of STDOUT").short('o'))
        .arg(flag::name("SERVICE"))
}

/// Exports a service's container.
///
/// # Errors
/// A service without containers; as `minidock export`.
pub async fn export(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut typed = texts(m, &["output"]);
    typed.push(found(m, session).await?);
    typed_at(session, export::command, |m, s| Box::pin(export::run(m, s)), "export", &typed).await
}

fn texts(m: &ArgMatches, keys: &[&str]) -> Vec<String> {
    keys.iter().filter_map(|key| Some(format!("--{key}={}", flag::text_of(m, key)?))).collect()
}

async fn found(m: &ArgMatches, session: &mut Session) -> Result<String> {
    let service = flag::text_of(m, "SERVICE").unwrap_or_default().to_string();
    let (opened, project) = files::project_or_name(m, std::slice::from_ref(&service))?;
    let docker = session.docker().await?;
    Ok(seen::one(&docker, opened.as_ref(), &project, &service, flag::number_of(m, "index")).await?.id)
}
