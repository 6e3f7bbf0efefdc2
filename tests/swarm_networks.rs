//! # Networks of a swarm, on nodes
//!
//! An overlay is on a node while something there needs it, whether that is a task or a container of a person's; it outlives the daemon
//! that made it, and nothing is left when it goes.

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::wait_for;

const FOREVER: &[&str] = &["alpine", "sleep", "1000"];

/// What a command inside a container says.
fn inside(nodes: &Nodes, node: &str, container: &str, script: &str) -> String {
    let printed = nodes.on(node, &["exec", container, "sh", "-c", script]);
    printed.out + &printed.err
}

#[track_caller]
fn answers(nodes: &Nodes, node: &str, container: &str, name: &str) {
    // that somebody has come to a network is told to the other nodes by the managers, a moment after it is true on its own
    wait_for(&format!("{name} to answer {container} on {node}"), || {
        inside(nodes, node, container, &format!("ping -c1 -W2 {name}")).contains(" 0% packet loss")
    });
}

fn networks(nodes: &Nodes, node: &str) -> Vec<String> {
    nodes.ok(node, &["network", "ls", "--format", "{{.Name}}"]).lines().map(str::to_string).collect()
}

/// Neither bridge nor tunnel of an overlay on a node, whatever its name.
fn is_clear(nodes: &Nodes, node: &str) -> bool {
    nodes.inside(node, "ip -br link | grep -cE '^(ov|vx)-' || true") == "0"
}

#[test]
fn an_overlay_is_on_a_node_only_while_something_there_needs_it() {
    let nodes = Nodes::up(&["--nodes", "2"]);
    for node in ["node1", "node2"] {
        let listed = networks(&nodes, node);
        assert!(listed.contains(&"docker_gwbridge".to_string()) && listed.contains(&"ingress".to_string()), "{listed:?}");
        assert!(is_clear(&nodes, node), "nothing is dug before anybody needs it");
    }
    nodes.ok("node1", &["network", "create", "-d", "overlay", "overnet"]);
    assert!(networks(&nodes, "node1").contains(&"overnet".to_string()), "managers know it");
    assert!(!networks(&nodes, "node2").contains(&"overnet".to_string()), "workers do not");
    let create = [
        "service",
        "create",
        "--quiet",
        "--name",
        "web",
        "--network",
        "overnet",
        "--replicas",
        "2",
        "--stop-grace-period",
        "0s",
    ];
    nodes.ok("node1", &[&create[..], FOREVER].concat());
    assert!(networks(&nodes, "node2").contains(&"overnet".to_string()));
    for node in ["node1", "node2"] {
        let shown = |format: &str| nodes.ok(node, &["network", "inspect", "overnet", "--format", format]);
        assert_eq!(shown("{{len .Containers}} {{len .Peers}} {{.Scope}} {{.Driver}}"), "1 2 swarm overlay");
        let options = shown("{{json .Options}}");
        assert!(options.contains("\"com.docker.network.driver.overlay.vxlanid_list\":\"4097\""), "{options}");
    }
    let services = nodes.ok("node2", &["network", "inspect", "-v", "overnet", "--format", "{{json .Services}}"]);
    assert!(services.contains("\"VIP\":\"10.0.1.2\"") && services.matches("Host IP").count() == 2, "{services}");
    assert!(nodes.on("node1", &["network", "rm", "docker_gwbridge"]).fails(1).contains("has active endpoints"));
    let used = nodes.on("node1", &["network", "rm", "overnet"]).fails(1);
    assert!(used.contains("is in use by service"), "{used}");
    let refused = nodes.on("node2", &["network", "rm", "overnet"]).fails(1);
    assert!(refused.contains("This node is not a swarm manager"), "{refused}");
    nodes.ok("node1", &["service", "rm", "web"]);
    for node in ["node1", "node2"] {
        wait_for(&format!("overnet leaves {node}"), || is_clear(&nodes, node));
        assert_eq!(nodes.inside(node, "ip -br link | grep -c '^veth' || true"), "0");
    }
    assert!(!networks(&nodes, "node2").contains(&"overnet".to_string()));
    nodes.ok("node1", &["network", "rm", "overnet"]);
    assert!(!networks(&nodes, "node1").contains(&"overnet".to_string()));
}

#[test]
fn who_removes_an_overlay_twice_is_told_that_it_is_gone_while_its_last_containers_end() {
    let nodes = Nodes::up(&["--nodes", "1"]);
    nodes.ok("node1", &["network", "create", "-d", "overlay", "overnet"]);
    // the first program of a container does not hear SIGTERM: it ends with its grace period
    let create = ["service", "create", "--quiet", "--name", "web", "--network", "overnet", "--stop-grace-period", "1h"];
    nodes.ok("node1", &[&create[..], FOREVER].concat());
    nodes.ok("node1", &["service", "rm", "web"]);
    nodes.ok("node1", &["network", "rm", "overnet"]);
    let again = nodes.on("node1", &["network", "rm", "overnet"]).fails(1);
    assert!(again.contains("network overnet not found"), "{again}");
}

#[test]
fn containers_of_people_have_places_on_attachable_overlays() {
    let nodes = Nodes::up(&["--nodes", "2"]);
    nodes.ok("node1", &["network", "create", "-d", "overlay", "--attachable", "over"]);
    nodes.ok("node1", &["network", "create", "-d", "overlay", "shut"]);
    let run = |node: &str, words: &[&str]| nodes.on(node, &[&["run", "-d"], words, FOREVER].concat());
    run("node2", &["--name", "box", "--network", "over"]).ok();
    run("node1", &["--name", "kit", "--network", "over", "--ip", "10.0.1.77"]).ok();
    answers(&nodes, "node2", "box", "kit");
    answers(&nodes, "node1", "kit", "box");
    let addresses = inside(&nodes, "node1", "kit", "ip -o -4 addr; ip route");
    assert!(
        addresses.contains("eth0    inet 10.0.1.77/24") && addresses.contains("default via 172.18.0.1 dev eth1"),
        "{addresses}"
    );
    let why = |node: &str, words: &[&str]| run(node, words).fails(125);
    assert!(why("node2", &["--network", "over", "--ip", "10.0.1.77"]).contains("is already in use"));
    assert!(why("node2", &["--network", "over", "--ip", "10.7.0.1"]).contains("no configured subnet"));
    let refused = why("node2", &["--network", "shut"]);
    assert!(refused.contains("Could not attach to network shut") && refused.contains("not manually attachable"), "{refused}");
    assert!(why("node2", &["--network", "nowhere"]).contains("network nowhere not found"));
    assert_eq!(nodes.ok("node1", &["node", "ps", "-q", "node1", "node2"]), "", "they are nobody's tasks");
    let used = nodes.on("node1", &["network", "rm", "over"]).fails(1);
    assert!(used.contains("is in use by task"), "{used}");

    // one that runs already
    run("node2", &["--name", "plain"]).ok();
    nodes.ok("node2", &["network", "connect", "over", "plain"]);
    answers(&nodes, "node1", "kit", "plain");
    let routes = inside(&nodes, "node2", "plain", "ip route");
    assert!(routes.contains("default via 172.17.0.1"), "it had a way out: {routes}");
    nodes.ok("node2", &["network", "disconnect", "over", "plain"]);
    wait_for("its name is gone", || inside(&nodes, "node1", "kit", "nslookup plain").contains("find plain"));

    // a restart is another place; a stop gives it back
    nodes.ok("node2", &["restart", "-t", "0", "box"]);
    answers(&nodes, "node1", "kit", "box");
    nodes.ok("node2", &["stop", "-t", "0", "box"]);
    wait_for("its name is gone", || inside(&nodes, "node1", "kit", "nslookup box").contains("find box"));
    wait_for("nobody is on it there", || is_clear(&nodes, "node2"));
    nodes.ok("node2", &["start", "box"]);
    answers(&nodes, "node1", "kit", "box");
    nodes.ok("node2", &["rm", "-f", "box"]);
    nodes.ok("node1", &["rm", "-f", "kit"]);
    nodes.eventually("node1", &["network", "rm", "over"]);
    for node in ["node1", "node2"] {
        wait_for("nothing is left", || is_clear(&nodes, node));
    }
}

#[test]
fn overlays_outlive_the_daemon_and_go_with_the_swarm() {
    let nodes = Nodes::up(&["--nodes", "2"]);
    nodes.ok("node1", &["network", "create", "-d", "overlay", "--attachable", "over"]);
    nodes.ok("node2", &[&["run", "-d", "--name", "box", "--network", "over"], FOREVER].concat());
    nodes.ok("node1", &[&["run", "-d", "--name", "kit", "--network", "over"], FOREVER].concat());
    answers(&nodes, "node1", "kit", "box");
    nodes.cluster(&["kill", "--daemon", "node2"]);
    answers(&nodes, "node1", "kit", "box");
    nodes.cluster(&["start", "node2"]);
    nodes.eventually("node2", &["ps"]);
    answers(&nodes, "node1", "kit", "box");
    answers(&nodes, "node2", "box", "kit");
    let shown = nodes.ok("node2", &["network", "inspect", "docker_gwbridge", "--format", "{{json .Containers}}"]);
    assert!(shown.contains("gateway_"), "its way out is known: {shown}");
    // it ends while nobody looks
    let pid = nodes.ok("node2", &["inspect", "--format", "{{.State.Pid}}", "box"]);
    nodes.cluster(&["kill", "--daemon", "node2"]);
    nodes.inside("node2", &format!("kill -9 {pid}"));
    nodes.cluster(&["start", "node2"]);
    wait_for("its name is gone", || inside(&nodes, "node1", "kit", "nslookup box").contains("find box"));
    wait_for("and the network there", || is_clear(&nodes, "node2"));
    nodes.ok("node2", &["start", "box"]);
    answers(&nodes, "node1", "kit", "box");
    nodes.ok("node2", &["rm", "-f", "box"]);
    nodes.ok("node2", &["swarm", "leave"]);
    assert!(is_clear(&nodes, "node2"));
    let listed = networks(&nodes, "node2");
    assert!(!listed.contains(&"ingress".to_string()) && !listed.contains(&"over".to_string()), "{listed:?}");
    nodes.ok("node2", &["network", "rm", "docker_gwbridge"]);
    let refused = nodes.on("node2", &[&["run", "-d", "--network", "over"], FOREVER].concat()).fails(125);
    assert!(refused.contains("network over not found"), "{refused}");
}
