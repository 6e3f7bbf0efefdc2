//! # The host: left as it was found, shared with Docker, and in order again after a SIGKILL
//!
//! What a daemon does to its machine must be undone when it is told to, must not disturb a Docker beside it, and must survive its own
//! death. Pictures of the namespace (links, addresses, routes, rules, settings) are compared before and after.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, Running, address, changes, fetch, fetch_in, link, links_like, picture, serve, start_inside};
use props::{Daemon, skip, wait_for};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

/// The elements and rules of our own table, without what counts.
fn rules(daemon: &Daemon) -> String {
    let text = daemon.inside(&["nft", "-s", "list", "ruleset"]).out;
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn purging_the_network_leaves_the_host_as_it_was() {
    let mut daemon = Daemon::asleep(&[]);
    let neighbour = Neighbour::of(&daemon);
    let settled = |daemon: &Daemon| !picture(daemon).iter().any(|line| line.contains("tentative"));
    wait_for("links to settle", || link(&daemon, "up0").is_some_and(|l| l["operstate"] == "UP") && settled(&daemon));
    daemon.inside(&["ip", "neigh", "flush", "all"]);
    daemon.inside(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"]).ok();
    let before = picture(&daemon);
    daemon.up();
    daemon.import_images();
    daemon.ok(&["network", "create", "--subnet", "10.7.0.0/24", "n1"]);
    daemon.ok(&["network", "create", "--ipv6", "--subnet", "fd00:7::/64", "n2"]);
    serve(&daemon, "web", &["--network", "n1", "-p", "8080:80", "-p", "127.0.0.1:8081:80/udp"], "here");
    daemon.ok(&["run", "-d", "--name", "bb", "--network", "n2", "--network", "n1", "alpine", "sleep", "1000"]);
    assert_eq!(neighbour.fetch("http://192.0.2.1:8080/").as_deref(), Some("here"));
    let changed = daemon.ok(&["info"]);
    assert!(changed.contains("net.ipv4.ip_forward: 1 (was 0)"), "info lists what was changed: {changed}");
    let refused = daemon.run(&["system", "stop", "--purge-network"]);
    assert!(refused.status == 1 && refused.err.contains("has active endpoints"), "containers still need it: {refused:?}");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("here"), "a refusal changes nothing");
    let stopped = daemon.run(&["system", "stop", "--all", "-t", "0", "--purge-network"]);
    assert_eq!(stopped.status, 0, "{stopped:?}");
    daemon.kill();
    daemon.inside(&["ip", "neigh", "flush", "all"]);
    assert_eq!(changes(&before, &picture(&daemon)), Vec::<String>::new());
    let pins = daemon.exec_root().join("netns");
    let pinned = std::fs::read_dir(pins).map(|list| list.count()).unwrap_or(0);
    assert_eq!(pinned, 0, "no namespace is kept");
    daemon.up();
    daemon.ok(&["start", "web"]);
    network::await_listener(&daemon, "web", 80);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("here"), "and all of it can be made again");
}

#[test]
fn after_the_last_container_only_the_bridge_and_empty_tables_are_left() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "--rm", "alpine", "true"]);
    // the kernel takes a second to be sure of the bridge's own link-local address
    wait_for("addresses to settle", || !picture(&daemon).iter().any(|line| line.contains("tentative")));
    let before = (picture(&daemon), rules(&daemon));
    for _ in 0..3 {
        daemon.ok(&["run", "--rm", "-p", "8080:80", "alpine", "true"]);
        daemon.run(&["run", "--rm", "-p", "8080:80", "alpine", "nosuchprogram"]).fails(127);
    }
    wait_for("the namespace to be as it was", || {
        daemon.inside(&["ip", "neigh", "flush", "all"]);
        changes(&before.0, &picture(&daemon)).is_empty()
    });
    assert_eq!(rules(&daemon), before.1);
}

#[test]
fn a_killed_daemon_finds_everything_again_and_connections_survive() {
    let mut daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    daemon.ok(&["network", "create", "n1"]);
    serve(&daemon, "web", &["--network", "name=n1,alias=www", "-p", "8080:80"], "alive");
    daemon.ok(&[
        "run",
        "-d",
        "--name",
        "echo",
        "-p",
        "9000:9000",
        "alpine",
        "sh",
        "-c",
        "while :; do nc -l -p 9000 -e cat; done",
    ]);
    daemon.ok(&["run", "-d", "--name", "asker", "--network", "n1", "--restart", "always", "alpine", "sleep", "1000"]);
    daemon.ok(&["run", "-d", "--name", "doomed", "-p", "8099:80", "alpine", "sleep", "1000"]);
    network::await_listener(&daemon, "echo", 9000);
    let talk = "import socket,sys\ns=socket.create_connection(('192.0.2.1',9000))\nfor line in sys.stdin:\n s.sendall(line.encode());print(s.recv(99).decode().strip(),flush=True)";
    let mut talker = Command::new("nsenter");
    let keeper = neighbour.start(&["sleep", "1000"]);
    talker
        .args(["--net", "-t", &keeper.0.id().to_string(), "python3", "-c", talk])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut talker = Running(talker.spawn().expect("nsenter"));
    let (mut say, heard) = (talker.0.stdin.take().expect("piped"), talker.0.stdout.take().expect("piped"));
    let mut heard = BufReader::new(heard).lines();
    let mut echoes = |word: &str| {
        writeln!(say, "{word}").expect("it reads");
        heard.next().expect("an answer").expect("text")
    };
    assert_eq!(echoes("before"), "before");
    let facts =
        |daemon: &Daemon| (address(daemon, "web", "n1"), address(daemon, "echo", "bridge"), daemon.ok(&["port", "web"]));
    let (before, rules_before) = (facts(&daemon), rules(&daemon));
    let settings = std::fs::read_dir(daemon.exec_root().join("netns")).map(|list| list.count()).unwrap_or(0);
    daemon.kill();
    assert_eq!(echoes("headless"), "headless", "nobody needs the daemon for a packet");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("alive"));
    let doomed = std::fs::read_dir(daemon.exec_root().join("containers")).expect("bundles").count();
    assert_eq!(doomed, 4);
    daemon.up();
    assert_eq!(echoes("after"), "after", "the connection survived");
    assert_eq!(facts(&daemon), before, "addresses and ports are as before");
    assert_eq!(rules(&daemon), rules_before, "no rule twice, none missing");
    assert_eq!(std::fs::read_dir(daemon.exec_root().join("netns")).map(|list| list.count()).unwrap_or(0), settings);
    assert_eq!(fetch_in(&daemon, "asker", "http://www/").as_deref(), Some("alive"), "names answer again");
    let taken = daemon.run(&["run", "--rm", "-p", "8080:80", "alpine", "true"]).fails(125);
    assert!(taken.contains("port is already allocated"), "{taken}");
    // what ended while nobody looked is put right
    let pid = daemon.inspect("doomed", "{{.State.Pid}}");
    daemon.kill();
    daemon.inside(&["kill", "-9", &pid]).ok();
    daemon.up();
    assert_eq!(daemon.inspect("doomed", "{{.State.Status}}"), "exited");
    assert_eq!(daemon.ok(&["run", "--rm", "-p", "8099:80", "alpine", "echo", "free"]), "free", "its port came free");
    daemon.ok(&["rm", "-f", "echo"]);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:9000/"), None);
}

#[test]
fn a_daemon_killed_in_the_middle_of_starts_leaves_no_stale_rule() {
    let mut daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    for round in 0..4u32 {
        let commands: Vec<_> = (0..4)
            .map(|n| {
                let port = format!("{}:80", 9100 + n);
                let words = ["run", "-d", "--network", "n1", "-p", &port, "alpine", "sleep", "1000"];
                daemon.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client starts")
            })
            .collect();
        wait_for("the first link", || !links_like(&daemon, "veth").is_empty());
        std::thread::sleep(std::time::Duration::from_millis(u64::from(round * 3)));
        daemon.kill();
        commands.into_iter().for_each(|mut command| drop(command.wait()));
        daemon.up();
        let running = daemon.ok(&["ps", "-q"]).lines().count();
        wait_for("one link for each container", || links_like(&daemon, "veth").len() == running);
        let all = daemon.ok(&["ps", "-aq"]);
        daemon.ok(&[&["rm", "-f"][..], &all.lines().collect::<Vec<_>>()].concat());
        wait_for("no link", || links_like(&daemon, "veth").is_empty());
        assert!(!rules(&daemon).contains(" . 910"), "a stale element: {}", rules(&daemon));
        daemon.ok(&["run", "--rm", "-p", "9100-9103:80-83", "alpine", "true"]);
        wait_for("its link to go", || links_like(&daemon, "veth").is_empty()); // or the next round would take it for its own
    }
}

/// A real Docker Engine in the daemon's network namespace, with an image called alpine.
fn docker_beside(daemon: &Daemon) -> Option<(Running, String)> {
    if !Path::new("/usr/sbin/dockerd").exists() {
        skip("no Docker Engine here (docker.io)");
        return None;
    }
    let folder = daemon.folder.join("docker");
    let socket = format!("unix://{}", folder.join("sock").display());
    let script = format!(
        "mkdir -p {0} && mount -t tmpfs tmpfs /run && exec dockerd --data-root {0}/data --exec-root {0}/exec --pidfile {0}/pid -H {1} --storage-driver overlay2 >{0}/log 2>&1",
        folder.display(),
        socket
    );
    let engine = start_inside(daemon, &["unshare", "--mount", "sh", "-c", &script]);
    let docker = |words: &[&str]| daemon.inside(&[&["docker", "-H", &socket][..], words].concat());
    wait_for("the Docker Engine", || docker(&["info"]).status == 0);
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/images/alpine.tar").display().to_string();
    docker(&["import", &image, "alpine"]).ok();
    Some((engine, socket))
}

#[test]
fn docker_beside_us_with_forward_drop_and_neither_breaks_the_other() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    serve(&daemon, "before", &["-p", "8080:80"], "before-docker");
    let Some((mut engine, socket)) = docker_beside(&daemon) else { return };
    let docker = |words: &[&str]| daemon.inside(&[&["docker", "-H", &socket][..], words].concat());
    // Docker sets this policy only where it is the first to switch forwarding on
    daemon.inside(&["iptables", "-P", "FORWARD", "DROP"]).ok();
    let theirs = "mkdir /www; echo docker > /www/index.html; exec httpd -f -p 80 -h /www";
    docker(&["run", "-d", "--name", "theirs", "-p", "8090:80", "alpine", "sh", "-c", theirs]).ok();
    serve(&daemon, "after", &["-p", "8081:80"], "after-docker");
    daemon.ok(&["network", "create", "n1"]);
    serve(&daemon, "own", &["--network", "n1", "-p", "8082:80"], "own-network");
    let all_work = |when: &str, with_docker: bool| {
        for (port, page) in [(8080, "before-docker"), (8081, "after-docker"), (8082, "own-network")] {
            assert_eq!(
                neighbour.fetch(&format!("http://192.0.2.1:{port}/")).as_deref(),
                Some(page),
                "{when}: {port} from outside"
            );
            assert_eq!(fetch(&daemon, &format!("http://127.0.0.1:{port}/")).as_deref(), Some(page), "{when}: {port} from here");
        }
        daemon.ok(&["exec", "own", "ping", "-c", "1", "-W", "2", "192.0.2.2"]);
        daemon.ok(&["exec", "before", "ping", "-c", "1", "-W", "2", "192.0.2.2"]);
        if with_docker {
            assert_eq!(neighbour.fetch("http://192.0.2.1:8090/").as_deref(), Some("docker"), "{when}: Docker's");
            docker(&["exec", "theirs", "ping", "-c", "1", "-W", "2", "192.0.2.2"]).ok();
        }
    };
    wait_for("Docker's server", || fetch(&daemon, "http://127.0.0.1:8090/").is_some());
    all_work("both run", true);
    let subnets = |words: &str| words.to_string();
    let (ours, docks) =
        (address(&daemon, "after", "bridge"), docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "theirs"]).ok());
    assert_ne!(subnets(&ours)[..7], subnets(docks.trim())[..7], "the pools do not overlap");
    docker(&["rm", "-f", "theirs"]).ok();
    daemon.ok(&["rm", "-f", "after"]);
    serve(&daemon, "after", &["-p", "8081:80"], "after-docker");
    all_work("Docker's container is gone", false);
    // Docker restarts and rebuilds its chains; and then goes for good
    let _ = daemon.inside(&["sh", "-c", &format!("kill $(cat {}/docker/pid)", daemon.folder.display())]);
    engine.0.wait().expect("our own child");
    all_work("Docker has stopped", false);
    let Some((mut engine, _)) = docker_beside(&daemon) else { return };
    daemon.inside(&["iptables", "-P", "FORWARD", "DROP"]).ok();
    all_work("Docker has come back", false);
    daemon.ok(&["rm", "-f", "before", "after", "own"]);
    let _ = daemon.inside(&["sh", "-c", &format!("kill $(cat {}/docker/pid)", daemon.folder.display())]);
    engine.0.wait().expect("our own child");
}
