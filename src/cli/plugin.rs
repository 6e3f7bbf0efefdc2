//! # Plugins: there are none
//!
//! In Docker a plugin is a program in an image that serves volumes, networks or logs. Here drivers are built in, so the list is always
//! empty; but scripts look into it, and who types these words from habit shall hear what there is instead of "unknown command".
//!
//! * `ls` prints an empty list, `inspect` and what changes a plugin say that it is not there, `install` and `create` why none can be made.
//!
//! *See:* docker/cli `cli/command/plugin`. *Next room:* [`crate::volume`]

use crate::{
    command::Command,
    complain,
    each::in_turn,
    filter::{self, Filters},
    flag,
    format::{self, Columns, Own},
    inspect,
    session::Session,
    template::{Value, value::Row},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use serde_json::Value as Json;
use std::rc::Rc;

/// `plugin …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "plugin create", also: &[], build: create, run: |_, _| Box::pin(async { none_can_be_made() }) },
    Command { path: "plugin disable", also: &[], build: disable, run: |m, s| Box::pin(change(m, s, "disable")) },
    Command { path: "plugin enable", also: &[], build: enable, run: |m, s| Box::pin(change(m, s, "enable")) },
    Command { path: "plugin inspect", also: &[], build: inspect, run: |m, s| Box::pin(describe(m, s)) },
    Command { path: "plugin install", also: &[], build: install, run: |_, _| Box::pin(async { none_can_be_made() }) },
    Command { path: "plugin ls", also: &["plugin list"], build: ls, run: |m, s| Box::pin(list(m, s)) },
    Command { path: "plugin push", also: &[], build: push, run: |m, s| Box::pin(change(m, s, "push")) },
    Command { path: "plugin rm", also: &["plugin remove"], build: rm, run: |m, s| Box::pin(remove(m, s)) },
    Command { path: "plugin set", also: &[], build: set, run: |m, s| Box::pin(change(m, s, "set")) },
    Command { path: "plugin upgrade", also: &[], build: upgrade, run: |m, s| Box::pin(change(m, s, "upgrade")) },
];

const COLUMNS: Columns = &[
    ("ID", "ID"),
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("Enabled", "ENABLED"),
    ("PluginReference", "PLUGIN REFERENCE"),
];

fn create() -> clap::Command {
    flag::command("create", "[OPTIONS] PLUGIN PLUGIN-DATA-DIR", "Create a plugin from a rootfs and configuration")
        .arg(flag::switch("compress", "Compress the context using gzip"))
        .arg(flag::name("PLUGIN"))
        .arg(flag::name("FOLDER"))
}

fn disable() -> clap::Command {
    flag::command("disable", "[OPTIONS] PLUGIN", "Disable a plugin")
        .arg(flag::switch("force", "Force the disable of an active plugin").short('f'))
        .arg(flag::name("PLUGIN"))
}

fn enable() -> clap::Command {
    flag::command("enable", "[OPTIONS] PLUGIN", "Enable a plugin")
        .arg(flag::number("timeout", "int", "HTTP client timeout (in seconds) (default 30)"))
        .arg(flag::name("PLUGIN"))
}

fn inspect() -> clap::Command {
    inspect::flags("[OPTIONS] PLUGIN [PLUGIN...]", "Display detailed information on one or more plugins")
}

fn granting(command: clap::Command) -> clap::Command {
    command.arg(flag::switch("grant-all-permissions", "Grant all permissions necessary to run the plugin"))
}

fn install() -> clap::Command {
    granting(flag::command("install", "[OPTIONS] PLUGIN [KEY=VALUE...]", "Install a plugin"))
        .arg(flag::text("alias", "string", "Local name for plugin"))
        .arg(flag::switch("disable", "Do not enable the plugin on install"))
        .arg(flag::name("PLUGIN"))
        .arg(flag::optional_names("KEY"))
}

fn ls() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List plugins")
        .arg(filter::flag("Provide filter values (e.g. \"enabled=true\")").short('f'))
        .arg(format::flag())
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::switch("quiet", "Only display plugin IDs").short('q'))
}

fn push() -> clap::Command {
    flag::command("push", "[OPTIONS] PLUGIN[:TAG]", "Push a plugin to a registry").arg(flag::name("PLUGIN"))
}

fn rm() -> clap::Command {
    flag::command("rm", "[OPTIONS] PLUGIN [PLUGIN...]", "Remove one or more plugins")
        .arg(flag::switch("force", "Force the removal of an active plugin").short('f'))
        .arg(flag::names("PLUGIN"))
}

fn set() -> clap::Command {
    flag::command("set", "PLUGIN KEY=VALUE [KEY=VALUE...]", "Change settings for a plugin")
        .arg(flag::name("PLUGIN"))
        .arg(flag::names("KEY"))
}

fn upgrade() -> clap::Command {
    granting(flag::command("upgrade", "[OPTIONS] PLUGIN [REMOTE]", "Upgrade an existing plugin"))
        .arg(flag::switch("skip-remote-check", "Do not check if specified remote plugin matches existing plugin image"))
        .arg(flag::name("PLUGIN"))
        .arg(flag::optional("REMOTE"))
}

fn none_can_be_made() -> Result<i32> {
    Err(Error::not_implemented("minidock has no plugins: drivers for volumes, logs and networks are built in")
        .hint("volume create -d local, network create -d bridge, overlay or macvlan, run --log-driver json-file, local, gelf or syslog"))
}

async fn describe(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for name in flag::list_of(m, "NAME") {
        match docker.get::<Json>(&Route::new("/plugins/{}/json", [&name])).await {
            Ok(plugin) => found.push(plugin),
            Err(error) => failed.push(error),
        }
    }
    match flag::text_of(m, "format").unwrap_or_default() {
        "" | "json" => terminal::print(&format!("{}\n", inspect::indent(&Json::Array(found), 4))),
        template => {
            let template = format::parse(template)?;
            for plugin in &found {
                terminal::print(&(template.render(&Value::raw(plugin)).map_err(format::refused)? + "\n"));
            }
        }
    }
    failed.iter().for_each(complain);
    Ok(i32::from(!failed.is_empty()))
}

/// What changes a plugin: the daemon says that it is not there.
async fn change(m: &ArgMatches, session: &mut Session, verb: &'static str) -> Result<i32> {
    let name = flag::text_of(m, "PLUGIN").unwrap_or_default();
    session.docker().await?.poke(&Route::new("/plugins/{}/{}", [name, verb])).await?;
    terminal::print(&format!("{name}\n"));
    Ok(0)
}

async fn remove(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let remove = async |name: String| -> Result<String> {
        docker.delete::<serde::de::IgnoredAny>(&Route::new("/plugins/{}", [&name])).await.map(|_| name + "\n")
    };
    in_turn(flag::list_of(m, "PLUGIN"), remove).await
}

/// A row of a Docker that has some.
struct PluginRow(Json);

impl Row for PluginRow {
    fn type_name(&self) -> &'static str {
        "*plugin.pluginContext"
    }
    fn columns(&self) -> &'static [&'static str] {
        &["Description", "Enabled", "ID", "Name", "PluginReference"]
    }
    fn column(&self, name: &str) -> Option<Value> {
        let text = |value: &Json| Value::text(value.as_str().unwrap_or_default());
        match name {
            "Description" => Some(text(&self.0["Config"]["Description"])),
            "Enabled" => Some(Value::Bool(self.0["Enabled"].as_bool().unwrap_or_default())),
            "ID" => Some(text(&self.0["Id"])),
            "Name" => Some(text(&self.0["Name"])),
            "PluginReference" => Some(text(&self.0["PluginReference"])),
            _ => None,
        }
    }
}

async fn list(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/plugins", []).maybe("filters", Filters::of(m).json());
    let found: Vec<Json> = session.docker().await?.get(&route).await?;
    let rows: Vec<Rc<dyn Row>> = found.into_iter().map(|one| Rc::new(PluginRow(one)) as Rc<dyn Row>).collect();
    let own = Own {
        table: "table {{.ID}}\t{{.Name}}\t{{.Description}}\t{{.Enabled}}",
        quiet: "{{.ID}}",
        raw: Some((
            "plugin_id: {{.ID}}\nname: {{.Name}}\ndescription: {{.Description}}\nenabled: {{.Enabled}}\n",
            "plugin_id: {{.ID}}",
        )),
    };
    terminal::print(&format::render(own.or(flag::text_of(m, "format"), m.get_flag("quiet")), COLUMNS, &rows)?);
    Ok(0)
}
