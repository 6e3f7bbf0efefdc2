//! # service scale and rm: more, fewer, none
//!
//! `service scale web=5 worker=3` changes how many there are of several services; all are told first, then one waits for each in turn.
//! `rm` tells the managers that a service is gone; its tasks end in their own time.
//!
//! Laws: what goes wrong with one is said, and the others go on. *See:* docker/cli `cli/command/service/{scale,remove}.go`.
//! *Next room:* [`super::tasks`]

use super::{
    flags, progress,
    update::{Post, fetch, send},
    values,
};
use crate::{
    each::{in_turn, named},
    flag, help,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::service::ServiceMode;

/// The flags of `service scale`.
pub fn command() -> clap::Command {
    let usage = "SERVICE=REPLICAS [SERVICE=REPLICAS...]";
    flag::command("scale", usage, "Scale one or multiple replicated services").arg(flags::detach()).arg(flag::names("SERVICE"))
}

/// The arguments of `service rm`.
pub fn rm() -> clap::Command {
    flag::command("rm", "SERVICE [SERVICE...]", "Remove one or more services").arg(flag::names("SERVICE"))
}

/// Changes how many there are.
///
/// # Errors
/// A word that is not `SERVICE=REPLICAS`; a daemon that cannot be asked.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut wishes = Vec::new();
    for word in flag::list_of(m, "SERVICE") {
        match word.split_once('=') {
            Some((name, count)) if !name.is_empty() && !count.is_empty() => wishes.push((name.to_string(), count.to_string())),
            _ => {
                let usage = help::usage_line(&mut command(), "service scale");
                let about = "Scale one or multiple replicated services";
                terminal::eprint(&format!(
                    "invalid scale specifier '{word}'.\nSee 'minidock service scale --help'.\n\n{usage}\n\n{about}\n"
                ));
                return Ok(1);
            }
        }
    }
    let docker = session.docker().await?;
    let (mut scaled, mut status) = (Vec::new(), 0);
    let mut said = |name: &str, error: Error| {
        terminal::eprint(&format!("minidock: {name}: {error}\n"));
        status = 1;
    };
    for (name, count) in wishes {
        match scale(&docker, &name, &count).await {
            Ok(count) => {
                terminal::print(&format!("{name} scaled to {count}\n"));
                scaled.push(name);
            }
            Err(error) => said(&name, error),
        }
    }
    for name in scaled.iter().filter(|_| !m.get_flag("detach")) {
        if let Err(error) = progress::wait(&docker, name, false).await {
            said(name, error);
        }
    }
    Ok(status)
}

async fn scale(docker: &Docker, name: &str, count: &str) -> Result<u64> {
    let wrong = |why: String| Error::invalid(format!("invalid replicas value {count}: {why}"));
    let decimal = count.bytes().all(|byte| byte.is_ascii_digit());
    let number = if decimal { count.trim_start_matches('0') } else { count };
    let replicas = values::number(if decimal && number.is_empty() { "0" } else { number }).map_err(wrong)?;
    let mut service = fetch(docker, name).await?;
    match &mut service.spec.mode {
        ServiceMode { replicated: Some(replicated), .. } => replicated.replicas = Some(replicas),
        ServiceMode { replicated_job: Some(job), .. } => job.total_completions = Some(replicas),
        _ => return Err(Error::invalid("scale can only be used with replicated or replicated-job mode")),
    }
    send(docker, &service, Post::default()).await?.warn();
    Ok(replicas)
}

/// Removes services, each for itself.
///
/// # Errors
/// A daemon that cannot be asked; its refusals are printed, and the status is 1.
pub async fn run_rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let remove = async |name: String| -> Result<String> {
        docker.delete::<()>(&Route::new("/services/{}", [named("service", &name)?])).await.map(|()| name + "\n")
    };
    in_turn(flag::list_of(m, "SERVICE"), remove).await
}
