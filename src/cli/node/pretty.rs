//! # node inspect: all of a node, or the page for people
//!
//! *See:* docker/cli `cli/command/node/{inspect,formatter}.go`. *Next room:* [`super::update`]

use super::reference;
use crate::{
    each::named,
    inspect::Noun,
    page::{self, capital, moment, pairs, put},
    session::Session,
};
use clap::ArgMatches;
use minidock_base::{Result, units};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::node::Node;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The flags of `node inspect`.
pub fn command() -> clap::Command {
    page::command("[OPTIONS] self|NODE [NODE...]", "Display detailed information on one or more nodes")
}

/// Shows nodes.
///
/// # Errors
/// As [`page::inspect`].
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    page::inspect(m, session, Noun::Node, async |docker, name| Ok(page(&fetch(docker, name).await?))).await
}

/// A node by name, ID or `self`.
///
/// # Errors
/// `node … not found`; no manager.
pub async fn fetch(docker: &Docker, name: &str) -> Result<Node> {
    let name = reference(docker, named("node", name)?).await?;
    docker.get(&Route::new("/nodes/{}", [&name])).await
}

/// The page of one node.
fn page(node: &Node) -> String {
    let mut text = format!("ID:\t\t\t{}\n", node.id);
    if !node.spec.name.is_empty() {
        put(&mut text, "Name:\t\t\t", &node.spec.name);
    }
    if !node.spec.labels.is_empty() {
        text += "Labels:\n";
        pairs(&mut text, " - ", "=", &node.spec.labels);
    }
    put(&mut text, "Hostname:              \t", &node.description.hostname);
    put(&mut text, "Joined at:             \t", &moment(node.created_at));
    text += "Status:\n";
    put(&mut text, " State:\t\t\t", &capital(node.status.state.name()));
    if !node.status.message.is_empty() {
        put(&mut text, " Message:              \t", &capital(&node.status.message));
    }
    put(&mut text, " Availability:         \t", &capital(node.spec.availability.name()));
    if !node.status.addr.is_empty() {
        put(&mut text, " Address:\t\t", &node.status.addr);
    }
    if let Some(manager) = &node.manager_status {
        text += "Manager Status:\n";
        put(&mut text, " Address:\t\t", &manager.addr);
        put(&mut text, " Raft Status:\t\t", &capital(&manager.reachability));
        put(&mut text, " Leader:\t\t", if manager.leader { "Yes" } else { "No" });
    }
    text += "Platform:\n";
    put(&mut text, " Operating System:\t", &node.description.platform.os);
    put(&mut text, " Architecture:\t\t", &node.description.platform.architecture);
    text += "Resources:\n";
    let resources = &node.description.resources;
    put(&mut text, " CPUs:\t\t\t", &(resources.nano_cpus / 1_000_000_000).to_string());
    put(&mut text, " Memory:\t\t", &units::human_bytes(resources.memory_bytes as f64));
    plugins(&mut text, node);
    put(&mut text, "Engine Version:\t\t", &node.description.engine.engine_version);
    if !node.description.engine.labels.is_empty() {
        text += "Engine Labels:\n";
        pairs(&mut text, " - ", "=", &node.description.engine.labels);
    }
    tls(&mut text, &node.description.tls_info);
    text + "\n"
}

fn plugins(text: &mut String, node: &Node) {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for plugin in &node.description.engine.plugins {
        kinds.entry(&plugin.kind).or_default().push(&plugin.name);
    }
    if !kinds.is_empty() {
        *text += "Plugins:\n";
    }
    for (kind, names) in kinds {
        put(text, &format!(" {kind}:\t\t"), &names.join(", "));
    }
}

fn tls(text: &mut String, info: &Json) {
    let field = |key: &str| info[key].as_str().unwrap_or_default();
    if field("TrustRoot").is_empty() {
        return;
    }
    *text += "TLS Info:\n TrustRoot:\n";
    put(text, field("TrustRoot"), "");
    put(text, " Issuer Subject:\t", field("CertIssuerSubject"));
    put(text, " Issuer Public Key:\t", field("CertIssuerPublicKey"));
    text.pop();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `docker node inspect --pretty` of 28.2 says of the same node.
    #[test]
    fn a_node_reads_as_dockers() {
        let node: Node = serde_json::from_value(json!({
            "ID": "opm8fkba1wrode9po6jvxwncc", "CreatedAt": "2026-11-27T16:47:56.099612589Z",
            "Spec": {"Labels": {"rack": "1", "ssd": ""}, "Role": "manager", "Availability": "active"},
            "Description": {"Hostname": "vm", "Platform": {"Architecture": "x86_64", "OS": "linux"}, "Resources": {"NanoCPUs": 2_000_000_000i64, "MemoryBytes": 25_273_737_216i64},
                "Engine": {"EngineVersion": "20.10.24", "Plugins": [{"Type": "Network", "Name": "bridge"}, {"Type": "Network", "Name": "overlay"}, {"Type": "Log", "Name": "json-file"}]},
                "TLSInfo": {"TrustRoot": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "CertIssuerSubject": "MBMx", "CertIssuerPublicKey": "MFkw"}},
            "Status": {"State": "ready", "Addr": "10.99.0.1"}, "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": "10.99.0.1:2377"}
        }))
        .expect("a node");
        assert_eq!(
            page(&node),
            "ID:\t\t\topm8fkba1wrode9po6jvxwncc\nLabels:\n - rack=1\n - ssd\nHostname:              \tvm\nJoined at:             \t2026-11-27 16:47:56.099612589 +0000 utc\nStatus:\n \
             State:\t\t\tReady\n Availability:         \tActive\n Address:\t\t10.99.0.1\nManager Status:\n Address:\t\t10.99.0.1:2377\n Raft Status:\t\tReachable\n Leader:\t\tYes\n\
             Platform:\n Operating System:\tlinux\n Architecture:\t\tx86_64\nResources:\n CPUs:\t\t\t2\n Memory:\t\t23.54GiB\nPlugins:\n Log:\t\tjson-file\n Network:\t\tbridge, overlay\n\
             Engine Version:\t\t20.10.24\nTLS Info:\n TrustRoot:\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n\n Issuer Subject:\tMBMx\n Issuer Public Key:\tMFkw\n"
        );
    }
}
