//! # Contexts of nodes: `--context node2`
//!
//! A node is a daemon like any other, so a context is how one talks to it for longer than one command. `cluster up` makes one for each node and selects the
//! first; `cluster down` takes them away.
//!
//! ```text
//!   contexts/node2.json   { host: unix://<exec root>/cluster/node2/minidock.sock, hosted_by: unix:///run/minidock.sock }
//! ```
//!
//! * `hosted_by` is how the commands of this chapter find the hosting daemon while a node's context is selected.
//!
//! Laws: a context of that name that somebody else made is left alone, and said so; the choice is put back to the default only if it was a node of ours.
//! *Next room:* [`crate::cluster::ls`]

use crate::{
    context::store::{self, Stored},
    terminal,
};
use minidock_base::{Doing, Result};
use minidock_spec::cluster::Cluster;
use std::{fs, path::Path};

/// Makes the contexts of these nodes; the first is chosen if `choose`.
///
/// # Errors
/// The folder cannot be written.
pub fn make(config: &Path, hosted_by: &str, cluster: &Cluster, choose: bool) -> Result<()> {
    for node in &cluster.nodes {
        match store::find(config, &node.name) {
            Ok(other) if other.hosted_by != hosted_by => {
                let others =
                    if other.hosted_by.is_empty() { "stands for something else" } else { "is a node of another cluster" };
                terminal::eprint(&format!(
                    "Warning: the context {:?} {others} and is left alone; minidock --node {} reaches the node\n",
                    node.name, node.name
                ));
                continue;
            }
            _ => {}
        }
        let description = format!("Simulated node, {} (cluster {})", node.address, cluster.id);
        let stored = Stored { description, host: format!("unix://{}", node.socket), hosted_by: hosted_by.to_string() };
        store::save(config, &node.name, &stored)?;
        if choose && node.name == "node1" {
            fs::write(store::choice(config), format!("{}\n", node.name)).doing(|| format!("choose context {}", node.name))?;
            terminal::eprint("Current context is now \"node1\": commands go to node1, and --node NAME to another\n");
            if std::env::var("MINIDOCK_HOST").is_ok_and(|value| !value.is_empty()) {
                terminal::eprint("Warning: MINIDOCK_HOST is set and overrides the context\n");
            }
        }
    }
    Ok(())
}

/// Takes away the contexts of nodes of this host; with a name, only that one.
///
/// # Errors
/// The folder cannot be read or written.
pub fn take_away(config: &Path, hosted_by: &str, only: Option<&str>) -> Result<()> {
    let chosen = store::current(config)?;
    for name in store::names(config)?.iter().filter(|name| only.is_none_or(|only| only == *name)) {
        if name == store::DEFAULT || !store::find(config, name).is_ok_and(|stored| stored.hosted_by == hosted_by) {
            continue;
        }
        fs::remove_file(store::file(config, name)).doing(|| format!("remove context {name}"))?;
        if chosen.as_deref() == Some(name) {
            fs::remove_file(store::choice(config)).doing(|| "forget the choice")?;
            terminal::eprint("Current context is now \"default\"\n");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::cluster::Node;

    fn cluster(names: &[&str]) -> Cluster {
        let node = |name: &&str| Node { name: name.to_string(), socket: format!("/x/{name}"), ..Node::default() };
        Cluster { nodes: names.iter().map(node).collect(), ..Cluster::default() }
    }

    #[test]
    fn nodes_are_contexts_for_as_long_as_the_cluster_is_up() {
        let place = tempfile::tempdir().expect("a folder");
        make(place.path(), "unix:///host", &cluster(&["node1", "node2"]), true).expect("room");
        assert_eq!(store::current(place.path()).expect("readable").as_deref(), Some("node1"));
        assert_eq!(store::find(place.path(), "node2").expect("made").host, "unix:///x/node2");
        take_away(place.path(), "unix:///host", Some("node2")).expect("there");
        assert_eq!(store::names(place.path()).expect("readable"), ["default", "node1"]);
        take_away(place.path(), "unix:///host", None).expect("there");
        assert_eq!(
            (store::names(place.path()).expect("readable").len(), store::current(place.path()).expect("none")),
            (1, None)
        );
    }

    #[test]
    fn a_context_of_somebody_else_is_left_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let own = Stored { description: String::new(), host: "tcp://10.0.0.1:2375".into(), hosted_by: String::new() };
        store::save(place.path(), "node1", &own).expect("room");
        make(place.path(), "unix:///host", &cluster(&["node1"]), true).expect("room");
        assert_eq!(store::find(place.path(), "node1").expect("there"), own);
        take_away(place.path(), "unix:///host", None).expect("nothing to do");
        assert!(store::find(place.path(), "node1").is_ok());
    }
}
