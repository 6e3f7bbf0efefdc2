//! # node ls: who is in the swarm
//!
//! ```text
//!   ID                            HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION
//!   opm8fkba1wrode9po6jvxwncc *   node1      Ready     Active         Leader           20.10.24
//!   dkp8vy1dq1kxleu9g4u78tlag     node2      Ready     Drain                           20.10.24
//! ```
//!
//! The star is the node that answers.
//!
//! *See:* docker/cli `cli/command/node/{list,formatter}.go`. *Next room:* [`super::pretty`]

use crate::{
    filter::Filters,
    flag,
    format::{self, Columns, Own},
    page::capital,
    session::Session,
    template::{Value, value::Row},
    terminal,
    volume::natural,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::swarm::node::Node;
use serde_json::Value as Json;
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("ID", "ID"),
    ("Self", ""),
    ("Hostname", "HOSTNAME"),
    ("Status", "STATUS"),
    ("Availability", "AVAILABILITY"),
    ("ManagerStatus", "MANAGER STATUS"),
    ("EngineVersion", "ENGINE VERSION"),
    ("TLSStatus", "TLS STATUS"),
];

const OWN: Own = Own {
    table: "table {{.ID}} {{if .Self}}*{{else}} {{ end }}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}",
    quiet: "{{.ID}}",
    raw: Some((
        "node_id: {{.ID}}\nhostname: {{.Hostname}}\nstatus: {{.Status}}\navailability: {{.Availability}}\nmanager_status: {{.ManagerStatus}}\n",
        "node_id: {{.ID}}",
    )),
};

/// The flags of `node ls`.
pub fn command() -> clap::Command {
    format::listing("[OPTIONS]", "List nodes in the swarm", "Only display IDs")
}

/// Lists nodes.
///
/// # Errors
/// No manager; a wrong filter or template.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let quiet = m.get_flag("quiet");
    let nodes: Vec<Node> = docker.get(&Route::new("/nodes", []).maybe("filters", Filters::of(m).json())).await?;
    let info: Json = match nodes.is_empty() || quiet {
        true => Json::Null,
        false => docker.get(&Route::new("/info", [])).await?,
    };
    terminal::print(&render(nodes, &info["Swarm"], flag::text_of(m, "format"), quiet)?);
    Ok(0)
}

/// The table; `swarm` is what the daemon says of itself.
fn render(mut nodes: Vec<Node>, swarm: &Json, format: Option<&str>, quiet: bool) -> Result<String> {
    nodes.sort_by_cached_key(|node| natural(&node.description.hostname));
    let row = |node: Node| {
        let tls = tls_status(&node.description.tls_info, &swarm["Cluster"]["TLSInfo"]);
        let is_self = swarm["NodeID"].as_str() == Some(&node.id);
        Rc::new(NodeRow { node, is_self, tls }) as Rc<dyn Row>
    };
    let rows: Vec<Rc<dyn Row>> = nodes.into_iter().map(row).collect();
    format::render(OWN.or(format, quiet), COLUMNS, &rows)
}

/// Whether a node has a certificate of the authority there is now.
fn tls_status(theirs: &Json, cluster: &Json) -> &'static str {
    let empty = |info: &Json| info["TrustRoot"].as_str().unwrap_or_default().is_empty();
    match (empty(theirs) || empty(cluster), theirs == cluster) {
        (true, _) => "Unknown",
        (false, true) => "Ready",
        (false, false) => "Needs Rotation",
    }
}

struct NodeRow {
    node: Node,
    is_self: bool,
    tls: &'static str,
}

impl Row for NodeRow {
    fn type_name(&self) -> &'static str {
        "*node.nodeContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Availability", "EngineVersion", "Hostname", "ID", "ManagerStatus", "Self", "Status", "TLSStatus"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let node = &self.node;
        Some(match name {
            "ID" => Value::text(&*node.id),
            "Self" => Value::Bool(self.is_self),
            "Hostname" => Value::text(&*node.description.hostname),
            "Status" => Value::text(capital(node.status.state.name())),
            "Availability" => Value::text(capital(node.spec.availability.name())),
            "EngineVersion" => Value::text(&*node.description.engine.engine_version),
            "TLSStatus" => Value::text(self.tls),
            "ManagerStatus" => Value::text(match &node.manager_status {
                Some(manager) if manager.leader => "Leader".to_string(),
                Some(manager) => capital(&manager.reachability),
                None => String::new(),
            }),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_are_listed_as_docker_lists_them() {
        let node = |id: &str, name: &str, availability: &str, manager: Json| {
            serde_json::from_value(json!({
                "ID": id, "Spec": {"Availability": availability, "Role": "worker"}, "Status": {"State": "ready"}, "ManagerStatus": manager,
                "Description": {"Hostname": name, "Engine": {"EngineVersion": "20.10.24"}, "TLSInfo": {"TrustRoot": if name == "node1" { "a" } else { "b" }}}
            }))
            .expect("a node")
        };
        let nodes = || {
            vec![
                node("dkp8vy1dq1kxleu9g4u78tlag", "node10", "drain", Json::Null),
                node(
                    "aaaaaaaaaaaaaaaaaaaaaaaaa",
                    "node2",
                    "active",
                    json!({"Reachability": "reachable", "Addr": "10.0.0.2:2377"}),
                ),
                node("opm8fkba1wrode9po6jvxwncc", "node1", "active", json!({"Leader": true, "Reachability": "reachable"})),
            ]
        };
        let swarm = json!({"NodeID": "opm8fkba1wrode9po6jvxwncc", "Cluster": {"TLSInfo": {"TrustRoot": "a"}}});
        assert_eq!(
            render(nodes(), &swarm, None, false).expect("a table"),
            "ID                            HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION\n\
             opm8fkba1wrode9po6jvxwncc *   node1      Ready     Active         Leader           20.10.24\n\
             aaaaaaaaaaaaaaaaaaaaaaaaa     node2      Ready     Active         Reachable        20.10.24\n\
             dkp8vy1dq1kxleu9g4u78tlag     node10     Ready     Drain                           20.10.24\n"
        );
        let json = render(nodes(), &swarm, Some("json"), false).expect("lines");
        assert_eq!(
            json.lines().next(),
            Some(
                "{\"Availability\":\"Active\",\"EngineVersion\":\"20.10.24\",\"Hostname\":\"node1\",\"ID\":\"opm8fkba1wrode9po6jvxwncc\",\"ManagerStatus\":\"Leader\",\"Self\":true,\"Status\":\"Ready\",\"TLSStatus\":\"Ready\"}"
            )
        );
        assert_eq!(render(nodes(), &Json::Null, None, true).expect("ids").lines().count(), 3);
        assert_eq!(
            render(nodes(), &swarm, Some("{{.TLSStatus}}"), false).expect("a word").lines().last(),
            Some("Needs Rotation")
        );
    }
}
