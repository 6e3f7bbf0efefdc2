//! # Loading: from files to one project
//!
//! ```text
//!   text ─yaml─► tree ─interpolate─► tree ─fit (tables)─► long forms ─settle─► paths whole, variables looked up
//!   text ─ … ─────────────────────────────────────────────────────────────┐
//!                                                                       merge ──► Project
//! ```
//!
//! * [`load`] does it; all it needs of the world (variables, files, the folder) comes in [`Around`].
//! * *Settling* is what depends on where we are: paths are made whole, environment files read, variables without a value looked up,
//!   and what is external gets the name it has outside.
//!
//! Laws: all files are of one version, 3 to 3.13; relative paths hang on the first file's folder; every fault of a file is told
//! at once. *See:* docker/cli `cli/compose/loader/loader.go`. *Next room:* [`crate::merge`]

use crate::{
    env_file,
    finding::Findings,
    interpolate::{self, Lookup},
    merge::merge,
    node::{Entry, Map, Node, What},
    project::PROJECT,
    service::{DEPRECATED, FORBIDDEN, UNSUPPORTED},
    shape::{self, Kind, Merge, fit},
    yaml::{self, refused},
};
use minidock_base::{Error, Result, clean_path::clean};
use std::{
    io,
    path::{Path, PathBuf},
};

/// One Compose file; `name` is shown in messages.
pub struct Source {
    pub name: String,
    pub text: String,
}

/// What a file may ask of the world.
pub struct Around<'a> {
    /// What relative paths hang on: the first file's folder.
    pub folder: PathBuf,
    pub home: Option<PathBuf>,
    pub variable: Lookup<'a>,
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Whether `$NAME` is replaced.
    pub interpolated: bool,
}

/// All files as one.
#[derive(Clone, Debug)]
pub struct Project {
    pub version: String,
    pub tree: Node,
    pub warnings: Vec<String>,
    /// Keys that some service has and no swarm knows.
    pub unsupported: Vec<&'static str>,
    /// The same for keys without use, with what Docker says of each.
    pub deprecated: Vec<(&'static str, &'static str)>,
}

/// Reads files, the later over the earlier.
///
/// # Errors
/// All that is wrong with the first file that is wrong; two versions; no file.
pub fn load(sources: &[Source], around: &Around) -> Result<Project> {
    let mut project: Option<Project> = None;
    for source in sources {
        let next = one(source, around)?;
        project = Some(match project {
            None => next,
            Some(base) if base.version != next.version => {
                let (a, b) = (base.version, next.version);
                return Err(Error::invalid(format!("version mismatched between two composefiles : {a} and {b}"))
                    .hint("write the same version into both"));
            }
            Some(base) => Project {
                version: base.version,
                tree: merge(base.tree, next.tree, &Kind::Struct(&PROJECT), Merge::Deep),
                warnings: base.warnings.into_iter().chain(next.warnings).collect(),
                unsupported: all(base.unsupported, next.unsupported),
                deprecated: all(base.deprecated, next.deprecated),
            },
        });
    }
    project.ok_or_else(|| Error::invalid("Specify a Compose file (with --compose-file)"))
}

fn all<T: Ord>(mut a: Vec<T>, b: Vec<T>) -> Vec<T> {
    a.extend(b);
    a.sort();
    a.dedup();
    a
}

fn one(source: &Source, around: &Around) -> Result<Project> {
    let root = yaml::read(&source.name, &source.text)?;
    let at = root.at.clone();
    let What::Map(mut map) = root.what else {
        return Err(refused(&at, "top-level object must be a mapping").hint("a Compose file begins with `services:`"));
    };
    let version = version(map.remove("version"))?;
    let mut findings = Findings::default();
    let mut tree = Map::default();
    for Entry { key, at, mut node } in map.0 {
        if around.interpolated {
            interpolate::interpolate(&mut node, &key, around.variable, &mut findings);
        }
        let Some(field) = PROJECT.field(&key) else {
            match key.starts_with("x-") {
                true => tree.0.push(Entry { key, at, node }),
                false => shape::unknown(&key, &at, "(root)", &PROJECT, &mut findings),
            }
            continue;
        };
        if node.what == What::Null {
            continue;
        }
        if key == "services" {
            forbid(&node, &mut findings);
        }
        let node = fit(node, &field.kind, &key, &mut findings);
        tree.0.push(Entry { key, at, node });
    }
    findings.verdict()?;
    let mut tree = Node::new(What::Map(tree), &at);
    settle(&mut tree, around, &mut findings);
    findings.verdict()?;
    let used = |key: &str| services(&tree).iter().any(|service| service.node.get(key).is_some_and(|node| !is_off(node)));
    Ok(Project {
        version,
        unsupported: UNSUPPORTED.into_iter().filter(|key| used(key)).collect(),
        deprecated: DEPRECATED.into_iter().filter(|(key, _)| used(key)).collect(),
        tree,
        warnings: findings.into_warnings(),
    })
}

fn is_off(node: &Node) -> bool {
    matches!(&node.what, What::Null | What::Bool(false)) || matches!(&node.what, What::Text(text) if text.is_empty())
}

/// The version's text; without one it is the newest.
fn version(node: Option<Node>) -> Result<String> {
    let Some(node) = node else { return Ok("3.13".into()) };
    let Some(text) = node.as_text() else {
        let shown = crate::scalar::shown(&node.what).unwrap_or_default();
        return Err(refused(&node.at, "version must be a string").hint(format!("put it in quotes: \"{shown}\"")));
    };
    let minor = if text == "3" { Some(13) } else { text.strip_prefix("3.").and_then(|minor| minor.parse().ok()) };
    match minor {
        Some(minor @ 0..=13) => Ok(format!("3.{minor}")),
        _ => Err(refused(&node.at, format_args!("unsupported Compose file version: {text}"))
            .hint("version: \"3.13\", or none at all")),
    }
}

fn services(tree: &Node) -> &[Entry] {
    tree.get("services").map(Node::entries).unwrap_or_default()
}

/// What stops the command: names that are none, keys that a swarm cannot honour.
fn forbid(node: &Node, findings: &mut Findings) {
    for service in node.entries() {
        if service.key.is_empty() || !service.key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            findings
                .fault(&service.at, format_args!("services: \"{}\" is no name: letters, digits and . _ - only", service.key));
        }
        for entry in service.node.entries() {
            if let Some((key, why)) = FORBIDDEN.iter().find(|(key, _)| *key == entry.key) {
                let name = &service.key;
                findings
                    .fault(&entry.at, format_args!("Compose file contains unsupported options: services.{name}.{key}: {why}"));
            }
        }
    }
}

/// See the essay.
fn settle(tree: &mut Node, around: &Around, findings: &mut Findings) {
    let What::Map(map) = &mut tree.what else { return };
    for section in &mut map.0 {
        let What::Map(named) = &mut section.node.what else { continue };
        for entry in &mut named.0 {
            match section.key.as_str() {
                "services" => settle_service(entry, around, findings),
                "networks" | "volumes" | "secrets" | "configs" => settle_outer(entry, &section.key, around, findings),
                _ => {}
            }
        }
    }
}

fn settle_outer(entry: &mut Entry, section: &str, around: &Around, findings: &mut Findings) {
    let (external, named) = (entry.node.bool("external") == Some(true), !entry.node.text("name").is_empty());
    let at = entry.node.at.clone();
    if external && !named {
        let name = Node::new(What::Text(entry.key.clone()), &at);
        set(&mut entry.node, "name", name);
    }
    if section == "volumes" && external {
        for key in ["driver", "driver_opts", "labels"] {
            if entry.node.get(key).is_some() {
                let name = &entry.key;
                findings.fault(
                    &at,
                    format_args!("conflicting parameters \"external\" and \"{key}\" specified for volume \"{name}\""),
                );
            }
        }
    }
    if let Some(file) = entry.node.get("file").cloned()
        && let Some(path) = file.as_text()
    {
        // unlike a mount's source, it knows no ~
        let whole = clean(&around.folder.join(path).to_string_lossy());
        set(&mut entry.node, "file", Node::new(What::Text(whole), &file.at));
    }
}

/// Gives a mapping's key a value.
pub(crate) fn set(node: &mut Node, key: &str, value: Node) {
    if let What::Map(map) = &mut node.what {
        let at = value.at.clone();
        map.set(key, &at, value);
    }
}

fn settle_service(entry: &mut Entry, around: &Around, findings: &mut Findings) {
    let path = format!("services.{}", entry.key);
    environment(&mut entry.node, around, findings);
    let What::Map(map) = &mut entry.node.what else { return };
    let Some(Node { what: What::List(mounts), .. }) = map.get_mut("volumes") else { return };
    for (n, mount) in mounts.iter_mut().enumerate().filter(|(_, mount)| mount.text("type") == "bind") {
        let source = mount.text("source");
        if source.is_empty() {
            let said = "invalid mount config for type \"bind\": field Source must not be empty";
            findings.fault(&mount.at, format_args!("{path}.volumes.{n}: {said}"));
            continue;
        }
        let at = mount.at.clone();
        set(mount, "source", Node::new(What::Text(whole(&source, around)), &at));
    }
}

/// The variables of the files, beneath those that are written out; a name alone takes its value from around.
fn environment(service: &mut Node, around: &Around, findings: &mut Findings) {
    let mut variables = Map::default();
    for file in service.get("env_file").map(Node::items).unwrap_or_default() {
        let path = PathBuf::from(whole(file.as_text().unwrap_or_default(), around));
        let read = match (around.read)(&path) {
            Ok(bytes) => env_file::read(&bytes, around.variable),
            Err(error) => {
                findings.fault(&file.at, format_args!("open {}: {}", path.display(), plain(&error)));
                continue;
            }
        };
        match read {
            Ok(pairs) => {
                for (name, value) in pairs {
                    variables.set(&name, &file.at, Node::new(What::Text(value), &file.at));
                }
            }
            Err(why) => findings.fault(&file.at, format_args!("invalid env file ({}): {why}", path.display())),
        }
    }
    for entry in service.get("environment").map(Node::entries).unwrap_or_default() {
        let looked_up = || (around.variable)(&entry.key).map(|value| Node::new(What::Text(value), &entry.at));
        let value = if entry.node.what == What::Null { looked_up() } else { None };
        variables.set(&entry.key, &entry.at, value.unwrap_or_else(|| entry.node.clone()));
    }
    if !variables.0.is_empty() {
        let at = service.at.clone();
        set(service, "environment", Node::new(What::Map(variables), &at));
    }
}

/// An error of the disk in a person's words.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// A path from the root: `~` is home, what is relative hangs on the folder.
pub(crate) fn whole(path: &str, around: &Around) -> String {
    let long = match (path.strip_prefix('~'), &around.home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => around.folder.join(path),
    };
    clean(&long.to_string_lossy())
}
