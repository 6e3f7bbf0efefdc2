//! # node update, promote, demote, rm: what a node shall be
//!
//! A node's spec is fetched, changed and sent back with the version it had. To promote is to wish for another role; the node gets a new
//! certificate and joins the managers by itself.
//!
//! *See:* docker/cli `cli/command/node/{update,promote,demote,remove}.go`. *Next room:* [`crate::swarm`]

use super::pretty::fetch;
use crate::{
    each::{in_turn, named},
    flag,
    session::Session,
    terminal,
    volume::pairs,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::node::{Availability, Node, NodeSpec, Role};

/// The flags of `node update`.
pub fn command() -> clap::Command {
    flag::command("update", "[OPTIONS] NODE", "Update a node")
        .arg(flag::text("availability", "string", "Availability of the node (\"active\", \"pause\", \"drain\")"))
        .arg(flag::list("label-add", "list", "Add or update a node label (\"key=value\")"))
        .arg(flag::list("label-rm", "list", "Remove a node label if exists"))
        .arg(flag::text("role", "string", "Role of the node (\"worker\", \"manager\")"))
        .arg(flag::name("NODE"))
}

/// The arguments of `node promote`.
pub fn promote() -> clap::Command {
    flag::command("promote", "NODE [NODE...]", "Promote one or more nodes to manager in the swarm").arg(flag::names("NODE"))
}

/// The arguments of `node demote`.
pub fn demote() -> clap::Command {
    flag::command("demote", "NODE [NODE...]", "Demote one or more nodes from manager in the swarm").arg(flag::names("NODE"))
}

/// The arguments of `node rm`.
pub fn rm() -> clap::Command {
    flag::command("rm", "[OPTIONS] NODE [NODE...]", "Remove one or more nodes from the swarm")
        .arg(flag::switch("force", "Force remove a node from the swarm").short('f'))
        .arg(flag::names("NODE"))
}

/// Changes a node.
///
/// # Errors
/// A role or availability there is not; a label that is not there; the managers' refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "NODE").unwrap_or_default();
    let docker = session.docker().await?;
    let mut node = fetch(&docker, name).await?;
    change(m, &mut node.spec)?;
    send(&docker, &node).await?;
    terminal::print(&format!("{name}\n"));
    Ok(0)
}

fn change(m: &ArgMatches, spec: &mut NodeSpec) -> Result<()> {
    if let Some(word) = flag::text_of(m, "role") {
        spec.role = match word {
            "worker" => Role::Worker,
            "manager" => Role::Manager,
            other => return Err(Error::invalid(format!("invalid Role: {other:?}")).hint("worker or manager")),
        };
    }
    if let Some(word) = flag::text_of(m, "availability") {
        spec.availability = match word {
            "active" => Availability::Active,
            "pause" => Availability::Pause,
            "drain" => Availability::Drain,
            other => return Err(Error::invalid(format!("invalid Availability: {other:?}")).hint("active, pause or drain")),
        };
    }
    spec.labels.extend(pairs(&flag::list_of(m, "label-add")));
    for key in flag::list_of(m, "label-rm") {
        if spec.labels.remove(&key).is_none() {
            return Err(Error::not_found(format!("key {key} doesn't exist in node's labels")));
        }
    }
    Ok(())
}

async fn send(docker: &Docker, node: &Node) -> Result<()> {
    let route = Route::new("/nodes/{}/update", [&node.id]).pair("version", node.version.index);
    docker.post::<()>(&route, &node.spec).await
}

/// Makes managers of nodes.
///
/// # Errors
/// The first node that cannot be.
pub async fn run_promote(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    be(m, session, Role::Manager).await
}

/// Makes workers of managers.
///
/// # Errors
/// The first node that cannot be.
pub async fn run_demote(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    be(m, session, Role::Worker).await
}

async fn be(m: &ArgMatches, session: &mut Session, role: Role) -> Result<i32> {
    let docker = session.docker().await?;
    for name in flag::list_of(m, "NODE") {
        let mut node = fetch(&docker, &name).await?;
        if node.spec.role == role {
            terminal::print(&format!("Node {} is already a {}.\n", node.id, role.name()));
            continue;
        }
        node.spec.role = role;
        send(&docker, &node).await?;
        terminal::print(&match role {
            Role::Manager => format!("Node {name} promoted to a manager in the swarm.\n"),
            Role::Worker => format!("Manager {name} demoted in the swarm.\n"),
        });
    }
    Ok(0)
}

/// Removes nodes, each for itself.
///
/// # Errors
/// A daemon that cannot be asked; its refusals are printed, and the status is 1.
pub async fn run_rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let force = m.get_flag("force");
    let remove = async |name: String| -> Result<String> {
        let route = Route::new("/nodes/{}", [named("node", &name)?]).flag("force", force);
        docker.delete::<()>(&route).await.map(|()| name + "\n")
    };
    in_turn(flag::list_of(m, "NODE"), remove).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Read};

    fn changed(line: &str) -> Result<NodeSpec> {
        let words: Vec<String> = line.split_whitespace().chain(["n1"]).map(str::to_string).collect();
        let Ok(Read::Matches(m)) = words::read(command(), "node update", &words) else { panic!("{line}") };
        let mut spec = NodeSpec { labels: pairs(&["a=1".into()]), ..NodeSpec::default() };
        change(&m, &mut spec).map(|()| spec)
    }

    #[test]
    fn a_nodes_spec_is_changed_piece_by_piece() {
        let spec = changed("--availability drain --role manager --label-add b=2 --label-add c --label-rm a").expect("a change");
        assert_eq!((spec.availability, spec.role), (Availability::Drain, Role::Manager));
        assert_eq!(spec.labels, pairs(&["b=2".into(), "c".into()]));
        assert_eq!(changed("--label-rm z").unwrap_err().message(), "key z doesn't exist in node's labels");
        assert_eq!(changed("--availability foo").unwrap_err().message(), "invalid Availability: \"foo\"");
        assert_eq!(changed("--role foo").unwrap_err().message(), "invalid Role: \"foo\"");
    }
}
