//! # Contexts: names for daemons
//!
//! A student who has a daemon on this machine, one in a virtual machine and three simulated nodes does not want to type
//! addresses. `context create node2 --docker host=unix:///…` gives an address a name, `context use node2` makes it the one
//! that commands talk to, and `--context` or `$MINIDOCK_CONTEXT` choose it for one command or one shell.
//!
//! ```text
//!   context create ──► store::save ──► contexts/node2.json
//!   context use    ──► current-context ──► session::Session::new ──► every later command
//! ```
//!
//! * [`COMMANDS`]: `create`, `export`, `import`, `inspect`, `ls`, `rm`, `show`, `update`, `use`. [`store`]: how contexts lie on disk;
//!   [`carry`]: how they come to another machine.
//!
//! Laws: the name `default` cannot be created, updated or removed. None of these commands asks a daemon anything.
//! *See:* docker/cli `cli/command/context`. *Next room:* [`store`]

pub mod carry;
pub mod store;

use crate::{
    command::Command,
    complain,
    each::in_turn,
    flag, format,
    session::{self, Session},
    template::value::{Row, Value},
    terminal,
};
use clap::{Arg, ArgMatches};
use minidock_base::{Doing, Error, Result};
use minidock_client::Address;
use serde_json::{Value as Json, json};
use std::{fs, path::Path, rc::Rc};
use store::{DEFAULT, Stored, check_name, choice, current, file, find, names, save};

/// `context …`
pub const COMMANDS: &[Command] = &[
    Command { path: "context create", also: &[], build: create_command, run: |m, s| Box::pin(async { create(m, s) }) },
    Command {
        path: "context export",
        also: &[],
        build: carry::export_command,
        run: |m, s| Box::pin(async { carry::export(m, s) }),
    },
    Command {
        path: "context import",
        also: &[],
        build: carry::import_command,
        run: |m, s| Box::pin(async { carry::import(m, s) }),
    },
    Command { path: "context inspect", also: &[], build: inspect_command, run: |m, s| Box::pin(async { inspect(m, s) }) },
    Command { path: "context ls", also: &["context list"], build: ls_command, run: |m, s| Box::pin(async { ls(m, s) }) },
    Command { path: "context rm", also: &["context remove"], build: rm_command, run: |m, s| Box::pin(rm(m, s)) },
    Command { path: "context show", also: &[], build: show_command, run: |_, s| Box::pin(async { show(s) }) },
    Command { path: "context update", also: &[], build: update_command, run: |m, s| Box::pin(async { update(m, s) }) },
    Command { path: "context use", also: &[], build: use_command, run: |m, s| Box::pin(async { choose(m, s) }) },
];

fn docker_flag() -> Arg {
    flag::list("docker", "stringToString", "Set the docker endpoint: host=ADDRESS, or from=CONTEXT (default [])")
}

fn description_flag() -> Arg {
    flag::text("description", "string", "Description of the context")
}

fn create_command() -> clap::Command {
    flag::command("create", "[OPTIONS] CONTEXT", "Create a context")
        .arg(description_flag())
        .arg(docker_flag())
        .arg(flag::text("from", "string", "Create context from a named context"))
        .arg(flag::name("CONTEXT"))
}

fn create(m: &ArgMatches, session: &Session) -> Result<i32> {
    let (name, config) = (flag::text_of(m, "CONTEXT").unwrap_or_default(), session.config_folder());
    if name == DEFAULT {
        return Err(Error::invalid("\"default\" is a reserved context name"));
    }
    check_name(name)?;
    if file(config, name).exists() {
        return Err(Error::conflict(format!("context {name:?} already exists")).hint(format!("minidock context update {name}")));
    }
    let host = match (endpoint(config, &flag::list_of(m, "docker"))?, flag::text_of(m, "from")) {
        (Some(host), _) => host,
        (None, Some(from)) => find(config, from)?.host,
        (None, None) => session.address()?.to_string(),
    };
    save(
        config,
        name,
        &Stored { description: flag::text_of(m, "description").unwrap_or_default().into(), host, ..Stored::default() },
    )?;
    terminal::print(&format!("{name}\n"));
    terminal::eprint(&format!("Successfully created context {name:?}\n"));
    Ok(0)
}

/// The address in `--docker host=…` or `from=…`.
fn endpoint(config: &Path, values: &[String]) -> Result<Option<String>> {
    let mut host = None;
    for field in values.iter().flat_map(|value| value.split(',')) {
        match field.split_once('=') {
            Some(("host", text)) => host = Some(Address::parse(text)?.to_string()),
            Some(("from", name)) => host = Some(find(config, name)?.host),
            Some((key @ ("ca" | "cert" | "key" | "skip-tls-verify"), _)) => {
                return Err(Error::not_implemented(format!("{key}: TLS is not spoken yet"))
                    .hint("a unix socket, or tcp:// through `ssh -L`"));
            }
            _ => return Err(Error::invalid(format!("unrecognized config key: {field}")).hint("--docker host=unix:///path")),
        }
    }
    Ok(host)
}

fn update_command() -> clap::Command {
    flag::command("update", "[OPTIONS] CONTEXT", "Update a context")
        .arg(description_flag())
        .arg(docker_flag())
        .arg(flag::name("CONTEXT"))
}

fn update(m: &ArgMatches, session: &Session) -> Result<i32> {
    let (name, config) = (flag::text_of(m, "CONTEXT").unwrap_or_default(), session.config_folder());
    if name == DEFAULT {
        return Err(Error::invalid("context \"default\" cannot be updated"));
    }
    let mut stored = find(config, name)?;
    if let Some(text) = flag::text_of(m, "description") {
        stored.description = text.into();
    }
    if let Some(host) = endpoint(config, &flag::list_of(m, "docker"))? {
        stored.host = host;
    }
    save(config, name, &stored)?;
    terminal::print(&format!("{name}\n"));
    terminal::eprint(&format!("Successfully updated context {name:?}\n"));
    Ok(0)
}

fn ls_command() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List contexts")
        .arg(format::flag())
        .arg(flag::switch("quiet", "Only show context names").short('q'))
}

struct Listed {
    name: String,
    stored: Stored,
    error: String,
    current: bool,
}

impl Row for Listed {
    fn type_name(&self) -> &'static str {
        "*formatter.clientContextContext"
    }
    fn columns(&self) -> &'static [&'static str] {
        &["Current", "Description", "DockerEndpoint", "Error", "Name"]
    }
    fn column(&self, name: &str) -> Option<Value> {
        match name {
            "Current" => Some(Value::Bool(self.current)),
            "Description" => Some(Value::text(self.stored.description.clone())),
            "DockerEndpoint" => Some(Value::text(self.stored.host.clone())),
            "Error" => Some(Value::text(self.error.clone())),
            "Name" => Some(Value::text(self.name.clone())),
            _ => None,
        }
    }
}

fn ls(m: &ArgMatches, session: &Session) -> Result<i32> {
    const COLUMNS: format::Columns =
        &[("Description", "DESCRIPTION"), ("DockerEndpoint", "DOCKER ENDPOINT"), ("Error", "ERROR"), ("Name", "NAME")];
    let config = session.config_folder();
    let mut rows: Vec<Rc<dyn Row>> = Vec::new();
    for name in names(config)? {
        let (stored, error) = match current_default(session, &name).map_or_else(|| find(config, &name), Ok) {
            Ok(stored) => (stored, String::new()),
            Err(error) => (Stored::default(), error.message()),
        };
        rows.push(Rc::new(Listed { current: name == session.context(), name, stored, error }));
    }
    let own = format::Own {
        table: "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
        quiet: "{{.Name}}",
        raw: None,
    };
    terminal::print(&format::render(own.or(flag::text_of(m, "format"), m.get_flag("quiet")), COLUMNS, &rows)?);
    warn_of_host("MINIDOCK_HOST");
    Ok(0)
}

/// What `default` means for a command with another address in its flags or environment.
fn current_default(session: &Session, name: &str) -> Option<Stored> {
    let address = session
        .address()
        .ok()
        .filter(|address| name == DEFAULT && session.context() == DEFAULT && **address != session::default_address())?;
    Some(Stored {
        description: "Current MINIDOCK_HOST based configuration".into(),
        host: address.to_string(),
        ..Stored::default()
    })
}

/// A variable that wins over `context use` is easily forgotten.
fn warn_of_host(variable: &str) {
    if std::env::var(variable).is_ok_and(|value| !value.is_empty()) {
        terminal::eprint(&format!(
            "Warning: {variable} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {variable} environment variable.\n"
        ));
    }
}

fn rm_command() -> clap::Command {
    flag::command("rm", "CONTEXT [CONTEXT...]", "Remove one or more contexts")
        .arg(flag::switch("force", "Force the removal of a context in use").short('f'))
        .arg(flag::names("CONTEXT"))
}

async fn rm(m: &ArgMatches, session: &Session) -> Result<i32> {
    let (config, force) = (session.config_folder(), m.get_flag("force"));
    let in_use = current(config)?;
    let remove = async |name: String| -> Result<String> {
        let name = name.as_str();
        if name == DEFAULT {
            return Err(Error::invalid("context \"default\" cannot be removed"));
        }
        let is_current = in_use.as_deref() == Some(name);
        if is_current && !force {
            return Err(Error::conflict(format!("context {name:?} is in use, set -f flag to force remove")));
        }
        match find(config, name) {
            Err(_) if force && !file(config, name).exists() => {}
            // a broken file may be removed too
            found => {
                if !file(config, name).exists() {
                    found?;
                }
                fs::remove_file(file(config, name)).doing(|| format!("remove context {name}"))?;
            }
        }
        if is_current {
            fs::remove_file(choice(config)).doing(|| "forget the choice")?;
        }
        Ok(format!("{name}\n"))
    };
    in_turn(flag::list_of(m, "CONTEXT"), remove).await
}

fn show_command() -> clap::Command {
    flag::command("show", "", "Print the name of the current context")
}

fn show(session: &Session) -> Result<i32> {
    terminal::print(&format!("{}\n", session.context()));
    Ok(0)
}

fn use_command() -> clap::Command {
    flag::command("use", "CONTEXT", "Set the current context").arg(flag::name("CONTEXT"))
}

fn choose(m: &ArgMatches, session: &Session) -> Result<i32> {
    let (name, config) = (flag::text_of(m, "CONTEXT").unwrap_or_default(), session.config_folder());
    find(config, name)?;
    match name {
        DEFAULT => match fs::remove_file(choice(config)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.doing(|| "choose the default context")?,
        },
        _ => fs::write(choice(config), format!("{name}\n")).doing(|| format!("choose context {name}"))?,
    }
    terminal::print(&format!("{name}\n"));
    terminal::eprint(&format!("Current context is now {name:?}\n"));
    warn_of_host("MINIDOCK_HOST");
    Ok(0)
}

fn inspect_command() -> clap::Command {
    flag::command("inspect", "[OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on one or more contexts")
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
        .arg(flag::optional_names("CONTEXT"))
}

fn inspect(m: &ArgMatches, session: &Session) -> Result<i32> {
    let config = session.config_folder();
    let mut wanted = flag::list_of(m, "CONTEXT");
    if wanted.is_empty() {
        wanted.push(session.context().into());
    }
    let (mut found, mut status) = (Vec::new(), 0);
    for name in wanted {
        match current_default(session, &name).map_or_else(|| find(config, &name), Ok) {
            Ok(stored) => found.push(json!({
                "Name": name,
                "Metadata": { "Description": stored.description },
                "Endpoints": { "docker": { "Host": stored.host, "SkipTLSVerify": false } },
                "TLSMaterial": {},
                "Storage": { "MetadataPath": file(config, &name), "TLSPath": "<IN MEMORY>" },
            })),
            Err(error) => {
                complain(&error);
                status = 1;
            }
        }
    }
    terminal::print(&shown(flag::text_of(m, "format").unwrap_or_default(), found)?);
    Ok(status)
}

fn shown(format: &str, found: Vec<Json>) -> Result<String> {
    match format {
        "" => Ok(crate::inspect::indent(&Json::Array(found), 4) + "\n"),
        "json" => Ok(Json::Array(found).to_string() + "\n"),
        template => {
            let template = format::parse(template)?;
            let line = |one: &Json| template.render(&Value::raw(one)).map(|line| line + "\n").map_err(format::refused);
            found.iter().map(line).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_or_copies_and_tls_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let read = |text: &str| endpoint(place.path(), &[text.into()]);
        assert_eq!(read("host=tcp://127.0.0.1:1").expect("a host"), Some("tcp://127.0.0.1:1".into()));
        assert!(read("ca=x").unwrap_err().message().contains("TLS") && read("x").is_err() && read("host=nowhere").is_err());
        assert_eq!(endpoint(place.path(), &[]).expect("nothing"), None);
    }
}
