//! # cluster ls, inspect: what the nodes are doing
//!
//! ```text
//!   NODE      ADDRESS         STATUS      SWARM     ROLE      CONTAINERS   CPUS   MEMORY    LABELS
//!   node1 *   192.168.66.11   running     active    manager   2            all    all
//!   node2     192.168.66.12   no daemon                                    1      512MiB    disk=ssd
//! ```
//!
//! * STATUS is asked of the kernel by the host: `dead` is a node that should run and does not. What stands right of it is the node's own word, and empty
//!   when it does not answer. A star marks the node of the current context; cut cables, and clocks that are set off, are told below.
//!
//! *See:* `src/spec/cluster.rs`. *Next room:* [`crate::cluster::power`]

use crate::{
    flag, format,
    inspect::show,
    session::Session,
    template::value::{Row, Value},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Doing, Result, units};
use minidock_client::Route;
use minidock_spec::cluster::{Cluster, Node};
use serde_json::Value as Json;
use std::rc::Rc;

const COLUMNS: format::Columns = &[
    ("Name", "NODE"),
    ("Address", "ADDRESS"),
    ("Status", "STATUS"),
    ("Swarm", "SWARM"),
    ("Role", "ROLE"),
    ("Containers", "CONTAINERS"),
    ("CPUs", "CPUS"),
    ("Memory", "MEMORY"),
    ("Labels", "LABELS"),
    ("Skew", "SKEW"),
    ("Socket", "SOCKET"),
    ("Pid", "PID"),
    ("ID", "ID"),
];

/// `minidock cluster ls`.
pub fn ls_command() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List the nodes of the cluster")
        .arg(flag::text("format", "string", format::HELP))
        .arg(flag::switch("quiet", "Only display names").short('q'))
}

struct Listed(Node);

impl Row for Listed {
    fn type_name(&self) -> &'static str {
        "*formatter.clusterNodeContext"
    }
    fn columns(&self) -> &'static [&'static str] {
        &["Address", "CPUs", "Containers", "ID", "Labels", "Memory", "Name", "Pid", "Role", "Skew", "Socket", "Status", "Swarm"]
    }
    fn column(&self, name: &str) -> Option<Value> {
        let node = &self.0;
        Some(Value::text(match name {
            "Name" => node.name.clone(),
            "Address" => node.address.clone(),
            "Status" => node.status.to_string(),
            "Swarm" => node.swarm.clone(),
            "Role" if node.swarm == "active" => (if node.manager { "manager" } else { "worker" }).to_string(),
            "Role" => String::new(),
            "Containers" if node.containers >= 0 => node.containers.to_string(),
            "Containers" => String::new(),
            "CPUs" if node.cpus > 0.0 => node.cpus.to_string(),
            "Memory" if node.memory > 0 => units::human_bytes(node.memory as f64),
            "CPUs" | "Memory" => "all".to_string(),
            "Labels" => node.labels.join(","),
            "Skew" => super::faults::shown(node.skew),
            "Socket" => node.socket.clone(),
            "Pid" => node.pid.to_string(),
            "ID" => node.node_id.clone(),
            _ => return None,
        }))
    }
}

/// Lists the nodes, and the cables that are cut.
///
/// # Errors
/// There is no cluster; a format that is none.
pub async fn ls(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let cluster: Cluster = session.host().await?.get(&Route::new("/minidock/cluster", [])).await?;
    let current = session.context().to_string();
    let is_table = matches!(flag::text_of(m, "format"), None | Some("" | "table"));
    let wanted = match flag::text_of(m, "format") {
        None | Some("" | "table") if m.get_flag("quiet") => "{{.Name}}",
        None | Some("" | "table") => {
            "table {{.Name}}\t{{.Address}}\t{{.Status}}\t{{.Swarm}}\t{{.Role}}\t{{.Containers}}\t{{.CPUs}}\t{{.Memory}}\t{{.Labels}}"
        }
        Some(format) => format,
    };
    let off = cluster.nodes.iter().filter(|node| node.skew != 0);
    let off: Vec<String> = off.map(|node| format!("{} {}", node.name, super::faults::shown(node.skew))).collect();
    let star = |mut node: Node| {
        if is_table && !m.get_flag("quiet") && node.name == current {
            node.name.push_str(" *");
        }
        Rc::new(Listed(node)) as Rc<dyn Row>
    };
    let rows: Vec<Rc<dyn Row>> = cluster.nodes.into_iter().map(star).collect();
    terminal::print(&format::render(wanted, COLUMNS, &rows)?);
    if is_table && !m.get_flag("quiet") {
        let cuts: Vec<String> = cluster.cuts.iter().map(|cut| format!("{} → {}", cut.from, cut.to)).collect();
        let below = [("cut", cuts), ("clock", off)].into_iter().filter(|(_, told)| !told.is_empty());
        let below: String = below.map(|(what, told)| format!("{what}: {}\n", told.join(", "))).collect();
        if !below.is_empty() {
            terminal::print(&format!("\n{below}"));
        }
    }
    Ok(0)
}

/// `minidock cluster inspect`.
pub fn inspect_command() -> clap::Command {
    flag::command("inspect", "[OPTIONS] [NODE...]", "Display detailed information on the cluster, or on nodes")
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
        .arg(flag::optional_names("NODE"))
}

/// Shows the cluster, or some of its nodes.
///
/// # Errors
/// There is no cluster, no such node.
pub async fn inspect(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.host().await?;
    let names = flag::list_of(m, "NODE");
    let mut found: Vec<Json> = Vec::new();
    for name in &names {
        let node: Node = docker.get(&Route::new("/minidock/cluster/nodes/{}", [name])).await?;
        found.push(serde_json::to_value(node).doing(|| "encode a node")?);
    }
    if names.is_empty() {
        let cluster: Cluster = docker.get(&Route::new("/minidock/cluster", [])).await?;
        found.push(serde_json::to_value(cluster).doing(|| "encode the cluster")?);
    }
    terminal::print(&show(flag::text_of(m, "format").unwrap_or_default(), found)?);
    Ok(0)
}
