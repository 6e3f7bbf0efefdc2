//! # service inspect: all of a service, or the page for people
//!
//! *See:* docker/cli `cli/command/service/inspect.go`. *Next room:* [`super::pretty`]

use super::pretty;
use crate::{inspect::Noun, page, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result, clock};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::service::Service;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The flags of `service inspect`.
pub fn command() -> clap::Command {
    page::command("[OPTIONS] SERVICE [SERVICE...]", "Display detailed information on one or more services")
}

/// Shows services.
///
/// # Errors
/// As [`page::inspect`].
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    page::inspect(m, session, Noun::Service, of).await
}

async fn of(docker: &Docker, name: &str) -> Result<String> {
    let absent = || Error::not_found(format!("no such service: {name}"));
    if name.trim_matches(['/', ' ']).is_empty() {
        return Err(absent());
    }
    let route = Route::new("/services/{}", [name]).pair("insertDefaults", true);
    let service: Service = docker.get(&route).await.map_err(|e| if e.kind() == Kind::NotFound { absent() } else { e })?;
    let mut networks = BTreeMap::new();
    for network in &service.spec.task_template.networks {
        // a network that is gone is called by its ID
        if let Ok(found) = docker.get::<Json>(&Route::new("/networks/{}", [&network.target]).pair("scope", "swarm")).await {
            networks.insert(network.target.clone(), found["Name"].as_str().unwrap_or(&network.target).to_string());
        }
    }
    Ok(pretty::page(&service, &networks, clock::now()))
}
