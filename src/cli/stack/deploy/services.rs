//! # The services of a stack: made, or made over
//!
//! A service that is there is replaced by what the file says, all of it. Two things are kept: the count of forced updates, or every task
//! would be made anew; and, when the image is written as it was, the digest it was given then, if no registry is asked.
//!
//! *See:* docker/cli `cli/command/stack/swarm/deploy_composefile.go` deployServices. *Next room:* [`crate::stack::remove`]

use super::{Resolve, needs::Needs};
use crate::{
    complain,
    service::{create::post, image},
    stack::members,
    terminal,
};
use minidock_base::{Doing, Result};
use minidock_client::{Docker, Route};
use minidock_compose::stack::{self, Stack};
use minidock_spec::swarm::service::{Service, ServiceSpec};
use std::path::Path;

/// What the services shall be made of.
pub struct Wishes<'a> {
    pub stack: &'a Stack,
    pub needs: &'a Needs,
    pub resolve: Resolve,
    /// The folder of settings, if the registry's password shall be sent along.
    pub accounts: Option<&'a Path>,
}

/// Creates or updates every service; gives the IDs of those that are as the file wants them, and whether all are. What goes wrong
/// with one is said, and the others go on.
///
/// # Errors
/// The daemon does not say which there are.
pub async fn deploy(docker: &Docker, name: &str, wishes: &Wishes<'_>) -> Result<(Vec<String>, bool)> {
    let there: Vec<Service> = members(docker, "services", name).await?;
    let (mut ids, mut all_well) = (Vec::new(), true);
    for spec in &wishes.stack.services {
        let old = there.iter().find(|service| service.spec.name == spec.name);
        match one(docker, spec.clone(), old, wishes).await {
            Ok(id) => ids.push(id),
            Err(refusal) => {
                complain(&refusal);
                all_well = false;
            }
        }
    }
    Ok((ids, all_well))
}

async fn one(docker: &Docker, mut spec: ServiceSpec, old: Option<&Service>, wishes: &Wishes<'_>) -> Result<String> {
    if let Some(container) = &mut spec.task_template.container_spec {
        image::tag(&mut container.image).doing(|| format!("deploy service {}", spec.name))?;
    }
    wishes.needs.grant(&mut spec)?;
    let auth = match wishes.accounts {
        Some(folder) => image::auth(folder, stack::image_label(&spec))?,
        None => None,
    };
    match old {
        Some(old) => update(docker, old, spec, wishes.resolve, auth.as_deref()).await,
        None => create(docker, spec, wishes.resolve, auth.as_deref()).await,
    }
}

async fn create(docker: &Docker, mut spec: ServiceSpec, resolve: Resolve, auth: Option<&str>) -> Result<String> {
    terminal::print(&format!("Creating service {}\n", spec.name));
    if resolve != Resolve::Never {
        // Docker keeps quiet when a registry cannot be asked: the tasks will say so if it matters
        image::pin(docker, &mut spec.task_template, auth).await?;
    }
    let made = post(docker, &Route::new("/services/create", []), &spec, auth).await;
    let made = made.doing(|| format!("create service {}", spec.name))?;
    made.warn();
    Ok(made.id)
}

async fn update(docker: &Docker, old: &Service, mut spec: ServiceSpec, resolve: Resolve, auth: Option<&str>) -> Result<String> {
    terminal::print(&format!("Updating service {} (id: {})\n", spec.name, old.id));
    let same_image = stack::image_label(&spec) == stack::image_label(&old.spec);
    if resolve == Resolve::Always || (resolve == Resolve::Changed && !same_image) {
        image::pin(docker, &mut spec.task_template, auth).await?;
    } else if let (true, Some(new), Some(known)) =
        (same_image, &mut spec.task_template.container_spec, &old.spec.task_template.container_spec)
    {
        new.image.clone_from(&known.image);
        if let (Some(place), Some(known)) = (&mut spec.task_template.placement, &old.spec.task_template.placement) {
            place.platforms.clone_from(&known.platforms);
        }
    }
    spec.task_template.force_update = old.spec.task_template.force_update;
    let route = Route::new("/services/{}/update", [&old.id]).pair("version", old.version.index);
    post(docker, &route, &spec, auth).await.doing(|| format!("update service {}", spec.name))?.warn();
    Ok(old.id.clone())
}
