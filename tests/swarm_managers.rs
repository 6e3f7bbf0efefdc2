//! # Managers come and go: what each can still do
//!
//! Three managers, each a daemon of its own on a machine of its own (simulated nodes), joined by a bridge. What is asked here is what a
//! person would ask of them: what goes on when most of them are dead, what is the way out, and who may speak after roles and tokens have
//! changed? That what was acknowledged stays, whoever dies, is asked in `tests/faults.rs`.

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::wait_for;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

fn services(nodes: &Nodes, at: &str) -> BTreeSet<String> {
    nodes.ok(at, &["service", "ls", "--format", "{{.Name}}"]).lines().map(str::to_string).collect()
}

fn create<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["service", "create", "--detach", "--name", name], more, &["alpine", "sleep", "1000"]].concat()
}

#[test]
fn without_a_majority_reading_goes_on_writing_says_what_is_missing_and_there_is_a_way_out() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    nodes.ok("node3", &["swarm", "update", "--dispatcher-heartbeat", "1s"]);
    nodes.ok("node3", &create("web", &["--replicas", "3"]));
    wait_for("three tasks", || nodes.ok("node3", &["service", "ls", "--format", "{{.Replicas}}"]) == "3/3");
    nodes.cluster(&["kill", "node1"]);
    nodes.cluster(&["kill", "node2"]);
    // at first a wish waits for an election that does not come about, and then it is refused at once
    let mut refused = None;
    wait_for("a refusal at once", || {
        let asked = Instant::now();
        let answer = nodes.on("node3", &create("late", &[]));
        assert_ne!(answer.status, 0);
        refused = Some(answer);
        asked.elapsed() < Duration::from_secs(3)
    });
    let refused = refused.expect("asked");
    assert!(refused.err.contains("The swarm does not have a leader"), "{}", refused.err);
    assert!(refused.err.contains("2 of 3 managers are needed"), "{}", refused.err);
    assert!(refused.err.contains("--force-new-cluster"), "{}", refused.err);
    assert!(services(&nodes, "node3").contains("web"), "reading goes on");
    nodes.ok("node3", &["swarm", "init", "--force-new-cluster"]);
    nodes.ok("node3", &create("again", &[]));
    // the others are given up after three heartbeats, and the six seconds that a new leader gives
    wait_for("everything on the one that is left", || {
        let listed = nodes.ok("node3", &["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]);
        listed.contains("web 3/3") && listed.contains("again 1/1")
    });
}

#[test]
fn managers_come_and_go_by_their_roles_and_tokens_are_rotated() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "1"]);
    let refused = nodes.on("node1", &["node", "demote", "node1"]);
    assert!(refused.status != 0 && refused.err.contains("last manager"), "{}", refused.err);
    nodes.ok("node1", &["node", "promote", "node2", "node3"]);
    for at in ["node2", "node3"] {
        wait_for("a promoted node to answer", || nodes.on(at, &["node", "ls"]).status == 0);
    }
    wait_for("three voices", || {
        let listed = nodes.ok("node2", &["node", "ls", "--format", "{{.ManagerStatus}}"]);
        listed.lines().filter(|line| matches!(*line, "Leader" | "Reachable")).count() == 3
    });
    nodes.ok("node2", &["node", "demote", "node1"]);
    wait_for("the old leader to be a worker", || nodes.on("node1", &["node", "ls"]).err.contains("Worker nodes can't be used"));
    nodes.ok("node2", &create("web", &["--replicas", "3"]));
    wait_for("three tasks", || nodes.ok("node3", &["service", "ls", "--format", "{{.Replicas}}"]) == "3/3");
    let old = nodes.ok("node2", &["swarm", "join-token", "-q", "worker"]);
    let new = nodes.ok("node2", &["swarm", "join-token", "--rotate", "-q", "worker"]);
    assert_ne!(old, new);
    nodes.ok("node1", &["swarm", "leave"]);
    let address = nodes.inside("node2", "hostname -i");
    let refused = nodes.on("node1", &["swarm", "join", "--token", &old, &address]);
    assert!(refused.status != 0 && refused.err.contains("A valid join token is necessary"), "{}", refused.err);
    nodes.ok("node1", &["swarm", "join", "--token", &new, &address]);
    wait_for("the one that left to be down, and its new self ready", || {
        let listed = nodes.ok("node2", &["node", "ls", "--filter", "name=node1", "--format", "{{.Status}}"]);
        listed.contains("Down") && listed.contains("Ready")
    });
}
