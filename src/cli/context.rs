//! # Contexts: names for daemons
//!
//! A student who has a daemon on this machine, one in a virtual machine and three simulated nodes does not want to type
//! addresses. `context create node2 --docker host=unix:///…` gives an address a name, `context use node2` makes it the one
//! that commands talk to, and `--context` or `$MINIDOCK_CONTEXT` choose it for one command or one shell.
//!
//! ```text
//!   ~/.minidock/contexts/node2.json    {"description": "…", "host": "unix:///run/…"}
//!   ~/.minidock/current-context        node2\n        (absent: the default socket)
//! ```
//!
//! * [`COMMANDS`]: `create`, `inspect`, `ls`, `rm`, `show`, `update`, `use`; [`current`] and [`address`] serve the session.
//!
//! Laws: the name `default` is the default socket, is not stored and cannot be removed or replaced; a name is a valid
//! file name. A chosen context that is not there is an error and never another daemon.
//! *See:* docker/cli `cli/command/context`. *Next room:* [`crate::session`]

use crate::{
    command::Command,
    complain, flag, format,
    session::{self, Session},
    template::value::{Row, Value},
    terminal,
};
use clap::{Arg, ArgMatches};
use minidock_base::{Doing, Error, Result, state_file};
use minidock_client::Address;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

/// The name that means "the default socket".
pub const DEFAULT: &str = "default";

/// `context …`
pub const COMMANDS: &[Command] = &[
    Command { path: "context create", also: &[], build: create_command, run: |m, s| Box::pin(async { create(m, s) }) },
    Command { path: "context inspect", also: &[], build: inspect_command, run: |m, s| Box::pin(async { inspect(m, s) }) },
    Command { path: "context ls", also: &["context list"], build: ls_command, run: |m, s| Box::pin(async { ls(m, s) }) },
    Command { path: "context rm", also: &["context remove"], build: rm_command, run: |m, s| Box::pin(async { rm(m, s) }) },
    Command { path: "context show", also: &[], build: show_command, run: |_, s| Box::pin(async { show(s) }) },
    Command { path: "context update", also: &[], build: update_command, run: |m, s| Box::pin(async { update(m, s) }) },
    Command { path: "context use", also: &[], build: use_command, run: |m, s| Box::pin(async { choose(m, s) }) },
];

/// A context as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    description: String,
    host: String,
}

fn folder(config: &Path) -> PathBuf {
    config.join("contexts")
}

fn file(config: &Path, name: &str) -> PathBuf {
    folder(config).join(format!("{name}.json"))
}

fn choice(config: &Path) -> PathBuf {
    config.join("current-context")
}

/// The context chosen by `context use`, if any.
///
/// # Errors
/// The file is there and cannot be read.
pub fn current(config: &Path) -> Result<Option<String>> {
    let path = choice(config);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_string()).filter(|name| !name.is_empty())),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e).doing(|| format!("read {}", path.display())),
    }
}

/// The address that context `name` stands for.
///
/// # Errors
/// `context "…" does not exist`; a broken file; an address that is none.
pub fn address(config: &Path, name: &str) -> Result<Address> {
    match name {
        DEFAULT => Ok(session::default_address()),
        _ => Address::parse(&find(config, name)?.host),
    }
}

fn find(config: &Path, name: &str) -> Result<Stored> {
    if name == DEFAULT {
        let host = session::default_address().to_string();
        return Ok(Stored { description: "The daemon of this machine, started when it is needed".into(), host });
    }
    let missing = || Error::not_found(format!("context {name:?} does not exist")).hint("minidock context ls");
    check_name(name).map_err(|_| missing())?;
    state_file::load(&file(config, name))?.ok_or_else(missing)
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.+-]+`, so that it is also a file name.
fn check_name(name: &str) -> Result<()> {
    let rest_is_plain = name.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    match name.len() >= 2 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && rest_is_plain {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ))),
    }
}

/// Every context's name, the default first.
fn names(config: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(folder(config)) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => None,
        entries => Some(entries.doing(|| format!("read {}", folder(config).display()))?),
    };
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").filter(|name| check_name(name).is_ok()).map(str::to_string));
    }
    names.sort();
    names.insert(0, DEFAULT.into());
    Ok(names)
}

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
    save(config, name, &Stored { description: flag::text_of(m, "description").unwrap_or_default().into(), host })?;
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

fn save(config: &Path, name: &str, stored: &Stored) -> Result<()> {
    fs::create_dir_all(folder(config)).doing(|| format!("make {}", folder(config).display()))?;
    state_file::save(&file(config, name), stored)
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
        .arg(flag::text("format", "string", format::HELP))
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
        let (stored, error) = match find(config, &name) {
            Ok(stored) => (stored, String::new()),
            Err(error) => (Stored::default(), error.message()),
        };
        rows.push(Rc::new(Listed { current: name == session.context(), name, stored, error }));
    }
    let table = "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";
    let wanted = match flag::text_of(m, "format") {
        None | Some("" | "table") if m.get_flag("quiet") => "{{.Name}}",
        None | Some("" | "table") => table,
        Some(format) => format,
    };
    terminal::print(&format::render(wanted, COLUMNS, &rows)?);
    warn_of_host("MINIDOCK_HOST");
    Ok(0)
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

fn rm(m: &ArgMatches, session: &Session) -> Result<i32> {
    let (config, force) = (session.config_folder(), m.get_flag("force"));
    let in_use = current(config)?;
    let remove = |name: &str| -> Result<()> {
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
        Ok(())
    };
    let mut status = 0;
    for name in flag::list_of(m, "CONTEXT") {
        match remove(&name) {
            Ok(()) => terminal::print(&format!("{name}\n")),
            Err(error) => {
                complain(&error);
                status = 1;
            }
        }
    }
    Ok(status)
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
        match find(config, &name) {
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
    fn a_context_is_found_by_its_name_and_never_by_a_path() {
        let place = tempfile::tempdir().expect("a folder");
        let stored = Stored { description: "two".into(), host: "unix:///n2".into() };
        save(place.path(), "node2", &stored).expect("room");
        assert_eq!(address(place.path(), "node2").expect("there"), Address::Unix("/n2".into()));
        assert_eq!(names(place.path()).expect("a folder"), ["default", "node2"]);
        for bad in ["", "x", "../node2", "a/b", ".node2", "nosuch"] {
            assert!(address(place.path(), bad).is_err(), "{bad:?} should be refused");
        }
        assert_eq!(address(place.path(), DEFAULT).expect("always there"), session::default_address());
        fs::write(file(place.path(), "broken"), "{").expect("room");
        assert!(address(place.path(), "broken").unwrap_err().message().contains("broken.json"));
    }

    #[test]
    fn endpoints_are_hosts_or_copies_and_tls_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let read = |text: &str| endpoint(place.path(), &[text.into()]);
        assert_eq!(read("host=tcp://127.0.0.1:1").expect("a host"), Some("tcp://127.0.0.1:1".into()));
        assert!(read("ca=x").unwrap_err().message().contains("TLS") && read("x").is_err() && read("host=nowhere").is_err());
        assert_eq!(endpoint(place.path(), &[]).expect("nothing"), None);
    }

    #[test]
    fn no_choice_is_the_default() {
        let place = tempfile::tempdir().expect("a folder");
        assert_eq!(current(place.path()).expect("nothing"), None);
        fs::write(choice(place.path()), "node2\n").expect("room");
        assert_eq!(current(place.path()).expect("a choice"), Some("node2".into()));
    }
}
