//! # What is there: a project's containers, by their labels
//!
//! Nothing is remembered between two commands. Which containers belong to a project, which service and number each is, and what it was
//! made of, all stands in labels on the containers themselves; so two people, or two kinds of `compose`, see the same.
//!
//! * [`summaries`] asks the daemon; [`seen`] gives what the plan compares; [`of_services`] picks, and refuses a service that nobody knows.
//!
//! *See:* docker/compose `pkg/compose/containers.go`. *Next room:* [`super::screen`]

use super::files::Opened;
use crate::filter::Filters;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_compose::local::{
    body::{HASH, NUMBER, ONEOFF, PROJECT, SERVICE},
    plan::Seen,
};
use minidock_spec::engine::container::Summary;

/// The project's containers, running or not, those of `compose run` among them.
///
/// # Errors
/// The daemon's refusal.
pub async fn summaries(docker: &Docker, project: &str) -> Result<Vec<Summary>> {
    let mut filters = Filters::default();
    filters.add("label", &format!("{PROJECT}={project}"));
    let route = Route::new("/containers/json", []).pair("all", 1).maybe("filters", filters.json());
    let mut all: Vec<Summary> = docker.get(&route).await?;
    all.retain(|summary| summary.labels.contains_key(SERVICE));
    all.sort_by_key(|summary| (label(summary, SERVICE).to_string(), number(summary)));
    Ok(all)
}

/// A label's value, or nothing.
pub fn label<'a>(summary: &'a Summary, key: &str) -> &'a str {
    summary.labels.get(key).map_or("", String::as_str)
}

/// Which of its service's containers it is.
pub fn number(summary: &Summary) -> u32 {
    label(summary, NUMBER).parse().unwrap_or(0)
}

/// Its own name.
pub fn name(summary: &Summary) -> String {
    let names = summary.names.iter().map(|name| name.trim_start_matches('/'));
    names.clone().find(|name| !name.contains('/')).or(names.into_iter().next()).unwrap_or_default().to_string()
}

/// One container as the plan sees it.
pub fn seen(summary: &Summary) -> Seen {
    Seen {
        id: summary.id.clone(),
        name: name(summary),
        service: label(summary, SERVICE).to_string(),
        number: number(summary),
        oneoff: label(summary, ONEOFF) == "True",
        hash: label(summary, HASH).to_string(),
        image_id: summary.image_id.clone(),
        state: summary.state.clone(),
        networks: summary.network_settings.networks.keys().cloned().collect(),
        mounts: summary.mounts.clone(),
    }
}

/// The project's containers as the plan sees them.
///
/// # Errors
/// The daemon's refusal.
pub async fn all(docker: &Docker, project: &str) -> Result<Vec<Seen>> {
    Ok(summaries(docker, project).await?.iter().map(seen).collect())
}

/// The containers of the services named, or of all; without those of `compose run`.
///
/// # Errors
/// A service that neither the files nor any container knows.
pub async fn of_services(docker: &Docker, opened: Option<&Opened>, project: &str, names: &[String]) -> Result<Vec<Seen>> {
    let all = all(docker, project).await?;
    for name in names {
        let known = match opened {
            Some(opened) => opened.project.knows(name),
            None => all.iter().any(|one| one.service == *name),
        };
        if !known {
            return match opened {
                Some(opened) => Err(opened.project.named(name).err().unwrap_or_else(|| none(name))),
                None => Err(none(name)),
            };
        }
    }
    Ok(all.into_iter().filter(|one| !one.oneoff && (names.is_empty() || names.contains(&one.service))).collect())
}

fn none(name: &str) -> Error {
    Error::not_found(format!("no such service: {name}"))
}

/// One container of a service, by its number or the first.
///
/// # Errors
/// `service "x" is not running`, or it has no such container.
pub async fn one(docker: &Docker, opened: Option<&Opened>, project: &str, service: &str, index: Option<i64>) -> Result<Seen> {
    let all = of_services(docker, opened, project, &[service.to_string()]).await?;
    let wanted = index.and_then(|index| u32::try_from(index).ok()).filter(|index| *index > 0);
    let running = |one: &&Seen| one.is_running();
    match wanted {
        Some(number) => all
            .iter()
            .find(|one| one.number == number)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("service {service:?} is not running container #{number}"))),
        None => all.iter().find(running).cloned().ok_or_else(|| {
            Error::not_found(format!("service {service:?} is not running")).hint("minidock compose up -d starts it")
        }),
    }
}
