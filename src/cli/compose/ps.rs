//! # ps: the project's containers
//!
//! ```text
//!   NAME          IMAGE     COMMAND                  SERVICE   CREATED         STATUS         PORTS
//!   app-web-1     nginx     "/docker-entrypoint.…"   web       2 seconds ago   Up 1 second    0.0.0.0:8080->80/tcp
//! ```
//!
//! * The columns that `minidock ps` has as well are [`crate::container::ps`]'s; here are those that only a project's containers have.
//!
//! *See:* docker/compose `cmd/compose/ps.go`, `cmd/formatter/container.go`. *Next room:* [`super::looking`]

use super::{files, options, seen};
use crate::{
    container::ps::ContainerRow,
    flag,
    format::{self, Columns},
    session::Session,
    template::value::{Row, Value},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result, clock};
use minidock_compose::local::body::{PROJECT, SERVICE};
use minidock_spec::engine::container::Summary;
use serde_json::{Value as Json, json};
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ExitCode", "EXIT CODE"),
    ("Health", "HEALTH"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Name", "NAME"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Ports", "PORTS"),
    ("Project", "PROJECT"),
    ("RunningFor", "CREATED"),
    ("Service", "SERVICE"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];
const TABLE: &str = "table {{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}";
const STATES: [&str; 7] = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

/// The flags of `compose ps`.
pub fn command() -> clap::Command {
    options::with(flag::command("ps", "[OPTIONS] [SERVICE...]", "List containers"))
        .arg(flag::switch("all", "Show all stopped containers (including those created by the run command)").short('a'))
        .arg(flag::text("filter", "string", "Filter services by a property (supported filters: status)"))
        .arg(format::flag())
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::on("orphans", "Include orphaned services (not declared by project) (default true)"))
        .arg(flag::switch("quiet", "Only display IDs").short('q'))
        .arg(flag::switch("services", "Display services"))
        .arg(flag::list(
            "status",
            "stringArray",
            "Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]",
        ))
        .arg(flag::optional_names("SERVICE"))
}

/// Lists the project's containers.
///
/// # Errors
/// No such service; a filter or template that is wrong.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    let mut states = flag::list_of(m, "status");
    if let Some(filter) = flag::text_of(m, "filter") {
        match filter.split_once('=') {
            Some(("status", value)) => states.push(value.to_string()),
            Some((key, _)) => return Err(Error::invalid(format!("unknown filter {key}")).hint("--filter status=running")),
            None => return Err(Error::invalid("arguments to --filter should be in form KEY=VAL")),
        }
    }
    if let Some(other) = states.iter().find(|state| !STATES.contains(&state.as_str())) {
        return Err(Error::invalid(format!("unknown status {other:?}")).hint(STATES.join(", ")));
    }
    let docker = session.docker().await?;
    let meant = seen::of_services(&docker, opened.as_ref(), &project, &names).await?;
    let (all, only_known) = (m.get_flag("all") || !states.is_empty(), !flag::is_on(m, "orphans"));
    let known = |summary: &Summary| opened.as_ref().is_none_or(|opened| opened.project.knows(seen::label(summary, SERVICE)));
    let mut there = seen::summaries(&docker, &project).await?;
    there.retain(|summary| {
        let one = seen::seen(summary);
        let chosen = meant.iter().any(|other| other.id == one.id) || one.oneoff && all && names.is_empty();
        chosen
            && (all || one.is_running())
            && (!only_known || known(summary))
            && (states.is_empty() || states.contains(&one.state))
    });
    there.sort_by_key(seen::name);
    if m.get_flag("quiet") {
        there.iter().for_each(|summary| terminal::print(&format!("{}\n", summary.id)));
        return Ok(0);
    }
    if m.get_flag("services") {
        let mut services: Vec<&str> = there.iter().map(|summary| seen::label(summary, SERVICE)).collect();
        services.dedup();
        services.iter().for_each(|service| terminal::print(&format!("{service}\n")));
        return Ok(0);
    }
    let format = match flag::text_of(m, "format") {
        None | Some("" | "table" | "pretty") => TABLE,
        Some("json") => {
            there.iter().for_each(|summary| terminal::print(&format!("{}\n", as_json(summary))));
            return Ok(0);
        }
        Some(custom) => custom,
    };
    let (now, full) = (clock::now(), m.get_flag("no-trunc"));
    let rows = there.into_iter().map(|summary| Rc::new(PsRow(ContainerRow::new(summary, full, now))) as Rc<dyn Row>);
    terminal::print(&format::render(format, COLUMNS, &rows.collect::<Vec<_>>())?);
    Ok(0)
}

struct PsRow(ContainerRow);

impl Row for PsRow {
    fn type_name(&self) -> &'static str {
        "*formatter.ContainerContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "Command",
            "CreatedAt",
            "ExitCode",
            "Health",
            "ID",
            "Image",
            "Labels",
            "LocalVolumes",
            "Mounts",
            "Name",
            "Names",
            "Networks",
            "Ports",
            "Project",
            "RunningFor",
            "Service",
            "Size",
            "State",
            "Status",
        ]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let summary = &self.0.summary;
        match name {
            "Name" => Some(Value::text(seen::name(summary))),
            "Service" => Some(Value::text(seen::label(summary, SERVICE))),
            "Project" => Some(Value::text(seen::label(summary, PROJECT))),
            "Health" => Some(Value::text(health(summary))),
            "ExitCode" => Some(Value::Int(exit_code(summary))),
            // the image as the file names it, even when the tag has moved on
            "Image" => Some(Value::text(&summary.image)),
            other => self.0.column(other),
        }
    }

    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        self.0.labelled(name, argument)
    }
}

/// `healthy`, from `Up 3 minutes (healthy)`.
fn health(summary: &Summary) -> &str {
    let inner = summary.status.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
    match inner {
        "health: starting" => "starting",
        word @ ("healthy" | "unhealthy") => word,
        _ => "",
    }
}

/// 3, from `Exited (3) 2 minutes ago`.
fn exit_code(summary: &Summary) -> i64 {
    let code =
        summary.status.strip_prefix("Exited (").and_then(|rest| rest.split_once(')')).and_then(|(code, _)| code.parse().ok());
    code.unwrap_or(0)
}

fn as_json(summary: &Summary) -> Json {
    let row = ContainerRow::new(summary.clone(), true, clock::now());
    let text = |name: &str| match row.column(name) {
        Some(Value::Text(text)) => text.to_string(),
        _ => String::new(),
    };
    let publishers: Vec<Json> = summary
        .ports
        .iter()
        .map(|port| {
            json!({
                "URL": port.ip.clone().unwrap_or_default(), "TargetPort": port.private_port,
                "PublishedPort": port.public_port.unwrap_or(0), "Protocol": port.kind,
            })
        })
        .collect();
    json!({
        "Command": text("Command"), "CreatedAt": text("CreatedAt"), "ExitCode": exit_code(summary), "Health": health(summary),
        "ID": summary.id.get(..12).unwrap_or(&summary.id), "Image": summary.image, "Labels": text("Labels"),
        "LocalVolumes": text("LocalVolumes"), "Mounts": text("Mounts"), "Name": seen::name(summary), "Names": text("Names"),
        "Networks": text("Networks"), "Ports": text("Ports"), "Project": seen::label(summary, PROJECT), "Publishers": publishers,
        "RunningFor": text("RunningFor"), "Service": seen::label(summary, SERVICE), "Size": "0B", "State": summary.state,
        "Status": summary.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_and_exit_code_are_read_from_the_status() {
        let of = |status: &str| Summary { status: status.into(), ..Summary::default() };
        assert_eq!(health(&of("Up 3 minutes (healthy)")), "healthy");
        assert_eq!(health(&of("Up 1 second (health: starting)")), "starting");
        assert_eq!(health(&of("Exited (3) 1 minute ago")), "");
        assert_eq!((exit_code(&of("Exited (3) 1 minute ago")), exit_code(&of("Up 1 second"))), (3, 0));
    }
}
