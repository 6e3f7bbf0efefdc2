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

#[test]
fn who_is_demoted_and_promoted_in_one_breath_is_a_manager_in_the_end_and_who_was_demoted_may_leave_at_once() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    let voices = |wanted: &[&str]| {
        wait_for("their voices", || {
            let listed = nodes.on("node1", &["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]).out;
            let mut heard: Vec<&str> = listed
                .lines()
                .filter_map(|line| line.split_once(' ').filter(|(_, status)| matches!(*status, "Leader" | "Reachable")))
                .map(|(name, _)| name)
                .collect();
            heard.sort_unstable();
            heard == wanted
        });
    };
    voices(&["node1", "node2", "node3"]);
    for _ in 0..3 {
        nodes.inside("node1", "minidock node demote node3 && minidock node promote node3");
        nodes.ok("node1", &["node", "update", "--label-add", "a=b", "node3"]);
    }
    voices(&["node1", "node2", "node3"]);
    wait_for("it to know a leader", || nodes.on("node3", &create("web", &[])).status == 0);
    // demoted and promoted while it is dead: when it is back it has its voice
    nodes.cluster(&["kill", "node3"]);
    wait_for("it to be demoted", || nodes.on("node1", &["node", "demote", "node3"]).status == 0);
    wait_for("its voice to be gone", || {
        !nodes.on("node1", &["node", "inspect", "-f", "{{json .}}", "node3"]).out.contains("ManagerStatus\":{")
    });
    nodes.ok("node1", &["node", "promote", "node3"]);
    nodes.cluster(&["start", "node3"]);
    voices(&["node1", "node2", "node3"]);
    nodes.ok("node1", &["node", "demote", "node2"]);
    nodes.ok("node2", &["swarm", "leave"]);
    voices(&["node1", "node3"]);
}

#[test]
fn the_root_of_all_certificates_may_be_a_persons_own() {
    let nodes = Nodes::up(&["--nodes", "2", "--managers", "1"]);
    let certificate = "/var/lib/minidock/swarm/certificates/swarm-node.crt";
    let issuer = |node: &str| nodes.inside(node, &format!("openssl x509 -in {certificate} -noout -issuer"));
    let text = nodes.inside("node2", &format!("openssl x509 -in {certificate} -text"));
    let id = nodes.ok("node2", &["info", "--format", "{{.Swarm.NodeID}}"]);
    for words in ["Issuer: CN", "swarm-ca", "OU", "swarm-worker", id.as_str()] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /run/minidock/own.key -out /run/minidock/own.crt \
                -subj /O=school/CN=our-own-root -days 3650 -addext basicConstraints=critical,CA:TRUE 2>&1";
    nodes.inside("node1", make);
    let refused = nodes.sh("node1", "minidock swarm ca --rotate --ca-cert /run/minidock/own.crt --ca-key /etc/hostname");
    assert!(refused.status != 0, "a key that is none: {}", refused.out);
    let old = nodes.ok("node1", &["swarm", "join-token", "-q", "worker"]);
    let shown =
        nodes.inside("node1", "minidock swarm ca --rotate --ca-cert /run/minidock/own.crt --ca-key /run/minidock/own.key");
    let own = nodes.inside("node1", "cat /run/minidock/own.crt");
    assert!(shown.contains(&own), "{shown}");
    for node in ["node1", "node2"] {
        wait_for("a certificate of the new root", || issuer(node).contains("our-own-root"));
    }
    assert_eq!(nodes.ok("node1", &["swarm", "ca"]), own);
    let new = nodes.ok("node1", &["swarm", "join-token", "-q", "worker"]);
    assert_ne!(new[..60], old[..60], "tokens name the root");
    nodes.cluster(&["add"]);
    wait_for("a third node", || {
        nodes.ok("node1", &["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]).contains("node3 Ready")
    });
    assert!(issuer("node3").contains("our-own-root"));
    nodes.ok("node1", &create("web", &["--replicas", "3"]));
    wait_for("three tasks", || nodes.ok("node1", &["service", "ls", "--format", "{{.Replicas}}"]) == "3/3");
}

fn leader(nodes: &Nodes) -> Option<String> {
    let listed = |at: &str| nodes.on(at, &["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]);
    let found = ["node1", "node2", "node3"].into_iter().map(listed).find(|listed| listed.status == 0)?;
    found.out.lines().find_map(|line| line.strip_suffix(" Leader")).map(str::to_string)
}

#[test]
fn leaders_that_are_demoted_and_promoted_in_turn_lose_nothing() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    let mut made = BTreeSet::new();
    for round in 0..4 {
        wait_for("a leader", || leader(&nodes).is_some());
        let down = leader(&nodes).expect("somebody leads");
        let other = ["node1", "node2", "node3"].into_iter().find(|name| *name != down).expect("three nodes");
        for (change, then) in [("demote", "worker"), ("promote", "manager")] {
            let name = format!("c{round}-{change}");
            // who has just been demoted may still lead for a moment, and who asks is told so
            nodes.eventually(other, &["node", change, &down]);
            nodes.eventually(other, &["config", "create", &name, "/etc/hostname"]);
            made.insert(name);
            wait_for(&format!("{down} to be a {then}"), || {
                let answers = nodes.on(&down, &["node", "ls", "--format", "{{.ManagerStatus}}"]);
                let voices = answers.out.lines().filter(|line| matches!(*line, "Leader" | "Reachable")).count();
                if then == "manager" { voices == 3 } else { answers.err.contains("Worker nodes can't be used") }
            });
        }
    }
    for at in ["node1", "node2", "node3"] {
        let known: BTreeSet<String> =
            nodes.ok(at, &["config", "ls", "--format", "{{.Name}}"]).lines().map(str::to_string).collect();
        assert!(known.is_superset(&made), "{at} knows {known:?} of {made:?}");
    }
}

#[test]
fn a_manager_that_comes_back_locked_takes_part_again_when_it_is_given_the_key() {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    nodes.ok("node1", &["swarm", "update", "--autolock"]);
    let key = nodes.ok("node1", &["swarm", "unlock-key", "-q"]);
    let sealed = "grep -q SEALED /var/lib/minidock/swarm/certificates/swarm-node.key";
    for node in ["node1", "node2", "node3"] {
        wait_for("its keys to be sealed", || nodes.sh(node, sealed).status == 0);
    }
    let leads = leader(&nodes).expect("somebody leads");
    let other = ["node1", "node2", "node3"].into_iter().find(|name| *name != leads).expect("three nodes");
    nodes.cluster(&["kill", &leads]);
    nodes.eventually(other, &["config", "create", "meanwhile", "/etc/hostname"]);
    nodes.cluster(&["start", &leads]);
    wait_for("it to say that it is locked", || nodes.on(&leads, &["node", "ls"]).err.contains("needs to be unlocked"));
    let wrong = format!("echo {} | minidock swarm unlock", key.replace(&key[12..20], "aaaaaaaa"));
    assert_ne!(nodes.sh(&leads, &wrong).status, 0, "another key");
    nodes.inside(&leads, &format!("echo {key} | minidock swarm unlock"));
    nodes.eventually(&leads, &["config", "inspect", "meanwhile"]);
    nodes.ok(other, &["swarm", "update", "--autolock=false"]);
    for node in ["node1", "node2", "node3"] {
        wait_for("its keys to be open again", || nodes.sh(node, sealed).status != 0);
    }
}
