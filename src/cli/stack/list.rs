//! # stack ls, stack ps, stack services: what there is of stacks
//!
//! ```text
//!   NAME      SERVICES              stack ls          counted by the services' labels
//!   vote      5
//! ```
//!
//! The tables of services and tasks are those of `service ls` and `service ps`.
//!
//! *See:* docker/cli `cli/command/stack/{list,ps,services}.go`. *Next room:* [`crate::why`]

use super::{belongs, named};
use crate::{
    filter::Filters,
    flag,
    format::{self, Columns, Own},
    service::{list, ps as tasks},
    session::Session,
    template::{Value, value::Row},
    terminal,
    volume::natural,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_compose::stack::NAMESPACE;
use minidock_spec::swarm::service::Service;
use std::{collections::BTreeMap, rc::Rc};

const COLUMNS: Columns = &[("Name", "NAME"), ("Services", "SERVICES")];

/// The flags of `stack ls`.
pub fn command() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List stacks").arg(format::flag())
}

/// Lists stacks.
///
/// # Errors
/// A wrong template; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut labelled = Filters::default();
    labelled.add("label", NAMESPACE);
    let services: Vec<Service> =
        session.docker().await?.get(&Route::new("/services", []).maybe("filters", labelled.json())).await?;
    let mut stacks: BTreeMap<String, usize> = BTreeMap::new();
    for service in services {
        *stacks.entry(service.spec.labels.get(NAMESPACE).cloned().unwrap_or_default()).or_default() += 1;
    }
    terminal::print(&render(stacks, flag::text_of(m, "format"))?);
    Ok(0)
}

fn render(stacks: BTreeMap<String, usize>, format: Option<&str>) -> Result<String> {
    let mut stacks: Vec<StackRow> = stacks.into_iter().map(|(name, services)| StackRow { name, services }).collect();
    stacks.sort_by_cached_key(|stack| natural(&stack.name));
    let format = Own { table: "table {{.Name}}\t{{.Services}}", quiet: "{{.Name}}", raw: None }.or(format, false);
    let rows: Vec<Rc<dyn Row>> = stacks.into_iter().map(|stack| Rc::new(stack) as Rc<dyn Row>).collect();
    format::render(format, COLUMNS, &rows)
}

struct StackRow {
    name: String,
    services: usize,
}

impl Row for StackRow {
    fn type_name(&self) -> &'static str {
        "*formatter.stackContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Name", "Services"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        Some(Value::text(match name {
            "Name" => self.name.clone(),
            "Services" => self.services.to_string(),
            _ => return None,
        }))
    }
}

/// The flags of `stack services`.
pub fn services() -> clap::Command {
    format::listing("[OPTIONS] STACK", "List the services in the stack", "Only display IDs")
        .name("services")
        .arg(flag::name("STACK"))
}

/// The typed filters, and the stack's.
fn filters(m: &ArgMatches) -> Result<(String, Filters)> {
    let name = named(flag::text_of(m, "STACK").unwrap_or_default())?;
    let mut filters = belongs(name);
    for (key, value) in Filters::of(m).pairs() {
        filters.add(key, value);
    }
    Ok((name.to_string(), filters))
}

/// Lists the services of a stack.
///
/// # Errors
/// A wrong filter or template; the daemon's refusal.
pub async fn run_services(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (name, filters) = filters(m)?;
    let route = Route::new("/services", []).maybe("filters", filters.json()).pair("status", true);
    let services: Vec<Service> = session.docker().await?.get(&route).await?;
    if services.is_empty() {
        terminal::eprint(&format!("Nothing found in stack: {name}\n"));
        return Ok(0);
    }
    terminal::print(&list::render(services, flag::text_of(m, "format"), m.get_flag("quiet"))?);
    Ok(0)
}

/// The flags of `stack ps`.
pub fn ps() -> clap::Command {
    tasks::flags(flag::command("ps", "[OPTIONS] STACK", "List the tasks in the stack")).arg(flag::name("STACK"))
}

/// Lists the tasks of a stack.
///
/// # Errors
/// No such stack; a wrong filter or template.
pub async fn run_ps(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = named(flag::text_of(m, "STACK").unwrap_or_default())?;
    let docker = session.docker().await?;
    let found = tasks::tasks_of(&docker, m, belongs(name)).await?;
    if found.is_empty() {
        return Err(Error::not_found(format!("nothing found in stack: {name}")).hint("minidock stack ls shows those there are"));
    }
    tasks::show(&docker, m, found, m.get_flag("no-trunc")).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_counted_and_sorted_as_people_count() {
        let stacks = BTreeMap::from([("vote10".to_string(), 5), ("vote2".to_string(), 1)]);
        assert_eq!(render(stacks, None).expect("a table"), "NAME      SERVICES\nvote2     1\nvote10    5\n");
    }
}
