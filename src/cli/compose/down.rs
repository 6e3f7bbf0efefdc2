//! # down: everything of the project goes, but what people may want to keep
//!
//! ```text
//!   containers     in the reverse order of their dependencies: stopped, removed
//!   networks       those of the files, or (without files) those with the project's label
//!   volumes        only with -v: named ones, and those without a name
//!   images         only with --rmi: all, or local: those without a name of their own
//! ```
//!
//! Law: what is gone already, or still used by somebody else, does not stop the rest. *See:* docker/compose `pkg/compose/down.go`.
//! *Next room:* [`super::lifecycle`]

use super::{
    converge::remove,
    files,
    graph::{Way, over},
    options,
    screen::Screen,
    seen,
};
use crate::{filter::Filters, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_compose::local::{
    body::PROJECT,
    plan::Seen,
    project::{Project, Service},
};
use minidock_spec::engine::{network::Network, volume::VolumeList};
use serde::de::IgnoredAny;

/// The flags of `compose down`.
pub fn command() -> clap::Command {
    let images =
        "Remove images used by services. \"local\" remove only images that don't have a custom tag (\"local\"|\"all\")";
    options::with(flag::command("down", "[OPTIONS] [SERVICES]", "Stop and remove containers, networks"))
        .arg(flag::switch("remove-orphans", "Remove containers for services not defined in the Compose file"))
        .arg(flag::text("rmi", "string", images))
        .arg(flag::number("timeout", "int", "Specify a shutdown timeout in seconds").short('t'))
        .arg(flag::switch("volumes", "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes attached to containers").short('v'))
        .arg(flag::optional_names("SERVICE"))
}

/// Takes the project down.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let rmi = flag::text_of(m, "rmi");
    if let Some(other) = rmi.filter(|word| !matches!(*word, "all" | "local")) {
        return Err(Error::invalid(format!("invalid value for --rmi: {other:?}")).hint("all or local"));
    }
    let names = flag::list_of(m, "SERVICE");
    let (opened, name) = files::project_or_name(m, &names)?;
    let project = opened.as_ref().map(|opened| &opened.project);
    if let Some(project) = project {
        names.iter().try_for_each(|name| if project.knows(name) { Ok(()) } else { project.named(name).map(drop) })?;
    }
    let docker = session.docker().await?;
    let screen = Screen::begin(m, "Running");
    let (volumes, timeout) = (m.get_flag("volumes"), flag::number_of(m, "timeout"));
    let orphans = m.get_flag("remove-orphans")
        || std::env::var("COMPOSE_REMOVE_ORPHANS").is_ok_and(|v| matches!(v.as_str(), "1" | "true"));
    let there = seen::all(&docker, &name).await?;
    let meant = |one: &Seen| match project {
        _ if !names.is_empty() => names.contains(&one.service) && !one.oneoff,
        _ if one.oneoff => orphans,
        Some(project) => orphans || project.knows(&one.service),
        None => true,
    };
    let going: Vec<Seen> = there.iter().filter(|one| meant(one)).cloned().collect();
    let mut found = !going.is_empty();
    remove_all(&docker, project, &going, timeout, volumes, &screen).await?;
    if names.is_empty() {
        found |= networks(&docker, project, &name, &screen).await?;
        if volumes {
            found |= remove_volumes(&docker, project, &name, &screen).await?;
        }
        if let (Some(which), Some(project)) = (rmi, project) {
            found |= images(&docker, project, which == "local", &screen).await?;
        }
    }
    if !found {
        terminal::eprint(&format!("WARNING: No resource found to remove for project {name:?}.\n"));
    }
    Ok(0)
}

/// Stops and removes containers, those first on which nobody depends.
async fn remove_all(
    docker: &Docker,
    project: Option<&Project>,
    going: &[Seen],
    timeout: Option<i64>,
    volumes: bool,
    screen: &Screen,
) -> Result<()> {
    over(project, going, Way::Down, |one| remove(docker, one, timeout, volumes, screen)).await
}

fn of_project(name: &str) -> Filters {
    let mut filters = Filters::default();
    filters.add("label", &format!("{PROJECT}={name}"));
    filters
}

async fn networks(docker: &Docker, project: Option<&Project>, name: &str, screen: &Screen) -> Result<bool> {
    let ours: Vec<Network> = docker.get(&Route::new("/networks", []).maybe("filters", of_project(name).json())).await?;
    let external = |network: &Network| project.is_some_and(|p| p.networks.iter().any(|o| o.external && o.name == network.name));
    let mut found = false;
    for network in ours.iter().filter(|network| !external(network)) {
        found = true;
        let id = format!("Network {}", network.name);
        screen.working(&id, "Removing");
        told(docker.delete::<IgnoredAny>(&Route::new("/networks/{}", [&network.id])).await.map(drop), &id, screen)?;
    }
    Ok(found)
}

async fn remove_volumes(docker: &Docker, project: Option<&Project>, name: &str, screen: &Screen) -> Result<bool> {
    let ours: VolumeList = docker.get(&Route::new("/volumes", []).maybe("filters", of_project(name).json())).await?;
    let mut names: Vec<String> = ours.volumes.into_iter().map(|volume| volume.name).collect();
    if let Some(project) = project {
        names.retain(|name| !project.volumes.iter().any(|outer| outer.external && outer.name == *name));
    }
    for name in &names {
        let id = format!("Volume {name}");
        screen.working(&id, "Removing");
        told(docker.delete::<IgnoredAny>(&Route::new("/volumes/{}", [name])).await.map(drop), &id, screen)?;
    }
    Ok(!names.is_empty())
}

async fn images(docker: &Docker, project: &Project, local: bool, screen: &Screen) -> Result<bool> {
    let meant = |service: &&Service| !local || service.is_built() && service.node.text("image").is_empty();
    let mut names: Vec<&str> = project.services.iter().filter(meant).map(|service| service.image.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let id = format!("Image {name}");
        screen.working(&id, "Removing");
        told(docker.delete::<IgnoredAny>(&Route::new("/images/{}", [name])).await.map(drop), &id, screen)?;
    }
    Ok(!names.is_empty())
}

/// What came of a removal; what is gone or in use is only said.
fn told(answer: Result<()>, id: &str, screen: &Screen) -> Result<()> {
    match answer {
        Ok(()) => screen.done(id, "Removed"),
        Err(error) if error.kind() == Kind::NotFound => screen.done(id, "Warning: No resource found to remove"),
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Forbidden) => screen.warned(id, "Resource is still in use"),
        Err(error) => {
            screen.failed(id, "Error");
            return Err(error);
        }
    }
    Ok(())
}
