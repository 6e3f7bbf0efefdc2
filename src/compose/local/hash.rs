//! # Hashes: has anything changed?
//!
//! `up` is typed again and again, and must leave alone what is as the file says. Each container carries a label with the hash of what it
//! was made of; if the file's is another, it is made anew. What does not change a container is not hashed: how many there are, on whom
//! they wait, how the image is built (its id tells that).
//!
//! *In the real world* Docker hashes the JSON of its own structs, which nobody else can reproduce: its `compose` sees our containers as
//! its own, and makes them anew at its first `up`; ours does so with its.
//! *See:* docker/compose `pkg/compose/hash.go`. *Next room:* [`super::plan`](mod@super::plan)

use super::{
    body::{PROJECT, VERSION},
    project::{Outer, Project, Service},
    render::json,
};
use crate::node::{Node, What};
use minidock_spec::digest::Digest;

/// Keys that do not make a container another one.
const NOT_HASHED: [&str; 6] = ["build", "depends_on", "profiles", "pull_policy", "scale", "attach"];

/// The hash of what a service's containers are made of.
pub fn service(service: &Service) -> String {
    let mut node = service.node.clone();
    if let What::Map(map) = &mut node.what {
        map.0.retain(|entry| !NOT_HASHED.contains(&entry.key.as_str()));
        if let Some(Node { what: What::Map(deploy), .. }) = map.get_mut("deploy") {
            deploy.remove("replicas");
            if deploy.0.is_empty() {
                map.remove("deploy");
            }
        }
    }
    of(&node)
}

fn of(node: &Node) -> String {
    Digest::of(json(node).to_string().as_bytes()).hex().to_string()
}

/// The labels of a network or volume.
pub fn ours(project: &Project, kind: &str, outer: &Outer) -> [(String, String); 4] {
    [
        (kind.to_string(), outer.key.clone()),
        (PROJECT.to_string(), project.name.clone()),
        (VERSION.to_string(), env!("CARGO_PKG_VERSION").to_string()),
        (super::body::HASH.to_string(), of(&outer.node)),
    ]
}
