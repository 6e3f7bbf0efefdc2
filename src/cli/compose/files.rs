//! # Files: which ones, and with which variables
//!
//! ```text
//!   -f a.yml -f b.yml      those             COMPOSE_FILE=a.yml:b.yml    those
//!   (nothing)              compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml, here or in a folder above,
//!                          and compose.override.yaml beside it
//!   variables              our environment  >  --env-file, or .env in the project's folder
//!   the name               -p  >  COMPOSE_PROJECT_NAME  >  name:  >  the folder's
//! ```
//!
//! * [`open`] reads and understands; [`project_or_name`] is for commands that also work when only the name is known.
//!
//! *See:* compose-go `cli/options.go`. *Next room:* [`super::seen`]

use crate::{flag, stack::files as disk, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Kind, Result, clean_path::clean};
use minidock_compose::{
    load::{Around, Source},
    local::{
        dotenv, name,
        project::{self, Project, Wanted},
        read,
    },
};
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// A project, and the variables it was read with.
pub struct Opened {
    pub project: Project,
    variables: BTreeMap<String, String>,
}

impl Opened {
    /// A variable: ours, or the `.env` file's.
    pub fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok().or_else(|| self.variables.get(name).cloned())
    }

    /// All that `.env` files said and our environment does not.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.variables.clone().into_iter().chain(env::vars()).collect()
    }
}

/// Reads the project that the options mean; services in `named` are active whatever their profile. Warnings are printed.
///
/// # Errors
/// No file; whatever is wrong inside.
pub fn open(m: &ArgMatches, named: &[String]) -> Result<Opened> {
    open_as(m, named, true)
}

/// The same, with variables left as they are if `interpolated` is not wanted.
///
/// # Errors
/// As [`open`].
pub fn open_as(m: &ArgMatches, named: &[String], interpolated: bool) -> Result<Opened> {
    if m.get_flag("project.dry-run") {
        return Err(
            Error::not_implemented("--dry-run is not supported").hint("minidock compose config shows what was understood")
        );
    }
    let here = env::current_dir().doing(|| "find out where we are")?;
    let first = variables(&flag::list_of(m, "project.env-file"), &here)?;
    let names =
        names(&flag::list_of(m, "project.file"), &here, &|name| env::var(name).ok().or_else(|| first.get(name).cloned()));
    let names = names?;
    let folder = match (flag::text_of(m, "project.folder"), names.first().map(String::as_str)) {
        (Some(folder), _) => absolute(&here, folder),
        (None, Some("-")) | (None, None) => here.clone(),
        (None, Some(file)) => absolute(&here, file).parent().map_or(here.clone(), Path::to_path_buf),
    };
    let mut variables = variables(&flag::list_of(m, "project.env-file"), &folder)?;
    for (name, value) in first {
        variables.entry(name).or_insert(value);
    }
    let variable = |name: &str| env::var(name).ok().or_else(|| variables.get(name).cloned());
    let sources = names.iter().map(|name| source(name)).collect::<Result<Vec<_>>>()?;
    let said = flag::text_of(m, "project.name").map(str::to_string);
    let said = said.or_else(|| variable("COMPOSE_PROJECT_NAME")).filter(|name| !name.is_empty());
    let mut profiles = flag::list_of(m, "project.profile");
    let more = variable("COMPOSE_PROFILES").unwrap_or_default();
    profiles.extend(more.split(',').map(str::trim).filter(|profile| !profile.is_empty()).map(str::to_string));
    let around = Around {
        folder: folder.clone(),
        home: env::var_os("HOME").map(PathBuf::from),
        variable: &variable,
        read: &disk::read,
        interpolated,
    };
    let basename = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let loaded = read::read(&sources, &around, said.as_deref(), &basename)?;
    let files = names.iter().map(|name| if name == "-" { "-".into() } else { absolute(&here, name).display().to_string() });
    let wanted = Wanted { folder, files: files.collect(), profiles, named: named.to_vec() };
    let project = project::project(loaded, &wanted)?;
    for warning in &project.warnings {
        terminal::eprint(&format!("WARNING: {warning}\n"));
    }
    Ok(Opened { project, variables })
}

/// The project if there are files for it, and its name in any case.
///
/// # Errors
/// Neither files nor a name; whatever is wrong with files that were named.
pub fn project_or_name(m: &ArgMatches, named: &[String]) -> Result<(Option<Opened>, String)> {
    let said = flag::text_of(m, "project.name").map(str::to_string).or_else(|| env::var("COMPOSE_PROJECT_NAME").ok());
    let said = said.filter(|name| !name.is_empty());
    if let (Some(name), true) = (&said, flag::list_of(m, "project.file").is_empty()) {
        // with a name and no files named, the files that lie here may be another project's
        return Ok((open(m, named).ok(), name::checked(name)?.to_string()));
    }
    match open(m, named) {
        Ok(opened) => {
            let name = opened.project.name.clone();
            Ok((Some(opened), name))
        }
        Err(error) => match said {
            Some(name) if error.kind() == Kind::NotFound => Ok((None, name)),
            _ => Err(error),
        },
    }
}

fn absolute(here: &Path, path: &str) -> PathBuf {
    PathBuf::from(clean(&here.join(path).to_string_lossy()))
}

/// The files' names as they are shown; the later ones are laid over the earlier.
fn names(typed: &[String], here: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    if !typed.is_empty() {
        return Ok(typed.to_vec());
    }
    if let Some(listed) = variable("COMPOSE_FILE").filter(|listed| !listed.is_empty()) {
        let separator = variable("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).unwrap_or_else(|| ":".into());
        return Ok(listed.split(separator.as_str()).filter(|name| !name.is_empty()).map(str::to_string).collect());
    }
    for folder in here.ancestors() {
        let found: Vec<&str> = NAMES.into_iter().filter(|name| folder.join(name).is_file()).collect();
        let Some(first) = found.first() else { continue };
        if found.len() > 1 {
            terminal::eprint(&format!(
                "WARNING: Found multiple config files with supported names: {}\nWARNING: Using {first}\n",
                found.join(", ")
            ));
        }
        let shown = |name: &str| match folder == here {
            true => name.to_string(),
            false => folder.join(name).display().to_string(),
        };
        let over = OVERRIDES.into_iter().find(|name| folder.join(name).is_file());
        return Ok(std::iter::once(shown(first)).chain(over.map(shown)).collect());
    }
    Err(Error::not_found("no configuration file provided: not found")
        .hint("a compose.yaml in this folder or above it, or -f FILE; examples/voting/docker-stack.yml is one"))
}

fn source(name: &str) -> Result<Source> {
    let bytes = match name {
        "-" => io::read_to_string(io::stdin().lock()).map(String::into_bytes),
        path => fs::read(path),
    };
    let shown = if name == "-" { "stdin" } else { name };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("open {name}: no such file or directory")),
        _ => Error::invalid(format!("open {shown}: {error}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{shown}: this is no text (not UTF-8)")))?;
    Ok(Source { name: shown.to_string(), text })
}

/// The variables of the environment files: those named, or `.env` in `folder`.
fn variables(typed: &[String], folder: &Path) -> Result<BTreeMap<String, String>> {
    let from = env::var("COMPOSE_ENV_FILES").unwrap_or_default();
    let listed: Vec<String> = match typed {
        [] => from.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect(),
        typed => typed.to_vec(),
    };
    let (paths, must): (Vec<PathBuf>, bool) = match listed.is_empty() {
        true => (vec![folder.join(".env")], false),
        false => (listed.iter().map(PathBuf::from).collect(), true),
    };
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if !must && error.kind() != io::ErrorKind::PermissionDenied => continue,
            Err(_) => return Err(Error::not_found(format!("couldn't find env file: {}", path.display()))),
        };
        let known = |name: &str| env::var(name).ok().or_else(|| all.get(name).cloned());
        let read =
            dotenv::read(&bytes, &known).map_err(|why| Error::invalid(format!("failed to read {}: {why}", path.display())))?;
        all.extend(read);
    }
    Ok(all)
}
