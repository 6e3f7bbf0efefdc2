//! # events: what happens, as it happens
//!
//! One line for each thing that happens to a container, an image, a volume, until Ctrl-C or `--until`:
//!
//! ```text
//!   2026-11-27T10:26:24.386622634+00:00 container start 16bad8801e63… (a=b, image=alpine, name=web)
//! ```
//!
//! *See:* docker/cli `cli/command/system/events.go` · moby `api/types/events`. *Next room:* [`super::df`]

use crate::{
    complain,
    filter::{self, Filters},
    flag, format, moment,
    session::Session,
    template::{
        Template,
        shapes::{self, Field, Shape},
    },
    terminal,
};
use clap::ArgMatches;
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::Result;
use minidock_client::{Route, Wish};
use minidock_spec::engine::event::Event;
use serde_json::Value as Json;

static MESSAGE: Shape = Shape {
    name: "events.Message",
    fields: &[
        Field::new("Status", shapes::Kind::Text).key("status").omit(),
        Field::new("ID", shapes::Kind::Text).key("id").omit(),
        Field::new("From", shapes::Kind::Text).key("from").omit(),
        Field::new("Type", shapes::Kind::Text),
        Field::new("Action", shapes::Kind::Text),
        Field::new("Actor", shapes::Kind::Struct(&ACTOR)),
        Field::new("Scope", shapes::Kind::Text).key("scope").omit(),
        Field::new("Time", shapes::Kind::Int).key("time").omit(),
        Field::new("TimeNano", shapes::Kind::Int).key("timeNano").omit(),
    ],
};

static ACTOR: Shape = Shape {
    name: "events.Actor",
    fields: &[Field::new("ID", shapes::Kind::Text), Field::new("Attributes", shapes::Kind::Map(&shapes::Kind::Text))],
};

/// The flags of `events`.
pub fn command() -> clap::Command {
    flag::command("events", "[OPTIONS]", "Get real time events from the server")
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(flag::text("format", "string", format::INSPECT_HELP))
        .arg(flag::text("since", "string", "Show all events created since timestamp"))
        .arg(flag::text("until", "string", "Stream events until this timestamp"))
}

/// Prints events until the stream ends.
///
/// # Errors
/// A wrong filter or time; a connection that broke.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let template = match template(flag::text_of(m, "format").unwrap_or_default()) {
        Ok(template) => template,
        Err(fault) => {
            complain(&minidock_base::Error::invalid(format!("Error parsing format: {fault}")));
            return Ok(64);
        }
    };
    let time = |name: &str| flag::text_of(m, name).filter(|text| !text.is_empty()).map(moment::from_now);
    let route = Route::new("/events", [])
        .maybe("since", time("since").transpose()?)
        .maybe("until", time("until").transpose()?)
        .maybe("filters", Filters::of(m).json());
    let docker = session.docker().await?;
    let mut events = docker.send(Wish::get(&route)).await?.objects();
    while let Some(json) = events.next::<Json>().await? {
        let line = match &template {
            Some(template) => template.render(&shapes::object(&MESSAGE, &json)).map_err(format::refused)?,
            None => pretty(&serde_json::from_value(json).unwrap_or_default()),
        };
        terminal::print(&format!("{line}\n"));
    }
    Ok(0)
}

/// Parses the template and tries it on an event of nothing.
fn template(format: &str) -> std::result::Result<Option<Template>, crate::template::Fault> {
    if format.is_empty() {
        return Ok(None);
    }
    let template = Template::parse(if format == "json" { "{{json .}}" } else { format })?;
    template.render(&shapes::object(&MESSAGE, &Json::Null))?;
    Ok(Some(template))
}

fn pretty(event: &Event) -> String {
    let nanos = if event.time_nano != 0 { i128::from(event.time_nano) } else { i128::from(event.time) * 1_000_000_000 };
    let time = match Timestamp::from_nanosecond(nanos) {
        Ok(at) if nanos != 0 => format!("{} ", fixed(at, &TimeZone::system())),
        _ => String::new(),
    };
    let attributes: Vec<String> = event.actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    format!("{time}{} {} {}{attributes}", event.kind, event.action, event.actor.id)
}

/// RFC 3339 with nine digits; UTC is written `Z`.
fn fixed(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned(zone.clone());
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string();
    text.strip_suffix("+00:00").map(|text| format!("{text}Z")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn start() -> Json {
        json!({"status": "start", "id": "16ba", "from": "alpine", "Type": "container", "Action": "start",
               "Actor": {"ID": "16ba", "Attributes": {"name": "web", "image": "alpine"}}, "scope": "local",
               "time": 1795775184, "timeNano": 1795775184386622634i64})
    }

    #[test]
    fn an_event_is_a_line() {
        let line = pretty(&serde_json::from_value(start()).expect("an event"));
        assert!(line.ends_with(" container start 16ba (image=alpine, name=web)"), "{line}");
        let at = Timestamp::from_nanosecond(1_795_775_184_386_622_600).expect("a time");
        assert_eq!(fixed(at, &TimeZone::UTC), "2026-11-27T10:26:24.386622600Z");
    }

    #[test]
    fn an_event_can_be_a_template_or_json() {
        let show = |format: &str| {
            let template = template(format).expect("a good template").expect("a template");
            template.render(&shapes::object(&MESSAGE, &start())).expect("a line")
        };
        assert_eq!(show("{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Time}}"), "container start web 1795775184");
        assert_eq!(
            show("json"),
            "{\"status\":\"start\",\"id\":\"16ba\",\"from\":\"alpine\",\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"16ba\",\"Attributes\":{\"image\":\"alpine\",\"name\":\"web\"}},\"scope\":\"local\",\"time\":1795775184,\"timeNano\":1795775184386622634}"
        );
        assert!(template("{{.Foo}}").err().expect("a fault").text.contains("can't evaluate field Foo in type *events.Message"));
    }
}
