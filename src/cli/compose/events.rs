//! # events: what happens to the project's containers
//!
//! ```text
//!   2026-11-27 21:00:01.123456 container start 16ba… (image=redis, name=app-redis-1)
//! ```
//!
//! * [`run`] is the command; [`Watch`] is the same for those who wait for something: the logs, an attached `up`.
//!
//! *See:* docker/compose `cmd/compose/events.go`. *Next room:* [`super::logs`](mod@super::logs)

use super::{files, options};
use crate::{filter::Filters, flag, session::Session, terminal};
use clap::ArgMatches;
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::Result;
use minidock_client::{Docker, Route, Wish, answer::Objects};
use minidock_compose::local::body::{ONEOFF, PROJECT, SERVICE};
use minidock_spec::engine::event::Event;
use serde_json::json;

/// Something happened to a container of the project.
#[derive(Clone, Debug)]
pub struct Happened {
    pub id: String,
    pub name: String,
    pub service: String,
    pub oneoff: bool,
    /// `start`, `die`, …
    pub action: String,
    /// Of a `die`.
    pub exit_code: i64,
    pub time_nano: i64,
    pub attributes: std::collections::BTreeMap<String, String>,
}

impl Happened {
    /// The moment after it, as the log's `since` wants it.
    pub fn after(&self) -> String {
        let next = self.time_nano + 1;
        format!("{}.{:09}", next.div_euclid(1_000_000_000), next.rem_euclid(1_000_000_000))
    }
}

/// The events of a project, from now on.
pub struct Watch(Objects);

impl Watch {
    /// Begins to listen.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn begin(docker: &Docker, project: &str) -> Result<Watch> {
        let mut filters = Filters::default();
        filters.add("type", "container");
        filters.add("label", &format!("{PROJECT}={project}"));
        let route = Route::new("/events", []).maybe("filters", filters.json());
        Ok(Watch(docker.send(Wish::get(&route)).await?.objects()))
    }

    /// The next one; nothing when the daemon has ended the stream.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn next(&mut self) -> Result<Option<Happened>> {
        let Some(event) = self.0.next::<Event>().await? else { return Ok(None) };
        let attribute = |key: &str| event.actor.attributes.get(key).cloned().unwrap_or_default();
        Ok(Some(Happened {
            id: event.actor.id.clone(),
            name: attribute("name"),
            service: attribute(SERVICE),
            oneoff: attribute(ONEOFF) == "True",
            exit_code: attribute("exitCode").parse().unwrap_or(0),
            time_nano: if event.time_nano == 0 { event.time * 1_000_000_000 } else { event.time_nano },
            action: event.action,
            attributes: event.actor.attributes,
        }))
    }
}

/// The flags of `compose events`.
pub fn command() -> clap::Command {
    options::with(flag::command("events", "[OPTIONS] [SERVICE...]", "Receive real time events from containers"))
        .arg(flag::switch("json", "Output events as a stream of json objects"))
        .arg(flag::optional_names("SERVICE"))
}

/// Shows events until it is ended.
///
/// # Errors
/// The daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    if let Some(opened) = &opened {
        names.iter().try_for_each(|name| opened.project.named(name).map(drop))?;
    }
    let docker = session.docker().await?;
    let mut watch = Watch::begin(&docker, &project).await?;
    while let Some(event) = watch.next().await? {
        if event.oneoff || !(names.is_empty() || names.contains(&event.service)) {
            continue;
        }
        terminal::print(&line(&event, m.get_flag("json")));
    }
    Ok(0)
}

fn line(event: &Happened, as_json: bool) -> String {
    let at = Timestamp::from_nanosecond(i128::from(event.time_nano)).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut own = event.attributes.clone();
    own.retain(|key, _| !key.starts_with("com.docker.compose."));
    if as_json {
        let value = json!({
            "action": event.action, "attributes": own, "id": event.id, "service": event.service,
            "time": at.to_string(), "type": "container",
        });
        return format!("{value}\n");
    }
    let pairs: Vec<String> = own.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let time = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
    format!("{time} container {} {} ({})\n", event.action, event.id, pairs.join(", "))
}
