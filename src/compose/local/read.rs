//! # Reading: from files to one tree
//!
//! ```text
//!   include: a.yml  ─► the same, with a folder of its own ─┐
//!   compose.yaml    ─► yaml · interpolate · fit · paths whole · extends ─┐
//!   compose.override.yaml ─► the same ──────────────────── undo ─► merge ─► names, environments ─► tree
//! ```
//!
//! * [`read`] gives the tree that `compose config` shows; [`super::project`] makes a project of it.
//! * `extends` lays a service over another one, of the same file or of another, whose paths hang on *its* folder.
//! * An included file has a folder of its own, and variables of its own beneath ours: its `env_file`, or the `.env` of that folder.
//! * Environment files of services are read last of all: what `environment` says wins, whichever file says it.
//!
//! Laws: the world is handed in ([`Around`]); everything wrong with a file is told at once, with its place; files that include or extend
//! each other in a circle are refused. *See:* compose-spec `13-merge.md`, `14-include.md`. *Next room:* [`super::undo`]

use super::{
    dotenv, name,
    tables::{LEFT_OUT, PROJECT, SERVICE},
    undo::Undone,
};
use crate::{
    finding::Findings,
    interpolate,
    load::{Around, Source, plain, set, whole},
    merge::merge,
    node::{At, Entry, Map, Node, What},
    scalar,
    shape::{self, Kind, Merge, fit},
    yaml::{self, refused},
};
use minidock_base::{Error, Result};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Files that include or extend files that …
const MOST_DEPTH: usize = 16;

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub name: String,
    pub tree: Node,
    pub warnings: Vec<String>,
}

/// Reads files, the later over the earlier. `said` is a name from outside, which wins; `folder` gives one if nobody does.
///
/// # Errors
/// What is wrong with the first file that is wrong; a name that is none; no file.
pub fn read(sources: &[Source], around: &Around, said: Option<&str>, folder: &str) -> Result<Loaded> {
    let roots = sources.iter().map(|source| root(&source.name, &source.text)).collect::<Result<Vec<_>>>()?;
    if roots.is_empty() {
        return Err(Error::not_found("no configuration file provided: not found"));
    }
    let name = match said {
        Some(said) => name::checked(said)?.to_string(),
        None => match roots.iter().rev().find_map(|root| root.get("name")) {
            Some(node) => in_file(node, around)?,
            None => name::normalised(folder),
        },
    };
    if name.is_empty() {
        return Err(Error::invalid("project name must not be empty").hint("say one: -p NAME, or name: at the top of the file"));
    }
    let variable = |wanted: &str| match wanted {
        "COMPOSE_PROJECT_NAME" => Some(name.clone()),
        wanted => (around.variable)(wanted),
    };
    let around = Around { folder: around.folder.clone(), home: around.home.clone(), variable: &variable, ..*around };
    let mut reader = Reader { warnings: Vec::new() };
    let mut tree: Option<Node> = None;
    for (root, source) in roots.into_iter().zip(sources) {
        let next = reader.one(root, &around, Path::new(&source.name), 0)?;
        tree = Some(match tree {
            None => next.tree,
            Some(base) => over(base, next),
        });
    }
    let mut tree = tree.ok_or_else(|| Error::not_found("no configuration file provided: not found"))?;
    let mut findings = Findings::strict();
    complete(&mut tree, &name, &around, &mut findings);
    findings.verdict()?;
    reader.warnings.extend(findings.into_warnings());
    let warnings = reader.warnings;
    Ok(Loaded { name, tree, warnings })
}

/// One file, and what it takes back of those that it is laid over.
struct Layer {
    tree: Node,
    undone: Undone,
}

fn over(mut base: Node, next: Layer) -> Node {
    next.undone.from(&mut base);
    merge(base, next.tree, &Kind::Struct(&PROJECT), Merge::Deep)
}

/// The mapping that a file is.
fn root(file: &str, text: &str) -> Result<Node> {
    let root = yaml::read(file, text)?;
    match root.what {
        What::Map(_) => Ok(root),
        What::Null => Err(refused(&root.at, "empty compose file").hint("a Compose file begins with `services:`")),
        _ => Err(refused(&root.at, "top-level object must be a mapping").hint("a Compose file begins with `services:`")),
    }
}

/// `name:`, which may hold variables.
fn in_file(node: &Node, around: &Around) -> Result<String> {
    let mut findings = Findings::default();
    let mut node = node.clone();
    interpolate::interpolate(&mut node, "name", around.variable, &mut findings);
    findings.verdict()?;
    let text = scalar::shown(&node.what).unwrap_or_default();
    name::checked(&text).map(str::to_string).map_err(|error| refused(&node.at, error.message()))
}

/// A file that is being read: which, beneath how many others, and what lies around it.
#[derive(Clone, Copy)]
struct Site<'a> {
    around: &'a Around<'a>,
    file: &'a Path,
    depth: usize,
}

struct Reader {
    warnings: Vec<String>,
}

impl Reader {
    /// One file, with what it includes beneath it and what its services extend.
    fn one(&mut self, root: Node, around: &Around, file: &Path, depth: usize) -> Result<Layer> {
        let at = root.at.clone();
        if depth > MOST_DEPTH {
            return Err(refused(&at, format_args!("files include or extend each other more than {MOST_DEPTH} deep")));
        }
        let What::Map(mut map) = root.what else { return Ok(Layer { tree: root, undone: Undone::default() }) };
        let undone = Undone::taken(&mut map);
        let included = map.remove("include");
        let mut tree = self.fitted(map, &at, around)?;
        self.extend(&mut tree, &undone, Site { around, file, depth })?;
        for node in included.map(items).unwrap_or_default() {
            let below = self.included(node, around, depth)?;
            tree = over(below, Layer { tree, undone: undone.clone() });
        }
        Ok(Layer { tree, undone })
    }

    /// A file's keys by the tables, with its paths whole.
    fn fitted(&mut self, mut map: Map, at: &At, around: &Around) -> Result<Node> {
        let mut findings = Findings::strict();
        // every version means the same now
        map.remove("version");
        let mut tree = Map::default();
        for Entry { key, at, mut node } in map.0 {
            if around.interpolated {
                interpolate::interpolate(&mut node, &key, around.variable, &mut findings);
            }
            match PROJECT.field(&key) {
                Some(_) if node.what == What::Null => {}
                Some(field) => {
                    let node = fit(node, &field.kind, &key, &mut findings);
                    tree.0.push(Entry { key, at, node });
                }
                None if key.starts_with("x-") => tree.0.push(Entry { key, at, node }),
                None => shape::unknown(&key, &at, "(root)", &PROJECT, &mut findings),
            }
        }
        let mut tree = Node::new(What::Map(tree), at);
        for service in entries_mut(&mut tree, "services") {
            settle(service, around, &mut findings);
        }
        for section in ["secrets", "configs"] {
            for entry in entries_mut(&mut tree, section) {
                make_whole(&mut entry.node, "file", around);
            }
        }
        findings.verdict()?;
        self.warnings.extend(findings.into_warnings());
        Ok(tree)
    }

    /// `include: x.yml`, or `{path: [x.yml, y.yml], project_directory: dir, env_file: x.env}`.
    fn included(&mut self, node: Node, around: &Around, depth: usize) -> Result<Node> {
        let paths = match (&node.what, node.get("path")) {
            (What::Text(path), _) => vec![path.clone()],
            (_, Some(Node { what: What::Text(path), .. })) => vec![path.clone()],
            (_, Some(_)) => node.texts("path"),
            _ => return Err(refused(&node.at, "include needs the path of a file")),
        };
        let Some(first) = paths.first() else { return Err(refused(&node.at, "include needs the path of a file")) };
        let folder = match node.text("project_directory").as_str() {
            "" => parent(&whole(first, around)),
            said => PathBuf::from(whole(said, around)),
        };
        let variables = variables(&node, &folder, around)?;
        let variable = |name: &str| (around.variable)(name).or_else(|| variables.get(name).cloned());
        let below = Around { folder, home: around.home.clone(), variable: &variable, ..*around };
        let mut tree: Option<Node> = None;
        for path in &paths {
            let path = whole(path, around);
            let next = self.file(&path, &node.at, &below, depth)?;
            tree = Some(match tree {
                None => next.tree,
                Some(base) => over(base, next),
            });
        }
        Ok(tree.unwrap_or(node))
    }

    /// Another file, whole.
    fn file(&mut self, path: &str, at: &At, around: &Around, depth: usize) -> Result<Layer> {
        let bytes =
            (around.read)(Path::new(path)).map_err(|error| refused(at, format_args!("open {path}: {}", plain(&error))))?;
        let text = String::from_utf8(bytes).map_err(|_| refused(at, format_args!("{path}: this is no text (not UTF-8)")))?;
        self.one(root(path, &text)?, around, Path::new(path), depth + 1)
    }

    /// Lays each service that extends another over that one.
    fn extend(&mut self, tree: &mut Node, undone: &Undone, site: Site<'_>) -> Result<()> {
        let names: Vec<String> = entries_mut(tree, "services").iter().map(|entry| entry.key.clone()).collect();
        for name in names {
            self.extended(tree, undone, &name, site, &mut Vec::new())?;
        }
        Ok(())
    }

    fn extended(
        &mut self,
        tree: &mut Node,
        undone: &Undone,
        name: &str,
        site: Site<'_>,
        chain: &mut Vec<String>,
    ) -> Result<()> {
        let Some(entry) = entries_mut(tree, "services").iter_mut().find(|entry| entry.key == name) else { return Ok(()) };
        let What::Map(map) = &mut entry.node.what else { return Ok(()) };
        let Some(extends) = map.remove("extends") else { return Ok(()) };
        let (other, base) = (extends.text("file"), extends.text("service"));
        let lost = |place: &str| {
            refused(&extends.at, format_args!("cannot extend service {name:?} in {place}: service {base:?} not found"))
        };
        chain.push(name.to_string());
        let mut below = match other.as_str() {
            "" if chain.contains(&base) => {
                return Err(refused(
                    &extends.at,
                    format_args!("circular reference: {} extends {base}", chain.join(" extends ")),
                ));
            }
            "" => {
                self.extended(tree, undone, &base, site, chain)?;
                tree.get("services")
                    .and_then(|services| services.get(&base))
                    .cloned()
                    .ok_or_else(|| lost(&site.file.display().to_string()))?
            }
            other => {
                let path = whole(other, site.around);
                let theirs = Around { folder: parent(&path), home: site.around.home.clone(), ..*site.around };
                let theirs = self.file(&path, &extends.at, &theirs, site.depth)?;
                theirs.tree.get("services").and_then(|services| services.get(&base)).cloned().ok_or_else(|| lost(&path))?
            }
        };
        undone.from_service(name, &mut below);
        if let Some(entry) = entries_mut(tree, "services").iter_mut().find(|entry| entry.key == name) {
            let own = std::mem::replace(&mut entry.node, Node::new(What::Null, &extends.at));
            entry.node = merge(below, own, &Kind::Struct(&SERVICE), Merge::Deep);
        }
        Ok(())
    }
}

/// The variables that an included file has beneath ours: those of its `env_file`, or else of the `.env` in its folder, if there is one.
fn variables(node: &Node, folder: &Path, around: &Around) -> Result<BTreeMap<String, String>> {
    let said = match node.get("env_file") {
        Some(Node { what: What::Text(path), .. }) => vec![whole(path, around)],
        Some(_) => node.texts("env_file").iter().map(|path| whole(path, around)).collect(),
        None => Vec::new(),
    };
    let must = !said.is_empty();
    let files = if must { said } else { vec![folder.join(".env").display().to_string()] };
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for path in files {
        let bytes = match (around.read)(Path::new(&path)) {
            Ok(bytes) => bytes,
            Err(error) if !must && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(refused(&node.at, format_args!("couldn't find env file: {path}: {}", plain(&error)))),
        };
        let known = |name: &str| (around.variable)(name).or_else(|| all.get(name).cloned());
        let read = dotenv::read(&bytes, &known);
        all.extend(read.map_err(|why| refused(&node.at, format_args!("failed to read {path}: {why}")))?);
    }
    Ok(all)
}

fn parent(path: &str) -> PathBuf {
    Path::new(path).parent().unwrap_or(Path::new("/")).to_path_buf()
}

fn items(node: Node) -> Vec<Node> {
    match node.what {
        What::List(items) => items,
        _ => vec![node],
    }
}

/// The entries of a section, to be changed.
fn entries_mut<'a>(tree: &'a mut Node, section: &str) -> &'a mut [Entry] {
    let What::Map(map) = &mut tree.what else { return &mut [] };
    match map.get_mut(section).map(|node| &mut node.what) {
        Some(What::Map(named)) => &mut named.0,
        _ => &mut [],
    }
}

fn make_whole(node: &mut Node, key: &str, around: &Around) {
    if let Some(path) = node.get(key).cloned()
        && let Some(text) = path.as_text()
    {
        set(node, key, Node::new(What::Text(whole(text, around)), &path.at));
    }
}

/// A service's paths, from the folder of its file.
fn settle(entry: &mut Entry, around: &Around, findings: &mut Findings) {
    let path = format!("services.{}", entry.key);
    if entry.key.is_empty() || !entry.key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        findings.fault(&entry.at, format_args!("services: \"{}\" is no name: letters, digits and . _ - only", entry.key));
    }
    for key in LEFT_OUT.iter().filter(|key| **key != "develop") {
        if let Some(node) = entry.node.get(key) {
            findings.warn(&node.at, format_args!("{path}.{key} is not known to this engine and is ignored"));
        }
    }
    let What::Map(map) = &mut entry.node.what else { return };
    if let Some(build) = map.get_mut("build") {
        let context = build.text("context");
        let context = if context.is_empty() { ".".to_string() } else { context };
        if !context.contains("://") && !context.starts_with("git@") {
            let at = build.at.clone();
            set(build, "context", Node::new(What::Text(whole(&context, around)), &at));
        }
    }
    if let Some(Node { what: What::List(files), .. }) = map.get_mut("env_file") {
        files.iter_mut().for_each(|file| make_whole(file, "path", around));
    }
    let Some(Node { what: What::List(mounts), .. }) = map.get_mut("volumes") else { return };
    for (n, mount) in mounts.iter_mut().enumerate() {
        match (mount.text("type").as_str(), mount.text("source").is_empty()) {
            ("bind", true) => findings.fault(&mount.at, format_args!("{path}.volumes.{n}: a bind mount needs a source")),
            ("bind", false) => make_whole(mount, "source", around),
            ("volume" | "tmpfs", _) => {}
            ("", _) => findings.fault(&mount.at, format_args!("{path}.volumes.{n}.type is required: bind, volume or tmpfs")),
            (other, _) => findings.fault(
                &mount.at,
                format_args!("{path}.volumes.{n}: mounts of type {other:?} are not known here: bind, volume or tmpfs"),
            ),
        }
        if mount.text("target").is_empty() {
            findings.fault(&mount.at, format_args!("{path}.volumes.{n}.target is required"));
        }
    }
}

/// What can be said only when all files are one: the default network, the names outside, the environments.
fn complete(tree: &mut Node, name: &str, around: &Around, findings: &mut Findings) {
    let at = tree.at.clone();
    let mut by_default = false;
    for service in entries_mut(tree, "services") {
        environment(service, around, findings);
        let at = service.node.at.clone();
        let alone = service.node.get("networks").is_none_or(|networks| networks.entries().is_empty());
        if alone && service.node.text("network_mode").is_empty() {
            set(&mut service.node, "networks", Node::map(&at, [("default", What::Null)]));
        }
        by_default |= service.node.get("networks").is_some_and(|networks| networks.get("default").is_some());
    }
    if by_default && tree.get("networks").is_none_or(|networks| networks.get("default").is_none()) {
        let mut networks = tree.get("networks").cloned().unwrap_or_else(|| Node::map(&at, []));
        set(&mut networks, "default", Node::map(&at, []));
        set(tree, "networks", networks);
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        for entry in entries_mut(tree, section) {
            if entry.node.text("name").is_empty() {
                let external = entry.node.bool("external") == Some(true);
                let outside = if external { entry.key.clone() } else { format!("{name}_{}", entry.key) };
                let at = entry.node.at.clone();
                set(&mut entry.node, "name", Node::new(What::Text(outside), &at));
            }
        }
    }
    set(tree, "name", Node::new(What::Text(name.to_string()), &at));
}

/// The variables of the files, beneath those that are written out; a name alone takes its value from around, if there is one.
fn environment(service: &mut Entry, around: &Around, findings: &mut Findings) {
    let What::Map(map) = &mut service.node.what else { return };
    let (files, written) = (map.remove("env_file"), map.remove("environment"));
    let mut variables = Map::default();
    for file in files.as_ref().map(Node::items).unwrap_or_default() {
        let path = file.text("path");
        let read = match (around.read)(Path::new(&path)) {
            Ok(bytes) if file.text("format") == "raw" => crate::env_file::read(&bytes, around.variable),
            Ok(bytes) => dotenv::read(&bytes, around.variable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if file.bool("required") != Some(false) {
                    findings.fault(&file.at, format_args!("env file {path} not found: stat {path}: no such file or directory"));
                }
                continue;
            }
            Err(error) => {
                findings.fault(&file.at, format_args!("open {path}: {}", plain(&error)));
                continue;
            }
        };
        match read {
            Ok(pairs) => {
                pairs.into_iter().for_each(|(name, value)| {
                    variables.set(&name, &file.at, Node::new(What::Text(value), &file.at));
                });
            }
            Err(why) => findings.fault(&file.at, format_args!("failed to read {path}: {why}")),
        }
    }
    for entry in written.as_ref().map(Node::entries).unwrap_or_default() {
        match (&entry.node.what, (around.variable)(&entry.key)) {
            (What::Null, Some(value)) => variables.set(&entry.key, &entry.at, Node::new(What::Text(value), &entry.at)),
            (What::Null, None) => {}
            _ => variables.set(&entry.key, &entry.at, entry.node.clone()),
        }
    }
    if !variables.0.is_empty() {
        map.set("environment", &service.at, Node::new(What::Map(variables), &service.at));
    }
}
