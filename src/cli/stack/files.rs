//! # stack config, stack convert: the files, and what was understood
//!
//! `-c` names files, `-` is the standard input; the later ones are laid over the earlier. What is wrong is told with its place; what is
//! only odd is a warning; keys that no swarm knows are named once for all services, as Docker does.
//!
//! *See:* docker/cli `cli/command/stack/{config,loader}`. *Next room:* [`super::deploy`]

use super::named;
use crate::{flag, session::Session, terminal};
use clap::{Arg, ArgMatches};
use minidock_base::{Doing, Error, Result};
use minidock_compose::{
    kubernetes,
    load::{Around, Project, Source, load},
    render::render,
    stack,
};
use std::{
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The flag that names files.
pub fn flag() -> Arg {
    flag::list("compose-file", "strings", "Path to a Compose file, or \"-\" to read from stdin").short('c')
}

/// The flags of `stack config`.
pub fn command() -> clap::Command {
    flag::command("config", "[OPTIONS]", "Outputs the final config file, after doing merges and interpolations")
        .arg(flag())
        .arg(flag::switch("skip-interpolation", "Skip interpolation and output only merged config"))
}

/// Prints all files as one.
///
/// # Errors
/// As [`project`].
pub async fn run(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let project = project(m, !m.get_flag("skip-interpolation"))?;
    terminal::print(&render(&project.version, &project.tree));
    Ok(0)
}

/// The flags of `stack convert`.
pub fn convert() -> clap::Command {
    flag::command("convert", "[OPTIONS] STACK", "Write a stack's files as manifests for another orchestrator")
        .arg(flag())
        .arg(flag::text("to", "string", "The other orchestrator (\"kubernetes\")"))
        .arg(flag::name("STACK"))
}

/// Prints manifests; what has no counterpart is said beside them.
///
/// # Errors
/// As [`project`]; an orchestrator that we do not speak to.
pub async fn run_convert(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    match flag::text_of(m, "to") {
        Some("kubernetes") => {}
        Some(other) => {
            return Err(Error::invalid(format!("no manifests can be written for {other}")).hint("--to kubernetes"));
        }
        None => return Err(Error::invalid("for whom?").hint("--to kubernetes")),
    }
    let name = named(flag::text_of(m, "STACK").unwrap_or_default())?;
    let project = project(m, true)?;
    let stack = stack::plan(&project, name, &read)?;
    terminal::eprint(&set_aside(&project));
    let (text, notes) = kubernetes::render(name, &stack);
    for note in notes {
        terminal::eprint(&format!("WARNING: {note}\n"));
    }
    terminal::print(&text);
    Ok(0)
}

/// The project that `--compose-file` names; warnings are printed.
///
/// # Errors
/// No file, one that cannot be read, and whatever is wrong inside.
pub fn project(m: &ArgMatches, interpolated: bool) -> Result<Project> {
    let names: Vec<String> =
        flag::list_of(m, "compose-file").iter().flat_map(|names| names.split(',')).map(str::to_string).collect();
    let Some(first) = names.first() else {
        return Err(Error::invalid("Specify a Compose file (with --compose-file)")
            .hint("-c docker-stack.yml, or -c - for the standard input"));
    };
    let here = env::current_dir().doing(|| "find out where we are")?;
    let folder = match first.as_str() {
        "-" => here,
        path => here.join(Path::new(path).parent().unwrap_or(Path::new(""))),
    };
    let sources = names.iter().map(|name| source(name)).collect::<Result<Vec<_>>>()?;
    let variable = |name: &str| env::var(name).ok();
    let around =
        Around { folder, home: env::var_os("HOME").map(PathBuf::from), variable: &variable, read: &read, interpolated };
    let project = load(&sources, &around)?;
    for warning in &project.warnings {
        terminal::eprint(&format!("WARNING: {warning}\n"));
    }
    Ok(project)
}

/// The bytes of a file: for environment files, secrets and configs.
///
/// # Errors
/// The disk's.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

fn source(name: &str) -> Result<Source> {
    let mut bytes = Vec::new();
    let read = match name {
        "-" => io::stdin().lock().read_to_end(&mut bytes).map(drop),
        path => fs::read(path).map(|read| bytes = read),
    };
    let shown = if name == "-" { "stdin" } else { name };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("open {name}: no such file or directory")),
        _ => Error::invalid(format!("open {shown}: {error}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{shown}: this is no text (not UTF-8)")))?;
    Ok(Source { name: shown.to_string(), text })
}

/// What a swarm sets aside, as Docker says it.
pub fn set_aside(project: &Project) -> String {
    let mut text = String::new();
    if !project.unsupported.is_empty() {
        text += &format!("Ignoring unsupported options: {}\n\n", project.unsupported.join(", "));
    }
    if !project.deprecated.is_empty() {
        let lines: Vec<String> = project.deprecated.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        text += &format!("Ignoring deprecated options:\n\n{}\n\n", lines.join("\n\n"));
    }
    text
}
