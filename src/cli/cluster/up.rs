//! # cluster up, add, rm, down: machines come and go
//!
//! ```text
//!   cluster up --nodes 3 --managers 1 --cpus 1 --memory 512m --label node2:disk=ssd --uplink
//!      └ POST /minidock/cluster ──► the nodes stand, and are a swarm ──► contexts node1 … ──► the names, and what to type next
//! ```
//!
//! * One node is a manager unless `--managers` says otherwise, as in the labs. Two are worse than one: either may not fail.
//!
//! *See:* `src/cluster/lib.rs`. *Next room:* [`crate::cluster::contexts`]

use super::contexts;
use crate::{each::in_turn, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result, units};
use minidock_client::{Route, Wish};
use minidock_spec::cluster::{AddRequest, Cluster, UpRequest};

fn sized(command: clap::Command) -> clap::Command {
    command
        .arg(flag::text("cpus", "decimal", "Cores that each node has (default: all of this machine's)"))
        .arg(flag::list("label", "list", "Label of each node (key=value), or of one (node2:key=value)"))
        .arg(flag::list(
            "node-generic-resource",
            "list",
            "What each node offers to services (gpu=2), or one of them (node2:gpu=2)",
        ))
        .arg(flag::text("memory", "bytes", "Memory that each node has (default: all of this machine's)").short('m'))
}

/// `minidock cluster up`.
pub fn command() -> clap::Command {
    let command = flag::command("up", "[OPTIONS]", "Make simulated nodes on this machine, and a swarm of them")
        .arg(flag::number("managers", "int", "How many of the nodes are managers (default 1)"))
        .arg(flag::number("nodes", "int", "How many nodes (default 3)").short('n'))
        .arg(flag::switch("no-swarm", "Only make machines: swarm init and swarm join are yours to type"))
        .arg(flag::text("subnet", "string", "Block of the underlay in CIDR form (default: a free 192.168.x.0/24)"))
        .arg(flag::switch("uplink", "Give the nodes a way to the outside"))
        .arg(flag::switch("quiet", "Only print names").short('q'));
    sized(command)
}

/// Makes the cluster.
///
/// # Errors
/// There is one; a wish that makes no sense; nodes that do not come up.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let body = UpRequest {
        uplink: m.get_flag("uplink"),
        subnet: flag::text_of(m, "subnet").unwrap_or_default().to_string(),
        no_swarm: m.get_flag("no-swarm"),
        nodes: AddRequest { nodes: count(m, "nodes", 3)?, managers: count(m, "managers", 1)?, ..sizes(m)? },
    };
    let docker = session.host().await?;
    let made: Cluster = docker.post(&Route::new("/minidock/cluster", []), &body).await?;
    contexts::make(session.config_folder(), &docker.address().to_string(), &made, true)?;
    warn(&made);
    if !m.get_flag("quiet") {
        terminal::eprint(&format!("{} nodes on {} stand; minidock cluster ls shows them\n", made.nodes.len(), made.subnet));
    }
    names(&made, &[]);
    Ok(0)
}

fn warn(cluster: &Cluster) {
    cluster.warnings.iter().for_each(|warning| terminal::eprint(&format!("Warning: {warning}\n")));
}

fn names(cluster: &Cluster, but: &[String]) {
    for node in cluster.nodes.iter().filter(|node| !but.contains(&node.name)) {
        terminal::print(&format!("{}\n", node.name));
    }
}

fn count(m: &ArgMatches, name: &str, otherwise: u32) -> Result<u32> {
    let refuse = |number| Error::invalid(format!("--{name} {number}: not a number of nodes"));
    flag::number_of(m, name).map_or(Ok(otherwise), |number| u32::try_from(number).map_err(|_| refuse(number)))
}

fn sizes(m: &ArgMatches) -> Result<AddRequest> {
    let cpus = flag::text_of(m, "cpus").map(units::parse_cpus).transpose()?.unwrap_or(0);
    Ok(AddRequest {
        cpus: cpus as f64 / 1e9,
        memory: flag::text_of(m, "memory").map(units::parse_bytes).transpose()?.unwrap_or(0),
        labels: flag::list_of(m, "label"),
        generic_resources: flag::list_of(m, "node-generic-resource"),
        ..AddRequest::default()
    })
}

/// `minidock cluster add`.
pub fn add_command() -> clap::Command {
    let command = flag::command("add", "[OPTIONS]", "Add simulated nodes to the cluster")
        .arg(flag::switch("manager", "They are managers"))
        .arg(flag::number("nodes", "int", "How many nodes (default 1)").short('n'));
    sized(command)
}

/// Adds nodes.
///
/// # Errors
/// There is no cluster; no room; nodes that do not come up.
pub async fn add(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let nodes = count(m, "nodes", 1)?;
    let body = AddRequest { nodes, managers: if m.get_flag("manager") { nodes } else { 0 }, ..sizes(m)? };
    let docker = session.host().await?;
    let before: Cluster = docker.get(&Route::new("/minidock/cluster", [])).await?;
    let before: Vec<String> = before.nodes.into_iter().map(|node| node.name).collect();
    let now: Cluster = docker.post(&Route::new("/minidock/cluster/nodes", []), &body).await?;
    contexts::make(session.config_folder(), &docker.address().to_string(), &now, false)?;
    warn(&now);
    names(&now, &before);
    Ok(0)
}

/// `minidock cluster rm`.
pub fn rm_command() -> clap::Command {
    flag::command("rm", "[OPTIONS] NODE [NODE...]", "Take nodes out of the swarm and away, with their data")
        .arg(flag::switch("force", "Also when the swarm will not let one go").short('f'))
        .arg(flag::names("NODE"))
}

/// Takes nodes away.
///
/// # Errors
/// The hosting daemon does not answer. What it refuses is told node by node.
pub async fn rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (docker, force, config) = (session.host().await?, m.get_flag("force"), session.config_folder().to_path_buf());
    let remove = async |name: String| -> Result<String> {
        let route = Route::new("/minidock/cluster/nodes/{}", [&name]).flag("force", force);
        docker.send(Wish::delete(&route)).await?.bytes().await?;
        contexts::take_away(&config, &docker.address().to_string(), Some(&name))?;
        Ok(name + "\n")
    };
    in_turn(flag::list_of(m, "NODE"), remove).await
}

/// `minidock cluster down`.
pub fn down_command() -> clap::Command {
    flag::command("down", "", "Take all nodes away, with their data, and the cable between them")
}

/// Takes the cluster away; none is no failure.
///
/// # Errors
/// Something would not go.
pub async fn down(_m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.host().await?;
    docker.send(Wish::delete(&Route::new("/minidock/cluster", []))).await?.bytes().await?;
    contexts::take_away(session.config_folder(), &docker.address().to_string(), None)?;
    Ok(0)
}
