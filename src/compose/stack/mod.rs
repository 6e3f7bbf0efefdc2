//! # Stacks: a project under a name, as a swarm wants it
//!
//! A *stack* is nothing a swarm knows: it is a name in front of other names, and a label that says they belong together.
//!
//! ```text
//!   project "docker-stack.yml"            stack "vote"
//!     networks: front                ──►  network  vote_front        label com.docker.stack.namespace=vote
//!     secrets:  pw {file: pw.txt}    ──►  secret   vote_pw           its bytes
//!     services: web                  ──►  service  vote_web          on vote_front as "web", with pw as /run/secrets/pw
//!     volumes:  data                 ──►  (each task's mount: vote_data, made on the node that needs it)
//! ```
//!
//! * [`plan`] makes the whole [`Stack`], before anything is created: a file that cannot become a stack leaves nothing behind.
//! * [`service`], [`deploy`], [`mounts`], [`networks`]: the parts. IDs of secrets and configs are not known yet; the names are.
//! * [`image_label`]: the image as it was written, so that a later deployment sees whether it has changed.
//!
//! Laws: services, networks, … keep the order of the file; what is external is only named; the same project and name give the same
//! stack. *See:* docker/cli `cli/compose/convert`. *Next room:* [`service`]

pub mod deploy;
pub mod mounts;
pub mod networks;
pub mod service;

use crate::{
    load::Project,
    node::{At, Entry, Node},
    yaml::refused,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use minidock_base::{Error, Result};
use minidock_spec::{
    engine::network::NetworkCreate,
    swarm::{secret::SecretSpec, service::ServiceSpec, task::Driver},
};
use std::{collections::BTreeMap, io, path::Path};

/// The label by which a stack's things find each other.
pub const NAMESPACE: &str = "com.docker.stack.namespace";
/// The label that keeps a service's image as it was written.
pub const IMAGE: &str = "com.docker.stack.image";

/// All that a stack is made of.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    pub networks: Vec<NetworkCreate>,
    /// Networks that must be there already: their names in the file and outside.
    pub external_networks: Vec<(String, String)>,
    pub secrets: Vec<SecretSpec>,
    pub configs: Vec<SecretSpec>,
    pub services: Vec<ServiceSpec>,
}

/// Makes a stack called `name`; `read` gives the bytes of secrets and configs.
///
/// # Errors
/// A service without an image, what is used but not defined, values that no swarm knows; with their places.
pub fn plan(project: &Project, name: &str, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Stack> {
    let scope = Scope { project: &project.tree, name };
    let (networks, external_networks) = networks::plan(&scope)?;
    Ok(Stack {
        networks,
        external_networks,
        secrets: files(&scope, "secrets", read)?,
        configs: files(&scope, "configs", read)?,
        services: scope.named("services").iter().map(|entry| service::plan(&scope, entry)).collect::<Result<_>>()?,
    })
}

/// The image a service was given in the file.
pub fn image_label(spec: &ServiceSpec) -> &str {
    spec.labels.get(IMAGE).map_or("", String::as_str)
}

/// A project under a name.
pub struct Scope<'a> {
    pub project: &'a Node,
    pub name: &'a str,
}

impl Scope<'_> {
    /// The names of a section, in the order of the file.
    pub fn named(&self, section: &str) -> &[Entry] {
        self.project.get(section).map(Node::entries).unwrap_or_default()
    }

    /// What stands behind a name of a section.
    pub fn find(&self, section: &str, name: &str) -> Option<&Node> {
        self.project.get(section)?.get(name)
    }

    /// The name it has in the swarm: its own, or the stack's in front.
    pub fn outside(&self, key: &str, node: Option<&Node>) -> String {
        let own = node.map(|node| node.text("name")).unwrap_or_default();
        if own.is_empty() { format!("{}_{key}", self.name) } else { own }
    }

    /// Labels, with the stack's among them.
    pub fn labels(&self, of: Option<&Node>) -> BTreeMap<String, String> {
        let mut labels = of.map(pairs).unwrap_or_default();
        labels.insert(NAMESPACE.into(), self.name.into());
        labels
    }
}

/// A mapping of texts.
pub fn pairs(node: &Node) -> BTreeMap<String, String> {
    let text = |entry: &Entry| (entry.key.clone(), entry.node.as_text().unwrap_or_default().to_string());
    node.entries().iter().map(text).collect()
}

/// A refusal at a place, within a service.
pub fn wrong(at: &At, service: &str, what: impl std::fmt::Display) -> Error {
    refused(at, format_args!("service {service}: {what}"))
}

/// Secrets or configs that are ours to make.
fn files(scope: &Scope, section: &str, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Vec<SecretSpec>> {
    let mut files = Vec::new();
    for Entry { key, node, .. } in scope.named(section).iter().filter(|entry| entry.node.bool("external") != Some(true)) {
        let (path, driver) = (node.text("file"), node.text("driver"));
        let data = match (path.as_str(), driver.as_str()) {
            ("", "") => {
                return Err(refused(&node.at, format_args!("{section}.{key}: where does it come from?"))
                    .hint("file: PATH, or external: true if it exists already"));
            }
            ("", _) => String::new(),
            (path, _) => match read(Path::new(path)) {
                Ok(bytes) => STANDARD.encode(bytes),
                Err(error) => {
                    let at = node.get("file").map_or(&node.at, |file| &file.at);
                    let why = match error.kind() {
                        io::ErrorKind::NotFound => "no such file or directory".to_string(),
                        _ => error.to_string(),
                    };
                    return Err(refused(at, format_args!("open {path}: {why}")));
                }
            },
        };
        let template = node.text("template_driver");
        let drive = |name: String, options| (!name.is_empty()).then_some(Driver { name, options });
        files.push(SecretSpec {
            name: scope.outside(key, Some(node)),
            labels: scope.labels(node.get("labels")),
            data,
            driver: drive(driver, node.get("driver_opts").map(pairs).unwrap_or_default()),
            templating: drive(template, BTreeMap::new()),
        });
    }
    Ok(files)
}
