//! # What services need: networks, secrets, configs
//!
//! A service names its networks, secrets and configs; the swarm wants them to be there, and secrets and configs by ID. So they are looked up
//! once, those of the stack are made or, where they are, given their new labels, and what could not be had is remembered: the services
//! that need it are left as they are, the others go on.
//!
//! ```text
//!   Needs::ask ──► must_be_there ──► networks ──► files ──► grant ──► (the services)
//!      │ which secrets and            │            │          └ names of secrets and configs get their IDs
//!      │ configs there are            └────────────┴ missed: "network vote_back"
//! ```
//!
//! *See:* docker/cli `cli/command/stack/swarm/deploy_composefile.go`. *Next room:* [`super::services`]

use crate::{complain, filter::Filters, secret::What, stack::members, terminal};
use minidock_base::{Doing, Error, Kind, Result};
use minidock_client::{Docker, Route};
use minidock_compose::{
    load::Project,
    node::{Entry, Node},
    stack::Stack,
};
use minidock_spec::{
    engine::network::NetworkCreated,
    swarm::{
        container::ContainerSpec,
        secret::{Secret, SecretSpec},
        service::ServiceSpec,
    },
};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What there is of that which a stack speaks of.
#[derive(Default)]
pub struct Needs {
    /// By name; the version where it was there before.
    secrets: BTreeMap<String, There>,
    configs: BTreeMap<String, There>,
    /// `network vote_back`: what could not be had.
    missed: BTreeSet<String>,
}

struct There {
    id: String,
    version: u64,
}

/// The answer to what was created.
#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID", alias = "Id")]
    id: String,
}

impl Needs {
    /// Asks which of the secrets and configs there are.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn ask(docker: &Docker, project: &Project, stack: &Stack) -> Result<Needs> {
        let mut needs = Needs::default();
        for what in [What::Secret, What::Config] {
            let mut names: BTreeSet<String> = specs(stack, what).iter().map(|spec| spec.name.clone()).collect();
            names.extend(outside(project, what).map(|entry| entry.node.text("name")));
            names.extend(containers(stack).flat_map(|container| wanted(container, what)));
            *needs.table(what) = find(docker, what, &names).await?;
        }
        Ok(needs)
    }

    /// Whether everything that the file calls external is there; asked before anything is made.
    ///
    /// # Errors
    /// What is not there, by name; a network that is not the swarm's.
    pub async fn must_be_there(&mut self, docker: &Docker, project: &Project, stack: &Stack) -> Result<()> {
        for (name, outside) in &stack.external_networks {
            // these are everywhere
            if !matches!(outside.as_str(), "host" | "bridge" | "none" | "default") {
                must_be_the_swarms(docker, name, outside).await?;
            }
        }
        for what in [What::Secret, What::Config] {
            let word = what.word();
            for entry in outside(project, what) {
                let name = entry.node.text("name");
                if !self.table(what).contains_key(&name) {
                    return Err(Error::not_found(format!("{}: {word} not found: {name}", entry.at))
                        .hint(format!("minidock {word} create {name} FILE")));
                }
            }
        }
        Ok(())
    }

    /// Makes the networks that are not there yet; what goes wrong is said.
    ///
    /// # Errors
    /// The daemon does not say which there are.
    pub async fn networks(&mut self, docker: &Docker, stack_name: &str, stack: &Stack) -> Result<()> {
        let there: Vec<Json> = members(docker, "networks", stack_name).await?;
        for network in &stack.networks {
            if there.iter().any(|known| known["Name"].as_str() == Some(&network.name)) {
                continue;
            }
            terminal::print(&format!("Creating network {}\n", network.name));
            let made = docker.post::<NetworkCreated>(&Route::new("/networks/create", []), network).await;
            self.note("network", &network.name, made.map(drop).doing(|| format!("create network {}", network.name)));
        }
        Ok(())
    }

    /// Makes secrets and configs; what goes wrong is said.
    pub async fn files(&mut self, docker: &Docker, stack: &Stack) {
        for what in [What::Secret, What::Config] {
            for spec in specs(stack, what) {
                let made = self.make(docker, what, spec).await;
                self.note(what.word(), &spec.name, made);
            }
        }
    }

    fn note(&mut self, kind: &str, name: &str, made: Result<()>) {
        if let Err(refusal) = made {
            complain(&refusal);
            self.missed.insert(format!("{kind} {name}"));
        }
    }

    /// Whether nothing was missed.
    pub fn are_met(&self) -> bool {
        self.missed.is_empty()
    }

    async fn make(&mut self, docker: &Docker, what: What, spec: &SecretSpec) -> Result<()> {
        let word = what.word();
        let Some(there) = self.table(what).get(&spec.name) else {
            terminal::print(&format!("Creating {word} {}\n", spec.name));
            let made = docker.post::<Created>(&what.all("/create"), spec).await;
            let Created { id } = made.doing(|| format!("create {word} {}", spec.name))?;
            self.table(what).insert(spec.name.clone(), There { id, version: 0 });
            return Ok(());
        };
        let route = Route::new(&format!("/{word}s/{{}}/update"), [&there.id]).pair("version", there.version);
        docker.post::<serde::de::IgnoredAny>(&route, spec).await.map(drop).map_err(|refusal| {
            let refusal = match refusal.message().contains("only updates to Labels are allowed") {
                true => {
                    refusal.hint(format!("a {word} does not change: give the new one another name (name: {}_2)", spec.name))
                }
                false => refusal,
            };
            refusal.during(format!("update {word} {}", spec.name))
        })
    }

    /// Names of secrets and configs in a service get their IDs.
    ///
    /// # Errors
    /// The service needs what could not be had.
    pub fn grant(&self, spec: &mut ServiceSpec) -> Result<()> {
        let lacks = |what: String| {
            Error::conflict(format!("service {} is not deployed: there is no {what} as the file wants it", spec.name))
        };
        for network in &spec.task_template.networks {
            let noun = format!("network {}", network.target);
            if self.missed.contains(&noun) {
                return Err(lacks(noun));
            }
        }
        let id = |kind: &str, table: &BTreeMap<String, There>, name: &str| {
            let noun = format!("{kind} {name}");
            let there = table.get(name).filter(|_| !self.missed.contains(&noun));
            there.map(|there| there.id.clone()).ok_or_else(|| lacks(noun))
        };
        let Some(container) = &mut spec.task_template.container_spec else { return Ok(()) };
        for secret in &mut container.secrets {
            secret.secret_id = id("secret", &self.secrets, &secret.secret_name)?;
        }
        for config in &mut container.configs {
            config.config_id = id("config", &self.configs, &config.config_name)?;
        }
        Ok(())
    }

    fn table(&mut self, what: What) -> &mut BTreeMap<String, There> {
        match what {
            What::Secret => &mut self.secrets,
            What::Config => &mut self.configs,
        }
    }
}

async fn must_be_the_swarms(docker: &Docker, name: &str, outside: &str) -> Result<()> {
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
    match found["Scope"].as_str().unwrap_or_default() {
        "swarm" => Ok(()),
        scope => Err(Error::invalid(format!(
            "network \"{name}\" is declared as external, but it is not in the right scope: \"{scope}\" instead of \"swarm\""
        ))),
    }
}

fn specs(stack: &Stack, what: What) -> &[SecretSpec] {
    match what {
        What::Secret => &stack.secrets,
        What::Config => &stack.configs,
    }
}

/// What the file calls external.
fn outside(project: &Project, what: What) -> impl Iterator<Item = &Entry> {
    let section = if what == What::Secret { "secrets" } else { "configs" };
    let entries = project.tree.get(section).map(Node::entries).unwrap_or_default();
    entries.iter().filter(|entry| entry.node.bool("external") == Some(true))
}

fn containers(stack: &Stack) -> impl Iterator<Item = &ContainerSpec> {
    stack.services.iter().filter_map(|service| service.task_template.container_spec.as_ref())
}

fn wanted(container: &ContainerSpec, what: What) -> Vec<String> {
    match what {
        What::Secret => container.secrets.iter().map(|secret| secret.secret_name.clone()).collect(),
        What::Config => container.configs.iter().map(|config| config.config_name.clone()).collect(),
    }
}

/// Those of exactly these names.
async fn find(docker: &Docker, what: What, names: &BTreeSet<String>) -> Result<BTreeMap<String, There>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut filters = Filters::default();
    names.iter().for_each(|name| filters.add("name", name));
    let found: Vec<Secret> = docker.get(&what.all("").maybe("filters", filters.json())).await?;
    // the filter lets longer names through, too
    let exact = found.into_iter().filter(|object| names.contains(&object.spec.name));
    Ok(exact.map(|object| (object.spec.name, There { id: object.id, version: object.version.index })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> ServiceSpec {
        serde_json::from_value(json!({"Name": "v_web", "TaskTemplate": {
            "Networks": [{"Target": "v_back"}],
            "ContainerSpec": {"Image": "x", "Secrets": [{"SecretName": "pw", "SecretID": ""}], "Configs": [{"ConfigName": "cf", "ConfigID": ""}]}
        }}))
        .expect("a service")
    }

    fn needs(secrets: &[&str], configs: &[&str], missed: &[&str]) -> Needs {
        let table = |names: &[&str]| {
            names.iter().map(|name| (name.to_string(), There { id: format!("id-{name}"), version: 1 })).collect()
        };
        Needs { secrets: table(secrets), configs: table(configs), missed: missed.iter().map(|noun| noun.to_string()).collect() }
    }

    #[test]
    fn names_of_secrets_and_configs_get_their_ids() {
        let mut spec = service();
        needs(&["pw"], &["cf"], &["network v_front"]).grant(&mut spec).expect("all there");
        let container = spec.task_template.container_spec.expect("a container");
        assert_eq!((container.secrets[0].secret_id.as_str(), container.configs[0].config_id.as_str()), ("id-pw", "id-cf"));
    }

    #[test]
    fn a_service_whose_needs_were_missed_is_left_as_it_is() {
        let refusal = |needs: Needs| needs.grant(&mut service()).expect_err("a miss").message();
        let said = |noun: &str| format!("service v_web is not deployed: there is no {noun} as the file wants it");
        assert_eq!(refusal(needs(&["pw"], &["cf"], &["network v_back"])), said("network v_back"));
        assert_eq!(refusal(needs(&["pw"], &["cf"], &["secret pw"])), said("secret pw"));
        assert_eq!(refusal(needs(&["pw"], &[], &[])), said("config cf"));
    }
}
