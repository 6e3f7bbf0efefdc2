//! # What services need: networks and volumes
//!
//! Made before the first container, with the project's labels. What is called external must be there; what is there under our name but
//! is not ours is used, with a warning: it may be somebody's data.
//!
//! * A network whose description in the file has changed is made anew: its containers are stopped and taken off it first, and the plan
//!   then finds them without it. A volume is never made anew: it holds what people want to keep.
//!
//! *See:* docker/compose `pkg/compose/create.go` ensureNetwork, ensureVolume. *Next room:* [`super::converge`](mod@super::converge)

use super::{screen::Screen, seen};
use crate::{filter::Filters, terminal};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_compose::{
    local::{
        body::{HASH, PROJECT, VOLUME},
        hash, places,
        project::{Outer, Project},
    },
    node::Node,
    stack::pairs,
};
use minidock_spec::engine::{
    network::{Network, NetworkCreated, NetworkDisconnect},
    volume::{Volume, VolumeCreate},
};

/// Whether everything that the files call external is there; asked before anything is made.
///
/// # Errors
/// What is not, by name.
pub async fn externals(docker: &Docker, project: &Project) -> Result<()> {
    let is_there = async |route: Route| match docker.get::<serde::de::IgnoredAny>(&route).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    for outer in project.networks.iter().filter(|outer| outer.external) {
        if !is_there(Route::new("/networks/{}", [&outer.name])).await? {
            return Err(Error::not_found(format!("network {} declared as external, but could not be found", outer.name))
                .hint(format!("minidock network create {}", outer.name)));
        }
    }
    for outer in project.volumes.iter().filter(|outer| outer.external) {
        if !is_there(Route::new("/volumes/{}", [&outer.name])).await? {
            return Err(Error::not_found(format!("external volume {:?} not found", outer.name))
                .hint(format!("minidock volume create {}", outer.name)));
        }
    }
    Ok(())
}

/// Makes the networks of the project that are not there yet.
///
/// # Errors
/// The daemon's refusal.
pub async fn networks(docker: &Docker, project: &Project, screen: &Screen) -> Result<()> {
    for outer in project.networks.iter().filter(|outer| !outer.external) {
        if let Err(error) = network(docker, project, outer, screen).await {
            screen.failed(&format!("Network {}", outer.name), "Error");
            return Err(error);
        }
    }
    Ok(())
}

async fn network(docker: &Docker, project: &Project, outer: &Outer, screen: &Screen) -> Result<()> {
    let mut filters = Filters::default();
    filters.add("name", &outer.name);
    let found: Vec<Network> = docker.get(&Route::new("/networks", []).maybe("filters", filters.json())).await?;
    // the filter takes parts of names, too
    let found = found.into_iter().find(|network| network.name == outer.name);
    let Some(wish) = places::network(project, &outer.key) else { return Ok(()) };
    let id = format!("Network {}", outer.name);
    if let Some(found) = found {
        if found.labels.get(PROJECT) != Some(&project.name) {
            let whose =
                found.labels.get(PROJECT).map(|other| format!("for project {other:?}")).unwrap_or_else(|| "by compose".into());
            let name = &outer.name;
            terminal::eprint(&format!(
                "WARNING: a network with name {name} exists but was not created {whose}: it is used as it is (`external: true` says so)\n"
            ));
            return Ok(());
        }
        if found.labels.get(HASH).is_none_or(|hash| wish.labels.get(HASH) == Some(hash)) || !made_here(&found) {
            return Ok(());
        }
        clear(docker, project, &found, screen).await?;
    }
    screen.working(&id, "Creating");
    docker
        .post::<NetworkCreated>(&Route::new("/networks/create", []), &wish)
        .await
        .doing(|| format!("create network {}", outer.name))?;
    screen.done(&id, "Created");
    Ok(())
}

/// Whether the hash in its label is one of ours: Docker's own are not to be compared with.
fn made_here(network: &Network) -> bool {
    network.labels.get(minidock_compose::local::body::VERSION).is_some_and(|version| version == minidock_compose::VERSION)
}

/// Takes the project's containers off a network and removes it.
async fn clear(docker: &Docker, project: &Project, network: &Network, screen: &Screen) -> Result<()> {
    for one in seen::all(docker, &project.name).await?.iter().filter(|one| one.networks.contains(&network.name)) {
        if one.is_running() {
            screen.working(&format!("Container {}", one.name), "Stopping");
            docker.poke(&Route::new("/containers/{}/stop", [&one.id])).await?;
            screen.done(&format!("Container {}", one.name), "Stopped");
        }
        let body = NetworkDisconnect { container: one.id.clone(), force: true };
        docker.post::<serde::de::IgnoredAny>(&Route::new("/networks/{}/disconnect", [&network.id]), &body).await?;
    }
    let id = format!("Network {}", network.name);
    screen.working(&id, "Removing");
    docker
        .delete::<serde::de::IgnoredAny>(&Route::new("/networks/{}", [&network.id]))
        .await
        .doing(|| format!("make network {} anew, for its description has changed", network.name))?;
    screen.done(&id, "Removed");
    Ok(())
}

/// Makes the volumes of the project that are not there yet.
///
/// # Errors
/// The daemon's refusal.
pub async fn volumes(docker: &Docker, project: &Project, screen: &Screen) -> Result<()> {
    for outer in project.volumes.iter().filter(|outer| !outer.external) {
        let found: Option<Volume> = match docker.get(&Route::new("/volumes/{}", [&outer.name])).await {
            Ok(found) => Some(found),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        let Some(found) = found else {
            create(docker, project, outer, screen).await?;
            continue;
        };
        let owner = found.labels.and_then(|labels| labels.get(PROJECT).cloned());
        if owner.as_ref() != Some(&project.name) {
            let whose = owner.map(|other| format!("for project {other:?}")).unwrap_or_else(|| "by compose".into());
            terminal::eprint(&format!(
                "WARNING: volume {:?} already exists but was not created {whose}. Use `external: true` to use an existing volume\n",
                outer.name
            ));
        }
    }
    Ok(())
}

async fn create(docker: &Docker, project: &Project, outer: &Outer, screen: &Screen) -> Result<()> {
    let id = format!("Volume {}", outer.name);
    let node = &outer.node;
    let mut labels = node.get("labels").map(pairs).unwrap_or_default();
    labels.extend(hash::ours(project, VOLUME, outer));
    let driver = Some(node.text("driver")).filter(|driver| !driver.is_empty()).unwrap_or_else(|| "local".into());
    let options = |node: &Node| pairs(node);
    let wish = VolumeCreate {
        name: outer.name.clone(),
        driver,
        driver_opts: node.get("driver_opts").map(options).unwrap_or_default(),
        labels,
    };
    screen.working(&id, "Creating");
    let made = docker
        .post::<Volume>(&Route::new("/volumes/create", []), &wish)
        .await
        .doing(|| format!("create volume {}", outer.name));
    match made {
        Ok(_) => screen.done(&id, "Created"),
        Err(error) => {
            screen.failed(&id, "Error");
            return Err(error);
        }
    }
    Ok(())
}
