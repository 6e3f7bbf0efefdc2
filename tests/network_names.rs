//! # Names: who finds whom, and who does not
//!
//! Containers on a network of one's own find each other by name, alias, link and short id; those on the default bridge do not.
//! The oracles are busybox nslookup and wget in containers, and a resolver in Python that talks to 127.0.0.11 in the container's own
//! network namespace, one question a packet.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, address, fetch_in, serve};
use props::{Daemon, Printed, finish};
use std::process::{Command, Stdio};

const RESOLVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/props/ask.py");

/// Asks the embedded server of a container: `["A", "web"]`, `["PTR", "172.18.0.2"]`, `["tcp", "A", "web"]`. The answer is one line:
/// the code, and the records.
fn ask(daemon: &Daemon, container: &str, question: &[&str]) -> String {
    let pid = daemon.inspect(container, "{{.State.Pid}}");
    let mut command = Command::new("nsenter");
    command.args(["--net", "-t", &pid, "python3", RESOLVER, "127.0.0.11"]).args(question).stdin(Stdio::null());
    finish(command).ok().trim().to_string()
}

fn on(daemon: &Daemon, name: &str, flags: &[&str]) {
    daemon.ok(&[&["run", "-d", "--name", name], flags, &["alpine", "sleep", "1000"]].concat());
}

#[test]
fn names_aliases_and_ids_are_known_on_a_network_of_ones_own() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    daemon.ok(&["network", "create", "n2"]);
    on(&daemon, "web", &["--network", "name=n1,alias=www,alias=shared"]);
    on(&daemon, "two", &["--network", "name=n1,alias=shared", "--network", "n2"]);
    on(&daemon, "far", &["--network", "n2", "--network-alias", "www"]);
    let (web, two) = (address(&daemon, "web", "n1"), address(&daemon, "two", "n1"));
    let id = daemon.inspect("web", "{{.Id}}")[..12].to_string();
    for name in ["web", "www", &id, "WEB", "web.n1"] {
        assert_eq!(ask(&daemon, "two", &["A", name]).replace("web.n1", name), format!("NOERROR {web}"), "{name}");
    }
    let mut both = [web.as_str(), two.as_str()];
    both.sort();
    let shared = ask(&daemon, "web", &["A", "shared"]);
    let mut got: Vec<&str> = shared.split(' ').skip(1).collect();
    got.sort();
    assert_eq!(got, both, "an alias of two has two addresses");
    let far = address(&daemon, "far", "n2");
    assert_eq!(ask(&daemon, "two", &["A", "far"]), format!("NOERROR {far}"));
    assert!(!ask(&daemon, "web", &["A", "far"]).contains(&far), "web shares no network with far");
    assert_eq!(ask(&daemon, "web", &["AAAA", "two"]), "NOERROR", "the name is there, without such an address");
    assert!(ask(&daemon, "two", &["PTR", &web]).starts_with("NOERROR web.n1"), "{}", ask(&daemon, "two", &["PTR", &web]));
    assert_eq!(ask(&daemon, "two", &["tcp", "A", "web"]), format!("NOERROR {web}"), "by TCP too");
    let looked_up = daemon.ok(&["exec", "two", "nslookup", "web"]);
    assert!(looked_up.contains("127.0.0.11") && looked_up.contains(&web), "{looked_up}");
    daemon.ok(&["exec", "two", "ping", "-c", "1", "-W", "2", "web"]);
}

#[test]
fn names_follow_restarts_renames_and_moves_at_once() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    on(&daemon, "asker", &["--network", "n1"]);
    on(&daemon, "web", &["--network", "n1"]);
    let first = address(&daemon, "web", "n1");
    daemon.ok(&["stop", "-t", "0", "web"]);
    assert!(!ask(&daemon, "asker", &["A", "web"]).contains(&first), "a stopped container has no name");
    on(&daemon, "squatter", &["--network", "n1"]);
    daemon.ok(&["start", "web"]);
    let second = address(&daemon, "web", "n1");
    assert_ne!(first, second, "somebody took the address");
    assert_eq!(ask(&daemon, "asker", &["A", "web"]), format!("NOERROR {second}"));
    daemon.ok(&["rename", "web", "shop"]);
    assert_eq!(ask(&daemon, "asker", &["A", "shop"]), format!("NOERROR {second}"));
    assert!(!ask(&daemon, "asker", &["A", "web"]).contains(&second), "the old name is free");
    daemon.ok(&["network", "disconnect", "n1", "shop"]);
    assert!(!ask(&daemon, "asker", &["A", "shop"]).contains(&second));
    daemon.ok(&["network", "connect", "--alias", "store", "n1", "shop"]);
    let third = address(&daemon, "shop", "n1");
    assert_eq!(ask(&daemon, "asker", &["A", "store"]), format!("NOERROR {third}"));
    daemon.ok(&["rm", "-f", "shop"]);
    assert!(!ask(&daemon, "asker", &["A", "store"]).contains(&third));
}

#[test]
fn the_default_bridge_knows_links_and_nothing_else() {
    let daemon = Daemon::start();
    serve(&daemon, "web", &[], "linked");
    on(&daemon, "plain", &[]);
    assert_eq!(fetch_in(&daemon, "plain", "http://web/"), None, "no names on the default bridge");
    on(&daemon, "linked", &["--link", "web:shop"]);
    assert_eq!(fetch_in(&daemon, "linked", "http://shop/").as_deref(), Some("linked"));
    assert_eq!(fetch_in(&daemon, "linked", "http://web/").as_deref(), Some("linked"), "by the name, too");
    let hosts = daemon.ok(&["exec", "linked", "cat", "/etc/hosts"]);
    assert!(hosts.contains(&format!("{}\tshop", address(&daemon, "web", "bridge"))), "{hosts}");
    daemon.ok(&["network", "create", "n1"]);
    serve(&daemon, "db", &["--network", "n1"], "data");
    on(&daemon, "app", &["--network", "n1", "--link", "db:store"]);
    on(&daemon, "other", &["--network", "n1"]);
    assert_eq!(fetch_in(&daemon, "app", "http://store/").as_deref(), Some("data"), "a link is a private alias");
    assert_eq!(fetch_in(&daemon, "other", "http://store/"), None, "and of nobody else");
}

#[test]
fn other_names_are_asked_for_at_the_resolvers_and_never_from_an_internal_network() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/props/upstream.py");
    let log = daemon.folder.join("asked");
    let _upstream = neighbour.start(&["python3", server, "192.0.2.2", &log.display().to_string()]);
    daemon.ok(&["network", "create", "n1"]);
    daemon.ok(&["network", "create", "--internal", "inner"]);
    let dns = ["--dns", "192.0.2.2"];
    on(&daemon, "asker", &[&dns[..], &["--network", "n1"]].concat());
    props::wait_for("the upstream", || ask(&daemon, "asker", &["A", "lab.example"]) == "NOERROR 203.0.113.7");
    assert_eq!(ask(&daemon, "asker", &["AAAA", "lab.example"]), "NOERROR", "NODATA is passed on as it is");
    assert_eq!(ask(&daemon, "asker", &["A", "nowhere.example"]), "NXDOMAIN");
    assert_eq!(ask(&daemon, "asker", &["PTR", "203.0.113.7"]), "NOERROR lab.example.");
    let large = ask(&daemon, "asker", &["A", "large.example"]);
    assert!(large.starts_with("TRUNCATED") || large.matches("203.0.113.").count() == 60, "{large}");
    assert_eq!(ask(&daemon, "asker", &["tcp", "A", "large.example"]).matches("203.0.113.").count(), 60);
    assert_eq!(daemon.ok(&["exec", "asker", "nslookup", "lab.example"]).matches("203.0.113.7").count(), 1);
    on(&daemon, "bridge", &dns);
    assert!(
        daemon.ok(&["exec", "bridge", "nslookup", "lab.example"]).contains("203.0.113.7"),
        "straight, on the default bridge"
    );
    on(&daemon, "inside", &[&dns[..], &["--network", "inner"]].concat());
    let before = std::fs::read_to_string(&log).unwrap_or_default().matches("secret").count();
    let refused = ask(&daemon, "inside", &["A", "secret.example"]);
    assert!(!refused.starts_with("NOERROR"), "{refused}");
    assert_eq!(
        std::fs::read_to_string(&log).unwrap_or_default().matches("secret").count(),
        before,
        "CVE-2024-29018: nothing left the network"
    );
    on(&daemon, "beside", &["--network", "inner"]);
    assert!(ask(&daemon, "inside", &["A", "beside"]).starts_with("NOERROR 1"), "names on it are known");
}

#[test]
fn a_container_may_run_a_server_of_its_own_on_port_53() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    let own = "mkfifo /p; while :; do nc -l -p 53 -e echo own; done";
    daemon.ok(&["run", "-d", "--name", "dns", "--network", "n1", "alpine", "sh", "-c", own]);
    on(&daemon, "asker", &["--network", "n1"]);
    network::await_listener(&daemon, "dns", 53);
    assert_eq!(daemon.ok(&["exec", "asker", "sh", "-c", "nc -w 2 dns 53 </dev/null"]), "own", "found by name, and it answers");
    let asker = address(&daemon, "asker", "n1");
    assert_eq!(ask(&daemon, "dns", &["A", "asker"]), format!("NOERROR {asker}"), "and the embedded server still does");
}

#[test]
fn garbage_and_floods_leave_the_daemon_as_it_was() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    on(&daemon, "asker", &["--network", "n1"]);
    on(&daemon, "web", &["--network", "n1"]);
    let web = address(&daemon, "web", "n1");
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a process");
        let kib =
            status.lines().find(|l| l.starts_with("VmRSS:")).and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.expect("a number")
    };
    let before = memory();
    let Printed { status, .. } = {
        let pid = daemon.inspect("asker", "{{.State.Pid}}");
        let mut flood = Command::new("nsenter");
        flood.args(["--net", "-t", &pid, "python3", RESOLVER, "127.0.0.11", "flood", "20000"]).stdin(Stdio::null());
        finish(flood)
    };
    assert_eq!(status, 0);
    assert_eq!(ask(&daemon, "asker", &["A", "web"]), format!("NOERROR {web}"));
    assert!(memory() < before + 32 * 1024, "{before} KiB before, {} KiB after", memory());
}
