//! # The services of a stack: made, or made over
//!
//! A service that is there is replaced by what the file says, all of it. Two things are kept: the count of forced updates, or every task
//! would be made anew; and, when the image is written as it was, the digest it was given then, if no registry is asked.
//!
//! *See:* docker/cli `cli/command/stack/swarm/deploy_composefile.go` deployServices. *Next room:* [`crate::stack::remove`]

use super::{Resolve, needs::Files};
use crate::{service::image, stack::members, terminal};
use minidock_base::{Doing, Result};
use minidock_client::{Docker, Route, Wish};
use minidock_compose::stack::{self, Stack};
use minidock_spec::swarm::service::{Service, ServiceSpec};
use serde::Deserialize;
use std::path::Path;

/// The answer to both: an ID from one, warnings from either.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Warnings")]
    warnings: Option<Vec<String>>,
}

/// Creates or updates every service; gives their IDs. With `accounts` (the folder of settings) the registry's password is sent along.
///
/// # Errors
/// The daemon's refusal, with the service's name.
pub async fn deploy(
    docker: &Docker,
    name: &str,
    stack: &Stack,
    files: &Files,
    resolve: Resolve,
    accounts: Option<&Path>,
) -> Result<Vec<String>> {
    let there: Vec<Service> = members(docker, "services", name).await?;
    let mut ids = Vec::new();
    for spec in &stack.services {
        let mut spec = spec.clone();
        if let Some(container) = &mut spec.task_template.container_spec {
            image::tag(&mut container.image).doing(|| format!("deploy service {}", spec.name))?;
        }
        grant(&mut spec, files);
        let auth = match accounts {
            Some(folder) => image::auth(folder, stack::image_label(&spec))?,
            None => None,
        };
        ids.push(match there.iter().find(|service| service.spec.name == spec.name) {
            Some(old) => update(docker, old, spec, resolve, auth).await?,
            None => create(docker, spec, resolve, auth).await?,
        });
    }
    Ok(ids)
}

/// Names of secrets and configs get their IDs.
fn grant(spec: &mut ServiceSpec, files: &Files) {
    let Some(container) = &mut spec.task_template.container_spec else { return };
    for secret in &mut container.secrets {
        secret.secret_id = files.secrets.get(&secret.secret_name).cloned().unwrap_or_default();
    }
    for config in &mut container.configs {
        config.config_id = files.configs.get(&config.config_name).cloned().unwrap_or_default();
    }
}

async fn create(docker: &Docker, mut spec: ServiceSpec, resolve: Resolve, auth: Option<String>) -> Result<String> {
    terminal::print(&format!("Creating service {}\n", spec.name));
    if resolve != Resolve::Never {
        // Docker keeps quiet when a registry cannot be asked: the tasks will say so if it matters
        image::pin(docker, &mut spec.task_template, auth.as_deref()).await?;
    }
    let wish = Wish::post(&Route::new("/services/create", [])).json(&spec)?;
    let answer = send(docker, wish, auth).await.doing(|| format!("create service {}", spec.name))?;
    Ok(answer.id)
}

async fn update(
    docker: &Docker,
    old: &Service,
    mut spec: ServiceSpec,
    resolve: Resolve,
    auth: Option<String>,
) -> Result<String> {
    terminal::print(&format!("Updating service {} (id: {})\n", spec.name, old.id));
    let same_image = stack::image_label(&spec) == stack::image_label(&old.spec);
    if resolve == Resolve::Always || (resolve == Resolve::Changed && !same_image) {
        image::pin(docker, &mut spec.task_template, auth.as_deref()).await?;
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
    let answer = send(docker, Wish::post(&route).json(&spec)?, auth).await.doing(|| format!("update service {}", spec.name))?;
    for warning in answer.warnings.unwrap_or_default() {
        terminal::eprint(&format!("{warning}\n"));
    }
    Ok(old.id.clone())
}

async fn send(docker: &Docker, wish: Wish, auth: Option<String>) -> Result<Answer> {
    let wish = auth.into_iter().fold(wish, |wish, auth| wish.header("X-Registry-Auth", auth));
    docker.send(wish).await?.json().await
}
