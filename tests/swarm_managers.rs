//! # Managers die, and what was acknowledged stays
//!
//! Three managers, each a daemon of its own on a machine of its own (simulated nodes), joined by a bridge. What is asked here is what a
//! person would ask of them: is everything that I was told to be done still done, whoever died in the middle of it?

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::wait_for;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const ALL: [&str; 3] = ["node1", "node2", "node3"];

fn leader(nodes: &Nodes, at: &str) -> Option<String> {
    let listed = nodes.on(at, &["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]).ok();
    listed.lines().find_map(|line| line.strip_suffix(" Leader").map(str::to_string))
}

fn services(nodes: &Nodes, at: &str) -> BTreeSet<String> {
    nodes.ok(at, &["service", "ls", "--format", "{{.Name}}"]).lines().map(str::to_string).collect()
}

fn create<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["service", "create", "--detach", "--name", name], more, &["alpine", "sleep", "1000"]].concat()
}

fn others(of: &str) -> [&'static str; 2] {
    let left: Vec<&str> = ALL.into_iter().filter(|node| *node != of).collect();
    left.try_into().expect("three nodes")
}

#[test]
fn the_leader_is_killed_while_services_are_created_and_nothing_acknowledged_is_lost() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    let first = leader(&nodes, "node1").expect("somebody leads");
    let survivors = others(&first);
    let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (mut kept, mut back) = (BTreeSet::new(), None);
    std::thread::scope(|scope| {
        let writers: Vec<_> = survivors
            .iter()
            .map(|at| {
                let (nodes, acknowledged, stop) = (&nodes, &acknowledged, &stop);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("{at}-{number}");
                        if nodes.on(at, &create(&name, &["--replicas", "0"])).status == 0 {
                            mine.push(name);
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    mine
                })
            })
            .collect();
        wait_for("ten services", || acknowledged.load(Ordering::Relaxed) >= 10);
        nodes.cluster(&["kill", &first]);
        let (killed, before) = (Instant::now(), acknowledged.load(Ordering::Relaxed));
        wait_for("services after the election", || acknowledged.load(Ordering::Relaxed) >= before + 3);
        back = Some(killed.elapsed());
        wait_for("some more", || acknowledged.load(Ordering::Relaxed) >= before + 10);
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            kept.extend(writer.join().expect("a writer"));
        }
    });
    println!("{} services acknowledged; writing again {:?} after the kill", kept.len(), back.unwrap_or_default());
    for at in survivors {
        let there = services(&nodes, at);
        let lost: Vec<&String> = kept.difference(&there).collect();
        assert!(lost.is_empty(), "{at} does not know {lost:?}");
    }
    nodes.cluster(&["start", &first]);
    wait_for("the one that was killed to know everything", || {
        let listed = nodes.on(&first, &["service", "ls", "--format", "{{.Name}}"]);
        listed.status == 0 && kept.iter().all(|name| listed.out.lines().any(|line| line == name))
    });
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
