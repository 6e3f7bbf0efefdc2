//! # service inspect: all of a service, or the page for people
//!
//! *See:* docker/cli `cli/command/service/inspect.go`. *Next room:* [`super::pretty`]

use super::pretty;
use crate::{
    complain, flag, format,
    inspect::{self, Noun},
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result, clock};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::service::Service;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The flags of `service inspect`.
pub fn command() -> clap::Command {
    flag::command("inspect", "[OPTIONS] SERVICE [SERVICE...]", "Display detailed information on one or more services")
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
        .arg(flag::switch("pretty", "Print the information in a human friendly format"))
        .arg(flag::names("NAME"))
}

/// Shows services.
///
/// # Errors
/// As [`inspect::inspect`].
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if !wants_page(m)? {
        return inspect::inspect(m, session, &[Noun::Service]).await;
    }
    let docker = session.docker().await?;
    for name in flag::list_of(m, "NAME") {
        match page(&docker, &name).await {
            Ok(text) => terminal::print(&text),
            Err(refusal) => {
                complain(&refusal);
                return Ok(1);
            }
        }
    }
    Ok(0)
}

/// Whether the page for people is wanted: `--pretty`, or `--format pretty`.
///
/// # Errors
/// `cannot supply extra formatting options to the pretty template`.
pub fn wants_page(m: &ArgMatches) -> Result<bool> {
    let format = flag::text_of(m, "format").unwrap_or_default();
    if format.starts_with("pretty") && format != "pretty" {
        return Err(Error::invalid("cannot supply extra formatting options to the pretty template"));
    }
    Ok(m.get_flag("pretty") || format == "pretty")
}

async fn page(docker: &Docker, name: &str) -> Result<String> {
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
