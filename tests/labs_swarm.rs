//! # The labs, row by row: block D from the swarm on, and block E
//!
//! Typed as a student types them, in the shells of two simulated nodes. The ubuntu of the labs is the alpine stand-in here: what it needs to
//! have is `sleep`, `ping` and a shell. Rows E05 to E12 are the voting stack's, in tests/stack.rs.

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::wait_for;

/// Two machines that are in no swarm yet.
fn machines() -> Nodes {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    nodes.host.ok(&["tag", "alpine", "ubuntu"]);
    nodes
}

/// D18 and D19, or E01 and E02: node1 founds a swarm, node2 joins with the line that was printed.
fn join(nodes: &Nodes) {
    let said = nodes.inside("node1", "minidock swarm init --advertise-addr $(hostname -i)");
    let line = said.lines().map(str::trim).find(|line| line.starts_with("minidock swarm join --token SWMTKN-1-"));
    let line = line.unwrap_or_else(|| panic!("D18: the line to type is printed: {said}"));
    assert!(line.ends_with(&format!(" {}:2377", nodes.address("node1"))), "D18: {line}");
    assert!(said.starts_with("Swarm initialized: current node (") && said.contains("is now a manager."), "D18: {said}");
    assert!(said.contains("run 'minidock swarm join-token manager' and follow the instructions."), "D18: {said}");
    // pasted as older clients printed it, over several lines
    let manager = format!("{}:2377", nodes.address("node1"));
    let pasted = line.replace(" --token", " \\\n    --token").replace(&format!(" {manager}"), &format!(" \\\n    {manager}"));
    assert_eq!(nodes.inside("node2", &pasted), "This node joined a swarm as a worker.", "D19");
}

#[test]
fn d18_to_d23_a_swarm_of_two_and_a_network_that_is_extended_lazily() {
    let nodes = machines();
    join(&nodes);
    let listed = nodes.inside("node1", "minidock node ls");
    let rows: Vec<&str> = listed.lines().collect();
    assert!(rows.len() == 3 && rows[0].starts_with("ID "), "D20: {listed}");
    assert!(rows[1].contains(" *   node1      Ready     Active         Leader"), "D20: * marks oneself: {listed}");
    assert!(rows[2].contains("     node2      Ready     Active   ") && !rows[2].contains('*'), "D20: {listed}");
    let id = nodes.inside("node1", "minidock network create -d overlay overnet");
    assert!(id.len() == 25 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "D21: {id}");
    let listed = nodes.inside("node1", "minidock network ls");
    let has = |name: &str, rest: &str| listed.lines().any(|l| l.contains(&format!("   {name:<17} {rest}")));
    assert!(has("overnet", "overlay   swarm") && has("ingress", "overlay   swarm"), "D22: {listed}");
    assert!(has("docker_gwbridge", "bridge    local"), "D22: {listed}");
    assert!(!nodes.inside("node2", "minidock network ls").contains("overnet"), "D23: no task of it there");
    let network = nodes.inside("node1", "minidock network inspect overnet");
    assert!(network.contains("vxlanid_list\": \"4097\"") && network.contains("\"Containers\": null"), "D24: {network}");
}

#[test]
fn d25_to_d38_a_service_of_two_its_names_its_address_and_the_way_back() {
    let nodes = machines();
    join(&nodes);
    nodes.inside("node1", "minidock run -d --name mine alpine sleep 1000; minidock network create -d overlay overnet");
    let line =
        "minidock service create --name myservice --network overnet --update-monitor 1s --replicas 2 ubuntu sleep infinity";
    let said = nodes.inside("node1", line);
    assert!(said.contains("overall progress: 2 out of 2 tasks") && said.ends_with("converged"), "D25: {said}");
    let listed = nodes.inside("node1", "minidock service ls");
    assert!(listed.contains("myservice   replicated   2/2"), "D26: {listed}");
    let tasks = nodes.inside("node1", "minidock service ps myservice");
    for fact in ["DESIRED STATE   CURRENT STATE", "myservice.1", "myservice.2", "node1     Running", "node2     Running"] {
        assert!(tasks.contains(fact), "D27: {fact}: {tasks}");
    }
    assert!(nodes.inside("node2", "minidock network ls").contains("overnet"), "D28: now it is there");
    let there = |node: &str| {
        let format = "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}} {{(index .IPAM.Config 0).Subnet}}";
        nodes.inside(node, &format!("minidock network inspect -f '{format}' overnet"))
    };
    let (one, two) = (there("node1"), there("node2"));
    assert!(one.starts_with("myservice.") && two.starts_with("myservice.") && one != two, "D29: {one} {two}");
    assert!(one.ends_with("10.0.1.0/24") && two.ends_with("10.0.1.0/24"), "D29: {one} {two}");
    let whole = nodes.inside("node2", "minidock network inspect overnet");
    for node in ["node1", "node2"] {
        assert!(whole.contains(&format!("\"IP\": \"{}\"", nodes.address(node))), "D29: Peers: {whole}");
    }
    let name = nodes.inside("node1", "minidock ps --filter name=myservice --format '{{.Names}}'");
    let parts: Vec<&str> = name.split('.').collect();
    assert!(parts.len() == 3 && parts[0] == "myservice" && parts[2].len() == 25, "D30: {name}");
    let image = nodes.inside("node1", &format!("minidock ps --no-trunc --filter name={name} --format '{{{{.Image}}}}'"));
    assert!(image.starts_with("ubuntu:latest@sha256:"), "D30: the image is pinned: {image}");
    let other = two.split([' ', '/']).nth(1).expect("an address");
    let in_task = |words: &str| nodes.inside("node1", &format!("minidock exec {name} {words}"));
    let ping = in_task(&format!("ping -c5 -i 0.2 {other}"));
    assert!(ping.contains("5 packets received, 0% packet loss"), "D31: {ping}");
    let names = in_task("cat /etc/resolv.conf");
    assert!(names.contains("nameserver 127.0.0.11") && names.contains("ndots:0"), "D32: {names}");
    let ping = in_task("ping -c5 -i 0.2 myservice");
    let address = ping.split(['(', ')']).nth(1).expect("an address").to_string();
    assert!(ping.contains("5 packets received, 0% packet loss"), "D33: {ping}");
    let vip = "minidock service inspect -f '{{.Spec.EndpointSpec.Mode}} {{(index .Endpoint.VirtualIPs 0).Addr}}' myservice";
    assert_eq!(nodes.inside("node1", vip), format!("vip {address}/24"), "D34: the address that was pinged");
    assert_eq!(nodes.inside("node1", "minidock service rm myservice"), "myservice", "D35");
    let left = || nodes.inside("node1", "minidock ps --format '{{.Names}}'");
    wait_for("D36: the task has gone, and what is one's own has stayed", || left() == "mine");
    let more = nodes.inside("node1", "minidock run -d alpine sleep 1000");
    let killed = nodes.inside("node1", &format!("minidock kill mine {more}"));
    assert_eq!(killed, format!("mine\n{more}"), "D37: each is echoed");
    let refused = nodes.sh("node1", "minidock swarm leave").fails(1);
    assert!(refused.contains("Use `--force` to ignore this message"), "D38: {refused}");
    for node in ["node2", "node1"] {
        assert_eq!(nodes.inside(node, "minidock swarm leave --force"), "Node left the swarm.", "D38");
        assert!(nodes.inside(node, "minidock info").contains("Swarm: inactive"), "D38");
    }
}

#[test]
fn e01_to_e04_joining_and_what_is_wrong_with_it_and_a_worker_is_no_manager() {
    let nodes = machines();
    join(&nodes);
    let one_dash = nodes.sh("node2", "minidock swarm join -token SWMTKN-1-x").fails(125);
    assert!(one_dash.contains("unknown shorthand flag: 't' in -token") && one_dash.contains("`--token`"), "E02: {one_dash}");
    let again = nodes.sh("node2", "minidock swarm join --token SWMTKN-1-x 10.0.0.1").fails(1);
    assert!(again.contains("This node is already part of a swarm."), "E02: {again}");
    let token = |role: &str| nodes.inside("node1", &format!("minidock swarm join-token -q {role}"));
    let (manager, worker) = (token("manager"), token("worker"));
    assert_ne!(manager, worker, "E03");
    assert_eq!(manager.rsplit_once('-').map(|(swarm, _)| swarm), worker.rsplit_once('-').map(|(swarm, _)| swarm), "one swarm");
    let told = nodes.inside("node1", "minidock swarm join-token manager");
    assert!(told.contains(&format!("minidock swarm join --token {manager} {}:2377", nodes.address("node1"))), "E03: {told}");
    nodes.inside("node1", "minidock swarm join-token --rotate worker");
    assert_ne!(token("worker"), worker, "E03: a token can be changed");
    let refused = nodes.sh("node2", "minidock node ls").fails(1);
    assert!(refused.contains("This node is not a swarm manager. Worker nodes can't be used"), "E04: {refused}");
    // U07: IDs in full and shortened
    let id = nodes.inside("node1", "minidock node ls -q -f name=node2");
    nodes.inside(
        "node1",
        &format!("minidock node update --availability drain {id}; minidock node update --availability active {}", &id[..9]),
    );
    assert!(nodes.inside("node1", "minidock node inspect --pretty node2").contains(" Availability:         \tActive"), "U07");
}

#[test]
fn e11_a_service_is_scaled_and_any_node_answers_for_it() {
    let nodes = machines();
    join(&nodes);
    let serve = "sh -c 'mkdir /www; hostname > /www/index.html; exec busybox httpd -f -p 80 -h /www'";
    nodes.inside(
        "node1",
        &format!("minidock service create -q --update-monitor 1s --name vote --replicas 2 -p 5000:80 alpine {serve}"),
    );
    let ids = |node: &str| {
        let answers = nodes.inside(node, "for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -m 5 127.0.0.1:5000; done");
        let mut ids: Vec<String> = answers.lines().map(str::to_string).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    for node in ["node1", "node2"] {
        wait_for("E10: both tasks answer, on any node", || ids(node).len() == 2);
    }
    let said = nodes.inside("node1", "minidock service scale vote=5");
    assert!(said.starts_with("vote scaled to 5\n") && said.ends_with("verify: Service vote converged"), "E11: {said}");
    assert!(nodes.inside("node1", "minidock service ls").contains("5/5"), "E12");
    wait_for("E12: five take turns", || ids("node2").len() == 5);
}
