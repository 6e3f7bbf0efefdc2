//! # stack rm: everything of a stack goes
//!
//! Services first, for they use the rest. What cannot be removed is told, and the others go all the same.
//!
//! *See:* docker/cli `cli/command/stack/swarm/remove.go`. *Next room:* [`super::list`]

use super::{members, named};
use crate::{each::in_turn, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{
    secret::Secret,
    service::Service,
    task::{Task, TaskState},
};
use serde_json::Value as Json;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);
/// How long a network may still be in use by tasks that end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The flags of `stack rm`.
pub fn command() -> clap::Command {
    flag::command("rm", "[OPTIONS] STACK [STACK...]", "Remove one or more stacks")
        .arg(flag::on("detach", "Do not wait for stack removal (default true)").short('d'))
        .arg(flag::names("STACK"))
}

/// Removes stacks, each for itself.
///
/// # Errors
/// A name that is none; what could not be removed, when all else is gone.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let stacks = flag::list_of(m, "STACK");
    stacks.iter().try_for_each(|name| named(name).map(drop))?;
    let (docker, detach) = (session.docker().await?, flag::is_on(m, "detach"));
    let remove = async |name: String| -> Result<String> {
        one(&docker, &name).await?;
        if !detach {
            gone(&docker, &name).await?;
        }
        Ok(String::new())
    };
    in_turn(stacks, remove).await
}

async fn one(docker: &Docker, name: &str) -> Result<()> {
    let mut theirs: Vec<Service> = members(docker, "services", name).await?;
    let networks: Vec<Json> = members(docker, "networks", name).await?;
    let secrets: Vec<Secret> = members(docker, "secrets", name).await?;
    let configs: Vec<Secret> = members(docker, "configs", name).await?;
    if theirs.is_empty() && networks.is_empty() && secrets.is_empty() && configs.is_empty() {
        terminal::eprint(&format!("Nothing found in stack: {name}\n"));
        return Ok(());
    }
    theirs.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let mut all_gone = services(docker, theirs).await;
    for (kind, objects) in [("secret", secrets), ("config", configs)] {
        for object in objects {
            all_gone &= away(docker, kind, &object.spec.name, &object.id).await;
        }
    }
    for network in networks {
        let text = |key: &str| network[key].as_str().unwrap_or_default();
        all_gone &= away(docker, "network", text("Name"), text("Id")).await;
    }
    match all_gone {
        true => Ok(()),
        false => Err(Error::conflict(format!("failed to remove some resources from stack: {name}"))),
    }
}

/// Removes services; whether all are gone.
pub async fn services(docker: &Docker, services: Vec<Service>) -> bool {
    let mut all_gone = true;
    for service in services {
        all_gone &= away(docker, "service", &service.spec.name, &service.id).await;
    }
    all_gone
}

async fn away(docker: &Docker, kind: &str, name: &str, id: &str) -> bool {
    terminal::print(&format!("Removing {kind} {name}\n"));
    let began = Instant::now();
    loop {
        match docker.delete::<()>(&Route::new(&format!("/{kind}s/{{}}"), [id])).await {
            Ok(()) => return true,
            // the tasks of a service that has just gone are told to end by a loop of their own
            Err(busy) if busy.message().contains("is in use by task") && began.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(refusal) => {
                terminal::eprint(&format!("Failed to remove {kind} {id}: {refusal}\n"));
                return false;
            }
        }
    }
}

/// Waits until no task of the stack runs any more.
async fn gone(docker: &Docker, name: &str) -> Result<()> {
    loop {
        let tasks: Vec<Task> = members(docker, "tasks", name).await?;
        if tasks.iter().all(|task| task.status.state > TaskState::Running) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
