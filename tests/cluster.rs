//! # Simulated nodes
//!
//! Each node is a machine of its own as far as anybody inside can tell: its processes, its network, its name, its disk; and the host can do to it what
//! happens to machines: cut its power, freeze it, cut its cable. When the cluster goes, nothing stays.

#[path = "http/mod.rs"]
mod http;
#[path = "props/network.rs"]
mod network;
#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use http::{Wire, call};
use network::Neighbour;
use nodes::Nodes;
use props::{Daemon, MINIDOCK, wait_for};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[test]
fn a_node_is_a_machine_of_its_own() {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    assert_eq!(nodes.inside("node1", "hostname"), "node1");
    let address = nodes.address("node2");
    assert_eq!(nodes.inside("node2", "hostname -i"), address);
    assert_eq!(nodes.inside("node1", "getent hosts node2 | cut -d' ' -f1"), address);
    // its own processes only, PID 1 among them
    assert!(nodes.inside("node1", "ls -d /proc/[0-9]* | wc -l").parse::<u32>().expect("a number") < 12);
    assert_eq!(nodes.inside("node1", "cat /proc/1/comm"), "minidock-node");
    // what is typed goes to its own daemon, by whatever name
    nodes.ok("node1", &["run", "-d", "--name", "here", "alpine", "sleep", "1000"]);
    for socket in ["/var/run/docker.sock", "/run/minidock.sock"] {
        assert_eq!(nodes.inside("node1", &format!("minidock -H unix://{socket} ps --format '{{{{.Names}}}}'")), "here");
    }
    assert_eq!(nodes.inside("node1", "minidock ps -q | wc -l"), "1");
    assert_eq!(nodes.inside("node2", "minidock ps -q | wc -l"), "0");
    assert_eq!(nodes.inside("node1", "ls /var/lib/docker/containers | wc -l"), "1");
    assert_eq!(nodes.inside("node1", "minidock info --format '{{.Name}} {{.DockerRootDir}}'"), "node1 /var/lib/minidock");
    // there is a cable, and no way out
    assert!(nodes.inside("node1", "ip -br addr show eth0").contains(&nodes.address("node1")));
    assert_eq!(nodes.inside("node1", "ip route show default | wc -l"), "0");
    assert_eq!(nodes.sh("node1", "exit 7").status, 7);
    // what is typed reaches the program, and its end too; a program whose caller has gone is killed
    assert_eq!(nodes.host.sh("printf 'a\\nb\\n' | minidock cluster exec -i node1 -- wc -l").ok().trim(), "2");
    nodes.host.sh("minidock cluster exec node1 -- sleep 4711 & pid=$!; while ! minidock cluster exec node1 -- pgrep -f 'sleep 4711' >/dev/null; do :; done; kill $pid");
    wait_for("the program to be killed", || nodes.sh("node1", "pgrep -f '^sleep 4711'").status != 0);
    assert_eq!(nodes.sh("node1", "nosuchprogram").status, 127);
    assert!(nodes.host.run(&["cluster", "exec", "node1", "nosuchprogram"]).fails(127).contains("no such file"));
}

#[test]
fn images_are_shown_and_not_copied_and_what_a_node_needs_stays() {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    let (host, node) = (nodes.host.ok(&["images", "-q", "--no-trunc"]), nodes.ok("node1", &["images", "-q", "--no-trunc"]));
    assert_eq!(host.lines().collect::<BTreeSet<_>>(), node.lines().collect::<BTreeSet<_>>());
    let blobs = nodes.host.data_root().join("cluster/node1/blobs/sha256");
    assert_eq!(fs::read_dir(blobs).expect("a store").count(), 0);
    nodes.ok("node1", &["run", "-d", "--name", "user", "busybox", "sleep", "1000"]);
    let refused = nodes.host.run(&["rmi", "busybox"]).fails(1);
    assert!(refused.contains("is using its referenced image"), "{refused}");
    nodes.ok("node2", &["rmi", "busybox"]);
    assert_eq!(nodes.ok("node2", &["images", "-q", "busybox"]), "");
    assert_ne!(nodes.host.ok(&["images", "-q", "busybox"]), "");
    // what comes to the host comes to the nodes; what is made in a node is the node's
    nodes.host.ok(&["tag", "alpine", "fresh:1"]);
    assert_ne!(nodes.ok("node2", &["images", "-q", "fresh:1"]), "");
    nodes.ok("node1", &["commit", "user", "own:1"]);
    assert_ne!(nodes.ok("node1", &["images", "-q", "own:1"]), "");
    assert_eq!(nodes.host.ok(&["images", "-q", "own:1"]), "");
    assert_eq!(nodes.ok("node1", &["run", "--rm", "own:1", "echo", "made here"]), "made here");
    nodes.ok("node1", &["rm", "-f", "user"]);
    nodes.host.ok(&["rmi", "-f", "fresh:1"]);
}

#[test]
fn a_power_cut_takes_everything_at_once_and_the_disk_stays() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    nodes.ok(
        "node1",
        &["run", "-d", "--name", "busy", "-v", "kept:/data", "alpine", "sh", "-c", "echo kept >/data/file; sleep 1000"],
    );
    wait_for("the file", || nodes.on("node1", &["exec", "busy", "cat", "/data/file"]).out == "kept\n");
    let group = group_of(nodes.look("node1")["Pid"].as_i64().expect("a process"));
    assert!(fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|pids| pids.lines().count() > 0));
    nodes.cluster(&["kill", "node1"]);
    assert!(!group.exists(), "{}", group.display());
    assert_eq!(nodes.status("node1"), "killed");
    assert!(nodes.host.run(&["cluster", "exec", "node1", "true"]).fails(1).contains("node1 does not run"));
    let told = nodes.on("node1", &["ps"]).fails(1);
    assert!(told.contains("minidock cluster start node1") && !told.contains("minidock daemon\n"), "{told}");
    nodes.cluster(&["start", "node1"]);
    assert_eq!(nodes.status("node1"), "running");
    assert_eq!(nodes.ok("node1", &["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "busy exited");
    nodes.ok("node1", &["start", "busy"]);
    assert_eq!(nodes.ok("node1", &["exec", "busy", "cat", "/data/file"]), "kept");
}

/// The memory cgroup of a process.
fn group_of(pid: i64) -> std::path::PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("a process");
    let line = text.lines().find(|line| line.contains(":pids:") || line.starts_with("0::")).expect("a group");
    let path = line.rsplit(':').next().expect("a path").trim_start_matches('/');
    let top = if line.contains(":pids:") { "/sys/fs/cgroup/pids" } else { "/sys/fs/cgroup" };
    Path::new(top).join(path)
}

#[test]
fn a_stop_is_orderly_and_a_dead_daemon_leaves_containers_alone() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    let waits = "trap 'echo asked >/data/end; exit 0' TERM; echo up >/data/begin; while :; do sleep 0.05; done";
    nodes.ok("node1", &["run", "-d", "--name", "polite", "-v", "kept:/data", "alpine", "sh", "-c", waits]);
    let data = nodes.host.data_root().join("cluster/node1/volumes/kept/_data");
    wait_for("the program", || data.join("begin").exists());
    nodes.cluster(&["kill", "--daemon", "node1"]);
    assert_eq!(nodes.status("node1"), "no daemon");
    assert!(nodes.inside("node1", "ps ax").contains("sleep 0.05"));
    nodes.cluster(&["start", "node1"]);
    assert_eq!(nodes.ok("node1", &["ps", "--format", "{{.Names}}"]), "polite");
    nodes.cluster(&["stop", "node1"]);
    assert_eq!((nodes.status("node1").as_str(), data.join("end").exists()), ("stopped", true));
    assert!(nodes.host.run(&["cluster", "pause", "node1"]).fails(1).contains("node1 is stopped"));
}

#[test]
fn a_frozen_node_answers_nobody_and_goes_on_where_it_was() {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    nodes.ok(
        "node1",
        &["run", "-d", "--name", "counts", "alpine", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"],
    );
    nodes.cluster(&["pause", "node1"]);
    assert_eq!(nodes.status("node1"), "paused");
    let lines = || {
        fs::read_dir(nodes.host.data_root().join("cluster/node1/containers"))
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten().flatten())
            .filter(|file| file.file_name().to_string_lossy().ends_with("-json.log"))
            .map(|file| file.metadata().map_or(0, |facts| facts.len()))
            .sum::<u64>()
    };
    let before = lines();
    // the other node's commands take their time; nothing is said meanwhile
    assert_eq!(nodes.ok("node2", &["run", "--rm", "alpine", "echo", "on"]), "on");
    assert_eq!(lines(), before);
    assert!(nodes.host.run(&["cluster", "pause", "node1"]).fails(1).contains("node1 is paused"));
    nodes.cluster(&["unpause", "node1"]);
    wait_for("more lines", || lines() > before);
    // a frozen node can be killed, and ended by `down`
    nodes.cluster(&["pause", "node1"]);
    nodes.cluster(&["kill", "node1"]);
    nodes.cluster(&["pause", "node2"]);
    nodes.cluster(&["down"]);
}

#[test]
fn cables_are_cut_one_way_or_both_and_healed() {
    let nodes = Nodes::up(&["--nodes", "3", "--no-swarm"]);
    let listen = "minidock run -d --network host --name ear alpine nc -ll -p 7000 -e true";
    for node in ["node1", "node2", "node3"] {
        nodes.inside(node, listen);
        wait_for("an ear", || nodes.reaches(node, "127.0.0.1", 7000));
    }
    let reaches = |from: &str, to: &str| nodes.reaches(from, &nodes.address(to), 7000);
    assert!(reaches("node1", "node2") && reaches("node2", "node3") && reaches("node3", "node1"));
    assert_eq!(nodes.cluster(&["cut", "node1", "node2"]), "node1 → node2\nnode2 → node1");
    assert!(!reaches("node1", "node2") && !reaches("node2", "node1") && reaches("node1", "node3"));
    assert!(nodes.cluster(&["ls"]).contains("cut: node1 → node2, node2 → node1"));
    nodes.cluster(&["heal"]);
    assert!(reaches("node1", "node2"));
    nodes.cluster(&["partition", "node1,node2", "node3"]);
    assert!(reaches("node1", "node2") && !reaches("node1", "node3") && !reaches("node3", "node2"));
    nodes.cluster(&["heal"]);
    // one way: datagrams arrive in the other direction only
    nodes.cluster(&["cut", "--one-way", "node1", "node2"]);
    let hear = "rm -f /run/heard; setsid python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"\", 7001)); \
        open(\"/run/heard\", \"wb\").write(s.recv(99))' >/dev/null 2>&1 </dev/null &";
    for (from, to, arrives) in [("node1", "node3", true), ("node2", "node1", true), ("node1", "node2", false)] {
        nodes.inside(to, hear);
        wait_for("an ear for datagrams", || nodes.sh(to, "grep -q ':1B59 ' /proc/net/udp").status == 0);
        let say = |from: &str, word: &str| {
            nodes.inside(from, &format!("bash -c 'echo {word} >/dev/udp/{}/7001'", nodes.address(to)));
        };
        // the neighbour's MAC was learnt above, when both ways were open
        say(from, "word");
        if !arrives {
            say("node3", "other"); // an ear keeps the first datagram only: had the word come through, it would stand there
        }
        let heard = || nodes.sh(to, "cat /run/heard").out;
        wait_for("a datagram", || heard().ends_with('\n'));
        assert_eq!(heard(), if arrives { "word\n" } else { "other\n" }, "{from} → {to}");
    }
    assert!(nodes.host.run(&["cluster", "cut", "node1", "node9"]).fails(1).contains("no such node: node9"));
}

#[test]
fn nodes_outlive_their_host_and_are_found_again() {
    let mut nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    nodes.ok("node1", &["run", "-d", "--name", "stays", "alpine", "sleep", "1000"]);
    nodes.cluster(&["cut", "node1", "node2"]);
    let pid = nodes.look("node1")["Pid"].clone();
    nodes.host.kill();
    nodes.host.up();
    assert_eq!(nodes.look("node1")["Pid"], pid);
    assert_eq!(nodes.ok("node1", &["ps", "--format", "{{.Names}}"]), "stays");
    assert!(nodes.cluster(&["ls"]).contains("cut: node1 → node2"));
    // PID 1 killed behind the host's back: nobody asked for that
    nodes.host.sh(&format!("kill -9 {pid}"));
    wait_for("the death to be seen", || nodes.status("node1") == "dead");
    nodes.cluster(&["start", "node1"]);
    assert_eq!(nodes.status("node1"), "running");
}

/// What a cluster could leave: links, tables, cgroups, mounts, processes, files.
fn traces(host: &Daemon) -> Vec<String> {
    let mut found: Vec<String> =
        host.sh("ip -br link | cut -d' ' -f1; nft list tables; ls data exec").ok().lines().map(String::from).collect();
    let groups = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|tree| fs::read_dir(tree.path()).into_iter().flatten().flatten());
    let folder = host.folder.display().to_string();
    let ours: BTreeSet<String> = groups
        .map(|group| group.path())
        .filter(|path| path.to_string_lossy().contains("minidock-cluster"))
        .flat_map(|path| fs::read_dir(path).into_iter().flatten().flatten())
        .map(|node| node.path().display().to_string())
        .collect();
    let mine = fs::read_to_string(host.data_root().join("cluster/cluster.json")).unwrap_or_default();
    let id = mine.split("\"id\"").nth(1).and_then(|rest| rest.split('"').nth(1)).unwrap_or("none").to_string();
    found.extend(ours.into_iter().filter(|path| path.contains(&id)));
    found.extend(
        fs::read_to_string("/proc/self/mounts")
            .expect("mounts")
            .lines()
            .filter(|line| line.contains(&folder))
            .map(String::from),
    );
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default().replace('\0', " ");
        if line.contains(&folder) && line.contains("machine") {
            found.push(line);
        }
    }
    found
}

#[test]
fn down_leaves_nothing() {
    let host = Daemon::start();
    let before = traces(&host);
    host.ok(&["cluster", "up", "--nodes", "2", "--uplink"]);
    host.ok(&["--node", "node2", "run", "-d", "-p", "8080:80", "-v", "kept:/v", "alpine", "sleep", "1000"]);
    host.ok(&["cluster", "partition", "node1"]);
    assert_ne!(traces(&host), before);
    assert!(host.ok(&["context", "ls", "-q"]).contains("node2"));
    host.ok(&["cluster", "down"]);
    assert_eq!(traces(&host), before);
    assert_eq!(host.ok(&["context", "ls", "-q"]), "default");
    host.ok(&["cluster", "down"]); // gone is gone
    assert!(host.run(&["cluster", "ls"]).fails(1).contains("this daemon hosts no cluster"));
}

#[test]
fn two_ups_at_once_make_one_cluster_and_two_hosts_make_two() {
    let host = Daemon::start();
    let both = std::thread::scope(|scope| {
        let up = || host.run(&["cluster", "up", "--nodes", "1", "--no-swarm"]);
        let (a, b) = (scope.spawn(up), scope.spawn(up));
        [a.join().expect("no panic"), b.join().expect("no panic")]
    });
    let (done, refused): (Vec<_>, Vec<_>) = both.iter().partition(|printed| printed.status == 0);
    assert_eq!((done.len(), refused.len()), (1, 1), "{both:?}");
    assert!(refused[0].err.contains("a cluster is up already"), "{}", refused[0].err);
    // another daemon in the same network namespace
    let script = "minidock daemon --data-root=other/data --exec-root=other/exec -H unix://$PWD/other.sock >other.log 2>&1 & other=$!; \
        for i in $(seq 400); do [ -S other.sock ] && break; sleep 0.05; done; \
        export MINIDOCK_HOST=unix://$PWD/other.sock; minidock cluster up --nodes 1 --no-swarm >/dev/null && minidock cluster ls --format '{{.Address}}'; \
        minidock cluster down; kill $other; wait $other";
    let other = host.sh(script).ok();
    assert!(other.starts_with("192.168.") && !other.starts_with("192.168.66."), "{other}");
    host.ok(&["cluster", "down"]);
}

#[test]
fn a_node_has_what_it_was_given() {
    let nodes =
        Nodes::up(&["-n", "2", "--no-swarm", "--cpus", "0.5", "-m", "256m", "--label", "zone=a", "--label", "node2:disk=ssd"]);
    assert_eq!(nodes.ok("node1", &["info", "--format", "{{.NCPU}} {{.MemTotal}} {{.Labels}}"]), "1 268435456 [zone=a]");
    assert_eq!(nodes.ok("node2", &["info", "--format", "{{.Labels}}"]), "[zone=a disk=ssd]");
    let limit = nodes.inside("node1", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/memory.max");
    assert!(limit.starts_with("268435456"), "{limit}");
    assert_eq!(nodes.cluster(&["add", "--cpus", "2"]), "node3");
    assert_eq!(
        nodes.cluster(&["ls", "--format", "{{.Name}} {{.CPUs}} {{.Memory}} {{.Labels}}"]),
        "node1 0.5 256MiB zone=a\nnode2 0.5 256MiB zone=a,disk=ssd\nnode3 2 all"
    );
    nodes.cluster(&["rm", "node2"]);
    assert_eq!(nodes.cluster(&["ls", "-q"]), "node1\nnode3");
    assert_eq!(nodes.inside("node1", "getent hosts node2 | wc -l"), "0");
    for (words, why) in [
        (&["up"][..], "a cluster is up already"),
        (&["add", "--memory", "1m"], "too few for a node"),
        (&["add", "--nodes", "500"], "there must be 1 to 200"),
        (&["add", "--label", "nothing"], "invalid label"),
        (&["add", "--node-generic-resource", "gpu"], "invalid generic resource \"gpu\""),
        (&["add", "--node-generic-resource", "gpu=-1"], "cannot ask for negative resource gpu"),
        (&["rm", "node7"], "no such node: node7"),
        (&["start", "node1"], "node1 is running"),
        (&["partition", "node1,node3"], "all nodes are on one side"),
        (&["exec", "node9", "true"], "no such node: node9"),
    ] {
        let said = nodes.host.run(&[&["cluster"], words].concat());
        assert!(said.status == 1 && said.err.contains(why), "{words:?}: {said:?}");
    }
}

#[test]
fn what_only_some_nodes_have_is_given_to_one_task_each_by_name() {
    let offers = ["--node-generic-resource", "node1:gpu=a", "--node-generic-resource", "node1:gpu=b"];
    let nodes = Nodes::up(&[&["-n", "2", "--node-generic-resource", "node2:gpu=1"][..], &offers].concat());
    let offered =
        |node: &str| nodes.ok("node1", &["node", "inspect", "-f", "{{json .Description.Resources.GenericResources}}", node]);
    let named = |name: &str| format!("{{\"NamedResourceSpec\":{{\"Kind\":\"gpu\",\"Value\":\"{name}\"}}}}");
    assert_eq!(offered("node1"), format!("[{},{}]", named("a"), named("b")));
    assert_eq!(offered("node2"), r#"[{"DiscreteResourceSpec":{"Kind":"gpu","Value":1}}]"#);
    let create = ["service", "create", "-d", "--no-resolve-image", "--stop-grace-period", "0s", "--name", "render"];
    nodes.ok(
        "node1",
        &[
            &create[..],
            &[
                "--generic-resource",
                "gpu=1",
                "--replicas",
                "4",
                "alpine",
                "sh",
                "-c",
                "echo has $DOCKER_RESOURCE_GPU; sleep 1000",
            ],
        ]
        .concat(),
    );
    let logged = || {
        let text = nodes.on("node1", &["service", "logs", "--raw", "render"]).out;
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    wait_for("three to have one", || logged() == ["has 1", "has a", "has b"]);
    let waiting = nodes.ok("node1", &["service", "ps", "render", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}"]);
    assert!(waiting.contains("\"no suitable node (insufficient resources on 2 nodes)\""), "{waiting}");
    let task = nodes.ok("node1", &["service", "ps", "render", "--format", "{{.Name}} {{.CurrentState}}"]);
    let task = task.lines().find(|line| line.contains("Pending")).and_then(|line| line.split(' ').next()).expect("one waits");
    let why = nodes.on("node1", &["why", "task", task]).out;
    assert!(why.contains("lacks 1 gpu of what is reserved"), "{why}");
    // who needs none is not hindered, and an update that asks for none lets the fourth run
    nodes.ok("node1", &["service", "update", "-d", "--generic-resource-rm", "gpu", "render"]);
    wait_for("all four", || {
        let rows = nodes
            .on("node1", &["service", "ps", "render", "--filter", "desired-state=running", "--format", "{{.CurrentState}}"]);
        rows.out.lines().filter(|state| state.starts_with("Running")).count() == 4
    });
    assert_eq!(
        nodes.ok("node1", &["service", "inspect", "-f", "{{json .Spec.TaskTemplate.Resources.Reservations}}", "render"]),
        "{}"
    );
}

#[test]
fn up_makes_a_swarm_and_nodes_come_and_go_in_it() {
    let nodes = Nodes::up(&["--nodes", "2", "--cpus", "1.5", "--label", "node2:zone=b"]);
    let listed = || nodes.ok("node1", &["node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"]);
    wait_for("two nodes that are ready", || listed() == "node1 Ready Leader\nnode2 Ready");
    assert_eq!(
        nodes.ok(
            "node1",
            &[
                "node",
                "inspect",
                "node2",
                "--format",
                "{{index .Spec.Labels \"zone\"}} {{.Description.Resources.NanoCPUs}} {{.Status.Addr}}"
            ]
        ),
        format!("b 1500000000 {}", nodes.address("node2"))
    );
    assert_eq!(
        nodes.cluster(&["ls", "--format", "{{.Name}} {{.Swarm}} {{.Role}}"]),
        "node1 active manager\nnode2 active worker"
    );
    assert_eq!(nodes.cluster(&["add", "--manager", "--label", "zone=c"]), "node3");
    assert!(listed().contains("node3 Ready Reachable"), "{}", listed());
    nodes.ok(
        "node1",
        &[
            "service",
            "create",
            "-d",
            "--no-resolve-image",
            "--name",
            "there",
            "--constraint",
            "node.labels.zone==c",
            "alpine",
            "sleep",
            "1000",
        ],
    );
    wait_for("the task", || nodes.ok("node3", &["ps", "--format", "{{.Names}}"]).starts_with("there.1."));
    nodes.cluster(&["rm", "node3"]);
    wait_for("the node to be gone", || !listed().contains("node3"));
    assert!(nodes.host.run(&["cluster", "rm", "node1"]).fails(1).contains("nobody manages the swarm"));
    // what the labs name: the node's certificate, at Docker's place
    assert!(
        nodes
            .inside("node2", "openssl x509 -noout -subject -in /var/lib/docker/swarm/certificates/swarm-node.crt")
            .contains("swarm-worker")
    );
}

#[test]
fn the_host_reaches_published_ports_and_an_uplink_leads_out() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm", "--uplink"]);
    nodes.ok(
        "node1",
        &[
            "run",
            "-d",
            "-p",
            "8080:80",
            "alpine",
            "sh",
            "-c",
            "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhere\\n' | nc -l -p 80; done",
        ],
    );
    let address = nodes.address("node1");
    wait_for("a page", || {
        nodes
            .host
            .sh(&format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/8080; echo GET / >&3; cat <&3'"))
            .out
            .contains("here")
    });
    let neighbour = Neighbour::of(&nodes.host);
    let reached = nodes.on("node1", &["run", "--rm", "--network", "host", "alpine", "ping", "-c1", "-W2", "192.0.2.2"]);
    let masked = neighbour.run(&["ip", "neigh"]);
    assert_eq!(reached.status, 0, "{reached:?}");
    assert!(masked.out.contains("192.0.2.1"), "the host speaks for its nodes: {}", masked.out);
}

#[test]
fn a_silent_manager_is_no_reason_to_found_a_second_swarm() {
    let nodes = Nodes::up(&["--nodes", "2"]);
    nodes.cluster(&["kill", "node1"]);
    let refused = nodes.host.run(&["cluster", "add", "--manager"]).fails(1);
    assert!(refused.contains("nobody can let new nodes in"), "{refused}");
    assert_eq!(nodes.cluster(&["ls", "-q"]), "node1\nnode2");
    nodes.cluster(&["start", "node1"]);
    wait_for("a manager that lets a node in", || nodes.host.run(&["cluster", "add", "--manager"]).status == 0);
    assert!(nodes.ok("node1", &["node", "ls", "--format", "{{.Hostname}}"]).contains("node3"));
}

#[test]
fn a_down_that_could_not_finish_is_finished_by_the_next() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    let folder = nodes.host.data_root().join("cluster");
    let busy = folder.join("busy");
    fs::create_dir(&busy).expect("a folder");
    nodes.host.sh(&format!("mount -t tmpfs busy {}", busy.display())).ok();
    let refused = nodes.host.run(&["cluster", "down"]);
    nodes.host.sh(&format!("umount {}", busy.display())).ok();
    assert!(refused.fails(1).contains("busy") && folder.exists());
    nodes.cluster(&["down"]);
    assert!(!folder.exists());
}

#[test]
fn a_caller_that_goes_takes_its_terminal_along() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    // silent ones and one that speaks, typed at or not
    for (flags, program) in
        [("-it", "exec sleep 4712"), ("-t", "exec sleep 4712"), ("-it", "while :; do echo 4712; sleep 0.02; done")]
    {
        let argv = [MINIDOCK, "cluster", "exec", flags, "node1", "--", "sh", "-c", &format!("echo here; {program}")];
        let steps = json!([["expect", "here"], ["signal", 9]]);
        let mut terminal = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/props/terminal.py"))
            .env("MINIDOCK_HOST", nodes.host.host())
            .env("MINIDOCK_CONFIG", nodes.host.folder.join("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let wish = json!({ "argv": argv, "steps": steps }).to_string();
        terminal.stdin.take().expect("piped").write_all(wish.as_bytes()).expect("it reads");
        let seen = terminal.wait_with_output().expect("it ends");
        let seen: serde_json::Value = serde_json::from_slice(&seen.stdout).expect("JSON");
        assert_eq!(seen["missed"], serde_json::Value::Null, "{seen}");
        // the looker's own line is not meant: 471[2]
        wait_for("the program to be hung up on", || nodes.sh("node1", "pgrep -f '471[2]'").status == 1);
    }
}

#[test]
fn a_program_in_a_node_is_started_once_and_has_an_end_whatever_becomes_of_its_caller() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    let socket = nodes.host.socket();
    let create = |wish: serde_json::Value| {
        let made = call(&socket, "POST", "/minidock/cluster/nodes/node1/exec", &wish.to_string()).is(201).json();
        format!("/minidock/cluster/exec/{}", made["Id"].as_str().expect("an ID"))
    };
    let ended = |exec: &str| {
        let seen = call(&socket, "GET", exec, "").is(200).json();
        (seen["Running"].clone(), seen["ExitCode"].clone())
    };
    let exec = create(json!({ "Cmd": ["sh", "-c", "echo once >>/run/times; exit 3"] }));
    assert_eq!(ended(&exec), (json!(true), json!(null)));
    call(&socket, "POST", &format!("{exec}/start"), "{}").is(200);
    assert_eq!(ended(&exec), (json!(false), json!(3)));
    assert!(call(&socket, "POST", &format!("{exec}/start"), "{}").is(409).message().contains("has already run"));
    assert_eq!(nodes.inside("node1", "cat /run/times"), "once");
    // a connection that cannot become the program's: it has carried another request, and nobody asks for the upgrade
    let exec = create(json!({ "Cmd": ["sh", "-c", "echo ready; exec sleep 4713"], "Tty": true }));
    let mut wire = Wire::open(&socket);
    wire.send("GET", "/_ping", "", b"");
    let pong = wire.head();
    wire.body(&pong);
    wire.send("POST", &format!("{exec}/start"), "Content-Type: application/json\r\n", b"{}");
    assert_eq!(wire.head().status, 400);
    assert_eq!(ended(&exec), (json!(false), json!(125)));
    wait_for("the program to end", || nodes.sh("node1", "pgrep -f '471[3]'").status == 1);
}

#[test]
fn an_up_that_fails_leaves_no_node_and_no_record() {
    let host = Daemon::start();
    // where a node's folder has to be there is a file
    fs::create_dir_all(host.data_root().join("cluster")).expect("room");
    fs::write(host.data_root().join("cluster/node2"), "in the way").expect("room");
    let refused = host.run(&["cluster", "up", "--nodes", "3"]).fails(1);
    assert!(refused.contains("node2"), "{refused}");
    assert!(host.run(&["cluster", "ls"]).fails(1).contains("this daemon hosts no cluster"));
    let mut left = traces(&host);
    left.retain(|line| line.starts_with("mdc-") || line.contains("cluster") || line.contains("machine"));
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(host.ok(&["context", "ls", "-q"]), "default");
    host.ok(&["cluster", "up", "--nodes", "1", "--no-swarm"]);
}

#[test]
fn a_down_that_is_interrupted_is_done_all_the_same_or_by_the_next() {
    let mut host = Daemon::start();
    let before = traces(&host);
    // the caller goes
    host.ok(&["cluster", "up", "--nodes", "3"]);
    let mut down = host.command(&["cluster", "down"]).spawn().expect("a program");
    down.kill().expect("our own child");
    down.wait().expect("our own child");
    host.run(&["cluster", "down"]).ok(); // whether it was heard or not
    assert_eq!(traces(&host), before);
    // the hosting daemon goes
    host.ok(&["cluster", "up", "--nodes", "3"]);
    let pid = host.ok(&["cluster", "inspect", "--format", "{{.Pid}}", "node1"]);
    let mut down = host.command(&["cluster", "down"]).stderr(Stdio::null()).spawn().expect("a program");
    wait_for("the first node to die", || !Path::new(&format!("/proc/{pid}")).exists());
    host.kill();
    down.wait().expect("our own child");
    host.up();
    host.ok(&["cluster", "down"]);
    assert_eq!(traces(&host), before);
    // and in the middle of up
    let mut up = host.command(&["cluster", "up", "--nodes", "3"]).stderr(Stdio::null()).spawn().expect("a program");
    wait_for("the first node", || host.exec_root().join("cluster/node1/running.json").exists());
    host.kill();
    up.wait().expect("our own child");
    host.up();
    host.ok(&["cluster", "down"]);
    assert_eq!(traces(&host), before);
}

#[test]
fn a_node_that_is_dead_or_frozen_or_has_left_by_itself_is_taken_out_of_the_swarm_all_the_same() {
    let nodes = Nodes::up(&["--nodes", "6", "--managers", "3"]);
    let listed = || nodes.on("node1", &["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]).out;
    wait_for("six nodes", || listed().matches("Ready").count() == 6);
    nodes.ok("node4", &["swarm", "leave"]);
    nodes.cluster(&["kill", "node5"]);
    nodes.cluster(&["pause", "node6"]);
    nodes.cluster(&["rm", "node4", "node5", "node6"]);
    assert_eq!(listed().lines().count(), 3, "{}", listed());
    // a manager whose power was cut: the others can do without it
    nodes.cluster(&["kill", "node3"]);
    nodes.cluster(&["rm", "node3"]);
    wait_for("two managers", || nodes.on("node1", &["node", "ls", "-q"]).out.lines().count() == 2);
    assert_eq!(nodes.cluster(&["ls", "-q"]), "node1\nnode2");
    nodes.eventually("node2", &["service", "create", "-d", "--no-resolve-image", "--name", "on", "alpine", "true"]);
}

#[test]
fn a_caller_that_goes_while_its_input_is_open_leaves_no_program() {
    let nodes = Nodes::up(&["--nodes", "1", "--no-swarm"]);
    for words in [&["exec", "-i", "node1", "--", "sh", "-c", "echo here; exec sleep 4714"][..], &["shell", "node1"]] {
        let mut caller = nodes.host.command(&[&["cluster"], words].concat());
        let mut caller = caller.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a program");
        caller.stdin.as_mut().expect("piped").write_all(b"exec sleep 4714\n").expect("it reads");
        wait_for("the program", || nodes.sh("node1", "pgrep -f 'sleep 471[4]'").status == 0);
        caller.kill().expect("our own child");
        caller.wait().expect("our own child");
        wait_for("the program to be killed", || nodes.sh("node1", "pgrep -f 'sleep 471[4]'").status == 1);
    }
    // nor if the program reads nothing, and what it is sent has no room any more
    let full = nodes.host.command(&["cluster", "exec", "-i", "node1", "--", "sleep", "4714"]).stdin(Stdio::piped()).spawn();
    let mut full = full.expect("a program");
    let mut stdin = full.stdin.take().expect("piped");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let writing = std::thread::spawn(move || {
        while stdin.write_all(&[b'x'; 1 << 14]).is_ok() {
            count.fetch_add(1 << 14, Ordering::Relaxed);
        }
    });
    wait_for("the program", || nodes.sh("node1", "pgrep -f 'sleep 471[4]'").status == 0);
    wait_for("more than a pipe takes", || sent.load(Ordering::Relaxed) > 3 << 16);
    full.kill().expect("our own child");
    full.wait().expect("our own child");
    writing.join().expect("a broken pipe");
    wait_for("the program to be killed", || nodes.sh("node1", "pgrep -f 'sleep 471[4]'").status == 1);
    // the end of the input alone is no reason to be killed, and what is said later is heard
    let late = "read line; sleep 3; echo $line";
    let said = nodes.host.sh(&format!("echo late | minidock cluster exec -i node1 -- sh -c '{late}'")).ok();
    assert_eq!(said, "late\n");
}
