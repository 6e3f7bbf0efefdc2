//! # service ps: the tasks of some services
//!
//! A service is found by its ID, its name, or the beginning of its ID, in this order; what is not found is said behind the table of the others.
//!
//! *See:* docker/cli `cli/command/service/ps.go`. *Next room:* [`super::list`]

use super::tasks::{self, Look, Names};
use crate::{
    complain,
    filter::{self, Filters},
    flag,
    node::reference,
    session::Session,
    terminal,
};
use clap::{ArgMatches, Command};
use minidock_base::{Error, Result, clock};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{service::Service, task::Task};

/// The flags of `service ps`.
pub fn command() -> Command {
    flags(flag::command("ps", "[OPTIONS] SERVICE [SERVICE...]", "List the tasks of one or more services"))
        .arg(flag::names("SERVICE"))
}

/// What all commands that list tasks understand.
pub fn flags(command: Command) -> Command {
    command
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(flag::text("format", "string", "Pretty-print tasks using a Go template"))
        .arg(flag::switch("no-resolve", "Do not map IDs to Names"))
        .arg(flag::switch("no-trunc", "Do not truncate output"))
        .arg(flag::switch("quiet", "Only display task IDs").short('q'))
}

/// Lists the tasks of services.
///
/// # Errors
/// None of the services is there; a wrong filter or template.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let mut filters = Filters::default();
    let mut missing = Vec::new();
    for name in flag::list_of(m, "SERVICE") {
        match find(&docker, &name).await? {
            Some(id) => filters.add("service", &id),
            None => missing.push(name),
        }
    }
    let absent =
        |name: &String| Error::not_found(format!("no such service: {name}")).hint("minidock service ls shows those there are");
    if filters.has("service") {
        let tasks = tasks_of(&docker, m, filters).await?;
        let quiet = m.get_flag("quiet");
        show(&docker, m, tasks, quiet || m.get_flag("no-trunc")).await?;
    }
    missing.iter().map(absent).for_each(|error| complain(&error));
    Ok(i32::from(!missing.is_empty()))
}

/// The tasks that the typed filters and `more` let through.
///
/// # Errors
/// A wrong filter.
pub async fn tasks_of(docker: &Docker, m: &ArgMatches, mut more: Filters) -> Result<Vec<Task>> {
    let typed = Filters::of(m);
    for (key, value) in typed.pairs() {
        let value = if key == "node" { reference(docker, value).await? } else { value.to_string() };
        more.add(key, &value);
    }
    docker.get(&Route::new("/tasks", []).maybe("filters", more.json())).await
}

/// Prints tasks as the flags say.
///
/// # Errors
/// A wrong template; the daemon's refusal.
pub async fn show(docker: &Docker, m: &ArgMatches, tasks: Vec<Task>, full: bool) -> Result<()> {
    let names = Names::ask(docker, !m.get_flag("no-resolve")).await?;
    let look = Look { format: flag::text_of(m, "format"), full, quiet: m.get_flag("quiet") };
    terminal::print(&tasks::render(tasks, &names, look, clock::now())?);
    Ok(())
}

/// The ID of a service: by ID, by name, by the beginning of an ID.
async fn find(docker: &Docker, name: &str) -> Result<Option<String>> {
    let list = async |key: &str| -> Result<Vec<Service>> {
        let mut filters = Filters::default();
        filters.add(key, name);
        docker.get(&Route::new("/services", []).maybe("filters", filters.json())).await
    };
    let (by_id, by_name) = (list("id").await?, list("name").await?);
    let exact = by_id.iter().find(|s| s.id == name).or_else(|| by_name.iter().find(|s| s.spec.name == name));
    if let Some(service) = exact {
        return Ok(Some(service.id.clone()));
    }
    let mut beginning = by_id.iter().filter(|service| !name.is_empty() && service.id.starts_with(name));
    let first = beginning.next().map(|service| service.id.clone());
    match beginning.next() {
        Some(_) => Err(Error::invalid(format!("multiple services found with provided prefix: {name}"))),
        None => Ok(first),
    }
}
