//! # A project: services, what they use, and which of them are meant
//!
//! The tree says what was written; here it becomes values that later rooms can rely on: every reference leads somewhere, every service
//! has an image or a way to build one, and of everything there is exactly what is needed.
//!
//! ```text
//!   web   profiles: []        ─┐                     up            web, db
//!   db    profiles: []        ─┼─► active            up debug      debug, and whom it depends on
//!   debug profiles: [tools]   ─┘   --profile tools   --profile …   web, db, debug
//! ```
//!
//! * [`project`] makes it; [`Project::chosen`] are the services that a command line means, [`Project::named`] one of them by name.
//! * What no active service uses (a network, a volume) is left out, as if it were not in the file.
//!
//! *See:* compose-spec `15-profiles.md`, compose-go `types.Project`. *Next room:* [`super::order`]

use super::{order, read::Loaded};
use crate::{
    node::{At, Entry, Node},
    yaml::refused,
};
use minidock_base::{Error, Result};
use std::{collections::BTreeSet, path::PathBuf};

/// Everything a command needs to know of the files.
#[derive(Clone, Debug)]
pub struct Project {
    pub name: String,
    pub folder: PathBuf,
    pub files: Vec<String>,
    /// Those that are active, in the order of the file.
    pub services: Vec<Service>,
    /// Those that wait for a profile.
    pub disabled: Vec<Service>,
    pub networks: Vec<Outer>,
    pub volumes: Vec<Outer>,
    pub secrets: Vec<Outer>,
    pub configs: Vec<Outer>,
    /// What was understood, with only what is active in it.
    pub tree: Node,
    pub warnings: Vec<String>,
}

/// A network, volume, secret or config.
#[derive(Clone, Debug)]
pub struct Outer {
    /// Its name in the file.
    pub key: String,
    /// Its name outside.
    pub name: String,
    pub external: bool,
    pub node: Node,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    pub name: String,
    pub at: At,
    /// As it is written, or the name that what is built gets.
    pub image: String,
    pub depends_on: Vec<Dependency>,
    pub scale: u32,
    /// A name of its own for its only container.
    pub container_name: Option<String>,
    pub profiles: Vec<String>,
    pub node: Node,
}

/// On what a service waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub service: String,
    pub condition: Condition,
    /// Whether it is started anew when the other is made anew.
    pub restart: bool,
    /// Whether it cannot do without.
    pub required: bool,
}

/// What must be true of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

impl Condition {
    /// The word in a file and in a label.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        }
    }
}

/// Where a project lies, and what of it is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub folder: PathBuf,
    pub files: Vec<String>,
    pub profiles: Vec<String>,
    /// Services named on the command line: they are active whatever their profile.
    pub named: Vec<String>,
}

/// Makes a project.
///
/// # Errors
/// A service without an image, a reference that leads nowhere, a circle of dependencies; with its place.
pub fn project(loaded: Loaded, wanted: &Wanted) -> Result<Project> {
    let Loaded { name, tree, warnings } = loaded;
    let entries = tree.get("services").map(Node::entries).unwrap_or_default();
    let all = entries.iter().map(|entry| service(&name, entry)).collect::<Result<Vec<_>>>()?;
    let active = |service: &Service| {
        let on = |profile: &String| wanted.profiles.iter().any(|p| p == "*" || p == profile);
        service.profiles.is_empty() || service.profiles.iter().any(on) || wanted.named.contains(&service.name)
    };
    let (mut services, mut disabled): (Vec<Service>, Vec<Service>) = all.into_iter().partition(active);
    // what an active one cannot do without is active too, if it was the command line that asked for it
    while let Some(at) = disabled.iter().position(|waiting| {
        let asks = |service: &&Service| wanted.named.contains(&service.name);
        services.iter().filter(asks).any(|service| service.depends_on.iter().any(|d| d.service == waiting.name && d.required))
    }) {
        services.push(disabled.remove(at));
    }
    let outers = |section: &str, of: fn(&Service) -> Vec<String>| -> Vec<Outer> {
        let used: BTreeSet<String> = services.iter().flat_map(of).collect();
        let entries = tree.get(section).map(Node::entries).unwrap_or_default();
        entries.iter().filter(|entry| used.contains(&entry.key)).map(outer).collect()
    };
    let (networks, volumes) = (outers("networks", Service::networks), outers("volumes", Service::volumes));
    let (secrets, configs) = (outers("secrets", Service::secrets), outers("configs", Service::configs));
    let mut project = Project {
        name,
        folder: wanted.folder.clone(),
        files: wanted.files.clone(),
        services,
        disabled,
        networks,
        volumes,
        secrets,
        configs,
        tree,
        warnings,
    };
    project.check()?;
    order::order(&project.services)?;
    project.trim();
    Ok(project)
}

fn outer(entry: &Entry) -> Outer {
    let external = entry.node.bool("external") == Some(true);
    Outer { key: entry.key.clone(), name: entry.node.text("name"), external, node: entry.node.clone() }
}

fn service(project: &str, entry: &Entry) -> Result<Service> {
    let Entry { key, at, node } = entry;
    let (image, built) = (node.text("image"), node.get("build").is_some());
    if image.is_empty() && !built {
        return Err(refused(at, format_args!("service {key:?} has neither an image nor a build context specified"))
            .hint("image: NAME, or build: FOLDER"));
    }
    let condition = |node: &Node| match node.text("condition").as_str() {
        "service_healthy" => Condition::Healthy,
        "service_completed_successfully" => Condition::Completed,
        _ => Condition::Started,
    };
    let dependency = |entry: &Entry| Dependency {
        service: entry.key.clone(),
        condition: condition(&entry.node),
        restart: entry.node.bool("restart") == Some(true),
        required: entry.node.bool("required") != Some(false),
    };
    let mut depends_on: Vec<Dependency> =
        node.get("depends_on").map(Node::entries).unwrap_or_default().iter().map(dependency).collect();
    for other in others(node) {
        if !depends_on.iter().any(|dependency| dependency.service == other) {
            depends_on.push(Dependency { service: other, condition: Condition::Started, restart: true, required: true });
        }
    }
    let container_name = Some(node.text("container_name")).filter(|name| !name.is_empty());
    let scale = node.count("scale").or(node.get("deploy").and_then(|deploy| deploy.count("replicas"))).unwrap_or(1);
    let scale =
        u32::try_from(scale).map_err(|_| refused(at, format_args!("service {key}: {scale} containers are too many")))?;
    Ok(Service {
        name: key.clone(),
        at: at.clone(),
        image: if image.is_empty() { format!("{project}-{key}") } else { image },
        depends_on,
        scale,
        container_name,
        profiles: node.texts("profiles"),
        node: node.clone(),
    })
}

/// Services that are named elsewhere than in `depends_on`: their namespaces, volumes, names.
fn others(node: &Node) -> Vec<String> {
    let shared =
        ["network_mode", "ipc", "pid"].iter().filter_map(|key| node.text(key).strip_prefix("service:").map(str::to_string));
    let first = |text: String| text.split(':').next().unwrap_or_default().to_string();
    let volumes = node.texts("volumes_from").into_iter().filter(|from| !from.starts_with("container:")).map(first);
    shared.chain(volumes).chain(node.texts("links").into_iter().map(first)).collect()
}

impl Service {
    /// The networks it is on, those of the highest priority first.
    pub fn networks(&self) -> Vec<String> {
        let places = self.node.get("networks").map(Node::entries).unwrap_or_default();
        let mut places: Vec<&Entry> = places.iter().collect();
        let priority = |entry: &Entry| entry.node.float("priority").unwrap_or(0.0);
        places.sort_by(|a, b| priority(b).total_cmp(&priority(a)).then_with(|| a.key.cmp(&b.key)));
        places.into_iter().map(|entry| entry.key.clone()).collect()
    }

    /// The volumes with a name that it mounts.
    pub fn volumes(&self) -> Vec<String> {
        let mounts = self.node.get("volumes").map(Node::items).unwrap_or_default();
        let named = mounts.iter().filter(|mount| mount.text("type") == "volume").map(|mount| mount.text("source"));
        named.filter(|source| !source.is_empty()).collect()
    }

    pub fn secrets(&self) -> Vec<String> {
        self.sources("secrets")
    }

    pub fn configs(&self) -> Vec<String> {
        self.sources("configs")
    }

    fn sources(&self, section: &str) -> Vec<String> {
        self.node.get(section).map(Node::items).unwrap_or_default().iter().map(|node| node.text("source")).collect()
    }

    /// Whether its image is built here.
    pub fn is_built(&self) -> bool {
        self.node.get("build").is_some()
    }

    /// A refusal at a place below one of its keys.
    pub fn wrong(&self, key: &str, what: impl std::fmt::Display) -> Error {
        let at = self.node.get(key).map_or(&self.at, |node| &node.at);
        refused(at, format_args!("service {}: {what}", self.name))
    }
}

impl Project {
    /// A service by its name.
    ///
    /// # Errors
    /// Docker's `no such service`.
    pub fn named(&self, name: &str) -> Result<&Service> {
        self.services.iter().find(|service| service.name == name).ok_or_else(|| {
            let error = Error::not_found(format!("no such service: {name}"));
            match crate::finding::closest(name, self.services.iter().map(|service| service.name.as_str())) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            }
        })
    }

    /// The services that are meant: all, or those named, with everything they depend on unless they shall stand alone.
    ///
    /// # Errors
    /// A name that is none.
    pub fn chosen(&self, names: &[String], alone: bool) -> Result<Vec<&Service>> {
        let mut meant: BTreeSet<&str> = BTreeSet::new();
        let mut next = names.iter().map(|name| self.named(name)).collect::<Result<Vec<_>>>()?;
        if names.is_empty() {
            next = self.services.iter().collect();
        }
        while let Some(service) = next.pop() {
            if meant.insert(&service.name) && !alone {
                let below = service.depends_on.iter().filter_map(|d| self.services.iter().find(|s| s.name == d.service));
                next.extend(below);
            }
        }
        Ok(self.services.iter().filter(|service| meant.contains(service.name.as_str())).collect())
    }

    /// Whether a container's service is one of the files', active or not.
    pub fn knows(&self, service: &str) -> bool {
        self.services.iter().chain(&self.disabled).any(|known| known.name == service)
    }

    /// Something of a section by its name in the file.
    pub fn outer(&self, section: &str, key: &str) -> Option<&Outer> {
        let all = match section {
            "networks" => &self.networks,
            "volumes" => &self.volumes,
            "secrets" => &self.secrets,
            _ => &self.configs,
        };
        all.iter().find(|outer| outer.key == key)
    }

    fn check(&self) -> Result<()> {
        for service in &self.services {
            let undefined = |what: &str, name: &str, key: &str| {
                service
                    .wrong(key, format_args!("refers to undefined {what} {name}"))
                    .hint(format!("add it below {what}s: {name}:"))
            };
            for (section, what, used) in [
                ("networks", "network", service.networks()),
                ("volumes", "volume", service.volumes()),
                ("secrets", "secret", service.secrets()),
                ("configs", "config", service.configs()),
            ] {
                if let Some(lost) = used.iter().find(|key| self.outer(section, key).is_none()) {
                    return Err(undefined(what, lost, section));
                }
            }
            for dependency in service.depends_on.iter().filter(|dependency| dependency.required) {
                if !self.services.iter().any(|other| other.name == dependency.service) {
                    let other = &dependency.service;
                    return Err(service.wrong("depends_on", format_args!("depends on undefined service {other:?}")));
                }
            }
            let both = !service.node.text("network_mode").is_empty() && !service.networks().is_empty();
            if both {
                return Err(service.wrong("network_mode", "declares mutually exclusive `network_mode` and `networks`"));
            }
            if let (Some(name), true) = (&service.container_name, service.scale > 1) {
                return Err(service
                    .wrong("container_name", format_args!("{} containers cannot all be called {name:?}", service.scale))
                    .hint("remove container_name to scale the service"));
            }
        }
        for (n, service) in self.services.iter().enumerate() {
            if let Some(name) = &service.container_name
                && let Some(other) = self.services[..n].iter().find(|other| other.container_name.as_ref() == Some(name))
            {
                let first = &other.name;
                return Err(service
                    .wrong("container_name", format_args!("container name {name:?} is already in use by service {first:?}")));
            }
        }
        Ok(())
    }

    /// Leaves in the tree only what is active and used.
    fn trim(&mut self) {
        let crate::node::What::Map(map) = &mut self.tree.what else { return };
        let keep = [
            ("services", self.services.iter().map(|service| service.name.as_str()).collect::<BTreeSet<_>>()),
            ("networks", self.networks.iter().map(|outer| outer.key.as_str()).collect()),
            ("volumes", self.volumes.iter().map(|outer| outer.key.as_str()).collect()),
            ("secrets", self.secrets.iter().map(|outer| outer.key.as_str()).collect()),
            ("configs", self.configs.iter().map(|outer| outer.key.as_str()).collect()),
        ];
        for (section, used) in keep {
            if let Some(crate::node::What::Map(named)) = map.get_mut(section).map(|node| &mut node.what) {
                named.0.retain(|entry| used.contains(entry.key.as_str()));
            }
        }
    }
}
