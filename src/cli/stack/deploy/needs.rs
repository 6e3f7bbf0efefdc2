//! # What services need: networks, secrets, configs
//!
//! *See:* docker/cli `cli/command/stack/swarm/deploy_composefile.go`. *Next room:* [`super::services`]

use crate::{filter::Filters, secret::What, stack::members, terminal};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_compose::{load::Project, node::Node, stack::Stack};
use minidock_spec::{
    engine::network::NetworkCreated,
    swarm::secret::{Secret, SecretSpec},
};
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// IDs of secrets and configs, by name.
#[derive(Default)]
pub struct Files {
    pub secrets: BTreeMap<String, String>,
    pub configs: BTreeMap<String, String>,
}

/// Whether everything that the file calls external is there; asked before anything is made.
///
/// # Errors
/// What is not there, by name; a network that is not the swarm's.
pub async fn must_be_there(docker: &Docker, project: &Project, stack: &Stack) -> Result<()> {
    for (name, outside) in &stack.external_networks {
        // these are everywhere
        if matches!(outside.as_str(), "host" | "bridge" | "none" | "default") {
            continue;
        }
        let found: Json = match docker.get(&Route::new("/networks/{}", [outside])).await {
            Ok(found) => found,
            Err(absent) if absent.kind() == Kind::NotFound => {
                return Err(Error::not_found(format!(
                    "network \"{outside}\" is declared as external, but could not be found. You need to create a swarm-scoped network before the stack is deployed"
                ))
                .hint(format!("minidock network create -d overlay {outside}")));
            }
            Err(refusal) => return Err(refusal),
        };
        let scope = found["Scope"].as_str().unwrap_or_default();
        if scope != "swarm" {
            return Err(Error::invalid(format!(
                "network \"{name}\" is declared as external, but it is not in the right scope: \"{scope}\" instead of \"swarm\""
            )));
        }
    }
    for (what, section) in [(What::Secret, "secrets"), (What::Config, "configs")] {
        for entry in project.tree.get(section).map(Node::entries).unwrap_or_default() {
            let outside = entry.node.text("name");
            if entry.node.bool("external") == Some(true) && find(docker, what, &outside).await?.is_none() {
                let word = what.word();
                return Err(Error::not_found(format!("{}: {word} not found: {outside}", entry.at))
                    .hint(format!("minidock {word} create {outside} FILE")));
            }
        }
    }
    Ok(())
}

/// Makes the networks that are not there yet.
///
/// # Errors
/// The daemon's refusal.
pub async fn networks(docker: &Docker, stack_name: &str, stack: &Stack) -> Result<()> {
    let there: Vec<Json> = members(docker, "networks", stack_name).await?;
    for network in &stack.networks {
        if there.iter().any(|known| known["Name"].as_str() == Some(&network.name)) {
            continue;
        }
        terminal::print(&format!("Creating network {}\n", network.name));
        docker
            .post::<NetworkCreated>(&Route::new("/networks/create", []), network)
            .await
            .doing(|| format!("create network {}", network.name))?;
    }
    Ok(())
}

/// Makes secrets and configs, and finds the IDs of all that a service uses.
///
/// # Errors
/// One that has changed: they never change; the daemon's refusal.
pub async fn files(docker: &Docker, stack: &Stack) -> Result<Files> {
    for (what, specs) in [(What::Secret, &stack.secrets), (What::Config, &stack.configs)] {
        for spec in specs {
            make(docker, what, spec).await?;
        }
    }
    let mut files = Files::default();
    for container in stack.services.iter().filter_map(|service| service.task_template.container_spec.as_ref()) {
        for secret in &container.secrets {
            note(docker, What::Secret, &secret.secret_name, &mut files.secrets).await?;
        }
        for config in &container.configs {
            note(docker, What::Config, &config.config_name, &mut files.configs).await?;
        }
    }
    Ok(files)
}

async fn note(docker: &Docker, what: What, name: &str, ids: &mut BTreeMap<String, String>) -> Result<()> {
    if !ids.contains_key(name) {
        let Some(found) = find(docker, what, name).await? else {
            return Err(Error::not_found(format!("{} not found: {name}", what.word())));
        };
        ids.insert(name.to_string(), found.id);
    }
    Ok(())
}

async fn make(docker: &Docker, what: What, spec: &SecretSpec) -> Result<()> {
    let word = what.word();
    let Some(there) = find(docker, what, &spec.name).await? else {
        terminal::print(&format!("Creating {word} {}\n", spec.name));
        let made = docker.post::<IgnoredAny>(&what.all("/create"), spec).await;
        return made.map(drop).doing(|| format!("create {word} {}", spec.name));
    };
    let route = Route::new(&format!("/{word}s/{{}}/update"), [&there.id]).pair("version", there.version.index);
    docker.post::<IgnoredAny>(&route, spec).await.map(drop).map_err(|refusal| {
        let refusal = match refusal.message().contains("only updates to Labels are allowed") {
            true => refusal.hint(format!("a {word} does not change: give the new one another name (name: {}_2)", spec.name)),
            false => refusal,
        };
        refusal.during(format!("update {word} {}", spec.name))
    })
}

/// A secret or config of exactly this name.
async fn find(docker: &Docker, what: What, name: &str) -> Result<Option<Secret>> {
    let mut filters = Filters::default();
    filters.add("name", name);
    let found: Vec<Secret> = docker.get(&what.all("").maybe("filters", filters.json())).await?;
    Ok(found.into_iter().find(|object| object.spec.name == name))
}
